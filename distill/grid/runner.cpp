#include "distill/grid/runner.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>

#include "distill/grid/cell_state.hpp"
#include "distill/grid/deal.hpp"
#include "distill/grid/target_bank.hpp"
#include "distill/student/evaluator.hpp"
#include "distill/student/run.hpp"
#include "distill/student/train.hpp"
#include "engine/io/file.hpp"
#include "engine/io/sha256.hpp"
#include "engine/nccl.hpp"
#include "engine/ranks.hpp"
#include "nn/zoo/zoo.hpp"

namespace akin {

namespace {

using State = CellState::State;

constexpr std::size_t kKeptBytes = std::size_t{1} << 31;

class Runner {
 public:
  Runner(Context& ctx, const Grid& grid, const GridOptions& o, const Events& events)
      : ctx_(ctx),
        grid_(grid),
        o_(o),
        events_(events),
        ranks_(o.ranks != nullptr ? o.ranks.get() : ctx.ranks.get()),
        first_(ranks_ == nullptr || ranks_->is_first()),
        in_first_group_(first_ || (o.ranks != nullptr && ctx.ranks != nullptr && o.ranks->rank() < ctx.ranks->size())),
        writes_(ctx.ranks == nullptr || ctx.ranks->is_first()) {
    if (o.ranks == nullptr) return;
    events_.stop = [this, asked = events.stop] { return (deal_ && deal_->serve()) || (asked && asked()); };
    if (events.progress)
      events_.progress = [this, told = events.progress](const auto&... all) {
        if (deal_) deal_->serve();
        told(all...);
      };
  }

  GridOutcome run() {
    GridOutcome out;
    std::map<std::string, OpenedTarget> kept;  // targets that are open, as long as their images are not many
    std::size_t bytes = 0;
    std::map<std::string, bool> busy;
    std::vector<CellState> stale;
    std::size_t not_kept = 0;
    std::map<std::string, std::string> states;
    std::string settings;
    std::vector<std::filesystem::path> left;  // checkpoints of a run that was killed before it removed them
    for (const GridTarget& t : grid_.targets) {
      if (!o_.only.takes(t)) continue;
      OpenedTarget opened = open(t);
      say(events_, opened.bank.images()->pool.account, opened.bank.images()->pool.source);
      if (o_.listener.inputs) o_.listener.inputs(t, opened.bank.inputs());
      for (const CellState& s : opened.cells) {
        settings += s.record.settings.dump();
        syncs_ = syncs_ || s.settings.sync_batchnorm;
        if (!s.taken) continue;
        ++out.cells;
        if (s.state == State::stale) stale.push_back(s);
        not_kept += s.changed == kNotKept;
        if (s.state == State::finished) left.push_back(o_.place.checkpoint(s.cell));
        const bool due = s.state != State::finished;
        pending_ += due;
        work_ += due ? work_of(s) : 0;
        busy[t.name] |= due;
      }
      states[t.name] = states_of(opened.cells);
      busy[t.name] |= o_.strict || rankings_due(t, opened.bank);
      bytes += opened.bank.images()->pool.images.byte_size();
      if (kept.empty() || bytes <= kKeptBytes) kept.emplace(t.name, std::move(opened));
    }
    if (first_) refuse_stale(o_, stale, out.cells);
    if (ranks_ != nullptr) {  // nobody has changed anything yet
      check_same(*ranks_, sha256_hex(settings), "settings, images or sources");
      pending_ = 0;
      for (auto& [target, text] : states) {
        broadcast(*ranks_, text, 0, "which cells are finished");
        pending_ += pending_in(text);
        char due = busy[target] ? 1 : 0;
        ranks_->broadcast(&due, 1, 0, "what is to be measured");
        busy[target] = due != 0;
      }
    }
    deal_.emplace(o_.ranks.get(), o_.ranks != nullptr ? ctx_.ranks.get() : nullptr, pending_,
                  Deal::Told{[&](const DealtCell& cell) { count(cell, out); },
                             [&](const std::string& line) { say(events_, "warning: " + line); }});
    if (not_kept > 0) say(events_, fmt::format("{} finished cells are run again to keep their students", not_kept));
    if (first_)
      for (const std::filesystem::path& file : left) remove_file(file);
    const auto walk = [&] {
      number_ = 0;
      for (const GridTarget& t : grid_.targets) {
        if (!o_.only.takes(t) || !busy[t.name]) continue;
        const std::size_t due = pending_in(states[t.name]);
        if (again_ && !deal_->any_is_mine(number_, number_ + due)) {
          number_ += due;
          continue;
        }
        const auto it = kept.find(t.name);
        OpenedTarget opened = it != kept.end() ? std::move(it->second) : open(t);
        if (it != kept.end()) kept.erase(it);
        take_states(states[t.name], opened.cells);
        if (!run_target(t, opened, out)) return false;
        if (o_.listener.target_done) o_.listener.target_done();
      }
      return true;
    };
    const bool stopped = !walk_all(walk);
    if (!stopped) end_pieces(events_);
    out.finished = deal_->end(stopped);
    return out;
  }

