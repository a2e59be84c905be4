// npy, IDX and CIFAR files: golden values, round trips, every truncation and flipped byte.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "engine/io/cifar.hpp"
#include "engine/io/gzip.hpp"
#include "engine/io/idx.hpp"
#include "engine/io/npy.hpp"
#include "kernels/common/rng.hpp"
#include "tests/temp_folder.hpp"

using namespace akin;
using akin::test::error_of;
using akin::test::has;
using akin::test::TempFolder;

namespace {

const std::string kGolden = std::string(AKIN_SOURCE_DIR) + "/tests/golden/golden_";

bool same(const Array& a, const Array& b) {
  return a.dtype() == b.dtype() && a.shape() == b.shape() &&
         (a.byte_size() == 0 || std::memcmp(a.bytes(), b.bytes(), a.byte_size()) == 0);
}

/// Every prefix and every extension must be refused; a flipped byte must be refused or read, nothing else.
template <class Parse>
void torture(const Bytes& good, Parse parse) {
  for (std::size_t n = 0; n < good.size(); ++n) {
    CAPTURE(n);
    CHECK(has(error_of([&] { parse(ByteView(good).first(n), "cut.bin"); }), "cut.bin"));
  }
  Bytes longer = good;
  longer.push_back(0);
  CHECK_FALSE(error_of([&] { parse(longer, "x"); }).empty());
  for (std::size_t i = 0; i < good.size(); ++i) {
    for (const int flip : {0x01, 0x08, 0x40, 0x80, 0xff}) {
      Bytes bad = good;
      bad[i] = static_cast<std::uint8_t>(bad[i] ^ flip);
      error_of([&] { parse(bad, "x"); });  // any other exception fails the test
    }
  }
}

/// A version 1 .npy file with this header and so many zero bytes.
Bytes npy_with(const std::string& header, std::size_t data) {
  Bytes b(10 + header.size() + data);
  std::memcpy(b.data(), "\x93NUMPY\x01\x00", 8);
  b[8] = static_cast<std::uint8_t>(header.size());
  b[9] = static_cast<std::uint8_t>(header.size() >> 8);
  std::memcpy(b.data() + 10, header.data(), header.size());
  return b;
}

}  // namespace

TEST_CASE("npy: files written by numpy") {
  const Array f4 = read_npy(kGolden + "f4.npy");
  CHECK(f4.shape() == Shape{2, 3});
  for (std::size_t i = 0; i < 6; ++i) CHECK(f4.as<float>()[i] == (static_cast<float>(i) - 2.5f) / 4);
  CHECK(same(read_npy(kGolden + "v2.npy"), f4));
  CHECK(same(read_npy(kGolden + "v3.npy"), f4));
  const Array fortran = read_npy(kGolden + "f8_fortran.npy");
  CHECK(fortran.shape() == Shape{2, 3, 4});
  for (std::size_t i = 0; i < 24; ++i) CHECK(fortran.as<double>()[i] == static_cast<double>(i));
  CHECK(read_npy(kGolden + "i4.npy").as<std::int32_t>()[4] == 1);
  CHECK(read_npy(kGolden + "i8.npy").as<std::int64_t>()[1] == 1);
  CHECK(read_npy(kGolden + "u1.npy").as<std::uint8_t>()[2] == 1);
  CHECK(read_npy(kGolden + "b1.npy").as<std::uint8_t>()[3] == 0);
  CHECK(read_npy(kGolden + "scalar.npy").shape().rank() == 0);
  CHECK(read_npy(kGolden + "scalar.npy").as<double>()[0] == 2.5);
  // What akin writes is what numpy writes, byte for byte.
  for (const char* name : {"f4", "i4", "i8", "u1", "scalar"}) {
    CAPTURE(name);
    CHECK(to_npy(read_npy(kGolden + name + ".npy")) == read_file(kGolden + name + ".npy"));
  }
}

