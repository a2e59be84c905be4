// Members of a JSON object with errors that name the file and the path inside it.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "distill/report/figures.hpp"
#include "engine/io/json.hpp"
#include "kernels/common/error.hpp"

namespace akin {

class JsonReader {
 public:
  JsonReader(const Json& json, std::string where) : json_(json), where_(std::move(where)) {}

  JsonReader at(const char* key) const {
    AKIN_CHECK(json_.is_object(), "{}: expected an object", where_);
    const auto it = json_.find(key);
    AKIN_CHECK(it != json_.end(), "{}: \"{}\" is missing (written by another version? run the experiment again)",
               where_, key);
    return JsonReader(*it, where_ + "." + key);
  }
  bool has(const char* key) const { return json_.is_object() && json_.contains(key); }
  template <class T>
  T get(const char* key) const {
    return at(key).as<T>();
  }
  template <class T>
  T as() const {
    if constexpr (std::is_same_v<T, std::string>) {
      AKIN_CHECK(json_.is_string(), "{}: expected text, found {}", where_, json_.type_name());
    } else if constexpr (std::is_floating_point_v<T>) {
      if (json_.is_null()) return not_measured;
      AKIN_CHECK(json_.is_number(), "{}: expected a number or null, found {}", where_, json_.type_name());
    } else {
      AKIN_CHECK(json_.is_number_integer(), "{}: expected a whole number, found {}", where_, json_.type_name());
      const bool fits = json_.is_number_unsigned() ? std::in_range<T>(json_.get<std::uint64_t>())
                                                   : std::in_range<T>(json_.get<std::int64_t>());
      AKIN_CHECK(fits, "{}: {} is out of range", where_, json_.dump());
    }
    return json_.get<T>();
  }
  template <class F>
  auto list(const char* key, F read) const {
    const JsonReader member = at(key);
    AKIN_CHECK(member.json_.is_array(), "{}: expected a list, found {}", member.where_, member.json_.type_name());
    std::vector<decltype(read(member))> out;
    for (std::size_t i = 0; i < member.json_.size(); ++i) {
      out.push_back(read(member.item(i)));
    }
    return out;
  }
  template <class T>
  std::vector<T> list_of(const char* key) const {
    return list(key, [](const JsonReader& r) { return r.as<T>(); });
  }
  std::vector<std::pair<std::string, std::string>> pairs(const char* key) const {
    return list(key, [](const JsonReader& r) {
      AKIN_CHECK(r.size() == 2, "{}: expected a pair of texts", r.where_);
      return std::pair(r.item(0).as<std::string>(), r.item(1).as<std::string>());
    });
  }
  /// Items of a list; 0 for anything else.
  std::size_t size() const { return json_.is_array() ? json_.size() : 0; }
  JsonReader item(std::size_t i) const { return JsonReader(json_[i], fmt::format("{}[{}]", where_, i)); }
  const std::string& where() const { return where_; }

 private:
  const Json& json_;
  std::string where_;
};

}  // namespace akin
