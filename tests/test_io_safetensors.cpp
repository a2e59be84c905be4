#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "engine/io/safetensors.hpp"
#include "tests/temp_folder.hpp"

using namespace akin;
using akin::test::error_of;
using akin::test::has;
using akin::test::TempFolder;

namespace {

const std::string kGolden = std::string(AKIN_SOURCE_DIR) + "/tests/golden/golden.safetensors";

/// A file with this header (as written, unpadded) and this many zero bytes of data.
Bytes file_with(const std::string& header, std::size_t data) {
  Bytes b(8 + header.size() + data);
  const std::uint64_t n = header.size();
  std::memcpy(b.data(), &n, 8);
  std::memcpy(b.data() + 8, header.data(), header.size());
  return b;
}

std::string refusal(const std::string& header, std::size_t data) {
  return error_of([&] { parse_safetensors(file_with(header, data), "w.safetensors"); });
}

std::string tensor(const std::string& name, const std::string& dtype, const std::string& shape,
                   const std::string& offsets) {
  return fmt::format(R"("{}":{{"dtype":"{}","shape":{},"data_offsets":{}}})", name, dtype, shape, offsets);
}

SafeTensors sample() {
  SafeTensors s;
  s.metadata = {{"format", "pt"}, {"note", "a \"quoted\"\nline"}};
  s.add("fc.bias", Array::from<float>({1.5f, -2.0f, std::numeric_limits<float>::quiet_NaN()}, {3}));
  s.add("bn1.num_batches_tracked", Array::from<std::int64_t>({7}, Shape(std::vector<std::int64_t>{})));
  s.add("mask", Array::from<std::uint8_t>({1, 2, 3, 4, 5}, {5, 1}));
  s.add("none", Array(DType::f64, {0, 3}));
  return s;
}

}  // namespace

TEST_CASE("a file written by numpy is read with its types, shapes and values") {
  const SafeTensors s = read_safetensors(kGolden);
  CHECK(s.tensors.size() == 10);
  CHECK(s.tensors[0].first == "conv1.weight");
  CHECK(s.metadata.at("format") == "pt");
  CHECK(s.metadata.at("caf\u00e9") == "\u03b1\u03b2");
  const Array& w = s.at("conv1.weight");
  CHECK(w.shape() == Shape{2, 3});
  for (std::size_t i = 0; i < 6; ++i) CHECK(w.as<float>()[i] == (static_cast<float>(i) - 2.5f) / 4);
  const auto half = s.at("half").as<float>();
  CHECK(half[0] == 0.0999755859375f);  // the half nearest 0.1: 1638 * 2^-14
  CHECK(half[1] == -65504.0f);
  CHECK(half[2] == 0x1p-24f);  // subnormal
  CHECK(std::isinf(half[3]));
  const Array brain = s.at("brain").cast(DType::f32);
  CHECK(s.at("brain").dtype() == DType::bf16);
  CHECK(brain.as<float>()[1] == -2.5f);
  CHECK(brain.as<float>()[2] == 3.140625f);
  CHECK(s.at("double").as<double>()[0] == 3.14159265358979323846);
  CHECK(s.at("bytes").as<std::uint8_t>()[4] == 4);
  CHECK(s.at("small").as<std::int32_t>()[0] == -128);
  CHECK(s.at("int").as<std::int32_t>()[1] == 2147483647);
  CHECK(s.at("bn1.num_batches_tracked").shape().rank() == 0);
  CHECK(s.at("bn1.num_batches_tracked").as<std::int64_t>()[0] == -(std::int64_t{1} << 62));
  CHECK(s.at("flag").as<std::uint8_t>()[0] == 1);
  CHECK(s.at("empty").shape() == Shape{0, 4});
  const std::string message = error_of([&] { s.at("fc.weight"); });
  CHECK(has(message, "golden.safetensors: no tensor \"fc.weight\"; the file holds 10 tensors: conv1.weight"));
}

