// NumPy's .npy files: one array. Feature and logit tables from other frameworks come this way.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "engine/dtype.hpp"
#include "engine/io/file.hpp"

namespace akin {

/// Reads format versions 1, 2 and 3 of all number types but complex ones, in either byte order: f8, f4, u1, i4, i8 as
/// they are, f2 as f32, b1 as u8, i1 i2 u2 as i32, u4 u8 as i64; Fortran order is turned into row-major order. Throws,
/// naming the file and what to do in Python, on other types and on a length that contradicts the shape.
Array read_npy(const std::filesystem::path& path, std::uint64_t max_bytes = kMaxFileBytes);
Array parse_npy(ByteView file, const std::string& name);

/// An array [N] or [N,1] of text (NumPy's <U and |S), as UTF-8; nothing where it holds numbers.
std::optional<std::vector<std::string>> parse_npy_text(ByteView file, const std::string& name);

/// Version 1, row-major; f32 f64 u8 i32 i64.
Bytes to_npy(const Array& array);
void write_npy(const std::filesystem::path& path, const Array& array);

}  // namespace akin
