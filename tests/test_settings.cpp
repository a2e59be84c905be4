// THE list of settings: nothing is missing in it, what it says holds wherever a value comes from, and the docs say the
// same.
#include <doctest/doctest.h>

#include <cmath>
#include <set>

#include "distill/student/settings.hpp"
#include "engine/io/file.hpp"
#include "tests/temp_folder.hpp"

using namespace akin;
using namespace akin::test;

namespace {

struct Any {
  template <class T>
  operator T() const;  // NOLINT: it stands for any member
};

template <class T, class... Members>
constexpr std::size_t count_members() {
  if constexpr (requires { T{Members{}..., Any{}}; })
    return count_members<T, Members..., Any>();
  else
    return sizeof...(Members);
}

const Setting& row(std::string_view name) {
  for (const Setting& s : setting_list())
    if (s.name != nullptr && s.name == name) return s;
  fail("no setting {}", name);
}

/// Another value than the default, in range, as text.
std::string other_value(const Setting& s) {
  const std::string now = text_of(s, Settings{});
  for (const char* text : {"true", "false", "7",     "0.75", "0.5",  "3",  "bf16",     "cublas", "cudnn", "sim",
                           "same", "step",  "adamw", "cka",  "rank", "hv", "resnet20", "conv",   "small", "some.name"})
    if (text != now && problem_of(s, text).empty()) return text;
  return now;
}

/// The settings that a file of one line gives.
Settings read(const std::string& line) {
  const TempFolder folder;
  write_file_atomic(folder / "s.toml", std::string_view(line + "\n"));
  const SettingsTable table = SettingsTable::read(folder / "s.toml");
  Settings out;
  read_settings(table, folder.path(), true, out);
  table.done();
  return out;
}

/// `name = value` in TOML.
std::string line_of(const Setting& s, const std::string& text) {
  const bool quoted = std::holds_alternative<std::string Settings::*>(s.field);
  return fmt::format(fmt::runtime(quoted ? "{} = \"{}\"" : "{} = {}"), s.name, text);
}

}  // namespace

TEST_CASE("every member of Settings is a row of the table, once") {
  std::set<std::string> names, sources;
  std::set<const void*> members;
  const Settings s;
  for (const Setting& row : setting_list()) {
    if (row.name != nullptr) CHECK_MESSAGE(names.insert(row.name).second, row.name);
    if (row.source != nullptr) CHECK_MESSAGE(sources.insert(row.source).second, row.source);
    CHECK((row.name != nullptr || row.source != nullptr));
    std::visit([&](auto field) { members.insert(&(s.*field)); }, row.field);
    // The default is a value that may be.
    if (row.name != nullptr) CHECK_EQ(problem_of(row, text_of(row, s)), "");
    if (row.source != nullptr) CHECK_EQ(problem_of(row, text_of(row, source_settings())), "");
  }
  CHECK_EQ(members.size(), setting_list().size());
  CHECK_EQ(count_members<Settings>(), setting_list().size() + 1);  // `files` is no setting: it watches those named here
}

