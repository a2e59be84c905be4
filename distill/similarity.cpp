#include "distill/similarity.hpp"

#include <charconv>

#include "distill/csv.hpp"
#include "distill/metrics/cka.hpp"
#include "distill/metrics/leep.hpp"
#include "distill/metrics/parc.hpp"

namespace akin {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

Metric parc_metric(int components) {
  const ParcOptions options{.components = components};
  const std::string suffix = components > 0 ? fmt::format(":{}", components) : "";
  return {.name = "parc" + suffix,
          .title = components > 0 ? fmt::format("PARC ({} principal components)", components) : "PARC",
          .low = -1,
          .high = 1,
          .default_mapping = "clip0",
          .needs_probabilities = false,
          .score = [options](const Probe& probe) { return parc(probe, options); },
          .resampler = [options](const Probe& probe) { return parc_resampler(probe, options); }};
}

Metric cka_metric(CkaForm form, std::string name, std::string title, double low) {
  return {.name = std::move(name),
          .title = std::move(title),
          .low = low,
          .high = 1,
          .default_mapping = "clip0",
          .needs_probabilities = false,
          .score = [form](const Probe& probe) { return cka(probe, form); },
          .resampler = [form](const Probe& probe) { return cka_resampler(probe, form); }};
}

}  // namespace

const std::vector<Metric>& metrics() {
  static const std::vector<Metric> table{
      parc_metric(0),
      cka_metric(CkaForm::biased, "cka", "linear CKA", 0),
      cka_metric(CkaForm::debiased, "cka-debiased", "debiased linear CKA", -1),
      {"leep", "LEEP", -kInfinity, 0, "minmax", true, leep, leep_resampler},
      {"nce", "NCE", -kInfinity, 0, "minmax", true, nce, nce_resampler},
  };
  return table;
}

Metric find_metric(std::string_view name) {
  std::string names;
  for (const Metric& metric : metrics()) {
    if (metric.name == name) return metric;
    names += metric.name + ", ";
  }
  if (name.starts_with("parc:")) {
    const std::string_view number = name.substr(5);
    int components = 0;
    const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), components);
    if (error == std::errc() && end == number.data() + number.size() && components >= 1) return parc_metric(components);
    fail_usage("metric \"{}\": expected parc:K with a whole number K >= 1 of principal components, such as parc:32",
               name);
  }
  fail_usage("unknown metric \"{}\"; choose one of {}parc:K", name, names);
}

Similarity similarity(std::string_view name, const Probe& probe) { return find_metric(name).score(probe); }

std::string similarity_csv(std::span<const SimilarityRow> rows) {
  std::string text = "source,metric,value,low,high,chance_mean,chance_high,p_value,best_share,warnings\n";
  for (const SimilarityRow& row : rows) {
    std::string warnings;
    for (const std::string& warning : row.similarity.warnings) warnings += (warnings.empty() ? "" : "; ") + warning;
    text += csv_line({csv_text(row.source), csv_text(row.similarity.metric), csv_number(row.similarity.value),
                      csv_number(row.confidence.low), csv_number(row.confidence.high), csv_number(row.chance.mean),
                      csv_number(row.chance.high), csv_number(row.chance.p_value), csv_number(row.best_share),
                      csv_text(warnings)});
  }
  return text;
}

}  // namespace akin
