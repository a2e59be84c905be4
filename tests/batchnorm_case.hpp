// Batch norm of any shape, and what it should give: shared by the tests of values and of devices.
#pragma once

#include "tests/op_case.hpp"

namespace akin::test {

using ops::BatchNormState;

inline std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }

struct Setup {
  std::int64_t M, C;
  bool training, relu, residual;
  double mean = 0, std = 0.5;  ///< of the inputs
  bool six = false;            ///< relu means relu6
  Activation act() const { return !relu ? Activation::none : six ? Activation::relu6 : Activation::relu; }
};

inline constexpr double kEps = 1e-5, kMomentum = 0.1;

inline double running_mean(std::int64_t c) { return 0.1 * static_cast<double>(c % 7) - 0.3; }
inline double running_var(std::int64_t c) { return 0.5 + 0.25 * static_cast<double>(c % 3); }

struct Statistics {
  std::vector<long double> mean, var;
};

inline Statistics statistics(const Setup& s, const Values& x) {
  Statistics out;
  for (std::int64_t c = 0; c < s.C; ++c) {
    long double mean = running_mean(c), var = running_var(c);
    if (s.training) {
      mean = var = 0;
      for (std::int64_t m = 0; m < s.M; ++m) mean += x[at(m * s.C + c)];
      mean /= static_cast<long double>(s.M);
      for (std::int64_t m = 0; m < s.M; ++m) var += (x[at(m * s.C + c)] - mean) * (x[at(m * s.C + c)] - mean);
      var /= static_cast<long double>(s.M);
    }
    out.mean.push_back(mean);
    out.var.push_back(var);
  }
  return out;
}

/// Before the activation; in = {x, gamma, beta, residual?}
inline Values linear_part(const Setup& s, const std::vector<Values>& in) {
  const Statistics st = statistics(s, in[0]);
  Values u;
  for (std::int64_t m = 0; m < s.M; ++m)
    for (std::int64_t c = 0; c < s.C; ++c) {
      const long double xhat = (in[0][at(m * s.C + c)] - st.mean[at(c)]) / std::sqrt(st.var[at(c)] + kEps);
      u.push_back(static_cast<double>(xhat * in[1][at(c)] + in[2][at(c)] + (s.residual ? in[3][at(m * s.C + c)] : 0)));
    }
  return u;
}

/// Inputs with the wished statistics; elements within 1e-3 of the kink at 0, and within what bf16 rounds (0.03) of that
/// at 6, are moved until none is left, be the inputs rounded to bf16 or not, and the last element ends clearly positive
/// so that a planted bug shows.
inline void adjust(const Setup& s, std::vector<Values>& in) {
  for (double& v : in[0]) v = static_cast<double>(static_cast<float>(s.mean + s.std * std::sqrt(3.0) * v));
  for (double& v : in[1]) v = v < 0 ? v - 0.5 : v + 0.5;
  in[1].back() = 1.25;
  in[2].back() = 0.5;
  if (s.six)  // many values beyond 6
    for (double& v : in[1]) v *= 6;
  if (s.six) in[1].back() = 2;
  in[0].back() = s.mean + 1.5 * s.std;
  if (s.residual) in[3].back() = 0.5;
  if (!s.relu) return;
  for (bool clean = false; !clean;) {
    clean = true;
    std::vector<Values> low = in;
    for (Values& x : low)
      for (double& v : x) v = static_cast<double>(bf16_to_float(float_to_bf16(static_cast<float>(v))));
    const Values u = linear_part(s, in), of_low = linear_part(s, low);
    const auto near = [&](double v) { return std::abs(v) < 1e-3 || (s.six && std::abs(v - 6) < 0.04); };
    for (std::size_t i = 0; i < u.size(); ++i)
      if (near(u[i]) || near(of_low[i])) {
        clean = false;
        in[0][i] += 0.05 * s.std;
      }
  }
}

/// For activations of `dtype`.
inline BatchNormState state_of(Context& ctx, std::int64_t C, DType dtype) {
  if (dtype == DType::bf16) dtype = DType::f32;
  std::vector<double> mean, var;
  for (std::int64_t c = 0; c < C; ++c) {
    mean.push_back(running_mean(c));
    var.push_back(running_var(c));
  }
  return {.running_mean = Tensor::from(ctx, Array::from(mean, {C}).cast(dtype)),
          .running_var = Tensor::from(ctx, Array::from(var, {C}).cast(dtype)),
          .momentum = kMomentum,
          .eps = kEps};
}

inline OpCase bn(const Setup& s) {
  // The saved mean is a float: xhat carries an error of eps/2 |mean| / std, whatever the summation does. The sums run
  // over 64 elements in float and then in double.
  const double offset = std::abs(s.mean) / s.std;
  OpCase c{.name = fmt::format("batchnorm {}x{}{}{}{} mean {}", s.M, s.C, s.training ? " train" : " eval",
                               s.relu ? s.six ? " relu6" : " relu" : "", s.residual ? " residual" : "", s.mean),
           .inputs = {{s.M, 1, 1, s.C}, {s.C}, {s.C}},
           .run =
               [s](Context& ctx, const std::vector<Tensor>& x) {
                 BatchNormState state = state_of(ctx, s.C, x[0].dtype());
                 return ops::batchnorm(ctx, x[0], x[1], x[2], state, s.training, s.act(), s.residual ? x[3] : Tensor());
               },
           .reference =
               [s](const std::vector<Values>& in) {
                 Values u = linear_part(s, in);
                 for (double& v : u) v = s.relu && v < 0 ? 0 : s.six && v > 6 ? 6 : v;
                 return u;
               },
           .depth = offset > 1 ? 1.0 : 64.0,
           .grad_depth = static_cast<double>(s.M),
           .amplify = (4 + offset) * (s.six ? 3 : 1),
           .adjust = [s](std::vector<Values>& in) { adjust(s, in); },
           .parameters = {1, 2}};
  if (s.residual) c.inputs.push_back({s.M, 1, 1, s.C});
  return c;
}

}  // namespace akin::test