TEST_CASE("every setting is read from a file, and the same values are refused there and on the command line") {
  for (const Setting& s : setting_list()) {
    if (s.name == nullptr) continue;
    CAPTURE(s.name);
    const std::string text = other_value(s);
    REQUIRE_NE(text, text_of(s, Settings{}));
    const Settings got = read(line_of(s, text));
    if (!s.range.file) CHECK_EQ(text_of(s, got), text);
    if (s.range.file) CHECK(text_of(s, got).ends_with("/" + text));
    Settings restored = got;  // nothing else has changed
    std::visit([&](auto field) { restored.*field = Settings{}.*field; }, s.field);
    CHECK(restored == Settings{});
    // As an option's text and as a file's value.
    for (const char* bad : {"-1", "0", "2", "1.5", "1e400", "nan", "inf", "maybe"}) {
      const bool refused = !problem_of(s, bad).empty();
      bool refused_in_file = false;
      try {
        read(line_of(s, bad));
      } catch (const UsageError& e) {
        refused_in_file = true;
        if (std::string_view(bad) == "1e400") continue;  // TOML knows no such number
        CHECK(has(e.what(), "s.toml"));
        if (std::string_view(bad) != "maybe") CHECK(has(e.what(), s.name));  // that is no TOML but in quotes
      }
      if (s.range.file || std::string_view(bad) == "1e400") continue;
      CHECK_MESSAGE(refused == refused_in_file, bad);
    }
  }
  for (const auto& [name, bad] : {std::pair{"threshold", "2"},
                                  {"batch", "0"},
                                  {"lr", "0"},
                                  {"lr", "nan"},
                                  {"momentum", "1"},
                                  {"p", "-1"},
                                  {"lambda", "1.5"},
                                  {"temperature", "inf"},
                                  {"probe", "0"},
                                  {"schedule", "cosin"},
                                  {"student", "resnet9"},
                                  {"teacher_view", "Clean"},
                                  {"mapping", "softmax:0"},
                                  {"metric", "park"}})
    CHECK_MESSAGE(!problem_of(row(name), bad).empty(), name);
  CHECK_EQ(problem_of(row("p"), "inf"), "");
  CHECK(has(problem_of(row("student"), "resnet9"), "did you mean 'resnet8'?"));
  Settings s;
  s.warmup = s.steps;
  CHECK_THROWS_AS(check(s), UsageError);
  s = {};
  s.student = "init";
  CHECK(has(error_of([&] { check(s); }), "--init"));
}

TEST_CASE("what a student depends on: a change of a setting shows for the methods that look at it, and says so") {
  const auto dependent = [](std::string_view name, Method method) {
    return settings_of_student({}, traits(method)).contains(name);
  };
  for (const MethodTraits& m : methods()) {
    CAPTURE(m.name);
    for (const char* none : {"graph", "checkpoint_every", "replicates", "device"})
      CHECK_FALSE(dependent(none, m.method));
    for (const char* all : {"precision", "gemm", "conv"}) CHECK(dependent(all, m.method));
    CHECK_EQ(dependent("lambda", m.method), is_taught(m.method));
    CHECK_EQ(dependent("threshold", m.method), m.term == Term::pseudo_labels);
    CHECK_EQ(dependent("unlabelled_batch", m.method), has_second_term(m.method));
    CHECK_EQ(dependent("steps", m.method), m.method != Method::probe && m.method != Method::probe_cv);
    CHECK_EQ(dependent("probe_l2", m.method), m.method == Method::probe);
    CHECK_EQ(dependent("match_channels", m.method), uses_sources(m.method));
    // A change of any setting shows in exactly those records that have it.
    for (const Setting& s : setting_list()) {
      if (s.name == nullptr || s.range.file) continue;
      const Settings changed = read(line_of(s, other_value(s)));
      const Json before = settings_of_student({}, m), after = settings_of_student(changed, m);
      if (!dependent(s.name, m.method)) {
        // Whether a similarity counts may depend on another setting.
        if (std::string_view(s.name) != "transfer" && std::string_view(s.name) != "metric") CHECK(before == after);
        continue;
      }
      CHECK(has(settings_changes(before, after), fmt::format("{} was", s.name)));
    }
  }
  Settings s;
  CHECK(dependent("metric", Method::nearest));
  CHECK(settings_of_student(s, traits(Method::transfer)).contains("metric"));
  s.transfer = "digits";
  CHECK_FALSE(settings_of_student(s, traits(Method::transfer)).contains("metric"));
  s.p = INFINITY;
  CHECK_EQ(settings_of_student(s, traits(Method::weighted))["p"], "inf");
  Settings other;
  other.lr = 0.05;
  CHECK_EQ(settings_changes(settings_of_source(source_settings()), settings_of_source([] {
                              Settings changed = source_settings();
                              changed.lr = 0.05;
                              changed.student_width = 8;
                              return changed;
                            }())),
           "lr was 0.1 and is 0.05, width was 0 and is 8");
  CHECK_EQ(settings_changes({{"a", 1}, {"b", {{"c", 2}}}}, {{"a", 1}, {"b", {{"c", 3}}}, {"d", 4}}),
           "b.c was 2 and is 3, d is new (4)");
}

