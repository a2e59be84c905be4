#include "nn/data/near_copies.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <utility>
#include <vector>

#include "engine/io/image.hpp"
#include "kernels/common/parallel.hpp"

namespace akin {
namespace {

constexpr int kSteps = 12;
constexpr double kLeastCorrelation = 0.985;
constexpr double kLeastSpread = 4;  // standard deviation of the means, in levels

/// Means of rows x columns parts of a grey picture.
std::vector<double> means_of(const Array& grey, std::int64_t rows, std::int64_t columns) {
  const std::int64_t H = grey.shape()[0], W = grey.shape()[1];
  const std::uint8_t* p = grey.as<std::uint8_t>().data();
  std::vector<double> out;
  for (std::int64_t r = 0; r < rows; ++r) {
    const std::int64_t y0 = std::min(H - 1, r * H / rows), y1 = std::max(y0 + 1, (r + 1) * H / rows);
    for (std::int64_t c = 0; c < columns; ++c) {
      const std::int64_t x0 = std::min(W - 1, c * W / columns), x1 = std::max(x0 + 1, (c + 1) * W / columns);
      std::int64_t sum = 0;
      for (std::int64_t y = y0; y < y1; ++y)
        for (std::int64_t x = x0; x < x1; ++x) sum += p[y * W + x];
      out.push_back(static_cast<double>(sum) / static_cast<double>((y1 - y0) * (x1 - x0)));
    }
  }
  return out;
}

}  // namespace

Look look_of(const Array& picture) {
  const Array grey = convert_channels(picture, 1);
  Look look;
  const std::vector<double> steps = means_of(grey, 8, 9), small = means_of(grey, 16, 16);
  for (std::size_t r = 0, bit = 0; r < 8; ++r)
    for (std::size_t c = 0; c < 8; ++c, ++bit)
      if (steps[9 * r + c] > steps[9 * r + c + 1]) look.steps |= std::uint64_t{1} << bit;
  double mean = 0, square = 0;
  for (const double v : small) mean += v / 256;
  for (const double v : small) square += (v - mean) * (v - mean) / 256;
  look.plain = std::sqrt(square) < kLeastSpread;
  const auto [low, high] = std::minmax_element(small.begin(), small.end());
  const double scale = *high > *low ? 255 / (*high - *low) : 0;
  for (std::size_t i = 0; i < 256; ++i)
    look.small[i] = static_cast<std::uint8_t>(std::lround((small[i] - *low) * scale));
  return look;
}

bool look_alike(const Look& a, const Look& b) {
  if (a.plain || b.plain || std::popcount(a.steps ^ b.steps) > kSteps) return false;
  std::int64_t sa = 0, sb = 0, saa = 0, sbb = 0, sab = 0;
  for (std::size_t i = 0; i < 256; ++i) {
    const std::int64_t x = a.small[i], y = b.small[i];
    sa += x;
    sb += y;
    saa += x * x;
    sbb += y * y;
    sab += x * y;
  }
  const double va = static_cast<double>(256 * saa - sa * sa), vb = static_cast<double>(256 * sbb - sb * sb);
  return static_cast<double>(256 * sab - sa * sb) >= kLeastCorrelation * std::sqrt(va * vb);
}

void find_near_copies(std::span<const Look> looks, const std::function<void(std::size_t, std::size_t)>& found) {
  // A block of rows at a time, so that what is found stays little and comes in order.
  constexpr std::size_t kRows = 1024;
  std::vector<std::uint64_t> steps;  // beside each other: nearly all pairs differ here
  for (const Look& look : looks) steps.push_back(look.steps);
  for (std::size_t first = 0; first < looks.size(); first += kRows) {
    const std::size_t rows = std::min(kRows, looks.size() - first);
    std::vector<std::vector<std::size_t>> pairs(rows);
    parallel_for(static_cast<std::int64_t>(rows), 8, [&](std::int64_t begin, std::int64_t end) {
      for (auto r = static_cast<std::size_t>(begin); r < static_cast<std::size_t>(end); ++r)
        for (std::size_t j = first + r + 1; j < looks.size(); ++j)
          if (std::popcount(steps[first + r] ^ steps[j]) <= kSteps && look_alike(looks[first + r], looks[j]))
            pairs[r].push_back(j);
    });
    for (std::size_t r = 0; r < rows; ++r)
      for (const std::size_t j : pairs[r]) found(first + r, j);
  }
}

}  // namespace akin
