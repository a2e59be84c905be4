// Networks for tests of exporters: any architecture with statistics that are not those of a new one, and networks of a
// few ops written in the test itself.
#pragma once

#include <algorithm>
#include <cmath>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "kernels/common/rng.hpp"
#include "nn/network.hpp"
#include "nn/zoo/zoo.hpp"

namespace akin::test {

/// Random weights; scales in 0.5 .. 1.5, variances in 0.3 .. 1.5, shifts and means in -0.5 .. 0.5, so that a mistake in
/// any of them shows, and signals neither die nor grow.
inline void randomise(const ParameterList& list, std::uint64_t seed) {
  initialize(list, seed);
  Rng rng(seed, 5, 5);
  for (const Parameter& p : list) {
    if (p.kind != ParameterKind::norm && p.kind != ParameterKind::buffer && p.kind != ParameterKind::bias) continue;
    const bool var = p.name.ends_with("running_var"),
               scale = p.kind == ParameterKind::norm && p.name.ends_with("weight");
    for (float& v : std::span(p.tensor.data<float>(), static_cast<std::size_t>(p.tensor.numel())))
      v = var ? rng.uniform(0.3f, 1.5f) : scale ? rng.uniform(0.5f, 1.5f) : rng.uniform(-0.5f, 0.5f);
  }
}

/// [N, H, W, C] in -2 .. 2
inline Tensor noise(Context& ctx, const Shape& shape) {
  const Tensor x = Tensor::empty(ctx, shape);
  Rng rng(4, 4, 4);
  for (std::int64_t i = 0; i < x.numel(); ++i) x.data<float>()[i] = rng.uniform(-2, 2);
  return x;
}

inline std::unique_ptr<Network> random_net(Context& ctx, const Architecture& a) {
  auto net = make_network(ctx, a);
  randomise(net->parameters(), 1);
  return net;
}

/// Largest difference, in parts of the largest of b; NaN where there is one.
inline double apart(std::span<const float> a, std::span<const float> b) {
  double worst = 0, largest = 0;
  for (std::size_t i = 0; i < b.size(); ++i) {
    const double d = std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i]));
    if (!(d <= worst)) worst = d;
    largest = std::max(largest, std::abs(static_cast<double>(b[i])));
  }
  return a.size() == b.size() ? worst / largest : NAN;
}
inline double apart(const Tensor& a, const Tensor& b) {
  return apart(a.to_array().as<float>(), b.to_array().as<float>());
}

/// How much of a relative error of every weight arrives at the logits for x: what rounding does depends on the network,
/// and deep ones at random can be badly conditioned. At least 1.
inline double condition(Context& ctx, Network& net, const Tensor& x) {
  constexpr float kStep = 1e-4f;  // far above rounding, far below a change of many branches
  const Tensor before = net.logits(ctx, x, false);
  std::vector<Array> kept;
  Rng rng(6, 6, 6);
  const ParameterList list = net.parameters();
  for (const Parameter& p : list) {
    kept.push_back(p.tensor.to_array());
    if (p.kind == ParameterKind::counter) continue;
    for (float& v : std::span(p.tensor.data<float>(), static_cast<std::size_t>(p.tensor.numel())))
      v *= 1 + (rng.below(2) == 0 ? kStep : -kStep);
  }
  const Tensor after = net.logits(ctx, x, false);
  for (std::size_t i = 0; i < list.size(); ++i) list[i].tensor.copy_from(kept[i].bytes());
  return std::max(1.0, apart(after, before) / static_cast<double>(kStep));
}

/// A network whose extractor is a function of the test; the head follows it.
class FreeNet final : public Network {
 public:
  using Body = std::function<Tensor(Context&, const FreeNet&, const Tensor&)>;
  FreeNet(Context& ctx, std::int64_t channels, std::int64_t features, std::int64_t classes, Body body)
      : Network({.name = "free", .channels = channels, .classes = classes}, "fc"), ctx_(ctx), body_(std::move(body)) {
    fc = Linear(ctx, features, classes);
  }
  Tensor features(Context& ctx, const Tensor& x, bool) const override { return body_(ctx, *this, x); }
  std::int64_t output_stride() const override { return 1; }

  /// A parameter of this name, made at its first use with random values.
  Tensor weight(const std::string& name, const Shape& shape, ParameterKind kind = ParameterKind::conv_weight) const {
    for (const Parameter& p : list_)
      if (p.name == name) return p.tensor;
    const Tensor t = Tensor::empty(ctx_, shape);
    Rng rng(3, 3, list_.size());
    for (std::int64_t i = 0; i < t.numel(); ++i)
      t.data<float>()[i] = name.ends_with("var") ? rng.uniform(0.02f, 1) : rng.uniform(-0.5f, 0.5f);
    list_.push_back({name, t, kind});
    return t;
  }

 private:
  void collect_extractor(ParameterList& list) const override { list.insert(list.end(), list_.begin(), list_.end()); }
  Context& ctx_;
  Body body_;
  mutable ParameterList list_;  // filled while the body runs
};

}  // namespace akin::test
