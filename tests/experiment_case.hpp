// Two toy targets, a bank of two models and a table, and a grid over them.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <sstream>
#include <string>
#include <vector>

#include "distill/grid/tables.hpp"
#include "nn/classifier.hpp"
#include "tests/temp_folder.hpp"
#include "tests/toy.hpp"

namespace akin::test {

inline std::vector<std::vector<std::string>> table_of(const std::filesystem::path& file) {
  std::vector<std::vector<std::string>> rows;
  std::istringstream text(read_text(file));
  for (std::string line; std::getline(text, line);) {
    std::vector<std::string> cells(1);
    bool quoted = false;
    for (const char c : line) {
      if (c == '"')
        quoted = !quoted;
      else if (c == ',' && !quoted)
        cells.emplace_back();
      else
        cells.back() += c;
    }
    rows.push_back(cells);
  }
  return rows;
}

/// A column of a table by its name; rows of it without the header.
inline std::size_t column(const std::vector<std::vector<std::string>>& table, const std::string& name) {
  const auto at = std::find(table[0].begin(), table[0].end(), name);
  REQUIRE(at != table[0].end());
  return static_cast<std::size_t>(at - table[0].begin());
}

/// results.csv without its times.
inline std::vector<std::vector<std::string>> results_of(const std::filesystem::path& run) {
  auto rows = table_of(run / "results.csv");
  const std::size_t seconds = column(rows, "seconds");
  for (auto& row : rows) row.erase(row.begin() + static_cast<std::ptrdiff_t>(seconds));
  return rows;
}

inline constexpr const char* kSources = R"(
[[sources]]
name = "four"
path = "four.safetensors"
[[sources]]
name = "three"
path = "three.safetensors"
[[sources]]
name = "table"
path = "tables/{target}.safetensors"
)";
inline constexpr const char* kTargets = R"(
[[targets]]
name = "one"
data = "one"
[[targets]]
name = "two"
data = "two"
exclude = ["table"]
flip = "none"
)";
inline constexpr const char* kGrid = R"(
title = "toy grid"
seeds = [0, 1]
methods = ["scratch", "transfer", "fixmatch", "probe", "weighted", "oracle"]
metrics = ["parc", "cka", "leep"]
[settings]
student = "resnet8"
student_width = 4
steps = 5
batch = 8
unlabelled_batch = 8
flip = "h"
mapping = "softmax"
eval_every = 2
[[budgets]]
name = "three"
per_class = 3
unlabelled = 20
validation = 2
[[variants]]
name = "weighted-p1"
method = "weighted"
p = 1
lambda = 0.8
)";

struct ExperimentFixture {
  TempFolder folder;
  Context ctx;
  GridOptions options;
  Events events;
  int steps = 0, outputs = 0;
  std::string lines;

  ExperimentFixture() {
    for (const auto& [name, seed] : {std::pair{"one", 1}, {"two", 5}}) {
      const auto s = static_cast<std::uint64_t>(seed);
      save_images(toy_set(60, 4, s), Split::train, folder / name);
      save_images(toy_set(24, 4, s + 1), Split::test, folder / name);
    }
    for (const int classes : {4, 3}) {
      const TrainedClassifier c = toy_source(ctx, classes, static_cast<std::uint64_t>(classes));
      save_model(folder / (classes == 4 ? "four.safetensors" : "three.safetensors"), *c.model.network, c.model.info);
    }
    write_table(60);
    options.place.folder = folder / "run";
    options.cache = folder / "cache";
    options.made_by = "test";
    events.stage = [this](const std::string& line) { lines += line + "\n"; };
    events.progress = [this](const std::string&, std::int64_t, std::int64_t, const std::string& unit,
                             const std::string&) { ++(unit == "steps" ? steps : outputs); };
  }
  void write_table(std::int64_t rows) const {
    SafeTensors t;
    Array features(DType::f32, {rows, 3}), logits(DType::f32, {rows, 2});
    for (std::size_t i = 0; i < static_cast<std::size_t>(rows); ++i) {
      for (std::size_t d = 0; d < 3; ++d)
        features.as<float>()[3 * i + d] = std::sin(static_cast<float>(i * (d + 2))) + static_cast<float>(i % 4 == d);
      logits.as<float>()[2 * i + i % 2] = 2;
    }
    t.add("features", features);
    t.add("logits", logits);
    make_folder(folder / "tables");
    write_safetensors(folder / "tables/one.safetensors", t);
  }
  Grid read(const std::string& text) const {
    write_file_atomic(folder / "grid.toml", std::string_view(text));
    return read_grid(folder / "grid.toml");
  }
  std::string error(const std::string& text) const {
    return error_of([&] { read(text); });
  }
  static std::string all() { return std::string(kGrid) + kSources + kTargets; }
  GridOutcome run(const Grid& e) {
    steps = outputs = 0;
    lines.clear();
    return run_experiment(ctx, e, options, events);
  }
};

inline std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const std::size_t at = text.find(from);
  REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

}  // namespace akin::test