TEST_CASE("a setting that its choice leaves without effect is no part of a record, or refused") {
  Settings s;
  s.student = "init";
  for (const MethodTraits& m : methods()) {
    CAPTURE(m.name);
    // The network of --init is that of every student that has not the nearest source's.
    const bool own = m.start == Start::fresh || m.start == Start::transfer;
    CHECK_EQ(settings_of_student(s, m).contains("init"), own);
    CHECK_FALSE(settings_of_student(s, m).contains("student_width"));
    CHECK_EQ(settings_of_student({}, m).contains("init"), m.start == Start::fresh);
    CHECK_EQ(settings_of_student({}, m).contains("student_width"), own);
  }
  const TempFolder folder;
  s.init = (folder / "somewhere").string();
  CHECK(has(error_of([&] { check(s); }), "somewhere: no such file"));
  write_file_atomic(s.init, std::string_view("x"));
  check(s);
  for (const auto& [field, value] :
       {std::pair{&Settings::student_shortcut, "conv"}, {&Settings::student_stem, "small"}}) {
    Settings wrong = s;
    wrong.*field = value;
    CHECK(has(error_of([&] { check(wrong); }), "--student init has the network"));
  }
  s.student_width = 8;
  CHECK(has(error_of([&] { check(s); }), "--student-width 8: --student init has the network"));
  s = {};
  CHECK(settings_of_student(s, traits(Method::scratch)).contains("momentum"));
  s.optimizer = "adamw";
  for (const char* sgd : {"momentum", "nesterov"})
    CHECK_FALSE(settings_of_student(s, traits(Method::scratch)).contains(sgd));
}

TEST_CASE("ranges end where they say") {
  CHECK_EQ(problem_of(row("momentum"), "0.9999999"), "");
  CHECK(has(problem_of(row("momentum"), "1"), "'1' is no number from 0, below 1"));
  CHECK_EQ(problem_of(row("replicates"), "1000000"), "");
  for (const char* many : {"1000001", "3000000000", "4294967296"})  // the last was once none at all
    CHECK(has(problem_of(row("replicates"), many), "is no whole number from 0 to 1000000"));
  for (const char* word : {"1", "0", "yes", "on", "2", "-1", ""})
    CHECK(has(problem_of(row("augment"), word), "is neither true nor false"));
  for (const char* way : {"none", "h", "v", "hv"}) CHECK_EQ(problem_of(row("flip"), way), "");
  for (const char* word : {"vh", "H", "", "1", "hvh"})
    CHECK_EQ(problem_of(row("flip"), word), fmt::format("'{}' is not none, h, v or hv", word));
  CHECK_EQ(problem_of(row("shift"), "-1"), "");
  CHECK(has(problem_of(row("shift"), "-2"), "is no whole number from -1 to 4096"));
  for (const char* none : {"0", "-1", "inf", "nan"}) CHECK_NE(problem_of(row("head_lr"), none), "");
}

TEST_CASE("flip was true or false once: a file is told what that is called now, and a record counts as what it was") {
  for (const char* line : {"flip = true", "flip = false"})
    CHECK(has(error_of([&] { read(line); }), "is not none, h, v or hv; what was true is h now, false is none"));
  Settings s;
  s.flip = "h";
  s.init = "";
  const MethodTraits& m = traits(Method::transfer);
  const Json now = settings_of_student(s, m);
  Json before = now;
  before["flip"] = true;
  // Settings that came later, at their defaults.
  for (const char* later : {"shift", "pretrained_lr", "pretrained_optimizer", "pretrained_weight_decay", "head_lr"}) {
    CHECK(now.contains(later));
    before.erase(later);
  }
  CHECK_EQ(settings_changes(before, now), "");
  CHECK_EQ(settings_changes({{"settings", before}}, {{"settings", now}}), "");  // as in the recipe of a bank
  before["flip"] = false;
  CHECK_EQ(settings_changes(before, now), "flip was \"none\" and is \"h\"");
  before["flip"] = true;
  s.shift = 0;
  CHECK_EQ(settings_changes(before, settings_of_student(s, m)), "shift is new (0)");
  before.erase("lr");
  CHECK(has(settings_changes(before, now), "lr is new (0.1)"));  // no record was ever without it
  CHECK_EQ(flip_of(s), Flip::h);
}

