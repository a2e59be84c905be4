#include "distill/report/verdict.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "distill/report/html.hpp"
#include "distill/report/table.hpp"

namespace akin {

namespace {

constexpr double kMoreThanChance = 0.05;
constexpr std::int64_t kFewToChooseBy = 100;  ///< validation pictures: 5 points of standard error at 50 %

const MethodResult* find(const ReportData& data, const std::string& name) {
  const auto at =
      std::find_if(data.methods.begin(), data.methods.end(), [&](const MethodResult& m) { return m.name == name; });
  return at == data.methods.end() ? nullptr : &*at;
}

/// Of the seed whose model is handed over.
const Figures& first(const MethodResult& m) { return m.seeds.front(); }

std::string percent(double share) { return show_percent(share) + " %"; }

std::string pictures(std::int64_t n, const char* kind) {
  return fmt::format("{} {} picture{}", show_integer(n), kind, n == 1 ? "" : "s");
}

/// Share of the test pictures that the commonest class has; not measured where no confusions are kept.
double commonest_share(const ReportData& data) {
  if (data.confusions.empty()) return not_measured;
  const Confusion& c = data.confusions.front();
  const auto classes = static_cast<std::size_t>(c.classes);
  std::int64_t all = 0, most = 0;
  for (std::size_t t = 0; t < classes; ++t) {
    std::int64_t row = 0;
    for (std::size_t p = 0; p < classes; ++p) row += c.counts[t * classes + p];
    all += row;
    most = std::max(most, row);
  }
  return all > 0 ? static_cast<double>(most) / static_cast<double>(all) : not_measured;
}

/// "78.1 % of 160 test pictures right (95 %: 71.1 to 83.8; guessing 5.0 %)"
std::string quality(const ReportData& data, const MethodResult& m) {
  const double right = first(m).test_accuracy;
  if (!std::isfinite(right)) return "not tested";
  const std::string chance = chance_words(data);  // "" where the classes are not known
  if (data.test_images < 1)
    return fmt::format("{} of the test pictures right{}", percent(right), chance.empty() ? "" : " (" + chance + ")");
  const auto [low, high] = wilson_interval(right, data.test_images);
  return fmt::format("{} of {} right (95 % interval {} to {}{})", percent(right), pictures(data.test_images, "test"),
                     show_percent(low), show_percent(high), chance.empty() ? "" : ", " + chance);
}

/// "1/9 of the numbers"; "" where it is not known or not much less.
std::string part(double large, double small, const char* what) {
  if (!(large > 0) || !(small > 0) || large < 1.5 * small) return {};
  const double times = large / small;
  return times < 3 ? fmt::format("{:.0f} % of the {}", 100 / times, what)
                   : fmt::format("1/{:.0f} of the {}", times, what);
}

/// What the smaller of two models saves: "1/9 of the numbers, 1/80 of the multiply-adds". "" where it is not smaller in
/// both: times of a moment alone say little.
std::string savings(const Figures& large, const Figures& small) {
  if (small.parameters > large.parameters || small.multiply_adds > large.multiply_adds) return {};
  std::string out;
  for (const std::string& saved :
       {part(static_cast<double>(large.parameters), static_cast<double>(small.parameters), "numbers"),
        part(static_cast<double>(large.multiply_adds), static_cast<double>(small.multiply_adds), "multiply-adds")})
    if (!saved.empty()) out += (out.empty() ? "" : ", ") + saved;
  if (out.empty()) return out;
  const std::string time = part(large.ms_per_image, small.ms_per_image, "time");
  return time.empty() ? out : out + ", " + time;
}

/// Whether teaching paid: the taught student against the same network from labels alone.
std::string about_teaching(const ReportData& data) {
  const Contest contest = contest_of(data);
  const MethodResult *taught = contest.student, *alone = contest.scratch;
  if (taught == nullptr || alone == nullptr) return {};
  const double a = first(*taught).test_accuracy, b = first(*alone).test_accuracy;
  const Agreement& n = data.agreement;
  const bool counted = taught->name == data.student && n.student_only >= 0 && n.baseline_only >= 0;
  const double p = counted ? sign_test(n.student_only, n.baseline_only) : 1;
  std::string line =
      fmt::format("{}: {} gets {} of the test pictures right, the same network from the labels alone ({}) {}.",
                  !counted               ? "Taught and alone"
                  : p >= kMoreThanChance ? "Whether teaching paid these pictures cannot tell"
                  : a > b                ? "Teaching paid"
                                         : "Teaching did not pay",
                  taught->name, percent(a), alone->name, percent(b));
  if (counted)
    line += fmt::format(" {} are right with teaching alone, {} without it alone: {} (p = {:.2g}).",
                        show_integer(n.student_only), show_integer(n.baseline_only),
                        p < kMoreThanChance ? "more than chance does" : "chance can do as much", p);
  return line;
}

}  // namespace

double chance_level(const ReportData& data) {
  if (data.classes.empty()) return 0;
  const double guess = 1 / static_cast<double>(data.classes.size()), commonest = commonest_share(data);
  return std::isfinite(commonest) ? std::max(guess, commonest) : guess;
}

std::string chance_words(const ReportData& data) {
  if (data.classes.empty()) return {};
  const double chance = chance_level(data), guess = 1 / static_cast<double>(data.classes.size());
  return (chance < guess + 5e-4 ? "guessing " : "always saying the commonest class ") + percent(chance);
}

std::pair<double, double> wilson_interval(double right, std::int64_t n) {
  if (n < 1 || !std::isfinite(right)) return {not_measured, not_measured};
  constexpr double z = 1.959963984540054;
  const auto N = static_cast<double>(n);
  const double middle = (right + z * z / (2 * N)) / (1 + z * z / N);
  const double half = z / (1 + z * z / N) * std::sqrt(right * (1 - right) / N + z * z / (4 * N * N));
  return {std::max(0.0, middle - half), std::min(1.0, middle + half)};
}

double sign_test(std::int64_t only_a, std::int64_t only_b) {
  const std::int64_t n = only_a + only_b, low = std::min(only_a, only_b);
  if (n == 0 || 2 * low == n) return 1;
  double tail = 0;
  const auto N = static_cast<double>(n);
  for (std::int64_t k = 0; k <= low; ++k) {
    const auto K = static_cast<double>(k);
    tail += std::exp(std::lgamma(N + 1) - std::lgamma(K + 1) - std::lgamma(N - K + 1) - N * std::log(2.0));
  }
  return std::min(1.0, 2 * tail);
}

std::ptrdiff_t best_by_validation(const std::vector<MethodResult>& methods, const std::vector<bool>& kept) {
  std::ptrdiff_t best = -1;
  for (std::size_t i = 0; i < methods.size(); ++i) {
    if (!kept[i] || methods[i].seeds.empty() || !std::isfinite(first(methods[i]).val_accuracy)) continue;
    if (best < 0) {
      best = static_cast<std::ptrdiff_t>(i);
      continue;
    }
    const Figures &a = first(methods[i]), &b = first(methods[static_cast<std::size_t>(best)]);
    const bool smaller = a.multiply_adds >= 0 && (b.multiply_adds < 0 || a.multiply_adds < b.multiply_adds);
    if (a.val_accuracy > b.val_accuracy || (a.val_accuracy == b.val_accuracy && smaller))
      best = static_cast<std::ptrdiff_t>(i);
  }
  return best;
}

std::vector<std::string> verdict_lines(const ReportData& data) {
  const MethodResult* best = find(data, data.delivered);
  if (best == nullptr || best->seeds.empty()) return {};
  std::vector<std::string> lines;
  const Figures& f = first(*best);
  const bool validated = std::isfinite(f.val_accuracy) && data.validation_images > 0;
  if (!validated) {
    lines.push_back(fmt::format("student.safetensors is {}, the last method named: {}. No validation picture chose it.",
                                best->name, quality(data, *best)));
  } else {
    lines.push_back(fmt::format("Take {} (student.safetensors): {}.", best->name, quality(data, *best)));
    lines.push_back(
        fmt::format("It was chosen by {}, of which it gets {} right; no test picture chose it.{}",
                    pictures(data.validation_images, "validation"), percent(f.val_accuracy),
                    data.validation_images < kFewToChooseBy ? " So few choose roughly: look at the others, too." : ""));
  }
  // The best of the small ones, where the model to take is a large one.
  const MethodResult* small = nullptr;
  for (const MethodResult& m : data.methods)
    if (m.role != MethodRole::reference && !m.seeds.empty() && &m != best && std::isfinite(first(m).test_accuracy) &&
        !savings(f, first(m)).empty() && (small == nullptr || first(m).val_accuracy > first(*small).val_accuracy))
      small = &m;
  if (small != nullptr)
    lines.push_back(fmt::format("The best small one is {} with {}: {}; its file is in students/.", small->name,
                                percent(first(*small).test_accuracy), savings(f, first(*small))));
  if (data.test_images > 0 && wilson_interval(f.test_accuracy, data.test_images).first <= chance_level(data))
    lines.push_back(
        fmt::format("{} cannot tell that from going without looking at a picture: more of them would, more "
                    "labels or nearer sources may help.",
                    data.test_images == 1 ? "One test picture" : fmt::format("{} test pictures", data.test_images)));
  if (std::string line = about_teaching(data); !line.empty()) lines.push_back(std::move(line));
  return lines;
}

std::vector<std::string> cost_cells(const MethodResult& method) {
  const Figures& f = first(method);
  const auto count = [](std::int64_t n) { return n < 0 ? std::string("–") : show_count(static_cast<double>(n)); };
  const auto milliseconds = [](double ms) {
    return !std::isfinite(ms) ? "–" : ms < 99.5 ? fmt::format("{:.2g}", ms) : fmt::format("{:.0f}", ms);
  };
  return {show_percent(test_accuracy(method).mean), count(f.parameters), count(f.multiply_adds),
          f.file_bytes < 0 ? "–" : show_count(static_cast<double>(f.file_bytes)) + "B", milliseconds(f.ms_per_image)};
}

std::string cost_table(const ReportData& data, std::size_t columns) {
  using Align = TextTable::Align;
  TextTable table({{"", Align::left},
                   {"model", Align::left},
                   {"validation %", Align::right},
                   {"test %", Align::right},
                   {"parameters", Align::right},
                   {"multiply-adds", Align::right},
                   {"file", Align::right},
                   {"ms a picture", Align::right}});
  for (const MethodResult& m : data.methods) {
    if (m.seeds.empty()) continue;
    std::vector<std::string> cells{m.name == data.delivered ? ">" : "", m.name,
                                   show_percent(spread_over(m, &Figures::val_accuracy).mean)};
    for (std::string& cell : cost_cells(m)) cells.push_back(std::move(cell));
    table.add(std::move(cells));
  }
  return table.str(columns);
}

std::string verdict_text(const ReportData& data, std::size_t columns) {
  std::string text = cost_table(data, columns);
  for (const std::string& line : verdict_lines(data)) text += wrapped(line, columns) + "\n";
  return text;
}

}  // namespace akin