 private:
  /// Through all cells, again where one came back of a rank that was lost. False: stopped on request.
  bool walk_all(const std::function<bool()>& walk) {
    for (;;) try {
        do {
          if (!walk()) return false;
          again_ = true;
        } while (deal_->more());
        return true;
      } catch (const LeftOut&) {
        if (!deal_->goes_on_alone(!syncs_)) return true;
        ctx_.ranks = nullptr;
        if (ctx_.nccl != nullptr) ctx_.nccl->abandon();
        ctx_.nccl = nullptr;
      }
  }

  OpenedTarget open(const GridTarget& t) const {
    return open_target(ctx_, grid_, o_, t, [this](const std::string& line) { say(events_, line); });
  }

  /// Of a student, to tell how long the others may take. A probe is found in a moment, but looks at the test pictures.
  static double work_of(const CellState& s) {
    const std::int64_t trained = pictures_trained_on(s.cell.variant->method, s.settings);
    return static_cast<double>(trained > 0 ? trained : s.settings.steps);
  }

  /// A ranking is missing, or was measured on something else.
  bool rankings_due(const GridTarget& t, const TargetBank& bank) const {
    if (bank.sources().empty()) return false;
    for (const GridBudget& b : grid_.budgets)
      for (const std::uint64_t seed : grid_.seeds)
        if (o_.only.takes(b) && o_.only.takes_seed(seed) &&
            !bank.has_ranking(b, seed, o_.place.ranking(t, b, seed), events_))
          return true;
    return false;
  }

  bool run_target(const GridTarget& t, OpenedTarget& opened, GridOutcome& out) {
    std::vector<GridGroup> groups;
    for (const GridBudget& b : grid_.budgets)
      for (const std::uint64_t seed : grid_.seeds) {
        if (!o_.only.takes(b) || !o_.only.takes_seed(seed)) continue;
        LabelManifest labels = b.labels;
        labels.draw.seed = seed;
        groups.push_back({&t, &b, seed, make_task(opened.bank.images(), labels)});
      }
    // An experiment has many groups on the same images. Either way no cell depends on which others run: outputs differ
    // in their last bits where images stand in other batches.
    opened.bank.share_outputs(!o_.place.flat);
    if (o_.strict) check_inputs(groups.front().task, opened.bank.sources(), t);
    if (o_.listener.opened) o_.listener.opened(groups.front().task, opened.bank.sources());
    std::vector<GroupBank> banks(groups.size());
    if (o_.strict)
      for (std::size_t g = 0; g < groups.size(); ++g) {
        if (!prepare(opened, groups[g], banks[g])) return false;
        opened.bank.forget_features(banks[g]);
      }
    if (o_.fresh && writes_) forget_earlier_run(opened);
    if (o_.strict && pending_ > 0 && o_.listener.begins) o_.listener.begins();
    for (std::size_t g = 0; g < groups.size(); ++g) {
      const std::vector<CellState*> cells = cells_of_group(opened, groups[g]);
      const auto due = static_cast<std::size_t>(
          std::count_if(cells.begin(), cells.end(), [](const CellState* s) { return s->state != State::finished; }));
      // Of a group without a cell that is missing there may be a ranking to measure.
      if (!o_.strict && !(due > 0 ? deal_->any_is_mine(number_, number_ + due) : in_first_group_)) {
        number_ += due;
        continue;
      }
      if (!o_.strict && !prepare(opened, groups[g], banks[g])) return false;
      if (!run_group(opened, groups[g], banks[g], out)) return false;
      banks[g] = {};
    }
    return true;
  }

  /// A run that starts anew may be stopped: what it has not made yet shall not pass for its own.
  void forget_earlier_run(const OpenedTarget& opened) const {
    for (const CellState& s : opened.cells) {
      if (!s.taken) continue;
      remove_file(o_.place.record(s.cell));
      remove_file(o_.place.checkpoint(s.cell));
    }
  }

