#include "nn/data/class_names.hpp"

#include <utility>

#include "engine/io/file.hpp"
#include "engine/io/json.hpp"

namespace akin {

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
