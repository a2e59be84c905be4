#!/usr/bin/env bash
# What a newcomer gets: the README's two commands on a bare Debian, with nothing of this machine's software.
set -euo pipefail

usage() {
  cat <<'TEXT'
Usage: scripts/try_release.sh bookworm|trixie [OPTION...] [-- ARGUMENT...]

Makes a bare Debian of that release in a folder (debootstrap's minbase), checks out HEAD there, and runs scripts/demo.sh and
scripts/test.sh in it as root. Of this machine it sees the kernel, the network and local certificate authorities. Needs
root, debootstrap and git.
  --only demo|test   one of the two; the ARGUMENTs are for it
  --quick            few steps and images in the demo; the tests of preset ci alone
  --root DIR         where the Debian goes (default: build/root-RELEASE); a Debian made by this script is used again, with
                     the packages, builds and data sets in it
  --keep             leaves a new Debian there (up to 5 GB); without, it is removed at the end
  --mirror URL       a Debian archive (default: that of apt's configuration on this machine)

Example: scripts/try_release.sh trixie --keep --only test -- --preset ci
Exit code: 0 all ran, 1 one failed or the Debian could not be made, 2 wrong use.
TEXT
}

say() { printf '%s\n' "$*" >&2; }
misuse() { say "try_release.sh: $* (see --help)"; exit 2; }

akin_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
release='' only='' root='' mirror='' keep='' quick=''
arguments=()
while (($#)); do
  case $1 in
    -h | --help) usage; exit 0 ;;
    --keep) keep=1 ;;
    --quick) quick=1 ;;
    --only | --root | --mirror)
      [[ -n ${2-} ]] || misuse "$1 needs a value"
      printf -v "${1#--}" %s "$2"
      shift ;;
    --) shift; arguments=("$@"); break ;;
    bookworm | trixie) [[ -z $release ]] || misuse "two releases: $release and $1"; release=$1 ;;
    *) misuse "no release or option \"$1\"; the releases are bookworm and trixie" ;;
  esac
  shift
done
[[ -n $release ]] || misuse "which release, bookworm or trixie?"
[[ -z $only || $only == demo || $only == test ]] || misuse "--only is demo or test, not \"$only\""
((${#arguments[@]} == 0)) || [[ -n $only ]] || misuse "demo.sh and test.sh take different arguments: name one with --only"
root=$(realpath -m -- "${root:-$akin_root/build/root-$release}")

command -v git > /dev/null || { say "try_release.sh: git is missing: apt-get install git"; exit 1; }
debian() { "$akin_root/scripts/debian_root.sh" "$@"; }
[[ -e $root || -n $keep ]] || trap 'rm -rf --one-file-system -- "$root"' EXIT
debian make "$release" "$root" ${mirror:+--mirror "$mirror"}
debian checkout "$root"

status=0
for name in demo test; do
  [[ -z $only || $only == "$name" ]] || continue
  small=()
  if [[ -n $quick ]]; then
    case $name in
      demo) small=(--seeds 0 --unlabelled 1000 --bank-images 1500 --bank-epochs 1 --steps 100) ;;
      test) small=(--preset ci) ;;
    esac
  fi
  SECONDS=0
  if debian enter "$root" /root/akin "scripts/$name.sh" "${small[@]}" "${arguments[@]}"; then
    say "try_release.sh: $release: scripts/$name.sh ran ($SECONDS s)"
  else
    say "try_release.sh: $release: scripts/$name.sh FAILED ($SECONDS s)"
    status=1
  fi
done
exit $status