  /// What would stop every student.
  void check_inputs(const Task& first, const std::vector<Source>& sources, const GridTarget& t) const {
    AKIN_CHECK(!first.test().empty(), "{}: has no test images to measure the students on", first.pool().source);
    const Settings settings = grid_.settings_of(t);
    for (const Source& s : sources) check_channels(s, first.pool(), settings.match_channels);
    for (const GridVariant& v : grid_.variants) check_start(ctx_, v.method, first, sources, grid_.settings_of(t, &v));
    const std::unique_ptr<Network> network = make_network(ctx_, student_architecture(ctx_, settings, first));
    if (settings.init.empty()) return;
    const std::string line = start_from_init(ctx_, *network, settings, first.normalization);
    if (!line.empty()) say(events_, line);
  }

  std::vector<CellState*> cells_of_group(OpenedTarget& opened, const GridGroup& g) const {
    std::vector<CellState*> out;
    for (CellState& s : opened.cells)
      if (s.taken && s.cell.budget == g.budget && s.cell.seed == g.seed) out.push_back(&s);
    return out;
  }

  /// Labels, outputs of the sources, rankings and plans of a group. False: stopped on request.
  bool prepare(OpenedTarget& opened, const GridGroup& g, GroupBank& bank) {
    if (writes_) {
      const std::filesystem::path manifest = o_.place.labels(*g.target, *g.budget, g.seed);
      make_folder(manifest.parent_path());
      write_file_atomic(manifest, std::string_view(manifest_of(g.task, g.seed)));
    }
    bank = opened.bank.of(g, events_);
    if (!o_.strict && !opened.bank.sources().empty() &&
        !opened.bank.write_ranking(g, bank, o_.place.ranking(*g.target, *g.budget, g.seed), events_))
      return false;
    const Ranking* shown = nullptr;  // to a strict run: of the settings of all
    if (o_.strict && !opened.bank.sources().empty())
      shown = &opened.bank.ranking(g, bank, grid_.settings_of(*g.target), true, events_);
    std::vector<StudentPlan> all;
    for (CellState* s : cells_of_group(opened, g)) {
      if (o_.strict || s->state != State::finished) plan(opened, g, bank, *s);
      if (s->plan) all.push_back(*s->plan);
    }
    if (o_.strict && o_.listener.planned) o_.listener.planned(g, opened.bank.sources(), bank.outputs, shown, all);
    return true;
  }

  /// The plan of a cell, or why it has none.
  void plan(OpenedTarget& opened, const GridGroup& g, GroupBank& bank, CellState& s) {
    const Method method = s.cell.variant->method;
    try {
      const bool looks = o_.strict || needs_similarity(traits(method), s.settings);
      const Ranking& ranking = opened.bank.ranking(g, bank, s.settings, looks, events_);
      for (StudentPlan& p : plan_students(ctx_, method, g.seed, g.task, opened.bank.sources(), ranking, s.settings))
        if (s.cell.teacher.empty() || p.source->name == s.cell.teacher) s.plan = std::move(p);
      if (o_.strict && s.plan && s.state != State::finished)
        check_student_inputs(ctx_, {g.task, opened.bank.sources(), bank.outputs, {}, &bank.probe}, *s.plan, events_);
    } catch (const RankError&) {
      throw;
    } catch (const Error& e) {
      if (dynamic_cast<const UsageError*>(&e) != nullptr && o_.strict) throw;
      if (o_.strict) fail("seed {}: {}", g.seed, e.what());
      if (stop_asked(events_)) throw;
      s.error = e.what();
    }
  }

  bool run_group(OpenedTarget& opened, const GridGroup& g, GroupBank& bank, GridOutcome& out) {
    for (CellState* s : cells_of_group(opened, g)) {
      TestAnswers answers;
      const bool known = s->state == State::finished;
      if (!known && !deal_->is_mine(number_++)) continue;
      if (!known && !run_cell(opened, g, bank, *s, answers, out)) return false;
      if (o_.listener.finished && s->record.error.empty())
        o_.listener.finished(g, s->cell, s->record, [&] { return known ? test_again(opened, g, bank, *s) : answers; });
    }
    return true;
  }

