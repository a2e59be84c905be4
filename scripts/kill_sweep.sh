#!/usr/bin/env bash
# Kills akin at its file calls, and lets them fail; what is started again must end with the same bytes.
set -euo pipefail

usage() {
  cat <<'TEXT'
Usage: scripts/kill_sweep.sh [--every N] [--only NAME] [BUILD]

Runs train, distill, fit, experiment, features and export of the built akin in BUILD (default: build/ci) once for every N-th
file call that they make (default: 1, all of them; minutes to an hour), with SIGKILL at that call, and for every 3N-th
one that changes something with ENOSPC and EIO from it. Started again, each must end with the bytes of a run that nothing
happened to, and leave nothing beside them. ctest takes a few of the calls (test_faults).

  --only NAME   of what is run, those whose name holds NAME: train, distill, teacher-view, fit, experiment, features,
                export

Example: scripts/kill_sweep.sh --every 5
Exit code: 0 all the same, 1 a difference, 2 wrong use.
TEXT
}

every=1 only='' build=''
while (($#)); do
  case $1 in
    -h | --help) usage; exit 0 ;;
    --every | --only)
      [[ -n ${2-} ]] || { echo "kill_sweep.sh: $1 needs a value (see --help)" >&2; exit 2; }
      printf -v "${1#--}" %s "$2"
      shift ;;
    -*) echo "kill_sweep.sh: no option \"$1\" (see --help)" >&2; exit 2 ;;
    *) build=$1 ;;
  esac
  shift
done
[[ $every =~ ^[1-9][0-9]*$ ]] || { echo "kill_sweep.sh: --every is a whole number from 1, not \"$every\"" >&2; exit 2; }
build=${build:-$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)/build/ci}
[[ -x $build/bin/test_faults ]] || { echo "kill_sweep.sh: $build/bin/test_faults: build the tests first" >&2; exit 2; }
export AKIN_SWEEP_EVERY=$every OMP_NUM_THREADS=1
[[ -z $only ]] || export AKIN_SWEEP_ONLY=$only
exec "$build/bin/test_faults"
