#include "distill/pipeline.hpp"

#include <algorithm>
#include <cmath>
#include <optional>

#include "distill/report/csv.hpp"
#include "distill/report/table.hpp"
#include "distill/report/tensorboard.hpp"
#include "distill/report/verdict.hpp"
#include "distill/similarity/likeness.hpp"
#include "distill/student/evaluator.hpp"
#include "engine/io/file.hpp"
#include "engine/io/folder_lock.hpp"
#include "engine/io/safetensors.hpp"
#include "engine/ranks.hpp"
#include "nn/model_file.hpp"

namespace akin {

namespace {

/// Sums over seeds of what one source got; divided by the number of seeds at the end.
void add_source(std::vector<SourceResult>& total, const Ranking& ranking, const Weights& weights,
                const std::vector<Source>& sources) {
  const bool first = total.empty();
  total.resize(sources.size());
  const auto add = [&](double& to, double v) { to = first ? v : to + v; };  // not measured for one seed: for none
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

bool is_measured(const Ranking& ranking) {
  return std::all_of(ranking.rows.begin(), ranking.rows.end(),
                     [](const SimilarityRow& row) { return row.undefined.empty(); });
}

/// The weights that the report shows: DistillWeighted's, else those of another method with teachers, else the nearest,
/// where the similarities say which that is.
Weights shown_weights(const std::vector<StudentPlan>& plans, const Ranking& ranking, double power) {
  const StudentPlan* shown = nullptr;
  for (const StudentPlan& p : plans) {
    if (traits(p.method).role != MethodRole::taught || p.weights.alpha.empty()) continue;
    const bool first = shown == nullptr || p.method < shown->method;
    if (shown == nullptr || p.method == Method::weighted || (shown->method != Method::weighted && first)) shown = &p;
  }
  if (shown != nullptr) return shown->weights;
  if (is_measured(ranking)) return weights_for(Method::nearest, ranking, power);
  Weights none = single_weights(ranking, 0);
  none.alpha.assign(none.alpha.size(), not_measured);
  return none;
}

/// Whether a network can be loaded from it: not of a head alone, nor of a probe that asks several networks.
bool is_model_file(const std::filesystem::path& file) {
  return is_there(file) && describes_itself(read_safetensors(file));
}

/// Copies a file of this run, or removes an older one where there is none to copy.
void replace(const std::filesystem::path& from, const std::filesystem::path& to) {
  if (is_there(from)) return write_file_atomic(to, ByteView(read_file(from)));
  remove_file(to);
}

/// What a run writes beside its students, and its report, from what the grid tells.
class Reporter {
 public:
  Reporter(const Grid& grid, const GridFolder& place, bool tensorboard, const Events& events)
      : grid_(grid), place_(place), tensorboard_(tensorboard), events_(events) {
    // On the page: the last method that is taught, else the last one, and the one trained on labels alone.
    for (const GridVariant& v : grid.variants) {
      if (shown_ == nullptr || traits(v.method).role == MethodRole::taught ||
          traits(shown_->method).role != MethodRole::taught)
        shown_ = &v;
      if (v.method == Method::scratch) scratch_ = &v;
    }
    if (shown_ == scratch_) scratch_ = nullptr;
  }

  /// Writes similarity.csv and weights.csv.
  void planned(const GridGroup& g, const std::vector<Source>& sources, const std::vector<Outputs>& outputs,
               const Ranking* ranking, const std::vector<StudentPlan>& plans) {
    if (ranking == nullptr) return;
    const bool first = similarity_text_.empty();
    if (first) report_.likeness = likeness_of(outputs);
    const Weights weights = shown_weights(plans, *ranking, grid_.settings.p);
    add_source(report_.sources, *ranking, weights, sources);
    for (const std::string& w : shared_warnings(ranking->rows)) say(events_, "warning: " + w);
    for (const std::string& w : weights.warnings) say(events_, "warning: " + w);
    if (first && !ranking->metric.why.empty()) say(events_, ranking->metric.why);
    metric_ = ranking->metric;
    if (const std::string line = disputed_lead(ranking->rows); !line.empty())
      disputed_.push_back(fmt::format("seed {}: {}", g.seed, line));
    similarity_text_ += tagged(similarity_csv(ranking->rows), g.seed, first);
    weights_text_ += tagged(weights_csv(weights), g.seed, first);
    write_file_atomic(place_.folder / "similarity.csv", std::string_view(similarity_text_));
    write_file_atomic(place_.folder / "weights.csv", std::string_view(weights_text_));
    if (is_measured(*ranking)) {
      say(events_, fmt::format("seed {}: nearest source {}", g.seed, sources[most_similar(*ranking)].name));
    } else {
      for (const SimilarityRow& row : ranking->rows)  // a method that needs it would have stopped the run
        if (!row.undefined.empty())
          say(events_,
              fmt::format("warning: source {}: {}; no student of this run depends on it", row.source, row.undefined));
    }
    if (++ranked_ == grid_.seeds.size() && !disputed_.empty()) say(events_, "warning: " + disputed_line());
  }

  /// What tells of this run before its first student.
  std::vector<std::string> written() const {
    std::vector<std::string> names{"config.toml"};
    for (const std::uint64_t seed : grid_.seeds)
      names.push_back(place_.labels(grid_.targets[0], grid_.budgets[0], seed).filename().string());
    if (!similarity_text_.empty()) names.insert(names.end(), {"similarity.csv", "weights.csv"});
    return names;
  }

  /// Writes log.jsonl.
  void finished(const GridGroup& g, const Cell& cell, const StudentRecord& record,
                const std::function<TestAnswers()>& answers) {
    if (!task_) task_ = g.task;
    const std::size_t before = rows_.size();
    const double best_before = rows_.empty() ? 0 : rows_.back().record.figures.test_accuracy;
    add_result(rows_, cell, record);
    const bool leads = rows_.size() > before || rows_.back().record.figures.test_accuracy > best_before;
    if (!cell.teacher.empty()) {
      oracle_csv_ +=
          csv_line({std::to_string(cell.seed), csv_text(cell.teacher), csv_number(record.figures.test_accuracy),
                    csv_number(record.figures.best_test_accuracy)});
      Cell whole = cell;
      whole.teacher.clear();
      if (leads) replace(place_.student(cell), place_.student(whole));
      if (leads) replace(place_.best(cell), place_.best(whole));
    }
    if (cell.seed == grid_.seeds.front() && leads) keep_answers(cell, record, answers);
    log_.clear();
    for (const ResultRow& r : rows_)
      for (const CurvePoint& p : r.record.curve)
        log_ += Json{{"method", name_of(r.method)},
                     {"seed", r.record.figures.seed},
                     {"step", p.step},
                     {"loss", p.loss},
                     {"validation", p.validation}}
                    .dump() +
                "\n";
    write_file_atomic(place_.folder / "log.jsonl", std::string_view(log_));
    if (tensorboard_)
      write_tensorboard(place_.folder, place_.record(cell).stem().string(), record.figures, record.curve);
    say(events_,
        fmt::format("{}, seed {}{}: {:.2f} % of {} test images right ({:.1f} s)", title_of(cell.variant->method),
                    cell.seed, cell.teacher.empty() ? "" : ", taught by " + cell.teacher,
                    100 * record.figures.test_accuracy, g.task.test().size(), record.figures.seconds));
  }

  /// The report and the other tables, of a run that is finished.
  ReportData report() {
    ReportData& r = report_;
    r.classes = task_->pool().classes;
    r.labelled = rows_.front().record.labelled;
    r.unlabelled = rows_.front().record.unlabelled;
    for (SourceResult& s : r.sources)
      for (double* v : {&s.similarity, &s.similarity_low, &s.similarity_high, &s.chance, &s.mapped, &s.alpha})
        *v /= static_cast<double>(grid_.seeds.size());
    for (const GridVariant& v : grid_.variants) {
      MethodResult m{title_of(v.method), traits(v.method).role, {}};
      for (const ResultRow& row : rows_)
        if (row.variant == v.name) m.seeds.push_back(row.record.figures);
      r.methods.push_back(std::move(m));
    }
    for (const ResultRow& row : rows_) {
      const StudentRecord& student = row.record;
      if (traits(row.method).start != Start::features)  // a probe has no steps: its points are strengths that it tried
        r.curves.push_back({title_of(row.method), student.figures.seed, student.curve});
      r.files.push_back({title_of(row.method), student.figures.seed, student.student_hash, student.best_hash});
    }
    r.seeds = grid_.seeds;
    // Without a ranking nothing is measured, and the page needs a name for it all the same.
    if (metric_.name.empty()) metric_ = choose_metric(grid_.settings.metric, *task_, {}, grid_.settings.probe);
    const Metric metric = find_metric(metric_.name);
    r.metric = metric.title;
    r.metric_scale = metric.scale();
    if (!r.sources.empty() && !metric_.why.empty()) r.ranking_notes.push_back(metric_.why);
    if (!disputed_.empty()) r.ranking_notes.push_back(disputed_line());
    Evaluator::add_pictures(r, *task_, shown_answers_, scratch_ != nullptr ? &scratch_answers_ : nullptr);
    r.tables["log.jsonl"] = log_;
    if (!oracle_csv_.empty()) r.tables["oracle.csv"] = "seed,source,test_last,test_best\n" + oracle_csv_;
    if (!similarity_text_.empty()) {
      r.tables["similarity.csv"] = similarity_text_;
      r.tables["weights.csv"] = weights_text_;
    }
    r.validation_images = std::ssize(task_->split.validation);
    r.test_images = static_cast<std::int64_t>(task_->test().size());
    // The run's student, of its first seed: the best on the validation images, else the last method named.
    std::vector<bool> kept;
    const auto cell_of = [&](const GridVariant& v) {
      return Cell{&grid_.targets.front(), &grid_.budgets.front(), grid_.seeds.front(), &v, ""};
    };
    for (const GridVariant& v : grid_.variants)
      kept.push_back(v.method != Method::oracle && is_model_file(place_.student(cell_of(v))));
    const std::ptrdiff_t best = best_by_validation(r.methods, kept);
    const GridVariant& delivered = best < 0 ? grid_.variants.back() : grid_.variants[static_cast<std::size_t>(best)];
    r.delivered = title_of(delivered.method);
    if (delivered_answers_.method == r.delivered) Evaluator::add_delivered(r, *task_, delivered_answers_);
    write_tables(r, place_.folder);
    const Cell chosen = cell_of(delivered);
    replace(place_.student(chosen), place_.folder / "student.safetensors");
    replace(place_.best(chosen), place_.folder / "student_best.safetensors");
    return std::move(r);
  }

 private:
  /// What a student of the first seed said of the test images, where the report may show it. An earlier run's is tested
  /// again, so only those that may be handed over are asked.
  void keep_answers(const Cell& cell, const StudentRecord& record, const std::function<TestAnswers()>& answers) {
    const GridVariant& v = *cell.variant;
    candidates_.push_back({title_of(v.method), traits(v.method).role, {record.figures}});
    candidate_kept_.push_back(v.method != Method::oracle && is_model_file(place_.student(cell)));
    const std::ptrdiff_t best = best_by_validation(candidates_, candidate_kept_);
    const bool leads = best < 0 ? &v == &grid_.variants.back() : best + 1 == std::ssize(candidates_);
    if (!leads && &v != shown_ && &v != scratch_) return;
    const Evaluator::Pictured said{title_of(v.method), cell.seed, answers()};
    if (&v == shown_) shown_answers_ = said;
    if (&v == scratch_) scratch_answers_ = said;
    if (leads) delivered_answers_ = said;
  }

  /// The first of the rankings whose draws do not agree, and how many they are.
  std::string disputed_line() const {
    if (ranked_ == 1) return disputed_.front();
    return fmt::format("{} of {} rankings are unsure; {}", disputed_.size(), ranked_, disputed_.front());
  }

  const Grid& grid_;
  const GridFolder& place_;
  const bool tensorboard_;
  const Events& events_;
  ReportData report_;
  std::optional<Task> task_;
  std::vector<ResultRow> rows_;
  const GridVariant *shown_ = nullptr, *scratch_ = nullptr;
  Evaluator::Pictured shown_answers_, scratch_answers_, delivered_answers_;
  std::vector<MethodResult> candidates_;  ///< of the first seed, those finished so far
  std::vector<bool> candidate_kept_;
  std::string similarity_text_, weights_text_, oracle_csv_, log_;
  MetricChoice metric_;
  std::vector<std::string> disputed_;  ///< of which seed, and who leads
  std::size_t ranked_ = 0;             ///< seeds whose sources were ranked
};

}  // namespace

Grid single_grid(GridTarget target, LabelManifest labels, const std::vector<std::string>& source_files,
                 const std::vector<Method>& methods, std::vector<std::uint64_t> seeds, Settings settings) {
  if (methods.empty() || seeds.empty()) fail_usage("a run needs at least one method and one seed");
  Grid grid;
  grid.title = target.name;
  grid.seeds = std::move(seeds);
  grid.settings = std::move(settings);
  grid.settings.files = std::make_shared<FileDigests>();
  for (const Method m : methods) grid.variants.push_back({name_of(m), m});
  grid.budgets.push_back({"labels", std::move(labels)});
  if (std::any_of(methods.begin(), methods.end(), uses_sources)) {
    target.sources = source_names(source_files);
    for (std::size_t i = 0; i < source_files.size(); ++i) grid.sources.push_back({target.sources[i], source_files[i]});
    const bool transfers =
        std::any_of(methods.begin(), methods.end(), [](Method m) { return traits(m).start == Start::transfer; });
    if (transfers) check_transfer(grid.settings.transfer, target.sources);
  }
  grid.targets.push_back(std::move(target));
  return grid;
}

PipelineResult run_pipeline(Context& ctx, const Grid& grid, const PipelineOptions& options, const Events& events) {
  AKIN_CHECK(grid.targets.size() == 1 && grid.budgets.size() == 1,
             "a run has one target and one budget, found {} and {}", grid.targets.size(), grid.budgets.size());
  for (const GridVariant& v : grid.variants)  // what cannot be is said before an earlier run is removed
    if (traits(v.method).start != Start::features) schedule_of(grid.settings_of(grid.targets[0], &v)).check();
  GridOptions o{.place = {options.run_folder, true}, .cache = options.cache};
  o.fresh = !options.resume;
  o.keep_students = o.strict = true;
  o.made_by = options.made_by;
  if (ctx.ranks != nullptr && !ctx.ranks->is_first()) {  // it helps, and writes nothing
    PipelineResult helped;
    helped.finished = run_grid(ctx, grid, o, events).finished;
    return helped;
  }
  Reporter reporter(grid, o.place, options.tensorboard, events);
  o.listener.opened = [&](const Task& first, const std::vector<Source>&) {
    if (options.opened) options.opened(first);
    make_folder(options.run_folder / "students");
  };
  o.listener.planned = [&](const auto&... told) { reporter.planned(told...); };
  o.listener.begins = [&] {
    if (options.begins) options.begins(reporter.written());
  };
  o.listener.finished = [&](const auto&... told) { reporter.finished(told...); };
  PipelineResult out;
  if (!run_grid(ctx, grid, o, events).finished) return out;
  const ContextScope<&Context::ranks> apart(ctx, nullptr);
  out.report = reporter.report();
  std::error_code not_empty;  // checkpoints of methods that this run did not ask for
  check_still_locked(options.run_folder);
  std::filesystem::remove(options.run_folder / "checkpoints", not_empty);
  out.finished = true;
  return out;
}

}  // namespace akin
