#include "engine/io/idx.hpp"

#include <algorithm>
#include <cstring>
#include <limits>
#include <string_view>
#include <system_error>
#include <utility>

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

constexpr std::size_t kMaxHeader = 4 + 4 * kMaxRank;

struct Header : IdxHeader {
  std::size_t start = 0;  // of the data
  std::size_t data() const { return size_of(dtype) * static_cast<std::size_t>(shape.numel()); }
};

Header parse_header(ByteView file) {
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
  return {{kind->dtype, Shape(std::move(dims))}, start};
}

void check_length(const Header& header, std::uint64_t found) {
  AKIN_CHECK(found == header.data(), "shape {} of {} takes {} bytes, the file has {}", header.shape.str(),
             name_of(header.dtype), header.data(), found);
}

/// Turns the big-endian data of an array around in place.
void to_host(Array& array) {
  auto* bytes = reinterpret_cast<std::uint8_t*>(array.bytes());
  const std::size_t size = size_of(array.dtype());
  for (std::size_t at = 0; size > 1 && at < array.byte_size(); at += size) std::reverse(bytes + at, bytes + at + size);
}

Array parse(ByteView file) {
  const Header header = parse_header(file);
  check_length(header, file.size() - header.start);
  Array array(header.dtype, header.shape);
  if (array.byte_size() > 0) std::memcpy(array.bytes(), file.data() + header.start, array.byte_size());
  to_host(array);
  return array;
}

/// The header alone, and then exactly what it says.
Array unpack(ByteView packed, const std::string& name, std::uint64_t max_bytes) {
  constexpr std::uint64_t kMostPacked = 1032;  // of deflate: bytes out of one byte
  Gunzip stream(packed, name);
  Bytes first(kMaxHeader);
  first.resize(stream.read(first.data(), first.size()));
  const Header header = parse_header(first);
  const std::size_t there = first.size() - header.start;
  AKIN_CHECK(header.data() <= max_bytes, "shape {} of {} takes {} bytes, the limit is {}", header.shape.str(),
             name_of(header.dtype), header.data(), max_bytes);
  AKIN_CHECK(header.data() <= kMostPacked * packed.size(),
             "shape {} of {} takes {} bytes, which {} packed bytes cannot hold", header.shape.str(),
             name_of(header.dtype), header.data(), packed.size());
  if (there > header.data()) check_length(header, there);
  Array array(header.dtype, header.shape);
  if (there > 0) std::memcpy(array.bytes(), first.data() + header.start, there);
  auto* data = reinterpret_cast<std::uint8_t*>(array.bytes());
  check_length(header, there + stream.read(data + there, array.byte_size() - there));
  std::uint8_t more = 0;
  AKIN_CHECK(stream.read(&more, 1) == 0, "shape {} of {} takes {} bytes, the file has more", header.shape.str(),
             name_of(header.dtype), header.data());
  to_host(array);
  return array;
}

/// Calls read() and says of its errors that the file is none.
template <class Read>
auto sound(const std::string& name, Read&& read) {
  try {
    return read();
  } catch (const Error& e) {
    const std::string_view what = e.what();
    if (what.starts_with(name)) throw;  // the file itself could not be read
    fail("{}: not a sound IDX file: {} (damaged or truncated? fetch it again)", name, what);
  }
}

}  // namespace

Array parse_idx(ByteView file, const std::string& name) {
  return sound(name, [&] { return parse(file); });
}

IdxHeader read_idx_header(const std::filesystem::path& path) {
  constexpr std::size_t kStart = 1 << 16;  // a packed file may keep its own name and a comment before the data
  const std::string name = path.string();
  return sound(name, [&]() -> IdxHeader {
    Bytes first = read_start(path, kStart);
    if (is_gzip(first)) {
      Bytes header(kMaxHeader);
      header.resize(Gunzip(first, name).read(header.data(), header.size()));
      first = std::move(header);
    }
    return parse_header(first);
  });
}

Array read_idx(const std::filesystem::path& path, std::uint64_t max_bytes) {
  const std::string name = path.string();
  return sound(name, [&] {
    const Bytes first = read_start(path, kMaxHeader);
    if (is_gzip(first)) return unpack(read_file(path, max_bytes), name, max_bytes);
    const Header header = parse_header(first);
    std::error_code ignored;  // of a file that went away: of no length
    check_length(header, std::filesystem::file_size(path, ignored) - header.start);
    AKIN_CHECK(header.data() <= max_bytes, "shape {} of {} takes {} bytes, the limit is {}", header.shape.str(),
               name_of(header.dtype), header.data(), max_bytes);
    return parse(read_file(path, header.start + header.data()));
  });
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
