// Kernels that move bytes, against a device copy of as many bytes; and PARC, whose goal is a time.
#include <memory>

#include "bench/device/harness.hpp"
#include "engine/ops.hpp"
#include "kernels/batchnorm.hpp"
#include "kernels/common/rng.hpp"
#include "kernels/elementwise.hpp"
#include "kernels/gram.hpp"
#include "kernels/optim.hpp"
#include "kernels/rank.hpp"
#include "kernels/softmax_ce.hpp"

namespace akin::bench {

namespace {

void against_copy(const DeviceBench& bench, const Report& run, const std::string& name, double bytes, double goal,
                  Call own) {
  if (!bench.wants(name)) return;
  run({.name = name,
       .bytes = bytes,
       .own = std::move(own),
       .yardstick = "copy",
       .other = device_copy(bench, bytes),
       .goal = goal});
}

template <class T>
T* in_bytes(const Tensor& t) {
  return reinterpret_cast<T*>(t.raw());
}

void batchnorm(const DeviceBench& bench, const Report& run, DType dtype, std::int64_t M, std::int64_t C,
               bool residual) {
  enum : std::size_t { kX, kResidual, kY, kDy, kDx, kGamma, kBeta, kMean, kVar, kSaved, kInvstd, kDgamma, kDbeta };
  const std::int64_t n = M * C;
  const std::string what = fmt::format("{}x{} {}{}", M, C, name_of(dtype), residual ? " +residual" : "");
  const std::string forward = "batchnorm+ReLU fwd " + what, backward = "batchnorm+ReLU bwd " + what;
  if (const bool fwd = bench.wants(forward), bwd = bench.wants(backward); !fwd && !bwd) return;
  std::vector<Operands::Wanted> arrays{{n, dtype}, {residual ? n : 1, dtype}, {n, dtype}, {n, dtype}, {n, dtype}};
  for (int i = 0; i < 8; ++i) arrays.push_back({C, DType::f32});
  const auto t = std::make_shared<Operands>(bench, arrays);
  const BatchNormShape s{M, C, true, Activation::relu, 1e-5, 0.1};
  Tensor scratch;
  on_gpu(bench.ctx, {"bench", {}}, [&](const auto& stream) {
    scratch = Tensor::empty(bench.ctx, {std::max<std::int64_t>(batchnorm_scratch(stream, s), 1)});
  });
  const double array = static_cast<double>(n) * static_cast<double>(size_of(dtype));
  against_copy(bench, run, forward, (residual ? 4 : 3) * array, 0.92,
               [&bench, t, s, dtype, residual, scratch](std::int64_t i) {
                 launch_on(bench.ctx, dtype, {"batchnorm", {}}, [&]<class T>(const auto& stream, T) {
                   const auto f = [&](std::size_t k) { return t->at<Full<T>>(i, k); };
                   batchnorm_fwd(stream, s,
                                 BatchNormForward<T>{.x = t->at<T>(i, kX),
                                                     .gamma = f(kGamma),
                                                     .beta = f(kBeta),
                                                     .residual = residual ? t->at<T>(i, kResidual) : nullptr,
                                                     .running_mean = f(kMean),
                                                     .running_var = f(kVar),
                                                     .mean = f(kSaved),
                                                     .invstd = f(kInvstd),
                                                     .y = t->at<T>(i, kY)},
                                 scratch.data<float>());
                 });
               });
  // Reads x and dy twice (y where there is a residual, whose gradient is written), writes dx.
  against_copy(bench, run, backward, (residual ? 7 : 5) * array, 0.92,
               [&bench, t, s, dtype, residual, scratch](std::int64_t i) {
                 launch_on(bench.ctx, dtype, {"batchnorm", {}}, [&]<class T>(const auto& stream, T) {
                   const auto f = [&](std::size_t k) { return t->at<Full<T>>(i, k); };
                   BatchNormBackward<T> b;
                   b.x = t->at<T>(i, kX);
                   b.y = t->at<T>(i, kY);
                   b.dy = t->at<T>(i, kDy);
                   b.gamma = f(kGamma);
                   b.mean = f(kSaved);
                   b.invstd = f(kInvstd);
                   b.dx = t->at<T>(i, kDx);
                   b.dresidual = residual ? t->at<T>(i, kResidual) : nullptr;
                   b.dgamma = f(kDgamma);
                   b.dbeta = f(kDbeta);
                   if (!residual) b.beta = f(kBeta);
                   batchnorm_bwd(stream, s, b, scratch.data<float>());
                 });
               });
}

void add(const DeviceBench& bench, const Report& run, DType dtype, std::int64_t n) {
  const std::string name = fmt::format("add {} {}", n, name_of(dtype));
  if (!bench.wants(name)) return;
  const auto t = std::make_shared<Operands>(bench, std::vector<Operands::Wanted>{{n, dtype}, {n, dtype}, {n, dtype}});
  against_copy(bench, run, name, 3.0 * static_cast<double>(n) * static_cast<double>(size_of(dtype)), 0.92,
               [&bench, t, n, dtype](std::int64_t i) {
                 launch_on(bench.ctx, dtype, {"add", {}}, [&]<class T>(const auto& stream, T) {
                   add(stream, n, t->at<T>(i, 0), t->at<T>(i, 1), t->at<T>(i, 2));
                 });
               });
}

void sgd(const DeviceBench& bench, const Report& run, std::int64_t n) {
  const std::string name = fmt::format("sgd, momentum, bf16 copy: {}", n);
  if (!bench.wants(name)) return;
  const auto t = std::make_shared<Operands>(
      bench, std::vector<Operands::Wanted>{{n, DType::f32}, {n, DType::f32}, {n, DType::f32}, {n, DType::bf16}});
  const Tensor params = Tensor::empty(bench.ctx, {sizeof(OptimParams)}, DType::u8),
               range = Tensor::empty(bench.ctx, {sizeof(OptimRange)}, DType::u8);
  const OptimRange all{0, n, 5e-4};
  range.copy_from(&all);
  on_gpu(bench.ctx, {"bench", {}}, [&](const auto& stream) {
    set_params(stream, optim_params(SgdStep{.lr = 1e-6, .momentum = 0.9}), in_bytes<OptimParams>(params));
  });
  // Reads p, g, m and writes p, m and the bf16 copy.
  against_copy(bench, run, name, 22.0 * static_cast<double>(n), 0.90, [&bench, t, n, params, range](std::int64_t i) {
    on_gpu(bench.ctx, {"bench", {}}, [&](const auto& stream) {
      sgd_step(stream, n, in_bytes<OptimParams>(params), 0.9, false, GradClip{}, in_bytes<OptimRange>(range), 1,
               t->at<float>(i, 0), t->at<float>(i, 1), t->at<float>(i, 2), t->at<bf16>(i, 3));
    });
  });
}

}  // namespace

void bench_rows(const DeviceBench& bench, const Report& run) {
  if (bench.quick) {
    for (const DType t : {DType::bf16, DType::f32})
      for (const bool residual : {false, true}) batchnorm(bench, run, t, 33, 16, residual);
    add(bench, run, DType::bf16, 1000);
    sgd(bench, run, 1000);
    return;
  }
  batchnorm(bench, run, DType::bf16, 256 * 56 * 56, 64, false);
  batchnorm(bench, run, DType::bf16, 256 * 56 * 56, 256, true);
  batchnorm(bench, run, DType::bf16, 256 * 14 * 14, 1024, true);
  batchnorm(bench, run, DType::bf16, 1024 * 32 * 32, 16, false);
  batchnorm(bench, run, DType::f32, 128 * 32 * 32, 64, false);
  add(bench, run, DType::bf16, 1 << 27);
  sgd(bench, run, 25'557'032);  // ResNet-50
}

void bench_losses(const DeviceBench& bench, const Report& run) {
  const std::int64_t B = bench.quick ? 8 : 256, C = bench.quick ? 10 : 1000, S = bench.quick ? 3 : 28;
  const double one = static_cast<double>(B * C);
  const std::string ce = fmt::format("softmax_ce fwd+bwd {}x{}", B, C),
                    kd = fmt::format("kd_multi, {} sources of {} classes, batch {}, loss and gradient", S, C, B);
  if (const bool first = bench.wants(ce), second = bench.wants(kd); !first && !second) return;
  const auto t = std::make_shared<Operands>(
      bench, std::vector<Operands::Wanted>{{B * C, DType::f32}, {B * C, DType::f32}, {B, DType::f32}, {B, DType::f32}});
  std::vector<std::int64_t> classes(static_cast<std::size_t>(B));
  Rng rng(5);
  for (auto& c : classes) c = rng.below(static_cast<std::uint32_t>(C));
  const Tensor target = Tensor::from(bench.ctx, Array::from(classes, {B}));
  against_copy(bench, run, ce, 3 * 4 * one, 0.85, [&bench, t, target, B, C](std::int64_t i) {
    on_gpu(bench.ctx, {"bench", {}}, [&](const auto& stream) {
      const auto* at = target.data<std::int64_t>();
      softmax_ce_fwd(stream, B, C, t->at<float>(i, 0), at, nullptr, t->at<float>(i, 2));
      softmax_ce_bwd(stream, B, C, t->at<float>(i, 0), at, nullptr, t->at<float>(i, 3), t->at<float>(i, 1),
                     Accum::overwrite);
    });
  });
  // All sources in one pass: reads both logits, writes the gradient.
  const auto logits = std::make_shared<Operands>(
      bench, std::vector<Operands::Wanted>{{B * C * S, DType::f32}, {B * C * S, DType::f32}});
  ops::KdSources sources;
  for (std::int64_t s = 0; s <= S; ++s) sources.offsets.push_back(s * C);
  sources.alpha.assign(static_cast<std::size_t>(S), 1.0 / static_cast<double>(S));
  against_copy(bench, run, kd, 3 * 4 * one * static_cast<double>(S), 0.85,
               [&bench, logits, sources, B, C, S](std::int64_t i) {
                 Tensor student = logits->get(i, 0).view({B, S * C});
                 student.set_requires_grad(true);
                 Tape tape;
                 const TapeScope scope(bench.ctx, &tape);
                 ops::kd_multi(bench.ctx, student, logits->get(i, 1).view({B, S * C}), sources);
               });
}

void bench_parc(const DeviceBench& bench, const Report& run) {
  const std::int64_t n = bench.quick ? 20 : 500, d = bench.quick ? 16 : 2048, S = bench.quick ? 2 : 28;
  const std::int64_t pairs = n * (n - 1) / 2;
  Comparison c;
  c.name = fmt::format("PARC, n={}, d={}, {} sources", n, d, S);
  if (!bench.wants(c.name)) return;
  const auto t = std::make_shared<Operands>(bench, std::vector<Operands::Wanted>{{S * n * d, DType::f32}});
  const auto bytes = [&](std::size_t count) {
    return Tensor::empty(bench.ctx, {static_cast<std::int64_t>(count)}, DType::u8);
  };
  const auto size = [](std::int64_t count, std::size_t element) { return static_cast<std::size_t>(count) * element; };
  const MatrixBatch batch = matrix_batch(n, std::vector<std::int64_t>(static_cast<std::size_t>(S), d));
  const Tensor columns = bytes(size(columns_scratch(n, S * d), 8)), z = bytes(size(S * n * d, 8)),
               g = bytes(size(S * n * n, 8)), flat = bytes(size(S, 4)), labels = bytes(size(n, 4)),
               keys = bytes(size(S * pairs, 8)), scratch = bytes(pair_scratch_bytes(S, pairs)),
               sums = bytes(size(S, sizeof(RankSums)));
  std::vector<std::int32_t> classes(static_cast<std::size_t>(n));
  Rng rng(5);
  for (auto& k : classes) k = static_cast<std::int32_t>(rng.below(10));
  labels.copy_from(classes.data());
  flat.set_zero();
  c.flops = static_cast<double>(S) * static_cast<double>(n * n) * static_cast<double>(d);
  c.goal_ms = 1;
  c.own = [=, &bench](std::int64_t i) {
    on_gpu(bench.ctx, {"bench", {}}, [&](const auto& stream) {
      const auto elements = static_cast<std::size_t>(S * n * d);
      const std::span<double> scaled(in_bytes<double>(z), elements);
      standardise_batch<float>(stream, batch, {t->at<float>(i, 0), elements}, scaled, in_bytes<double>(columns),
                               in_bytes<std::int32_t>(flat));
      gram_batch(stream, batch, scaled, {in_bytes<double>(g), static_cast<std::size_t>(S * n * n)});
      auto* key = in_bytes<std::uint64_t>(keys);
      auto* sum = in_bytes<RankSums>(sums);
      clear_sums(stream, S, sum);
      pair_keys(stream, S, in_bytes<double>(g), 0, n, n, in_bytes<std::int32_t>(labels), key, sum);
      spearman_of_pairs(stream, S, pairs, key, scratch.raw(), sum);
    });
  };
  run(c);
}

}  // namespace akin::bench
