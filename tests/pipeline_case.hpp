// Runs of the whole flow on toy tasks, and what they leave in their folders.
#pragma once

#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "distill/pipeline.hpp"
#include "tests/temp_folder.hpp"
#include "tests/toy.hpp"

namespace akin::test {

inline std::vector<std::vector<std::string>> table_of(const std::filesystem::path& file) {
  std::vector<std::vector<std::string>> rows;
  std::istringstream text(read_text(file));
  for (std::string line; std::getline(text, line);) {
    std::vector<std::string> cells;
    std::istringstream row(line);
    for (std::string cell; std::getline(row, cell, ',');) cells.push_back(cell);
    rows.push_back(cells);
  }
  return rows;
}

/// results.csv without its columns of times, which no two runs share.
inline std::vector<std::vector<std::string>> results_of(const std::filesystem::path& folder) {
  auto rows = table_of(folder / "results.csv");
  for (std::size_t c = rows[0].size(); c-- > 0;)
    if (rows[0][c] == "seconds" || rows[0][c] == "images_per_second" || rows[0][c] == "ms_per_image")
      for (auto& row : rows)
        if (c < row.size()) row.erase(row.begin() + static_cast<std::ptrdiff_t>(c));
  return rows;
}

inline std::map<std::string, Bytes> students_of(const std::filesystem::path& folder) {
  std::map<std::string, Bytes> out;
  for (auto& [name, content] : files_of(folder))
    if (name.ends_with(".safetensors")) out[name] = content;
  return out;
}

struct Killed {};

struct Bench {
  Context ctx;
  TempFolder bank;
  std::vector<std::string> sources;
  std::vector<Method> methods = {Method::scratch, Method::fixmatch, Method::equal, Method::nearest, Method::weighted};
  std::vector<std::uint64_t> seeds = {0, 1};
  Settings settings;
  PipelineOptions options;
  Events events;
  std::int64_t validation = 8;
  int steps = 0;
  std::string lines;

  Bench() {
    for (const int classes : {4, 3})
      add_source("source" + std::to_string(classes), toy_source(ctx, classes, static_cast<std::uint64_t>(classes)));
    settings.student_width = 4;
    settings.batch = settings.unlabelled_batch = 12;
    settings.flip = "h";
    settings.steps = 6;
    settings.eval_every = 4;
    settings.checkpoint_every = 2;
    settings.replicates = 20;
    settings.mapping = "softmax";  // toy sources may have no positive similarity
    events.stage = [this](const std::string& line) { lines += line + "\n"; };
    events.progress = [this](const std::string&, std::int64_t, std::int64_t, const std::string& unit,
                             const std::string&) { steps += unit == "steps"; };
  }
  void add_source(const std::string& name, const TrainedClassifier& c) {
    sources.push_back((bank / (name + ".safetensors")).string());
    save_model(sources.back(), *c.model.network, c.model.info);
  }
  void add_table(const Outputs& table) {
    SafeTensors file;
    file.add("features", table.features);
    file.add("logits", table.logits);
    sources.push_back((bank / "table.safetensors").string());
    write_safetensors(sources.back(), file);
  }
  LabelManifest labels() const {
    LabelManifest m;
    m.draw = {.labels_per_class = 3, .unlabelled = 30, .validation = validation};
    return m;
  }
  Task task(std::uint64_t seed) const {
    LabelManifest m = labels();
    m.draw.seed = seed;
    return make_task(images, m);
  }
  PipelineResult run(const std::filesystem::path& folder) {
    options.run_folder = folder;
    steps = 0;
    lines.clear();
    const Grid grid =
        single_grid({.name = "toy", .load = [this] { return images; }}, labels(), sources, methods, seeds, settings);
    return run_pipeline(ctx, grid, options, events);
  }

  std::shared_ptr<const TargetImages> images = target_images(toy_set(60, 4, 1), toy_set(24, 4, 2));
};

}  // namespace akin::test
