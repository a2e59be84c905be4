#include "apps/config_file.hpp"

#include <functional>
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

/// Of a flag, or of an option whose variable is a number (CLI11 names its type).
bool is_plain(const CLI::Option& option) {
  const std::string type = option.get_type_name().substr(0, option.get_type_name().find(':'));  // validators follow
  return option.get_expected_min() == 0 || type == "INT" || type == "UINT" || type == "FLOAT";
}

/// Whether TOML gives the text back as it is where it stands without quotes: not 1.10, nor what is no number in TOML.
bool survives_plain(const std::string& text) {
  try {
    return value_text(parse_toml("value = " + text, "").at("value")) == text;
  } catch (const UsageError&) {
    return false;
  }
}

std::string shown(const CLI::Option& option, const std::string& value) {
  return is_plain(option) && survives_plain(value) ? value : toml_text(value);
}

std::vector<const CLI::App*> parsed_in(const CLI::App& app) {
  return app.get_subcommands([](const CLI::App* a) { return a->parsed(); });
}

}  // namespace

std::vector<CLI::ConfigItem> ConfigFile::from_config(std::istream& in) const {
  std::string text(kMaxBytes + 1, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(in.gcount()));
  const std::string where = "--config: " + file_;
  if (text.size() > kMaxBytes)
    fail_usage("{}: longer than {} bytes, which no file of settings is; is it the right file?", where, kMaxBytes);
  const CLI::App* command = &app_;
  for (auto next = parsed_in(app_); !next.empty(); next = parsed_in(*command)) command = next.front();
  const std::vector<std::string> names = command_path(*command);
  std::vector<CLI::ConfigItem> found;
  const auto add = [&](const std::string& key, const Json& value) {
    CLI::ConfigItem item;
    item.parents = names;
    item.name = key;
    const CLI::Option* option = command->get_option_no_throw("--" + key);
    const Json values = value.is_array() ? value : Json::array({value});
    for (const Json& v : values) {
      if (v.is_number_float() && option != nullptr && !is_plain(*option))
        fail_usage("{}: {}: a text is expected, found the number {}; put it in quotes (1.10 and 1.1 are one number)",
                   where, key, value_text(v));
      item.inputs.push_back(value_text(v));
    }
    if (!item.inputs.empty()) found.push_back(std::move(item));  // []: as if it were not there
  };
  const std::string own = fmt::format("{}", fmt::join(names, ".")), called = fmt::format("{}", fmt::join(names, " "));
  const std::function<void(const Json&, const std::string&)> read = [&](const Json& table, const std::string& path) {
    for (const auto& [key, value] : table.items()) {
      const std::string name = path.empty() ? key : path + "." + key;
      const bool on_the_way = (own + ".").starts_with(name + ".");
      if (!value.is_object()) {
        if (!path.empty() && path != own)
          fail_usage("{}: [{}] holds {}, a setting of another command than {}", where, path, key, called);
        add(key, value);
      } else if (path == own && command->get_subcommands({}).empty()) {
        fail_usage("{}: a table [{}] stands where a value is expected", where, name);
      } else if (!on_the_way) {
        fail_usage("{}: holds [{}], the settings of another command than {}", where, name, called);
      } else {
        read(value, name);
      }
    }
  };
  read(parse_toml(text, where), "");
  return found;
}

std::vector<std::string> command_path(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* at = &app; at->get_parent() != nullptr; at = at->get_parent())
    names.insert(names.begin(), at->get_name());
  return names;
}

std::string config_text(const CLI::App& app) {
  std::string text = fmt::format("# {}\n[{}]\n", version_line(), fmt::join(command_path(app), "."));
  for (const CLI::Option* option : app.get_options()) {
    if (!option->get_configurable() || option->get_lnames().empty()) continue;
    const std::string& name = option->get_lnames().front();
    std::vector<std::string> values;
    if (option->count() > 0)
      values = option->reduced_results();
    else if (!option->get_default_str().empty())
      values = {option->get_default_str()};
    const bool is_flag = option->get_expected_min() == 0;
    if (is_flag && values.empty()) values = {"false"};
    if (values.empty()) continue;
    if (is_flag || option->get_items_expected_max() == 1) {
      text += fmt::format("{}={}\n", name, shown(*option, values.front()));
      continue;
    }
    text += name + "=[";
    for (std::size_t i = 0; i < values.size(); ++i) text += (i > 0 ? ", " : "") + toml_text(values[i]);
    text += "]\n";
  }
  return text;
}

}  // namespace akin
