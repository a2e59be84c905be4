#include "distill/similarity/weights.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "distill/report/csv.hpp"
#include "engine/io/nearest_name.hpp"
#include "kernels/common/error.hpp"
#include "kernels/rank.hpp"

namespace akin {

Mapping parse_mapping(std::string_view text) {
  if (text == "clip0") return {Mapping::Kind::clip0};
  if (text == "minmax") return {Mapping::Kind::minmax};
  if (text == "rank") return {Mapping::Kind::rank};
  if (text == "softmax") return {Mapping::Kind::softmax};
  if (text.starts_with("softmax:")) {
    const std::string_view number = text.substr(8);
    double t = 0;
    const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), t);
    const bool whole = error == std::errc() && end == number.data() + number.size();
    if (whole && t > 0 && std::isfinite(t)) return {Mapping::Kind::softmax, t};
    fail_usage("mapping \"{}\": expected softmax:T with a temperature T > 0, such as softmax:0.1", text);
  }
  fail_usage("unknown mapping \"{}\"{}; choose clip0, minmax, rank or softmax:T", text,
             did_you_mean(text, {"clip0", "minmax", "rank", "softmax"}));
}

std::string name_of(const Mapping& mapping) {
  switch (mapping.kind) {
    case Mapping::Kind::clip0:
      return "clip0";
    case Mapping::Kind::minmax:
      return "minmax";
    case Mapping::Kind::rank:
      return "rank";
    case Mapping::Kind::softmax:
      return fmt::format("softmax:{}", mapping.temperature);
  }
  fail("mapping of unknown kind {}", static_cast<int>(mapping.kind));
}

std::vector<double> map_similarity(std::span<const double> raw, const Mapping& mapping) {
  for (std::size_t s = 0; s < raw.size(); ++s) {
    AKIN_CHECK(std::isfinite(raw[s]), "similarity of source {} is {}; expected a finite number", s, raw[s]);
  }
  std::vector<double> m(raw.begin(), raw.end());
  if (m.empty()) return m;
  const auto [low, high] = std::minmax_element(raw.begin(), raw.end());
  switch (mapping.kind) {
    case Mapping::Kind::clip0:
      for (double& value : m) value = std::max(value, 0.0);
      break;
    case Mapping::Kind::minmax:
      // Halved, so that the range of two huge numbers does not overflow.
      for (double& value : m) value = *high > *low ? (value / 2 - *low / 2) / (*high / 2 - *low / 2) : 1.0;
      break;
    case Mapping::Kind::rank:
      average_ranks(raw, m);
      for (double& value : m) value /= double(m.size());
      break;
    case Mapping::Kind::softmax:
      if (!(mapping.temperature > 0)) fail_usage("softmax mapping: temperature {}; expected > 0", mapping.temperature);
      for (double& value : m) value = std::exp((value - *high) / mapping.temperature);
      break;
  }
  return m;
}

Weights make_weights(std::vector<std::string> sources, std::vector<double> raw, const Mapping& mapping, double p) {
  AKIN_CHECK(!sources.empty(), "no sources to weight; give at least one");
  AKIN_CHECK(sources.size() == raw.size(), "{} sources but {} similarities", sources.size(), raw.size());
  if (!(p >= 0)) fail_usage("power p = {}; expected 0 (equal weights), a positive number, or inf (nearest only)", p);
  for (std::size_t s = 0; s < raw.size(); ++s) {
    AKIN_CHECK(std::isfinite(raw[s]), "similarity of source \"{}\" is {}; expected a finite number", sources[s],
               raw[s]);
  }
  Weights w{std::move(sources), std::move(raw), {}, {}, 0, {}};
  w.mapped = map_similarity(w.raw, mapping);
  w.alpha.assign(w.raw.size(), 0.0);
  w.nearest = static_cast<std::size_t>(std::max_element(w.raw.begin(), w.raw.end()) - w.raw.begin());
  const auto equals = std::count(w.raw.begin(), w.raw.end(), w.raw[w.nearest]);
  if (equals > 1) {
    w.warnings.push_back(
        fmt::format("{} sources share the largest similarity {:.6g}; \"{}\", the first, counts as nearest", equals,
                    w.raw[w.nearest], w.sources[w.nearest]));
  }
  const double largest = *std::max_element(w.mapped.begin(), w.mapped.end());
  if (p == 0) {
    w.alpha.assign(w.raw.size(), 1 / double(w.raw.size()));
    return w;
  }
  if (std::isinf(p)) {
    w.alpha[w.nearest] = 1;
    if (largest == 0) {
      w.warnings.push_back(fmt::format("no source has a similarity above 0; the nearest, \"{}\", has {:.6g}",
                                       w.sources[w.nearest], w.raw[w.nearest]));
    }
    return w;
  }
  AKIN_CHECK(largest > 0,
             "all {} sources have weight 0 under the mapping {} (largest similarity {:.6g}): choose another mapping "
             "(--mapping minmax, rank or softmax:T), only methods without it (scratch, fixmatch, equal, nearest), or "
             "better sources",
             w.raw.size(), name_of(mapping), w.raw[w.nearest]);
  double sum = 0;
  for (std::size_t s = 0; s < w.mapped.size(); ++s) {
    w.alpha[s] = std::pow(w.mapped[s] / largest, p);  // the largest is 1, so neither 0/0 nor overflow
    sum += w.alpha[s];
  }
  for (double& alpha : w.alpha) alpha /= sum;
  return w;
}

std::string weights_csv(const Weights& w) {
  std::string text = "source,raw,mapped,alpha\n";
  for (std::size_t s = 0; s < w.sources.size(); ++s) {
    text += csv_line({csv_text(w.sources[s]), csv_number(w.raw[s]), csv_number(w.mapped[s]), csv_number(w.alpha[s])});
  }
  return text;
}

}  // namespace akin
