#!/usr/bin/env bash
# Another Debian in a folder: to try what a newcomer gets (try_release.sh), and to measure against its PyTorch (bench/peers).
set -euo pipefail

usage() {
  cat <<'TEXT'
Usage: scripts/debian_root.sh make bookworm|trixie ROOT [--mirror URL] [PACKAGE...]
       scripts/debian_root.sh checkout ROOT
       scripts/debian_root.sh enter ROOT FOLDER COMMAND...

make      a bare Debian of that release in ROOT (debootstrap's minbase), with the PACKAGEs; one that is there is used again.
          URL: a Debian archive (default: that of apt's configuration on this machine)
checkout  HEAD of this repository, in its /root/akin; what git ignores there stays
enter     runs COMMAND in it, in its FOLDER, with mounts and processes of its own. Of this machine it sees the kernel, the
          network, local certificate authorities and how many threads OpenMP is to take
Needs root and debootstrap.
Exit code: 0 done, 1 it could not be made, 2 wrong use; of enter: the command's.
TEXT
}

say() { printf '%s\n' "debian_root.sh: $*" >&2; }
misuse() { say "$* (see --help)"; exit 2; }

# COMMAND...: runs it with mounts and processes of its own, which the kernel ends with it, however it ends.
apart() { unshare --mount --pid --fork --kill-child -- "$@"; }

enter() {
  local root=$1 folder=$2 name
  local -a passed=()
  shift 2
  for name in http_proxy https_proxy no_proxy ${!OMP_@} ${!GOMP_@}; do [[ -z ${!name-} ]] || passed+=("$name=${!name}"); done
  [[ ! -e /etc/resolv.conf ]] || cp --remove-destination -L /etc/resolv.conf "$root/etc/resolv.conf"
  # shellcheck disable=SC2016  # expanded there
  apart bash -euc 'root=$1 folder=$2; shift 2
    mount -t proc proc "$root/proc"; mount -t sysfs -o ro sysfs "$root/sys"; mount -t tmpfs tmpfs "$root/dev/shm"
    exec chroot "$root" env -i -C "$folder" HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 "$@"' \
    enter "$root" "$folder" "${passed[@]}" "$@"
}

# RELEASE ROOT MIRROR: the bare Debian; a folder left half made is removed.
bare() {
  local release=$1 root=$2 mirror=$3 authorities=/usr/local/share/ca-certificates
  if [[ -z $mirror ]] && command -v apt-get > /dev/null; then
    # shellcheck disable=SC2016  # apt's own notation
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 'Label: Debian' \
      'Component: main' | head -n 1)
  fi
  [[ -n $mirror ]] || { say "apt knows no Debian archive here (apt-get update?): name one with --mirror"; exit 1; }
  say "making a bare $release in $root"
  # shellcheck disable=SC2064  # as it is now
  trap "rm -rf --one-file-system -- $(printf '%q' "$root")" EXIT
  mkdir -p "$root"
  apart debootstrap --variant=minbase --force-check-gpg "$release" "$root" "$mirror" > "$root/debootstrap.log" 2>&1 || {
    tail -n 20 "$root/debootstrap.log" >&2
    say "debootstrap failed for the reason above (mirror: $mirror)"
    exit 1
  }
  # Without them a network with a certificate authority of its own would be closed to npm and curl.
  if [[ -d $authorities ]]; then mkdir -p "$root$authorities" && cp -r "$authorities/." "$root$authorities"; fi
  printf '%s\n' "$release" > "$root/.akin-release"  # it is complete
  trap - EXIT
}

make_root() {
  local release=$1 root mirror=''
  root=$(realpath -m -- "$2")
  shift 2
  if [[ ${1-} == --mirror ]]; then
    [[ -n ${2-} ]] || misuse "--mirror needs a value"
    mirror=$2
    shift 2
  fi
  [[ $release == bookworm || $release == trixie ]] || misuse "the releases are bookworm and trixie, not \"$release\""
  command -v debootstrap > /dev/null || { say "debootstrap is missing: apt-get install debootstrap"; exit 1; }
  if [[ ! -e $root ]]; then
    bare "$release" "$root" "$mirror"
  elif [[ ! -e $root/.akin-release || $(< "$root/.akin-release") != "$release" ]]; then
    say "$root is there, and is no $release that this script made; remove it, or choose another folder"
    exit 1
  fi
  (($#)) || return 0
  # shellcheck disable=SC2016  # expanded there
  enter "$root" / bash -euc 'dpkg-query -W -f "\${Status}\n" "$@" 2> /dev/null | grep -c "^install ok" | grep -qx "$#" ||
    { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install "$@"; }' \
    install "$@" > "$root/packages.log" 2>&1 || {
    tail -n 20 "$root/packages.log" >&2
    say "apt could not install these packages there, for the reason above: $*"
    exit 1
  }
}

# Files that did not change keep their times, so a second build is short.
checkout() {
  local copy=$1/root/akin
  command -v git > /dev/null || { say "git is missing: apt-get install git"; exit 1; }
  [[ -d $copy/.git ]] || git init --quiet "$copy"
  git -C "$copy" fetch --quiet --depth 1 "file://$akin_root" HEAD
  git -C "$copy" checkout --quiet --force --detach FETCH_HEAD
  git -C "$copy" clean --quiet --force -d
  [[ -z $(git -C "$akin_root" status --porcelain) ]] || say "changes that are not committed are left out of $copy"
}

akin_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
case ${1-} in
  -h | --help) usage; exit 0 ;;
  make) [[ -n ${2-} && -n ${3-} ]] || misuse "make takes a release and a folder" ;;
  checkout) (($# == 2)) || misuse "checkout takes a folder with a Debian" ;;
  enter) (($# >= 4)) || misuse "enter takes a folder with a Debian, a folder in it and a command" ;;
  *) misuse "make, checkout or enter, not \"${1-}\"" ;;
esac
((EUID == 0)) || { say "a Debian in a folder needs root: sudo scripts/debian_root.sh ..."; exit 1; }
command -v unshare > /dev/null || { say "unshare is missing: apt-get install util-linux"; exit 1; }
if [[ $1 == make ]]; then
  make_root "${@:2}"
  exit
fi
[[ -e $2/.akin-release ]] || { say "$2 is no Debian that this script made"; exit 1; }
"$@"
