// Whole networks against torchvision's in float64: names, shapes, logits, gradients, running statistics.
// tests/golden/torchvision_nets.py made the references; weights and images are computed here from the same hash.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "engine/autograd.hpp"
#include "engine/io/safetensors.hpp"
#include "engine/io/sha256.hpp"
#include "nn/weight_file.hpp"
#include "nn/zoo/zoo.hpp"

using namespace akin;

namespace {

using Values = std::vector<double>;

/// Numbers in [-1, 1), as in torchvision_nets.py.
Values uniform(const std::string& name, std::int64_t count) {
  const std::string hex = sha256_hex(name);
  const std::uint64_t seed = std::stoull(hex.substr(0, 8), nullptr, 16);
  Values out;
  out.reserve(static_cast<std::size_t>(count));
  for (std::uint64_t i = 0; i < static_cast<std::uint64_t>(count); ++i) {
    std::uint64_t x = (i * 2654435761u + seed) & 0xffffffffu;
    for (int k = 0; k < 2; ++k) {
      x ^= x >> 16;
      x = (x * 0x45d9f3bu) & 0xffffffffu;
    }
    x ^= x >> 16;
    out.push_back(static_cast<double>(x) / 2147483648.0 - 1);
  }
  return out;
}

Values values_of(const Array& a) {
  const Array wide = a.cast(DType::f64);
  const auto span = wide.as<double>();
  return Values(span.begin(), span.end());
}

/// The start state of every tensor of a file of this network.
SafeTensors start_state(const Network& network) {
  SafeTensors file;
  export_weights(network, file);
  for (auto& [name, array] : file.tensors) {
    const Shape shape = array.shape();
    if (name.ends_with("num_batches_tracked")) {
      array.as<std::int64_t>()[0] = 3;
      continue;
    }
    Values u = uniform(name, shape.numel());
    double scale = 0.1, shift = 0;
    if (shape.rank() >= 2)
      scale = std::sqrt(3.0 / static_cast<double>(shape.numel() / shape[0])) * 1.4142135623730951;
    else if (name.ends_with("running_var"))
      scale = 0.5, shift = 1;
    else if (name.ends_with("running_mean"))
      scale = 0.2;
    else if (name.ends_with("weight"))
      scale = 0.25, shift = 1;
    for (std::size_t i = 0; i < u.size(); ++i) array.as<float>()[i] = static_cast<float>(shift + scale * u[i]);
  }
  return file;
}

/// Largest difference relative to the largest expected entry; NaN and a wrong length give infinity.
double difference(const Values& got, const Values& want) {
  if (got.size() != want.size()) return INFINITY;
  double worst = 0, scale = 0;
  for (std::size_t i = 0; i < want.size(); ++i) {
    const double error = std::abs(got[i] - want[i]);
    if (!std::isfinite(error)) return INFINITY;
    worst = std::max(worst, error);
    scale = std::max(scale, std::abs(want[i]));
  }
  return scale > 0 ? worst / scale : worst;
}

/// Rows {sum, sum of squares, sum with a pattern}, which an exchange of elements changes; errors relative to what
/// rounding noise of that relative size would give: ||v|| sqrt(n) for the sums, ||v||^2 for the squares.
double digest_difference(const std::map<std::string, Values>& got, const Array& want) {
  if (want.shape()[0] != static_cast<std::int64_t>(got.size())) return INFINITY;
  const double* row = want.as<double>().data();
  double worst = 0, largest = 0;
  for (std::size_t i = 0; i < got.size(); ++i) largest = std::max(largest, std::sqrt(row[3 * i + 1]));
  for (const auto& [name, v] : got) {
    double sum = 0, squares = 0, pattern = 0;
    for (std::size_t i = 0; i < v.size(); ++i) {
      sum += v[i];
      squares += v[i] * v[i];
      pattern += v[i] * std::cos(0.7 * static_cast<double>(i) + 0.3);
    }
    const double norm = std::sqrt(row[1]) + 1e-3 * largest + 1e-30,
                 reach = norm * std::sqrt(static_cast<double>(v.size()));
    for (const double e : {std::abs(sum - row[0]) / reach, std::abs(squares - row[1]) / (norm * norm),
                           std::abs(pattern - row[2]) / reach})
      worst = std::isfinite(e) ? std::max(worst, e) : INFINITY;
    row += 3;
  }
  return worst;
}

struct Case {
  Architecture architecture;
  std::int64_t side, batch;
};

const std::vector<Case>& cases() {
  const auto net = [](const char* name) { return Architecture{.name = name, .classes = 7}; };
  static const std::vector<Case> all = {{net("resnet18"), 33, 2},
                                        {net("resnet50"), 33, 2},
                                        {net("mobilenet_v2"), 33, 2},
                                        {net("mobilenet_v3_small"), 64, 4},
                                        {net("mobilenet_v3_large"), 64, 4},
                                        {net("googlenet"), 48, 4},
                                        {net("alexnet"), 64, 2},
                                        {net("squeezenet1_0"), 33, 2},
                                        {net("squeezenet1_1"), 33, 2}};
  return all;
}

const SafeTensors& golden() {
  static const SafeTensors file =
      read_safetensors(std::string(AKIN_SOURCE_DIR) + "/tests/golden/torchvision_nets.safetensors");
  return file;
}

struct Found {
  double eval, train, loss, gradient, running;
};

/// Differences of a network that starts from `state` to torchvision's; `state` may be a changed one.
Found compare(const Case& c, const std::string& batch, const std::function<void(SafeTensors&)>& change = {}) {
  Context ctx;
  const std::unique_ptr<Network> net = make_network(ctx, c.architecture);
  SafeTensors state = start_state(*net);
  if (change) change(state);
  import_weights(*net, state);
  const auto wanted = [&](const char* what) { return golden().at(c.architecture.name + "." + batch + "." + what); };
  const Values pixels = uniform(batch, c.batch * c.side * c.side * 3);
  const Tensor x =
      Tensor::from(ctx, Array::from(std::vector<float>(pixels.begin(), pixels.end()), {c.batch, c.side, c.side, 3}));
  std::vector<std::int64_t> labels;
  for (std::int64_t i = 0; i < c.batch; ++i) labels.push_back(i % c.architecture.classes);
  const Tensor target = Tensor::from(ctx, Array::from(labels, {c.batch}));
  Found found{};
  found.eval = difference(values_of(net->logits(ctx, x, false).to_array()), values_of(wanted("logits_eval")));
  Tape tape;
  TapeScope scope(ctx, &tape);
  for (const Parameter& p : net->parameters())
    if (p.trainable()) Tensor(p.tensor).zero_grad();
  const Tensor y = net->logits(ctx, x, true);
  const Tensor loss = ops::mean(ctx, ops::softmax_ce(ctx, y, target));
  tape.backward(ctx, loss);
  found.train = difference(values_of(y.to_array()), values_of(wanted("logits_train")));
  found.loss = difference({loss.item()}, values_of(wanted("loss")));
  // Gradients in file order: through the same export as weights.
  std::map<std::string, Values> gradients, running;
  for (const Parameter& p : net->parameters())
    if (p.kind == ParameterKind::buffer) running[p.name] = values_of(p.tensor.to_array());
  for (const Parameter& p : net->parameters())
    if (p.trainable()) p.tensor.copy_from(p.tensor.grad());
  SafeTensors file;
  export_weights(*net, file);
  for (const Parameter& p : net->parameters())
    if (p.trainable()) gradients[p.name] = values_of(file.at(p.name));
  found.gradient = digest_difference(gradients, wanted("digest.grad"));
  if (!running.empty()) found.running = digest_difference(running, wanted("digest.train"));
  return found;
}

}  // namespace

