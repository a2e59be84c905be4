#include "engine/io/json.hpp"

#include <algorithm>
#include <set>
#include <vector>

namespace akin {

Json parse_json(std::string_view text, const std::string& where, int max_depth) {
  std::vector<std::set<std::string>> keys;
  const auto watch = [&](int depth, Json::parse_event_t event, Json& value) {
    if (event == Json::parse_event_t::object_start || event == Json::parse_event_t::array_start) {
      AKIN_CHECK(depth < max_depth, "{}: is nested deeper than {} levels (damaged?)", where, max_depth);
      if (event == Json::parse_event_t::object_start) keys.emplace_back();
    } else if (event == Json::parse_event_t::object_end) {
      keys.pop_back();
    } else if (event == Json::parse_event_t::key) {
      const auto key = value.get<std::string>();
      AKIN_CHECK(keys.back().insert(key).second, "{}: key \"{}\" appears twice in one object", where, key);
    }
    return true;
  };
  // The parser would take a zero byte for the end of the text.
  AKIN_CHECK(std::find(text.begin(), text.end(), '\0') == text.end(), "{}: is no JSON: it holds a zero byte", where);
  try {
    return Json::parse(text.begin(), text.end(), watch);
  } catch (const Json::exception& e) {
    fail("{}: is no JSON: {}", where, json_reason(e));
  }
}

Json json_or_null(std::string_view text) {
  try {
    return parse_json(text, "");
  } catch (const Error&) {
    return nullptr;
  }
}

std::string json_reason(const std::exception& e) {
  const std::string_view what = e.what();  // "[json.exception.parse_error.101] parse error at line 1, column 2: ..."
  const std::size_t end = what.find("] ");
  return std::string(end == std::string_view::npos ? what : what.substr(end + 2));
}

std::int64_t whole_number(const Json& j, const std::string& where, std::int64_t low, std::int64_t high) {
  const bool fits = j.is_number_unsigned()
                        ? j.get<std::uint64_t>() <= static_cast<std::uint64_t>(std::max<std::int64_t>(high, 0))
                    : j.is_number_integer() ? j.get<std::int64_t>() <= high
                                            : false;
  AKIN_CHECK(fits && j.get<std::int64_t>() >= low, "{} is {}, a whole number from {} to {} was expected", where,
             j.dump(-1, ' ', false, Json::error_handler_t::replace).substr(0, 40), low, high);
  return j.get<std::int64_t>();
}

}  // namespace akin
