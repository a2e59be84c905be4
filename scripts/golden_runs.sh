#!/usr/bin/env bash
# Tiny runs of everything that trains or measures: what a change of the code must not change, kept to compare with.
set -euo pipefail

usage() {
  cat <<'TEXT'
Usage: scripts/golden_runs.sh PROGRAM OUT [--only NAME]
       scripts/golden_runs.sh --compare A B [--only NAME]

Makes tiny runs with the built akin PROGRAM in the folder OUT: its data, sources, rankings, students of
all methods, resumed runs, experiments, the emulated device in f32 and bf16, the demo and exports; some minutes on one
core. OUT/SUMS then holds a digest of each file that matters, without times and versions. Before a change and after it,
--compare names every difference between two such folders: file, and key, cell or line.

--only NAME   this part alone (it is made anew, as are parts it needs and OUT lacks): data train rank distill variants
              resume experiment sim demo export

The digests are those of one machine: other fonts, processors and oneDNN releases give other bits.

Example: scripts/golden_runs.sh build/ci/bin/akin /tmp/before
Exit code: 0 made, or no difference; 1 a run failed, or a difference; 2 wrong use.
TEXT
}

say() { printf '%s\n' "$*" >&2; }
refuse() { say "golden_runs.sh: $* (see --help)"; exit 2; }

parts=(data train rank distill variants resume experiment sim demo export)
compare=0 only='' places=()
while (($#)); do
  case $1 in
    -h | --help) usage; exit 0 ;;
    --compare) compare=1 ;;
    --only)
      (($# > 1)) || refuse "--only needs a name"
      only=$2
      [[ " ${parts[*]} " == *" $only "* ]] || refuse "no part \"$only\"; there are ${parts[*]}"
      shift ;;
    -*) refuse "no option \"$1\"" ;;
    *) places+=("$1") ;;
  esac
  shift
