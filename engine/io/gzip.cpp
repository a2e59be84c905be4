#include "engine/io/gzip.hpp"

#include <zlib.h>

#include <algorithm>
#include <cstddef>
#include <utility>

namespace akin {
namespace {

constexpr int kGzipWindow = 15 + 16;                  // 32 KiB window, gzip wrapper
constexpr std::size_t kSlice = std::size_t{1} << 30;  // zlib counts in 32 bits

struct Inflater {
  z_stream z{};
  Inflater() {
    if (inflateInit2(&z, kGzipWindow) != Z_OK) fail("gunzip: zlib found no memory");
  }
  ~Inflater() { inflateEnd(&z); }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;
};

struct Deflater {
  z_stream z{};
  explicit Deflater(int level) {
    AKIN_CHECK(deflateInit2(&z, level, Z_DEFLATED, kGzipWindow, 8, Z_DEFAULT_STRATEGY) == Z_OK,
               "gzip: level {} is not in 0..9, or zlib found no memory", level);
  }
  ~Deflater() { deflateEnd(&z); }
  Deflater(const Deflater&) = delete;
  Deflater& operator=(const Deflater&) = delete;
};

Bytef* input(ByteView bytes, std::size_t at) { return const_cast<Bytef*>(bytes.data() + at); }  // zlib reads it only

}  // namespace

bool is_gzip(ByteView bytes) { return bytes.size() >= 2 && bytes[0] == 0x1f && bytes[1] == 0x8b; }

struct Gunzip::State {
  Inflater inflater;
  bool ended = false;
};

Gunzip::Gunzip(ByteView packed, std::string name)
    : packed_(packed), name_(std::move(name)), state_(std::make_unique<State>()) {
  AKIN_CHECK(is_gzip(packed), "{}: not a gzip stream", name_);
}

Gunzip::~Gunzip() = default;

std::size_t Gunzip::read(std::uint8_t* to, std::size_t n) {
  z_stream& z = state_->inflater.z;
  std::size_t out_at = 0;
  while (out_at < n && !state_->ended) {
    const std::size_t give = std::min(packed_.size() - at_, kSlice), room = std::min(n - out_at, kSlice);
    z.next_in = input(packed_, at_);
    z.avail_in = static_cast<uInt>(give);
    z.next_out = to + out_at;
    z.avail_out = static_cast<uInt>(room);
    const int rc = inflate(&z, Z_NO_FLUSH);
    at_ += give - z.avail_in;
    out_at += room - z.avail_out;
    if (rc == Z_STREAM_END) {
      end_member();
      continue;
    }
    const bool starved = at_ == packed_.size() && z.avail_out > 0;
    AKIN_CHECK(!(starved && (rc == Z_OK || rc == Z_BUF_ERROR)),
               "{}: gzip stream ends too early, after {} bytes "
               "(truncated; fetch it again)",
               name_, packed_.size());
    AKIN_CHECK(rc == Z_OK || rc == Z_BUF_ERROR, "{}: gzip stream is damaged at byte {}: {} (fetch it again)", name_,
               at_, z.msg != nullptr ? z.msg : "unknown fault");
  }
  return out_at;
}

/// Behind a member there is another one, or nothing but the zeros that tapes and some downloads fill up with.
void Gunzip::end_member() {
  const ByteView rest = packed_.subspan(at_);
  state_->ended = std::all_of(rest.begin(), rest.end(), [](std::uint8_t b) { return b == 0; });
  if (state_->ended) return;
  AKIN_CHECK(is_gzip(rest),
             "{}: {} bytes follow the end of the gzip stream (damaged file; "
             "fetch it again)",
             name_, rest.size());
  AKIN_CHECK(inflateReset(&state_->inflater.z) == Z_OK, "gunzip: zlib failed to reset");
}

Bytes gunzip(ByteView packed, std::uint64_t max_bytes, const std::string& name) {
  Gunzip stream(packed, name);
  Bytes out;
  for (std::size_t at = 0;;) {
    // One byte beyond the limit is enough to know that it was passed.
    const std::uint64_t next = std::max<std::uint64_t>({2 * out.size(), 4 * packed.size(), 4096});
    out.resize(static_cast<std::size_t>(std::min(next, max_bytes + 1)));
    at += stream.read(out.data() + at, out.size() - at);
    AKIN_CHECK(at <= max_bytes, "{}: unpacks to more than the limit of {} bytes; is it the right file?", name,
               max_bytes);
    if (at == out.size()) continue;
    out.resize(at);
    return out;
  }
}

Bytes gzip(ByteView bytes, int level) {
  Deflater deflater(level);
  z_stream& z = deflater.z;
  Bytes out;
  std::size_t in_at = 0, out_at = 0;
  for (int rc = Z_OK; rc != Z_STREAM_END;) {
    if (out_at == out.size()) out.resize(std::max<std::size_t>({2 * out.size(), bytes.size() / 4, 4096}));
    const std::size_t give = std::min(bytes.size() - in_at, kSlice), room = std::min(out.size() - out_at, kSlice);
    z.next_in = input(bytes, in_at);
    z.avail_in = static_cast<uInt>(give);
    z.next_out = out.data() + out_at;
    z.avail_out = static_cast<uInt>(room);
    rc = deflate(&z, in_at + give == bytes.size() ? Z_FINISH : Z_NO_FLUSH);
    AKIN_CHECK(rc != Z_STREAM_ERROR, "gzip: zlib reports an inconsistent stream");
    in_at += give - z.avail_in;
    out_at += room - z.avail_out;
  }
  out.resize(out_at);
  return out;
}

}  // namespace akin
