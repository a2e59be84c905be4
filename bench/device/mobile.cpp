// Kernels of the mobile networks, at MobileNetV2's and V3's sizes, against a device copy of as many bytes.
#include <algorithm>
#include <memory>

#include "bench/device/harness.hpp"
#include "kernels/activation.hpp"
#include "kernels/depthwise.hpp"

namespace akin::bench {

namespace {

void depthwise(const DeviceBench& bench, const Report& run, DType dtype, const DepthwiseShape& s) {
  const std::string what =
      fmt::format("{}x{}x{}x{} {}x{} /{} {}", s.N, s.H, s.W, s.C, s.R, s.S, s.stride, name_of(dtype));
  const auto name = [&](const char* pass) { return fmt::format("depthwise {} {}", pass, what); };
  const char* const passes[] = {"fwd", "dgrad", "wgrad"};
  if (std::none_of(passes, passes + 3, [&](const char* pass) { return bench.wants(name(pass)); })) return;
  enum : std::size_t { kX, kY, kW, kDw };
  const auto t = std::make_shared<Operands>(
      bench, std::vector<Operands::Wanted>{
                 {s.x_size(), dtype}, {s.y_size(), dtype}, {s.w_size(), DType::f32}, {s.w_size(), DType::f32}});
  Tensor workspace;
  on_gpu(bench.ctx, {"bench", {}}, [&](const auto& stream) {
    workspace = Tensor::empty(bench.ctx, {std::max<std::int64_t>(depthwise_workspace(stream, s), 1)});
  });
  // Each pass reads or writes both images once.
  const double bytes = static_cast<double>(s.x_size() + s.y_size()) * static_cast<double>(size_of(dtype));
  const auto row = [&](const char* pass, auto&& body) {
    if (!bench.wants(name(pass))) return;
    run({.name = name(pass),
         .bytes = bytes,
         .own =
             [&bench, t, s, dtype, workspace, body](std::int64_t i) {
               launch_on(bench.ctx, dtype, {"depthwise", {}},
                         [&]<class T>(const auto& stream, T) { body.template operator()<T>(stream, i); });
             },
         .yardstick = "copy",
         .other = device_copy(bench, bytes),
         .goal = 0.85});
  };
  row("fwd", [t, s]<class T>(const auto& stream, std::int64_t i) {
    depthwise_fwd(stream, s, t->at<T>(i, kX), t->at<Full<T>>(i, kW), t->at<T>(i, kY));
  });
  row("dgrad", [t, s]<class T>(const auto& stream, std::int64_t i) {
    depthwise_bwd_data(stream, s, t->at<T>(i, kY), t->at<Full<T>>(i, kW), t->at<T>(i, kX), Accum::overwrite);
  });
  row("wgrad", [t, s, workspace]<class T>(const auto& stream, std::int64_t i) {
    depthwise_bwd_weight(stream, s, t->at<T>(i, kX), t->at<T>(i, kY), t->at<Full<T>>(i, kDw), Accum::overwrite,
                         workspace.data<float>());
  });
}

void hardswish(const DeviceBench& bench, const Report& run, DType dtype, std::int64_t n) {
  const std::string name = fmt::format("hard-swish fwd+bwd {} {}", n, name_of(dtype));
  if (!bench.wants(name)) return;
  const auto t = std::make_shared<Operands>(bench, std::vector<Operands::Wanted>{{n, dtype}, {n, dtype}, {n, dtype}});
  const double array = static_cast<double>(n) * static_cast<double>(size_of(dtype));
  run({.name = name,
       .bytes = 5 * array,
       .own =
           [&bench, t, n, dtype](std::int64_t i) {
             launch_on(bench.ctx, dtype, {"activation", {}}, [&]<class T>(const auto& stream, T) {
               activation_fwd(stream, Activation::hardswish, n, t->at<T>(i, 0), t->at<T>(i, 1));
               activation_bwd(stream, Activation::hardswish, n, t->at<T>(i, 0), t->at<T>(i, 1), t->at<T>(i, 2),
                              Accum::overwrite);
             });
           },
       .yardstick = "copy",
       .other = device_copy(bench, 5 * array),
       .goal = 0.92});
}

}  // namespace

void bench_mobile(const DeviceBench& bench, const Report& run) {
  if (bench.quick) {
    for (const DType t : {DType::bf16, DType::f32})
      for (const std::int64_t stride : {1, 2}) depthwise(bench, run, t, {2, 9, 7, 24, 3, 3, stride, 1});
    hardswish(bench, run, DType::bf16, 1000);
    return;
  }
  depthwise(bench, run, DType::bf16, {128, 112, 112, 32, 3, 3, 1, 1});
  depthwise(bench, run, DType::bf16, {128, 112, 112, 96, 3, 3, 2, 1});
  depthwise(bench, run, DType::bf16, {128, 14, 14, 576, 3, 3, 1, 1});
  depthwise(bench, run, DType::bf16, {128, 14, 14, 672, 5, 5, 1, 2});
  depthwise(bench, run, DType::f32, {128, 28, 28, 192, 3, 3, 1, 1});
  hardswish(bench, run, DType::bf16, 128 * 56 * 56 * 64);
}

}  // namespace akin::bench
