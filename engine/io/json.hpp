// JSON as akin writes it. For .cpp files: the library behind it is large.
#pragma once

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>

#include "engine/io/file.hpp"

namespace akin {

using Json = nlohmann::ordered_json;

/// null where `v` is not finite, which JSON cannot say.
inline Json number(double v) { return std::isfinite(v) ? Json(v) : Json(nullptr); }
/// NaN where there is no number.
inline double number(const Json& j) {
  return j.is_number() ? j.get<double>() : std::numeric_limits<double>::quiet_NaN();
}

/// On one line. Names of classes and files may hold any bytes: what is no UTF-8 is replaced, here and below.
inline std::string json_line(const Json& j) { return j.dump(-1, ' ', false, Json::error_handler_t::replace); }
/// Indented by `indent` spaces a level, ends with a line break.
inline std::string json_text(const Json& j, int indent = 2) {
  return j.dump(indent, ' ', false, Json::error_handler_t::replace) + "\n";
}
inline void write_json(const std::filesystem::path& path, const Json& j) {
  write_file_atomic(path, std::string_view(json_text(j, 1)));
}

}  // namespace akin
