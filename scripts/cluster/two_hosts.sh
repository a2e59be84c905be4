#!/usr/bin/env bash
# An example to be changed: two machines that reach each other by ssh without a password, with akin, Open MPI and the data at
# the same places. The first is this one, where the run folder is written.
set -euo pipefail
if (($# < 3)); then
  printf 'Usage: %s HOST1 HOST2 RANKS-ON-EACH [akin arguments: train --data ... --out ...]\n' "${0##*/}" >&2
  exit 2
fi
first=$1 second=$2 each=$3
shift 3
exec mpirun --host "$first:$each,$second:$each" -n "$((2 * each))" --map-by slot --bind-to core akin "$@"
