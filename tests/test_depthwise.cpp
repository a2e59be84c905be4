#include "kernels/depthwise.hpp"

#include <doctest/doctest.h>

#include <algorithm>

#include "engine/launch_on.hpp"
#include "tests/moments_case.hpp"
#include "tests/window_case.hpp"

using namespace akin;
using namespace akin::test;

namespace {

/// Every input pixel is scattered into the outputs that see it; the kernels gather.
Values scatter(const DepthwiseShape& s, const Values& x, const Values& w) {
  std::vector<long double> y(at(s.y_size()), 0.0L);
  scatter_pixels(s, [&](std::int64_t from, std::int64_t to, std::int64_t tap) {
    for (std::int64_t c = 0; c < s.C; ++c)
      y[at(to * s.C + c)] += static_cast<long double>(x[at(from * s.C + c)]) * w[at(c * s.R * s.S + tap)];
  });
  return {y.begin(), y.end()};
}

OpCase make(const DepthwiseShape& s) {
  return {.name = fmt::format("depthwise {}x{}x{}x{} * {}x{} /{} pad {}, {}", s.N, s.H, s.W, s.C, s.R, s.S, s.stride,
                              s.pad, s.pad_end),
          .inputs = {{s.N, s.H, s.W, s.C}, {s.C, s.R, s.S, 1}},
          .run =
              [=](Context& ctx, const std::vector<Tensor>& x) {
                return ops::depthwise_conv2d(ctx, x[0], x[1], s.stride, s.pad, s.pad_end);
              },
          .reference = [=](const std::vector<Values>& in) { return scatter(s, in[0], in[1]); },
          .depth = static_cast<double>(s.R * s.S),
          .grad_depth = static_cast<double>(std::max(s.R * s.S, s.N * s.P() * s.Q())),
          .adjust = [=](std::vector<Values>& in) { one_signed_end(s, s.R * s.S, in); },
          .parameters = {1}};
}

std::vector<OpCase> cases() {
  std::vector<OpCase> out;
  // N, H, W, C, R, S, stride, pad, pad_end
  for (const DepthwiseShape& s : {
           DepthwiseShape{1, 1, 1, 1, 1, 1, 1, 0},
           {1, 1, 1, 3, 3, 3, 1, 1},
           {2, 5, 7, 7, 3, 3, 1, 1},
           {1, 7, 5, 8, 3, 3, 2, 1},
           {2, 8, 6, 16, 3, 3, 2, 0, 1},  // TensorFlow's SAME
           {1, 9, 11, 24, 5, 5, 1, 2},
           {1, 10, 9, 8, 5, 5, 2, 2},
           {1, 8, 10, 8, 5, 5, 2, 1, 2},
           {2, 6, 9, 33, 3, 3, 1, 1},
           {1, 7, 7, 257, 3, 3, 2, 1},
           {1, 9, 8, 10, 5, 3, 3, 2},
           {2, 4, 4, 64, 3, 3, 1, 1},
           {1, 15, 14, 16, 7, 7, 2, 3},
           {1, 5, 4, 8, 3, 3, 1, 0},
           {1, 6, 6, 8, 2, 2, 2, 0},
           {1, 4, 5, 272, 3, 3, 1, 1},
           {3, 17, 19, 8, 3, 3, 1, 1},
           {2, 13, 13, 16, 5, 5, 1, 2, 3},
           {1, 3, 3, 8, 1, 1, 2, 0},
           {1, 1, 1, 8, 3, 3, 1, 1},  // one patch, of which one output is real
           {1, 7, 10, 8, 3, 3, 1, 1},
           {1, 10, 7, 24, 3, 3, 2, 1},
           {1, 1, 31, 8, 3, 3, 2, 1},
           {1, 33, 1, 8, 3, 3, 1, 1},
           {1, 10, 7, 8, 5, 5, 1, 2},
           {1, 7, 10, 8, 5, 5, 2, 2},
           {1, 6, 8, 8, 3, 3, 2, 0},  // no output sees the last row and column
       })
    out.push_back(make(s));
  return out;
}

}  // namespace

