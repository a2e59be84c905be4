#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "nn/data/image_batch.hpp"
#include "nn/data/loader.hpp"
#include "nn/zoo/zoo.hpp"
#include "tests/temp_folder.hpp"
#include "tests/toy.hpp"

using namespace akin;
using namespace akin::test;

namespace {

void wait_for(const std::atomic<std::int64_t>& counter, std::int64_t value) {
  for (int i = 0; i < 5000 && counter < value; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

}  // namespace

TEST_CASE("loader: in order, from any start, on a thread of its own that runs its loops alone") {
  for (const std::int64_t first : {0, 17}) {
    const std::thread::id here = std::this_thread::get_id();
    std::atomic<bool> elsewhere{true}, alone{true};
    Loader<std::int64_t> loader(
        [&](std::int64_t t) {
          if (std::this_thread::get_id() == here) elsewhere = false;
          if (max_threads() != 1) alone = false;
          return t;
        },
        first);
    for (std::int64_t t = first; t < first + 200; ++t) CHECK_EQ(loader.next(), t);
    CHECK(elsewhere);
    CHECK(alone);
  }
}

TEST_CASE("loader: works ahead by its depth and no further; destroyed while full") {
  for (const std::size_t depth : {std::size_t{0}, std::size_t{1}, std::size_t{4}}) {
    const auto most = static_cast<std::int64_t>(std::max<std::size_t>(depth, 1));
    std::atomic<std::int64_t> made{0};
    Loader<std::int64_t> loader(
        [&](std::int64_t t) {
          ++made;
          return t;
        },
        0, depth);
    wait_for(made, most);
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    CHECK_EQ(made.load(), most);
    CHECK_EQ(loader.next(), 0);
    wait_for(made, most + 1);
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    CHECK_EQ(made.load(), most + 1);
  }
}

TEST_CASE("loader: an error comes out of next(), after the batches made before it, and stays") {
  Loader<int> loader(
      [](std::int64_t t) {
        if (t == 5) fail("image {} is broken", t);
        return static_cast<int>(t);
      },
      3);
  CHECK_EQ(loader.next(), 3);
  CHECK_EQ(loader.next(), 4);
  CHECK_EQ(error_of([&] { loader.next(); }), "image 5 is broken");
  CHECK_EQ(error_of([&] { loader.next(); }), "image 5 is broken");
  const Loader<int> unread([](std::int64_t) -> int { fail("never asked for"); }, 0);  // must not terminate
}

TEST_CASE("loader: destroyed in the middle of a batch") {
  std::atomic<std::int64_t> began{0};
  std::atomic<bool> ended{false};
  {
    const Loader<int> loader(
        [&](std::int64_t) {
          ++began;
          std::this_thread::sleep_for(std::chrono::milliseconds(30));
          ended = true;
          return 1;
        },
        0);
    wait_for(began, 1);
  }
  CHECK(ended);
}

TEST_CASE("loader: batches equal those made in turn, while the other thread trains with the same allocator") {
  Context ctx;
  const ImageSet set = toy_set(20, 3, 1);
  const Normalization normalization{{0.3f}, {0.4f}};
  const AugmentOptions weak = augment_weak(12, Flip::h);
  const auto batches = [&] {
    return LabelledBatches(ctx, set.images, set.labels, {all_indices(20), 7, 3, 1}, weak, normalization, 3);
  };
  LabelledBatches mine = batches(), theirs = batches();
  const auto net = make_network(ctx, {.name = "resnet8", .width = 4, .channels = 1, .classes = 3});
  initialize(net->parameters(), 1);
  const std::unique_ptr<LabelledFeed> feed = theirs.feed(4);
  for (std::int64_t t = 4; t < 24; ++t) {
    const LabelledBatch got = feed->next(), want = mine.finish(mine.make(t));
    CHECK(same_bits(got.images.to_array(), want.images.to_array()));
    CHECK(same_bits(got.targets.to_array(), want.targets.to_array()));
    net->logits(ctx, got.images, true);
  }
}
