// A target's images and its bank of sources, with what the sources say: each image is looked at once.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "distill/grid/cell.hpp"
#include "distill/student/probe_teacher.hpp"

namespace akin {

/// A budget and seed of a target: the cells that share labels and rankings.
struct GridGroup {
  const GridTarget* target = nullptr;
  const GridBudget* budget = nullptr;
  std::uint64_t seed = 0;
  Task task = {};
};

/// What the sources say of a group's images, and how similar they are.
struct GroupBank {
  std::vector<Outputs> outputs;             ///< of each source for task.target
  std::map<std::string, Ranking> rankings;  ///< by what they depend on
  std::optional<ProbeTeacher> probe = {};   ///< of all sources, once a student has asked
};

/// Everything that a ranking depends on. `inputs` null: without images, sources and other files.
Json ranking_settings(const Grid& grid, const GridTarget& target, const GridBudget& budget, std::uint64_t seed,
                      const TargetInputs* inputs);

class TargetBank {
 public:
  /// Reads the images and opens the sources.
  TargetBank(Context& ctx, const Grid& grid, const GridTarget& target, const std::filesystem::path& cache);

  const std::shared_ptr<const TargetImages>& images() const { return images_; }
  const std::vector<Source>& sources() const { return sources_; }
  const TargetInputs& inputs() const { return inputs_; }
  /// The sources that an oracle asks.
  std::vector<std::string> teachers() const;
  OutputOptions output_options(const Settings& settings) const;
  /// What the cell depends on: `settings` with the metric that `auto` stands for there.
  Json settings_of(const Cell& cell, Settings settings) const;

  /// True: the sources look at the whole pool once, and groups take their images from that; else each group's images
  /// are looked at when it is its turn.
  void share_outputs(bool share) { share_ = share; }
  GroupBank of(const GridGroup& group, const Events& events);
  /// Students learn from the logits, unless a probe of the features teaches one.
  void forget_features(GroupBank& bank) const;

  /// One ranking serves all that ask for the same metric. `looks` false: the names alone.
  const Ranking& ranking(const GridGroup& group, GroupBank& bank, const Settings& settings, bool looks,
                         const Events& events) const;
  /// Whether `file` holds every metric of the grid for every source, measured on what they are measured on now.
  bool has_ranking(const GridBudget& budget, std::uint64_t seed, const std::filesystem::path& file,
                   const Events& events) const;
  /// Measures every metric of the grid for every source and keeps it in `file`, undefined ones with their reason; where
  /// it is there for the same inputs, it stays. False: stopped on request.
  bool write_ranking(const GridGroup& group, const GroupBank& bank, const std::filesystem::path& file,
                     const Events& events) const;

 private:
  Context* ctx_;
  const Grid* grid_;
  const GridTarget* target_;
  std::filesystem::path cache_;
  std::shared_ptr<const TargetImages> images_;
  std::vector<Source> sources_;
  TargetInputs inputs_;
  bool share_ = false;
  std::vector<Outputs> pool_outputs_;  ///< of each source for the whole pool; empty until somebody asks
};

}  // namespace akin
