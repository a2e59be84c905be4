// Parameters and multiply-adds against figures that others published, and by hand.
#include <doctest/doctest.h>

#include "nn/cost.hpp"
#include "nn/zoo/zoo.hpp"

using namespace akin;

namespace {

Cost cost(const char* name, std::int64_t width, std::int64_t side, std::int64_t channels, std::int64_t classes) {
  Context ctx;
  return cost_of(ctx, *make_network(ctx, {.name = name, .width = width, .channels = channels, .classes = classes}),
                 side, side);
}

double millions(std::int64_t n) { return static_cast<double>(n) / 1e6; }

}  // namespace

TEST_CASE("MobileNetV1 as its paper counts: tables 6 and 7 of arXiv 1704.04861") {
  for (const auto& [width, macs, parameters] :
       {std::tuple{32, 569.0, 4.2}, {24, 325.0, 2.6}, {16, 149.0, 1.3}, {8, 41.0, 0.5}}) {
    const Cost c = cost("mobilenet_v1", width, 224, 3, 1000);
    CHECK(std::abs(millions(c.multiply_adds) - macs) < 1);
    CHECK(std::abs(millions(c.parameters) - parameters) < 0.06);
  }
  for (const auto& [side, macs] : {std::pair{192, 418.0}, {160, 290.0}, {128, 186.0}})
    CHECK(std::abs(millions(cost("mobilenet_v1", 32, side, 3, 1000).multiply_adds) - macs) < 1);
}

TEST_CASE("ResNet-18 and -50 as torchvision lists them: 1.81 and 4.09 billion at 224") {
  CHECK_EQ(millions(cost("resnet18", 64, 224, 3, 1000).multiply_adds) / 1000, doctest::Approx(1.814).epsilon(1e-3));
  CHECK_EQ(millions(cost("resnet50", 64, 224, 3, 1000).multiply_adds) / 1000, doctest::Approx(4.089).epsilon(1e-3));
}

TEST_CASE("ResNet-8 layer by layer") {
  // 3x3 convolutions at 32x32, 16x16 and 8x8 of width 16, shortcuts without weights; then 64 features to 10 classes.
  const std::int64_t first = 1024 * 9 * 3 * 16, one = 1024 * 2 * 9 * 16 * 16, two = 256 * (9 * 16 * 32 + 9 * 32 * 32),
                     three = 64 * (9 * 32 * 64 + 9 * 64 * 64);
  Context ctx;
  const auto network =
      make_network(ctx, {.name = "resnet8", .width = 16, .shortcut = "A", .channels = 3, .classes = 10});
  CHECK_EQ(cost_of(ctx, *network, 32, 32).multiply_adds, first + one + two + three + 640);
  CHECK_EQ(ctx.watch, nullptr);
}
