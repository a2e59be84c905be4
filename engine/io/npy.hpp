// NumPy's .npy files: one array. Feature and logit tables from other frameworks come this way.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "engine/dtype.hpp"
#include "engine/io/file.hpp"

namespace akin {

/// Reads format versions 1, 2 and 3 of <f4 <f8 |u1 |b1 (as u8) <i4 <i8; Fortran order is turned into row-major order.
/// Throws, naming the file and what to do in Python, on other types and on a length that contradicts the shape.
Array read_npy(const std::filesystem::path& path, std::uint64_t max_bytes = kMaxFileBytes);
Array parse_npy(ByteView file, const std::string& name);

/// Version 1, row-major; f32 f64 u8 i32 i64.
Bytes to_npy(const Array& array);
void write_npy(const std::filesystem::path& path, const Array& array);

}  // namespace akin