TEST_CASE("depthwise: match, gradcheck, mutants") { AKIN_TEST_OP(cases()); }

TEST_CASE("depthwise: outputs that see nothing but padding are zero") {
  for (const OpCase& c :
       {make({1, 5, 5, 8, 3, 3, 4, 3}), make({2, 4, 3, 7, 1, 1, 1, 1}), make({1, 3, 4, 8, 5, 5, 1, 7})}) {
    CHECK_EQ(match(c), "");
    CHECK_EQ(gradcheck(c), "");
  }
}

TEST_CASE("depthwise: the same bits on any number of threads") {
  const std::vector<OpCase> some{make({5, 14, 14, 16, 3, 3, 2, 1}), make({3, 9, 9, 24, 5, 5, 1, 2})};
  AKIN_TEST_THREADS(some);
}

TEST_CASE("depthwise: the weights of the neighbouring channel, and transposed or reversed taps, are rejected") {
  const DepthwiseShape s{2, 5, 6, 8, 3, 3, 1, 1};
  for (const char* taps : {"neighbour's", "transposed", "reversed"}) {
    CAPTURE(taps);
    const auto source = [&](std::size_t i) {
      if (taps[0] == 't') return i / 9 * 9 + i % 3 * 3 + i % 9 / 3;
      return taps[0] == 'r' ? i / 9 * 9 + 8 - i % 9 : i + 9;
    };
    OpCase wrong = make(s);
    wrong.differentiable = false;
    wrong.run = [=](Context& ctx, const std::vector<Tensor>& x) {
      const Array from = x[1].to_array().cast(DType::f64);
      std::vector<double> w(from.as<double>().begin(), from.as<double>().end()), moved(w.size());
      for (std::size_t i = 0; i < w.size(); ++i) moved[i] = w[source(i) % w.size()];
      return ops::depthwise_conv2d(ctx, x[0], Tensor::from(ctx, Array::from(moved, {8, 3, 3, 1}).cast(x[1].dtype())), 1,
                                   1);
    };
    CHECK_NE(match(wrong), "");
  }
}

TEST_CASE("depthwise: weight gradients have the same bits for any number of threads; of an empty batch they are zero") {
  const DepthwiseShape s{6, 18, 18, 24, 3, 3, 1, 1};
  const std::vector<Array> in = make_inputs(make(s), 5);
  const Array x = in[0].cast(DType::f32);
  const std::vector<float> dy(at(s.y_size()), 0.1f);
  std::vector<float> one(at(s.w_size()), NAN), two = one;
  {
    const Threads threads(1);
    depthwise_bwd_weight(kFast, s, x.as<float>().data(), dy.data(), one.data(), Accum::overwrite, nullptr);
  }
  const Threads threads(2);
  depthwise_bwd_weight(kFast, s, x.as<float>().data(), dy.data(), two.data(), Accum::overwrite, nullptr);
  CHECK(one == two);
  std::vector<Device> devices = gpu_devices();
  devices.push_back(Device::cpu);
  for (const Device device : devices) {
    Context ctx(device, {.poison = true});
    Tensor weight = Tensor::zeros(ctx, {16, 3, 3, 1});
    weight.set_requires_grad(true);
    Tape tape;
    const TapeScope scope(ctx, &tape);
    tape.backward(ctx, ops::sum(ctx, ops::depthwise_conv2d(ctx, Tensor::zeros(ctx, {0, 8, 8, 16}), weight, 1, 1)));
    const Array g = weight.grad().to_array();
    for (const float v : g.as<float>()) CHECK_EQ(v, 0.0f);
  }
}

