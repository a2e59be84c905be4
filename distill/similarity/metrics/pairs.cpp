#include "distill/similarity/metrics/pairs.hpp"

#include <algorithm>
#include <atomic>
#include <limits>
#include <memory>

#include "kernels/common/radix.hpp"
#include "kernels/common/parallel.hpp"
#include "kernels/rank.hpp"

namespace akin {
namespace {

std::size_t index(std::int64_t i) { return static_cast<std::size_t>(i); }

/// Calls visit(thread, i, j, key) for every pair i < j, key = 2^40 (1 - r); from several threads at once. Error on NaN.
template <class Visit>
void for_each_pair(const Correlations& correlations, Visit&& visit) {
  std::atomic<bool> found_nan{false};
  correlations([&](const GramBlock& block) {
    std::vector<std::int64_t> keys(index(block.columns));
    bool nan = false;
    for (std::int64_t r = 0; r < block.rows; ++r) {
      const double* g = block.g + r * block.stride;
      const std::int64_t first = block.i0 == block.j0 ? r + 1 : 0;
      for (std::int64_t c = first; c < block.columns; ++c) {
        // Adding and taking off 1.5 * 2^52 rounds to a whole number, halves to the even one.
        const double whole = (g[c] * 0x1p40 + 0x1.8p52) - 0x1.8p52;
        nan |= g[c] != g[c];
        keys[index(c)] = static_cast<std::int64_t>(0x1p40 - std::clamp(whole, -0x1p40, 0x1p40));
      }
      if (nan) break;
      for (std::int64_t c = first; c < block.columns; ++c)
        visit(block.thread, block.i0 + r, block.j0 + c, static_cast<std::uint64_t>(keys[index(c)]));
    }
    if (nan) found_nan = true;
  });
  AKIN_CHECK(!found_nan, "similarity: a correlation between two images is NaN, which has no rank");
}

constexpr int kLowBits = 31;  // of a key; those above number its bucket
constexpr std::size_t kBuckets = (std::size_t{1} << (kPairKeyBits - 1 - kLowBits)) + 1;

/// Pairs gathered by the leading bits of their keys. A Word holds the other bits, and `Tail` bits that tell pairs
/// apart.
template <class Word, int Tail>
class Buckets {
 public:
  explicit Buckets(int threads) : threads_(static_cast<std::size_t>(threads)) {}

  void add(int thread, std::uint64_t key, Word tail) {
    Open& open = threads_[static_cast<std::size_t>(thread)].open[key >> kLowBits];
    if (open.at == open.end) grow(threads_[static_cast<std::size_t>(thread)], open);
    *open.at++ = static_cast<Word>(static_cast<Word>(key & ((std::uint64_t{1} << kLowBits) - 1)) << Tail) | tail;
  }
  /// Calls visit(bucket, place of its first pair, its words sorted by key) for buckets with pairs; from several
  /// threads.
  template <class Visit>
  void sorted(Visit&& visit) {
    std::vector<std::size_t> place{0};
    for (std::size_t b = 0; b < kBuckets; ++b) {
      std::size_t size = 0;
      for (Thread& thread : threads_) size += close(thread.open[b]);
      place.push_back(place.back() + size);
    }
    parallel_tasks(static_cast<std::int64_t>(kBuckets), [&](std::int64_t task, int) {
      const auto b = static_cast<std::size_t>(task);
      const std::size_t size = place[b + 1] - place[b];
      if (size == 0) return;
      const auto room = std::make_unique_for_overwrite<Word[]>(2 * size);
      Word* to = room.get();
      for (const Thread& thread : threads_)
        for (const Chunk& chunk : thread.open[b].chunks) to = std::copy_n(chunk.words, chunk.size, to);
      const Word* words = radix_sort(room.get(), room.get() + size, size, Tail, kLowBits + Tail);
      visit(b, place[b], std::span<const Word>(words, size));
    });
  }

 private:
  struct Chunk {
    Word* words;
    std::size_t size;
  };
  struct Open {
    Word *at = nullptr, *end = nullptr;
    std::vector<Chunk> chunks;
    std::size_t size = 0;  // of all chunks
  };
  struct Thread {
    std::vector<Open> open = std::vector<Open>(kBuckets);
    std::vector<std::unique_ptr<Word[]>> slabs;
    std::size_t left = 0;  // of the last slab
  };
  static constexpr std::size_t kSlab = 8192, kLeast = 32, kMost = 2048;

  /// A bucket's next chunk is as large as all it has.
  static void grow(Thread& thread, Open& open) {
    const std::size_t size = std::clamp(open.size, kLeast, kMost);
    if (thread.left < size) {
      thread.slabs.push_back(std::make_unique_for_overwrite<Word[]>(kSlab));
      thread.left = kSlab;
    }
    open.at = thread.slabs.back().get() + (kSlab - thread.left);
    open.end = open.at + size;
    open.chunks.push_back({open.at, size});
    open.size += size;
    thread.left -= size;
  }
  static std::size_t close(Open& open) {
    const auto unused = static_cast<std::size_t>(open.end - open.at);
    if (unused > 0) open.chunks.back().size -= unused;
    open.end = open.at;
    return open.size -= unused;
  }

