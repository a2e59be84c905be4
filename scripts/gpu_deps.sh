#!/usr/bin/env bash
# Gathers the libraries that akin is built with into a folder, for a machine that has nvcc and CMake but not these.
set -euo pipefail

usage() {
  cat <<'TEXT'
Usage: scripts/gpu_deps.sh DIR

Copies headers, CMake files and libraries of fmt, CLI11, nlohmann-json, stb, toml++, zlib, utf8proc, doctest and Google Benchmark from the
Debian packages installed here into DIR (include/, lib/, share/; a few MiB). On the other machine:
  scripts/gpu_suite.sh --build --deps DIR        or        cmake ... -DCMAKE_PREFIX_PATH=DIR
oneDNN is left out for its size; without it akin's convolutions on the CPU are slow, on the card the same.

Example: scripts/gpu_deps.sh build/gpu-deps
Exit code: 0 done, 1 a package is not installed here or DIR cannot be written, 2 wrong use.
TEXT
}

say() { printf '%s\n' "$*" >&2; }

case ${1-} in
  -h | --help) usage; exit 0 ;;
  '' | -*) say "gpu_deps.sh: name one folder (see --help)"; exit 2 ;;
esac
(($# == 1)) || { say "gpu_deps.sh: name one folder (see --help)"; exit 2; }
command -v dpkg-query > /dev/null || { say "gpu_deps.sh: this is no Debian or Ubuntu: dpkg-query is missing"; exit 1; }

packages=(libfmt-dev libcli11-dev nlohmann-json3-dev libstb-dev libtomlplusplus-dev zlib1g-dev libutf8proc-dev doctest-dev libbenchmark-dev)
missing=()
for package in "${packages[@]}"; do
  [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2> /dev/null) == installed ]] || missing+=("$package")
done
if ((${#missing[@]})); then
  say "gpu_deps.sh: not installed here: ${missing[*]}; apt-get install them first (scripts/test.sh does)"
  exit 1
fi
# The shared library is in a package of its own, of the same version.
for package in libfmt-dev libutf8proc-dev libbenchmark-dev; do
  while read -r runtime; do packages+=("$runtime"); done < <(
    dpkg-query -W -f '${Depends}\n' "$package" | tr ',' '\n' | sed -n 's/^ *\([^ ]*\) (= .*/\1/p')
done

mkdir -p "$1" || { say "gpu_deps.sh: cannot make the folder $1"; exit 1; }
target=$(cd "$1" && pwd)
for package in "${packages[@]}"; do
  while read -r file; do
    case $file in
      /usr/share/doc* | /usr/share/man* | /usr/share/lintian* | /usr/share/bug*) continue ;;
      /usr/*/libz.so | /usr/*/libstb.*) continue ;;  # a link to what is not carried; akin compiles stb itself
      /usr/include/* | /usr/lib/* | /usr/share/*) ;;
      *) continue ;;
    esac
    [[ -f $file || -L $file ]] || continue
    mkdir -p "$target/$(dirname "${file#/usr/}")"
    cp -P -- "$file" "$target/${file#/usr/}" || { say "gpu_deps.sh: cannot write below $target"; exit 1; }
  done < <(dpkg-query -L "$package")
done
printf '%s\n' "$(dpkg-query -W -f '${Package} ${Version}\n' "${packages[@]}")" > "$target/packages.txt"
say "$target: $(du -sh "$target" | cut -f1), from ${#packages[@]} packages"
