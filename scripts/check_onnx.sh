#!/usr/bin/env bash
# Checks ONNX files that akin exports with onnxruntime: one of each architecture, as it is, folded, in f16 and int8.
set -euo pipefail
# shellcheck source=scripts/setup.sh
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

usage() {
  cat <<'TEXT'
Usage: scripts/check_onnx.sh [--akin PROGRAM] [--with-npm] [--quick] [MODEL.safetensors ...]

Runs tests/golden/check_onnx.py with build/release/bin/akin, or PROGRAM, on the models named, or on new ones of each
architecture (--quick: of three). Needs python3-onnx, python3-torch and python3-numpy of Debian. onnxruntime is taken from
Python where it is installed there (Debian has no package of it); else, with --with-npm, from npm's onnxruntime-node,
which is put into build/onnxruntime (about 290 MB). Without either PyTorch alone computes the graphs.

Exit code: 0 all agree to 1e-4 of the largest logit, 1 one does not, 2 wrong use, 77 a package is missing.
TEXT
}

akin=$akin_root/build/release/bin/akin
npm=
arguments=()
while (($#)); do
  case $1 in
    -h | --help) usage; exit 0 ;;
    --akin) akin=${2-}; shift ;;
    --with-npm) npm=yes ;;
    --quick) arguments+=(--quick) ;;
    -*) say "check_onnx.sh: no option \"$1\" (see --help)"; exit 2 ;;
    *) arguments+=("$1") ;;
  esac
  shift
done
[[ -x $akin ]] || { say "check_onnx.sh: $akin is no program; build it, or name one with --akin"; exit 2; }

place=$akin_root/build/onnxruntime
if [[ -n $npm && ! -e $place/node_modules/onnxruntime-node ]]; then
  command -v npm > /dev/null || { say "check_onnx.sh: npm is missing (apt-get install npm)"; exit 1; }
  mkdir -p "$place"
  npm install --prefix "$place" --ignore-scripts --no-audit --no-fund onnxruntime-node >&2 || exit 1
fi
[[ -d $place/node_modules ]] && export NODE_PATH=$place/node_modules
OMP_NUM_THREADS=${OMP_NUM_THREADS:-1} /usr/bin/python3 "$akin_root/tests/golden/check_onnx.py" "$akin" "${arguments[@]}"