  std::vector<Thread> threads_;
};

/// Calls tied(begin, end) for equal keys among sorted words that lie side by side, two or more of them.
template <class Word, class Tied>
void for_each_tie(std::span<const Word> words, int tail, Tied&& tied) {
  for (std::size_t i = 1; i < words.size(); ++i) {
    if ((words[i - 1] ^ words[i]) >> tail != 0) continue;
    const std::size_t begin = i - 1;
    while (i < words.size() && (words[begin] ^ words[i]) >> tail == 0) ++i;
    tied(begin, i);
  }
}

}  // namespace

double spearman_of_pairs(std::int64_t n, const Correlations& correlations, std::span<const int> labels) {
  using Word = std::uint32_t;
  struct Part {
    std::uint64_t twice_rank_sum = 0, same = 0;
    std::vector<double> ties;
  };
  Buckets<Word, 1> buckets(max_threads());
  for_each_pair(correlations, [&](int thread, std::int64_t i, std::int64_t j, std::uint64_t key) {
    buckets.add(thread, key, labels[index(i)] == labels[index(j)]);
  });
  std::vector<Part> parts(kBuckets);
  buckets.sorted([&](std::size_t bucket, std::size_t place, std::span<const Word> words) {
    Part& part = parts[bucket];
    for (std::size_t i = 0; i < words.size(); ++i) {
      part.same += words[i] & 1;
      part.twice_rank_sum += (words[i] & 1) * 2 * (place + i + 1);
    }
    for_each_tie(words, 1, [&](std::size_t begin, std::size_t end) {
      part.ties.push_back(double(end - begin));
      for (std::size_t i = begin; i < end; ++i)  // the mean rank instead of its own
        part.twice_rank_sum += (words[i] & 1) * (begin + end - 1 - 2 * i);
    });
  });
  std::uint64_t twice_rank_sum = 0, same = 0;
  double tie_sum = 0;
  for (const Part& part : parts) {
    twice_rank_sum += part.twice_rank_sum;
    same += part.same;
    for (const double ties : part.ties) tie_sum += cube_minus_self(ties);
  }
  const double pairs = double(n) * double(n - 1) / 2;
  return spearman_from_rank_sum(0.5 * double(twice_rank_sum), double(same), pairs - double(same), tie_sum);
}

PairCounts bins_of_pairs(const Correlations& correlations, std::span<const int> labels) {
  const auto threads = static_cast<std::size_t>(max_threads()), bins = static_cast<std::size_t>(kCorrelationBins);
  std::vector<std::vector<std::int64_t>> counts(threads);  // [2, bins] each
  for (auto& own : counts) own.assign(2 * bins, 0);
  for_each_pair(correlations, [&](int thread, std::int64_t i, std::int64_t j, std::uint64_t key) {
    const std::size_t bin = std::min(static_cast<std::size_t>(key * bins >> (kPairKeyBits - 1)), bins - 1);
    ++counts[static_cast<std::size_t>(thread)][(labels[index(i)] == labels[index(j)] ? 0 : bins) + bin];
  });
  PairCounts result{std::vector<std::int64_t>(bins, 0), std::vector<std::int64_t>(bins, 0)};
  for (const auto& own : counts) {
    for (std::size_t b = 0; b < bins; ++b) {
      result.same[b] += own[b];
      result.different[b] += own[bins + b];
    }
  }
  return result;
}

SortedPairs::SortedPairs(std::int64_t n, const Correlations& correlations, std::span<const int> labels)
    : labels_(labels.begin(), labels.end()) {
  AKIN_CHECK(n <= kMostImages, "sorted pairs: {} images, expected at most {}", n, kMostImages);
  using Word = std::uint64_t;
  Buckets<Word, 32> buckets(max_threads());
  for_each_pair(correlations, [&](int thread, std::int64_t i, std::int64_t j, std::uint64_t key) {
    const Word same = labels[index(i)] == labels[index(j)];
    buckets.add(thread, key, static_cast<Word>(i) << 16 | static_cast<Word>(j) << 1 | same);
  });
  pairs_.resize(index(n * (n - 1) / 2));
  std::vector<std::vector<Ties>> ties(kBuckets);
  buckets.sorted([&](std::size_t bucket, std::size_t place, std::span<const Word> words) {
    for (std::size_t i = 0; i < words.size(); ++i) pairs_[place + i] = static_cast<std::uint32_t>(words[i]);
    for_each_tie(words, 32, [&](std::size_t begin, std::size_t end) {
      ties[bucket].push_back({place + begin, place + end});
    });
  });
  for (const auto& part : ties) ties_.insert(ties_.end(), part.begin(), part.end());
}

double SortedPairs::Sums::rho() const {
  const double all = double(total), different = double(total - same);
  if (same == 0 || total == same || !(all * (all * all - 1) > tie_sum)) return std::numeric_limits<double>::quiet_NaN();
  return spearman_from_rank_sum(0.5 * double(twice_rank_sum), double(same), different, tie_sum);
}

double SortedPairs::rho(std::span<const int> counts, std::span<const int> labels) const {
  Sums sums;
  // Pair (i, j) stands for counts[i] counts[j] tied pairs.
  const auto tied = [&](std::size_t begin, std::size_t end) {
    std::uint64_t all = 0, of_same = 0;
    for (std::size_t k = begin; k < end; ++k) {
      const std::uint32_t pair = pairs_[k];
      const auto weight =
          static_cast<std::uint64_t>(counts[pair >> 16]) * static_cast<std::uint64_t>(counts[pair >> 1 & 0x7fff]);
      all += weight;
      of_same += same(pair, labels) ? weight : 0;
    }
    sums.twice_rank_sum += of_same * (2 * sums.total + all + 1);
    sums.tie_sum += cube_minus_self(double(all));
    sums.same += of_same;
    sums.total += all;
  };
  walk(1, tied, tied);
  return sums.rho();
}

}  // namespace akin
