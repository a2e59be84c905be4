#include "distill/grid/target_bank.hpp"

#include <algorithm>
#include <cmath>

#include "distill/similarity/measure.hpp"
#include "distill/similarity/static_rivals.hpp"
#include "engine/io/json.hpp"
#include "engine/io/sha256.hpp"
#include "engine/profile.hpp"
#include "engine/ranks.hpp"

namespace akin {

TargetBank::TargetBank(Context& ctx, const Grid& grid, const GridTarget& target, const std::filesystem::path& cache)
    : ctx_(&ctx), grid_(&grid), target_(&target), cache_(cache), images_([&] {
        const StageScope stage(ctx, "load");
        return target.load();
      }()) {
  inputs_.images = images_->hash;
  inputs_.test = images_->test.hash();
  inputs_.originals = !images_->pool.originals.empty();
  inputs_.classes = class_names_hash(images_->pool);
  std::vector<SourceFile> files;
  std::vector<std::string> names;
  for (const GridSource& s : grid.sources) {
    if (std::find(target.sources.begin(), target.sources.end(), s.name) == target.sources.end()) continue;
    files.push_back({with_target(s.path, target.name), s.foreign ? &*s.foreign : nullptr});
    names.push_back(s.name);
  }
  sources_ = open_sources(ctx, files);
  for (std::size_t i = 0; i < names.size(); ++i) {
    sources_[i].name = names[i];
    inputs_.sources.emplace_back(names[i], sources_[i].hash);
  }
}

std::vector<std::string> TargetBank::teachers() const {
  std::vector<std::string> names;
  for (const Source& s : sources_)
    if (s.classes() > 0) names.push_back(s.name);
  return names;
}

OutputOptions TargetBank::output_options(const Settings& settings) const {
  return {.cache = cache_, .match_channels = settings.match_channels, .progress = {}};
}

Json TargetBank::settings_of(const Cell& cell, Settings settings) const {
  if (settings.metric == kAutoMetric && needs_similarity(traits(cell.variant->method), settings)) {
    LabelManifest labels = cell.budget->labels;
    labels.draw.seed = cell.seed;
    settings.metric = choose_metric(settings.metric, std::min(count_labelled(*images_, labels), settings.probe),
                                    static_cast<std::int64_t>(images_->pool.classes.size()), headless(sources_))
                          .name;
  }
  return cell_settings(cell, settings, inputs_);
}

GroupBank TargetBank::of(const GridGroup& group, const Events& events) {
  if (sources_.empty()) return {};
  const OutputOptions options = output_options(grid_->settings_of(*target_));
  if (!share_) return {bank_outputs(*ctx_, group.task, sources_, options, events), {}, {}};
  if (pool_outputs_.empty()) pool_outputs_ = bank_outputs(*ctx_, whole_pool(images_), sources_, options, events);
  GroupBank out;
  for (const Outputs& o : pool_outputs_)
    out.outputs.push_back({pick_rows(o.features, group.task.target), pick_rows(o.logits, group.task.target)});
  return out;
}

void TargetBank::forget_features(GroupBank& bank) const {
  const auto probed = [](const GridVariant& v) { return is_probed(v.method); };
  if (std::any_of(grid_->variants.begin(), grid_->variants.end(), probed)) return;
  for (Outputs& o : bank.outputs) o.features = Array();
}

const Ranking& TargetBank::ranking(const GridGroup& group, GroupBank& bank, const Settings& settings, bool looks,
                                   const Events& events) const {
  const std::string key = !looks ? ""
                                 : fmt::format("{}|{}|{}|{}|{}", settings.metric, settings.mapping, settings.probe,
                                               settings.replicates, settings.reference);
  if (const auto it = bank.rankings.find(key); it != bank.rankings.end()) return it->second;
  Ranking ranking;
  if (looks && !sources_.empty())
    ranking = rank_sources(*ctx_, group.task, sources_, rank_options_of(settings), output_options(settings), group.seed,
                           events, bank.outputs);
  else
    for (const Source& s : sources_)
      ranking.rows.push_back({.source = s.name, .similarity = {.metric = "", .value = not_measured}});
  ranking.outputs.clear();
  return bank.rankings.emplace(key, std::move(ranking)).first->second;
}

Json ranking_settings(const Grid& grid, const GridTarget& target, const GridBudget& budget, std::uint64_t seed,
                      const TargetInputs* inputs) {
  const Settings own = grid.settings_of(target);
  Json settings = Json::object();
  if (inputs != nullptr) settings["images"] = inputs->images;
  settings["labels"] = budget_settings(budget.labels);
  settings["seed"] = seed;
  settings["probe"] = own.probe;
  if (own.replicates > 0) settings["replicates"] = own.replicates;
  if (inputs != nullptr && !own.reference.empty())
    settings["reference"] = own.files ? own.files->of(own.reference) : digest_of_model(own.reference);
  for (const Setting& s : setting_list())  // what changes the bits of outputs
    if (s.whole_run && s.matters != nullptr && text_of(s, own) != text_of(s, Settings{}))
      settings[s.name] = text_of(s, own);
  if (inputs != nullptr && inputs->originals) settings["sources_see"] = kOriginals;
  if (inputs != nullptr)
    for (const auto& [name, hash] : inputs->sources) settings["sources"][name] = hash;
  return settings;
}

bool TargetBank::has_ranking(const GridBudget& budget, std::uint64_t seed, const std::filesystem::path& file,
                             const Events& events) const {
  const std::optional<Json> known =
      read_ranking(file, [&](const std::string& line) { say(events, "warning: " + line + "; it is measured again"); },
                   {target_->name, budget.name});
  return known && (*known)["settings"] == ranking_settings(*grid_, *target_, budget, seed, &inputs_) &&
         (*known)["metrics"] == Json(grid_->ranked_by());
}

bool TargetBank::write_ranking(const GridGroup& group, const GroupBank& bank, const std::filesystem::path& file,
                               const Events& events) const {
  Ranks* const ranks = ctx_->ranks.get();
  char known = has_ranking(*group.budget, group.seed, file, events) ? 1 : 0;  // others may write it meanwhile
  if (ranks != nullptr) ranks->broadcast(&known, 1, 0, "whether a ranking is known");
  if (known != 0) return true;
  const Settings own = grid_->settings_of(*target_);
  const std::vector<std::string> names = grid_->measured_metrics();
  const std::optional<Outputs> reference =
      reference_outputs(*ctx_, group.task, rank_options_of(own), output_options(own));
  const std::vector<Candidate> candidates = candidates_of(
      *ctx_, sources_, bank.outputs, group.task, probe_of(group.task, own.probe), reference ? &*reference : nullptr);
  Json rows = Json::array();
  for (const Source& source : sources_)
    rows.push_back({{"source", source.name}, {"values", Json::object()}, {"undefined", Json::object()}});
  for (const std::string& name : names) {
    if (stop_asked(events)) return false;
    const Measurement measured = measure(find_metric(name), candidates,
                                         {.replicates = static_cast<int>(own.replicates), .seed = group.seed}, ranks);
    for (std::size_t s = 0; s < candidates.size(); ++s) {
      const SimilarityRow& row = measured.rows[s];
      rows[s]["values"][name] = number(row.similarity.value);
      if (own.replicates > 0) {
        rows[s]["intervals"][name] = {number(row.confidence.low), number(row.confidence.high)};
        rows[s]["best_shares"][name] = number(row.best_share);
      }
      if (!std::isfinite(row.similarity.value)) rows[s]["undefined"][name] = row.undefined;
    }
  }
  for (std::size_t s = 0; s < sources_.size(); ++s)
    for (const StaticRival& rival : static_rivals())
      rows[s]["values"][std::string(rival.name)] = number(rival.value(sources_[s]));
  if (ranks != nullptr && !ranks->is_first()) return true;
  akin::write_ranking(file, {target_->name, group.budget->name},
                      ranking_settings(*grid_, *target_, *group.budget, group.seed, &inputs_), grid_->ranked_by(),
                      rows);
  return true;
}

}  // namespace akin
