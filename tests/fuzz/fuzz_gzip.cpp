// gzip, and IDX in it: the limit holds, and what is unpacked and packed again is unpacked equal.
#include "engine/io/gzip.hpp"
#include "engine/io/idx.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace akin::fuzz {

namespace {

constexpr std::uint64_t kMost = 1 << 16;

void run(ByteView input) {
  // As it is; and with a head that is gzip's, so that a change behind it is not refused by the first byte.
  Bytes headed = {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3};
  headed.insert(headed.end(), input.begin(), input.end());
  for (const ByteView packed : {input, ByteView(headed)}) {
    const auto bytes = accepted([&] { return gunzip(packed, kMost, "input"); });
    if (!bytes) continue;
    require(is_gzip(packed) && bytes->size() <= kMost, "something else than gzip, or more than was allowed");
    const Bytes again = must("packing what was unpacked", [&] { return gzip(*bytes, 1); });
    require(*bytes == must("unpacking what was packed", [&] { return gunzip(again, kMost, "packed"); }),
            "unpacked again there are other bytes");
  }
  // A packed file is what it holds.
  const auto plain = accepted([&] { return parse_idx(input, "input"); });
  const auto packed = accepted([&] { return read_idx(file_with("x.gz", gzip(input, 1)), kMost); });
  if (input.size() <= kMost)
    require(plain.has_value() == packed.has_value() && (!plain || same_bits(*plain, *packed)),
            "an IDX file says something else when it is packed");
}

Seeds seeds() {
  const Bytes text = bytes_of_text("akin akin akin akin akin akin akin akin"),
              idx = to_idx(Array(DType::u8, {2, 3, 4}));
  const Bytes one = gzip(text), bomb = gzip(Bytes(1 << 20));
  Bytes two = one, tail = one, cut = one;
  two.insert(two.end(), one.begin(), one.end());
  tail.push_back('x');
  cut.pop_back();
  return {{"text", one},
          {"two_members", two},
          {"tail", tail},
          {"cut", cut},
          {"nothing", gzip({})},
          {"bomb", bomb},
          {"idx", gzip(idx)},
          {"plain", idx},
          {"named", {0x1f, 0x8b, 8, 8, 0, 0, 0, 0, 0, 3, 'a', 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0}},
          {"deflated", Bytes(one.begin() + 10, one.end())}};
}

}  // namespace

const Target target{.run = run, .seeds = seeds};

}  // namespace akin::fuzz
