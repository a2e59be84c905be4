#!/usr/bin/env bash
# One of the README's two commands: everything that must hold before a change goes in.
set -euo pipefail
# shellcheck source=scripts/setup.sh
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

usage() {
  cat <<'TEXT'
Usage: scripts/test.sh [--preset ci|dev|asan] [NAME...]

Installs what is missing (Debian and Ubuntu, as root or with sudo), builds akin with its tests and benchmarks, warnings
being errors, and runs all tests, or only those whose name holds one of NAME.
  --preset asan   with the address and undefined-behaviour sanitizers (default: ci)

Example: scripts/test.sh --preset asan io
Exit code: 0 all tests pass, 1 one fails or something could not be installed or built, 2 wrong use.
TEXT
}

preset=ci
names=()
while (($#)); do
  case $1 in
    -h | --help) usage; exit 0 ;;
    --preset)
      case ${2-} in
        ci | dev | asan) preset=$2; shift ;;
        *) say "test.sh: --preset is one of ci, dev, asan (see --help)"; exit 2 ;;
      esac ;;
    -*) say "test.sh: no option \"$1\" (see --help)"; exit 2 ;;
    *) names+=("$1") ;;
  esac
  shift
done

install_missing test || exit 1
build "$preset" || { say "test.sh: the build failed; the first error is above"; exit 1; }

folder=$akin_root/build/$preset
filter=()
((${#names[@]})) && filter=(-R "$(IFS='|'; printf '%s' "${names[*]}")")
log=$folder/test.log
status=0
ctest --test-dir "$folder" --output-on-failure --no-tests=error -j "$(nproc)" "${filter[@]}" 2>&1 | tee "$log" || status=1

# ctest counts programs; the cases and checks in them are in its own log.
awk '/^\[doctest\] test cases:/ { cases += $4 }
     /^\[doctest\] assertions:/ { checks += $3 }
     END { printf "%d test cases with %d checks ran\n", cases, checks }' "$folder/Testing/Temporary/LastTest.log"
grep -E '^[0-9]+% tests passed' "$log" || true
exit $status
