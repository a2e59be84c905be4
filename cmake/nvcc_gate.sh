#!/usr/bin/env bash
# Compiler launcher for nvcc: runs the command, keeps what ptxas says of each kernel beside the object file
# (<object>.ptxas), and fails where a kernel spills registers to memory or ptxas gives up an optimisation we rely on
# (C7508 setmaxnreg ignored, C7510/C7511 wgmma serialised, C7517/C7519).
set -uo pipefail

object=
previous=
for argument in "$@"; do
  [[ $previous == -o ]] && object=$argument
  previous=$argument
done
if [[ $object != *.o ]]; then exec "$@"; fi

log=$object.ptxas
"$@" >"$log.all" 2>&1
status=$?
grep -E '^ptxas info|bytes stack frame' "$log.all" >"$log"
grep -vE '^ptxas info|bytes stack frame|^[[:space:]]*$' "$log.all" >&2
rm -f "$log.all"
((status == 0)) || exit $status

awk -v object="$object" '
  /Function properties for/ { kernel = $NF }
  /bytes spill stores/ {
    for (i = 1; i < NF; ++i) if ($(i + 1) == "bytes" && $(i + 2) == "spill" && $i > 0) {
      printf "%s: %s spills registers: %s\n", object, kernel, $0; bad = 1; break
    }
  }
  /C75[0-9][0-9]/ { printf "%s: %s\n", object, $0; bad = 1 }
  END { exit bad }' "$log" >&2 || { rm -f "$object"; echo "nvcc_gate: a kernel does not compile as it must (see above)" >&2; exit 1; }
