#include "bench/compare.hpp"

#include <algorithm>
#include <cmath>

namespace akin::bench {

namespace {

constexpr std::size_t kExact = 64;  // rounds on both sides; above, the normal distribution is as good

const char* word(Moved moved) {
  switch (moved) {
    case Moved::faster:
      return "faster";
    case Moved::slower:
      return "slower";
    case Moved::too_few_rounds:
      return "too few rounds";
    default:
      return "";
  }
}

/// The smallest p that so many rounds can give: all of one side above all of the other.
double smallest_p(std::size_t n, std::size_t m) {
  double subsets = 1;
  for (std::size_t i = 1; i <= n; ++i) subsets *= static_cast<double>(m + i) / static_cast<double>(i);
  return 2 / subsets;
}

std::string digits(double v) { return v >= 1000 && v < 1e6 ? fmt::format("{:.0f}", v) : fmt::format("{:.4g}", v); }

std::string cell(const std::vector<double>& rounds) {
  const auto [low, high] = std::minmax_element(rounds.begin(), rounds.end());
  return fmt::format("{} [{} .. {}]", digits(median(rounds)), digits(*low), digits(*high));
}

/// `one` of `all`, by name.
const ResultRow* find(const std::vector<ResultRow>& all, const std::string& one) {
  const auto at = std::find_if(all.begin(), all.end(), [&](const ResultRow& r) { return r.name == one; });
  return at == all.end() ? nullptr : &*at;
}

}  // namespace

double rank_sum_p(std::span<const double> a, std::span<const double> b) {
  std::vector<double> all(a.begin(), a.end());
  all.insert(all.end(), b.begin(), b.end());
  std::sort(all.begin(), all.end());
  // Twice the mean rank: a whole number.
  const auto rank = [&](double v) {
    return static_cast<std::size_t>((std::lower_bound(all.begin(), all.end(), v) - all.begin()) +
                                    (std::upper_bound(all.begin(), all.end(), v) - all.begin()) + 1);
  };
  std::size_t own = 0;
  for (const double v : a) own += rank(v);
  const std::size_t n = a.size(), most = all.size() * (all.size() + 1);
  const double centre = static_cast<double>(n * (all.size() + 1)), far = std::abs(static_cast<double>(own) - centre);
  if (all.size() > kExact) {
    double squares = 0;  // of the ranks about their mean; ties make it less
    for (const double v : all)
      squares += std::pow(static_cast<double>(rank(v)) - static_cast<double>(all.size() + 1), 2);
    const double share = static_cast<double>(n * b.size()) / static_cast<double>(all.size() * (all.size() - 1));
    return squares > 0 ? std::erfc(far / std::sqrt(2 * share * squares)) : 1;
  }
  // ways[k][s]: subsets of k rounds with rank sum s.
  std::vector<std::vector<double>> ways(n + 1, std::vector<double>(most + 1));
  ways[0][0] = 1;
  for (const double v : all)
    for (std::size_t k = n, r = rank(v); k > 0; --k)
      for (std::size_t s = most; s >= r; --s) ways[k][s] += ways[k - 1][s - r];
  double as_far = 0, every = 0;
  for (std::size_t s = 0; s <= most; ++s) {
    every += ways[n][s];
    if (std::abs(static_cast<double>(s) - centre) >= far) as_far += ways[n][s];
  }
  return as_far / every;
}

Changes changes(const ResultFile& before, const ResultFile& after, const CompareOptions& options) {
  if (!options.across) {
    AKIN_CHECK(before.processor == after.processor,
               "these are of two machines, \"{}\" and \"{}\": compare on one, or say --across", before.processor,
               after.processor);
    AKIN_CHECK(before.threads == after.threads,
               "these are of {} and {} threads: measure with the same OMP_NUM_THREADS, or say --across", before.threads,
               after.threads);
  }
  Changes out{.least = options.least};
  for (const ResultRow& a : before.rows) {
    const ResultRow* b = find(after.rows, a.name);
    if (b == nullptr) {
      out.only_before.push_back(a.name);
      continue;
    }
    AKIN_CHECK(a.unit == b->unit, "row \"{}\" is in {} before and in {} after", a.name, a.unit, b->unit);
    AKIN_CHECK(a.higher_is_better == b->higher_is_better, "row \"{}\": which way is better differs", a.name);
    RowChange row{.name = a.name, .unit = a.unit, .before = a.rounds, .after = b->rounds};
    row.ratio = median(row.after) / median(row.before);
    AKIN_CHECK(std::isfinite(row.ratio), "row \"{}\": medians of {} and {} have no ratio", a.name, median(row.before),
               median(row.after));
    row.p = rank_sum_p(row.before, row.after);
    if (smallest_p(row.before.size(), row.after.size()) > kLevel)
      row.moved = Moved::too_few_rounds;
    else if (row.p <= kLevel && std::max(row.ratio, 1 / row.ratio) >= 1 + options.least)
      row.moved = (row.ratio > 1) == a.higher_is_better ? Moved::faster : Moved::slower;
    out.rows.push_back(std::move(row));
  }
  for (const ResultRow& b : after.rows)
    if (find(before.rows, b.name) == nullptr) out.only_after.push_back(b.name);
  AKIN_CHECK(!out.rows.empty(), "no row stands in both: the first has \"{}\", the second \"{}\"",
             out.only_before.front(), out.only_after.front());
  return out;
}

std::string table_of(const Changes& c, bool all) {
  std::string out;
  std::size_t wide = 3, moved = 0, few = 0;
  for (const RowChange& row : c.rows) wide = std::max(wide, row.name.size());
  const auto line = [&](const auto& name, const auto& unit, const auto& a, const auto& b, const auto& ratio,
                        const auto& what) {
    std::string text = fmt::format("{:<{}}  {:<8} {:>26} {:>26} {:>7}  {}", name, wide, unit, a, b, ratio, what);
    text.erase(text.find_last_not_of(' ') + 1);
    out += text + "\n";
  };
  line("row", "unit", "before [range]", "after [range]", "after/", "");
  std::vector<double> ratios;
  for (const RowChange& row : c.rows) {
    ratios.push_back(row.ratio);
    moved += row.moved == Moved::faster || row.moved == Moved::slower;
    few += row.moved == Moved::too_few_rounds;
    if (all || row.moved != Moved::no)
      line(row.name, row.unit, cell(row.before), cell(row.after), fmt::format("{:.3f}", row.ratio), word(row.moved));
  }
  const std::size_t judged = c.rows.size() - few;
  out += fmt::format(
      "{} of {} rows moved: rank-sum p <= {} and medians at least {:.3g} % apart; by chance at most {:.2g}. All rows "
      "together: median ratio {:.3f}\n",
      moved, judged, kLevel, 100 * c.least, kLevel * static_cast<double>(judged), median(ratios));
  if (few > 0)
    out +=
        fmt::format("{} rows have too few rounds to tell: 7 on either side can (more repetitions or --rounds)\n", few);
  for (const auto& [which, names] : {std::pair{"first", &c.only_before}, {"second", &c.only_after}})
    if (!names->empty())
      out +=
          fmt::format("only in the {} file: {}{}\n", which,
                      fmt::join(names->begin(), names->begin() + std::min<std::ptrdiff_t>(8, std::ssize(*names)), ", "),
                      names->size() > 8 ? fmt::format(" and {} more", names->size() - 8) : "");
  return out;
}

}  // namespace akin::bench
