#include "kernels/common/sim/arguments.hpp"

#include "kernels/common/sim/block.hpp"
#include "kernels/common/sim/memory.hpp"

namespace akin::sim {

namespace {

[[noreturn]] void refuse(const char* kernel, std::size_t argument, const char* where, const void* p) {
  throw Error(fmt::format(
      "sim: {}: {}argument {} points to {}, which is no device memory: a kernel can read nothing else; copy it there",
      kernel, where, argument, p));
}

}  // namespace

void check_pointer(const char* kernel, std::size_t argument, const void* p) {
  if (p != nullptr && !may_point_to(p)) refuse(kernel, argument, "", p);
}

void check_words(const char* kernel, std::size_t argument, const std::uintptr_t* words, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i)
    if (is_host_memory(words[i])) refuse(kernel, argument, "a member of ", reinterpret_cast<const void*>(words[i]));
}

}  // namespace akin::sim
