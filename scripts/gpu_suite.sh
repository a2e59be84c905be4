#!/usr/bin/env bash
# Everything that needs a card, in one command: build, tests, sanitizers, kernels and steps against other software.
# shellcheck disable=SC2317  # part_* are reached by name
set -uo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

usage() {
  cat <<'TEXT'
Usage: scripts/gpu_suite.sh [--parts LIST] [--deps DIR] [--out DIR] [OPTION...]

On a machine with an NVIDIA card, nvcc and CMake (Python with PyTorch for the comparison with it):
  build      the tests of the kernels and the benchmarks, for this card's architecture, into build/gpu
  test       these tests on the card, against the CPU's specification
  sanitize   compute-sanitizer over the tests of the kernels: memcheck, racecheck, synccheck, initcheck
  bench      each kernel against cuBLASLt, cuDNN or a device copy, in turns (bench_device)
  step       training steps: with and without a graph, with cuDNN; and against PyTorch in turns (bench/peers/step_vs_torch.py)
Results go to bench/results/<card>-<date>/: results.json, README.md with a table, failures.txt. A part that fails is
told and the next one runs. No setting of the card is changed, and nothing is downloaded.

  --parts LIST      of build,test,sanitize,bench,step (default: all, in this order)
  --deps DIR        folder with the libraries akin is built with, from scripts/gpu_deps.sh
  --out DIR         another folder for the results
  --limit SECONDS   for everything together (default 585); a part has its share of it, and what is left goes to the last
  --jobs N          programs at once in build and test (default: all processors)
  --commit NAME     what to write down where there is no git (default: git describe)
  --nets LIST       of the part step (default: kd28,resnet20,resnet8,resnet18,resnet50)

Example: scripts/gpu_suite.sh --deps build/gpu-deps --parts build,test
Exit code: 0 all passed, 1 something failed, was not finished in time or is missing, 2 wrong use.
TEXT
}

say() { printf '%s\n' "$*" >&2; }
stop() { say "gpu_suite.sh: $*"; exit 1; }
wrong_use() { say "gpu_suite.sh: $* (see --help)"; exit 2; }

parts=build,test,sanitize,bench,step deps='' out='' limit=585 jobs=$(nproc) commit='' nets=kd28,resnet20,resnet8,resnet18,resnet50
while (($#)); do
  case $1 in
    -h | --help) usage; exit 0 ;;
    --parts | --deps | --out | --limit | --jobs | --commit | --nets)
      (($# >= 2)) || wrong_use "$1 needs a value"
      printf -v "${1#--}" '%s' "$2"
      shift ;;
    *) wrong_use "no option \"$1\"" ;;
  esac
  shift
done
for part in ${parts//,/ }; do
  case $part in build | test | sanitize | bench | step) ;; *) wrong_use "--parts: no part \"$part\"" ;; esac
done
[[ $limit =~ ^[1-9][0-9]*$ ]] || wrong_use "--limit $limit: seconds, a whole number"
[[ $jobs =~ ^[1-9][0-9]*$ ]] || wrong_use "--jobs $jobs: a whole number"
if [[ -n $deps ]]; then
  [[ -d $deps/include ]] || stop "--deps $deps: no folder include/ in it; scripts/gpu_deps.sh makes such a folder"
  deps=$(cd "$deps" && pwd)
fi

query() { nvidia-smi -i 0 --query-gpu="$1" --format=csv,noheader 2> /dev/null | head -n 1; }
card=$(query name)
if [[ -z $card ]]; then
  [[ $parts == build ]] || stop "no NVIDIA card answers here (nvidia-smi shows none); only --parts build works without"
  card=none
fi
build=$root/build/gpu
logs=$build/suite-logs
bin=$build/bin
mkdir -p "$logs" || stop "cannot write in $build"
if [[ -z $out ]]; then
  name=$(tr '[:upper:] ' '[:lower:]-' <<< "$card" | tr -cd 'a-z0-9.-')
  out=$root/bench/results/$name-$(date -u +%Y-%m-%d)
  [[ $card == none ]] && out=$logs/results  # a build alone has no place among the measurements
