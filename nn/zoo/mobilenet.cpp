#include "nn/zoo/mobilenet.hpp"

#include <algorithm>

namespace akin {

namespace {

/// c scaled, as a multiple of 8 that is not less than 90 % of it (Howard et al., "MobileNets", 2017; as torchvision).
std::int64_t scaled_channels(double c) {
  const std::int64_t down = std::max<std::int64_t>(8, static_cast<std::int64_t>(c + 4) / 8 * 8);
  return static_cast<double>(down) < 0.9 * c ? down + 8 : down;
}

NormOptions norm_of(const Architecture& a, NormOptions own = {}) {
  if (a.norm_eps > 0) own.eps = a.norm_eps;
  return own;
}

ConvNorm stem_of(Context& ctx, const Architecture& a, Activation f, const NormOptions& norm) {
  return ConvNorm(ctx, {a.channels, a.width, 3, a.stem.empty() ? 2 : 1, 1}, f, norm);
}

}  // namespace

SqueezeExcite::SqueezeExcite(Context& ctx, std::int64_t channels, std::int64_t squeezed)
    : reduce_(ctx, channels, squeezed, ParameterKind::pixel_weight),
      expand_(ctx, squeezed, channels, ParameterKind::pixel_weight) {}

Tensor SqueezeExcite::operator()(Context& ctx, const Tensor& x) const {
  const Tensor squeezed = ops::relu(ctx, reduce_(ctx, ops::global_avg_pool(ctx, x)));
  const Tensor gate = ops::activation(ctx, expand_(ctx, squeezed), Activation::hardsigmoid);
  return ops::channel_scale(ctx, x, gate);
}

void SqueezeExcite::collect(const std::string& prefix, ParameterList& list) const {
  reduce_.collect(prefix + "fc1", list);
  expand_.collect(prefix + "fc2", list);
}

InvertedResidual::InvertedResidual(Context& ctx, const Options& o, const NormOptions& norm) : options_(o) {
  if (o.middle != o.in) expand_ = ConvNorm(ctx, {o.in, o.middle, 1, 1, 0}, o.activation, norm);
  depthwise_ = ConvNorm(ctx, {o.middle, o.middle, o.window, o.stride, o.window / 2, true}, o.activation, norm);
  if (o.squeezed > 0) excite_ = SqueezeExcite(ctx, o.middle, o.squeezed);
  project_ = ConvNorm(ctx, {o.middle, o.out, 1, 1, 0}, Activation::none, norm);
}

Tensor InvertedResidual::operator()(Context& ctx, const Tensor& x, bool training) const {
  Tensor y = options_.middle != options_.in ? expand_(ctx, x, training) : x;
  y = depthwise_(ctx, y, training);
  if (options_.squeezed > 0) y = excite_(ctx, y);
  const bool around = options_.stride == 1 && options_.in == options_.out;
  return project_(ctx, y, training, around ? x : Tensor());
}

void InvertedResidual::collect(const std::string& prefix, ParameterList& list) const {
  int i = 0;
  const auto layer = [&](const ConvNorm& l) {
    const std::string name = prefix + std::to_string(i++);
    l.collect(name + ".0", name + ".1", list);
  };
  if (options_.middle != options_.in) layer(expand_);
  layer(depthwise_);
  if (options_.squeezed > 0) excite_.collect(prefix + std::to_string(i++) + ".", list);
  if (options_.plain_names)
    project_.collect(prefix + std::to_string(i), prefix + std::to_string(i + 1), list);
  else
    layer(project_);
}

void InvertedResidual::add_aliases(const std::string& timm, const std::string& prefix,
                                   std::vector<std::pair<std::string, std::string>>& list) const {
  const bool expands = options_.middle != options_.in;
  int i = 0, norm = 1;
  const auto layer = [&](const char* name, bool nested) {
    const std::string ours = prefix + std::to_string(i++);
    list.emplace_back(timm + name, nested ? ours + ".0" : ours);
    list.emplace_back(fmt::format("{}bn{}", timm, norm++), nested ? ours + ".1" : prefix + std::to_string(i));
  };
  if (expands) layer("conv_pw", true);
  layer("conv_dw", true);
  if (options_.squeezed > 0) {
    const std::string ours = prefix + std::to_string(i++);
    list.emplace_back(timm + "se.conv_reduce", ours + ".fc1");
    list.emplace_back(timm + "se.conv_expand", ours + ".fc2");
  }
  layer(expands ? "conv_pwl" : "conv_pw", !options_.plain_names);
}

namespace {

using Aliases = std::vector<std::pair<std::string, std::string>>;

/// Of the stem and all blocks; timm counts blocks within stages.
Aliases block_aliases(const std::vector<InvertedResidual>& blocks, const std::vector<int>& stages, const char* inner) {
  Aliases list = {{"conv_stem", "features.0.0"}, {"bn1", "features.0.1"}};
  std::size_t at = 0;
  for (std::size_t s = 0; s < stages.size(); ++s)
    for (int b = 0; b < stages[s]; ++b, ++at)
      blocks[at].add_aliases(fmt::format("blocks.{}.{}.", s, b), fmt::format("features.{}.{}.", at + 1, inner), list);
  return list;
}

}  // namespace

Aliases MobileNetV2::aliases() const {
  Aliases list = block_aliases(blocks_, stages_, "conv");
  const std::string last = fmt::format("features.{}", blocks_.size() + 1);
  list.insert(list.end(), {{"conv_head", last + ".0"}, {"bn2", last + ".1"}, {"classifier", "classifier.1"}});
  return list;
}

Aliases MobileNetV3::aliases() const {
  Aliases list = block_aliases(blocks_, stages_, "block");
  const std::string last = fmt::format("features.{}", blocks_.size() + 1),
                    timm = fmt::format("blocks.{}.0.", stages_.size());
  list.insert(list.end(), {{timm + "conv", last + ".0"},
                           {timm + "bn1", last + ".1"},
                           {"conv_head", "classifier.0"},
                           {"classifier", "classifier.3"}});
  return list;
}

MobileNetV1::MobileNetV1(Context& ctx, const Architecture& wanted) : Network(wanted, "classifier") {
  refuse_options(true, false, true);
  if (architecture_.width == 0) architecture_.width = 32;
  const double scale = static_cast<double>(architecture_.width) / 32;
  const NormOptions norm = norm_of(wanted);
  stem_ = stem_of(ctx, architecture_, Activation::relu6, norm);
  struct Stage {
    int channels, blocks, stride;
  };
  std::int64_t in = architecture_.width;
  int index = 0;
  for (const Stage& stage : {Stage{64, 1, 1}, {128, 2, 2}, {256, 2, 2}, {512, 6, 2}, {1024, 2, 2}}) {
    const std::int64_t out = scaled_channels(stage.channels * scale);
    for (int i = 0; i < stage.blocks; ++i) {
      blocks_.push_back({ConvNorm(ctx, {in, in, 3, i == 0 ? stage.stride : 1, 1, true}, Activation::relu6, norm),
                         ConvNorm(ctx, {in, out, 1, 1, 0}, Activation::relu6, norm),
                         fmt::format("blocks.{}.{}.", index, i)});
      in = out;
    }
    ++index;
  }
  fc = Linear(ctx, in, wanted.classes);
}

Tensor MobileNetV1::features(Context& ctx, const Tensor& x, bool training) const {
  check_images(x);
  Tensor y = stem_(ctx, x, training);
  for (const Block& b : blocks_) y = b.pointwise(ctx, b.depthwise(ctx, y, training), training);
  return ops::global_avg_pool(ctx, y);
}

void MobileNetV1::collect_extractor(ParameterList& list) const {
  stem_.collect("conv_stem", "bn1", list);
  for (const Block& b : blocks_) {
    b.depthwise.collect(b.name + "conv_dw", b.name + "bn1", list);
    b.pointwise.collect(b.name + "conv_pw", b.name + "bn2", list);
  }
}

MobileNetV2::MobileNetV2(Context& ctx, const Architecture& wanted) : Network(wanted, "classifier.1") {
  refuse_options(true, false, true);
  if (architecture_.width == 0) architecture_.width = 32;
  const double scale = static_cast<double>(architecture_.width) / 32;
  const NormOptions norm = norm_of(wanted);
  stem_ = stem_of(ctx, architecture_, Activation::relu6, norm);
  struct Stage {
    int expansion, channels, blocks, stride;
  };
  std::int64_t in = architecture_.width;
  for (const Stage& stage : {Stage{1, 16, 1, 1},
                             {6, 24, 2, 2},
                             {6, 32, 3, 2},
                             {6, 64, 4, 2},
                             {6, 96, 3, 1},
                             {6, 160, 3, 2},
                             {6, 320, 1, 1}}) {
    const std::int64_t out = scaled_channels(stage.channels * scale);
    stages_.push_back(stage.blocks);
    for (int i = 0; i < stage.blocks; ++i) {
      blocks_.emplace_back(ctx,
                           InvertedResidual::Options{.in = in,
                                                     .middle = in * stage.expansion,
                                                     .out = out,
                                                     .window = 3,
                                                     .stride = i == 0 ? stage.stride : 1,
                                                     .activation = Activation::relu6,
                                                     .plain_names = true},
                           norm);
      in = out;
    }
  }
  const std::int64_t last = scaled_channels(1280 * std::max(1.0, scale));
  last_ = ConvNorm(ctx, {in, last, 1, 1, 0}, Activation::relu6, norm);
  fc = Linear(ctx, last, wanted.classes);
}

Tensor MobileNetV2::features(Context& ctx, const Tensor& x, bool training) const {
  check_images(x);
  Tensor y = stem_(ctx, x, training);
  for (const InvertedResidual& b : blocks_) y = b(ctx, y, training);
  return ops::global_avg_pool(ctx, last_(ctx, y, training));
}

void MobileNetV2::collect_extractor(ParameterList& list) const {
  stem_.collect("features.0.0", "features.0.1", list);
  std::size_t i = 1;
  for (const InvertedResidual& b : blocks_) b.collect(fmt::format("features.{}.conv.", i++), list);
  last_.collect(fmt::format("features.{}.0", i), fmt::format("features.{}.1", i), list);
}

MobileNetV3::MobileNetV3(Context& ctx, const Architecture& wanted) : Network(wanted, "classifier.3") {
  refuse_options(true, false, true);
  if (architecture_.width == 0) architecture_.width = 16;
  const double scale = static_cast<double>(architecture_.width) / 16;
  const NormOptions norm = norm_of(wanted, {.eps = 1e-3, .momentum = 0.01});
  constexpr Activation relu = Activation::relu, swish = Activation::hardswish;
  struct Row {
    int window, middle, out;
    bool excite;
    Activation activation;
    int stride;
  };
  static const std::vector<Row> large = {
      {3, 16, 16, false, relu, 1},   {3, 64, 24, false, relu, 2},   {3, 72, 24, false, relu, 1},
      {5, 72, 40, true, relu, 2},    {5, 120, 40, true, relu, 1},   {5, 120, 40, true, relu, 1},
      {3, 240, 80, false, swish, 2}, {3, 200, 80, false, swish, 1}, {3, 184, 80, false, swish, 1},
      {3, 184, 80, false, swish, 1}, {3, 480, 112, true, swish, 1}, {3, 672, 112, true, swish, 1},
      {5, 672, 160, true, swish, 2}, {5, 960, 160, true, swish, 1}, {5, 960, 160, true, swish, 1}};
  static const std::vector<Row> small = {
      {3, 16, 16, true, relu, 2},   {3, 72, 24, false, relu, 2},  {3, 88, 24, false, relu, 1},
      {5, 96, 40, true, swish, 2},  {5, 240, 40, true, swish, 1}, {5, 240, 40, true, swish, 1},
      {5, 120, 48, true, swish, 1}, {5, 144, 48, true, swish, 1}, {5, 288, 96, true, swish, 2},
      {5, 576, 96, true, swish, 1}, {5, 576, 96, true, swish, 1}};
  const bool is_large = wanted.name == "mobilenet_v3_large";
  stages_ = is_large ? std::vector<int>{1, 2, 3, 4, 2, 3} : std::vector<int>{1, 2, 3, 2, 3};
  stem_ = stem_of(ctx, architecture_, swish, norm);
  std::int64_t in = architecture_.width;
  for (const Row& row : is_large ? large : small) {
    const std::int64_t middle = scaled_channels(row.middle * scale), out = scaled_channels(row.out * scale);
    blocks_.emplace_back(
        ctx,
        InvertedResidual::Options{.in = in,
                                  .middle = middle,
                                  .out = out,
                                  .window = row.window,
                                  .stride = row.stride,
                                  .squeezed = row.excite ? scaled_channels(static_cast<double>(middle / 4)) : 0,
                                  .activation = row.activation},
        norm);
    in = out;
  }
  last_ = ConvNorm(ctx, {in, 6 * in, 1, 1, 0}, swish, norm);
  const std::int64_t hidden = scaled_channels((is_large ? 1280 : 1024) * scale);
  hidden_ = Linear(ctx, 6 * in, hidden);
  fc = Linear(ctx, hidden, wanted.classes);
}

Tensor MobileNetV3::features(Context& ctx, const Tensor& x, bool training) const {
  check_images(x);
  Tensor y = stem_(ctx, x, training);
  for (const InvertedResidual& b : blocks_) y = b(ctx, y, training);
  y = ops::global_avg_pool(ctx, last_(ctx, y, training));
  return ops::activation(ctx, hidden_(ctx, y), Activation::hardswish);
}

void MobileNetV3::collect_extractor(ParameterList& list) const {
  stem_.collect("features.0.0", "features.0.1", list);
  std::size_t i = 1;
  for (const InvertedResidual& b : blocks_) b.collect(fmt::format("features.{}.block.", i++), list);
  last_.collect(fmt::format("features.{}.0", i), fmt::format("features.{}.1", i), list);
  hidden_.collect("classifier.0", list);
}

}  // namespace akin
