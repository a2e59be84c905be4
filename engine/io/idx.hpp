// IDX files, MNIST's format: 00 00 type rank, big-endian u32 sizes, big-endian data; often gzipped.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "engine/dtype.hpp"
#include "engine/io/file.hpp"

namespace akin {

struct IdxHeader {
  DType dtype = DType::u8;
  Shape shape;
};
/// What the file says that it holds; nothing else of it is read. Throws, naming the file, where that cannot be.
IdxHeader read_idx_header(const std::filesystem::path& path);

/// Reads u8, i32, f32 and f64 of rank 1 to 8, plain or gzipped (told by content, not by name). Images are [N,H,W] or
/// [N,H,W,C], labels [N]. Throws, naming the file, when the length is not exactly what the
/// sizes say, or is more than `max_bytes`; nothing is allocated, and no more unpacked, than they say.
Array read_idx(const std::filesystem::path& path, std::uint64_t max_bytes = kMaxFileBytes);
/// `file` is not gzipped.
Array parse_idx(ByteView file, const std::string& name);

Bytes to_idx(const Array& array);
/// Atomic; gzipped when the name ends in .gz.
void write_idx(const std::filesystem::path& path, const Array& array);

}  // namespace akin
