#!/usr/bin/env bash
# All comparisons of docs/performance.md, one after the other.
# shellcheck disable=SC2154  # akin_root and AKIN_BUILD_NEEDS come from setup.sh
set -euo pipefail

usage() {
  cat <<'TEXT'
Usage: bench/peers/run.sh [--out DIR] [--root DIR] [--nets "NET..."] [--threads N]

Builds the benchmarks here (preset ci) and akin once more in a Debian 13 (--root, default build/root-trixie; made by
scripts/debian_root.sh with its PyTorch where it is not there), then measures, into result files for bench_compare:
  step-<precision>.json     training steps of --nets in turns with both PyTorchs, each in its fastest way
  similarity.json           metrics against NumPy and SciPy
  layers.json               layers against oneDNN's own implementations; layers-trixie.json with Debian 13's oneDNN
--out: default bench/results/<date>. Against autocast akin works in bf16 where the processor multiplies it, else in f32. Needs root for the other
Debian, python3-torch, python3-numpy and python3-scipy here, two idle cores, and an hour or two. Run again, it keeps the
fastest ways that it found (choices.json) and the files that are there.
TEXT
}

root_folder=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck disable=SC1091,SC2154
source "$root_folder/scripts/setup.sh"
debian=$akin_root/scripts/debian_root.sh
out=$akin_root/bench/results/$(date -u +%Y-%m-%d) there=$akin_root/build/root-trixie threads=2
nets="resnet8 resnet20 resnet18@64 mobilenet_v1:8@64"
while (($#)); do
  case $1 in
    -h | --help) usage; exit 0 ;;
    --out | --root | --nets | --threads)
      [[ -n ${2-} ]] || { say "run.sh: $1 needs a value"; exit 2; }
      case $1 in --out) out=$2 ;; --root) there=$2 ;; --nets) nets=$2 ;; --threads) threads=$2 ;; esac
      shift ;;
    *) say "run.sh: no option \"$1\" (see --help)"; exit 2 ;;
  esac
  shift
done
mkdir -p "$out"
bin=$akin_root/build/ci/bin

# What Debian's PyTorch needs to compile, and what akin needs to build.
mapfile -t needs < <(awk '{ print $1 }' <<< "$AKIN_BUILD_NEEDS")
"$debian" make trixie "$there" python3-torch libtorch-dev python3-dev python3-setuptools libopenblas0-pthread "${needs[@]}"
"$debian" checkout "$there"
"$debian" enter "$there" /root/akin bash -euc 'cmake --preset release -G Ninja -DAKIN_BENCH=ON
  cmake --build build/release --target bench_step bench_layers' >&2
build ci

for precision in f32 bf16; do
  [[ -e $out/step-$precision.json ]] && continue
  akin=f32
  [[ $precision == bf16 ]] && grep -qE 'avx512_bf16|amx_bf16' /proc/cpuinfo && akin=bf16
  each=()
  for net in $nets; do each+=(--net "$net"); done
  /usr/bin/python3 "$akin_root/bench/peers/step_vs_torch.py" --akin "$bin/bench_step" --root "$there" "${each[@]}" \
    --threads "$threads" --precision "$precision" --akin-precision "$akin" --choices "$out/choices.json" \
    --json "$out/step-$precision.json"
done
[[ -e $out/similarity.json ]] || /usr/bin/python3 "$akin_root/bench/peers/similarity_vs_numpy.py" --threads "$threads" \
  --akin "$bin/bench_similarity" --json "$out/similarity.json"
export OMP_NUM_THREADS=$threads
[[ -e $out/layers.json ]] || "$bin/bench_layers" --json "$out/layers.json"
[[ -e $out/layers-trixie.json ]] || {
  "$debian" enter "$there" /root/akin build/release/bin/bench_layers --json /root/layers.json
  cp "$there/root/layers.json" "$out/layers-trixie.json"
}
