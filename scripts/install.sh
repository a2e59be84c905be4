#!/usr/bin/env bash
# From a checkout to a program that can be called by its name.
set -euo pipefail
# shellcheck source=scripts/setup.sh
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

usage() {
  cat <<'TEXT'
Usage: scripts/install.sh [--prefix DIR]

Installs what is missing (Debian and Ubuntu, as root or with sudo), builds akin for this processor, and installs the program
with its manual pages and completions below DIR: /usr/local as root, else ~/.local.

Example: scripts/install.sh && akin fit birds --out runs/birds
Exit code: 0 done, 1 failed, 2 wrong use.
TEXT
}

prefix=/usr/local
((EUID == 0)) || prefix=$HOME/.local
while (($#)); do
  case $1 in
    -h | --help) usage; exit 0 ;;
    --prefix)
      [[ -n ${2-} ]] || { say "install.sh: --prefix needs a folder (see --help)"; exit 2; }
      prefix=$2
      shift ;;
    *) say "install.sh: no option \"$1\" (see --help)"; exit 2 ;;
  esac
  shift
done

prefix=$(realpath -m -- "$prefix")
cd "$akin_root"
install_missing build || exit 1
build release || { say "install.sh: the build failed; the first error is above"; exit 1; }
cmake --install build/release --prefix "$prefix" --component program > build/release/install.log 2>&1 || {
  tail -n 3 build/release/install.log >&2
  say "install.sh: nothing could be installed in $prefix, for the reason above; --prefix DIR takes another place"
  exit 1
}
say "$prefix/bin/akin is ready: akin --help"
found=$(command -v akin) || found=
if [[ $found != "$prefix/bin/akin" ]]; then
  # shellcheck disable=SC2016  # the person's own PATH
  say "It is not what \"akin\" finds${found:+ ($found)}; put it first: export PATH=\"$prefix/bin:\$PATH\""
fi
