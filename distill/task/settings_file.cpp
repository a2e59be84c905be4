#include "distill/task/settings_file.hpp"

// A file of a user shall give a message, not an assertion of the library.
#define TOML_ASSERT(condition) static_cast<void>(0)
#include <toml++/toml.h>

#include <algorithm>
#include <utility>

#include "engine/io/json.hpp"

namespace akin {

namespace {

Json to_json(const toml::node& node, const std::string& where) {
  if (const auto* table = node.as_table()) {
    Json out = Json::object();
    for (const auto& [key, value] : *table)
      out[std::string(key.str())] = to_json(value, where + "." + std::string(key.str()));
    return out;
  }
  if (const auto* array = node.as_array()) {
    Json out = Json::array();
    for (const auto& value : *array) out.push_back(to_json(value, where));
    return out;
  }
  if (const auto* v = node.as_string()) return v->get();
  if (const auto* v = node.as_integer()) return v->get();
  if (const auto* v = node.as_floating_point()) return v->get();
  if (const auto* v = node.as_boolean()) return v->get();
  fail_usage("{}: a date or time stands where none is expected; put it in quotes if it is a text", where);
}

std::size_t distance(std::string_view a, std::string_view b) {  // Levenshtein's
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row.back();
}

}  // namespace

Json parse_toml(std::string_view text, const std::string& where) {
  try {
    return to_json(toml::parse(text, std::string_view(where)), where);
  } catch (const toml::parse_error& e) {
    fail_usage("{}, line {}, column {}: {}", where, e.source().begin.line, e.source().begin.column, e.description());
  }
}

std::string nearest_name(std::string_view name, const std::vector<std::string>& known) {
  std::string best;
  std::size_t least = std::max<std::size_t>(2, (name.size() + 1) / 2);
  for (const std::string& k : known)
    if (const std::size_t d = distance(name, k); d < least) {
      least = d;
      best = k;
    }
  return best;
}

std::string suggestion(std::string_view name, const std::vector<std::string>& known) {
  const std::string near = nearest_name(name, known);
  return near.empty() ? fmt::format("; known are {}", fmt::join(known, ", ")) : "; did you mean '" + near + "'?";
}

SettingsTable SettingsTable::read(const std::filesystem::path& file) {
  const std::string text = read_text(file, kMaxSettingsBytes), where = file.string();
  if (file.extension() != ".json") return {parse_toml(text, where), where};
  try {
    return {parse_json(text, where), where};
  } catch (const Error& e) {
    fail_usage("{}", e.what());
  }
}

SettingsTable::SettingsTable(Json table, std::string where) : table_(std::move(table)), where_(std::move(where)) {
  if (!table_.is_object()) fail_usage("{}: a table of settings is expected", where_);
}

void SettingsTable::refuse(const std::string& key, const std::string& why) const {
  fail_usage("{}: {}: {}", where_, key, why);
}

bool SettingsTable::has(const std::string& key) const {
  known_->insert(key);
  return table_.contains(key);
}

Json SettingsTable::value(const std::string& key) const {
  if (!has(key)) return {};
  if (table_.at(key).is_null()) refuse(key, "null is no value; leave the key out");
  return table_.at(key);
}

std::string SettingsTable::text(const std::string& key, const std::string& fallback) const {
  const Json v = value(key);
  if (v.is_null()) return fallback;
  if (!v.is_string()) refuse(key, fmt::format("{} is no text in quotes", json_line(v)));
  return v.get<std::string>();
}

std::string SettingsTable::text(const std::string& key) const {
  if (!has(key)) refuse(key, "is missing");
  return text(key, "");
}

std::int64_t SettingsTable::whole(const std::string& key, std::int64_t fallback) const {
  const Json v = value(key);
  return v.is_null() ? fallback : whole_of(key, v);
}

std::int64_t SettingsTable::whole_of(const std::string& key, const Json& v) const {
  if (!v.is_number_integer()) refuse(key, fmt::format("{} is no whole number", json_line(v)));
  if (v.is_number_unsigned() && !std::in_range<std::int64_t>(v.get<std::uint64_t>()))
    refuse(key, fmt::format("{} is larger than any whole number here may be", json_line(v)));
  return v.get<std::int64_t>();
}

double SettingsTable::number(const std::string& key, double fallback) const {
  const Json v = value(key);
  if (v.is_null()) return fallback;
  if (!v.is_number()) refuse(key, fmt::format("{} is no number", json_line(v)));
  return v.get<double>();
}

bool SettingsTable::flag(const std::string& key, bool fallback) const {
  const Json v = value(key);
  if (v.is_null()) return fallback;
  if (!v.is_boolean()) refuse(key, fmt::format("{} is neither true nor false", json_line(v)));
  return v.get<bool>();
}

std::vector<std::string> SettingsTable::texts(const std::string& key) const {
  const Json v = value(key);
  std::vector<std::string> out;
  if (v.is_null()) return out;
  if (!v.is_array()) refuse(key, "expected a list, as in [\"a\", \"b\"]");
  for (const Json& item : v) {
    if (!item.is_string()) refuse(key, fmt::format("{} is no text in quotes", json_line(item)));
    out.push_back(item.get<std::string>());
    if (std::count(out.begin(), out.end(), out.back()) > 1) refuse(key, fmt::format("'{}' twice", out.back()));
  }
  return out;
}

std::vector<std::int64_t> SettingsTable::wholes(const std::string& key) const {
  const Json v = value(key);
  std::vector<std::int64_t> out;
  if (v.is_null()) return out;
  if (!v.is_array()) refuse(key, "expected a list of whole numbers, as in [0, 1]");
  for (const Json& item : v) {
    out.push_back(whole_of(key, item));
  }
  return out;
}

std::vector<SettingsTable> SettingsTable::tables(const std::string& key) const {
  const Json v = value(key);
  std::vector<SettingsTable> out;
  if (v.is_null()) return out;
  if (!v.is_array()) refuse(key, fmt::format("expected tables, each under [[{}]]", key));
  for (const Json& item : v) {
    if (!item.is_object()) refuse(key, fmt::format("expected tables, each under [[{}]]", key));
    const std::string name = item.contains("name") && item["name"].is_string() ? item["name"].get<std::string>()
                                                                               : std::to_string(out.size() + 1);
    out.emplace_back(item, fmt::format("{}: {} '{}'", where_, key, name));
  }
  return out;
}

SettingsTable SettingsTable::table(const std::string& key) const {
  const Json v = value(key);
  if (!v.is_null() && !v.is_object()) refuse(key, fmt::format("expected a table, under [{}]", key));
  return {v.is_null() ? Json::object() : v, fmt::format("{}: {}", where_, key)};
}

std::vector<std::string> SettingsTable::keys() const {
  std::vector<std::string> out;
  for (const auto& [key, v] : table_.items()) out.push_back(key);
  return out;
}

void SettingsTable::done() const {
  const std::vector<std::string> known(known_->begin(), known_->end());
  for (const std::string& key : keys())
    if (!known_->contains(key)) refuse(key, "this setting is unknown" + suggestion(key, known));
}

}  // namespace akin