  /// False where it was stopped.
  bool run_cell(OpenedTarget& opened, const GridGroup& g, GroupBank& bank, CellState& s, TestAnswers& answers,
                GridOutcome& out) {
    const Json settings = s.record.settings;
    const std::filesystem::path file = o_.place.record(s.cell);
    begin_piece(events_, {"students", s.plan ? s.plan->label() : "", std::int64_t(done_) + 1, std::int64_t(pending_),
                          work_done_, work_of(s), work_});
    deal_->serve();                  // if this rank was lost for a while, another may have finished the cell
    if (writes_) remove_file(file);  // it vouches for the student: the old one goes before, the new one comes after it
    s.record = {};
    s.record.settings = settings;
    s.record.made_by = o_.made_by;
    s.record.device = name_of(ctx_.device);
    s.record.error = s.error;
    StudentPlace place{.training = {.checkpoint = o_.place.checkpoint(s.cell),
                                    .checkpoint_every = s.settings.checkpoint_every,
                                    .resume = !o_.fresh && changes_of_checkpoint(o_.place, s.cell, settings).empty(),
                                    .fingerprint = settings.dump()}};
    if (!writes_) {
      place.training.checkpoint_every = 0;
    } else if (o_.keep_students) {
      place.student = o_.place.student(s.cell);
      place.best = o_.place.best(s.cell);
      make_folder(place.student.parent_path());
    } else {  // one that an earlier run kept is not this record's
      remove_file(o_.place.student(s.cell));
      remove_file(o_.place.best(s.cell));
    }
    Events events = events_;
    if (!o_.strict) events.stage = {};  // a line a cell is enough
    if (s.record.error.empty()) {
      try {
        const OutputOptions options = opened.bank.output_options(s.settings);
        if (!run_student(ctx_, {g.task, opened.bank.sources(), bank.outputs, options, &bank.probe}, *s.plan, s.settings,
                         place, events, s.record, answers))
          return false;
      } catch (const RankError&) {
        throw;
      } catch (const Error& e) {
        if (o_.strict) throw;
        if (stop_asked(events_)) return false;  // progress outside of a training loop stops with an error
        s.record.error = e.what();
      }
    }
    if (!s.record.error.empty()) deal_->failed(s.record.error);
    if (writes_) {
      write_record(file, s.cell, s.record);
      remove_file(place.training.checkpoint);
    }
    work_done_ += work_of(s);
    const DealtCell cell{fmt::format("{}: {:.2f} % ({:.1f} s)", s.cell.label(), 100 * s.record.figures.test_accuracy,
                                     s.record.figures.seconds),
                         s.record.error.empty() ? "" : s.cell.label() + ": " + s.record.error};
    count(cell, out);
    deal_->made(cell);
    return true;
  }

  /// A cell was run, here or by another rank.
  void count(const DealtCell& cell, GridOutcome& out) {
    ++out.ran;
    ++done_;
    if (!cell.error.empty()) out.failed.push_back(cell.error);
    if (o_.strict) return;
    say(events_, cell.error.empty() ? fmt::format("[{}/{}] {}", done_, pending_, cell.line)
                                    : fmt::format("warning: [{}/{}] {}", done_, pending_, cell.error));
  }

  /// What a student of an earlier run says of the test images. A probe's head is found again: it takes no time.
  TestAnswers test_again(OpenedTarget& opened, const GridGroup& g, GroupBank& bank, CellState& s) {
    const ContextScope<&Context::ranks> apart(ctx_, nullptr);  // the first rank alone writes a report
    StudentRecord again;
    TestAnswers answers;
    if (traits(s.cell.variant->method).start == Start::features) {
      const OutputOptions options = opened.bank.output_options(s.settings);
      run_student(ctx_, {g.task, opened.bank.sources(), bank.outputs, options, &bank.probe}, *s.plan, s.settings, {},
                  events_, again, answers);
      return answers;
    }
    Model last = load_model(ctx_, o_.place.student(s.cell));
    return Evaluator::test(ctx_, g.task, last, nullptr, again.figures);
  }

  Context& ctx_;
  const Grid& grid_;
  const GridOptions& o_;
  Events events_;
  Ranks* const ranks_;                  ///< that share the cells, or each student
  const bool first_;                    ///< of them
  const bool in_first_group_, writes_;  ///< the files of cells
  std::optional<Deal> deal_;
  bool again_ = false;                  // all cells were gone through
  std::size_t number_ = 0;              // of the next cell that is to be made, in the order of all
  std::size_t pending_ = 0, done_ = 0;  // students that are to be made, and have been
  double work_ = 0, work_done_ = 0;
  bool syncs_ = false;  ///< batch norms over the ranks of a group
};

}  // namespace

GridOutcome run_grid(Context& ctx, const Grid& grid, const GridOptions& options, const Events& events) {
  return Runner(ctx, grid, options, events).run();
}

}  // namespace akin
