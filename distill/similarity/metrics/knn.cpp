#include "distill/similarity/metrics/knn.hpp"

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>

#include "distill/report/figures.hpp"
#include "distill/similarity/metrics/sample.hpp"
#include "kernels/common/parallel.hpp"
#include "kernels/gram.hpp"

namespace akin {
namespace {

std::size_t index(std::int64_t i) { return static_cast<std::size_t>(i); }

/// For each image the `depth` nearest others, nearest first: [N, depth].
std::vector<std::uint32_t> neighbours(Sample sample, std::int64_t depth) {
  centre(sample);  // smaller norms leave more digits for the differences
  const std::int64_t n = sample.rows, d = sample.k;
  std::vector<double> square(index(n), 0.0);
  for (std::int64_t i = 0; i < n; ++i)
    for (const double value : sample.row(i)) square[index(i)] += value * value;
  const double unit = std::max(*std::max_element(square.begin(), square.end()), 0x1p-1000) * 0x1p-40;
  std::vector<char> apart(index(n));  // whether any image is elsewhere
  std::vector<std::uint32_t> result(index(n * depth));
  constexpr std::int64_t kBlock = 256;
  for (std::int64_t i0 = 0; i0 < n; i0 += kBlock) {
    const std::int64_t height = std::min(kBlock, n - i0);
    std::vector<double> block(index(height * n));
    gram_xyt<double>(kFast, height, n, d, std::span(sample.x).subspan(index(i0 * d), index(height * d)), sample.x,
                     block);
    parallel_for(height, 8, [&](std::int64_t begin, std::int64_t end) {
      std::vector<double> distance(index(n));
      std::vector<std::uint32_t> order(index(n - 1));
      for (std::int64_t i = i0 + begin; i < i0 + end; ++i) {
        for (std::int64_t j = 0; j < n; ++j)
          distance[index(j)] =
              std::nearbyint((square[index(i)] + square[index(j)] - 2 * block[index((i - i0) * n + j)]) / unit);
        apart[index(i)] = std::any_of(distance.begin(), distance.end(), [](double value) { return value != 0; });
        std::iota(order.begin(), order.begin() + i, 0u);
        std::iota(order.begin() + i, order.end(), static_cast<std::uint32_t>(i + 1));
        std::partial_sort(order.begin(), order.begin() + depth, order.end(), [&](std::uint32_t a, std::uint32_t b) {
          return distance[a] != distance[b] ? distance[a] < distance[b] : a < b;
        });
        std::copy_n(order.begin(), depth, result.begin() + i * depth);
      }
    });
  }
  AKIN_CHECK(std::find(apart.begin(), apart.end(), 1) != apart.end(),
             "kNN is undefined: the features are the same for all {} images, as far as products of their numbers tell; "
             "scale all features alike, or use leep or nce, which look at class probabilities",
             n);
  return result;
}

double accuracy_of(const std::vector<std::uint32_t>& near, std::int64_t depth, int classes, int k,
                   std::span<const int> counts, std::span<const int> labels) {
  double correct = 0, images = 0;
  std::vector<int> votes(index(classes));
  for (std::size_t i = 0; i < labels.size(); ++i) {
    if (counts[i] == 0) continue;
    std::fill(votes.begin(), votes.end(), 0);
    int left = k;
    for (std::int64_t j = 0; j < depth && left > 0; ++j) {
      const std::uint32_t other = near[i * index(depth) + index(j)];
      const int taken = std::min(left, counts[other]);
      votes[index(labels[other])] += taken;
      left -= taken;
    }
    if (left == k) continue;  // all drawn images are copies of this one
    images += counts[i];
    if (std::max_element(votes.begin(), votes.end()) - votes.begin() == labels[i]) correct += counts[i];
  }
  return images > 0 ? correct / images : not_measured;
}

constexpr std::int64_t kTurned = 1024;  // images for which another look costs little

/// The value with the last image and the last class first.
double accuracy_turned(const Sample& sample, std::int64_t depth, const Probe& probe) {
  Sample turned = sample;
  turned.x.clear();
  for (std::int64_t i = sample.rows; i-- > 0;)
    turned.x.insert(turned.x.end(), sample.row(i).begin(), sample.row(i).end());
  std::reverse(turned.labels.begin(), turned.labels.end());
  for (int& label : turned.labels) label = probe.classes - 1 - label;
  const std::vector<int> labels = turned.labels;
  return accuracy_of(neighbours(std::move(turned), depth), depth, probe.classes, static_cast<int>(depth),
                     std::vector<int>(labels.size(), 1), labels);
}

void check(const Sample& sample, int k) {
  AKIN_CHECK(k >= 1, "kNN: {} neighbours asked for, expected at least 1", k);
  const auto sizes = sample.class_weights();
  AKIN_CHECK(std::any_of(sizes.begin(), sizes.end(), [](double size) { return size >= 2; }),
             "kNN is undefined: no two of the {} probe images share a label, so every answer is wrong. Give at least 2 "
             "labels a class, or use leep or logme",
             sample.rows);
}

}  // namespace

Similarity knn(const Probe& probe, int k) {
  Similarity result{k == 1 ? "knn" : fmt::format("knn:{}", k), 0};
  const Sample sample = sample_of("kNN", probe, result.warnings);
  check(sample, k);
  const auto sizes = sample.class_weights();
  const auto single = std::count(sizes.begin(), sizes.end(), 1.0);
  if (single > 0)
    result.warnings.push_back(fmt::format("{} class(es) have one image, which kNN always gets wrong", single));
  const std::int64_t depth = std::min<std::int64_t>(k, sample.rows - 1);
  if (depth < k) result.warnings.push_back(fmt::format("{} neighbours asked for, every image has {} others", k, depth));
  result.value = accuracy_of(neighbours(sample, depth), depth, probe.classes, static_cast<int>(depth),
                             std::vector<int>(probe.labels.size(), 1), probe.labels);
  if (sample.rows > kTurned) return result;
  const double turned = accuracy_turned(sample, depth, probe);
  if (turned != result.value)
    result.warnings.push_back(fmt::format(
        "neighbours are equally far or votes equal, so kNN depends on the order of images and classes: {:.4g} "
        "here, {:.4g} where both are turned round",
        result.value, turned));
  return result;
}

Resampler knn_resampler(const Probe& probe, int k) {
  std::vector<std::string> warnings;
  Sample sample = sample_of("kNN", probe, warnings);
  check(sample, k);
  AKIN_CHECK(sample.rows <= 8192,
             "kNN: an interval over {} images needs more memory than is sensible; take at most 8192", sample.rows);
  // A draw lacks 37 % of the images, so it has to look further than k: the chance to find too few here is below 1e-9.
  const std::int64_t depth = std::min<std::int64_t>(std::int64_t{64} + 8 * std::int64_t{k}, sample.rows - 1);
  const auto near = std::make_shared<const std::vector<std::uint32_t>>(neighbours(std::move(sample), depth));
  return [near, depth, k, classes = probe.classes](std::span<const int> counts, std::span<const int> labels) {
    return accuracy_of(*near, depth, classes, k, counts, labels);
  };
}

}  // namespace akin
