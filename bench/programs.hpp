// The benchmarks' programs as functions of a command line, each with a main of its own (program_main.cpp) or a word of
// akin_gpu. They return an exit code: 0, 1 where something failed, 2 for wrong use.
#pragma once

namespace akin::bench {

int bench_device(int argc, char** argv);
int bench_step(int argc, char** argv);
int bench_constants(int argc, char** argv);

}  // namespace akin::bench
