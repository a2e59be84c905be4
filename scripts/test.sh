#!/usr/bin/env bash
# One of the README's two commands: everything that must hold before a change goes in.
set -euo pipefail
# shellcheck source=scripts/setup.sh
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

usage() {
  cat <<'TEXT'
Usage: scripts/test.sh [--preset PRESET] [--with-browser] [--with-mpi] [NAME...]

Installs what is missing (Debian and Ubuntu, as root or with sudo), builds akin with its tests and benchmarks, warnings
being errors, and runs all tests, or only those whose name holds one of NAME. Without --preset it does so three times:
  ci        everything; the CUDA kernels run in the emulator, and are compiled by nvcc where it is found
  sim-asan  the CUDA kernels in the emulator again, with the address and undefined-behaviour sanitizers
  sim-tsan  and again, with the thread sanitizer looking for races
--with-browser installs chromium, too, and fails where the pages cannot be looked at; else that test is skipped without one.
--with-mpi installs Open MPI, too, and fails where akin cannot run on several ranks; else that test is skipped without one.
Other presets: dev (ci with debug information), asan (everything with the first two sanitizers).

Example: scripts/test.sh --preset ci io
Exit code: 0 all tests pass, 1 one fails or something could not be installed or built, 2 wrong use.
TEXT
}

presets=(ci sim-asan sim-tsan)
names=()
browser=0
mpi=0
while (($#)); do
  case $1 in
    -h | --help) usage; exit 0 ;;
    --preset)
      case ${2-} in
        ci | dev | asan | sim-asan | sim-tsan) presets=("$2"); shift ;;
        *) say "test.sh: --preset is one of ci, dev, asan, sim-asan, sim-tsan (see --help)"; exit 2 ;;
      esac ;;
    --with-browser) browser=1 ;;
    --with-mpi) mpi=1 ;;
    -*) say "test.sh: no option \"$1\" (see --help)"; exit 2 ;;
    *) names+=("$1") ;;
  esac
  shift
done

install_missing test || exit 1
if ((browser)); then
  install_missing browser || exit 1
  export AKIN_NEEDS_BROWSER=1
fi
if ((mpi)); then
  install_missing mpi || exit 1
  export AKIN_NEEDS_MPI=1
fi
status=0
logs=()
tables=()
for preset in "${presets[@]}"; do
  build "$preset" || { say "test.sh: the build of preset $preset failed; the first error is above"; exit 1; }
  folder=$akin_root/build/$preset
  filter=()
  ((${#names[@]})) && filter=(-R "$(IFS='|'; printf '%s' "${names[*]}")")
  [[ $preset == sim-* ]] && filter+=(-L device)
  none=error
  [[ $preset == sim-* && ${#names[@]} -gt 0 ]] && none=ignore
  # New kernels place memory where the thread sanitizer of g++ 12 does not expect it; this tells them not to.
  plain=()
  setarch -R true 2> /dev/null && plain=(setarch -R)
  "${plain[@]}" ctest --test-dir "$folder" --output-on-failure --no-tests=$none -j "$(nproc)" "${filter[@]}" 2>&1 | tee "$folder/test.log" || status=1
  tables+=("$folder/test.log")
  logs+=("$folder/Testing/Temporary/LastTest.log")
done

# ctest counts programs; the cases and checks in them are in its own log.
awk '/^\[doctest\] test cases:/ { cases += $4 }
     /^\[doctest\] assertions:/ { checks += $3 }
     END { printf "%d test cases with %d checks ran\n", cases, checks }' "${logs[@]}"
awk '/ Test +#[0-9]+: / { if (/ Passed /) ++passed; else ++failed }
     END { printf "%d test programs: %d passed, %d failed\n", passed + failed, passed, failed }' \
  "${tables[@]}"
exit $status
