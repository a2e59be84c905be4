// One metric over a bank, and all that is told of it: what `akin rank` prints and the library's akin_rank_tables gives.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "distill/similarity/feature_table.hpp"
#include "distill/similarity/metric_choice.hpp"
#include "distill/similarity/weights.hpp"
#include "engine/io/json.hpp"

namespace akin {

struct BankRankOptions {
  std::string mapping = {};  ///< empty: the metric's own
  double power = 12;         ///< of the weights, see make_weights
  int replicates = 200;      ///< bootstrap draws and label shuffles; 0 = none
  std::uint64_t seed = 0;    ///< of these
  Ranks* ranks = nullptr;    ///< that share the sources, see measure; nullptr: this process is alone
};

struct BankRanking {
  Measurement measured;
  MetricChoice choice;
  std::string disputed;  ///< that the first place is not sure; empty where it is
  Mapping mapping;
  Weights weights;                    ///< NaN where there are none
  std::vector<std::string> warnings;  ///< of values, first place and weights; lines for people

  /// Positions in the bank, most similar first, undefined ones last.
  std::vector<std::size_t> order() const;
  /// Whether any source has a value.
  bool ranked() const;
};

/// `metric`: a name, or auto (choose_metric). A metric that is undefined for a source says why in its row; the weights
/// of a bank with such a source are NaN, with a warning: the similarities are still worth seeing. UsageError on an
/// unknown metric or mapping.
BankRanking rank_bank(const std::vector<Candidate>& bank, const std::string& metric, const BankRankOptions& options);

/// {"metric", "metric_why", "unsure", "mapping", "ranking_tau", "sources": [...]}, the most similar source first.
Json json_of(const BankRanking& ranking);

/// A bank of tables, ready to be measured.
struct TableBank {
  std::vector<Candidate> candidates;
  Indices probe;                   ///< the rows that count, ascending
  std::vector<std::string> notes;  ///< columns of features that tell the label
};

/// Tables whose rows are those of `labels` (align_tables), on at most `limit` rows, evenly over the classes. Error
/// where a table has another number of rows. `reference`: features [N, D] of a model trained on the target, or empty.
TableBank bank_of(Context& ctx, const std::vector<FeatureTable>& tables, const LabelList& labels, std::int64_t limit,
                  const Array& reference = {});

}  // namespace akin
