#include "distill/profile_table.hpp"

#include <algorithm>

#include "distill/report/table.hpp"

namespace akin {

namespace {

using Align = TextTable::Align;

std::string seconds_of(double s) {
  if (s >= 0.9995) return fmt::format("{:.2f} s", s);
  return s >= 0.9995e-3 ? fmt::format("{:.1f} ms", 1e3 * s) : fmt::format("{:.0f} us", 1e6 * s);
}

std::string rate(double amount, double seconds) {
  return amount > 0 && seconds > 0 ? fmt::format("{:.3g}", 1e-9 * amount / seconds) : "";
}

std::string bytes_of(double bytes) {
  if (bytes >= 999.5e6) return fmt::format("{:.3g} GB", 1e-9 * bytes);
  return fmt::format("{:.3g} MB", 1e-6 * bytes);
}

}  // namespace

std::string profile_table(const Profile& profile, const Roof* roof, std::size_t layers) {
  const double all = std::max(profile.seconds, 1e-9);
  const auto share = [&](double s) { return fmt::format("{:.1f}", 100 * s / all); };
  double launched = 0;
  for (const Profile::Op& op : profile.ops) launched += op.spent.seconds;

  TextTable stages(
      {{"stage"}, {"times", Align::right}, {"time", Align::right}, {"own", Align::right}, {"own %", Align::right}});
  for (const Profile::Stage& s : profile.stages)
    stages.add(
        {s.name, std::to_string(s.times), seconds_of(s.seconds), seconds_of(s.own_seconds), share(s.own_seconds)});

  TextTable ops({{"stage"},
                 {"op"},
                 {"pass"},
                 {"calls", Align::right},
                 {"time", Align::right},
                 {"%", Align::right},
                 {"GFLOP/s", Align::right},
                 {"GB/s", Align::right},
                 {"% of roof", Align::right},
                 {"moved", Align::right},
                 {"memory", Align::right}});
  for (const Profile::Op& op : profile.ops) {
    const Spent& s = op.spent;
    const double ideal =
        roof != nullptr ? std::max(s.work.flops / roof->flops_per_s, s.work.bytes / roof->bytes_per_s) : 0;
    ops.add({op.stage, op.name, name_of(op.pass), std::to_string(s.calls), seconds_of(s.seconds), share(s.seconds),
             rate(s.work.flops, s.seconds), rate(s.work.bytes, s.seconds),
             ideal > 0 && s.seconds > 0 ? fmt::format("{:.0f}", 100 * ideal / s.seconds) : "", bytes_of(s.work.bytes),
             bytes_of(static_cast<double>(s.memory))});
  }

  std::vector<Profile::Layer> longest = profile.layers;
  std::stable_sort(longest.begin(), longest.end(), [](const Profile::Layer& a, const Profile::Layer& b) {
    return a.forward + a.backward > b.forward + b.backward;
  });
  const std::size_t shown = std::min(longest.size(), layers);
  TextTable by_layer({{"stage"},
                      {"layer"},
                      {"forward", Align::right},
                      {"backward", Align::right},
                      {"%", Align::right},
                      {"GFLOP/s", Align::right}});
  for (std::size_t i = 0; i < shown; ++i) {
    const Profile::Layer& l = longest[i];
    by_layer.add({l.stage, l.name, seconds_of(l.forward), seconds_of(l.backward), share(l.forward + l.backward),
                  rate(l.work.flops, l.forward + l.backward)});
  }

  std::string text = fmt::format("Profile of {}, of which {} in ops; tensors took {} at most\n", seconds_of(all),
                                 seconds_of(launched), bytes_of(static_cast<double>(profile.peak_memory)));
  if (roof != nullptr)
    text += fmt::format("Roof of this machine: {:.3g} GFLOP/s of f32, {:.3g} GB/s from memory; a cache gives more\n",
                        1e-9 * roof->flops_per_s, 1e-9 * roof->bytes_per_s);
  if (!profile.stages.empty()) text += "\n" + stages.str();
  if (!profile.ops.empty()) text += "\n" + ops.str();
  if (shown > 0) text += "\n" + by_layer.str();
  if (shown < longest.size()) text += fmt::format("... and {} layers that took less\n", longest.size() - shown);
  return text;
}

}  // namespace akin
