// JSON as akin writes it. For .cpp files: the library behind it is large.
#pragma once

#include <cmath>
#include <functional>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "engine/io/seal.hpp"

namespace akin {

using Json = nlohmann::ordered_json;

/// null where `v` is not finite, which JSON cannot say.
inline Json number(double v) { return std::isfinite(v) ? Json(v) : Json(nullptr); }
/// NaN where there is no number.
inline double number(const Json& j) {
  return j.is_number() ? j.get<double>() : std::numeric_limits<double>::quiet_NaN();
}

/// Strict where the library behind it is not: refuses a key that stands twice in one object, nesting deeper than
/// `max_depth` (walking such a value would exhaust the stack) and zero bytes. Errors begin with `where`.
Json parse_json(std::string_view text, const std::string& where, int max_depth = 64);
/// The same; null where the text is none.
Json json_or_null(std::string_view text);
/// What an exception of the library says, without its number.
std::string json_reason(const std::exception& e);

/// A whole number in low..high. Error, beginning with `where`, for any other value: 2.5, 1e80, "7".
std::int64_t whole_number(const Json& j, const std::string& where,
                          std::int64_t low = std::numeric_limits<std::int64_t>::min(),
                          std::int64_t high = std::numeric_limits<std::int64_t>::max());

/// On one line. Names of classes and files may hold any bytes: what is no UTF-8 is replaced, here and below.
inline std::string json_line(const Json& j) { return j.dump(-1, ' ', false, Json::error_handler_t::replace); }
/// Indented by `indent` spaces a level, ends with a line break.
inline std::string json_text(const Json& j, int indent = 2) {
  return j.dump(indent, ' ', false, Json::error_handler_t::replace) + "\n";
}
inline void write_json(const std::filesystem::path& path, const Json& j) {
  write_file_atomic(path, std::string_view(json_text(j, 1)));
}

/// Adds the digest of an object as its last member, "sha256" (see seal.hpp).
void seal(Json& object);
Seal seal_of(const Json& object);
void write_sealed(const std::filesystem::path& path, Json object);
/// What write_sealed wrote, without the digest; nothing where there is no file, or one that is damaged: `tell` is then
/// given a line that names the file and the reason.
std::optional<Json> read_sealed(const std::filesystem::path& path,
                                const std::function<void(const std::string&)>& tell = {});

}  // namespace akin