TEST_CASE("depthwise: NaN reaches the windows that see it, in its own channel alone") {
  std::vector<Device> devices = gpu_devices();
  devices.push_back(Device::cpu);
  for (const Device device : devices) {
    Context ctx(device);
    std::vector<float> x(7 * 7 * 16, 0.0f);
    x[(3 * 7 + 3) * 16 + 5] = NAN;
    const Tensor w = Tensor::from(ctx, std::vector<float>(16 * 9, 0.5f), {16, 3, 3, 1});
    const Array y = ops::depthwise_conv2d(ctx, Tensor::from(ctx, x, {1, 7, 7, 16}), w, 1, 1).to_array();
    for (std::int64_t p = 0; p < 7; ++p)
      for (std::int64_t q = 0; q < 7; ++q)
        for (std::int64_t c = 0; c < 16; ++c) {
          const bool sees = std::abs(p - 3) <= 1 && std::abs(q - 3) <= 1 && c == 5;
          CHECK_EQ(std::isnan(y.as<float>()[at((p * 7 + q) * 16 + c)]), sees);
        }
  }
}

TEST_CASE("depthwise: a NaN of a pixel that no output sees changes nothing") {
  std::vector<Device> devices = gpu_devices();
  devices.push_back(Device::cpu);
  for (const Device device : devices) {
    Context ctx(device);
    std::vector<float> x(8 * 8 * 8, 1.0f);
    for (std::size_t i = 0; i < x.size(); ++i)
      if (i / 8 / 8 == 7 || i / 8 % 8 == 7) x[i] = NAN;
    Tensor w = Tensor::from(ctx, std::vector<float>(8 * 9, 0.5f), {8, 3, 3, 1});
    w.set_requires_grad(true);
    Tape tape;
    const TapeScope scope(ctx, &tape);
    const Tensor y = ops::depthwise_conv2d(ctx, Tensor::from(ctx, x, {1, 8, 8, 8}), w, 2, 0);  // 3 x 3 outputs
    const Array out = y.to_array();
    for (const float v : out.as<float>()) CHECK_EQ(v, 4.5f);
    tape.backward(ctx, ops::sum(ctx, y));
    const Array g = w.grad().to_array();
    for (const float v : g.as<float>()) CHECK_EQ(v, 9.0f);
  }
}

TEST_CASE("depthwise: unaligned memory and launches on a device") {
  const DepthwiseShape s{1, 6, 7, 16, 3, 3, 1, 1};
  OpCase late = make(s);
  late.inputs[0] = {s.x_size() + 1};
  late.adjust = {};
  late.run = [s](Context& ctx, const std::vector<Tensor>& x) {
    const Tensor image = ops::reshape(ctx, ops::rows(ctx, x[0], 1, s.x_size() + 1), {s.N, s.H, s.W, s.C});
    return ops::depthwise_conv2d(ctx, image, x[1], s.stride, s.pad);
  };
  late.reference = [s](const std::vector<Values>& x) { return scatter(s, Values(x[0].begin() + 1, x[0].end()), x[1]); };
  CHECK_EQ(match(late), "");
  LaunchLog log;
  Context ctx(Device::sim, {.poison = true});
  Tensor x = Tensor::zeros(ctx, {2, 9, 9, 16}), w = Tensor::zeros(ctx, {16, 3, 3, 1});
  x.set_requires_grad(true);
  w.set_requires_grad(true);
  Tape tape;
  const TapeScope scope(ctx, &tape);
  ctx.launches = &log;
  const Tensor y = ops::depthwise_conv2d(ctx, x, w, 2, 1);
  CHECK_EQ(log.size(), 1);
  ctx.launches = nullptr;
  const Tensor loss = ops::sum(ctx, y);
  ctx.launches = &log;
  log.clear();
  tape.backward(ctx, loss);
  CHECK_EQ(log.size(), 2 + 3);  // the gradients of the loss and of the sum, dx, and dw in two
}

