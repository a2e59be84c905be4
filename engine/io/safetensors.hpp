// safetensors: named arrays in one file. Layout: u64 LE header length, JSON header, data; offsets count from the data.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "engine/dtype.hpp"
#include "engine/io/file.hpp"

namespace akin {

struct SafeTensors {
  std::vector<std::pair<std::string, Array>> tensors;  ///< names are unique; a reader gives them in data order
  std::map<std::string, std::string> metadata;
  std::string source = "safetensors";  ///< file name, for messages
  /// Names of tensors in f32 that a writer stores as F16, to the nearest one; a reader leaves it empty.
  std::set<std::string> halves = {};

  /// nullptr where there is no such tensor.
  const Array* find(const std::string& name) const;
  /// Throws, naming the file and what it holds instead.
  const Array& at(const std::string& name) const;
  /// Throws on a name that is already there.
  void add(std::string name, Array value);
};

/// Strict: refuses a header above 100,000,000 bytes, duplicate or unknown keys, unknown dtypes, holes, overlaps,
/// lengths that contradict the shape, and a file that is not exactly as long as its header says. NaN is not looked for
/// here (check_finite). F64 F32 BF16 U8 I32 I64 keep their type; BOOL becomes u8, F16 f32, I8 I16 U16 i32, U32 U64 i64.
SafeTensors read_safetensors(const std::filesystem::path& path, std::uint64_t max_bytes = kMaxFileBytes);
/// Of the header alone; the tensors are not looked at.
std::map<std::string, std::string> read_safetensors_metadata(const std::filesystem::path& path);
SafeTensors parse_safetensors(ByteView file, const std::string& name);

/// Tensors are sorted by element size (largest first, which aligns them), then by name, so that equal content gives
/// equal bytes; the header is padded with spaces to 8 bytes.
Bytes to_safetensors(const SafeTensors& content);
/// Writes atomically (AtomicFile).
void write_safetensors(const std::filesystem::path& path, const SafeTensors& content);

/// Throws on the first NaN or infinity, naming tensor, position and file. Integers always pass.
void check_finite(const Array& array, const std::string& name, const std::string& file);

}  // namespace akin
