// Files of settings, TOML or JSON (distill/task/settings_file.hpp, distill/student/settings.hpp): what is read is
// within the ranges that the table of settings gives, and written as text it is read equal. An input is the text.
#include "distill/student/settings.hpp"
#include "tests/fuzz/json_mutator.hpp"
#include "tests/fuzz/settings_text.hpp"

namespace akin::fuzz {

namespace {

std::string quoted(const std::string& text) { return json_line(Json(text)); }

/// All settings of a student as TOML.
std::string toml_of(const Settings& settings) {
  std::string out;
  for (const Setting& s : setting_list()) {
    if (s.name == nullptr) continue;
    const std::string text = text_of(s, settings);
    if (s.range.file && text.empty()) continue;
    out += fmt::format("{} = {}\n", s.name,
                       std::holds_alternative<std::string Settings::*>(s.field) ? quoted(text) : text);
  }
  return out;
}

void run(ByteView input) {
  const auto table = accepted([&] { return SettingsTable::read(settings_file(input)); });
  if (!table) return;
  // Every way to ask for a key.
  for (const std::string& key : table->keys()) {
    passes([&] { table->text(key, ""); });
    passes([&] { table->whole(key, 0); });
    passes([&] { table->number(key, 0); });
    passes([&] { table->flag(key, false); });
    passes([&] { table->texts(key); });
    passes([&] { table->wholes(key); });
    passes([&] {
      for (const SettingsTable& t : table->tables(key)) passes([&] { t.done(); });
    });
    passes([&] { table->table(key).done(); });
  }
  for (const bool whole_run : {false, true}) {
    Settings settings;
    if (!passes([&] { read_settings(*table, "root", whole_run, settings); })) continue;
    for (const Setting& s : setting_list())
      require(s.name == nullptr || problem_of(s, text_of(s, settings)).empty(), "a setting out of its range was read");
    for (const bool student : {true, false})
      if (passes([&] { check(settings, student); })) {
        must("a schedule of settings that were checked", [&] { return student ? schedule_of(settings).at(0) : 0; });
        passes([&] { settings_of_source(settings); });
      }
    const std::string text = toml_of(settings);
    Settings again;
    must("reading what was written",
         [&] { read_settings(SettingsTable::read(file_with("again.toml", bytes_of(text))), "", true, again); });
    require(toml_of(again) == text, "settings written and read again are others");
  }
}

Seeds seeds() {
  Settings settings;
  std::string json = "{";
  for (const Setting& s : setting_list())
    if (s.name != nullptr && !s.range.file)
      json += fmt::format("{}\"{}\": {}", json.size() > 1 ? ", " : "", s.name,
                          std::holds_alternative<std::string Settings::*>(s.field) ? quoted(text_of(s, settings))
                                                                                   : text_of(s, settings));
  return {text_seed("all", toml_of(settings)), text_seed("json", json + "}"),
          text_seed("few",
                    "lr = 0.05\nmethod = \"weighted\" # x\np = inf\naugment = false\ninit = \"a/../b.safetensors\"\n"),
          text_seed("tables", "[a]\nx = 1\n[a.b]\ny = [1, 2.5, \"z\"]\n[[c]]\nname = 'n'\n[[c]]\n"),
          text_seed(
              "odd",
              "\xef\xbb\xbf\"quoted key\" = \"\"\"\nlines\n\"\"\"\nd = 1979-05-27T07:32:00Z\ni = 0x7fff\nf = -0.0\n")};
}

std::vector<std::string> words() {
  std::vector<std::string> all;
  for (const Setting& s : setting_list())
    if (s.name != nullptr) all.push_back(fmt::format("{} = ", s.name));
  return with_toml_words(std::move(all));
}

}  // namespace

const Target target{.run = run, .seeds = seeds, .words = words(), .mutate = mutate_json};

}  // namespace akin::fuzz
