// Bytes to a file descriptor, for those that need more of it than AtomicFile gives.
#pragma once

#include "engine/io/file.hpp"

namespace akin {

/// Writes all of `bytes`, however many calls that takes. The errno where it cannot, else 0.
int write_all(int fd, ByteView bytes) noexcept;

}  // namespace akin