TEST_CASE("names and shapes are torchvision's") {
  for (const Case& c : cases()) {
    CAPTURE(c.architecture.name);
    Context ctx;
    SafeTensors file;
    export_weights(*make_network(ctx, c.architecture), file);
    std::map<std::string, std::string> lines;
    for (const auto& [name, array] : file.tensors) lines[name] = name + " " + array.shape().str() + "\n";
    std::string text;
    for (const auto& [name, line] : lines) text += line;
    const auto want = golden().at(c.architecture.name + ".state_dict").as<std::uint8_t>();
    std::string hex;
    for (const std::uint8_t b : want) hex += fmt::format("{:02x}", b);
    CHECK(sha256_hex(text) == hex);
  }
}

TEST_CASE("logits, gradients and running statistics are torchvision's") {
  for (const Case& c : cases()) {
    CAPTURE(c.architecture.name);
    double best = INFINITY, own = INFINITY;  // of the gradients; see the generator on branches
    for (const char* batch : {"input1", "input3", "input5"}) {
      const Found f = compare(c, batch);
      INFO(fmt::format("{}: eval {:.1e} train {:.1e} loss {:.1e} gradients {:.1e} statistics {:.1e}", batch, f.eval,
                       f.train, f.loss, f.gradient, f.running));
      CHECK(f.eval <= 1e-4);
      CHECK(f.train <= 1e-3);
      CHECK(f.loss <= 1e-4);
      CHECK(f.running <= 1e-4);
      CHECK(f.gradient <= 0.1);
      best = std::min(best, f.gradient);
      own = std::min(own, golden().at(c.architecture.name + "." + batch + ".own").as<double>()[0]);
    }
    CAPTURE(own);
    CHECK(best <= std::max(1e-3, 3 * own));
  }
}

TEST_CASE("a weight in another place, or a norm of another eps, is noticed") {
  const Case& v3 = cases()[3];
  const auto exchanged = [](SafeTensors& t) {
    auto weight = std::find_if(t.tensors.begin(), t.tensors.end(),
                               [](const auto& n) { return n.first == "features.4.block.2.fc1.weight"; });
    REQUIRE(weight != t.tensors.end());
    std::swap(weight->second.as<float>()[0], weight->second.as<float>()[1]);
  };
  CHECK(compare(v3, "input3", exchanged).eval > 1e-4);
  Case eps = v3;
  eps.architecture.norm_eps = 1e-5;
  CHECK(compare(eps, "input3").eval > 1e-4);
}
