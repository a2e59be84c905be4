#include "engine/io/idx.hpp"

#include <algorithm>
#include <cstring>
#include <limits>

#include "engine/io/gzip.hpp"

namespace akin {
namespace {

struct Kind {
  std::uint8_t code;
  DType dtype;
};
constexpr Kind kKinds[] = {{0x08, DType::u8}, {0x0C, DType::i32}, {0x0D, DType::f32}, {0x0E, DType::f64}};
constexpr std::size_t kMaxRank = 8;

/// Big-endian to little-endian or back.
void swap_bytes(const std::uint8_t* from, std::uint8_t* to, std::size_t n, std::size_t size) {
  for (std::size_t i = 0; i < n; ++i) std::reverse_copy(from + i * size, from + (i + 1) * size, to + i * size);
}

Array parse(ByteView file) {
  AKIN_CHECK(file.size() >= 4 && file[0] == 0 && file[1] == 0, "it does not begin with two zero bytes");
  const auto* kind =
      std::find_if(std::begin(kKinds), std::end(kKinds), [&](const Kind& k) { return k.code == file[2]; });
  AKIN_CHECK(kind != std::end(kKinds), "element type {:#04x} is not supported (08 u8, 0c i32, 0d f32, 0e f64 are)",
             file[2]);
  const std::size_t rank = file[3], start = 4 + 4 * rank;
  AKIN_CHECK(rank >= 1 && rank <= kMaxRank, "rank {} is not in 1..{}", rank, kMaxRank);
  AKIN_CHECK(file.size() >= start, "it ends within its header");
  std::vector<std::int64_t> dims;
  for (std::size_t i = 0; i < rank; ++i) {
    std::uint32_t d = 0;
    swap_bytes(file.data() + 4 + 4 * i, reinterpret_cast<std::uint8_t*>(&d), 1, 4);
    dims.push_back(d);
  }
  const Shape shape(std::move(dims));
  const std::size_t size = size_of(kind->dtype), n = static_cast<std::size_t>(shape.numel());
  AKIN_CHECK(file.size() - start == n * size, "shape {} of {} takes {} bytes, the file has {}", shape.str(),
             name_of(kind->dtype), n * size, file.size() - start);
  Array array(kind->dtype, shape);
  if (n > 0) swap_bytes(file.data() + start, reinterpret_cast<std::uint8_t*>(array.bytes()), n, size);
  return array;
}

}  // namespace

Array parse_idx(ByteView file, const std::string& name) {
  try {
    return parse(file);
  } catch (const Error& e) {
    fail("{}: not a sound IDX file: {} (damaged or truncated? fetch it again)", name, e.what());
  }
}

Array read_idx(const std::filesystem::path& path, std::uint64_t max_bytes) {
  return parse_idx(read_file_gunzipped(path, max_bytes), path.string());
}

Bytes to_idx(const Array& array) {
  const auto* kind =
      std::find_if(std::begin(kKinds), std::end(kKinds), [&](const Kind& k) { return k.dtype == array.dtype(); });
  AKIN_CHECK(kind != std::end(kKinds), "IDX has no type {} (cast to u8, i32, f32 or f64)", name_of(array.dtype()));
  const std::size_t rank = array.shape().rank(), start = 4 + 4 * rank, size = size_of(array.dtype());
  AKIN_CHECK(rank >= 1 && rank <= kMaxRank, "IDX: rank {} is not in 1..{}", rank, kMaxRank);
  Bytes bytes(start + array.byte_size());
  bytes[2] = kind->code;
  bytes[3] = static_cast<std::uint8_t>(rank);
  for (std::size_t i = 0; i < rank; ++i) {
    const std::int64_t dim = array.shape().dims()[i];
    AKIN_CHECK(dim <= std::numeric_limits<std::uint32_t>::max(), "IDX: size {} does not fit 32 bits", dim);
    const auto d = static_cast<std::uint32_t>(dim);
    swap_bytes(reinterpret_cast<const std::uint8_t*>(&d), bytes.data() + 4 + 4 * i, 1, 4);
  }
  const auto* data = reinterpret_cast<const std::uint8_t*>(array.bytes());
  swap_bytes(data, bytes.data() + start, static_cast<std::size_t>(array.numel()), size);
  return bytes;
}

void write_idx(const std::filesystem::path& path, const Array& array) {
  const Bytes bytes = to_idx(array);
  write_file_atomic(path, path.extension() == ".gz" ? gzip(bytes) : bytes);
}

}  // namespace akin