TEST_CASE("npy: round trip, and lies of the header") {
  const TempFolder t;
  for (const Shape& shape :
       {Shape(std::vector<std::int64_t>{}), Shape{0}, Shape{7}, Shape{1, 31}, Shape{3, 0, 2}, Shape{2, 3, 5, 7}}) {
    Array a(DType::f64, shape);
    for (std::size_t i = 0; i < a.as<double>().size(); ++i) a.as<double>()[i] = 0.1 * static_cast<double>(i);
    write_npy(t / "a.npy", a);
    CHECK(same(read_npy(t / "a.npy"), a));
    CHECK(read_file(t / "a.npy").size() % 64 == a.byte_size() % 64);
  }
  CHECK(has(error_of([&] { to_npy(Array(DType::bf16, {1})); }), "cast"));
  torture(read_file(kGolden + "f4.npy"), parse_npy);
  torture(read_file(kGolden + "f8_fortran.npy"), parse_npy);
  const auto refusal = [](const std::string& header, std::size_t data) {
    return error_of([&] { parse_npy(npy_with(header, data), "x.npy"); });
  };
  const std::string rest = ", 'fortran_order': False, 'shape': (2,), }";
  CHECK(refusal("{'descr': '<f4'" + rest, 8).empty());
  CHECK(refusal("{'descr':\"|u1\",'fortran_order':True,'shape':(2,3)}\n", 6).empty());
  CHECK(refusal("{'descr': '>f4'" + rest, 8).empty());
  const auto type = [&](const std::string& descr) { return refusal("{'descr': '" + descr + "'" + rest, 8); };
  CHECK(has(type("|O"), "'|O', Python objects, is not supported (rows of different lengths"));
  CHECK(has(type("|O"), "a.astype(str) for text"));
  CHECK(has(type("<c8"), "complex numbers, is not supported (save a.real"));
  CHECK(has(type("<M8[ns]"), "times"));
  CHECK(has(type("<f16"), "more than 64 bits, is not supported (in Python: a.astype('<f4')"));
  CHECK(has(type("|V2"), "bfloat16"));
  CHECK(has(type(""), "type '' is not supported"));
  CHECK(has(type("|S4"), "it holds text"));
  CHECK(has(refusal("{'descr': [('a', '<f4')]" + rest, 8), "structured"));
  CHECK(has(refusal("{'descr': '<f4'" + rest, 7), "takes 8 bytes, the file has 7"));
  CHECK(has(refusal("{'descr': '<f4', 'descr': '<f4'" + rest, 8), "twice"));
  CHECK(has(refusal("{'descr': '<f4', 'fortran_order': False}", 8), "lacks"));
  CHECK(has(refusal("{'descr': '<f4', 'fortran_order': 0, 'shape': (2,)}", 8), "neither True nor False"));
  CHECK(has(refusal("{'descr': '<f4', 'fortran_order': False, 'shape': (-2,)}", 8), "whole number"));
  CHECK(has(refusal("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}", 8), "too large"));
  CHECK(has(refusal("{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296,4294967296)}", 8),
            "too many elements"));
  // Sizes beside a 0 may be anything.
  const std::string none =
      "{'descr': '<f4', 'fortran_order': True, 'shape': (4611686018427387904, 4611686018427387904, 0)}";
  CHECK(refusal(none, 0).empty());
  CHECK(refusal("{'descr': '<f4', 'fortran_order': False, 'shape': (2L,), }", 8).empty());  // as Python 2 wrote it
  Bytes twice = read_file(kGolden + "f4.npy");
  twice.insert(twice.end(), twice.begin(), twice.end());
  CHECK(has(error_of([&] { parse_npy(twice, "twice.npy"); }),
            "twice.npy: not a .npy file akin can read: a second array"));
  CHECK(has(refusal("{'descr': '<f4'" + rest + " x", 8), "text follows"));
  CHECK(has(refusal("{'descr': '<f4', 'fortran_order': True, 'shape': (2,", 8), "whole number"));
}

