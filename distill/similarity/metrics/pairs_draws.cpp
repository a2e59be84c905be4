// Many draws in one pass over the sorted pairs.
#include <algorithm>
#include <array>
#include <memory>

#include "distill/similarity/metrics/pairs.hpp"
#include "kernels/rank.hpp"

namespace akin {
namespace {

#if defined(__AVX512BW__)
constexpr std::size_t kBytes = 64;
#elif defined(__AVX2__)
constexpr std::size_t kBytes = 32;
#else
constexpr std::size_t kBytes = 16;
#endif
// A lane is a draw.
using Shorts = std::uint16_t __attribute__((vector_size(kBytes)));
using Words = std::uint32_t __attribute__((vector_size(2 * kBytes)));
constexpr std::size_t kLanes = kBytes / sizeof(std::uint16_t);

struct Row {
  Shorts lanes;
};

/// rows[i].lanes[d] = (draws[d].*which)[i], zeros where there are fewer draws than lanes.
std::unique_ptr<Row[]> side_by_side(std::span<const Redraw> draws, std::vector<int> Redraw::*which, std::size_t n) {
  auto rows = std::make_unique<Row[]>(n);
  for (std::size_t d = 0; d < draws.size(); ++d)
    for (std::size_t i = 0; i < n; ++i) rows[i].lanes[d] = static_cast<std::uint16_t>((draws[d].*which)[i]);
  return rows;
}

// So many copies of one image that sums over kStretch pairs of squares of them stay within 32 bits: 361 (2 * 128 * 361
// + 362) * 128 < 2^32.
constexpr int kMostCopies = 19;
constexpr std::size_t kStretch = 128;
// Sums over so many pairs of how many there were so far stay within 16 bits: 256 * 257 / 2 < 2^16.
constexpr std::size_t kShuffleStretch = 256;

}  // namespace

void SortedPairs::weighted_batch(std::span<const Redraw> draws, std::span<double> values) const {
  const auto counts = side_by_side(draws, &Redraw::counts, labels_.size());
  std::array<Sums, kLanes> sums;
  // Of pairs without ties: sum over i < j of (c_i c_j)^3 - c_i c_j. What walk() meets as ties is put right below.
  std::array<std::uint64_t, kLanes> tie_sum{};
  for (std::size_t d = 0; d < draws.size(); ++d) {
    std::uint64_t c1 = 0, c2 = 0, c3 = 0, c6 = 0;
    for (const int count : draws[d].counts) {
      const auto c = static_cast<std::uint64_t>(count);
      c1 += c, c2 += c * c, c3 += c * c * c, c6 += c * c * c * c * c * c;
    }
    tie_sum[d] = (c3 * c3 - c6) / 2 - (c1 * c1 - c2) / 2;
  }
  walk(
      kStretch,
      [&](std::size_t begin, std::size_t end) {
        Shorts below{};
        Words ranks{}, of_same{};
        for (std::size_t k = begin; k < end; ++k) {
          const std::uint32_t pair = pairs_[k];
          const Shorts weight = counts[pair >> 16].lanes * counts[pair >> 1 & 0x7fff].lanes;
          if (pair & 1) {
            const Words wide = __builtin_convertvector(weight, Words);
            ranks += wide * (2 * __builtin_convertvector(below, Words) + wide + 1);
            of_same += wide;
          }
          below += weight;
        }
        for (std::size_t d = 0; d < kLanes; ++d) {
          sums[d].twice_rank_sum += ranks[d] + 2 * sums[d].total * of_same[d];
          sums[d].same += of_same[d];
          sums[d].total += below[d];
        }
      },
      [&](std::size_t begin, std::size_t end) {
        std::array<std::uint64_t, kLanes> all{}, of_same{}, singly{};
        for (std::size_t k = begin; k < end; ++k) {
          const std::uint32_t pair = pairs_[k];
          const Shorts weights = counts[pair >> 16].lanes * counts[pair >> 1 & 0x7fff].lanes;
          for (std::size_t d = 0; d < kLanes; ++d) {
            const std::uint64_t weight = weights[d];
            all[d] += weight;
            of_same[d] += weight * (pair & 1);
            singly[d] += weight * (weight * weight - 1);
          }
        }
        for (std::size_t d = 0; d < kLanes; ++d) {
          sums[d].twice_rank_sum += of_same[d] * (2 * sums[d].total + all[d] + 1);
          sums[d].tie_sum += cube_minus_self(double(all[d]));
          sums[d].same += of_same[d];
          sums[d].total += all[d];
          tie_sum[d] -= singly[d];
        }
      });
  for (std::size_t d = 0; d < draws.size(); ++d) {
    sums[d].tie_sum += double(tie_sum[d]);
    values[d] = sums[d].rho();
  }
}

void SortedPairs::shuffled_batch(std::span<const Redraw> draws, std::span<double> values) const {
  const auto labels = side_by_side(draws, &Redraw::labels, labels_.size());
  std::array<Sums, kLanes> sums;
  double tie_sum = 0;
  for (const Ties& ties : ties_) tie_sum += cube_minus_self(double(ties.end - ties.begin));
  walk(
      kShuffleStretch,
      [&](std::size_t begin, std::size_t end) {
        Shorts same{}, later{};  // `later`: for each pair of one label, how many pairs come from it on
        for (std::size_t k = begin; k < end; ++k) {
          const std::uint32_t pair = pairs_[k];
          same -= labels[pair >> 16].lanes == labels[pair >> 1 & 0x7fff].lanes;
          later += same;
        }
        for (std::size_t d = 0; d < kLanes; ++d) {
          sums[d].twice_rank_sum += 2 * (std::uint64_t{same[d]} * (end + 1) - later[d]);
          sums[d].same += same[d];
        }
      },
      [&](std::size_t begin, std::size_t end) {
        std::array<std::uint64_t, kLanes> same{};
        for (std::size_t k = begin; k < end; ++k) {
          const std::uint32_t pair = pairs_[k];
          const auto equal = labels[pair >> 16].lanes == labels[pair >> 1 & 0x7fff].lanes;
          for (std::size_t d = 0; d < kLanes; ++d) same[d] += equal[d] & 1;
        }
        for (std::size_t d = 0; d < kLanes; ++d) {
          sums[d].twice_rank_sum += same[d] * (begin + end + 1);
          sums[d].same += same[d];
        }
      });
  for (std::size_t d = 0; d < draws.size(); ++d) {
    sums[d].total = pairs_.size();
    sums[d].tie_sum = tie_sum;
    values[d] = sums[d].rho();
  }
}

void SortedPairs::rho(std::span<const Redraw> draws, std::span<double> values) const {
  const auto once = [](const Redraw& draw) {
    return std::all_of(draw.counts.begin(), draw.counts.end(), [](int count) { return count == 1; }) &&
           std::all_of(draw.labels.begin(), draw.labels.end(), [](int label) { return label <= 0xffff; });
  };
  const auto few_copies = [](const Redraw& draw) {
    return std::all_of(draw.counts.begin(), draw.counts.end(), [](int count) { return count <= kMostCopies; });
  };
  for (std::size_t begin = 0; begin < draws.size(); begin += kLanes) {
    const std::size_t count = std::min(kLanes, draws.size() - begin);
    const auto part = draws.subspan(begin, count);
    const auto to = values.subspan(begin, count);
    if (std::all_of(part.begin(), part.end(), once))
      shuffled_batch(part, to);
    else if (std::all_of(part.begin(), part.end(),
                         [&](const Redraw& draw) { return draw.labels == labels_ && few_copies(draw); }))
      weighted_batch(part, to);
    else
      for (std::size_t i = 0; i < count; ++i) to[i] = rho(part[i].counts, part[i].labels);
  }
}

}  // namespace akin
