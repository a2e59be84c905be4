// IDX: what is read and written again is read equal.
#include "engine/io/idx.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace akin::fuzz {

namespace {

void run(ByteView input) {
  const auto array = accepted([&] { return parse_idx(input, "input"); });
  if (!array) return;
  require(array->byte_size() <= 8 * input.size(), "more numbers than the file has bytes for");
  const Bytes written = must("writing what was read", [&] { return to_idx(*array); });
  require(same_bits(*array, must("reading what was written", [&] { return parse_idx(written, "written"); })),
          "read again it is another array");
}

Seeds seeds() {
  Seeds all{{"labels", to_idx(Array::from(std::vector<std::uint8_t>{1, 0, 2}, {3}))},
            {"images", to_idx(Array(DType::u8, {2, 3, 4}))},
            {"colour", to_idx(Array(DType::u8, {1, 2, 2, 3}))},
            {"i32", to_idx(Array::from(std::vector<std::int32_t>{-1, 70000}, {2}))},
            {"f32", to_idx(Array::from(std::vector<float>{1.5f, -2}, {2, 1}))},
            {"f64", to_idx(Array::from(std::vector<double>{1.5, -2}, {1, 2}))},
            {"rank8", to_idx(Array(DType::u8, {1, 1, 1, 1, 1, 1, 1, 2}))},
            {"large", {0, 0, 8, 3, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}},
            {"none", {0, 0, 8, 2, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff}}};
  for (const std::uint8_t type : {0x09, 0x0b})
    all.push_back({"type" + std::to_string(type), {0, 0, type, 1, 0, 0, 0, 1, 0, 1}});
  return all;
}

}  // namespace

const Target target{.run = run, .seeds = seeds};

}  // namespace akin::fuzz
