// NumPy's .npy: what is read and written again is read equal.
#include "engine/io/npy.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace akin::fuzz {

namespace {

void run(ByteView input) {
  const auto array = accepted([&] { return parse_npy(input, "input"); });
  if (!array) return;
  require(array->byte_size() <= 8 * input.size(), "more numbers than the file has bytes for");
  const Bytes written = must("writing what was read", [&] { return to_npy(*array); });
  require(same_bits(*array, must("reading what was written", [&] { return parse_npy(written, "written"); })),
          "read again it is another array");
}

Bytes raw(std::string header, std::size_t data, std::uint8_t version = 1) {
  const std::size_t prefix = version == 1 ? 10 : 12;
  header.append(63 - (prefix + header.size()) % 64, ' ');
  header += '\n';
  Bytes out = bytes_of_text("\x93NUMPY");
  out.push_back(version);
  out.push_back(0);
  for (std::size_t i = 0; i < prefix - 8; ++i) out.push_back(static_cast<std::uint8_t>(header.size() >> (8 * i)));
  out.insert(out.end(), header.begin(), header.end());
  for (std::size_t i = 0; i < data; ++i) out.push_back(static_cast<std::uint8_t>(i * 29));
  return out;
}

std::string header(const std::string& type, const std::string& order, const std::string& shape) {
  return "{'descr': '" + type + "', 'fortran_order': " + order + ", 'shape': " + shape + ", }";
}

Seeds seeds() {
  Seeds all{{"own", to_npy(Array::from(std::vector<double>{1, 2, 3, 4, 5, 6}, {3, 2}))},
            {"scalar", raw(header("<f4", "False", "()"), 4)},
            {"version2", raw(header("<f4", "False", "(2,)"), 8, 2)},
            {"version3", raw(header("<f4", "False", "(2, 1)"), 8, 3)},
            {"empty", raw(header("<f8", "False", "(0, 3)"), 0)},
            {"huge_and_empty", raw(header("<f4", "True", "(4611686018427387904, 4611686018427387904, 0)"), 0)},
            {"records", raw("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }", 4)}};
  for (const char* type : {"<f4", "<f8", "|u1", "|b1", "<i4", "<i8", "<f2", "|i1", "<i2", "<u2", "<u4", "<u8", ">f4",
                           ">i8", "|O", "<U3", "<c8"}) {
    const auto size = static_cast<std::size_t>(type[2] - '0');
    for (const char* order : {"False", "True"})
      all.push_back({std::string(type + 1) + (type[0] == '>' ? "_big_" : "_") + order,
                     raw(header(type, order, "(2, 3, 2)"), 12 * (size < 9 ? size : 1))});
  }
  return all;
}

}  // namespace

const Target target{.run = run,
                    .seeds = seeds,
                    .words = {"'descr'", "'fortran_order'", "'shape'", "True", "False", "<f4", "<f8", "|u1", "|b1",
                              "<i8", ">f4", "<f2", "(0,)", "()", ", }", "\x93NUMPY"}};

}  // namespace akin::fuzz
