#!/usr/bin/env bash
# Trains the sources of configs/mini/*.toml from the data sets below data/, into runs/mini-bank/.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."

usage() {
  cat <<'TEXT'
Usage: scripts/mini_bank.sh [NAME...]

Trains ResNet-20 of width 16 at 32x32 on each data set of the mini experiments (docs/data.md says where they come from and
how to lay them out), and a ResNet-8 of Tiny ImageNet for `transfer`. What is there is kept; what has no data is told.
All took 73 minutes on two busy cores. NAMEs choose some: caltech101 eurosat tinyimagenet scene15 oxford_pets cub20 chestx isic
dogs tinyimagenet_r8.

Example: scripts/mini_bank.sh eurosat scene15
Exit code: 0 all made or there, 1 something failed or has no data, 2 wrong use.
TEXT
}

say() { printf '%s\n' "$*" >&2; }

akin=build/release/bin/akin
bank=runs/mini-bank
missing=0

# NAME DATA EPOCHS BATCH RATE NETWORK
train() {
  local name=$1 data=data/$2
  if ((${#wanted[@]})) && [[ " ${wanted[*]} " != *" $name "* ]]; then return; fi
  if [[ -e $bank/$name/model.safetensors && ! -e $bank/$name/checkpoint.safetensors ]]; then
    say "$bank/$name: is there"
    return
  fi
  if [[ ! -d $data ]]; then
    say "$name: $data is not at hand (docs/data.md)"
    missing=1
    return
  fi
  "$akin" train --data "$data" --size 32x32 --channels 3 --arch "$6" --width 16 --epochs "$3" --batch "$4" --lr "$5" \
    --flip h --out "$bank/$name" --force
}

case ${1-} in
  -h | --help) usage; exit 0 ;;
  -*) say "mini_bank.sh: no option \"$1\" (see --help)"; exit 2 ;;
esac
wanted=("$@")
names='caltech101 eurosat tinyimagenet scene15 oxford_pets cub20 chestx isic dogs tinyimagenet_r8'
for name in "${wanted[@]}"; do
  [[ " $names " == *" $name "* ]] || { say "mini_bank.sh: no source \"$name\" (see --help)"; exit 2; }
done
[[ -x $akin ]] || { cmake --preset release -G Ninja && cmake --build --preset release --target akin; } >&2

# The dogs of Tiny ImageNet are left out: two targets hold dogs.
nodogs=data/tinyimagenet32_nodogs
if [[ -d data/tinyimagenet32 && ! -d $nodogs ]]; then
  "$akin" data pack data/tinyimagenet32 --out $nodogs \
    --without n02085620,n02094433,n02099601,n02099712,n02106662,n02113799
fi
train caltech101 caltech101_32 60 32 0.05 resnet20
train eurosat eurosat32 15 64 0.1 resnet20
train tinyimagenet tinyimagenet32_nodogs 25 64 0.1 resnet20
train scene15 scene15 60 32 0.05 resnet20
train oxford_pets oxford_pets64 80 32 0.05 resnet20
train cub20 cub20 80 32 0.05 resnet20
train chestx chestx64 60 32 0.05 resnet20
train isic isic64 60 32 0.05 resnet20
train dogs dogs64 60 32 0.05 resnet20
train tinyimagenet_r8 tinyimagenet32_nodogs 20 64 0.1 resnet8
exit $missing
