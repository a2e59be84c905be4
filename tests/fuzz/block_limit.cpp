// operator new for the programs without libFuzzer: a block above kLargestBlock is a finding. In a file of its own, so
// that the compiler does not see through new and delete.
#include <cstdlib>
#include <new>

#include "tests/fuzz/fuzz.hpp"
#include "tests/sanitized.hpp"

#ifndef AKIN_TEST_ASAN  // which watches over new and delete itself

void* operator new(std::size_t size) {
  if (akin::fuzz::blocks_are_limited && size > akin::fuzz::kLargestBlock) {
    akin::fuzz::blocks_are_limited = false;
    akin::fuzz::finding("a block of " + std::to_string(size) + " bytes was asked for");
  }
  if (void* block = std::malloc(size > 0 ? size : 1)) return block;
  throw std::bad_alloc();
}

void operator delete(void* block) noexcept { std::free(block); }

void operator delete(void* block, std::size_t) noexcept { std::free(block); }

#endif