namespace {

/// y, dx and dw of a device with one multiprocessor, whose threads make many strips each, against the specification.
template <class T>
std::string on_one_multiprocessor(Device device, const DepthwiseShape& s, Accum mode) {
  Rng rng(4);
  const auto numbers = [&](std::int64_t n) {
    std::vector<double> v;
    for (std::int64_t i = 0; i < n; ++i) v.push_back(double{bf16_to_float(float_to_bf16(rng.uniform(-1, 1)))});
    return v;
  };
  const Values x = numbers(s.x_size()), w = numbers(s.w_size()), dy = numbers(s.y_size());
  const Values old_x = numbers(s.x_size()), old_w = numbers(s.w_size());
  Values y(at(s.y_size())), dx = old_x, dw = old_w;
  depthwise_fwd(kSpec, s, x.data(), w.data(), y.data());
  depthwise_bwd_data(kSpec, s, dy.data(), w.data(), dx.data(), mode);
  depthwise_bwd_weight(kSpec, s, x.data(), dy.data(), dw.data(), mode, nullptr);
  Context ctx(device, {.poison = true});
  const auto tensor = [&](const Values& v, DType dtype) {
    return Tensor::from(ctx, Array::from(v, {static_cast<std::int64_t>(v.size())}).cast(dtype));
  };
  constexpr DType type = dtype_of<T>();
  const Tensor tx = tensor(x, type), tdy = tensor(dy, type), tw = tensor(w, DType::f32);
  const Tensor ty = Tensor::empty(ctx, {s.y_size()}, type), tdx = tensor(old_x, type), tdw = tensor(old_w, DType::f32);
  on_gpu(ctx, {"test", {}}, [&](auto stream) {
    GpuLimits limits = *stream.limits;
    limits.multiprocessors = 1;
    stream.limits = &limits;
    const Tensor workspace = Tensor::empty(ctx, {depthwise_workspace(stream, s)});
    depthwise_fwd(stream, s, tx.data<T>(), tw.data<float>(), ty.data<T>());
    depthwise_bwd_data(stream, s, tdy.data<T>(), tw.data<float>(), tdx.data<T>(), mode);
    depthwise_bwd_weight(stream, s, tx.data<T>(), tdy.data<T>(), tdw.data<float>(), mode, workspace.data<float>());
  });
  const auto tolerance = [](std::int64_t terms, DType dtype) {  // as in op_case
    return 4 * double{std::numeric_limits<float>::epsilon()} * std::sqrt(static_cast<double>(terms)) +
           (dtype == DType::bf16 ? 0x1p-7 : 0.0);
  };
  std::string p = compare("y", to_values(ty), y, tolerance(s.R * s.S, type));
  if (p.empty()) p = compare("dx", to_values(tdx), dx, tolerance(s.R * s.S, type));
  if (p.empty()) p = compare("dw", to_values(tdw), dw, tolerance(s.N * s.P() * s.Q(), DType::f32));
  return p;
}

}  // namespace

TEST_CASE("depthwise: many strips a thread, every window and stride, both write modes") {
  for (const DepthwiseShape& s : {DepthwiseShape{3, 23, 21, 256, 3, 3, 1, 1},
                                  {3, 22, 21, 256, 3, 3, 2, 1},
                                  {2, 15, 17, 264, 5, 5, 1, 2},
                                  {2, 21, 19, 256, 5, 5, 2, 1, 2},
                                  {5, 30, 31, 8, 3, 3, 2, 0, 1},
                                  {2, 9, 9, 40, 4, 3, 3, 1}})
    for (const Device device : gpu_devices())
      for (const Accum mode : {Accum::overwrite, Accum::add}) {
        CAPTURE(s.C);
        CAPTURE(s.stride);
        CHECK_EQ(on_one_multiprocessor<float>(device, s, mode), "");
        CHECK_EQ(on_one_multiprocessor<bf16>(device, s, mode), "");
      }
}

