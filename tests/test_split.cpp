#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <set>

#include "nn/data/split.hpp"
#include "tests/temp_folder.hpp"

using namespace akin;
using namespace akin::test;

namespace {

const std::vector<std::string> kClasses = {"a", "b", "c"};

std::vector<int> labels_of(const std::vector<int>& counts) {
  std::vector<int> labels;
  for (std::size_t c = 0; c < counts.size(); ++c)
    labels.insert(labels.end(), static_cast<std::size_t>(counts[c]), static_cast<int>(c));
  return labels;
}

}  // namespace

TEST_CASE("permutation: every number once, by seed, stream and epoch") {
  for (const std::int64_t n : {0, 1, 2, 7, 257}) {
    Indices p = permutation(n, 3);
    CHECK_EQ(p, permutation(n, 3));
    std::sort(p.begin(), p.end());
    for (std::int64_t i = 0; i < n; ++i) CHECK_EQ(p[static_cast<std::size_t>(i)], i);
  }
  const Indices p = permutation(100, 3, 1, 5);
  CHECK_NE(p, permutation(100, 4, 1, 5));
  CHECK_NE(p, permutation(100, 3, 2, 5));
  CHECK_NE(p, permutation(100, 3, 1, 6));
  // Uniform: over 3000 epochs each of the 6 orders of three comes 500 times, standard deviation sqrt(3000 5/36) = 20.4.
  std::map<Indices, int> seen;
  for (std::uint64_t e = 0; e < 3000; ++e) ++seen[permutation(3, 1, 0, e)];
  CHECK_EQ(seen.size(), 6);
  for (const auto& [order, count] : seen) CHECK(std::abs(count - 500) <= 5 * 21);
}

TEST_CASE("split: disjoint, even over the classes, in ascending order, a function of the seed") {
  const std::vector<int> labels = labels_of({40, 25, 31});
  const SplitOptions options{.labels_per_class = 4, .unlabelled = 50, .validation = 11, .seed = 9};
  const TaskSplit s = split_task(labels, kClasses, options);
  CHECK_EQ(s.labelled.size(), 12);
  CHECK_EQ(s.unlabelled.size(), 50);
  CHECK_EQ(s.validation.size(), 11);
  std::set<std::int64_t> all;
  for (const Indices* part : {&s.labelled, &s.unlabelled, &s.validation}) {
    CHECK(std::is_sorted(part->begin(), part->end()));
    all.insert(part->begin(), part->end());
  }
  CHECK_EQ(all.size(), 73);
  CHECK(*all.begin() >= 0);
  CHECK(*all.rbegin() < 96);
  std::map<int, int> count;
  for (const std::int64_t i : s.labelled) ++count[labels[static_cast<std::size_t>(i)]];
  for (int c = 0; c < 3; ++c) CHECK_EQ(count[c], 4);
  const TaskSplit again = split_task(labels, kClasses, options);
  CHECK_EQ(s.labelled, again.labelled);
  CHECK_EQ(s.unlabelled, again.unlabelled);
  CHECK_EQ(s.validation, again.validation);
  SplitOptions other = options;
  other.seed = 10;
  CHECK_NE(s.labelled, split_task(labels, kClasses, other).labelled);
  // More labels keep the first ones: budgets can be compared.
  other = options;
  other.labels_per_class = 6;
  const TaskSplit more = split_task(labels, kClasses, other);
  CHECK(std::includes(more.labelled.begin(), more.labelled.end(), s.labelled.begin(), s.labelled.end()));
}

TEST_CASE("split: 0 unlabelled means all that are left, and too many are cut to them") {
  const std::vector<int> labels = labels_of({10, 10, 10});
  CHECK_EQ(split_task(labels, kClasses, {.labels_per_class = 2, .unlabelled = 0}).unlabelled.size(), 24);
  CHECK_EQ(split_task(labels, kClasses, {.labels_per_class = 2, .unlabelled = 999, .validation = 4}).unlabelled.size(),
           20);
}

