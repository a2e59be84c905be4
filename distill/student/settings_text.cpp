// Values of settings as people write them.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>

#include "distill/student/settings.hpp"
#include "engine/io/nearest_name.hpp"

namespace akin {

namespace {

template <class V>
std::optional<V> parsed(const std::string& text) {
  V value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() ? std::optional(value) : std::nullopt;
}

template <class V>
bool within(const Range& r, V value) {
  const auto v = static_cast<double>(value);
  if (std::isinf(v)) return r.infinite && v > 0;
  return (r.below ? v < r.high : v <= r.high) && (r.above ? v > r.low : v >= r.low);  // false for NaN
}

}  // namespace

std::string option_of(std::string_view name) {
  std::string option = "--" + std::string(name);
  std::replace(option.begin(), option.end(), '_', '-');
  return option;
}

std::string range_text(const Setting& s) {
  const Range& r = s.range;
  if (std::holds_alternative<bool Settings::*>(s.field)) return "true or false";
  if (!r.choices.empty()) {
    std::vector<std::string> some = r.choices;
    std::erase(some, "");
    return fmt::format("{}{}", fmt::join(some, " or "), some.size() < r.choices.size() ? ", or empty" : "");
  }
  if (r.file) return "file";
  if (std::holds_alternative<std::string Settings::*>(s.field)) return "name";
  const char* number = std::holds_alternative<std::int64_t Settings::*>(s.field) ? "whole number" : "number";
  if (r.below) return fmt::format("{} from {}, below {}", number, r.low, r.high);
  if (r.high == 0x1p63) return fmt::format("{} from {} to {}", number, r.low, std::numeric_limits<std::int64_t>::max());
  if (r.high < Range{}.high)
    return fmt::format("{} from {} to {}", number, r.low,
                       r.high < 1e9 ? fmt::format("{}", r.high) : fmt::format("{:g}", r.high));
  return fmt::format("{} {} {:g}{}", number, r.above ? "above" : "from", r.low, r.infinite ? ", or inf" : "");
}

std::string problem_of(const Setting& s, const std::string& text) {
  const auto no = [&] { return fmt::format("'{}' is no {}", text, range_text(s)); };
  return std::visit(
      [&](auto field) -> std::string {
        using V = std::decay_t<decltype(std::declval<Settings>().*field)>;
        if constexpr (std::is_same_v<V, bool>) {
          return text == "true" || text == "false" ? "" : fmt::format("'{}' is neither true nor false", text);
        } else if constexpr (std::is_same_v<V, std::string>) {
          if (s.range.problem != nullptr) return s.range.problem(text);
          const auto& c = s.range.choices;
          if (c.empty() || std::find(c.begin(), c.end(), text) != c.end()) return "";
          return fmt::format("'{}' is not {}{}", text, range_text(s), did_you_mean(text, c));
        } else {
          const std::optional<V> value = parsed<V>(text);
          return value && within(s.range, *value) ? "" : no();
        }
      },
      s.field);
}

std::string text_of(const Setting& s, const Settings& settings) {
  return std::visit([&](auto field) { return fmt::format("{}", settings.*field); }, s.field);
}

}  // namespace akin
