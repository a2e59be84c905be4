// The digest that akin's own files carry: whatever one flipped bit does to them, it is not taken for what was written.
#include <doctest/doctest.h>

#include <fstream>

#include "engine/io/json.hpp"
#include "tests/temp_folder.hpp"

using namespace akin;
using namespace akin::test;

namespace {

SafeTensors example() {
  SafeTensors file;
  file.add("weight", Array::from(std::vector<float>{1, -2.5f, 3e-9f, 0}, {2, 2}));
  file.add("count", Array::from(std::vector<std::int64_t>{7}, Shape{}));
  file.add("none", Array(DType::u8, {0, 3}));
  file.metadata = {{"format", "test"}, {"note", "a \"quoted\" word"}};
  return file;
}

}  // namespace

TEST_CASE("a sealed safetensors file: no flipped bit, no renamed, reshaped or moved part passes for sound") {
  SafeTensors file = example();
  CHECK(seal_of(file) == Seal::none);
  seal(file);
  CHECK(seal_of(file) == Seal::sound);
  const Bytes bytes = to_safetensors(file);
  SafeTensors back = parse_safetensors(bytes, "memory");
  CHECK(seal_of(back) == Seal::sound);
  check_seal(back, "never said");
  std::size_t refused = 0, broken = 0;
  for (std::size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
    Bytes flipped = bytes;
    flipped[bit / 8] ^= static_cast<std::uint8_t>(1u << bit % 8);
    SafeTensors read;
    try {
      read = parse_safetensors(flipped, "memory");
    } catch (const Error&) {
      ++refused;
      continue;
    }
    CAPTURE(bit);
    CHECK(seal_of(read) != Seal::sound);
    if (seal_of(read) == Seal::broken) ++broken;
  }
  CHECK(refused + broken + 8 * std::string("sha256").size() >= 8 * bytes.size());  // none: the digest's own name
  CHECK(broken > 8 * 24);                                                          // all of the numbers

  const auto changed = [&](const std::function<void(SafeTensors&)>& change) {
    SafeTensors other = file;
    change(other);
    return seal_of(other);
  };
  CHECK(changed([](SafeTensors& t) { std::swap(t.tensors[0], t.tensors[1]); }) == Seal::sound);  // order says nothing
  CHECK(changed([](SafeTensors& t) { t.tensors[0].second = t.tensors[0].second.reshaped({4}); }) == Seal::broken);
  CHECK(changed([](SafeTensors& t) { t.tensors[0].first = "weights"; }) == Seal::broken);
  CHECK(changed([](SafeTensors& t) { t.tensors.pop_back(); }) == Seal::broken);
  CHECK(changed([](SafeTensors& t) { t.metadata["note"] = ""; }) == Seal::broken);
  CHECK(changed([](SafeTensors& t) { t.metadata["more"] = ""; }) == Seal::broken);
  CHECK(changed([](SafeTensors& t) { t.tensors[0].second = t.tensors[0].second.cast(DType::f64); }) == Seal::broken);
  back.tensors[0].second.bytes()[0] ^= std::byte{1};
  CHECK(has(error_of([&] { check_seal(back, "train it again"); }), "train it again"));
}

TEST_CASE("a sealed JSON file: read back without its digest; every flipped bit is told of") {
  const TempFolder folder;
  const std::filesystem::path path = folder / "record.json";
  const Json content = {{"format", "test"}, {"values", {0.1, -0.0, 1e300, nullptr, 7}}, {"name", "b\xff\"\\\n\u00e9"}};
  write_sealed(path, content);
  const std::string text = read_text(path);
  const std::optional<Json> back = read_sealed(path, [](const std::string& line) { FAIL(line); });
  REQUIRE(back);
  CHECK_EQ(json_line(*back), json_line(content));
  CHECK_FALSE(read_sealed(folder / "none.json", [](const std::string& line) { FAIL(line); }));
  std::size_t refused = 0;
  for (std::size_t bit = 0; bit < 8 * text.size(); ++bit) {
    std::string flipped = text;
    flipped[bit / 8] = static_cast<char>(static_cast<unsigned char>(flipped[bit / 8]) ^ (1u << bit % 8));
    std::ofstream(path, std::ios::binary) << flipped;
    std::string told;
    CAPTURE(bit);
    const std::optional<Json> read = read_sealed(path, [&](const std::string& line) { told = line; });
    if (read)
      CHECK_EQ(json_line(*read), json_line(*back));  // 1E300 for 1e300: the same
    else
      CHECK(has(told, "record.json"));
    refused += !read;
  }
  CHECK(refused > 8 * text.size() - 9);
}

TEST_CASE("a file nested so deep that walking it would exhaust the stack is a damaged one") {
  const TempFolder folder;
  const std::filesystem::path file = folder / "deep.json";
  write_file_atomic(file, "{\"sha256\": \"x\", \"a\": " + std::string(300000, '[') + std::string(300000, ']') + "}");
  std::string told;
  CHECK_FALSE(read_sealed(file, [&](const std::string& line) { told = line; }).has_value());
  CHECK(has(told, "deep.json"));
  CHECK(json_or_null("[1, 2").is_null());
  CHECK_EQ(json_or_null("[1, 2]").size(), 2);
}
