#include "apps/config_file.hpp"

#include <algorithm>
#include <charconv>
#include <istream>

#include "distill/task/settings_file.hpp"
#include "engine/build_info.hpp"
#include "engine/io/text.hpp"

namespace akin {

namespace {

constexpr std::size_t kMaxBytes = 1 << 20;

std::string value_text(const Json& v) {
  if (v.is_string()) return raw_bytes(v.get<std::string>());
  if (v.is_number_float()) return fmt::format("{}", v.get<double>());
  return json_line(v);
}

/// A TOML basic string of any bytes.
std::string toml_text(const std::string& text) {
  std::string out = "\"";
  for (const char c : text_of_bytes(text)) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\')
      out += std::string("\\") + c;
    else if (byte < 0x20 || byte == 0x7f)
      out += fmt::format("\\u{:04x}", byte);
    else
      out += c;
  }
  return out + "\"";
}

/// Whether an option was given that goes without this one, as --labels without --labels-per-class.
bool is_excluded(const CLI::Option& option) {
  const auto others = option.get_excludes();
  return std::any_of(others.begin(), others.end(), [](const CLI::Option* other) { return other->count() > 0; });
}

bool is_plain(const std::string& text) {
  if (text == "true" || text == "false" || text == "inf" || text == "-inf" || text == "nan") return true;
  if (text.empty() || text.find_first_not_of("0123456789+-.eE") != std::string::npos) return false;
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const std::size_t digits = text.find_first_not_of("-");
  const bool leading_zero = digits != std::string::npos && text[digits] == '0' && digits + 1 < text.size() &&
                            text[digits + 1] >= '0' && text[digits + 1] <= '9';  // no number in TOML
  const bool open = text.ends_with('.') || text.find(".e") != std::string::npos || text[digits] == '.';
  return error == std::errc() && end == text.data() + text.size() && !leading_zero && !open;
}

std::string shown(const std::string& value) { return is_plain(value) ? value : toml_text(value); }

}  // namespace

std::vector<CLI::ConfigItem> ConfigFile::from_config(std::istream& in) const {
  std::string text(kMaxBytes + 1, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(in.gcount()));
  const std::string where = "--config: " + file_;
  if (text.size() > kMaxBytes)
    fail_usage("{}: longer than {} bytes, which no file of settings is; is it the right file?", where, kMaxBytes);
  const std::vector<const CLI::App*> commands = app_.get_subcommands([](const CLI::App* a) { return a->parsed(); });
  const CLI::App* command = commands.empty() ? &app_ : commands.front();
  const std::string name = command->get_name();
  std::vector<CLI::ConfigItem> found;
  const auto add = [&](const std::string& key, const Json& value) {
    const CLI::Option* option = command->get_option_no_throw("--" + key);
    if (option != nullptr && is_excluded(*option)) return;  // the command line wins
    CLI::ConfigItem item;
    item.parents = {name};
    item.name = key;
    if (value.is_array())
      for (const Json& v : value) item.inputs.push_back(value_text(v));
    else
      item.inputs.push_back(value_text(value));
    if (!item.inputs.empty()) found.push_back(std::move(item));  // []: as if it were not there
  };
  const Json table = parse_toml(text, where);
  for (const auto& [key, value] : table.items()) {
    if (!value.is_object()) {
      add(key, value);
      continue;
    }
    if (key != name) fail_usage("{}: holds [{}], the settings of another command than {}", where, key, name);
    for (const auto& [own, v] : value.items()) {
      if (v.is_object()) fail_usage("{}: a table [{}.{}] stands where a value is expected", where, key, own);
      add(own, v);
    }
  }
  return found;
}

std::string config_text(const CLI::App& app) {
  std::string text = fmt::format("# {}\n[{}]\n", version_line(), app.get_name());
  for (const CLI::Option* option : app.get_options()) {
    if (!option->get_configurable() || option->get_lnames().empty()) continue;
    const std::string& name = option->get_lnames().front();
    std::vector<std::string> values;
    if (option->count() > 0)
      values = option->reduced_results();
    else if (!option->get_default_str().empty() && !is_excluded(*option))
      values = {option->get_default_str()};
    const bool is_flag = option->get_expected_min() == 0;
    if (is_flag && values.empty()) values = {"false"};
    if (values.empty()) continue;
    if (is_flag || option->get_items_expected_max() == 1) {
      text += fmt::format("{}={}\n", name, shown(values.front()));
      continue;
    }
    text += name + "=[";
    for (std::size_t i = 0; i < values.size(); ++i) text += (i > 0 ? ", " : "") + toml_text(values[i]);
    text += "]\n";
  }
  return text;
}

}  // namespace akin
