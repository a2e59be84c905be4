// Settings in records: what a student or a source depends on, and what has changed since.
#include <algorithm>
#include <map>
#include <string_view>

#include "distill/student/settings.hpp"
#include "engine/io/sha256.hpp"

namespace akin {

namespace {

Json json_of(const Setting& setting, const Settings& settings) {
  return std::visit(
      [&](auto field) -> Json {
        const auto& value = settings.*field;
        using V = std::decay_t<decltype(value)>;
        if constexpr (std::is_same_v<V, double>) {
          if (std::isinf(value)) return "inf";
        }
        if constexpr (std::is_same_v<V, std::string>) {
          if (setting.range.file && !value.empty())
            return settings.files ? settings.files->of(value) : digest_of_model(value);
        }
        return value;
      },
      setting.field);
}

void flatten(const Json& j, const std::string& path, std::map<std::string, std::string>& out) {
  if (!j.is_object()) {
    out[path] = j.dump(-1, ' ', false, Json::error_handler_t::replace);
    return;
  }
  for (const auto& [key, value] : j.items()) flatten(value, path.empty() ? key : path + "." + key, out);
}

/// The values of a record of any age as records of today have them: flip was true or false once.
void renew(std::map<std::string, std::string>& record) {
  for (auto& [path, value] : record)
    if (path == "flip" || path.ends_with(".flip"))
      value = value == "true" ? "\"h\"" : value == "false" ? "\"none\"" : value;
}

/// Whether a record without this setting is older than it, and was made as its default says.
bool was_default(const std::string& path, const std::string& value) {
  const std::string name = path.substr(path.rfind('.') + 1);
  const std::span<const Setting> all = setting_list();
  return std::any_of(all.begin(), all.end(),
                     [&](const Setting& s) { return s.later && name == s.name && json_of(s, {}).dump() == value; });
}

/// A SHA-256 in quotes.
bool is_digest(const std::string& text) {
  return text.size() == 66 && text.find_first_not_of("0123456789abcdef", 1) == 65;
}

}  // namespace

Json settings_of_student(const Settings& settings, const MethodTraits& method, bool files) {
  Json out = Json::object();
  for (const Setting& s : setting_list())
    if (s.name != nullptr && s.matters != nullptr && s.matters(method, settings) && (files || !s.range.file))
      out[s.name] = json_of(s, settings);
  return out;
}

Json settings_of_source(const Settings& settings) {
  Json out = Json::object();
  for (const Setting& s : setting_list()) {
    const bool matters = s.matters != nullptr || s.name == nullptr;  // what only a source has counts for it
    if (s.source != nullptr && matters) out[s.source] = json_of(s, settings);
  }
  return out;
}

std::string settings_changes(const Json& before, const Json& now) {
  std::map<std::string, std::string> a, b;
  flatten(before, "", a);
  flatten(now, "", b);
  renew(a);
  std::vector<std::string> changes;
  for (const auto& [key, value] : b) {
    const auto it = a.find(key);
    if (it == a.end() && was_default(key, value)) continue;
    if (it == a.end())
      changes.push_back(is_digest(value) ? key + " is new" : fmt::format("{} is new ({})", key, value));
    else if (it->second != value)
      changes.push_back(is_digest(value) && is_digest(it->second)
                            ? key + ": other content"
                            : fmt::format("{} was {} and is {}", key, it->second, value));
  }
  for (const auto& [key, value] : a)
    if (!b.contains(key)) changes.push_back(key + " is gone");
  return fmt::format("{}", fmt::join(changes, ", "));
}

}  // namespace akin
