// gemm and conv2d against cuBLASLt and cuDNN.
#include <memory>

#include "bench/device/harness.hpp"

namespace akin::bench {

namespace {

bool is_bf16(DType t) { return t == DType::bf16; }

void gemm(const DeviceBench& bench, const Report& run, const std::string& name, DType dtype, const GemmShape& s,
          double goal) {
  if (!bench.wants(name)) return;
  const auto t = std::make_shared<Operands>(
      bench,
      std::vector<Operands::Wanted>{{s.M * s.K, dtype}, {s.K * s.N, dtype}, {s.M * s.N, dtype}, {s.M * s.N, dtype}});
  Tensor workspace;
  launch_on(bench.ctx, dtype, {"gemm", {}}, [&]<class T>(const auto& stream, T) {
    const std::int64_t floats = gemm_workspace<T>(stream, s);
    if (floats > 0) workspace = Tensor::empty(bench.ctx, {floats});
  });
  Comparison c;
  c.name = name;
  c.flops = 2.0 * static_cast<double>(s.M) * static_cast<double>(s.N) * static_cast<double>(s.K);
  c.bytes = static_cast<double>(size_of(dtype)) * static_cast<double>(s.M * s.K + s.K * s.N + s.M * s.N);
  c.own = [&bench, t, s, dtype, workspace](std::int64_t i) {
    launch_on(bench.ctx, dtype, {"gemm", {}}, [&]<class T>(const auto& stream, T) {
      gemm(stream, s, 1.0, t->at<T>(i, 0), t->at<T>(i, 1), nullptr, t->at<T>(i, 2), Accum::overwrite,
           workspace.defined() ? workspace.data<float>() : nullptr);
    });
  };
  c.yardstick = "cuBLASLt";
  c.goal = goal;
  if (bench.vendor != nullptr) {
    c.other = [&bench, t, s, dtype](std::int64_t i) {
      bench.vendor->gemm({bench.ctx.stream->handle(), &bench.ctx.gpu->limits(), nullptr}, {.shape = s,
                                                                                           .in_bf16 = is_bf16(dtype),
                                                                                           .out_bf16 = is_bf16(dtype),
                                                                                           .a = t->get(i, 0).raw(),
                                                                                           .b = t->get(i, 1).raw(),
                                                                                           .c = t->get(i, 3).raw()});
    };
    c.difference = [own = c.own, other = c.other, t] {
      own(0);
      other(0);
      return relative_difference(t->get(0, 2), t->get(0, 3));
    };
    c.most = is_bf16(dtype) ? 1e-2 : 1e-4;
  }
  run(c);
}

void conv(const DeviceBench& bench, const Report& run, DType dtype, const Conv2dShape& s, ConvPass pass, double goal) {
  const char* const names[] = {"fprop", "dgrad", "wgrad"};
  Comparison c;
  c.name = fmt::format("conv {}x{} {}->{} @{}{} N={} {} {}", s.R, s.S, s.C, s.K, s.H, s.stride > 1 ? "/2" : "", s.N,
                       names[static_cast<int>(pass)], name_of(dtype));
  if (!bench.wants(c.name)) return;
  const auto t = std::make_shared<Operands>(
      bench, std::vector<Operands::Wanted>{{s.x_size(), dtype},
                                           {s.w_size(), dtype},
                                           {s.y_size(), dtype},
                                           {pass == ConvPass::weight ? s.w_size() : 1, DType::f32}});
  // The yardstick writes to a place of its own.
  const std::int64_t size = pass == ConvPass::forward ? s.y_size() : pass == ConvPass::data ? s.x_size() : s.w_size();
  const Tensor made = Tensor::empty(bench.ctx, {size}, dtype);
  Tensor workspace;
  if (pass == ConvPass::weight)
    launch_on(bench.ctx, dtype, {"conv2d", {}}, [&]<class T>(const auto& stream, T) {
      const std::int64_t floats = conv2d_weight_workspace<T>(stream, s);
      if (floats > 0) workspace = Tensor::empty(bench.ctx, {floats});
    });
  c.flops = 2.0 * static_cast<double>(s.y_size()) * static_cast<double>(s.R * s.S * s.C);
  c.bytes = static_cast<double>(size_of(dtype)) * static_cast<double>(s.x_size() + s.w_size() + s.y_size());
  c.own = [&bench, t, s, dtype, pass, workspace](std::int64_t i) {
    launch_on(bench.ctx, dtype, {"conv2d", {}}, [&]<class T>(const auto& stream, T) {
      T *x = t->at<T>(i, 0), *w = t->at<T>(i, 1), *y = t->at<T>(i, 2);
      if (pass == ConvPass::forward) return conv2d_fwd(stream, s, x, w, y);
      if (pass == ConvPass::data) return conv2d_bwd_data(stream, s, y, w, x, Accum::overwrite, nullptr);
      conv2d_bwd_weight(stream, s, x, y, t->at<Full<T>>(i, 3), Accum::overwrite,
                        workspace.defined() ? workspace.data<float>() : nullptr);
    });
  };
  c.yardstick = "cuDNN";
  c.goal = goal;
  if (bench.vendor != nullptr) {
    c.other = [&bench, t, s, dtype, pass, made](std::int64_t i) {
      const auto pick = [&](ConvPass makes, std::size_t array) {
        return pass == makes ? made.raw() : t->get(i, array).raw();
      };
      bench.vendor->conv2d({bench.ctx.stream->handle(), &bench.ctx.gpu->limits(), nullptr},
                           {.shape = s,
                            .pass = pass,
                            .bf16 = is_bf16(dtype),
                            .x = pick(ConvPass::data, 0),
                            .w = pick(ConvPass::weight, 1),
                            .y = pick(ConvPass::forward, 2)});
    };
    c.difference = [own = c.own, other = c.other, t, made, pass] {
      own(0);
      other(0);
      return relative_difference(t->get(0, pass == ConvPass::forward ? 2 : pass == ConvPass::data ? 0 : 3), made);
    };
    c.most = is_bf16(dtype) ? 1e-2 : 1e-4;
  }
  run(c);
}

}  // namespace

void bench_gemm(const DeviceBench& bench, const Report& run) {
  if (bench.quick) {
    for (const DType t : {DType::bf16, DType::f32})
      gemm(bench, run, fmt::format("gemm 64x72x40 {}", name_of(t)), t, {64, 72, 40, Trans::no, Trans::yes}, 0);
    return;
  }
  gemm(bench, run, "gemm 4096^3 bf16", DType::bf16, {4096, 4096, 4096, Trans::no, Trans::yes}, 1.03);
  gemm(bench, run, "gemm 8192^3 bf16", DType::bf16, {8192, 8192, 8192, Trans::no, Trans::yes}, 1.00);
  gemm(bench, run, "gemm 4096^3 f32", DType::f32, {4096, 4096, 4096, Trans::no, Trans::yes}, 0);
}

void bench_conv2d(const DeviceBench& bench, const Report& run) {
  const ConvPass passes[] = {ConvPass::forward, ConvPass::data, ConvPass::weight};
  if (bench.quick) {
    for (const ConvPass pass : passes)
      for (const DType t : {DType::bf16, DType::f32})
        for (const std::int64_t k : {16, 24}) conv(bench, run, t, {2, 6, 6, 16, k, 3, 3, 1, 1}, pass, 0);
    return;
  }
  // The 3x3 layers of ResNet-50 at 224 x 224.
  for (const auto& [channels, side, goal] : {std::tuple{64, 56, 1.2}, {128, 28, 1.0}, {256, 14, 1.0}})
    for (const ConvPass pass : passes)
      conv(bench, run, DType::bf16, {256, side, side, channels, channels, 3, 3, 1, 1}, pass, goal);
  // Those of ResNet-20 at 32 x 32.
  for (const Conv2dShape& s : {Conv2dShape{1024, 32, 32, 3, 16, 3, 3, 1, 1},
                               {1024, 32, 32, 16, 16, 3, 3, 1, 1},
                               {1024, 32, 32, 16, 32, 3, 3, 2, 1},
                               {1024, 16, 16, 32, 32, 3, 3, 1, 1},
                               {1024, 8, 8, 64, 64, 3, 3, 1, 1}})
    for (const ConvPass pass : passes)
      if (s.C > 3 || pass != ConvPass::data) conv(bench, run, DType::bf16, s, pass, 1.2);
  conv(bench, run, DType::bf16, {256, 56, 56, 128, 128, 3, 3, 2, 1}, ConvPass::data, 1.15);
  conv(bench, run, DType::bf16, {256, 56, 56, 256, 64, 1, 1, 1, 0}, ConvPass::forward, 1.0);
  for (const ConvPass pass : passes) conv(bench, run, DType::f32, {64, 28, 28, 128, 128, 3, 3, 1, 1}, pass, 0);
}

}  // namespace akin::bench
