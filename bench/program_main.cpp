// AKIN_PROGRAM: which of programs.hpp this program is.
#include "bench/programs.hpp"

int main(int argc, char** argv) { return akin::bench::AKIN_PROGRAM(argc, argv); }