done
((${#places[@]} == 2)) || refuse "expected two names: PROGRAM OUT, or --compare A B"
helper=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/golden_compare.py
if ((compare)); then
  for folder in "${places[@]}"; do [[ -d $folder ]] || refuse "$folder: no such folder"; done
  exec python3 "$helper" compare "${places[@]}" "$only"
fi

[[ -x ${places[0]} && -f ${places[0]} ]] || refuse "${places[0]}: no such program"
program=$(realpath "${places[0]}")
out=${places[1]}
if [[ -z $only && -d $out && -n $(ls -A "$out") ]]; then
  say "golden_runs.sh: $out: is not empty; choose another folder, or make one part anew with --only"
  exit 1
fi
mkdir -p "$out"
cd "$out"  # all names below are relative: they are in the texts that are compared
export OMP_NUM_THREADS=1 NO_COLOR=1

# CODE FILE ARGUMENT...: runs akin, its output goes to FILE and what it says to FILE.log, which is not compared.
step() {
  local code=$1 file=$2 found=0
  shift 2
  mkdir -p "$(dirname "$file")"
  "$program" "$@" > "$file" 2> "$file.log" || found=$?
  ((found == code)) && return
  say "golden_runs.sh: exit code $found, expected $code: akin $*"
  tail -n 5 "$file.log" >&2
  exit 1
}
on_cpu=(--device cpu --threads 1)
letters=train/letters/model.safetensors symbols=train/symbols/model.safetensors
student=(--student resnet8 --student-width 4 --steps 30 --batch 8 --unlabelled-batch 8 --threshold 0.4)
labels=(--target data/target --labels-per-class 3 --unlabelled 40)

make_data() {
  python3 "${helper%/*}/golden_data.py" data
  step 0 data/show.json data show data/colour --json
  step 0 data/pack.txt data pack data/colour --size 10x14 --channels 1 --out data/packed
}

make_train() {
  step 0 train/letters.txt train --data data/letters --arch resnet8 --width 4 --epochs 4 --batch 16 --schedule step \
    --warmup 3 --flip h --nesterov "${on_cpu[@]}" --out train/letters
  step 0 train/symbols.json train --data data/symbols --arch resnet14 --width 4 --epochs 3 --batch 16 \
    --optimizer adamw --lr 0.003 --clip-norm 1 --no-augment --seed 3 --json "${on_cpu[@]}" --out train/symbols
  step 0 train/colour.txt train --data data/colour --size 32x32 --arch mobilenet_v1 --width 4 --epochs 1 --batch 16 \
    --schedule constant "${on_cpu[@]}" --out train/colour
  local resumed=(train --data data/other --arch resnet8 --width 4 --shortcut conv --epochs 2 --batch 16
    --checkpoint-every 3 "${on_cpu[@]}" --out train/resumed)
  step 1 train/stopped.txt "${resumed[@]}" --stop-after 8
  step 0 train/resumed.txt "${resumed[@]}" --resume
}

make_rank() {
  local sources=(--sources "$letters" "$symbols") f
  step 0 rank/table.txt rank "${labels[@]:0:4}" "${sources[@]}" "${on_cpu[@]}"
  step 0 rank/all.json rank "${labels[@]:0:4}" "${sources[@]}" --metric all --reference \
    train/resumed/model.safetensors --replicates 20 --mapping softmax:0.5 --p 1 --seed 1 \
    --out rank/all.csv --json "${on_cpu[@]}"
  for f in letters symbols; do
    step 0 "rank/features-$f.json" features --model "train/$f/model.safetensors" --data data/target --split train \
      --out "rank/$f.safetensors" --json "${on_cpu[@]}"
  done
  step 0 rank/features.txt features --model "$letters" --data data/target --out rank/folder "${on_cpu[@]}"
  step 0 rank/tables.txt rank --tables rank/letters.safetensors rank/symbols.safetensors --metric all --layers 8,14 \
    --probe 60 --replicates 20 "${on_cpu[@]}"
}

make_distill() {
  local methods=scratch,transfer,probe,finetune,fixmatch,fixmatch-transfer,random,equal,nearest,nearest-transfer
  step 0 distill/table.txt features --model train/resumed/model.safetensors --data data/target \
    --out distill/table.safetensors "${on_cpu[@]}"
  step 0 distill/all.txt distill "${labels[@]}" --validation 8 --sources "$letters" "$symbols" \
    distill/table.safetensors --methods $methods,weighted-transfer,oracle,weighted --seeds 0,1 "${student[@]}" \
    --eval-every 10 --warmup 5 "${on_cpu[@]}" --out distill/all
  step 0 distill/bare.json distill "${labels[@]}" --methods scratch,fixmatch "${student[@]}" --no-augment --optimizer \
    adamw --lr 0.003 --clip-norm 0.5 --json "${on_cpu[@]}" --out distill/bare
  mkdir distill/reported
  cp distill/all/report.json distill/reported/
  step 0 distill/reported.txt report distill/reported
}

make_variants() {
  local sources=(--sources "$letters" "$symbols") all=distill/all
  step 0 variants/view.txt distill "${labels[@]}" "${sources[@]}" --methods equal,nearest-transfer,weighted \
    "${student[@]}" --teacher-view same --flip h --metric cka --mapping rank --p 2 --lambda 0.7 --temperature 2 \
    --transfer letters --cache none "${on_cpu[@]}" --out variants/view
  step 0 variants/again.json distill --config variants/view/config.toml --out variants/again --json
  step 0 variants/init.json distill "${labels[@]}" "${sources[@]}" --methods probe,scratch,weighted "${student[@]}" \
    --init "$letters" --metric logme --mapping minmax --probe 10 --replicates 5 --schedule step --momentum 0.5 \
    --weight-decay 0.01 --nesterov --probe-l2 0.5 --title 'A <title>' --json "${on_cpu[@]}" --out variants/init
  step 0 variants/manifest.json distill --target data/target --labels $all/labels-seed1.json "${sources[@]}" --methods \
    weighted "${student[@]}" --p inf --schedule constant --student-shortcut conv --json "${on_cpu[@]}" --out \
    variants/manifest
  step 0 variants/colour.json distill --target data/colour --size 16x16 --labels-per-class 2 --unlabelled 30 \
    --sources "$letters" train/colour/model.safetensors --match-channels --methods nearest,weighted "${student[@]}" \
    --metric leep --mapping softmax:0.1 --validation 5 --json "${on_cpu[@]}" --out variants/colour
}

make_resume() {
  local run=(distill "${labels[@]}" --validation 8 --sources "$letters" "$symbols" "${student[@]}" "${on_cpu[@]}")
  local two=("${run[@]}" --methods "scratch,fixmatch,weighted" --seeds "0,1" --checkpoint-every 4 --out resume/stopped)
  step 1 resume/stopped1.txt "${two[@]}" --stop-after 42
  step 1 resume/stopped2.txt "${two[@]}" --stop-after 57 --resume
  step 0 resume/stopped3.json "${two[@]}" --resume --json
  step 0 resume/added1.json "${run[@]}" --methods scratch,weighted --out resume/added --json
  step 0 resume/added2.json "${run[@]}" --methods probe,nearest-transfer,oracle,weighted,scratch --seeds 1,0 --out \
    resume/added --resume --json
}

# NAME: writes experiment/NAME.toml, a common beginning and what comes on stdin.
grid() {
  mkdir -p experiment
  cat > "experiment/$1.toml" <<'TOML'
title = "Golden grid"
root = ".."
seeds = [0, 1]
methods = ["scratch", "transfer", "fixmatch", "probe", "nearest-transfer", "weighted", "oracle"]
metrics = ["parc", "cka", "leep"]
sources = [{ name = "letters", path = "train/letters/model.safetensors" },
           { name = "symbols", path = "train/symbols/model.safetensors" }]
[settings]
student = "resnet8"
student_width = 4
steps = 25
batch = 8
unlabelled_batch = 8
threshold = 0.4
mapping = "softmax"
eval_every = 10
warmup = 1
[[targets]]
name = "one"
data = "data/target"
flip = "h"
[[budgets]]
name = "three"
per_class = 3
unlabelled = 20
validation = 2
TOML
  cat >> "experiment/$1.toml"
}

make_experiment() {
  grid grid <<'TOML'
[[targets]]
name = "two"
data = "data/other"
size = "10x10"
images = 100
lr = 0.05
[[budgets]]
name = "share"
fraction = 0.1
unlabelled = 30
[[variants]]
name = "weighted-p1"
method = "weighted"
p = 1
lambda = 0.8
teacher_view = "same"
[[variants]]
name = "scratch-adamw"
method = "scratch"
optimizer = "adamw"
lr = 0.003
clip_norm = 1
augment = false
init = "train/letters/model.safetensors"
[[variants]]
name = "random"
method = "random"
student_shortcut = "conv"
temperature = 2
TOML
  grid partial <<< $'[[targets]]\nname = "unlike"\ndata = "data/other"\nexclude = ["letters"]'
  local run=(experiment experiment/grid.toml "${on_cpu[@]}" --out experiment/grid)
  step 0 experiment/before.json "${run[@]}" --dry-run --json
  step 0 experiment/grid.txt "${run[@]}" --keep-students
  step 0 experiment/after.json "${run[@]}" --dry-run --json
  # Stopped inside a student, a part of it alone, then all; `transfer` has no source of the student's kind for a target.
  run=(experiment experiment/partial.toml "${on_cpu[@]}" --out experiment/partial)
  step 1 experiment/stopped.txt "${run[@]}" --stop-after 160
  step 0 experiment/only.json "${run[@]}" --only target=one --only seed=1 --only method=oracle --json
  step 1 experiment/partial.txt "${run[@]}"
}

make_sim() {
  local small=(--batch 4 --device sim --threads 1) half=(--precision bf16)
  local train=(train --data data/tiny --arch resnet8 --width 2 --epochs 1 "${small[@]}")
  local run=(distill --target data/tiny --labels-per-class 2 --unlabelled 8 --validation 2 --student resnet8
    --student-width 2 --steps 4 --unlabelled-batch 4 --sources sim/f32/model.safetensors "${small[@]}")
  step 0 sim/f32.txt "${train[@]}" --out sim/f32
  step 0 sim/bf16.txt "${train[@]}" "${half[@]}" --no-graph --optimizer adamw --out sim/bf16
  step 0 sim/f32-students.json "${run[@]}" --methods fixmatch,weighted-transfer --json --out sim/f32-students
  run+=(--methods "scratch,weighted" "${half[@]}" --out sim/bf16-students)
  step 1 sim/bf16-stopped.txt "${run[@]}" --stop-after 6
  step 0 sim/bf16-students.json "${run[@]}" --resume --json
  cat > sim/cell.toml <<'TOML'
root = ".."
methods = ["nearest"]
sources = [{ name = "tiny", path = "sim/f32/model.safetensors" }]
targets = [{ name = "tiny", data = "data/tiny" }]
budgets = [{ name = "two", per_class = 2, unlabelled = 8 }]
settings = { student = "resnet8", student_width = 2, steps = 4, batch = 4, unlabelled_batch = 4 }
TOML
  step 0 sim/cell.txt experiment sim/cell.toml --device sim --threads 1 --keep-students --out sim/cell
}

make_demo() {
  step 0 demo/run.txt demo --data data --labels-per-class 2 --unlabelled 40 --bank-images 700 --bank-epochs 2 \
    --steps 8 --seeds 0,1 "${on_cpu[@]}" --out demo/run
}

make_export() {
  local model=distill/all/student.safetensors cell=experiment/grid/students/one/three/weighted-p1-seed0.safetensors
  step 0 export/plain.txt export $model --out export/plain
  step 0 export/folded.json export $model --fold --name folded --out export/folded --json
  step 0 export/cell.json export $cell --format onnx --out export/cell --json
  step 0 export/colour.json export variants/colour/student_best.safetensors --size 20x20 --out export/colour --json
  step 0 export/eval.json eval --model $model --data data/target --json "${on_cpu[@]}"
  step 0 export/eval.txt eval --model export/folded/folded.safetensors --data data/target --confusion "${on_cpu[@]}"
  step 0 export/info.json info distill/all/student_best.safetensors --json
  step 0 export/info.txt info $cell
}

needs_of() {
  case $1 in
    data) ;;
    train | sim | demo) echo data ;;
    rank | distill | resume | experiment) echo data train ;;
    variants) echo data train distill ;;
    export) echo data train distill variants experiment ;;
  esac
}

for part in "${parts[@]}"; do
  if [[ -n $only ]]; then
    [[ $part == "$only" || " $(needs_of "$only") " == *" $part "* ]] || continue
    [[ $part != "$only" && -e $part/.made ]] && continue
    rm -rf "./${part:?}"
  fi
  begun=$SECONDS
  "make_$part"
  : > "$part/.made"
  say "$part: made in $((SECONDS - begun)) s"
done
python3 "$helper" list . > SUMS.part
mv SUMS.part SUMS
