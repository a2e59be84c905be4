#include "distill/pipeline.hpp"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>

#include "distill/report/csv.hpp"
#include "distill/report/table.hpp"
#include "distill/student/evaluator.hpp"
#include "distill/student/run.hpp"
#include "engine/io/file.hpp"

namespace akin {

namespace {

std::vector<Curve> curves_of(const std::vector<StudentRecord>& students) {
  std::vector<Curve> out;
  for (const StudentRecord& c : students) out.push_back(c.curve);
  return out;
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

}  // namespace

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

/// What the bank says of the task of one seed, and who is made from it: the students of each method.
struct SeedPlan {
  Ranking ranking;
  std::map<Method, std::vector<StudentPlan>> students;
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

/// The weights that the report shows: DistillWeighted's, else those of another method with teachers, else the nearest.
Weights shown_weights(const SeedPlan& plan, const PipelineOptions& options) {
  const Weights* shown = nullptr;
  for (const auto& [method, students] : plan.students)
    if (traits(method).role == MethodRole::taught && (shown == nullptr || method == Method::weighted))
      shown = &students.front().weights;
  return shown != nullptr ? *shown : weights_for(Method::nearest, plan.ranking, options.rank);
}

/// Rankings and plans of all seeds, before any student trains: a seed without usable weights stops the run while it
/// has cost nothing. Writes similarity.csv and weights.csv. `task_of` hands out the task of a seed.
std::vector<SeedPlan> plan_seeds(Context& ctx, const std::function<const Task&(std::uint64_t)>& task_of,
                                 const std::vector<Source>& sources, const PipelineOptions& options,
                                 const Events& events, ReportData& report) {
  const bool ranked = std::any_of(options.methods.begin(), options.methods.end(), uses_sources);
  const PlanOptions how{options.rank, options.transfer, options.student, options.outputs.match_channels};
  std::vector<SeedPlan> plans(options.seeds.size());
  std::string similarity_text, weights_text;
  for (std::size_t i = 0; i < plans.size(); ++i) {
    const std::uint64_t seed = options.seeds[i];
    const Task& task = task_of(seed);
    auto& [ranking, students] = plans[i];
    if (ranked) {
      for (const Source& s : sources) check_channels(s, task, options.outputs.match_channels);
      ranking = rank_sources(ctx, task, sources, options.rank, options.outputs, seed, events);
    }
    try {
      for (const Method m : options.methods) students[m] = plan_students(ctx, m, seed, task, sources, ranking, how);
    } catch (const UsageError&) {
      throw;
    } catch (const Error& e) {
      fail("seed {}: {}", seed, e.what());
    }
    write_file_atomic(options.run_folder / fmt::format("labels-seed{}.json", seed),
                      std::string_view(manifest_of(task, seed)));
    if (!ranked) continue;
    for (Outputs& o : ranking.outputs) o.features = Array();  // students learn from the logits
    const Weights shown = shown_weights(plans[i], options);
    add_source(report.sources, ranking, shown, sources);
    for (std::size_t s = 0; s < sources.size(); ++s)
      for (const std::string& w : ranking.rows[s].similarity.warnings)
        say(events, fmt::format("warning: {}: {}", sources[s].name, w));
    for (const std::string& w : shown.warnings) say(events, "warning: " + w);
    similarity_text += tagged(similarity_csv(ranking.rows), seed, i == 0);
    weights_text += tagged(weights_csv(shown), seed, i == 0);
    write_file_atomic(options.run_folder / "similarity.csv", std::string_view(similarity_text));
    write_file_atomic(options.run_folder / "weights.csv", std::string_view(weights_text));
    say(events, fmt::format("seed {}: nearest source {}", seed, sources[most_similar(ranking)].name));
  }
  return plans;
}

/// Removes a file of an earlier run, where there is one.
void remove_old(const std::filesystem::path& file) {
  std::error_code error;
  std::filesystem::remove(file, error);
  AKIN_CHECK(!error, "{}: cannot be removed: {}", file.string(), error.message());
}

/// Copies a file of this run, or removes an older one where there is none to copy.
void replace(const std::filesystem::path& from, const std::filesystem::path& to) {
  if (std::filesystem::exists(from))
    write_file_atomic(to, ByteView(read_file(from)));
  else
    remove_old(to);
}

/// Fills the record of one student: trained now, or of an earlier run that this one goes on with. False where it was
/// stopped.
bool make_student(Context& ctx, const RunInputs& inputs, const StudentPlan& plan, const PipelineOptions& options,
                  const Events& events, StudentRecord& record) {
  const std::string teacher = plan.single ? inputs.sources[*plan.source].name : "";
  const StudentFiles files(options.run_folder, plan.method, plan.seed, teacher);
  const bool chooses = !inputs.task.split.validation.empty();
  StudentRecord old;
  const bool known = options.resume && std::filesystem::exists(files.student) &&
                     chooses == std::filesystem::exists(files.best) &&
                     read_record(files.record, options.fingerprint, old);
  const bool network = traits(plan.method).start != Start::features;
  if (known && network) {
    record.result = old.result;
    record.result.seed = plan.seed;
    record.curve.points = old.curve.points;
    Model last = load_model(ctx, files.student), best;
    if (chooses) best = load_model(ctx, files.best);
    Examiner::test(ctx, inputs.task, last, chooses ? &best : nullptr, record);
    return true;
  }
  // The record vouches for the student, so an old one goes before and the new one comes after it; the checkpoint goes
  // last.
  if (!known) remove_old(files.record);
  const RunFiles run{files.student, files.best, options.run_folder / "checkpoints" / (files.name + ".safetensors"),
                     options.fingerprint + "|" + files.name, options.resume};
  if (!run_student(ctx, inputs, plan, options.student, run, events, record)) return false;
  if (known) record.result.seconds = old.result.seconds;  // a probe's head is found again, and takes no time
  write_record(files.record, record, options.fingerprint);
  remove_checkpoint({.schedule = {}, .optimizer = {}, .checkpoint = run.checkpoint, .fingerprint = ""});
  return true;
}

/// All students of a method and seed; of an oracle's, the one that is best on the test images stands for it. Each
/// one's accuracy goes to `oracle_csv`.
bool make_students(Context& ctx, const RunInputs& inputs, const std::vector<StudentPlan>& plans,
                   const PipelineOptions& options, const Events& events, StudentRecord& best,
                   std::string& oracle_csv) {
  std::optional<StudentRecord> top;
  double seconds = 0;
  for (const StudentPlan& plan : plans) {
    StudentRecord record;
    record.method = plan.method;
    record.seed = plan.seed;
    record.curve.method = title_of(plan.method);
    record.curve.seed = plan.seed;
    if (plan.source) record.source = inputs.sources[*plan.source].name;
    if (!make_student(ctx, inputs, plan, options, events, record)) return false;
    if (plan.single)
      oracle_csv += csv_line({std::to_string(plan.seed), csv_text(record.source),
                              csv_number(record.result.test_accuracy), csv_number(record.result.best_test_accuracy)});
    seconds += record.result.seconds;
    if (!top || record.result.test_accuracy > top->result.test_accuracy) top = std::move(record);
  }
  best = std::move(*top);
  best.result.seconds = seconds;
  if (!plans.front().single) return true;
  const StudentFiles from(options.run_folder, best.method, best.seed, best.source);
  const StudentFiles to(options.run_folder, best.method, best.seed);
  replace(from.student, to.student);
  replace(from.best, to.best);
  return true;
}

}  // namespace

PipelineResult run_pipeline(Context& ctx, const std::function<Task(std::uint64_t)>& make_task,
                            const std::vector<Source>& sources, const PipelineOptions& options,
                            const Events& events) {
  if (options.methods.empty() || options.seeds.empty()) fail_usage("a run needs at least one method and one seed");
  const std::filesystem::path& folder = options.run_folder;
  make_folder(folder / "students");
  PipelineResult out;
  ReportData& report = out.report;
  std::vector<StudentRecord> students;
  std::string log, oracle_csv;
  Task task;
  std::optional<std::uint64_t> made;  // the seed of `task`: one at a time, since each holds all its images
  const auto task_of = [&](std::uint64_t seed) -> const Task& {
    if (made != seed) task = make_task(seed);
    made = seed;
    AKIN_CHECK(!task.test.empty(), "{}: has no test images to measure the students on", task.pool.source);
    return task;
  };
  const std::vector<SeedPlan> plans = plan_seeds(ctx, task_of, sources, options, events, report);
  for (std::size_t i = 0; i < plans.size(); ++i) {
    const std::uint64_t seed = options.seeds[i];
    task_of(seed);
    if (report.classes.empty()) {
      report.classes = task.pool.classes;
      report.labelled = static_cast<std::int64_t>(task.split.labelled.size());
      report.unlabelled = static_cast<std::int64_t>(task.split.unlabelled.size());
    }
    const RunInputs inputs{task, sources, plans[i].ranking.outputs, options.outputs};
    for (const Method method : options.methods) {
      StudentRecord student;
      if (!make_students(ctx, inputs, plans[i].students.at(method), options, events, student, oracle_csv)) return out;
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
                              100 * student.result.test_accuracy, task.test.size(), student.result.seconds));
      students.push_back(std::move(student));
    }
  }
  for (SourceResult& s : report.sources)
    for (double* v : {&s.similarity, &s.similarity_low, &s.similarity_high, &s.chance, &s.mapped, &s.alpha})
      *v /= static_cast<double>(options.seeds.size());
  for (const Method m : options.methods) {
    MethodResult r{title_of(m), traits(m).role, {}};
    for (const StudentRecord& c : students)
      if (c.method == m) r.seeds.push_back(c.result);
    report.methods.push_back(std::move(r));
  }
  report.seeds = options.seeds;
  const Metric metric = find_metric(options.rank.metric);
  report.metric = metric.title;
  report.metric_scale = metric.scale();
  report.curves = curves_of(students);
  Examiner::add_pictures(report, task, students);
  write_file_atomic(folder / "results.csv", std::string_view(results_csv(report)));
  if (!oracle_csv.empty())
    write_file_atomic(folder / "oracle.csv", std::string_view("seed,source,test_last,test_best\n" + oracle_csv));
  // The run's student: the last method named, of its first seed.
  const StudentFiles chosen(folder, options.methods.back(), options.seeds.front());
  replace(chosen.student, folder / "student.safetensors");
  replace(chosen.best, folder / "student_best.safetensors");
  std::error_code not_empty;  // checkpoints of methods that this run did not ask for
  std::filesystem::remove(folder / "checkpoints", not_empty);
  out.finished = true;
  return out;
}

}  // namespace akin
