# Shared by demo.sh, test.sh and setup of a developer's machine; to be sourced. Nothing here asks a question.
# shellcheck shell=bash

akin_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/packages.sh
source "$akin_root/scripts/packages.sh"

say() { printf '%s\n' "$*" >&2; }

# HEADER...: those that the compiler does not find.
absent_headers() {
  local header compiler=${CXX:-c++}
  # One run of the compiler looks for all, wherever its search path leads.
  # shellcheck disable=SC2086
  for header in "$@"; do printf '#if !__has_include(<%s>)\nabsent %s\n#endif\n' "$header" "$header"; done |
    $compiler -std=c++20 -E -P -x c++ - 2> /dev/null | sed -n 's/^absent *//p' && return
  for header in "$@"; do
    [[ -e /usr/include/$header || -e /usr/local/include/$header ]] || printf '%s\n' "$header"
  done
}

# PACKAGE...: those that dpkg does not know as installed.
absent_packages() {
  local package installed
  installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "$@" 2> /dev/null | sed -n 's/^installed //p') || true
  for package in "$@"; do
    grep -qxF -- "$package" <<< "$installed" || printf '%s\n' "$package"
  done
}

# FONT-PACKAGE...: those that this release has; all of them where apt has no lists to tell by.
in_release() {
  local package known=
  # shellcheck disable=SC2016  # apt's own notation
  if command -v apt-cache > /dev/null && [[ -n $(apt-get indextargets --format '$(FILENAME)' 'Created-By: Packages') ]]; then
    known=$(apt-cache pkgnames fonts-)
  fi
  for package in "$@"; do
    if [[ -z $known ]] || grep -qxF -- "$package" <<< "$known"; then printf '%s\n' "$package"; fi
  done
}

# Whether clang++ makes a program with libFuzzer, the sanitizers and OpenMP.
has_libfuzzer() {
  local folder status=0
  folder=$(mktemp -d)
  printf '#include <omp.h>\nextern "C" int LLVMFuzzerTestOneInput(const unsigned char*, unsigned long) { return 0; }\n' > "$folder/a.cpp"
  clang++ -fopenmp -fsanitize=fuzzer,address,undefined "$folder/a.cpp" -o "$folder/a" 2> /dev/null || status=1
  rm -rf "$folder"
  return $status
}