TEST_CASE("round trip through a file keeps bits, NaN and metadata; equal content gives equal bytes") {
  const TempFolder t;
  const SafeTensors s = sample();
  write_safetensors(t / "m.safetensors", s);
  const SafeTensors back = read_safetensors(t / "m.safetensors");
  CHECK(back.metadata == s.metadata);
  CHECK(back.tensors.size() == s.tensors.size());
  for (const auto& [name, array] : s.tensors) {
    const Array& b = back.at(name);
    CHECK(b.dtype() == array.dtype());
    CHECK(b.shape() == array.shape());
    CHECK((array.byte_size() == 0 || std::memcmp(b.bytes(), array.bytes(), array.byte_size()) == 0));
  }
  SafeTensors shuffled;
  shuffled.metadata = s.metadata;
  for (const std::size_t i : {2, 0, 3, 1}) shuffled.add(s.tensors[i].first, s.tensors[i].second);
  const Bytes bytes = read_file(t / "m.safetensors");
  CHECK(to_safetensors(shuffled) == bytes);
  CHECK(to_safetensors(s) == bytes);
  std::uint64_t header = 0;
  std::memcpy(&header, bytes.data(), 8);
  CHECK(header % 8 == 0);
  CHECK(to_safetensors(SafeTensors{}).size() == 16);
  CHECK(parse_safetensors(to_safetensors(SafeTensors{}), "x").tensors.empty());
}

TEST_CASE("every truncation, extension and flipped byte is refused or read, never more") {
  SafeTensors s = sample();
  const Bytes good = to_safetensors(s);
  for (std::size_t n = 0; n < good.size(); ++n) {
    const std::string message = error_of([&] { parse_safetensors(ByteView(good).first(n), "cut.safetensors"); });
    CHECK(has(message, n == 0 ? "cut.safetensors: is no safetensors file but an empty file"
                              : "cut.safetensors: not a sound safetensors file"));
  }
  Bytes longer = good;
  longer.push_back(0);
  CHECK(has(error_of([&] { parse_safetensors(longer, "x"); }), "1 bytes follow the last tensor"));
  for (std::size_t i = 0; i < good.size(); ++i) {
    for (const int flip : {0x01, 0x04, 0x20, 0x80, 0xff}) {
      Bytes bad = good;
      bad[i] = static_cast<std::uint8_t>(bad[i] ^ flip);
      error_of([&] { parse_safetensors(bad, "x"); });  // any other exception fails the test
    }
  }
}