TEST_CASE("depthwise: mismatches are named") {
  Context ctx;
  const Tensor x = Tensor::zeros(ctx, {1, 5, 5, 3});
  CHECK_THROWS_WITH_AS(ops::depthwise_conv2d(ctx, x, Tensor::zeros(ctx, {4, 3, 3, 1}), 1, 1),
                       doctest::Contains("input has 3 channels, weight [4, 3, 3, 1] must be [3, R, S, 1]"), Error);
  CHECK_THROWS_WITH_AS(ops::depthwise_conv2d(ctx, x, Tensor::zeros(ctx, {3, 3, 3, 3}), 1, 1),
                       doctest::Contains("[3, R, S, 1]"), Error);
  CHECK_THROWS_WITH_AS(ops::depthwise_conv2d(ctx, x, Tensor::zeros(ctx, {3, 7, 7, 1}), 1, 0, 1),
                       doctest::Contains("a 7x7 window does not fit in 5x5 padded by 0 and 1"), Error);
  CHECK_THROWS_WITH_AS(ops::depthwise_conv2d(ctx, x, Tensor::zeros(ctx, {3, 3, 3, 1}), 0, 0),
                       doctest::Contains("stride 0"), Error);
  CHECK_THROWS_WITH_AS(ops::depthwise_conv2d(ctx, x, Tensor::zeros(ctx, {3, 3, 3, 1}), 1, 1, -2),
                       doctest::Contains("at the end -2"), Error);
  CHECK_THROWS_WITH_AS(ops::depthwise_conv2d(ctx, x, Tensor::zeros(ctx, {3, 3, 3, 1}, DType::f64), 1, 0),
                       doctest::Contains("input is f32, weight f64"), Error);
}

TEST_CASE("depthwise: statistics of what it stores") {
  for (const Device device : gpu_devices())
    for (const DType type : {DType::f32, DType::bf16})
      for (const DepthwiseShape& s : {DepthwiseShape{2, 9, 11, 16, 3, 3, 1, 1},
                                      {3, 10, 7, 40, 3, 3, 2, 1},
                                      {1, 12, 13, 8, 5, 5, 1, 2},
                                      {5, 9, 9, 24, 5, 5, 2, 2},
                                      {1, 1, 1, 8, 3, 3, 1, 1},
                                      {40, 8, 8, 256, 3, 3, 1, 1}}) {
        Context ctx(device, {.poison = true});
        CAPTURE(s.C);
        std::vector<Tensor> in;
        for (const Array& a : make_inputs(make(s), 9))
          in.push_back(Tensor::from(ctx, a.cast(in.empty() ? type : DType::f32)));
        ops::ChannelMoments moments;
        const Tensor y = ops::depthwise_conv2d(ctx, in[0], in[1], s.stride, s.pad, -1, &moments);
        CHECK_EQ(compare_moments(moments.data, moments.parts, to_values(y), s.C), "");
        const Tensor plain = ops::depthwise_conv2d(ctx, in[0], in[1], s.stride, s.pad);
        CHECK_EQ(compare("without", to_values(plain), to_values(y), 0.0), "");
      }
}

TEST_CASE("depthwise: statistics of numbers far from zero keep their digits") {
  for (const Device device : gpu_devices()) {
    Context ctx(device, {.poison = true});
    Rng rng(3, 3);
    std::vector<float> x(4 * 20 * 20 * 16), w(16 * 9, 0.0f);
    for (float& v : x) v = rng.below(2) == 0 ? 256.0f : 258.0f;
    for (std::size_t c = 0; c < 16; ++c) w[c * 9 + 4] = 1;
    ops::ChannelMoments moments;
    const Tensor in = Tensor::from(ctx, Array::from(x, {4, 20, 20, 16}).cast(DType::bf16));
    const Tensor y = ops::depthwise_conv2d(ctx, in, Tensor::from(ctx, w, {16, 3, 3, 1}), 1, 1, -1, &moments);
    CHECK_EQ(compare_moments(moments.data, moments.parts, to_values(y), 16, true), "");
  }
}