TEST_CASE("split: too few images, an empty class and wrong labels are named") {
  const auto error = [](const std::vector<int>& labels, const SplitOptions& o, bool elsewhere = false) {
    return error_of([&] { split_task(labels, kClasses, o, elsewhere); });
  };
  CHECK(has(error(labels_of({10, 2, 10}), {.labels_per_class = 3}), "class 'b' has 2 training images, 3"));
  CHECK(has(error(labels_of({10, 10, 0}), {.labels_per_class = 1}), "class 'c' has 0 training images"));
  CHECK(has(error({0, 1, 2, 3}, {.labels_per_class = 1}), "image 3 has label 3"));
  CHECK(has(error({0, -1, 2, 1}, {.labels_per_class = 1}), "image 1 has label -1"));
  CHECK(has(error(labels_of({2, 2, 2}), {.labels_per_class = 2}), "0 images are left"));
  CHECK_EQ(error(labels_of({2, 2, 2}), {.labels_per_class = 2}, true), "");
  CHECK(has(error(labels_of({3, 3, 3}), {.labels_per_class = 2, .validation = 3}), "3 validation images"));
  CHECK(has(error(labels_of({2, 2, 2}), {.labels_per_class = 2, .validation = 1}, true), "1 validation"));
  CHECK_THROWS_AS(split_task({0, 1, 2}, kClasses, {.labels_per_class = 0}), UsageError);
  CHECK_THROWS_AS(split_task({0, 1, 2}, kClasses, {.unlabelled = -1}), UsageError);
  CHECK_THROWS_AS(split_task({0, 1, 2}, kClasses, {.validation = -1}), UsageError);
}

TEST_CASE("split: all labels are those that validation leaves, and no class loses its last one") {
  const std::vector<int> labels = labels_of({10, 1, 4});
  const TaskSplit all = split_task(labels, kClasses, {.labels_per_class = kAllLabels});
  CHECK_EQ(all.labelled.size(), 15);
  CHECK(all.unlabelled.empty());
  for (const std::uint64_t seed : {0, 1, 2, 3, 4}) {
    const TaskSplit held =
        split_task(labels, kClasses, {.labels_per_class = kAllLabels, .validation = 12, .seed = seed});
    CHECK_EQ(held.validation.size(), 12);
    std::set<int> left;
    for (const std::int64_t i : held.labelled) left.insert(labels[static_cast<std::size_t>(i)]);
    CHECK_EQ(left.size(), 3);
  }
  const auto error = [&](const SplitOptions& o) { return error_of([&] { split_task(labels, kClasses, o); }); };
  CHECK(has(error({.labels_per_class = kAllLabels, .validation = 13}), "too few for 13 validation images"));
  CHECK(has(error({.labels_per_class = kAllLabels, .validation_per_class = 1}), "class 'b' has 1 images: too few"));
  const TaskSplit share =
      split_task(labels_of({10, 5, 20}), kClasses, {.labels_per_class = kAllLabels, .validation_fraction = 0.2});
  CHECK_EQ(share.validation.size(), 7);
  CHECK_EQ(share.labelled.size(), 28);
}

TEST_CASE("batches: every epoch shows every image once, also where batches span epochs or exceed the set") {
  for (const std::int64_t batch : {1, 3, 7, 10, 31})
    for (const std::int64_t n : {1, 7, 10}) {
      CAPTURE(batch);
      CAPTURE(n);
      Indices items;
      for (std::int64_t i = 0; i < n; ++i) items.push_back(100 + 2 * i);
      BatchOrder order(items, batch, 5, 1);
      CHECK_EQ(order.batch_size(), batch);
      CHECK_EQ(order.size(), n);
      std::map<std::uint32_t, std::multiset<std::int64_t>> epochs;
      const std::int64_t batches = (4 * n + batch - 1) / batch;
      std::uint32_t last = 0;
      for (std::int64_t t = 0; t < batches; ++t) {
        const auto b = order.batch(t);
        CHECK_EQ(b.size(), static_cast<std::size_t>(batch));
        for (const AugmentItem& item : b) {
          CHECK(item.epoch >= last);
          CHECK(item.epoch <= last + 1);
          last = item.epoch;
          epochs[item.epoch].insert(item.image);
        }
      }
      for (std::uint32_t e = 0; e < 4; ++e) CHECK(epochs[e] == std::multiset<std::int64_t>(items.begin(), items.end()));
    }
}

TEST_CASE("batches: random access equals sequential access; seeds and streams differ") {
  const Indices items = permutation(23, 1);
  const auto images = [](const std::vector<AugmentItem>& b) {
    std::vector<std::pair<std::int64_t, std::uint32_t>> out;
    for (const AugmentItem& i : b) out.emplace_back(i.image, i.epoch);
    return out;
  };
  BatchOrder sequential(items, 7, 5, 1), random(items, 7, 5, 1), seed(items, 7, 6, 1), stream(items, 7, 5, 2);
  std::vector<std::vector<std::pair<std::int64_t, std::uint32_t>>> all;
  for (std::int64_t t = 0; t < 20; ++t) all.push_back(images(sequential.batch(t)));
  for (const std::int64_t t : permutation(20, 3)) CHECK(images(random.batch(t)) == all[static_cast<std::size_t>(t)]);
  CHECK(images(seed.batch(0)) != all[0]);
  CHECK(images(stream.batch(0)) != all[0]);
  CHECK_THROWS_AS(BatchOrder({}, 7, 5, 1), Error);
  CHECK_THROWS_AS(BatchOrder(items, 0, 5, 1), Error);
}
