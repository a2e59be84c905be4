#include "engine/io/sha256.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

namespace akin {
namespace {

// The round constants are the first 32 fraction bits of the cube roots of the first 64 primes; deriving them leaves no
// table to mistype: floor(cbrt(p) * 2^32) by bisection in 128-bit integers.
constexpr std::array<std::uint32_t, 64> round_constants() {
  __extension__ typedef unsigned __int128 Wide;
  std::array<std::uint32_t, 64> k{};
  std::size_t n = 0;
  for (std::uint32_t p = 2; n < k.size(); ++p) {
    bool prime = true;
    for (std::uint32_t d = 2; d * d <= p; ++d) prime = prime && p % d != 0;
    if (!prime) continue;
    Wide low = 0, high = Wide{7} << 32;  // cbrt(311) < 7; the cube of 35 bits fits 105 bits
    while (high - low > 1) {
      const Wide mid = (low + high) / 2;
      (mid * mid * mid <= (Wide{p} << 96) ? low : high) = mid;
    }
    k[n++] = static_cast<std::uint32_t>(low);
  }
  return k;
}
constexpr auto kRound = round_constants();
static_assert(kRound[0] == 0x428a2f98 && kRound[63] == 0xc67178f2);

}  // namespace

void Sha256::block(const std::uint8_t* p) {
  std::array<std::uint32_t, 64> w{};
  for (std::size_t i = 0; i < 16; ++i) {
    w[i] = std::uint32_t{p[4 * i]} << 24 | std::uint32_t{p[4 * i + 1]} << 16 | std::uint32_t{p[4 * i + 2]} << 8 |
           p[4 * i + 3];
  }
  for (std::size_t i = 16; i < 64; ++i) {
    const std::uint32_t s0 = std::rotr(w[i - 15], 7) ^ std::rotr(w[i - 15], 18) ^ (w[i - 15] >> 3);
    const std::uint32_t s1 = std::rotr(w[i - 2], 17) ^ std::rotr(w[i - 2], 19) ^ (w[i - 2] >> 10);
    w[i] = w[i - 16] + s0 + w[i - 7] + s1;
  }
  auto [a, b, c, d, e, f, g, h] = state_;
  for (std::size_t i = 0; i < 64; ++i) {
    const std::uint32_t s1 = std::rotr(e, 6) ^ std::rotr(e, 11) ^ std::rotr(e, 25);
    const std::uint32_t t1 = h + s1 + ((e & f) ^ (~e & g)) + kRound[i] + w[i];
    const std::uint32_t s0 = std::rotr(a, 2) ^ std::rotr(a, 13) ^ std::rotr(a, 22);
    const std::uint32_t t2 = s0 + ((a & b) ^ (a & c) ^ (b & c));
    h = g;
    g = f;
    f = e;
    e = d + t1;
    d = c;
    c = b;
    b = a;
    a = t1 + t2;
  }
  const std::array<std::uint32_t, 8> next{a, b, c, d, e, f, g, h};
  for (std::size_t i = 0; i < 8; ++i) state_[i] += next[i];
}

Sha256& Sha256::update(ByteView bytes) {
  while (!bytes.empty()) {
    const std::size_t used = length_ % 64, n = std::min<std::size_t>(64 - used, bytes.size());
    if (used == 0 && n == 64) {
      block(bytes.data());
    } else {
      std::memcpy(pending_.data() + used, bytes.data(), n);
      if (used + n == 64) block(pending_.data());
    }
    length_ += n;
    bytes = bytes.subspan(n);
  }
  return *this;
}

std::string Sha256::hex() const {
  Sha256 end = *this;
  const std::uint64_t bits = 8 * length_;
  const std::array<std::uint8_t, 64> pad{0x80};
  const std::size_t used = length_ % 64;
  end.update(ByteView(pad).first(used < 56 ? 56 - used : 120 - used));
  std::array<std::uint8_t, 8> tail{};
  for (std::size_t i = 0; i < 8; ++i) tail[i] = static_cast<std::uint8_t>(bits >> (56 - 8 * i));
  end.update(tail);
  std::string text;
  for (const std::uint32_t word : end.state_) text += fmt::format("{:08x}", word);
  return text;
}

std::string sha256_hex(ByteView bytes) { return Sha256().update(bytes).hex(); }
std::string sha256_hex(std::string_view text) { return sha256_hex(bytes_of(text)); }
std::string sha256_file(const std::filesystem::path& path) { return sha256_hex(read_file(path)); }

std::string sha256_of_path(const std::filesystem::path& path) {
  std::error_code none;
  if (!std::filesystem::is_directory(path, none)) return sha256_file(path);
  std::vector<std::filesystem::path> files;
  std::error_code error, ignored;
  for (auto it = std::filesystem::recursive_directory_iterator(path, error);
       !error && it != std::filesystem::recursive_directory_iterator(); it.increment(error))
    if (it->is_regular_file(ignored)) files.push_back(it->path());  // a link in a circle is none
  AKIN_CHECK(!error, "{}: folder cannot be read: {} (check the permissions)", path.string(), error.message());
  std::sort(files.begin(), files.end());
  std::string text;
  for (const auto& file : files)
    text += fmt::format("{} {}\n", file.lexically_relative(path).generic_string(), sha256_file(file));
  return sha256_hex(text);
}

}  // namespace akin
