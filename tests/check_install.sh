#!/usr/bin/env bash
# Is an installed akin whole? ctest runs the parts, in this order.
set -euo pipefail

usage() {
  cat <<'TEXT'
Usage: tests/check_install.sh PART BUILD

BUILD is a build folder of akin. Parts:
  install     installs from it into BUILD/installed and runs the program there
  cmake       builds the examples outside the tree with find_package(akin), runs them, compiles every header
  pkg-config  the same examples with one compiler command and akin.pc, and the one in C with akin-c.pc
  python      the module akin, which must find the library by itself; 77 where python3-numpy is missing
The compiler and CMake's generator are those of BUILD.
TEXT
}

stop() { printf 'check_install.sh: %s\n' "$*" >&2; exit 1; }
[[ ${1-} == --help ]] && { usage; exit 0; }
(($# == 2)) || { usage >&2; exit 2; }
part=$1 build=$(cd "$2" && pwd)
prefix=$build/installed
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cached() { sed -n "s/^$1:[A-Z]*=//p" "$build/CMakeCache.txt"; }
compiler=$(cached CMAKE_CXX_COMPILER)

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# FOLDER: runs the examples in it and looks at what they print.
run_examples() {
  export OMP_NUM_THREADS=1
  "$1/train_digits" | tee "$work/digits"
  awk '/^step   0/ { first = $4 } /^step/ { last = $4 } /^right:/ { right = $2 }
    END { exit !(first > 2 && last < 0.5 && right >= 90) }' "$work/digits" || stop "train_digits did not learn"
  "$1/similarity_of_two" | tee "$work/two"
  awk '{ parc[$1] = $3 + 0; low[$1] = $7; high[$1] = $9 + 0 }
    END { exit !(parc["clear:"] > 40 && low["clear:"] > high["vague:"] && high["vague:"] > parc["vague:"]) }' "$work/two" ||
    stop "similarity_of_two does not tell the two apart"
  printf '0\n1\n0\n1\n' > "$work/labels.csv"
  printf '%s\n' 0,1 3,2 0,2 3,1 > "$work/a.csv"
  if "$1/similarity_of_two" "$work/labels.csv" "$work/a.csv" "$work/none.csv" 2> "$work/error"; then
    stop "similarity_of_two took a table that is not there"
  fi
  grep -q 'none.csv' "$work/error" || stop "similarity_of_two does not name the missing table: $(< "$work/error")"
}

case $part in
  install)
    rm -rf "$prefix"
    cmake --install "$build" --prefix "$work/first" > "$work/log" || stop "cmake --install failed: $(tail -5 "$work/log")"
    mv "$work/first" "$prefix"  # it must not know where it was
    "$prefix/bin/akin" --version
    "$prefix/bin/akin" info > /dev/null
    ;;
  cmake)
    cp -R "$root/examples" "$work/examples"
    cmake -S "$work/examples" -B "$work/build" -G "$(cached CMAKE_GENERATOR)" "-DCMAKE_CXX_COMPILER=$compiler" \
      "-DCMAKE_PREFIX_PATH=$prefix" -DCMAKE_EXPORT_COMPILE_COMMANDS=ON
    # How akin was tuned and warned about is nothing to its users.
    leaked=$(grep -oE -- ' (-march|-mprefer|-mmove|-W|-fno-math)[^ ]*' "$work/build/compile_commands.json" | sort -u) || true
    [[ -z $leaked ]] || stop "akin's targets give their users these flags:$leaked"
    ! sed "s|$prefix||g" "$work/build/compile_commands.json" | grep -qF "$root" || stop "akin's targets name the source tree"
    cmake --build "$work/build" -j 2
    run_examples "$work/build"
    # Every header, as a user with other warnings sees it.
    (cd "$prefix/include" && find akin -name '*.hpp' | sort | sed 's/.*/#include <&>/') > "$work/all.cpp"
    (($(wc -l < "$work/all.cpp") > 50)) || stop "few headers are installed: $(wc -l < "$work/all.cpp")"
    "$compiler" -std=c++20 -fsyntax-only -Wall -Wextra -Werror -fopenmp "-I$prefix/include" "$work/all.cpp"
    ;;
  pkg-config)
    PKG_CONFIG_PATH=$(dirname "$(find "$prefix" -name akin.pc)")
    export PKG_CONFIG_PATH
    for name in train_digits similarity_of_two; do
      # shellcheck disable=SC2046
      "$compiler" -std=c++20 -O2 "$root/examples/$name.cpp" -o "$work/$name" $(pkg-config --cflags --libs akin)
    done
    run_examples "$work"
    # shellcheck disable=SC2046
    "$(cached CMAKE_C_COMPILER)" -std=c99 -Wall -Wextra -Werror "$root/examples/classify.c" -o "$work/classify" \
      $(pkg-config --cflags --libs akin-c)
    library=$(pkg-config --variable=libdir akin-c)
    status=0
    LD_LIBRARY_PATH=$library "$work/classify" "$work/none.safetensors" x.png 2> "$work/error" || status=$?
    [[ $status == 1 ]] && grep -q 'none.safetensors' "$work/error" || stop "classify, in C: exit code $status: $(< "$work/error")"
    ;;
  python)
    module=$(dirname "$(find "$prefix" -path '*/akin/__init__.py')")
    [[ -e $module/py.typed ]] || stop "the module is installed without py.typed"
    python=/usr/bin/python3
    "$python" -c 'import numpy' 2> "$work/error" || { echo "SKIPPED: $(tail -1 "$work/error"); apt-get install python3-numpy"; exit 77; }
    cd "$work"
    env -u AKIN_LIBRARY PYTHONDONTWRITEBYTECODE=1 "PYTHONPATH=$(dirname "$module")" "$python" - "$prefix" <<'PYTHON'
import sys
import akin, numpy
maps = open("/proc/self/maps").read()
assert f"{sys.argv[1]}/lib" in maps and "libakin.so." in maps, "the library is not that of the prefix"
row = akin.rank_tables({"x": numpy.eye(6)[[0, 1, 0, 1, 0, 1]] + numpy.arange(6)[:, None] / 100}, ["a", "b"] * 3, replicates=0)[0]
assert row.source == "x" and row.value > 0.5, row
PYTHON
    ;;
  *) usage >&2; exit 2 ;;
esac
