#!/usr/bin/env bash
# One of the README's two commands: from nothing to a report on a distilled student.
set -euo pipefail
# shellcheck source=scripts/setup.sh
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

usage() {
  cat <<'TEXT'
Usage: scripts/demo.sh [OPTION of `akin demo`...]

Installs what is missing (Debian and Ubuntu, as root or with sudo), builds akin, fetches MNIST, Fashion-MNIST and CIFAR-10
where they can be had, and runs `akin demo`: models of other tasks teach a small network to read handwritten digits from
two labels a class. A table goes to stdout, a page to runs/demo/report.html. What was installed, built, fetched or
trained once is kept, so a second run is much shorter.

Without MNIST the demo reads printed characters in fonts that no teacher has seen; without CIFAR-10 or Fashion-MNIST it has
fewer teachers. A set that could not be had is not tried again by itself: scripts/get_data.sh NAME does.

Example: scripts/demo.sh --seeds 0,1,2       (all options: build/release/bin/akin demo --help)
Exit code: 0 done, 1 failed, 2 wrong use.
TEXT
}

for argument in "$@"; do
  case $argument in -h | --help) usage; exit 0 ;; esac
done

cd "$akin_root"
install_missing demo || exit 1
build release || { say "demo.sh: the build failed; the first error is above"; exit 1; }

mkdir -p data
for name in fashion mnist cifar10; do
  [[ -d data/$name ]] && continue  # checked when it was fetched
  if [[ -e data/.tried-$name ]]; then
    say "$name is not at hand and could not be had last time; scripts/get_data.sh $name tries again"
    continue
  fi
  # The demo works without; get_data.sh says why.
  scripts/get_data.sh "$name" || : > "data/.tried-$name"
done

status=0
build/release/bin/akin demo "$@" || status=$?
exit $status
