#include <doctest/doctest.h>

#include <random>

#include "engine/io/json.hpp"
#include "engine/io/text.hpp"
#include "kernels/common/rng.hpp"
#include "tests/temp_folder.hpp"

using namespace akin;
using namespace akin::test;

TEST_CASE("JSON: what is no number is null, and null is no number") {
  CHECK(number(0.1) == Json(0.1));
  for (const double v : {double{NAN}, double{INFINITY}, -double{INFINITY}}) CHECK(number(v).is_null());
  CHECK_EQ(number(Json(0.1)), 0.1);
  CHECK_EQ(number(Json(3)), 3.0);
  for (const Json& j : {Json(nullptr), Json("3"), Json::array()}) CHECK(std::isnan(number(j)));
}

TEST_CASE("JSON: bytes that are no UTF-8 do not cost the text") {
  const TempFolder folder;
  const Json j = {{"b", "caf\xe9"}, {"a", 1}};
  CHECK_EQ(json_line(j), "{\"b\":\"caf\xef\xbf\xbd\",\"a\":1}");
  CHECK_EQ(json_text(j), "{\n  \"b\": \"caf\xef\xbf\xbd\",\n  \"a\": 1\n}\n");
  write_json(folder / "j.json", j);
  CHECK_EQ(read_text(folder / "j.json"), "{\n \"b\": \"caf\xef\xbf\xbd\",\n \"a\": 1\n}\n");
}

TEST_CASE("text: any bytes become UTF-8 and come back") {
  CHECK_EQ(text_of_bytes("a \xC3\xBC"), "a \xC3\xBC");
  CHECK_EQ(text_of_bytes("\xFC"), "\xEE\xBF\xBC");  // U+EFFC
  CHECK_EQ(utf8_length("\xE2\x82"), 0u);            // cut off
  const std::uint64_t seed = std::random_device{}();
  Rng random(seed);
  for (int k = 0; k < 20'000; ++k) {
    // Bytes of which characters are made stand beside each other often enough.
    constexpr std::uint8_t kOften[] = {0xEE, 0xBE, 0xBF, 0x80, 0xF0, 0x9F, 0xC3, 'a'};
    std::string bytes;
    for (std::uint32_t i = random.below(12); i > 0; --i)
      bytes += static_cast<char>(random.below(4) == 0 ? random.below(256) : kOften[random.below(8)]);
    const std::string text = text_of_bytes(bytes);
    CAPTURE(seed);
    REQUIRE_EQ(valid_utf8(text), text.size());
    REQUIRE(raw_bytes(text) == bytes);
  }
}