TEST_CASE(
    "the recipe of trained weights concerns students that begin with such, and takes the place of the common one") {
  const std::pair<const char*, const char*> pairs[] = {
      {"lr", "pretrained_lr"}, {"optimizer", "pretrained_optimizer"}, {"weight_decay", "pretrained_weight_decay"}};
  Settings plain, own;
  own.pretrained_lr = 0.002;
  own.pretrained_optimizer = "adamw";
  own.pretrained_weight_decay = 0;
  for (const MethodTraits& m : methods())
    for (const bool with_init : {false, true}) {
      CAPTURE(m.name);
      CAPTURE(with_init);
      plain.init = own.init = with_init ? "m.safetensors" : "";
      const bool begins =
          m.start == Start::transfer || m.start == Start::nearest || (m.start == Start::fresh && with_init);
      CHECK_EQ(begins_trained(m, plain), begins);
      const Json before = settings_of_student(plain, m, false), after = settings_of_student(own, m, false);
      if (!begins) CHECK(before == after);
      for (const auto& [common, recipe] : pairs) {
        CHECK_EQ(before.contains(recipe), begins);
        CHECK_EQ(before.contains(common), m.start != Start::features);
        CHECK_EQ(after.contains(common), m.start != Start::features && !begins);
      }
      CHECK_EQ(after.contains("momentum"), m.start != Start::features && !begins);  // adamw has none
      CHECK_EQ(before.contains("head_lr"), m.start != Start::features);
      const Settings got = with_recipe(own, m), common = with_recipe(plain, m);
      CHECK(common == plain);
      CHECK_EQ(got.lr, begins ? 0.002 : 0.1);
      CHECK_EQ(got.optimizer, begins ? "adamw" : "sgd");
      CHECK_EQ(got.weight_decay, begins ? 0 : 5e-4);
      CHECK_EQ(before.contains("shift"), m.start != Start::features);
      Settings still = plain;
      still.augment = false;  // then FixMatch's strong view alone moves
      CHECK_EQ(settings_of_student(still, m, false).contains("shift"), m.term == Term::pseudo_labels);
    }
}

TEST_CASE("a file's empty values: no path is no file whatever the root, and null is refused") {
  CHECK_EQ(read("init = \"\"").init, "");
  const TempFolder folder;
  write_file_atomic(folder / "s.json", std::string_view(R"({"lr": null})"));
  Settings s;
  CHECK(has(error_of([&] { read_settings(SettingsTable::read(folder / "s.json"), {}, true, s); }),
            "s.json: lr: null is no value"));
}

TEST_CASE("a file counts by its content") {
  const TempFolder folder;
  Settings s;
  s.init = (folder / "m.safetensors").string();
  write_file_atomic(s.init, std::string_view("one"));
  const Json before = settings_of_student(s, traits(Method::scratch));
  write_file_atomic(s.init, std::string_view("two"));
  CHECK(has(settings_changes(before, settings_of_student(s, traits(Method::scratch))), "init: other content"));
  std::filesystem::rename(s.init, folder / "n.safetensors");
  s.init = (folder / "n.safetensors").string();
  write_file_atomic(s.init, std::string_view("one"));
  CHECK(settings_of_student(s, traits(Method::scratch)) == before);
  // The layers of a network that its file does not describe lie beside it.
  write_file_atomic(folder / "n.graph.json", std::string_view("{}"));
  const Json graph = settings_of_student(s, traits(Method::scratch));
  CHECK(has(settings_changes(before, graph), "init: other content"));
  write_file_atomic(folder / "n.graph.json", std::string_view("{ }"));
  CHECK(has(settings_changes(graph, settings_of_student(s, traits(Method::scratch))), "init: other content"));
}

TEST_CASE("the table in docs/cli.md is that of the program") {
  const std::string docs = read_text(std::filesystem::path(AKIN_SOURCE_DIR) / "docs/cli.md");
  const std::string want = settings_markdown();
  CAPTURE(want);
  CHECK_MESSAGE(docs.find(want) != std::string::npos,
                "docs/cli.md: replace its table of settings by what `akin info --settings` prints");
}
