#include "engine/io/zip.hpp"

#include <zlib.h>

#include <algorithm>
#include <cstring>

#include "kernels/common/error.hpp"

namespace akin {

namespace {

constexpr std::uint32_t kLocal = 0x04034b50, kCentral = 0x02014b50, kEnd = 0x06054b50, kEnd64 = 0x06064b50,
                        kLocator64 = 0x07064b50;
constexpr std::size_t kEndSize = 22, kLongestComment = 65535, kCentralSize = 46, kLocalSize = 30;
constexpr std::uint64_t kFull32 = 0xffffffff;  // "look into the zip64 record"

/// A sound archive of what is not read here.
struct NotStored : Error {
  using Error::Error;
};

/// Little-endian numbers of an archive; an error where one lies outside.
class Numbers {
 public:
  explicit Numbers(ByteView file) : file_(file) {}

  std::uint64_t at(std::uint64_t offset, std::size_t bytes) const {
    const ByteView place = part(offset, bytes);
    std::uint64_t value = 0;
    std::memcpy(&value, place.data(), bytes);
    return value;
  }
  ByteView part(std::uint64_t offset, std::uint64_t bytes) const {
    AKIN_CHECK(offset <= file_.size() && bytes <= file_.size() - offset,
               "a record of {} bytes at {} lies outside of the {} bytes of the file", bytes, offset, file_.size());
    return file_.subspan(offset, bytes);
  }
  std::size_t size() const { return file_.size(); }

 private:
  ByteView file_;
};

/// The last record of the archive.
std::uint64_t find_end(const Numbers& n) {
  AKIN_CHECK(n.size() >= kEndSize, "{} bytes are too few", n.size());
  const std::uint64_t last = n.size() - kEndSize, first = last > kLongestComment ? last - kLongestComment : 0;
  for (std::uint64_t at = last + 1; at-- > first;)
    if (n.at(at, 4) == kEnd && n.at(at + 20, 2) == last - at) return at;
  fail("the list of its files, which stands at the end, is missing");
}

struct Listing {
  std::uint64_t files, offset;
};

Listing listing_of(const Numbers& n) {
  const std::uint64_t end = find_end(n);
  if (end >= 20 && n.at(end - 20, 4) == kLocator64) {
    const std::uint64_t at = n.at(end - 20 + 8, 8);
    AKIN_CHECK(n.at(at, 4) == kEnd64, "its zip64 record is damaged");
    return {n.at(at + 32, 8), n.at(at + 48, 8)};
  }
  AKIN_CHECK(n.at(end + 4, 2) == 0 && n.at(end + 6, 2) == 0, "it is one of several parts");
  return {n.at(end + 10, 2), n.at(end + 16, 4)};
}

/// Takes sizes and offset of a file out of its zip64 field, those that did not fit in 32 bits, in this order.
void read_zip64(const Numbers& n, std::uint64_t at, std::uint64_t size, std::initializer_list<std::uint64_t*> wanted) {
  const std::uint64_t end = at + size;
  while (at + 4 <= end) {
    const std::uint64_t id = n.at(at, 2), bytes = n.at(at + 2, 2);
    if (id == 1) {
      std::uint64_t value = at + 4;
      for (std::uint64_t* w : wanted) {
        if (*w != kFull32) continue;
        AKIN_CHECK(value + 8 <= at + 4 + bytes, "a zip64 field is too short");
        *w = n.at(value, 8);
        value += 8;
      }
      return;
    }
    at += 4 + bytes;
  }
}

std::map<std::string, ByteView> read(ByteView file) {
  const Numbers n(file);
  const Listing list = listing_of(n);
  // Each file has a record of at least this many bytes in the list.
  AKIN_CHECK(list.files <= file.size() / kCentralSize, "it claims {} files in {} bytes", list.files, file.size());
  std::map<std::string, ByteView> files;
  std::uint64_t at = list.offset, content = 0;
  for (std::uint64_t i = 0; i < list.files; ++i) {
    AKIN_CHECK(n.at(at, 4) == kCentral, "entry {} of the list of its files is damaged", i);
    const std::uint64_t flags = n.at(at + 8, 2), method = n.at(at + 10, 2), crc = n.at(at + 16, 4);
    std::uint64_t packed = n.at(at + 20, 4), size = n.at(at + 24, 4), offset = n.at(at + 42, 4);
    const std::uint64_t name_size = n.at(at + 28, 2), extra = n.at(at + 30, 2), comment = n.at(at + 32, 2);
    const ByteView text = n.part(at + kCentralSize, name_size);
    const std::string name(text.begin(), text.end());
    read_zip64(n, at + kCentralSize + name_size, extra, {&size, &packed, &offset});
    if ((flags & 1) != 0) throw NotStored(fmt::format("{} is encrypted", name));
    if (method != 0 || packed != size)
      throw NotStored(fmt::format("{} is compressed; PyTorch's torch.save stores files as they are", name));
    AKIN_CHECK(n.at(offset, 4) == kLocal, "{} is not where the list says", name);
    const ByteView data = n.part(offset + kLocalSize + n.at(offset + 26, 2) + n.at(offset + 28, 2), size);
    content += size;
    AKIN_CHECK(content <= file.size(), "its files lie over each other");
    uLong sum = crc32(0, nullptr, 0);
    for (std::size_t done = 0; done < data.size();) {
      const std::size_t some = std::min<std::size_t>(data.size() - done, std::size_t{1} << 30);
      sum = crc32(sum, data.data() + done, static_cast<uInt>(some));
      done += some;
    }
    AKIN_CHECK(sum == crc, "{} is damaged: its checksum is {:08x}, the list says {:08x}", name, sum, crc);
    AKIN_CHECK(files.emplace(name, data).second, "it holds {} twice", name);
    at += kCentralSize + name_size + extra + comment;
  }
  return files;
}

}  // namespace

bool is_zip(ByteView file) {
  return file.size() >= 4 && file[0] == 'P' && file[1] == 'K' && file[2] == 3 && file[3] == 4;
}

std::map<std::string, ByteView> stored_files(ByteView file, const std::string& name) {
  try {
    return read(file);
  } catch (const NotStored& e) {
    fail("{}: a zip archive that akin does not unpack: {}", name, e.what());
  } catch (const Error& e) {
    fail("{}: not a sound zip archive: {} (damaged or truncated? fetch or write it again)", name, e.what());
  }
}

}  // namespace akin
