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

((EUID == 0)) || { say "try_release.sh: making and entering a Debian needs root: sudo scripts/try_release.sh ..."; exit 1; }
for tool in debootstrap git unshare:util-linux; do
  command -v "${tool%:*}" > /dev/null || { say "try_release.sh: ${tool%:*} is missing: apt-get install ${tool#*:}"; exit 1; }
done

# COMMAND...: runs it with mounts and processes of its own, which the kernel ends with it, however it ends.
apart() { unshare --mount --pid --fork --kill-child -- "$@"; }

made=$root/.akin-release  # written when the Debian is complete
if [[ -e $root ]]; then
  [[ -e $made && $(< "$made") == "$release" ]] || {
    say "try_release.sh: $root is there, and is no $release that this script made; remove it, or choose another --root"
    exit 1
  }
else
  if [[ -z $mirror ]] && command -v apt-get > /dev/null; then
    # shellcheck disable=SC2016  # apt's own notation
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 'Label: Debian' \
      'Component: main' | head -n 1)
  fi
  [[ -n $mirror ]] || { say "try_release.sh: apt knows no Debian archive here (apt-get update?): name one with --mirror"; exit 1; }
  say "Making a bare $release in $root"
  trap 'rm -rf --one-file-system -- "$root"' EXIT
  mkdir -p "$root"
  apart debootstrap --variant=minbase --force-check-gpg "$release" "$root" "$mirror" > "$root/debootstrap.log" 2>&1 || {
    tail -n 20 "$root/debootstrap.log" >&2
    say "try_release.sh: debootstrap failed for the reason above (mirror: $mirror)"
    exit 1
  }
  # Without them a network with a certificate authority of its own would be closed to npm and curl.
  authorities=/usr/local/share/ca-certificates
  if [[ -d $authorities ]]; then mkdir -p "$root$authorities" && cp -r "$authorities/." "$root$authorities"; fi
  printf '%s\n' "$release" > "$made"
  [[ -z $keep ]] || trap - EXIT
fi

# Files that did not change keep their times, so a second build is short. Ignored ones (build, data, runs) stay.
copy=$root/root/akin
[[ -d $copy/.git ]] || git init --quiet "$copy"
git -C "$copy" fetch --quiet --depth 1 "file://$akin_root" HEAD
git -C "$copy" checkout --quiet --force --detach FETCH_HEAD
git -C "$copy" clean --quiet --force -d
[[ -z $(git -C "$akin_root" status --porcelain) ]] || say "Changes that are not committed are not tried"
[[ ! -e /etc/resolv.conf ]] || cp --remove-destination -L /etc/resolv.conf "$root/etc/resolv.conf"

# COMMAND...: runs it in the checkout, in the Debian.
# shellcheck disable=SC2016  # expanded there
inside() {
  apart bash -euc 'root=$1; shift
    mount -t proc proc "$root/proc"; mount -t sysfs -o ro sysfs "$root/sys"; mount -t tmpfs tmpfs "$root/dev/shm"
    exec chroot "$root" env -i -C /root/akin HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 "$@"' \
    inside "$root" "${proxies[@]}" "$@"
}
proxies=()
for name in http_proxy https_proxy no_proxy; do [[ -z ${!name-} ]] || proxies+=("$name=${!name}"); done

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
  if inside "scripts/$name.sh" "${small[@]}" "${arguments[@]}"; then
    say "try_release.sh: $release: scripts/$name.sh ran ($SECONDS s)"
  else
    say "try_release.sh: $release: scripts/$name.sh FAILED ($SECONDS s)"
    status=1
  fi
done
exit $status
