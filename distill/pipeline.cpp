#include "distill/pipeline.hpp"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>

#include "distill/measure.hpp"
#include "distill/student_record.hpp"
#include "distill/table.hpp"
#include "engine/io/file.hpp"

namespace akin {

namespace {

void say(const PipelineEvents& events, const std::string& line) {
  if (events.stage) events.stage(line);
}

std::vector<Curve> curves_of(const std::vector<StudentRecord>& students) {
  std::vector<Curve> out;
  for (const StudentRecord& c : students) out.push_back(c.curve);
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
void add_pictures(ReportData& report, const Task& task, const std::vector<StudentRecord>& students) {
  const StudentRecord *student = nullptr, *scratch = nullptr;
  for (const StudentRecord& c : students) {
    if (c.seed != students.front().seed) continue;
    if (uses_sources(c.method)) student = &c;  // the last one listed
    if (c.method == Method::scratch) scratch = &c;
  }
  if (student == nullptr) student = &students.back();
  const int classes = static_cast<int>(task.classes());
  const auto confusion = [&](const StudentRecord& c) {
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
    for (const StudentRecord* c : {student, scratch})
      image.predictions.push_back({title_of(c->method), c->predictions[at], c->confidence[at]});
    report.samples.push_back(std::move(image));
  }
}

}  // namespace

std::vector<Outputs> bank_outputs(Context& ctx, const Task& task, std::vector<Source>& sources,
                                  const OutputOptions& outputs, const PipelineEvents& events,
                                  std::vector<Outputs> known) {
  AKIN_CHECK(known.size() <= sources.size(), "{} sources, but outputs of {}", sources.size(), known.size());
  for (std::size_t s = known.size(); s < sources.size(); ++s) {
    Source& source = sources[s];
    OutputOptions own = outputs;
    own.progress = [&](std::int64_t done) {
      if (events.progress)
        events.progress("outputs of " + source.name, done, static_cast<std::int64_t>(task.target.size()), "images", "");
    };
    known.push_back(source_outputs(ctx, source, task, own));
  }
  return known;
}

std::optional<Outputs> reference_outputs(Context& ctx, const Task& task, const RankOptions& options,
                                         const OutputOptions& outputs) {
  if (options.reference.empty()) return std::nullopt;
  Source source = open_source(ctx, options.reference);
  return source_outputs(ctx, source, task, outputs);
}

Ranking rank_sources(Context& ctx, const Task& task, std::vector<Source>& sources, const RankOptions& options,
                     const OutputOptions& outputs, std::uint64_t seed, const PipelineEvents& events,
                     std::vector<Outputs> known) {
  AKIN_CHECK(!sources.empty(), "the bank has no source");
  AKIN_CHECK(known.empty() || known.size() == sources.size(), "{} sources, but outputs of {}", sources.size(),
             known.size());
  const Metric metric = find_metric(options.metric);
  Ranking ranking;
  ranking.mapping = parse_mapping(options.mapping.empty() ? metric.default_mapping : options.mapping);
  ranking.outputs = bank_outputs(ctx, task, sources, outputs, events, std::move(known));
  const Indices probe = probe_of(task, options.probe_limit);
  const std::optional<Outputs> reference = reference_outputs(ctx, task, options, outputs);
  const std::vector<Candidate> bank =
      candidates_of(ctx, sources, ranking.outputs, task, probe, reference ? &*reference : nullptr);
  const Measurement measured = measure(metric, bank, {.replicates = options.replicates, .seed = seed});
  AKIN_CHECK(measured.first_undefined().empty(), "{}", measured.first_undefined());
  ranking.rows = measured.rows;
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

void check_same_settings(const std::filesystem::path& run_folder, const std::string& fingerprint,
                         const std::string& difference) {
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
                 "{}: was trained with other settings or data ({}): --resume needs the same ones; --force starts anew, "
                 "--out DIR chooses another folder",
                 file.string(), difference);
    }
}

namespace {

/// What the bank says of the task of one seed.
struct SeedPlan {
  Ranking ranking;
  std::map<Method, Weights> weights;
};

/// The lines of a table with the seed in front of each row; the header only where it is wanted.
std::string tagged(const std::string& csv, std::uint64_t seed, bool header) {
  std::string text;
  std::size_t line = 0;
  for (std::size_t at = 0; at < csv.size(); ++line) {
    const std::size_t end = csv.find('\n', at);
    if (line > 0 || header)
      text += (line == 0 ? std::string("seed") : std::to_string(seed)) + "," + csv.substr(at, end - at + 1);
    at = end + 1;
  }
  return text;
}

/// Rankings and weights of all seeds, before any student trains: a seed without usable weights stops the run while it
/// has cost nothing. Writes similarity.csv and weights.csv. `task_of` hands out the task of a seed.
std::vector<SeedPlan> plan_seeds(Context& ctx, const std::function<const Task&(std::uint64_t)>& task_of,
                                 std::vector<Source>& sources, const PipelineOptions& options,
                                 const PipelineEvents& events, ReportData& report) {
  std::vector<SeedPlan> plans(options.seeds.size());
  std::string similarity_text, weights_text;
  for (std::size_t i = 0; i < plans.size(); ++i) {
    const std::uint64_t seed = options.seeds[i];
    const Task& task = task_of(seed);
    auto& [ranking, weights] = plans[i];
    for (const Source& s : sources) {
      check_channels(s, task, options.outputs.match_channels);
      check_view(s, options.student.teacher_view);
    }
    ranking = rank_sources(ctx, task, sources, options.rank, options.outputs, seed, events);
    try {
      for (const Method m : options.methods)
        if (uses_sources(m)) weights[m] = weights_for(m, ranking, options.rank);
    } catch (const UsageError&) {
      throw;
    } catch (const Error& e) {
      fail("seed {}: {}", seed, e.what());
    }
    for (Outputs& o : ranking.outputs) o.features = Array();  // students learn from the logits
    const Weights& shown = weights.contains(Method::weighted) ? weights.at(Method::weighted) : weights.begin()->second;
    add_source(report.sources, ranking, shown, sources);
    for (std::size_t s = 0; s < sources.size(); ++s)
      for (const std::string& w : ranking.rows[s].similarity.warnings)
        say(events, fmt::format("warning: {}: {}", sources[s].name, w));
    for (const std::string& w : shown.warnings) say(events, "warning: " + w);
    similarity_text += tagged(similarity_csv(ranking.rows), seed, i == 0);
    weights_text += tagged(weights_csv(shown), seed, i == 0);
    write_file_atomic(options.run_folder / "similarity.csv", std::string_view(similarity_text));
    write_file_atomic(options.run_folder / "weights.csv", std::string_view(weights_text));
    say(events, fmt::format("seed {}: nearest source {}", seed, sources[shown.nearest].name));
  }
  return plans;
}

/// Removes a file of an earlier run, where there is one.
void remove_old(const std::filesystem::path& file) {
  std::error_code error;
  std::filesystem::remove(file, error);
  AKIN_CHECK(!error, "{}: cannot be removed: {}", file.string(), error.message());
}

/// Fills the record of one student: trained now, or of an earlier run that this one goes on with. False where it was
/// stopped.
bool make_student(Context& ctx, const Task& task, std::vector<Source>& sources, const SeedPlan& plan,
                  const PipelineOptions& options, const PipelineEvents& events, StudentRecord& record) {
  const StudentFiles files(options.run_folder, record.method, record.seed);
  const bool chooses = !task.split.validation.empty();
  if (options.resume && std::filesystem::exists(files.student) && chooses == std::filesystem::exists(files.best) &&
      read_record(files.record, options.fingerprint, record)) {
    Model last = load_model(ctx, files.student), best;
    if (chooses) best = load_model(ctx, files.best);
    test_student(ctx, task, last, chooses ? &best : nullptr, record);
    return true;
  }
  StudentOptions student = options.student;
  student.method = record.method;
  student.seed = record.seed;
  student.match_channels = options.outputs.match_channels;
  student.train.fingerprint = options.fingerprint + "|" + files.name;
  student.train.checkpoint = options.run_folder / "checkpoints" / (files.name + ".safetensors");
  student.train.resume = options.resume && is_checkpoint_of(student.train.checkpoint, student.train.fingerprint);
  std::vector<Teacher> teachers;
  if (uses_sources(record.method))
    for (std::size_t s = 0; s < sources.size(); ++s)
      teachers.push_back({&sources[s], &plan.ranking.outputs[s], plan.weights.at(record.method).alpha[s]});
  const std::string label = fmt::format("{}, seed {}", title_of(record.method), record.seed);
  TrainHooks hooks;
  hooks.stop = events.stop;
  hooks.progress = [&](std::int64_t done, double loss) {
    if (events.progress)
      events.progress(label, done, student.train.schedule.steps, "steps", fmt::format("loss {:.3f}", loss));
  };
  StudentRun run = train_student(ctx, task, teachers, student, hooks);
  if (!run.result.finished) return false;
  record.curve.points.clear();
  for (const TrainPoint& p : run.result.curve) record.curve.points.push_back({p.step, p.loss, p.validation});
  record.result.seconds = run.seconds;
  record.result.images_per_second = run.images_per_second;
  if (run.pseudo_labelled >= 0)
    say(events, fmt::format("{}: {:.0f} % of the unlabelled images got a confident pseudo-label at the end", label,
                            100 * run.pseudo_labelled));
  test_student(ctx, task, run.model, chooses ? &run.best : nullptr, record);
  // The record vouches for the student, so an old one goes before and the new one comes after it; the checkpoint goes
  // last.
  remove_old(files.record);
  remove_old(files.best);
  save_model(files.student, *run.model.network, run.model.info);
  if (chooses) save_model(files.best, *run.best.network, run.best.info);
  write_record(files.record, record, options.fingerprint);
  remove_checkpoint(student.train);
  return true;
}

}  // namespace

PipelineResult run_pipeline(Context& ctx, const std::function<Task(std::uint64_t)>& make_task,
                            std::vector<Source>& sources, const PipelineOptions& options,
                            const PipelineEvents& events) {
  if (options.methods.empty() || options.seeds.empty()) fail_usage("a run needs at least one method and one seed");
  const std::filesystem::path& folder = options.run_folder;
  make_folder(folder / "students");
  const bool taught = std::any_of(options.methods.begin(), options.methods.end(), uses_sources);
  PipelineResult out;
  ReportData& report = out.report;
  std::vector<StudentRecord> students;
  std::string log;
  Task task;
  std::optional<std::uint64_t> made;  // the seed of `task`: one at a time, since each holds all its images
  const auto task_of = [&](std::uint64_t seed) -> const Task& {
    if (made != seed) task = make_task(seed);
    made = seed;
    AKIN_CHECK(!task.test.labels.empty(), "{}: has no test images to measure the students on", task.pool.source);
    return task;
  };
  std::vector<SeedPlan> plans(options.seeds.size());
  if (taught) plans = plan_seeds(ctx, task_of, sources, options, events, report);
  for (std::size_t i = 0; i < plans.size(); ++i) {
    const std::uint64_t seed = options.seeds[i];
    task_of(seed);
    if (report.classes.empty()) {
      report.classes = task.pool.classes;
      report.labelled = static_cast<std::int64_t>(task.split.labelled.size());
      report.unlabelled = static_cast<std::int64_t>(task.split.unlabelled.size());
    }
    for (const Method method : options.methods) {
      StudentRecord student{method, seed, {.seed = seed}, {title_of(method), seed, {}}, {}, {}};
      if (!make_student(ctx, task, sources, plans[i], options, events, student)) return out;
      for (const CurvePoint& p : student.curve.points) {
        const nlohmann::ordered_json line = {{"method", name_of(method)},
                                             {"seed", seed},
                                             {"step", p.step},
                                             {"loss", p.train_loss},
                                             {"validation", p.val_accuracy}};
        log += line.dump() + "\n";
      }
      write_file_atomic(folder / "log.jsonl", std::string_view(log));
      say(events, fmt::format("{}, seed {}: {:.2f} % of {} test images right ({:.1f} s)", title_of(method), seed,
                              100 * student.result.test_accuracy, task.test.labels.size(), student.result.seconds));
      students.push_back(std::move(student));
    }
  }
  for (SourceResult& s : report.sources)
    for (double* v : {&s.similarity, &s.similarity_low, &s.similarity_high, &s.chance, &s.mapped, &s.alpha})
      *v /= static_cast<double>(options.seeds.size());
  for (const Method m : options.methods) {
    MethodResult r{title_of(m), role_of(m), {}};
    for (const StudentRecord& c : students)
      if (c.method == m) r.seeds.push_back(c.result);
    report.methods.push_back(std::move(r));
  }
  report.seeds = options.seeds;
  report.metric = find_metric(options.rank.metric).title;
  report.curves = curves_of(students);
  add_pictures(report, task, students);
  write_file_atomic(folder / "results.csv", std::string_view(results_csv(report)));
  // The run's student: the last method named, of its first seed.
  const StudentFiles chosen(folder, options.methods.back(), options.seeds.front());
  write_file_atomic(folder / "student.safetensors", ByteView(read_file(chosen.student)));
  if (std::filesystem::exists(chosen.best))
    write_file_atomic(folder / "student_best.safetensors", ByteView(read_file(chosen.best)));
  else
    remove_old(folder / "student_best.safetensors");
  std::error_code not_empty;  // checkpoints of methods that this run did not ask for
  std::filesystem::remove(folder / "checkpoints", not_empty);
  out.finished = true;
  return out;
}

}  // namespace akin