TEST_CASE("every lie of a header is refused with its name") {
  const auto one = [](const std::string& dtype, const std::string& shape, const std::string& offsets) {
    return fmt::format("{{{}}}", tensor("w", dtype, shape, offsets));
  };
  CHECK(refusal(one("F32", "[2]", "[0,8]"), 8).empty());
  CHECK(has(refusal(one("F32", "[2]", "[8,0]"), 8), "lie outside"));
  CHECK(has(refusal(one("F32", "[2]", "[0,8]"), 7), "lie outside"));
  CHECK(has(refusal(one("F32", "[2]", "[4,12]"), 12), "hole"));
  CHECK(has(refusal(one("F32", "[2]", "[0,8]"), 12), "4 bytes follow"));
  CHECK(has(refusal(one("F32", "[3]", "[0,8]"), 8), "takes 12 bytes, data_offsets give it 8"));
  CHECK(has(refusal(one("F32", "[2]", "[-8,0]"), 8), "-8"));
  CHECK(has(refusal(one("F32", "[2]", "[0,8.0]"), 8), "8.0"));
  CHECK(has(refusal(one("F32", "[2]", "[0,18446744073709551615]"), 8), "lie outside"));
  CHECK(has(refusal(one("F32", "[2]", "[0,18446744073709551624]"), 8), "whole number"));  // 2^64 + 8
  CHECK(has(refusal(one("F32", "[2]", "[0,8,8]"), 8), "3 numbers instead of 2"));
  CHECK(has(refusal(one("F32", "[2]", "8"), 8), "not a list"));
  CHECK(has(refusal(one("F32", "[2,[1]]", "[0,8]"), 8), "nested"));
  CHECK(has(refusal(one("F32", "[-2,-1]", "[0,8]"), 8), "-2"));
  CHECK(has(refusal(one("F32", "[true]", "[0,8]"), 8), "true"));
  CHECK(has(refusal(one("F32", "[4294967296,4294967296,2]", "[0,8]"), 8), "too many elements"));
  CHECK(has(refusal(one("F32", "[18446744073709551615]", "[0,8]"), 8), "too large"));
  CHECK(has(refusal(one("F33", "[8]", "[0,8]"), 8), "F33 is not supported"));
  CHECK(has(refusal(one("F33", "[8]", "[0,8]"), 8), "damaged"));
  for (const char* sound : {"F8_E4M3", "F8_E5M2", "F4", "C64"}) {
    const std::string what = refusal(one(sound, "[8]", "[0,8]"), 8);
    CHECK(has(what, fmt::format("of the type {}, which akin does not read; convert it to F32", sound)));
    CHECK_FALSE(has(what, "damaged"));
  }
  CHECK(has(refusal(R"({"w":{"shape":[2],"data_offsets":[0,8]}})", 8), "are needed"));
  CHECK(has(refusal(R"({"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"more":1}})", 8), "unknown key"));
  CHECK(has(refusal(R"({"w":{"dtype":5,"shape":[2],"data_offsets":[0,8]}})", 8), "not a string"));
  CHECK(has(refusal(R"({"w":[1]})", 0), "an object was expected"));
  const std::string a = tensor("a", "F32", "[2]", "[0,8]"), b = tensor("b", "F32", "[2]", "[4,12]");
  CHECK(has(refusal(fmt::format("{{{},{}}}", a, b), 12), "overlap"));
  CHECK(has(refusal(fmt::format("{{{},{}}}", a, tensor("b", "F32", "[2]", "[0,8]")), 8), "overlap"));
  CHECK(has(refusal(fmt::format("{{{},{}}}", a, a), 8), "\"a\" appears twice"));
  CHECK(
      has(refusal(R"({"w":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 8), "\"dtype\" appears"));
  CHECK(has(refusal(R"({"__metadata__":{"a":"x","a":"y"}})", 0), "\"a\" appears twice"));
  CHECK(has(refusal(R"({"__metadata__":{},"__metadata__":{}})", 0), "appears twice"));
  CHECK(has(refusal(R"({"__metadata__":{"a":1}})", 0), "\"a\" is not a string"));
  CHECK(has(refusal(R"({"__metadata__":"x"})", 0), "not an object"));
  CHECK(refusal(R"({"__metadata__":{"a":"x"}}   )", 0).empty());
  CHECK(has(refusal("[]", 0), "begin with"));
  CHECK(has(refusal("", 0), "begin with"));
  CHECK(has(refusal("{} x", 0), "no JSON"));
  CHECK(has(refusal(std::string("{}\0", 3), 0), "zero byte"));
  CHECK(has(refusal("\xEF\xBB\xBF{}", 0), "begin with"));
  CHECK(has(refusal("{\"\xff\":{}}", 0), "no JSON"));
  CHECK(has(refusal(fmt::format(R"({{"a":{})", std::string(100000, '[')), 0), "nested"));
  Bytes flag = file_with(one("BOOL", "[1]", "[0,1]"), 1);
  flag.back() = 2;
  CHECK(has(error_of([&] { parse_safetensors(flag, "x"); }), "BOOL element 0 is 2"));
  Bytes wide = file_with(one("U64", "[1]", "[0,8]"), 8);
  wide.back() = 0x80;
  CHECK(has(error_of([&] { parse_safetensors(wide, "x"); }), "beyond i64"));
  Bytes huge(8);
  const std::uint64_t n = 100'000'001;
  std::memcpy(huge.data(), &n, 8);
  CHECK(has(error_of([&] { parse_safetensors(huge, "x"); }), "above the limit"));
}

TEST_CASE("the writer refuses what the format cannot hold") {
  SafeTensors s;
  s.add("a", Array(DType::f32, {1}));
  CHECK(has(error_of([&] { s.add("a", Array(DType::f32, {1})); }), "there already"));
  s.tensors.emplace_back("a", Array(DType::f32, {1}));
  CHECK(has(error_of([&] { to_safetensors(s); }), "used twice"));
  s.tensors[1].first = "__metadata__";
  CHECK(has(error_of([&] { to_safetensors(s); }), "reserved"));
  s.tensors[1].first.assign(1, '\xff');
  CHECK(has(error_of([&] { to_safetensors(s); }), "UTF-8"));
  const TempFolder t;
  CHECK(has(error_of([&] { write_safetensors(t / "x.safetensors", s); }), "UTF-8"));
  CHECK(std::filesystem::is_empty(t.path()));
}

TEST_CASE("check_finite names tensor, element and file") {
  Array a = Array::from<float>({1, 2, 3}, {3});
  CHECK_NOTHROW(check_finite(a, "w", "f"));
  a.as<float>()[2] = std::numeric_limits<float>::quiet_NaN();
  CHECK(has(error_of([&] { check_finite(a, "w", "m.safetensors"); }),
            "m.safetensors: tensor \"w\" holds nan at element 2"));
  CHECK_FALSE(error_of([&] { check_finite(Array::from<double>({HUGE_VAL}, {1}), "w", "f"); }).empty());
  Array brain(DType::bf16, {2});
  CHECK_NOTHROW(check_finite(brain, "w", "f"));
  const std::uint16_t infinity = 0x7f80;
  std::memcpy(brain.bytes() + 2, &infinity, 2);
  CHECK(has(error_of([&] { check_finite(brain, "w", "f"); }), "element 1"));
  CHECK_NOTHROW(check_finite(Array(DType::i64, {2}), "w", "f"));
}
