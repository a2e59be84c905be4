#!/usr/bin/env bash
# Everything that needs a card, in one command, in the order of what it teaches: each step with a limit of its own, each
# result written down as soon as it is known.
# shellcheck disable=SC2317  # step_* and on_signal are reached by name
set -uo pipefail
unset CDPATH

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
all=(hello tests constants kernels libraries counters training pytorch sanitizers more)

usage() {
  cat <<'TEXT'
Usage: scripts/gpu_suite.sh [--steps LIST] [--filter TEXT] [--binaries DIR] [--out DIR] [OPTION...]

On a machine with an NVIDIA card. It needs no compiler: akin_gpu is built elsewhere (cmake --preset gpu; cmake --build
--preset gpu) and carried there in build/gpu/bin. Steps, by number or name:
   1 hello       the card, the program, one launch of each kernel
   2 tests       the tests of the kernels on the card, values alone, against the CPU's specification
   3 constants   bandwidths, latencies and rates of the card
   4 kernels     each kernel, against a copy of as many bytes where it moves bytes
   5 libraries   gemm and conv2d against cuBLASLt and cuDNN, in turns (libakin_vendor.so beside akin_gpu)
   6 counters    twelve kernels under ncu
   7 training    losses beside the CPU's, and the time of training steps
   8 pytorch     training steps in turns with PyTorch (python3 with torch)
   9 sanitizers  compute-sanitizer over some tests
  10 more        what is left of the time: torch.compile, steps with cuDNN, kernels in more rounds
A step that fails is told and the next one runs. What cannot be run here is skipped and told. No setting of the card is
changed, and nothing is downloaded.

  --steps LIST      only these: 2,5 or tests,libraries
  --filter TEXT     only what has this in its name: conv2d, "rows: add", resnet20
  --binaries DIR    folder of akin_gpu (default: build/gpu/bin)
  --out DIR         folder of the results (default: bench/results/<card>-<date>); lines of earlier runs in it stay
  --limit SECONDS   for everything together (default: 585)
  --jobs N          tests at once (default: all processors, at most 12)
  --device sim      a rehearsal without a card: tiny sizes in the emulator, whose times mean nothing
  --build           build akin_gpu here first; --deps DIR: with libraries from scripts/gpu_deps.sh

Results: results.jsonl (a line each, at once), counters.csv, README.md with tables, failures.txt and logs.tar.gz of what
failed; also where the suite is ended by SIGTERM.
Example: scripts/gpu_suite.sh --steps 4,5 --filter conv2d
Exit code: 0 all passed or skipped, 1 something failed, was not finished in time or is missing, 2 wrong use.
TEXT
}

say() { printf '%s\n' "$*" >&2; }
stop() { say "gpu_suite.sh: $*"; exit 1; }
wrong_use() { say "gpu_suite.sh: $* (see --help)"; exit 2; }

