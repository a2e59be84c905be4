#!/usr/bin/env bash
# Writes what ptxas said of every kernel (registers, shared memory, spills, by architecture) into docs/kernels.md.
# Needs a build with CUDA: scripts/kernel_table.sh [build/ci]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
folder=${1:-build/ci}
case $folder in -h | --help) sed -n '2,3s/^# //p' "$0"; exit 0 ;; esac
mapfile -t logs < <(find "$folder" -name '*.ptxas' | sort)
((${#logs[@]})) || { echo "kernel_table.sh: no *.ptxas below $folder; build with CUDA first (AKIN_CUDA=ON)" >&2; exit 1; }
demangle=$(command -v cu++filt || echo /usr/local/cuda/bin/cu++filt)
[[ -x $demangle ]] || demangle=c++filt

table=$(
  for log in "${logs[@]}"; do
    stem=$(basename "$log" .cu.o.ptxas)
    awk -v stem="$stem" '
      /Compiling entry function/ { split($0, q, "\x27"); kernel = q[2]; arch = q[4] }
      /bytes stack frame/ { stack = $1; spill = $5 + $9 }
      /Used [0-9]+ registers/ {
        shared = 0
        for (i = 1; i < NF; ++i) if ($(i + 1) == "bytes" && $(i + 2) ~ /^smem/) shared = $i
        for (i = 1; i < NF; ++i) if ($(i + 1) == "registers,") registers = $i
        printf "%s\t%s\t%s\t%s\t%s\t%s\n", stem, kernel, arch, registers, shared, spill
      }' "$log"
  done | "$demangle" -p 2>/dev/null | awk -F'\t' '
    { gsub(/<unnamed>::|\(anonymous namespace\)::|akin::|_GLOBAL__N__[0-9a-z_]+::/, "", $2); sub(/^void /, "", $2)
      key = $1 FS $2
      if (!(key in seen)) { order[++n] = key; seen[key] = 1 }
      r[key, $3] = $4; s[key, $3] = $5; spill[key] += $6 }
    END {
      print "| stem | kernel | registers sm_80 | registers sm_90a | static shared bytes | spilled bytes |"
      print "|---|---|---:|---:|---:|---:|"
      for (i = 1; i <= n; ++i) { k = order[i]; split(k, p, FS); gsub(/\|/, "\\|", p[2])
        printf "| %s | `%s` | %s | %s | %s | %d |\n", p[1], p[2], r[k, "sm_80"], r[k, "sm_90a"], s[k, "sm_90a"], spill[k] }
    }'
)
awk -v table="$table" '
  /^<!-- ptxas table: begin/ { print; print ""; print table; print ""; inside = 1; next }
  /^<!-- ptxas table: end/ { inside = 0 }
  !inside' docs/kernels.md >docs/kernels.md.new
mv docs/kernels.md.new docs/kernels.md
echo "docs/kernels.md: $(grep -c '^| [a-z]' <<<"$table") kernels" >&2
