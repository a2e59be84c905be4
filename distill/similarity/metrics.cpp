#include "distill/similarity/metrics.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "distill/report/csv.hpp"
#include "distill/similarity/metric_choice.hpp"
#include "distill/similarity/metrics/cka.hpp"
#include "distill/similarity/metrics/gbc.hpp"
#include "distill/similarity/metrics/hscore.hpp"
#include "distill/similarity/metrics/knn.hpp"
#include "distill/similarity/metrics/leep.hpp"
#include "distill/similarity/metrics/logme.hpp"
#include "distill/similarity/metrics/nleep.hpp"
#include "distill/similarity/metrics/parc.hpp"
#include "distill/similarity/metrics/plasticity.hpp"
#include "distill/similarity/metrics/reference.hpp"
#include "distill/similarity/metrics/transrate.hpp"
#include "distill/similarity/static_rivals.hpp"
#include "engine/io/nearest_name.hpp"

namespace akin {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// A metric of features and labels.
Metric of_features(std::string name, std::string title, double low, double high, std::string mapping,
                   std::function<Similarity(const Probe&)> score, std::function<Resampler(const Probe&)> resampler) {
  Metric metric{std::move(name), std::move(title), low, high, std::move(mapping)};
  metric.score = std::move(score);
  metric.resampler = std::move(resampler);
  return metric;
}

Metric parc_metric(int components) {
  const ParcOptions options{.components = components};
  Metric metric = of_features(
      components > 0 ? fmt::format("parc:{}", components) : "parc",
      components > 0 ? fmt::format("PARC ({} principal components)", components) : "PARC", -1, 1, "clip0",
      [options](const Probe& probe) { return parc(probe, options); },
      [options](const Probe& probe) { return parc_resampler(probe, options); });
  metric.scored = [options](const Probe& probe) { return parc_scored(probe, options); };
  metric.score_bank = [options](std::span<const Probe* const> probes) { return parc_bank(probes, options); };
  return metric;
}

Metric cka_metric(CkaForm form, std::string name, std::string title, double low) {
  return of_features(
      std::move(name), std::move(title), low, 1, "clip0", [form](const Probe& probe) { return cka(probe, form); },
      [form](const Probe& probe) { return cka_resampler(probe, form); });
}

Metric of_probabilities(std::string name, std::string title, std::function<Similarity(const Probe&)> score,
                        std::function<Resampler(const Probe&)> resampler) {
  Metric metric =
      of_features(std::move(name), std::move(title), -kInfinity, 0, "minmax", std::move(score), std::move(resampler));
  metric.needs_probabilities = true;
  return metric;
}

Metric of_reference(std::string name, std::string title, std::function<Similarity(const Probe&)> score,
                    std::function<Resampler(const Probe&)> resampler,
                    std::function<ReferenceShuffler(const Probe&)> shuffler) {
  Metric metric =
      of_features(std::move(name), std::move(title), -1, 1, "clip0", std::move(score), std::move(resampler));
  metric.needs_reference = true;
  metric.shuffler = std::move(shuffler);
  return metric;
}

Metric hscore_metric(HScoreForm form, std::string name, std::string title) {
  return of_features(
      std::move(name), std::move(title), 0, kInfinity, "clip0",
      [form](const Probe& probe) { return hscore(probe, form); },
      [form](const Probe& probe) { return hscore_resampler(probe, form); });
}

Metric knn_metric(int k) {
  return of_features(
      k == 1 ? "knn" : fmt::format("knn:{}", k), fmt::format("{} nearest neighbour{}", k, k == 1 ? "" : "s"), 0, 1,
      "clip0", [k](const Probe& probe) { return knn(probe, k); },
      [k](const Probe& probe) { return knn_resampler(probe, k); });
}

Metric transrate_metric(double eps) {
  return of_features(
      eps == kTransRateEps ? "transrate" : fmt::format("transrate:{}", eps), "TransRate", -kInfinity, kInfinity,
      "minmax", [eps](const Probe& probe) { return transrate(probe, eps); },
      [eps](const Probe& probe) { return transrate_resampler(probe, eps); });
}

Metric gbc_metric(GbcForm form, std::string name, std::string title) {
  return of_features(
      std::move(name), std::move(title), -kInfinity, 0, "minmax",
      [form](const Probe& probe) { return gbc(probe, form); },
      [form](const Probe& probe) { return gbc_resampler(probe, form); });
}

/// `metric` corrected for the depth of the sources.
Metric plasticity_of(Metric metric, const std::string& name) {
  if (metric.over_bank) fail_usage("metric \"{}\": {} is over the bank already", name, metric.name);
  metric.score = [name, score = metric.score](const Probe& probe) {
    Similarity result = score(probe);
    result.metric = name;
    return result;
  };
  if (metric.score_bank) {
    metric.score_bank = [name, score_bank = metric.score_bank](std::span<const Probe* const> probes) {
      std::vector<Promise> promises = score_bank(probes);
      for (Promise& promise : promises)
        promise = [name, value = std::move(promise)] {
          Similarity result = value();
          result.metric = name;
          return result;
        };
      return promises;
    };
  }
  if (metric.scored) {
    metric.scored = [name, scored = metric.scored](const Probe& probe) {
      Scored result = scored(probe);
      result.similarity.metric = name;
      return result;
    };
  }
  metric.title += " with plasticity";
  metric.name = name;
  metric.low = -kInfinity;
  metric.high = kInfinity;
  metric.default_mapping = "minmax";
  metric.over_bank = plasticity;
  return metric;
}

/// The whole text as a number.
template <class T>
bool parse(std::string_view text, T& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

int parse_count(std::string_view name, std::string_view text, const char* form, const char* of) {
  int count = 0;
  if (!parse(text, count) || count < 1)
    fail_usage("metric \"{}\": expected {} with a whole number >= 1 of {}", name, form, of);
  return count;
}

}  // namespace

const std::vector<Metric>& metrics() {
  static const std::vector<Metric> table{
      parc_metric(0),
      cka_metric(CkaForm::biased, "cka", "linear CKA", 0),
      cka_metric(CkaForm::debiased, "cka-debiased", "debiased linear CKA", -1),
      of_reference("rsa", "RSA", rsa, rsa_resampler, rsa_shuffler),
      of_reference("dds", "DDS", dds, dds_resampler, dds_shuffler),
      of_probabilities("leep", "LEEP", leep, leep_resampler),
      of_probabilities("nce", "NCE", nce, nce_resampler),
      of_features("nleep", "N-LEEP", -kInfinity, 0, "minmax", nleep, nleep_resampler),
      of_features("logme", "LogME", -kInfinity, kInfinity, "minmax", logme, logme_resampler),
      hscore_metric(HScoreForm::plain, "hscore", "H-score"),
      hscore_metric(HScoreForm::regularised, "hscore-reg", "regularised H-score"),
      transrate_metric(kTransRateEps),
      gbc_metric(GbcForm::shrunk, "gbc", "GBC"),
      knn_metric(1),
      plasticity_of(parc_metric(0), "plasticity"),
  };
  return table;
}

Metric find_metric(std::string_view name) {
  std::string names;
  std::vector<std::string> known{std::string(kAutoMetric)};
  for (const Metric& metric : metrics()) {
    if (metric.name == name) return metric;
    names += metric.name + ", ";
    known.push_back(metric.name);
  }
  if (name.starts_with(kStaticPrefix))
    fail_usage(
        "metric \"{}\": looks at no image, so no teacher is weighted by it; as a rival of the metrics it stands in "
        "every experiment's sources.csv and results.md unasked. Metrics are {}parc:K, knn:K, transrate:EPS, gbc:FORM, "
        "plasticity:METRIC",
        name, names);
  if (name == kAutoMetric)
    fail_usage("metric \"{}\": stands for {}, by the labels and sources of a task; here name one of them", name,
               fmt::join(auto_metrics(), " or "));
  const std::size_t colon = name.find(':');
  const std::string_view base = name.substr(0, colon);
  const std::string_view rest = colon == std::string_view::npos ? std::string_view() : name.substr(colon + 1);
  if (colon != std::string_view::npos) {
    if (base == "parc") return parc_metric(parse_count(name, rest, "parc:K", "principal components, such as parc:32"));
    if (base == "knn") return knn_metric(parse_count(name, rest, "knn:K", "neighbours, such as knn:5"));
    if (base == "transrate") {
      double eps = 0;
      if (!parse(rest, eps) || !std::isfinite(eps) || !(eps > 0))
        fail_usage("metric \"{}\": expected transrate:EPS with a number above 0, such as transrate:1e-4", name);
      return transrate_metric(eps);
    }
    if (base == "gbc") {
      if (rest == "full") return gbc_metric(GbcForm::full, "gbc:full", "GBC (full covariance)");
      if (rest == "diagonal") return gbc_metric(GbcForm::diagonal, "gbc:diagonal", "GBC (diagonal covariance)");
      if (rest == "spherical") return gbc_metric(GbcForm::spherical, "gbc:spherical", "GBC (spherical covariance)");
      fail_usage("metric \"{}\": choose one of gbc, gbc:full, gbc:diagonal, gbc:spherical", name);
    }
    if (base == "plasticity") return plasticity_of(find_metric(rest), std::string(name));
  }
  fail_usage("unknown metric \"{}\"{}; choose one of {}parc:K, knn:K, transrate:EPS, gbc:FORM, plasticity:METRIC", name,
             did_you_mean(name, known), names);
}

Similarity similarity(std::string_view name, const Probe& probe) { return find_metric(name).score(probe); }

std::vector<std::string> shared_warnings(std::span<const SimilarityRow> rows) {
  struct Shared {
    std::string text;  // the first one
    std::vector<std::string> sources;
    bool alike = true;
  };
  std::vector<std::pair<std::string, Shared>> groups;  // by the text without digits, in the order of their coming
  for (const SimilarityRow& row : rows) {
    for (const std::string& warning : row.similarity.warnings) {
      std::string key = warning;
      std::erase_if(key, [](char c) { return (c >= '0' && c <= '9') || c == '.'; });
      auto group = std::find_if(groups.begin(), groups.end(), [&](const auto& g) { return g.first == key; });
      if (group == groups.end()) group = groups.insert(group, {key, {warning, {}}});
      group->second.sources.push_back(row.source);
      group->second.alike = group->second.alike && group->second.text == warning;
    }
  }
  std::vector<std::string> lines;
  for (const auto& [key, shared] : groups) {
    const std::size_t n = shared.sources.size();
    const std::string who = n == 1             ? shared.sources[0]
                            : n == rows.size() ? fmt::format("all {} sources", n)
                                               : fmt::format("{} and {} other{} of {} sources", shared.sources[0],
                                                             n - 1, n > 2 ? "s" : "", rows.size());
    lines.push_back(fmt::format("{}: {}{}", who, shared.text,
                                shared.alike ? "" : fmt::format(" (of {}; the others likewise)", shared.sources[0])));
  }
  return lines;
}

std::string disputed_lead(std::span<const SimilarityRow> rows) {
  std::vector<std::string> names;
  std::vector<double> values, shares;
  for (const SimilarityRow& row : rows) {
    names.push_back(row.source);
    values.push_back(row.similarity.value);
    shares.push_back(row.best_share);
  }
  return rows.empty() ? "" : disputed_lead(rows.front().similarity.metric, names, values, shares);
}

std::string similarity_csv(std::span<const SimilarityRow> rows) {
  std::string text =
      "source,metric,value,low,high,chance_mean,chance_high,p_value,best_share,ranking_tau,undefined,warnings,"
      "metric_why\n";
  for (const SimilarityRow& row : rows) {
    std::string warnings;
    for (const std::string& warning : row.similarity.warnings) warnings += (warnings.empty() ? "" : "; ") + warning;
    text +=
        csv_line({csv_text(row.source), csv_text(row.similarity.metric), csv_number(row.similarity.value),
                  csv_number(row.confidence.low), csv_number(row.confidence.high), csv_number(row.chance.mean),
                  csv_number(row.chance.high), csv_number(row.chance.p_value), csv_number(row.best_share),
                  csv_number(row.agreement), csv_text(row.undefined), csv_text(warnings), csv_text(row.metric_why)});
  }
  return text;
}

}  // namespace akin
