#include "nn/cost.hpp"

#include "engine/trace.hpp"

namespace akin {

namespace {

/// Convolutions and linear layers use each weight once for every position of their output.
class MultiplyAdds : public OpWatch {
 public:
  std::int64_t count = 0;
  void forward(const char* op, const std::vector<Tensor>& inputs, const Tensor& output) override {
    const std::string_view name = op;
    if (name != "conv2d" && name != "depthwise_conv2d" && name != "linear") return;
    const Shape& y = output.shape();
    count += output.numel() / y[y.rank() - 1] * inputs[1].numel();
  }
  void backward(const char*, const std::vector<Tensor>&) override {}
};

}  // namespace

Cost cost_of(Context& ctx, const Network& network, std::int64_t height, std::int64_t width) {
  MultiplyAdds watch;
  const WatchScope scope(ctx, &watch);
  const std::int64_t channels = network.architecture().channels;
  const Tensor image = Tensor::zeros(ctx, {1, height, width, channels});
  network.predict(ctx, network.features(ctx, image, false));
  return {count_trainable(network.parameters()), watch.count};
}

std::pair<std::int64_t, std::int64_t> seen_size(const ModelInfo& info, const Shape& images) {
  const bool own = info.height > 0 && info.width > 0;
  return own ? std::pair{info.height, info.width} : std::pair{images[1], images[2]};
}

Cost cost_of(Context& ctx, const Model& model, const Shape& images) {
  const auto [height, width] = seen_size(model.info, images);
  return cost_of(ctx, *model.network, height, width);
}

}  // namespace akin
