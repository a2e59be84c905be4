#include "nn/data/class_names.hpp"

#include <algorithm>
#include <charconv>
#include <optional>
#include <set>
#include <utility>

#include "engine/io/file.hpp"
#include "engine/io/json.hpp"
#include "nn/data/alike_names.hpp"

namespace akin {

namespace {

/// "3, cat" or "3 cat".
struct Numbered {
  std::size_t number = 0;
  std::string name;
  bool by_mark = false;  // a comma or its like, not a blank alone
};

constexpr std::string_view kBlanks = " \t", kMarks = ",;:\t";

std::optional<Numbered> numbered(const std::string& line) {
  Numbered out;
  const auto [at, error] = std::from_chars(line.data(), line.data() + line.size(), out.number);
  const auto digits = static_cast<std::size_t>(at - line.data());
  const std::size_t name = line.find_first_not_of(std::string(kBlanks) + std::string(kMarks), digits);
  if (error != std::errc() || name == std::string::npos || name == digits) return std::nullopt;
  if (line[name] >= '0' && line[name] <= '9') return std::nullopt;  // "1,5-diol", "3:1"
  out.by_mark = line.substr(digits, name - digits).find_first_of(kMarks) != std::string::npos;
  out.name = line.substr(name);
  return out;
}

bool is_title(const std::string& line) {
  const std::size_t mark = line.find_first_of(kMarks);
  static const std::set<std::string> known{"id", "index", "idx", "label", "number", "class", "class_id", "classid"};
  return mark != std::string::npos && known.contains(alike_form(line.substr(0, mark)));
}

/// Takes off numbers that count the lines; names that merely begin with some number stay as they are.
void take_numbers_off(const std::filesystem::path& path, std::vector<std::string>& names) {
  const std::size_t first = names.size() > 2 && is_title(names[0]) && numbered(names[1]) ? 1 : 0;
  std::vector<Numbered> parts;
  for (std::size_t i = first; i < names.size(); ++i) {
    std::optional<Numbered> part = numbered(names[i]);
    if (!part) return;
    parts.push_back(std::move(*part));
  }
  if (parts.size() < 2) return;
  const bool marks = std::all_of(parts.begin(), parts.end(), [](const Numbered& p) { return p.by_mark; });
  std::set<std::size_t> numbers;
  for (const Numbered& part : parts) numbers.insert(part.number);
  const bool distinct = numbers.size() == parts.size(), from_zero = *numbers.begin() == 0;
  const bool gapless = distinct && *numbers.rbegin() - *numbers.begin() + 1 == parts.size();
  // "2 cents" and "1 cent" are names.
  if (!distinct || (!marks && !(from_zero && gapless))) return;
  const std::size_t begin = *numbers.begin() <= 1 ? *numbers.begin() : 0;
  for (std::size_t i = 0; i < parts.size(); ++i)
    AKIN_CHECK(
        parts[i].number == i + begin,
        "{}: line {} has the number {} before its name, but names are taken in the order of the lines: line 1 is "
        "class 0, line 2 class 1; sort the lines, or leave the numbers out",
        path.string(), i + first + 1, parts[i].number);
  names.clear();
  for (Numbered& part : parts) names.push_back(std::move(part.name));
}

}  // namespace

std::vector<std::string> read_names(const std::filesystem::path& path) {
  const std::string text = read_text(path, 1 << 20);
  AKIN_CHECK(text.find('\0') == std::string::npos, "{}: is no plain text (UTF-16?); save it as UTF-8", path.string());
  std::vector<std::string> names;
  std::string line;
  const std::size_t start = text.starts_with("\xEF\xBB\xBF") ? 3 : 0;
  for (std::size_t i = start; i <= text.size(); ++i) {
    if (i < text.size() && text[i] != '\n' && text[i] != '\r') {
      line += text[i];
      continue;
    }
    if (i < text.size() && text[i] == '\r' && i + 1 < text.size() && text[i + 1] == '\n') ++i;
    names.push_back(std::exchange(line, {}));
  }
  while (!names.empty() && names.back().empty()) names.pop_back();
  for (std::size_t i = 0; i < names.size(); ++i) {
    AKIN_CHECK(!names[i].empty(), "{}: line {} is empty, a class name was expected", path.string(), i + 1);
    AKIN_CHECK(is_utf8(names[i]), "{}: line {} is no UTF-8 text; save the file as UTF-8", path.string(), i + 1);
  }
  AKIN_CHECK(!names.empty(), "{}: no class name in it", path.string());
  take_numbers_off(path, names);
  return names;
}

bool is_utf8(std::string_view text) {
  try {
    static_cast<void>(nlohmann::json(text).dump());  // which is how they are written
    return true;
  } catch (const nlohmann::json::type_error&) {
    return false;
  }
}

}  // namespace akin