TEST_CASE("npy: every type of number in both byte orders") {
  struct Kind {
    const char* descr;
    DType dtype;
    std::vector<std::uint8_t> bytes;  // of two numbers, little-endian
    double a, b;
  };
  const Kind kinds[] = {{"f2", DType::f32, {0x00, 0x3e, 0x01, 0x80}, 1.5, -0x1p-24},
                        {"f2", DType::f32, {0xff, 0x7b, 0x00, 0xfc}, 65504, -INFINITY},
                        {"f4", DType::f32, {0, 0, 0xc0, 0x3f, 0, 0, 0, 0xc0}, 1.5, -2},
                        {"f8", DType::f64, {0, 0, 0, 0, 0, 0, 0xf8, 0x3f, 0, 0, 0, 0, 0, 0, 0, 0xc0}, 1.5, -2},
                        {"b1", DType::u8, {1, 0}, 1, 0},
                        {"i1", DType::i32, {0x80, 0x7f}, -128, 127},
                        {"u1", DType::u8, {0x80, 0xff}, 128, 255},
                        {"i2", DType::i32, {0x00, 0x80, 0xff, 0x7f}, -32768, 32767},
                        {"u2", DType::i32, {0x00, 0x80, 0xff, 0xff}, 32768, 65535},
                        {"i4", DType::i32, {0, 0, 0, 0x80, 2, 1, 0, 0}, -2147483648.0, 258},
                        {"u4", DType::i64, {0, 0, 0, 0x80, 0xff, 0xff, 0xff, 0xff}, 2147483648.0, 4294967295.0},
                        {"i8", DType::i64, {0, 0, 0, 0, 0, 0, 0, 0x80, 2, 1, 0, 0, 0, 0, 0, 0}, -0x1p63, 258},
                        {"u8", DType::i64, {0, 0, 0, 0, 0, 0, 0, 0x40, 2, 1, 0, 0, 0, 0, 0, 0}, 0x1p62, 258}};
  for (const Kind& k : kinds) {
    const std::size_t size = k.bytes.size() / 2;
    for (const char order : {'<', '>', '=', '|'}) {
      CAPTURE(k.descr);
      CAPTURE(order);
      std::vector<std::uint8_t> data = k.bytes;
      if (order == '>')
        for (std::size_t i = 0; i < 2; ++i)
          std::reverse(data.begin() + std::ptrdiff_t(i * size), data.begin() + std::ptrdiff_t((i + 1) * size));
      Bytes file = npy_with(
          fmt::format("{{'descr': '{}{}', 'fortran_order': False, 'shape': (2,), }}\n", order, k.descr), data.size());
      std::copy(data.begin(), data.end(), file.end() - std::ptrdiff_t(data.size()));
      const Array a = parse_npy(file, "a.npy");
      CHECK_EQ(a.dtype(), k.dtype);
      const Array wide = a.cast(DType::f64);
      CHECK_EQ(wide.as<double>()[0], k.a);
      CHECK_EQ(wide.as<double>()[1], k.b);
      CHECK_FALSE(parse_npy_text(file, "a.npy").has_value());
    }
  }
  Bytes large = npy_with("{'descr': '<u8', 'fortran_order': False, 'shape': (1,), }", 8);
  large.back() = 0x80;
  CHECK(has(error_of([&] { parse_npy(large, "l.npy"); }), "element 0 is 9223372036854775808, beyond i64"));
}

TEST_CASE("npy: text") {
  const auto text = [](const std::string& descr, const std::string& shape, std::vector<std::uint8_t> data) {
    Bytes file = npy_with("{'descr': '" + descr + "', 'fortran_order': False, 'shape': " + shape + ", }", data.size());
    std::copy(data.begin(), data.end(), file.end() - std::ptrdiff_t(data.size()));
    return parse_npy_text(file, "t.npy").value();
  };
  using Cells = std::vector<std::string>;
  CHECK(text("|S3", "(2,)", {'c', 'a', 't', 'o', 'x', 0}) == Cells{"cat", "ox"});
  CHECK(text("<U2", "(2, 1)", {'a', 0, 0, 0, 0xe9, 0, 0, 0, 0x1f, 0xf6, 1, 0, 0, 0, 0, 0}) ==
        Cells{"a\u00e9", "\U0001f61f"});
  CHECK(text(">U1", "(1,)", {0, 0, 0x4e, 0x2d}) == Cells{"\u4e2d"});
  CHECK(text("<U0", "(2,)", {}) == Cells{"", ""});
  CHECK(has(error_of([&] { text("<U1", "(1,)", {0, 0xd8, 0, 0}); }), "0xd800 is no character"));
  CHECK(has(error_of([&] { text("<U1", "(1, 2)", {'a', 0, 0, 0, 'b', 0, 0, 0}); }), "one text a row"));
}

TEST_CASE("IDX: the bytes of the format, plain and gzipped, told by content") {
  // Two images of 1x2 pixels, written out by hand.
  const Bytes images{0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2, 10, 20, 30, 255};
  const Array a = parse_idx(images, "x");
  CHECK(a.shape() == Shape{2, 1, 2});
  CHECK(a.as<std::uint8_t>()[3] == 255);
  CHECK(to_idx(a) == images);
  const Bytes numbers{0, 0, 0x0C, 1, 0, 0, 0, 2, 0, 0, 1, 2, 0xff, 0xff, 0xff, 0xfe};
  CHECK(parse_idx(numbers, "x").as<std::int32_t>()[0] == 258);
  CHECK(parse_idx(numbers, "x").as<std::int32_t>()[1] == -2);
  const Bytes floats{0, 0, 0x0D, 1, 0, 0, 0, 1, 0xC0, 0x20, 0, 0};
  CHECK(parse_idx(floats, "x").as<float>()[0] == -2.5f);
  const Bytes doubles{0, 0, 0x0E, 1, 0, 0, 0, 1, 0x40, 4, 0, 0, 0, 0, 0, 0};
  CHECK(parse_idx(doubles, "x").as<double>()[0] == 2.5);
  for (const Bytes& b : {images, numbers, floats, doubles}) {
    CHECK(to_idx(parse_idx(b, "x")) == b);
    torture(b, parse_idx);
  }
  const TempFolder t;
  write_idx(t / "a.gz", a);
  write_idx(t / "a", a);
  CHECK(is_gzip(read_file(t / "a.gz")));
  CHECK(read_file(t / "a") == images);
  CHECK(same(read_idx(t / "a.gz"), a));
  CHECK(same(read_idx(t / "a"), a));
  write_file_atomic(t / "b", gzip(images));
  CHECK(same(read_idx(t / "b"), a));
}

