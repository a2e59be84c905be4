#include "nn/zoo/plain_networks.hpp"

namespace akin {

namespace {

constexpr Activation kRelu = Activation::relu;

Tensor pool_up(Context& ctx, const Tensor& x, std::int64_t window = 3) {
  return ops::max_pool(ctx, x, window, 2, 0, true);
}

}  // namespace

AlexNet::AlexNet(Context& ctx, const Architecture& wanted) : Network(wanted, "classifier.6") {
  refuse_options(false, false, false);
  constexpr std::int64_t kSide = 6, kMap = 256, kHidden = 4096;
  for (const ConvShape& s : {ConvShape{wanted.channels, 64, 11, 4, 2},
                             {64, 192, 5, 1, 2},
                             {192, 384, 3, 1, 1},
                             {384, 256, 3, 1, 1},
                             {256, kMap, 3, 1, 1}})
    conv_.emplace_back(ctx, s, kRelu);
  flat_ = Tensor::zeros(ctx, {kHidden, kSide, kSide, kMap});
  flat_.set_requires_grad(true);
  flat_bias_ = Tensor::zeros(ctx, {kHidden});
  flat_bias_.set_requires_grad(true);
  hidden_ = Linear(ctx, kHidden, kHidden);
  fc = Linear(ctx, kHidden, wanted.classes);
}

Tensor AlexNet::features(Context& ctx, const Tensor& x, bool training) const {
  (void)training;
  check_images(x);
  Tensor y = x;
  for (std::size_t i = 0; i < conv_.size(); ++i) {
    y = conv_[i](ctx, y);
    if (i == 0 || i == 1 || i == 4) y = ops::max_pool(ctx, y, 3, 2, 0);
  }
  y = ops::adaptive_avg_pool(ctx, y, flat_.dim(1), flat_.dim(2));
  const std::int64_t D = flat_.numel() / flat_.dim(0);
  y = ops::linear(ctx, ops::reshape(ctx, y, {y.dim(0), D}), ops::reshape(ctx, flat_, {flat_.dim(0), D}), flat_bias_);
  return ops::relu(ctx, hidden_(ctx, ops::relu(ctx, y)));
}

void AlexNet::collect_extractor(ParameterList& list) const {
  constexpr int kIndex[] = {0, 3, 6, 8, 10};
  for (std::size_t i = 0; i < conv_.size(); ++i) conv_[i].collect(fmt::format("features.{}", kIndex[i]), list);
  list.push_back({"classifier.1.weight", flat_, ParameterKind::flat_weight});
  list.push_back({"classifier.1.bias", flat_bias_, ParameterKind::bias});
  hidden_.collect("classifier.4", list);
}

SqueezeNet::SqueezeNet(Context& ctx, const Architecture& wanted)
    : Network(wanted, "classifier.1"), first_(wanted.name == "squeezenet1_0") {
  refuse_options(false, false, false);
  stem_ = first_ ? ConvBias(ctx, {wanted.channels, 96, 7, 2, 0}, kRelu)
                 : ConvBias(ctx, {wanted.channels, 64, 3, 2, 0}, kRelu);
  std::int64_t in = stem_.shape().out;
  struct Row {
    int index;
    bool pooled;
    int squeeze, expand;
  };
  static const std::vector<Row> version10 = {{3, true, 16, 64},    {4, false, 16, 64},  {5, false, 32, 128},
                                             {7, true, 32, 128},   {8, false, 48, 192}, {9, false, 48, 192},
                                             {10, false, 64, 256}, {12, true, 64, 256}};
  static const std::vector<Row> version11 = {{3, true, 16, 64},    {4, false, 16, 64},  {6, true, 32, 128},
                                             {7, false, 32, 128},  {9, true, 48, 192},  {10, false, 48, 192},
                                             {11, false, 64, 256}, {12, false, 64, 256}};
  for (const Row& row : first_ ? version10 : version11) {
    fires_.push_back({row.index, row.pooled, ConvBias(ctx, {in, row.squeeze, 1, 1, 0}, kRelu),
                      ConvBias(ctx, {row.squeeze, row.expand, 1, 1, 0}, kRelu),
                      ConvBias(ctx, {row.squeeze, row.expand, 3, 1, 1}, kRelu)});
    in = 2 * row.expand;
  }
  fc = Linear(ctx, in, wanted.classes, ParameterKind::pixel_weight);
}

Tensor SqueezeNet::features(Context& ctx, const Tensor& x, bool training) const {
  (void)training;
  check_images(x);
  Tensor y = stem_(ctx, x);
  for (const Fire& fire : fires_) {
    if (fire.pooled) y = pool_up(ctx, y);
    const Tensor squeezed = fire.squeeze(ctx, y);
    y = ops::concat_channels(ctx, {fire.expand1(ctx, squeezed), fire.expand3(ctx, squeezed)});
  }
  return y;
}

Tensor SqueezeNet::head(Context& ctx, const Tensor& map) const {
  const std::int64_t N = map.dim(0), h = map.dim(1), w = map.dim(2);
  const Tensor pixels = ops::reshape(ctx, map, {N * h * w, map.dim(3)});
  const Tensor scores = ops::relu(ctx, fc(ctx, pixels));
  return ops::global_avg_pool(ctx, ops::reshape(ctx, scores, {N, h, w, fc.outputs()}));
}

void SqueezeNet::collect_extractor(ParameterList& list) const {
  stem_.collect("features.0", list);
  for (const Fire& fire : fires_) {
    const std::string prefix = fmt::format("features.{}.", fire.index);
    fire.squeeze.collect(prefix + "squeeze", list);
    fire.expand1.collect(prefix + "expand1x1", list);
    fire.expand3.collect(prefix + "expand3x3", list);
  }
}

GoogLeNet::GoogLeNet(Context& ctx, const Architecture& wanted) : Network(wanted, "fc") {
  refuse_options(false, false, false);
  const NormOptions norm{.eps = wanted.norm_eps > 0 ? wanted.norm_eps : 1e-3};
  const auto layer = [&](const ConvShape& s) { return ConvNorm(ctx, s, kRelu, norm); };
  stem_ = {layer({wanted.channels, 64, 7, 2, 3}), layer({64, 64, 1, 1, 0}), layer({64, 192, 3, 1, 1})};
  struct Row {
    const char* name;
    int pool_before, one, reduce3, three, reduce5, five, pool;
  };
  std::int64_t in = 192;
  for (const Row& r : {Row{"3a", 3, 64, 96, 128, 16, 32, 32},
                       {"3b", 0, 128, 128, 192, 32, 96, 64},
                       {"4a", 3, 192, 96, 208, 16, 48, 64},
                       {"4b", 0, 160, 112, 224, 24, 64, 64},
                       {"4c", 0, 128, 128, 256, 24, 64, 64},
                       {"4d", 0, 112, 144, 288, 32, 64, 64},
                       {"4e", 0, 256, 160, 320, 32, 128, 128},
                       {"5a", 2, 256, 160, 320, 32, 128, 128},
                       {"5b", 0, 384, 192, 384, 48, 128, 128}}) {
    blocks_.push_back({std::string("inception") + r.name, r.pool_before, layer({in, r.one, 1, 1, 0}),
                       layer({in, r.reduce3, 1, 1, 0}), layer({r.reduce3, r.three, 3, 1, 1}),
                       layer({in, r.reduce5, 1, 1, 0}), layer({r.reduce5, r.five, 3, 1, 1}),
                       layer({in, r.pool, 1, 1, 0})});
    in = r.one + r.three + r.five + r.pool;
  }
  fc = Linear(ctx, in, wanted.classes);
}

Tensor GoogLeNet::features(Context& ctx, const Tensor& x, bool training) const {
  check_images(x);
  Tensor y = pool_up(ctx, stem_[0](ctx, x, training));
  y = stem_[2](ctx, stem_[1](ctx, y, training), training);
  for (const Inception& b : blocks_) {
    if (b.pool_before > 0) y = pool_up(ctx, y, b.pool_before);
    y = ops::concat_channels(ctx, {b.one(ctx, y, training), b.three(ctx, b.reduce3(ctx, y, training), training),
                                   b.five(ctx, b.reduce5(ctx, y, training), training),
                                   b.pool(ctx, ops::max_pool(ctx, y, 3, 1, 1), training)});
  }
  return ops::global_avg_pool(ctx, y);
}

void GoogLeNet::collect_extractor(ParameterList& list) const {
  const auto add = [&](const std::string& name, const ConvNorm& layer) {
    layer.collect(name + ".conv", name + ".bn", list);
  };
  for (std::size_t i = 0; i < stem_.size(); ++i) add(fmt::format("conv{}", i + 1), stem_[i]);
  for (const Inception& b : blocks_) {
    add(b.name + ".branch1", b.one);
    add(b.name + ".branch2.0", b.reduce3);
    add(b.name + ".branch2.1", b.three);
    add(b.name + ".branch3.0", b.reduce5);
    add(b.name + ".branch3.1", b.five);
    add(b.name + ".branch4.1", b.pool);
  }
}

}  // namespace akin
