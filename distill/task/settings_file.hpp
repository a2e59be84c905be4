// Settings files, TOML or JSON: read with the place of every value, so that an error says where it is, and with unknown
// keys refused.
#pragma once

#include <filesystem>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "engine/io/json.hpp"
#include "engine/io/nearest_name.hpp"

namespace akin {

/// A text of settings is never longer; a file that is, is not one.
inline constexpr std::uint64_t kMaxSettingsBytes = std::uint64_t{64} << 20;  // a manifest may list millions of images

/// One table of settings. Every key that is asked for counts as known; done() refuses the others. All failures are
/// UsageErrors that name file and key.
class SettingsTable {
 public:
  /// By its ending: .json, else TOML.
  static SettingsTable read(const std::filesystem::path& file);
  /// `where` comes before every message, e.g. "mini.toml".
  SettingsTable(Json table, std::string where);
  SettingsTable() : SettingsTable(Json::object(), "") {}

  bool has(const std::string& key) const;
  /// `fallback` where the key is missing.
  std::string text(const std::string& key, const std::string& fallback) const;
  std::int64_t whole(const std::string& key, std::int64_t fallback) const;
  double number(const std::string& key, double fallback) const;
  bool flag(const std::string& key, bool fallback) const;
  /// Error where the key is missing.
  std::string text(const std::string& key) const;
  std::vector<std::string> texts(const std::string& key) const;  ///< [] where it is missing
  std::vector<std::int64_t> wholes(const std::string& key) const;
  /// An array of tables, or [] where it is missing.
  std::vector<SettingsTable> tables(const std::string& key) const;
  /// A table; an empty one where it is missing.
  SettingsTable table(const std::string& key) const;
  /// The value as it is; null where it is missing.
  Json value(const std::string& key) const;
  std::vector<std::string> keys() const;

  /// Refuses keys that nobody asked for, with the nearest known one.
  void done() const;
  /// Throws UsageError: "<where>: <key>: ...".
  [[noreturn]] void refuse(const std::string& key, const std::string& why) const;
  const std::string& where() const { return where_; }
  const Json& whole() const { return table_; }

 private:
  std::int64_t whole_of(const std::string& key, const Json& v) const;
  Json table_;
  std::string where_;
  std::shared_ptr<std::set<std::string>> known_ = std::make_shared<std::set<std::string>>();  // one for all copies
};

/// TOML as JSON; dates are refused. UsageError with `where`, line and column for what is no TOML.
Json parse_toml(std::string_view text, const std::string& where);

}  // namespace akin
