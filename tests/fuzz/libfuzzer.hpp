// The entry points that libFuzzer calls, and the one of its own that it lends (clang's docs/LibFuzzer).
#pragma once

#include <cstddef>
#include <cstdint>

extern "C" {
int LLVMFuzzerInitialize(int* argc, char*** argv);
int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t most, unsigned int seed);
/// libFuzzer's own; driver.cpp has a plainer one.
std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t most);
}
