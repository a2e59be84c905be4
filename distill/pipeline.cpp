#include "distill/pipeline.hpp"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "distill/csv.hpp"
#include "distill/table.hpp"
#include "engine/io/file.hpp"

namespace akin {

namespace {

void say(const PipelineEvents& events, const std::string& line) {
  if (events.stage) events.stage(line);
}

/// One student's figures, with what the page shows of it.
struct Cell {
  Method method;
  std::uint64_t seed;
  SeedResult result;
  Curve curve;
  std::vector<int> predictions;  // on the test split
  std::vector<double> confidence;
};

std::string cell_name(Method method, std::uint64_t seed) { return fmt::format("{}-seed{}", name_of(method), seed); }

double number(const nlohmann::json& j) { return j.is_number() ? j.get<double>() : not_measured; }

void write_cell(const std::filesystem::path& file, const Cell& c, const std::string& fingerprint) {
  nlohmann::ordered_json points = nlohmann::ordered_json::array();
  for (const CurvePoint& p : c.curve.points)
    points.push_back({p.step, p.train_loss, p.val_accuracy});  // NaN becomes null
  const nlohmann::ordered_json j = {{"fingerprint", fingerprint},
                                    {"seconds", c.result.seconds},
                                    {"images_per_second", c.result.images_per_second},
                                    {"curve", points}};
  write_file_atomic(file, std::string_view(j.dump() + "\n"));
}

/// Figures of a finished student; false where there is none of this configuration.
bool read_cell(const std::filesystem::path& file, const std::string& fingerprint, Cell& c) {
  if (!std::filesystem::exists(file)) return false;
  try {
    const auto j = nlohmann::json::parse(read_text(file));
    if (j.at("fingerprint").get<std::string>() != fingerprint) return false;
    std::vector<CurvePoint> points;
    for (const auto& p : j.at("curve"))
      points.push_back({p.at(0).get<std::int64_t>(), number(p.at(1)), number(p.at(2))});
    c.result.seconds = number(j.at("seconds"));
    c.result.images_per_second = number(j.at("images_per_second"));
    c.curve.points = std::move(points);
    return true;
  } catch (const nlohmann::json::exception&) {  // damaged: the student is trained again
    return false;
  }
}

/// The one reading of the test split: predictions and their probabilities.
void test_student(Context& ctx, const Task& task, Model& model, Cell& c) {
  const Outputs out = run_network(ctx, *model.network, task.test.images, all_indices(task.test.images.shape()[0]),
                                  model.info.normalization);
  c.predictions = argmax_rows(out.logits);
  const Array p = softmax_rows(out.logits);
  const auto values = p.as<float>();
  const auto classes = static_cast<std::size_t>(p.shape()[1]);
  for (std::size_t i = 0; i < c.predictions.size(); ++i)
    c.confidence.push_back(static_cast<double>(values[i * classes + static_cast<std::size_t>(c.predictions[i])]));
  c.result.test_accuracy = c.result.last_test_accuracy = accuracy(c.predictions, task.test.labels);
}

std::vector<Curve> curves_of(const std::vector<Cell>& cells) {
  std::vector<Curve> out;
  for (const Cell& c : cells) out.push_back(c.curve);
  return out;
}

MethodRole role_of(Method m) {
  if (m == Method::scratch) return MethodRole::labels_only;
  return m == Method::fixmatch ? MethodRole::unlabelled : MethodRole::taught;
}

/// Sums over seeds of what one source got; divided by the number of seeds at the end.
void add_source(std::vector<SourceResult>& total, const Ranking& ranking, const Weights& weights,
                const std::vector<Source>& sources) {
  total.resize(sources.size());
  const auto add = [](double& to, double v) { to = std::isnan(to) ? v : to + v; };
  for (std::size_t s = 0; s < sources.size(); ++s) {
    const SimilarityRow& row = ranking.rows[s];
    total[s].name = sources[s].name;
    total[s].classes = static_cast<int>(sources[s].classes());
    if (!sources[s].is_table() && sources[s].model.info.test_accuracy >= 0)
      total[s].test_accuracy = sources[s].model.info.test_accuracy;
    add(total[s].similarity, row.similarity.value);
    add(total[s].similarity_low, row.confidence.low);
    add(total[s].similarity_high, row.confidence.high);
    add(total[s].chance, row.chance.mean);
    add(total[s].mapped, weights.mapped[s]);
    add(total[s].alpha, weights.alpha[s]);
  }
}

/// Pictures and confusion matrices, from the first seed.
void add_pictures(ReportData& report, const Task& task, const std::vector<Cell>& cells) {
  const Cell *student = nullptr, *scratch = nullptr;
  for (const Cell& c : cells) {
    if (c.seed != cells.front().seed) continue;
    if (uses_sources(c.method)) student = &c;  // the last one listed
    if (c.method == Method::scratch) scratch = &c;
  }
  if (student == nullptr) student = &cells.back();
  const int classes = static_cast<int>(task.classes());
  const auto confusion = [&](const Cell& c) {
    report.confusions.push_back(
        {title_of(c.method), c.seed, classes, confusion_counts(task.test.labels, c.predictions, classes)});
  };
  confusion(*student);
  if (scratch == nullptr || scratch == student) return;
  confusion(*scratch);
  report.agreement = agreement_of(task.test.labels, student->predictions, scratch->predictions);
  const Shape& s = task.test.images.shape();
  const auto pixels = static_cast<std::size_t>(s[1] * s[2] * s[3]);
  for (const std::int64_t i : pick_samples(task.test.labels, student->predictions, scratch->predictions, 10)) {
    const auto at = static_cast<std::size_t>(i);
    SampleImage image{
        i, static_cast<int>(s[1]), static_cast<int>(s[2]), static_cast<int>(s[3]), {}, task.test.labels[at], {}};
    const std::uint8_t* p = task.test.images.as<std::uint8_t>().data() + at * pixels;
    image.pixels.assign(p, p + pixels);
    for (const Cell* c : {student, scratch})
      image.predictions.push_back({title_of(c->method), c->predictions[at], c->confidence[at]});
    report.samples.push_back(std::move(image));
  }
}

}  // namespace

Ranking rank_sources(Context& ctx, const Task& task, std::vector<Source>& sources, const RankOptions& options,
                     const OutputOptions& outputs, std::uint64_t seed, const PipelineEvents& events,
                     std::vector<Outputs> known) {
  AKIN_CHECK(!sources.empty(), "the bank has no source");
  AKIN_CHECK(known.empty() || known.size() == sources.size(), "{} sources, but outputs of {}", sources.size(),
             known.size());
  Ranking ranking;
  ranking.outputs = std::move(known);
  const Metric metric = find_metric(options.metric);
  ranking.mapping = parse_mapping(options.mapping.empty() ? metric.default_mapping : options.mapping);
  const Indices probe = probe_of(task, options.probe_limit);
  std::vector<Confidence> spread;
  for (std::size_t s = 0; s < sources.size(); ++s) {
    Source& source = sources[s];
    OutputOptions own = outputs;
    own.progress = [&](std::int64_t done) {
      if (events.progress)
        events.progress("outputs of " + source.name, done, static_cast<std::int64_t>(task.target.size()), "images", "");
    };
    if (ranking.outputs.size() == s) ranking.outputs.push_back(source_outputs(ctx, source, task, own));
    Probe p = make_probe(ranking.outputs[s], task, probe);
    p.ctx = &ctx;
    SimilarityRow row{.source = source.name, .similarity = metric.score(p)};
    if (options.replicates > 0) {
      const ConfidenceOptions c{.replicates = options.replicates, .seed = seed};
      row.confidence = bootstrap(metric, p, row.similarity.value, c);
      row.chance = chance_level(metric, p, row.similarity.value, c);
      spread.push_back(row.confidence);
    }
    ranking.rows.push_back(std::move(row));
  }
  if (options.replicates > 0) {
    const std::vector<double> share = best_shares(spread);
    for (std::size_t s = 0; s < share.size(); ++s) ranking.rows[s].best_share = share[s];
  }
  return ranking;
}

Weights weights_for(Method method, const Ranking& ranking, const RankOptions& options) {
  std::vector<std::string> names;
  std::vector<double> raw;
  for (const SimilarityRow& r : ranking.rows) {
    names.push_back(r.source);
    raw.push_back(r.similarity.value);
  }
  const double power = method == Method::equal ? 0 : method == Method::nearest ? nearest_only : options.power;
  return make_weights(std::move(names), std::move(raw), ranking.mapping, power);
}

void check_same_settings(const std::filesystem::path& run_folder, const std::string& fingerprint) {
  std::error_code none;
  for (const char* part : {"students", "checkpoints"})
    for (const auto& entry : std::filesystem::directory_iterator(run_folder / part, none)) {
      const std::filesystem::path& file = entry.path();
      bool same = true;
      if (file.extension() == ".json") {
        const auto j = nlohmann::json::parse(read_text(file), nullptr, false);
        const auto print = j.is_object() ? j.find("fingerprint") : j.end();
        same = print == j.end() || !print->is_string() || print->get<std::string>() == fingerprint;
      } else if (file.extension() == ".safetensors" && std::string_view(part) == "checkpoints") {
        same = is_checkpoint_of(file, fingerprint + "|" + file.stem().string());
      }
      AKIN_CHECK(same,
                 "{}: was trained with other settings or data ({} has the settings): --resume needs the same ones; "
                 "--force starts anew, --out DIR chooses another folder",
                 file.string(), (run_folder / "config.toml").string());
    }
}

PipelineResult run_pipeline(Context& ctx, const std::function<Task(std::uint64_t)>& make_task,
                            std::vector<Source>& sources, const PipelineOptions& options,
                            const PipelineEvents& events) {
  if (options.methods.empty() || options.seeds.empty()) fail_usage("a run needs at least one method and one seed");
  const std::filesystem::path& folder = options.run_folder;
  make_folder(folder / "students");
  const bool taught = std::any_of(options.methods.begin(), options.methods.end(), uses_sources);
  PipelineResult out;
  ReportData& report = out.report;
  std::vector<Cell> cells;
  std::string similarity_text, weights_text, log;
  Task task;
  for (const std::uint64_t seed : options.seeds) {
    task = make_task(seed);
    if (report.classes.empty()) {
      report.classes = task.pool.classes;
      report.labelled = static_cast<std::int64_t>(task.split.labelled.size());
      report.unlabelled = static_cast<std::int64_t>(task.split.unlabelled.size());
    }
    Ranking ranking;
    std::map<Method, Weights> weights;
    if (taught) {
      for (const Source& s : sources) check_channels(s, task, options.outputs.match_channels);
      ranking = rank_sources(ctx, task, sources, options.rank, options.outputs, seed, events);
      for (const Method m : options.methods)
        if (uses_sources(m)) weights[m] = weights_for(m, ranking, options.rank);
      const Weights& shown =
          weights.contains(Method::weighted) ? weights.at(Method::weighted) : weights.begin()->second;
      add_source(report.sources, ranking, shown, sources);
      for (std::size_t s = 0; s < sources.size(); ++s)
        for (const std::string& w : ranking.rows[s].similarity.warnings)
          say(events, fmt::format("warning: {}: {}", sources[s].name, w));
      for (const std::string& w : shown.warnings) say(events, "warning: " + w);
      // One table for all seeds: the header once, then each seed's rows behind its number.
      const auto tagged = [seed](const std::string& csv, bool header) {
        std::string text;
        std::size_t line = 0;
        for (std::size_t at = 0; at < csv.size(); ++line) {
          const std::size_t end = csv.find('\n', at);
          if (line > 0 || header)
            text += (line == 0 ? std::string("seed") : std::to_string(seed)) + "," + csv.substr(at, end - at + 1);
          at = end + 1;
        }
        return text;
      };
      similarity_text += tagged(similarity_csv(ranking.rows), similarity_text.empty());
      weights_text += tagged(weights_csv(shown), weights_text.empty());
      write_file_atomic(folder / "similarity.csv", std::string_view(similarity_text));
      write_file_atomic(folder / "weights.csv", std::string_view(weights_text));
      say(events, fmt::format("seed {}: nearest source {}", seed, sources[shown.nearest].name));
    }
    for (const Method method : options.methods) {
      const std::string name = cell_name(method, seed);
      const std::filesystem::path student_file = folder / "students" / (name + ".safetensors"),
                                  cell_file = folder / "students" / (name + ".json");
      Cell cell{method, seed, {}, {title_of(method), seed, {}}, {}, {}};
      cell.result.seed = seed;
      Model model;
      if (options.resume && std::filesystem::exists(student_file) && read_cell(cell_file, options.fingerprint, cell)) {
        model = load_model(ctx, student_file);
        test_student(ctx, task, model, cell);
      } else {
        StudentOptions student = options.student;
        student.method = method;
        student.seed = seed;
        student.match_channels = options.outputs.match_channels;
        student.train.fingerprint = options.fingerprint + "|" + name;
        student.train.checkpoint = folder / "checkpoints" / (name + ".safetensors");
        student.train.resume = options.resume && is_checkpoint_of(student.train.checkpoint, student.train.fingerprint);
        std::vector<Teacher> teachers;
        if (uses_sources(method))
          for (std::size_t s = 0; s < sources.size(); ++s)
            teachers.push_back({&sources[s], &ranking.outputs[s], weights.at(method).alpha[s]});
        TrainHooks hooks;
        hooks.stop = events.stop;
        hooks.progress = [&](std::int64_t done, double loss) {
          if (events.progress)
            events.progress(fmt::format("{}, seed {}", title_of(method), seed), done, student.train.schedule.steps,
                            "steps", fmt::format("loss {:.3f}", loss));
        };
        StudentRun run = train_student(ctx, task, teachers, student, hooks);
        if (!run.result.finished) return out;
        for (const TrainPoint& p : run.result.curve) cell.curve.points.push_back({p.step, p.loss, p.validation});
        cell.result.seconds = run.seconds;
        cell.result.images_per_second = run.images_per_second;
        if (run.pseudo_labelled >= 0)
          say(events,
              fmt::format(
                  "FixMatch, seed {}: {:.0f} % of the unlabelled images got a confident pseudo-label at the end", seed,
                  100 * run.pseudo_labelled));
        model = std::move(run.model);
        test_student(ctx, task, model, cell);
        model.info.test_accuracy = cell.result.test_accuracy;
        // The figures vouch for the student, so old ones go before and new ones come after it; the checkpoint goes
        // last.
        std::error_code error;
        std::filesystem::remove(cell_file, error);
        AKIN_CHECK(!error, "{}: cannot be removed: {}", cell_file.string(), error.message());
        save_model(student_file, *model.network, model.info);
        write_cell(cell_file, cell, options.fingerprint);
        remove_checkpoint(student.train);
      }
      if (!cell.curve.points.empty()) cell.result.val_accuracy = cell.curve.points.back().val_accuracy;
      for (const CurvePoint& p : cell.curve.points) {
        const nlohmann::ordered_json line = {{"method", name_of(method)},
                                             {"seed", seed},
                                             {"step", p.step},
                                             {"loss", p.train_loss},
                                             {"validation", p.val_accuracy}};
        log += line.dump() + "\n";
      }
      write_file_atomic(folder / "log.jsonl", std::string_view(log));
      say(events, fmt::format("{}, seed {}: {:.2f} % of {} test images right ({:.1f} s)", title_of(method), seed,
                              100 * cell.result.test_accuracy, task.test.labels.size(), cell.result.seconds));
      cells.push_back(std::move(cell));
    }
  }
  for (SourceResult& s : report.sources)
    for (double* v : {&s.similarity, &s.similarity_low, &s.similarity_high, &s.chance, &s.mapped, &s.alpha})
      *v /= static_cast<double>(options.seeds.size());
  for (const Method m : options.methods) {
    MethodResult r{title_of(m), role_of(m), {}};
    for (const Cell& c : cells)
      if (c.method == m) r.seeds.push_back(c.result);
    report.methods.push_back(std::move(r));
  }
  report.seeds = options.seeds;
  report.metric = find_metric(options.rank.metric).title;
  report.curves = curves_of(cells);
  add_pictures(report, task, cells);
  write_file_atomic(folder / "results.csv", std::string_view(results_csv(report)));
  // The run's student: the last method named, of its first seed.
  const std::filesystem::path best =
      folder / "students" / (cell_name(options.methods.back(), options.seeds.front()) + ".safetensors");
  write_file_atomic(folder / "student.safetensors", ByteView(read_file(best)));
  std::error_code not_empty;  // checkpoints of methods that this run did not ask for
  std::filesystem::remove(folder / "checkpoints", not_empty);
  out.finished = true;
  return out;
}

}  // namespace akin
