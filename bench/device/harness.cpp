#include "bench/device/harness.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>

#include "bench/result_file.hpp"
#include "kernels/common/rng.hpp"

namespace akin::bench {

namespace {

constexpr std::int64_t kNoise = 1 << 20;

/// `kNoise` random elements on the device.
Tensor noise(Context& ctx, DType dtype) {
  std::vector<float> values(static_cast<std::size_t>(kNoise));
  Rng rng(1);
  for (float& v : values) v = rng.uniform(-1, 1);
  return Tensor::from(ctx, Array::from(values, {kNoise}).cast(dtype));
}

void fill(Context& ctx, const Tensor& to, const Tensor& from, std::int64_t start) {
  const std::int64_t n = to.numel(), size = static_cast<std::int64_t>(size_of(to.dtype()));
  for (std::int64_t at = 0; at < n;) {
    const std::int64_t first = (start + at) % kNoise, count = std::min(n - at, kNoise - first);
    ctx.stream->copy(to.raw() + at * size, from.raw() + first * size, static_cast<std::size_t>(count * size));
    at += count;
  }
}

/// A number of calls as one piece of work.
class Work {
 public:
  Work(const DeviceBench& bench, const Call& call) : bench_(bench), call_(call) {
    for (int i = 0; i < 2; ++i) call_(i);  // workspaces, plans, memory pools
    double ms = time([&] { call_(0); });
    ms = std::max(time([&] { call_(1); }), 1e-4);
    calls_ = bench.quick ? 2 : std::clamp<std::int64_t>(static_cast<std::int64_t>(bench.milliseconds / ms), 1, 256);
    bench_.ctx.stream->begin_capture();
    try {
      repeat();
      graph_ = bench_.ctx.stream->end_capture();
    } catch (const Error&) {
      try {
        bench_.ctx.stream->end_capture();
      } catch (const Error&) {  // this work is no graph; it is queued call by call
      }
    }
    run();
  }
  bool graph() const { return graph_ != nullptr; }
  /// Microseconds a call.
  double run() {
    const double ms = time([&] { graph_ ? bench_.ctx.stream->launch(*graph_) : repeat(); });
    return 1e3 * ms / static_cast<double>(calls_);
  }

 private:
  void repeat() {
    for (std::int64_t i = 0; i < calls_; ++i) call_(i);
  }
  template <class Body>
  double time(Body&& body) {
    GpuStream& stream = *bench_.ctx.stream;
    const auto begin = stream.record();
    body();
    const auto end = stream.record();
    end->synchronize();
    return end->milliseconds_since(*begin);
  }
  const DeviceBench& bench_;
  const Call& call_;
  std::int64_t calls_ = 1;
  std::unique_ptr<GpuGraph> graph_;
};

}  // namespace

Operands::Operands(const DeviceBench& bench, const std::vector<Wanted>& arrays) {
  std::size_t bytes = 0;
  for (const Wanted& w : arrays) bytes += static_cast<std::size_t>(w.elements) * size_of(w.dtype);
  const std::size_t copies = bench.quick ? 2 : std::clamp<std::size_t>(2 * bench.l2_bytes / bytes + 1, 2, 4096);
  std::int64_t start = 0;
  std::vector<Tensor> sources;
  for (const Wanted& w : arrays) sources.push_back(noise(bench.ctx, w.dtype));
  for (std::size_t k = 0; k < copies; ++k) {
    std::vector<Tensor>& set = sets_.emplace_back();
    for (std::size_t i = 0; i < arrays.size(); ++i) {
      set.push_back(Tensor::empty(bench.ctx, {arrays[i].elements}, arrays[i].dtype));
      fill(bench.ctx, set.back(), sources[i], start += 7919);
    }
  }
  bench.ctx.stream->synchronize();
}

RoundStats stats_of(const std::vector<double>& values) {
  if (values.empty()) return {};
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  return {median(values), *low, *high};
}

double relative_difference(const Tensor& a, const Tensor& b) {
  constexpr std::int64_t kPieces = 64, kPiece = 1 << 14;  // enough to tell a wrong kernel; a second less on the host
  const std::int64_t n = b.numel(), pieces = n > kPieces * kPiece ? kPieces : 1, each = pieces > 1 ? kPiece : n;
  double apart = 0, size = 0;
  for (std::int64_t p = 0; p < pieces; ++p) {
    const std::int64_t from = pieces > 1 ? p * (n - each) / (pieces - 1) : 0;  // the first, the last, and between
    const Array x = a.view({each}, from).to_array().cast(DType::f32),
                y = b.view({each}, from).to_array().cast(DType::f32);
    for (std::size_t i = 0; i < y.as<float>().size(); ++i) {
      const double u = double{x.as<float>()[i]}, v = double{y.as<float>()[i]};
      apart += (u - v) * (u - v);
      size += v * v;
    }
  }
  const double d = std::sqrt(apart / size);
  return std::isfinite(d) ? d : std::numeric_limits<double>::infinity();
}

Call device_copy(const DeviceBench& bench, double bytes) {
  const auto half = static_cast<std::int64_t>(bytes / 2);
  auto operands = std::make_shared<Operands>(
      bench, std::vector<Operands::Wanted>{{(half + 3) / 4, DType::f32}, {(half + 3) / 4, DType::f32}});
  return [&bench, operands, half](std::int64_t i) {
    bench.ctx.stream->copy(operands->get(i, 1).raw(), operands->get(i, 0).raw(), static_cast<std::size_t>(half));
  };
}

Result compare(const DeviceBench& bench, const Comparison& c) {
  Result r{.name = c.name,
           .yardstick = c.other ? c.yardstick : "",
           .flops = c.flops,
           .bytes = c.bytes,
           .goal = c.other && !bench.quick ? c.goal : 0,
           .goal_ms = bench.quick ? 0 : c.goal_ms,
           .own_us = {},
           .other_us = {},
           .ratio = {},
           .own_rounds = {},
           .error = {}};
  try {
    if (c.other && c.difference) {
      r.difference = c.difference();
      AKIN_CHECK(r.difference <= c.most, "the results differ by {:.3g} of their size (at most {:.3g})", r.difference,
                 c.most);
    }
    Work own(bench, c.own);
    std::unique_ptr<Work> other = c.other ? std::make_unique<Work>(bench, c.other) : nullptr;
    r.graph = own.graph() && (other == nullptr || other->graph());
    std::vector<double> a, b, ratio;
    for (int round = 0; round < (bench.quick ? 2 : bench.rounds); ++round) {
      const bool first = round % 2 == 0;  // the sides take turns at going first
      double own_us = 0, other_us = 0;
      if (first) own_us = own.run();
      if (other) other_us = other->run();
      if (!first) own_us = own.run();
      a.push_back(own_us);
      if (!other) continue;
      b.push_back(other_us);
      ratio.push_back(other_us / own_us);
    }
    r.own_us = stats_of(a);
    r.own_rounds = a;
    r.other_us = stats_of(b);
    r.ratio = stats_of(ratio);
  } catch (const Error& e) {
    r.error = e.what();
  }
  return r;
}

}  // namespace akin::bench