TEST_CASE("IDX: lies are refused with the file's name") {
  const auto refusal = [](const Bytes& b) { return error_of([&] { parse_idx(b, "l.idx"); }); };
  CHECK(has(refusal({0, 1, 8, 1, 0, 0, 0, 0}), "l.idx: not a sound IDX file: it does not begin"));
  CHECK(has(refusal({0, 0, 0x0B, 1, 0, 0, 0, 0}), "0x0b is not supported"));
  CHECK(has(refusal({0, 0, 8, 0}), "rank 0"));
  CHECK(has(refusal({0, 0, 8, 9}), "rank 9"));
  CHECK(has(refusal({0, 0, 8, 2, 0, 0, 0}), "within its header"));
  CHECK(has(refusal({0, 0, 8, 3, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255}), "too many elements"));
  CHECK(has(refusal({0, 0, 8, 1, 255, 255, 255, 255}), "takes 4294967295 bytes, the file has 0"));
  CHECK(has(error_of([&] { to_idx(Array(DType::i64, {1})); }), "cast"));
  const TempFolder t;
  Bytes packed = gzip(to_idx(Array(DType::u8, {100})));
  packed.erase(packed.end() - 5, packed.end());
  write_file_atomic(t / "cut.gz", packed);
  CHECK(has(error_of([&] { read_idx(t / "cut.gz"); }), "cut.gz: gzip stream ends too early"));
  CHECK(has(error_of([&] { read_idx(t / "none"); }), "none: cannot be opened"));
}

TEST_CASE("CIFAR: planes become interleaved pixels, labels are checked") {
  const TempFolder t;
  Rng rng(1);
  for (const bool hundred : {false, true}) {
    const std::size_t head = hundred ? 2 : 1, record = head + 3072;
    Bytes file(3 * record);
    for (auto& b : file) b = static_cast<std::uint8_t>(rng.below(256));
    for (std::size_t i = 0; i < 3; ++i) {
      file[i * record] = static_cast<std::uint8_t>(i + 7);
      if (hundred) file[i * record + 1] = static_cast<std::uint8_t>(97 + i);
    }
    const auto read = [&] { return hundred ? read_cifar100(t / "b.bin") : read_cifar10(t / "b.bin"); };
    write_file_atomic(t / "b.bin", file);
    const CifarBatch batch = read();
    CHECK(batch.images.shape() == Shape{3, 32, 32, 3});
    CHECK(batch.labels == (hundred ? std::vector<int>{97, 98, 99} : std::vector<int>{7, 8, 9}));
    CHECK(batch.coarse == (hundred ? std::vector<int>{7, 8, 9} : std::vector<int>{}));
    const auto pixels = batch.images.as<std::uint8_t>();
    std::size_t wrong = 0, planar = 0;
    for (std::size_t n = 0; n < 3; ++n) {
      for (std::size_t y = 0; y < 32; ++y) {
        for (std::size_t x = 0; x < 32; ++x) {
          for (std::size_t c = 0; c < 3; ++c) {
            const std::uint8_t value = pixels[((n * 32 + y) * 32 + x) * 3 + c];
            wrong += value != file[n * record + head + c * 1024 + y * 32 + x];
            planar += value != file[n * record + head + (y * 32 + x) * 3 + c];
          }
        }
      }
    }
    CHECK(wrong == 0);
    CHECK(planar > 0);  // the wrong reading would be noticed
    file[record] = 200;
    write_file_atomic(t / "b.bin", file);
    CHECK(has(error_of(read), "b.bin: record 1 has label 200"));
    file.pop_back();
    write_file_atomic(t / "b.bin", file);
    CHECK(has(error_of(read), "b.bin: " + std::to_string(file.size()) + " bytes are not a whole number"));
    write_file_atomic(t / "b.bin", Bytes{});
    CHECK_FALSE(error_of(read).empty());
  }
}
