// Rows of floats in vector loops: exponentials, maxima and sums, in fixed lanes and so in one order on every machine.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>

namespace akin::fast {

/// e^x within 1.5 units in the last place over all floats (tests/test_softmax_ce.cpp looks at the whole range),
/// denormal results within one of their steps; 0 below -103.98, infinite above 88.73, NaN for NaN. No branch, so loops
/// over it become vector loops. Cody and Waite's reduction, then the polynomial of Cephes' expf.
inline float exp_float(float x) {
  constexpr float kLog2e = 1.44269504f, kLn2High = 0.693359375f, kLn2Low = -2.12194440e-4f, kRound = 0x1.8p23f;
  x = x < -104.0f ? -104.0f : x;
  x = x > 89.0f ? 89.0f : x;
  const float shifted = x * kLog2e + kRound;  // its last bits are the whole number
  const float n = shifted - kRound;
  const float r = (x - n * kLn2High) - n * kLn2Low;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = (p * r * r + r) + 1.0f;
  // 2^n in two factors: each is a normal number where the product is not.
  const auto power = std::bit_cast<std::int32_t>(shifted) - std::bit_cast<std::int32_t>(kRound);
  const std::int32_t half = power >> 1;
  const auto two_to = [](std::int32_t k) { return std::bit_cast<float>((k + 127) << 23); };
  return p * two_to(half) * two_to(power - half);
}

constexpr std::int64_t kRowLanes = 32;

/// Largest of x [C], C >= 1, as std::max_element finds it: NaN where x[0] is, other NaNs are passed over.
inline float row_max(std::int64_t C, const float* x) {
  float top[kRowLanes];
  std::fill_n(top, kRowLanes, x[0]);
  std::int64_t c = 0;
  for (; c + kRowLanes <= C; c += kRowLanes)
    for (std::int64_t l = 0; l < kRowLanes; ++l) top[l] = top[l] < x[c + l] ? x[c + l] : top[l];
  for (; c < C; ++c) top[0] = top[0] < x[c] ? x[c] : top[0];
  for (std::int64_t l = 1; l < kRowLanes; ++l) top[0] = top[0] < top[l] ? top[l] : top[0];
  return top[0];
}

/// sum over c < C of term(c), which may write as it goes.
template <class Term>
float row_sum(std::int64_t C, Term&& term) {
  float sums[kRowLanes] = {}, sum = 0;
  std::int64_t c = 0;
  for (; c + kRowLanes <= C; c += kRowLanes) {
#pragma GCC ivdep
    for (std::int64_t l = 0; l < kRowLanes; ++l) sums[l] += term(c + l);
  }
  for (; c < C; ++c) sum += term(c);
  for (const float part : sums) sum += part;
  return sum;
}

}  // namespace akin::fast