steps='' filter='' binaries=$root/build/gpu/bin out='' limit=585 jobs='' device=cuda deps='' build=''
while (($#)); do
  case $1 in
    -h | --help) usage; exit 0 ;;
    --build) build=yes ;;
    --steps | --filter | --binaries | --out | --limit | --jobs | --device | --deps)
      (($# >= 2)) || wrong_use "$1 needs a value"
      printf -v "${1#--}" '%s' "$2"
      shift ;;
    *) wrong_use "no option \"$1\"" ;;
  esac
  shift
done
chosen=()
for wanted in ${steps//,/ }; do
  name=
  for i in "${!all[@]}"; do [[ $wanted == "$((i + 1))" || $wanted == "${all[i]}" ]] && name=${all[i]}; done
  [[ -n $name ]] || wrong_use "--steps: no step \"$wanted\"; there are ${all[*]}, or 1 to ${#all[@]}"
  chosen+=("$name")
done
((${#chosen[@]})) || chosen=("${all[@]}")
[[ $limit =~ ^[1-9][0-9]*$ ]] || wrong_use "--limit $limit: seconds, a whole number"
if [[ -z $jobs ]]; then jobs=$(env -u OMP_NUM_THREADS nproc); ((jobs <= 12)) || jobs=12; fi
[[ $jobs =~ ^[1-9][0-9]*$ ]] || wrong_use "--jobs $jobs: a whole number"
case $device in cuda | sim) ;; *) wrong_use "--device $device: cuda or sim" ;; esac
[[ -z $deps || -d $deps/include ]] || stop "--deps $deps: no folder include/ in it; scripts/gpu_deps.sh makes such a folder"

if [[ -n $build ]]; then
  command -v cmake > /dev/null || stop "--build: cmake is not on the PATH"
  (cd "$root" && cmake --preset gpu ${deps:+"-DCMAKE_PREFIX_PATH=$deps"} && cmake --build --preset gpu) >&2 ||
    stop "--build: akin_gpu was not built, see above"
fi
gpu=$binaries/akin_gpu
[[ -x $gpu ]] || stop "$gpu: not there; build it elsewhere (cmake --preset gpu; cmake --build --preset gpu) and bring it, or give --build"
gpu=$(cd "$binaries" && pwd)/akin_gpu
version=$("$gpu" --version 2>&1) || stop "$gpu does not start here: $version"

fields=name,driver_version,clocks.sm,clocks.mem,clocks.max.sm,clocks.max.mem,temperature.gpu,power.draw
state() { nvidia-smi -i 0 --query-gpu="$fields" --format=csv,noheader 2> /dev/null | head -n 1; }
card=sim
if [[ $device == cuda ]]; then
  card=$(state)
  card=${card%%,*}
  [[ -n $card ]] || stop "no NVIDIA card answers here (nvidia-smi shows none); --device sim rehearses without one"
fi
if [[ -z $out ]]; then
  out=$root/bench/results/$(tr '[:upper:] ' '[:lower:]-' <<< "$card" | tr -cd 'a-z0-9.-')-$(date -u +%Y-%m-%d)
  [[ $device == sim ]] && out=$root/build/gpu/rehearsal  # it has no place among the measurements
fi
mkdir -p "$out/logs" || stop "cannot write in $out"
out=$(cd "$out" && pwd)
logs=$out/logs lines=$out/results.jsonl
cd "$root" || stop "cannot enter $root"  # the tests find their tables from here
[[ ! -s $lines || -z $(tail -c 1 "$lines") ]] || echo >> "$lines"  # a line that was cut off
: >> "$lines" || stop "cannot write $lines"
[[ ! -e $out/logs.tar.gz ]] || tar xzf "$out/logs.tar.gz" -C "$out"  # of what failed before
begin=$SECONDS
step=none now=''
bad=0

# --- what is written down ---

quoted() {
  local s=${1//\\/\\\\}
  s=${s//\"/\\\"}
  printf '"%s"' "${s//[[:cntrl:]]/ }"
}
# NAME VALUE...: a line; values are text, but for seconds.
line() {
  local text=''
  while (($#)); do
    text+=", \"$1\": "
    if [[ $1 == seconds ]]; then text+=$2; else text+=$(quoted "$2"); fi
    shift 2
  done
  printf '{%s}\n' "${text#, }" >> "$lines"
}
# ITEM RESULT SECONDS DETAIL
note() {
  line kind item step "$step" item "$1" result "$2" seconds "$3" detail "$4"
  [[ $2 == passed ]] || say "  $1: $2${4:+ ($4)}"
}
skip() { note "$1" skipped 0 "$2"; }
card_state() { [[ $device == sim ]] || line kind card step "$step" fields "$fields" state "$(state)"; }

# ITEM UNTIL COMMAND...: runs it till then (of $SECONDS) at most; a line says how it went, and what it said stays where
# it did not pass.
run() {
  local item=$1 most=$(($2 - SECONDS)) start=$SECONDS log code=0
  shift 2
  log=$logs/$step-${item//[^a-zA-Z0-9_.-]/_}.log
  if ((most <= 0)); then
    note "$item" 'not run' 0 'no time left'
    return 1
  fi
  now=$item
  timeout --kill-after=5 "$most" "$@" > "$log" 2>&1 &
  child=$!
  if ((BASHPID != $$)); then  # one of several at once
    trap 'kill "$child"; note "$item" "not run" 0 "cut off by a signal"; exit 143' TERM
  fi
  wait "$child" || code=$?
  now=''
  case $code in
    0) note "$item" passed $((SECONDS - start)) ''; rm -f "$log"; return 0 ;;
    124) note "$item" failed $((SECONDS - start)) "stopped after $most s" ;;
    *) note "$item" failed $((SECONDS - start)) "exit code $code: $(tail -n 1 "$log" | LC_ALL=C tr -cd '[:print:]' | cut -c 1-200)" ;;
  esac
  return 1
}
# Runs what it is given in the background, so many at a time.
atonce() {
  while (($(jobs -rp | wc -l) >= jobs)); do wait -n || true; done
  "$@" &
}
matches() { [[ -z $filter || $1 == *"$filter"* ]]; }
# SECONDS UNTIL: the earlier of $SECONDS so many from now and UNTIL.
within() { echo $((SECONDS + $1 < $2 ? SECONDS + $1 : $2)); }

finish() {
  local reason=$1 code=0
  trap '' TERM INT
  [[ -z $now ]] || note "$now" 'not run' 0 "$reason"
  step=end
  card_state
  line kind end cut "$reason" seconds $((SECONDS - begin)) || bad=1  # the disk is full
  if command -v python3 > /dev/null; then
    if ! python3 "$root/scripts/gpu_table.py" "$out"; then
      say "gpu_suite.sh: the tables could not be written; the lines are in $lines"
      bad=1
    fi
  else
    say "no python3 here: no tables; python3 scripts/gpu_table.py $out makes them elsewhere"
  fi
  (cd "$out" && rm -f logs.tar.gz && [[ -z $(ls logs) ]] || tar czf logs.tar.gz logs) && rm -rf "$logs"
  say "results: $out, $((SECONDS - begin)) s"
  # Items of this run alone decide.
  tail -n "+$first" "$lines" | grep -a '"kind": "item"' | grep -aqE '"result": "(failed|not run)"' && bad=1
  [[ -z $reason ]] || bad=1
  code=$bad
  exit "$code"
}
on_signal() {
  local pid
  trap '' TERM INT
  for pid in $(jobs -p); do kill "$pid" 2> /dev/null; done
  wait
  finish "cut off by a signal"
}

# --- the steps; each is told when to end (of $SECONDS) ---

bench=("$gpu" bench --lines "$lines")
training=(--inputs 4 --seconds 0.4 --rounds 5)
if [[ $device == sim ]]; then
  bench+=(--device sim --quick)
  training=(--inputs 2 --seconds 0.001 --rounds 1)
fi
[[ -n $filter ]] && bench+=(--filter "$filter")

step_hello() {
  line kind program version "$version" libraries "$(ldd "$gpu" 2> /dev/null | awk '{ print $1 }' | tr '\n' ' ')"
  [[ $device == sim ]] || run 'the card' "$1" "$gpu" hello
  run 'one launch of each kernel' "$1" "$gpu" bench --device "$device" --quick --no-vendor
}

step_tests() {
  local name names any=
  if ! names=$(timeout -k 1 20 "$gpu" list); then
    note all failed 0 'akin_gpu list failed'
    return
  fi
  for name in $names; do
    matches "$name" || continue
    any=yes
    OMP_NUM_THREADS=1 atonce run "$name" "$1" "$gpu" test --file "$name" "--places=$device" --values-only
  done
  wait
  [[ -n $any ]] || skip all "no file of tests has \"$filter\" in its name"
}

step_constants() {
  local group any=
  for group in memory multiprocessor launches; do
    matches "$group" || continue
    any=yes
    run "$group" "$1" "$gpu" constants --device "$device" --filter "$group" --lines "$lines"
  done
  [[ -n $any ]] || skip all "no group has \"$filter\" in its name"
}

# Whether a comparison has the filter in its name; told where none has.
listed() {
  local code=0
  timeout -k 1 20 "$gpu" bench --list "$@" ${filter:+--filter "$filter"} > /dev/null 2>&1 || code=$?
  ((code == 0)) && return 0
  if ((code == 124 || code > 128)) || [[ -z $filter ]]; then
    note all failed 0 "akin_gpu bench --list: exit code $code"
  else
    skip all "no comparison has \"$filter\" in its name"
  fi
  return 1
}

step_kernels() { listed && run kernels "$1" "${bench[@]}" --no-vendor --rounds 5; }

step_libraries() {
  listed --libraries || return
  [[ $device == sim ]] && { skip all 'needs a card'; return; }
  [[ -e $binaries/libakin_vendor.so ]] || { skip all "no libakin_vendor.so beside akin_gpu"; return; }
  run libraries "$1" "${bench[@]}" --libraries --rounds 5
}

counted=('gemm: gemm 4096^3 bf16' 'conv2d: conv 3x3 64->64 @56 N=256 fprop bf16' 'conv2d: conv 3x3 64->64 @56 N=256 dgrad bf16'
  'conv2d: conv 3x3 64->64 @56 N=256 wgrad bf16' 'conv2d: conv 3x3 128->128 @28 N=256 fprop bf16'
  'conv2d: conv 3x3 128->128 @56/2 N=256 dgrad bf16' 'rows: batchnorm+ReLU fwd 802816x64 bf16'
  'rows: batchnorm+ReLU bwd 802816x64 bf16' 'rows: sgd, momentum' 'losses: softmax_ce' 'losses: kd_multi'
  'mobile: depthwise fwd 128x112x112x32')
step_counters() {
  local name any='' table=$logs/ncu.csv
  [[ $device == sim ]] && { skip all 'needs a card'; return; }
  command -v ncu > /dev/null || { skip all 'ncu is not on the PATH (Nsight Compute)'; return; }
  for name in "${counted[@]}"; do
    matches "$name" || continue
    any=yes
    rm -f "$table"
    run "$name" "$(within 30 "$1")" ncu --clock-control none --csv --page details --log-file "$table" --section SpeedOfLight \
      --section MemoryWorkloadAnalysis --section LaunchStats --section Occupancy --section SourceCounters \
      "$gpu" bench --once --filter "$name"
    if grep -q ERR_NVGPUCTRPERM "$table" 2> /dev/null; then
      skip 'all others' 'this user may not read the hardware counters'
      break
    fi
    [[ -e $table ]] && awk -v name="$name" '/^"/ { print "\"" name "\"," $0 }' "$table" >> "$out/counters.csv"
  done
  rm -f "$table"
  [[ -n $any ]] || skip all "none of the twelve has \"$filter\" in its name"
}

nets=(kd28:256:0 resnet20:1024:16 resnet20:128:16 resnet8:1024:16 resnet18:256:0 resnet50:256:0)  # net, batch, width
[[ $device == sim ]] && nets=(kd28:2:0 resnet8:2:4)
# Sets net, batch and shape.
split() {
  local width
  IFS=: read -r net batch width <<< "$1"
  shape=(--net "$net" --batch "$batch" --width "$width")
  [[ $device == sim && $net != kd28 ]] && shape+=(--side 8)
  matches "$net"
}

step_training() {
  local entry net batch shape any='' count=20
  [[ $device == sim ]] && count=3
  if matches 'losses resnet8'; then
    any=yes shape=(--net resnet8 --width 16 --batch 32 --inputs 4)
    [[ $device == sim ]] && shape=(--net resnet8 --width 4 --batch 4 --side 8 --inputs 2)
    run 'losses resnet8 f32' "$1" "$gpu" step --device "$device" --losses "$count" --most 1e-3 "${shape[@]}" --lines "$lines"
    run 'losses resnet8 bf16' "$1" "$gpu" step --device "$device" --precision bf16 --losses "$count" --most 2e-2 "${shape[@]}" \
      --lines "$lines"
  fi
  for entry in "${nets[@]}"; do
    split "$entry" || continue
    any=yes
    run "$net batch $batch" "$1" "$gpu" step --device "$device" --precision bf16 "${shape[@]}" "${training[@]}" --lines "$lines"
  done
  [[ -n $any ]] || skip all "no net has \"$filter\" in its name"
}

# UNTIL NET:BATCH:WIDTH [OPTION...] of step_vs_torch.py
against_torch() {
  local until=$1 entry=$2 net batch shape
  shift 2
  split "$entry" || return
  run "$net batch $batch $*" "$(within 100 "$until")" python3 "$root/bench/peers/step_vs_torch.py" --device cuda --precision bf16 \
    --akin "$gpu" "${shape[@]}" --rounds 5 --seconds 0.5 --calibration-rounds 2 --calibration-seconds 0.3 --lines "$lines" "$@"
}
has_torch() {
  [[ $device == sim ]] && { skip PyTorch 'needs a card'; return 1; }
  python3 -c 'import torch' 2> /dev/null || { skip PyTorch 'python3 has no module torch'; return 1; }
}
step_pytorch() {
  local entry
  has_torch || return
  for entry in "${nets[@]}"; do against_torch "$1" "$entry" --no-compile; done
}

step_sanitizers() {
  local sanitizer tool name any=
  [[ $device == sim ]] && { skip all 'needs a card'; return; }
  sanitizer=$(command -v compute-sanitizer || echo /usr/local/cuda/bin/compute-sanitizer)
  [[ -x $sanitizer ]] || { skip all 'compute-sanitizer is not on the PATH (CUDA Toolkit)'; return; }
  for tool in memcheck:tile racecheck:tile memcheck:conv2d memcheck:rank memcheck:batchnorm; do
    name=${tool#*:} tool=${tool%:*}
    matches "$name" || continue
    any=yes
    OMP_NUM_THREADS=1 atonce run "$tool $name" "$1" "$sanitizer" --tool "$tool" --error-exitcode 99 \
      "$gpu" test --file "$name" --places=cuda --values-only
  done
  wait
  [[ -n $any ]] || skip all "no such test has \"$filter\" in its name"
}

step_more() {
  local entry net batch shape
  [[ $device == sim ]] && { skip all 'needs a card'; return; }
  if has_torch; then for entry in resnet20:1024:16 resnet50:256:0; do against_torch "$1" "$entry"; done; fi
  if [[ -e $binaries/libakin_vendor.so ]] && split resnet18:256:0; then
    run 'resnet18 batch 256, cuDNN and cuBLASLt' "$(within 60 "$1")" "$gpu" step --device cuda --precision bf16 "${shape[@]}" \
      "${training[@]}" --conv cudnn --gemm cublas --lines "$lines"
  fi
  listed && run 'kernels, 31 rounds' "$1" "${bench[@]}" --no-vendor --rounds 31
}

# cuBLAS and cuDNN that came with Python's packages, for the plug-in.
if [[ $device == cuda ]] && command -v python3 > /dev/null; then
  found=$(python3 -c 'import glob, os, sysconfig
at = os.path.join(sysconfig.get_paths()["purelib"], "nvidia")
print(":".join(sorted(glob.glob(os.path.join(at, "*", "lib")))))' 2> /dev/null)
  [[ -z $found ]] || export LD_LIBRARY_PATH=$found${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
fi
declare -A most=([hello]=20 [tests]=60 [constants]=30 [kernels]=60 [libraries]=75 [counters]=75 [training]=75 [pytorch]=130
  [sanitizers]=60 [more]=100000)
first=$(($(wc -l < "$lines") + 1))
trap on_signal TERM INT HUP
line kind begin commit "$version" card "$card" device "$device" steps "${chosen[*]}" filter "$filter" date "$(date -u +%FT%TZ)"
for step in "${chosen[@]}"; do
  left=$((limit - (SECONDS - begin)))
  time_for=${most[$step]}
  [[ $device == sim ]] && time_for=100000  # the emulator takes its time
  ((left >= time_for)) || time_for=$left
  say "== $step (at most $time_for s)"
  card_state
  if ((time_for <= 0)); then
    note all 'not run' 0 'no time left'
  else
    "step_$step" $((SECONDS + time_for))
  fi
done
finish ''