# GROUP: build, test, browser, mpi, demo, npm or fuzz. Prints the Debian packages that are missing for it, one a line. Tools and headers count
# wherever they come from; fonts are asked of dpkg, and where there is none, any font will do.
missing_packages() {
  local -a needs=() headers=()
  local line package what found
  declare -A package_of
  mapfile -t needs <<< "$AKIN_BUILD_NEEDS"
  mapfile -t -O ${#needs[@]} needs <<< "$AKIN_PICTURE_NEEDS"
  if [[ $1 == test ]]; then mapfile -t -O ${#needs[@]} needs <<< "$AKIN_TEST_NEEDS"; fi
  if [[ $1 == demo ]]; then mapfile -t -O ${#needs[@]} needs <<< "$AKIN_DEMO_NEEDS"; fi
  if [[ $1 == browser ]]; then mapfile -t -O ${#needs[@]} needs <<< "$AKIN_BROWSER_NEEDS"; fi
  if [[ $1 == mpi ]]; then mapfile -t -O ${#needs[@]} needs <<< "$AKIN_MPI_NEEDS"; fi
  if [[ $1 == npm ]]; then mapfile -t -O ${#needs[@]} needs <<< "$AKIN_NPM_NEEDS"; fi
  for line in "${needs[@]}"; do
    read -r package what found <<< "$line"
    case $what in
      command)
        [[ $package == g++ ]] && found=${CXX:-$found}
        command -v "${found%% *}" > /dev/null || printf '%s\n' "$package" ;;
      header) headers+=("$found"); package_of[$found]=$package ;;
      file) [[ -e $found ]] || printf '%s\n' "$package" ;;
    esac
  done
  # shellcheck disable=SC2086
  if [[ $1 == fuzz ]] && ! has_libfuzzer; then printf '%s\n' $AKIN_FUZZ_PACKAGES; fi
  for line in $(absent_headers "${headers[@]}"); do printf '%s\n' "${package_of[$line]}"; done
  if command -v dpkg-query > /dev/null; then
    # shellcheck disable=SC2046,SC2086
    case $1 in
      test) in_release $(absent_packages $AKIN_TEST_FONT_PACKAGES) ;;
      demo) in_release $(absent_packages $AKIN_FONT_PACKAGES) ;;
    esac
  fi
}

# GROUP: installs what is missing for it with apt. Says what is missing, and fails, where it cannot.
install_missing() {
  local -a missing root=()
  local can_install=1
  mapfile -t missing < <(missing_packages "$1" | sort -u)
  ((${#missing[@]})) || return 0
  if ((EUID != 0)); then
    if command -v sudo > /dev/null && sudo -n true 2> /dev/null; then root=(sudo -n); else can_install=0; fi
  fi
  command -v apt-get > /dev/null || can_install=0
  if ! ((can_install)); then
    local -a optional=() needed=()
    local package
    for package in "${missing[@]}"; do
      if grep -q "^$package " <<< "$AKIN_PICTURE_NEEDS"; then optional+=("$package"); else needed+=("$package"); fi
    done
    if ((${#needed[@]} == 0)); then
      say "Built without ${optional[*]}: pictures of their kinds (WebP, TIFF, GIF) are not read"
      return 0
    fi
    say "These packages are missing, and installing them needs apt and root (or sudo without a password):"
    if command -v apt-get > /dev/null; then
      say "  sudo apt-get install --no-install-recommends ${missing[*]}"
    else
      say "  ${missing[*]}"
    fi
    return 1
  fi
  say "Installing ${#missing[@]} packages: ${missing[*]}"
  local -a apt=("${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Acquire::Retries=3 -o Dpkg::Use-Pty=0)
  local log
  log=$(mktemp) || return 1
  # Asked again between the two, for with fresh lists it is known which fonts there are.
  if ! { "${apt[@]}" update && mapfile -t missing < <(missing_packages "$1" | sort -u) &&
    "${apt[@]}" install -y --no-install-recommends "${missing[@]}"; } > "$log" 2>&1; then
    tail -n 20 "$log" >&2
    rm -f "$log"
    say "apt could not install all of these packages, for the reason above; with them in place, run this command again"
    return 1
  fi
  rm -f "$log"
  # Asked again, for a package may be there and its file not.
  mapfile -t missing < <(missing_packages "$1" | sort -u)
  if ((${#missing[@]})); then
    say "apt is done, and still not found: ${missing[*]} (is another compiler set in CXX?)"
    return 1
  fi
}

# One compiler a core, but no more than memory holds: each takes up to 1.2 GB.
build_jobs() {
  local cores memory
  cores=$(nproc)
  memory=$(awk '/^MemAvailable/ { print int($2 / 1200000) }' /proc/meminfo 2> /dev/null) || memory=
  [[ -n $memory ]] && ((memory < cores)) && cores=$((memory > 0 ? memory : 1))
  printf '%s\n' "$cores"
}

# PRESET: configures and builds; does nothing where no source is newer than the last build. Its words go to stderr.
build() {
  local folder=$akin_root/build/$1 stamp=$akin_root/build/$1/complete
  local -a generator=() sources=() target=()
  local name
  [[ $1 == sim-* ]] && target=(--target device_tests)
  for name in CMakeLists.txt CMakePresets.json cmake kernels engine nn distill apps api examples tests bench; do
    sources+=("$akin_root/$name")
  done
  [[ -e $stamp && -z $(find "${sources[@]}" -newer "$stamp" -print -quit) ]] && return 0
  mkdir -p "$folder" && touch "$stamp.next" || return 1
  if [[ ! -e $folder/build.ninja && ! -e $folder/Makefile || $akin_root/CMakePresets.json -nt $folder/CMakeCache.txt ]]; then
    [[ -e $folder/CMakeCache.txt ]] || generator=(-G Ninja)
    cmake -S "$akin_root" --preset "$1" "${generator[@]}" >&2 || return 1
  fi
  cmake --build "$folder" "${target[@]}" -j "$(build_jobs)" >&2 && mv "$stamp.next" "$stamp"  # as old as the build's start
}
