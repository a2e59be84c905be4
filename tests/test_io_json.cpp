#include <doctest/doctest.h>

#include "engine/io/json.hpp"
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
