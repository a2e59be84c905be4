#!/usr/bin/env bash
# Fuzzes akin's parsers with libFuzzer: builds tests/fuzz with clang, runs the targets one after the other, and prints
# what came out.
set -euo pipefail
# shellcheck source=scripts/setup.sh
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

usage() {
  cat <<'TEXT'
Usage: scripts/fuzz.sh [--seconds N] [--runs N] [--jobs N] [--only NAME[,NAME...]] [--keep FOLDER]

Installs what is missing (clang with libFuzzer and OpenMP; Debian and Ubuntu, as root or with sudo), and builds, which
takes its time. Each target stops after N seconds (60) or N runs, whichever comes first; --jobs targets run at a time (1).
Corpora and findings are kept below FOLDER (build/fuzz/work), so that the next call goes on with them.
A finding, an input that ends its process, is in FOLDER/<target>/findings; the repaired program must pass it:
  build/ci/bin/fuzz_<target> FILE
and then it belongs into tests/fuzz/corpus/<target>/, where ctest runs it from then on.

Example: scripts/fuzz.sh --seconds 600 --only npy,csv
Exit code: 0 no finding, 1 a finding or a failed build, 2 wrong use.
TEXT
}

seconds=60
runs=-1
jobs=1
only=
keep=$akin_root/build/fuzz/work
while (($#)); do
  case $1 in
    -h | --help) usage; exit 0 ;;
    --seconds | --runs | --jobs)
      [[ ${2-} =~ ^[1-9][0-9]*$ ]] || { say "fuzz.sh: $1 wants a whole number from 1 (see --help)"; exit 2; }
      printf -v "${1#--}" '%s' "$2"
      shift ;;
    --only) only=${2-}; shift ;;
    --keep) keep=$(realpath -m -- "${2-}"); shift ;;
    *) say "fuzz.sh: no option \"$1\" (see --help)"; exit 2 ;;
  esac
  shift
done

mapfile -t names < <(cd "$akin_root/tests/fuzz" && printf '%s\n' fuzz_*.cpp | sed 's/^fuzz_//; s/\.cpp$//')
if [[ -n $only ]]; then
  for name in ${only//,/ }; do
    [[ " ${names[*]} " == *" $name "* ]] || { say "fuzz.sh: no target '$name'; there are ${names[*]}"; exit 2; }
  done
  read -ra names <<< "${only//,/ }"
fi

install_missing fuzz || exit 1
folder=$akin_root/build/fuzz
[[ -e $folder/build.ninja ]] || cmake -S "$akin_root" --preset fuzz -G Ninja >&2
cmake --build "$folder" -j "$(build_jobs)" --target "${names[@]/#/fuzz_}" >&2 || exit 1

# TARGET: one run; its figures go to FOLDER/<target>/figures.
fuzz_one() {
  local name=$1 place=$keep/$1 program=$akin_root/build/fuzz/bin/fuzz_$1
  local kept=$akin_root/tests/fuzz/corpus/$1 words=()
  mkdir -p "$place/corpus" "$place/findings"
  "$program" --write "$place/seeds" "$place/words" || return 1
  [[ -s $place/words ]] && words=(-dict="$place/words")
  [[ -d $kept ]] || kept=
  # The first finding ends it. A small quarantine of freed blocks keeps the memory limit one of the input's own.
  (cd "$place" && OMP_NUM_THREADS=1 ASAN_OPTIONS=quarantine_size_mb=16:allocator_may_return_null=1 \
    "$program" corpus seeds ${kept:+"$kept"} "${words[@]}" -artifact_prefix=findings/ -max_total_time="$seconds" -runs="$runs" \
    -max_len=8192 -len_control=0 -timeout=20 -report_slow_units=20 -rss_limit_mb=1024 -malloc_limit_mb=64 -reload=0 -print_final_stats=1 > log 2>&1)
}

# TARGET...: a line each, as far as it has run.
table() {
  local name log total=0 edges executions findings found=0
  printf '%-14s %14s %8s %9s\n' target executions edges findings
  for name in "$@"; do
    log=$keep/$name/log
    [[ -e $log ]] || continue
    executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log" | tail -n 1)
    edges=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -n 1)
    findings=$(find "$keep/$name/findings" -type f | wc -l)
    printf '%-14s %14d %8d %9d\n' "$name" "${executions:-0}" "${edges:-0}" "$findings"
    total=$((total + ${executions:-0}))
    found=$((found + findings))
  done
  printf '%-14s %14d %8s %9d\n' all "$total" "" "$found"
  ((found == 0))
}

for name in "${names[@]}"; do
  while (($(jobs -pr | wc -l) >= jobs)); do wait -n || true; done
  fuzz_one "$name" &
done
wait || true
table "${names[@]}"
