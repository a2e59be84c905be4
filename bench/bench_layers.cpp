// Each convolution, depthwise convolution and linear layer of networks, each pass: akin's against the fastest of
// oneDNN's own implementations for it (activations NHWC as akin keeps them, weights in the layout that the
// implementation likes), in turns.
//   OMP_NUM_THREADS=2 bench_layers --net resnet20 --net mobilenet_v1:8@64 --json layers.json
// akin's time has the reordering of weights in it, which it does on every call; oneDNN's has not, and is told apart.
#include <algorithm>
#include <chrono>

#include "bench/networks.hpp"
#include "bench/onednn_ways.hpp"
#include "bench/program.hpp"
#include "engine/trace.hpp"
#include "nn/zoo/zoo.hpp"

namespace {

using namespace akin;
using namespace akin::bench;

struct LayerSettings {
  std::vector<std::string> nets{"resnet8",           "resnet20",        "resnet18@64",
                                "mobilenet_v1:8@64", "mobilenet_v2@64", "mobilenet_v3_small@64"};
  std::string json, filter;
  std::int64_t batch = 128;
  int rounds = 12;
  double milliseconds = 2, warm_up = 20;
};

/// A shape that stands `count` times in a network.
struct Layer {
  LayerShape shape;
  int count = 0;
};

/// In the order in which they first run.
std::vector<Layer> layers_of(const std::string& text, std::int64_t batch) {
  const NetSpec spec = parse_net(text);
  const Input in = input_of(spec.net);
  const std::int64_t side = spec.side > 0 ? spec.side : in.side;
  Context ctx;
  const auto network =
      make_network(ctx, {.name = spec.net, .width = spec.width, .channels = in.channels, .classes = in.classes});
  initialize(network->parameters(), 1);
  Trace trace;
  {
    const TraceScope scope(ctx, &trace);
    network->logits(ctx, Tensor::zeros(ctx, {1, side, side, in.channels}), false);
  }
  std::vector<Layer> out;
  for (const TraceNode& node : trace.nodes) {
    const bool linear = node.op == "linear";
    if (!linear && node.op != "conv2d" && node.op != "depthwise_conv2d") continue;
    const Shape &x = node.inputs[0].shape(), &w = node.inputs[1].shape();
    const auto attribute = [&](const char* name) { return static_cast<std::int64_t>(node.attributes.at(name)); };
    LayerShape shape{linear ? LayerKind::linear : node.op == "conv2d" ? LayerKind::conv : LayerKind::depthwise, {}};
    if (linear)
      shape.s = {batch, 1, 1, w[1], w[0], 1, 1, 1, 0};
    else
      shape.s = {
          batch, x[1], x[2], x[3], w[0], w[1], w[2], attribute("stride"), attribute("pad"), attribute("pad_end")};
    const auto same = [&](const Layer& l) { return l.shape.str() == shape.str(); };
    const auto found = std::find_if(out.begin(), out.end(), same);
    if (found == out.end())
      out.push_back({shape, 1});
    else
      ++found->count;
  }
  AKIN_CHECK(!out.empty(), "{}: has no layer to measure", text);
  return out;
}

using Clock = std::chrono::steady_clock;
double microseconds(const std::function<void()>& call, int calls) {
  const auto start = Clock::now();
  for (int i = 0; i < calls; ++i) call();
  return 1e6 * std::chrono::duration<double>(Clock::now() - start).count() / calls;
}

/// The same once it has run for `warm_up` milliseconds: the idle threads of whoever ran before look for work for up to
/// 17 (OpenMP's).
double turn(const std::function<void()>& call, int calls, double warm_up) {
  for (const auto start = Clock::now(); std::chrono::duration<double, std::milli>(Clock::now() - start).count() < warm_up;)
    call();
  return microseconds(call, calls);
}

struct Measured {
  std::vector<double> akin, best, ratio;  ///< us, us, akin / best of each round
  std::string implementation;             ///< the fastest of oneDNN's
  double reorder = 0;                     ///< us, of its weights
  Json all = Json::object();              ///< its implementations -> us
};

Measured measure_pass(const LayerShape& shape, LayerPass pass, const LayerSettings& settings) {
  LayerOperands operands(shape);
  std::vector<LayerWay> ways = onednn_ways(shape, pass, operands);
  ways.insert(ways.begin(), akin_way(shape, pass, operands));
  std::vector<double> once;
  for (LayerWay& way : ways) {
    way.run();  // compiles, faults pages in
    once.push_back(std::min(microseconds(way.run, 1), microseconds(way.run, 1)));
  }
  AKIN_CHECK(ways.size() > 1, "{}: oneDNN has no implementation but plain loops", shape.str());
  const double least = *std::min_element(once.begin() + 1, once.end());
  std::vector<int> calls;  // in a round; 0: hopeless
  for (std::size_t i = 0; i < ways.size(); ++i)
    calls.push_back(
        i > 0 && once[i] > 5 * least ? 0 : std::max(1, static_cast<int>(1e3 * settings.milliseconds / once[i])));
  std::vector<std::vector<double>> rounds(ways.size());
  for (int r = 0; r < settings.rounds; ++r)
    for (std::size_t i = 0; i < ways.size(); ++i) {
      const std::size_t way = r % 2 == 0 ? i : ways.size() - 1 - i;
      if (calls[way] > 0) rounds[way].push_back(turn(ways[way].run, calls[way], settings.warm_up));
    }
  std::size_t best = 0;
  for (std::size_t i = 1; i < ways.size(); ++i)
    if (calls[i] > 0 && (best == 0 || median(rounds[i]) < median(rounds[best]))) best = i;
  Measured m{.akin = rounds[0], .best = rounds[best], .ratio = {}, .implementation = ways[best].name};
  for (std::size_t i = 1; i < ways.size(); ++i) m.all[ways[i].name] = calls[i] > 0 ? median(rounds[i]) : once[i];
  for (std::size_t r = 0; r < m.akin.size(); ++r) m.ratio.push_back(m.akin[r] / m.best[r]);
  std::vector<double> reorders;
  for (int r = 0; ways[best].reorder && r < settings.rounds; ++r)
    reorders.push_back(microseconds(ways[best].reorder, 4));
  if (!reorders.empty()) m.reorder = median(reorders);
  return m;
}

void run(const LayerSettings& settings) {
  ResultFile file = result_file("bench_layers");
  file.details["batch"] = settings.batch;
  Json implementations = Json::object();
  std::vector<std::string> slower;
  fmt::print("{:<22} {:<30} {:>2} {:<10} {:>9} {:>9} {:>22} {:>8}  {}\n", "net", "layer", "n", "pass", "akin us",
             "oneDNN us", "akin / oneDNN [range]", "reorder", "oneDNN's best");
  for (const std::string& net : settings.nets) {
    std::map<std::string, std::pair<double, double>> sums;  // by pass
    for (const Layer& layer : layers_of(net, settings.batch)) {
      if (layer.shape.str().find(settings.filter) == std::string::npos) continue;
      for (const LayerPass pass : {LayerPass::forward, LayerPass::data, LayerPass::weight}) {
        const Measured m = measure_pass(layer.shape, pass, settings);
        const double ratio = median(m.ratio);
        const auto [low, high] = std::minmax_element(m.ratio.begin(), m.ratio.end());
        const std::string name = fmt::format("{} {} {}", net, layer.shape.str(), name_of(pass));
        fmt::print("{:<22} {:<30} {:>2} {:<10} {:>9.1f} {:>9.1f} {:>7.2f} [{:.2f} .. {:.2f}] {:>8.1f}  {}\n", net,
                   layer.shape.str(), layer.count, name_of(pass), median(m.akin), median(m.best), ratio, *low, *high,
                   m.reorder, m.implementation);
        std::fflush(stdout);
        file.rows.push_back({name + ": akin", "us", false, m.akin});
        file.rows.push_back({name + ": oneDNN's best", "us", false, m.best});
        file.rows.push_back({name + ": akin / best", "times", false, m.ratio});
        implementations[name] = {
            {"best", m.implementation}, {"reorder_us", m.reorder}, {"count", layer.count}, {"us", m.all}};
        if (ratio > 1.05) slower.push_back(fmt::format("{} ({:.2f})", name, ratio));
        auto& sum = sums[name_of(pass)];
        sum.first += layer.count * median(m.akin);
        sum.second += layer.count * median(m.best);
      }
    }
    for (const auto& [pass, sum] : sums)
      fmt::print("{}, all layers, {}: akin {:.0f} us, oneDNN's best {:.0f} us, ratio {:.2f}\n", net, pass, sum.first,
                 sum.second, sum.first / sum.second);
  }
  fmt::print("akin more than 5 % slower than oneDNN's best in {} of {} passes:\n  {}\n", slower.size(),
             file.rows.size() / 3, fmt::join(slower, "\n  "));
  if (settings.json.empty()) return;
  file.details["implementations"] = std::move(implementations);
  write_results(settings.json, file);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Layers of networks: akin's passes against the fastest of oneDNN's own implementations.");
  LayerSettings s;
  app.add_option("--net", s.nets, "NAME[:WIDTH][@SIDE], more than once for several");
  app.add_option("--batch", s.batch, "images")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--filter", s.filter, "Only layers with this in their description: depthwise, 3x3, ...");
  app.add_option("--rounds", s.rounds, "in which all implementations take turns")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--milliseconds", s.milliseconds, "of one implementation in one round")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--warm-up", s.warm_up, "milliseconds that it runs before, untimed")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_option("--json", s.json, "Write all rounds to this file, for bench_compare");
  return run_program(app, argc, argv, "bench_layers", [&] { run(s); });
}