fi
mkdir -p "$out" || stop "cannot write in $out"
[[ -n $commit ]] || commit=$(git -C "$root" describe --always --dirty 2> /dev/null) || commit=unknown
status=$logs/status.tsv
: > "$status"
rm -f "$logs"/*.log "$logs"/*.json
begin=$SECONDS

# PART ITEM RESULT SECONDS DETAIL
note() { (IFS=$'\t'; printf '%s\n' "$*" >> "$status"); }
left() { echo $((limit - (SECONDS - begin))); }

# PART ITEM UNTIL COMMAND...: runs it till then (of $SECONDS) at most, its words in a log of that name; one line says
# how it went.
run() {
  local part=$1 item=$2 most=$(($3 - SECONDS)) start=$SECONDS log code=0 detail=''
  shift 3
  log=$logs/$part-${item//[^a-zA-Z0-9_.-]/_}.log
  if ((most <= 0)); then
    note "$part" "$item" 'not run' 0 'no time left'
    return 1
  fi
  timeout --kill-after=5 "$most" "$@" > "$log" 2>&1 || code=$?
  if ((code == 0)); then
    note "$part" "$item" passed $((SECONDS - start)) ''
    return 0
  fi
  detail="exit code $code, see ${log#"$root"/}"
  ((code == 124 || code == 137)) && detail="stopped after $most s, see ${log#"$root"/}"
  note "$part" "$item" failed $((SECONDS - start)) "$detail"
  return 1
}

# Runs what it is given in the background, so many at a time.
atonce() {
  local most=$1
  shift
  while (($(jobs -rp | wc -l) >= most)); do wait -n || true; done
  "$@" &
}

# --- the parts; each is told when to end (of $SECONDS), and starts nothing new then ---

# Folders of cuBLAS and cuDNN that came with Python's packages.
python_libraries() {
  python3 - 2> /dev/null <<'PY'
import os, sysconfig
try:
    import nvidia
    roots = list(nvidia.__path__)
except ImportError:
    roots = [os.path.join(sysconfig.get_paths()["purelib"], "nvidia")]
found = [os.path.join(r, n) for r in roots if os.path.isdir(r) for n in sorted(os.listdir(r))]
print(";".join(p for p in found if os.path.isdir(os.path.join(p, "lib")) or os.path.isdir(os.path.join(p, "include"))))
PY
}

part_build() {
  local until=$1 capability architecture=() generator=() prefix=()
  command -v cmake > /dev/null || { note build cmake failed 0 'cmake is not on the PATH'; return; }
  capability=$(query compute_cap)
  case $capability in
    9.0) architecture=(-DCMAKE_CUDA_ARCHITECTURES=90a-real) ;;
    [0-9]*.[0-9]) architecture=("-DCMAKE_CUDA_ARCHITECTURES=${capability/./}-real") ;;
  esac
  [[ ! -e $build/CMakeCache.txt ]] && command -v ninja > /dev/null && generator=(-G Ninja)
  [[ -n $deps ]] && prefix=("-DCMAKE_PREFIX_PATH=$deps")
  run build configure $((SECONDS + 90)) cmake -S "$root" -B "$build" "${generator[@]}" "${prefix[@]}" "${architecture[@]}" \
    -DCMAKE_BUILD_TYPE=Release -DAKIN_CUDA=ON -DAKIN_VENDOR=AUTO "-DAKIN_VENDOR_ROOT=$(python_libraries)" || return
  run build compile "$until" cmake --build "$build" -j "$jobs" --target device_tests test_vendor bench_device bench_step || return
  [[ -e $bin/libakin_vendor.so ]] ||
    note build 'plug-in with cuBLASLt and cuDNN' failed 0 'their headers or libraries were not found; bench has no yardsticks'
}

# Every test that includes tests/places.hpp.
device_tests() { ctest --test-dir "$build" -N -L '^device$' | sed -n 's/^ *Test *#[0-9]*: \(test_[a-z0-9_]*\)$/\1/p'; }

# On the card alone: the emulator has its turn on every other machine.
part_test() {
  local until=$1 name
  for name in $(device_tests) test_vendor; do
    OMP_NUM_THREADS=1 atonce "$jobs" run test "$name" "$until" "$bin/$name" --no-skip --places=cuda
  done
  wait
}

part_sanitize() {
  local until=$1 tool name sanitizer nvcc more
  local -a tests
  mapfile -t tests < <(device_tests | grep -v '^test_device_')  # whole trainings are long under these tools
  ((${#tests[@]})) || { note sanitize ctest failed 0 "ctest -N -L device names no test in $build"; return; }
  nvcc=$(sed -n 's/^CMAKE_CUDA_COMPILER:[A-Z]*=//p' "$build/CMakeCache.txt" 2> /dev/null)
  sanitizer=$(command -v compute-sanitizer || command -v "${nvcc%/*}/compute-sanitizer" || echo /usr/local/cuda/bin/compute-sanitizer)
  [[ -x $sanitizer ]] || { note sanitize compute-sanitizer failed 0 "not found (CUDA Toolkit, beside nvcc)"; return; }
  for tool in memcheck racecheck synccheck initcheck; do
    for name in "${tests[@]}"; do
      more=()
      [[ $tool == initcheck ]] && more=(--no-poison)  # else every byte has been written
      OMP_NUM_THREADS=1 atonce $((jobs < 6 ? jobs : 6)) run sanitize "$tool ${name#test_}" "$until" "$sanitizer" --tool "$tool" \
        --error-exitcode 99 "$bin/$name" --no-skip --places=cuda --values-only "${more[@]}"
    done
  done
  wait
}

part_bench() {
  run bench kernels "$1" "$bin/bench_device" --json "$logs/kernels.json"
  cat "$logs/bench-kernels.log"
}

part_step() {
  local until=$1 net batch width how
  for net in ${nets//,/ }; do
    batch=256 width=0
    case $net in resnet20 | resnet8) batch=1024 width=16 ;; esac
    local -a shape=(--net "$net" --batch "$batch" --width "$width")
    for how in '' --no-graph '--conv cudnn --gemm cublas'; do
      [[ $net == kd28 && $how == --conv* ]] && continue
      # shellcheck disable=SC2086
      run step "$net bf16 $how" "$until" "$bin/bench_step" --device cuda --precision bf16 \
        "${shape[@]}" --inputs 4 --seconds 0.4 --rounds 5 $how
    done
  done
  if ! python3 -c 'import torch' 2> /dev/null; then
    note step PyTorch failed 0 'python3 has no module torch'
    return
  fi
  for net in ${nets//,/ }; do
    batch=256 width=0
    case $net in resnet20 | resnet8) batch=1024 width=16 ;; esac
    run step "$net against PyTorch" "$until" python3 "$root/bench/peers/step_vs_torch.py" --device cuda \
      --precision bf16 --akin "$bin/bench_step" --net "$net" --batch "$batch" --width "$width" --rounds 7 --seconds 1 \
      --calibration-rounds 3 --json "$logs/step-$net.json"
  done
}

declare -A share=([build]=260 [test]=80 [sanitize]=90 [bench]=75 [step]=80)
last=${parts##*,}
for part in ${parts//,/ }; do
  time_for=$(left)
  if [[ $part != "$last" && ${share[$part]} -lt $time_for ]]; then time_for=${share[$part]}; fi
  say "== $part (at most $time_for s)"
  if [[ $part != build && ! -x $bin/bench_device ]]; then
    note "$part" all 'not run' 0 "nothing is built in $build: run the part build first"
  elif ((time_for <= 0)); then
    note "$part" all 'not run' 0 'no time left'
  else
    "part_$part" $((SECONDS + time_for))
  fi
  awk -F'\t' -v part="$part" '$1 == part { n[$3]++ } $1 == part && $3 != "passed" { printf "%s: %s %s (%s)\n", part, $2, $3, $5 }
    END { for (r in n) printf "%s: %d %s\n", part, n[r], r }' "$status" >&2
done

python3 "$root/scripts/gpu_table.py" --logs "$logs" --out "$out" --commit "$commit" --card "$card" \
  --driver "$(query driver_version)" --clocks "$(query clocks.sm,clocks.mem,clocks.max.sm,clocks.max.mem)" --seconds $((SECONDS - begin)) ||
  stop "the results could not be written; the logs are in $logs"
say "results: $out (README.md, results.json), $((SECONDS - begin)) s"
! cut -f3 "$status" | grep -qxE 'failed|not run'
