#include <doctest/doctest.h>

#include <cstdint>
#include <cstring>
#include <set>
#include <thread>

#include "engine/allocator.hpp"
#include "engine/tensor.hpp"
#include "kernels/common/error.hpp"
#include "kernels/common/gpu/shared_grants.hpp"
#include "kernels/common/rng.hpp"
#include "kernels/common/sim/memory.hpp"

using namespace akin;

TEST_CASE("allocator: a released block is used again, and only for its size") {
  Allocator a;
  void* first = a.allocate(1000);
  a.release(first, 1000);
  CHECK_EQ(a.stats().in_use, 0);
  CHECK_EQ(a.stats().cached, 1024);
  CHECK_EQ(a.allocate(1010), first);  // the same 16 cache lines
  CHECK_EQ(a.stats().cached, 0);
  void* other = a.allocate(2000);
  CHECK_NE(other, first);
  CHECK_EQ(a.stats().system_calls, 2);
  a.release(first, 1010);
  void* larger = a.allocate(1025);
  CHECK_NE(larger, first);
  CHECK_EQ(a.stats().system_calls, 3);
  a.release(other, 2000);
  a.release(larger, 1025);
}

TEST_CASE("allocator: stats follow every call") {
  Allocator a;
  void* x = a.allocate(640);
  void* y = a.allocate(1);
  CHECK_EQ(a.stats().in_use, 704);
  a.release(x, 640);
  CHECK_EQ(a.stats().in_use, 64);
  CHECK_EQ(a.stats().cached, 640);
  CHECK_EQ(a.stats().peak_in_use, 704);
  a.flush();
  CHECK_EQ(a.stats().cached, 0);
  CHECK_EQ(a.stats().in_use, 64);  // what is out stays out
  static_cast<char*>(y)[0] = 1;
  a.release(y, 1);
  CHECK_EQ(a.stats().in_use, 0);
  CHECK_EQ(a.stats().peak_in_use, 704);
  CHECK_EQ(a.stats().fence_breaks, 0);
}

TEST_CASE("allocator: blocks are aligned, apart, and start in different cache sets") {
  Allocator a;
  std::set<std::uintptr_t> offsets;
  std::vector<char*> blocks;
  constexpr std::size_t size = 1 << 16;
  for (int i = 0; i < 15; ++i) {
    blocks.push_back(static_cast<char*>(a.allocate(size)));
    std::memset(blocks.back(), i, size);
    CHECK_EQ(reinterpret_cast<std::uintptr_t>(blocks.back()) % 64, 0);
    offsets.insert(reinterpret_cast<std::uintptr_t>(blocks.back()) % 4096);
  }
  CHECK(offsets.size() >= 8);  // of 64 sets of a page; without staggering big blocks share one
  for (int i = 0; i < 15; ++i) {
    CHECK_EQ(blocks[std::size_t(i)][0], i);
    CHECK_EQ(blocks[std::size_t(i)][size - 1], i);
    a.release(blocks[std::size_t(i)], size);
  }
  void* none = a.allocate(0);
  CHECK_NE(none, nullptr);
  a.release(none, 0);
}

TEST_CASE("allocator: poison fills fresh and reused blocks and guards their end") {
  Allocator a({.poison = true});
  for (int round = 0; round < 2; ++round) {
    auto* block = static_cast<unsigned char*>(a.allocate(100));
    for (int i = 0; i < 100; ++i) CHECK_EQ(block[i], 0xFF);
    std::memset(block, 0, 100);
    a.release(block, 100);
    CHECK_EQ(a.stats().fence_breaks, 0);
  }
  CHECK_EQ(a.stats().system_calls, 1);
  auto* block = static_cast<unsigned char*>(a.allocate(128));  // a full number of cache lines has a fence, too
  block[128] = 0;
  a.release(block, 128);
  CHECK_EQ(a.stats().fence_breaks, 1);
  block = static_cast<unsigned char*>(a.allocate(100));
  block[100] = 7;
  a.release(block, 100);
  CHECK_EQ(a.stats().fence_breaks, 2);
}

TEST_CASE("allocator: at the limit the cache goes back first, then an error gives the sizes") {
  Allocator a({.limit = 10000});
  void* x = a.allocate(6000);
  a.release(x, 6000);
  CHECK_EQ(a.stats().cached, 6016);
  void* y = a.allocate(8000);  // does not fit beside the cached block
  CHECK_EQ(a.stats().cached, 0);
  CHECK_EQ(a.stats().in_use, 8000);
  CHECK_THROWS_WITH_AS(a.allocate(3000), doctest::Contains("3000 bytes asked for, 8000 in use, limit 10000"), Error);
  CHECK_THROWS_WITH_AS(a.allocate(3000), doctest::Contains("smaller batch"), Error);
  CHECK_EQ(a.stats().in_use, 8000);  // the refusal changed nothing
  void* z = a.allocate(1900);
  a.release(z, 1900);
  a.release(y, 8000);
  void* most = a.allocate(9000);
  CHECK_NE(most, nullptr);
  a.release(most, 9000);

  Allocator unlimited;
  CHECK_THROWS_WITH_AS(unlimited.allocate(std::size_t{1} << 60), doctest::Contains("limit the machine's"), Error);
  CHECK_THROWS_AS(unlimited.allocate(SIZE_MAX), Error);  // rounding up must not wrap around to a small block
  CHECK_THROWS_AS(unlimited.allocate(SIZE_MAX - 500), Error);
  CHECK_EQ(unlimited.stats().in_use, 0);
  Allocator limited({.limit = 1000});
  CHECK_THROWS_AS(limited.allocate(SIZE_MAX - 500), Error);
}

TEST_CASE("allocator: a Context's tensors obey its limit and outlive the Context") {
  Tensor kept;
  {
    Context ctx(Device::cpu, {.limit = 1 << 20});
    kept = Tensor::zeros(ctx, {1000});
    CHECK_THROWS_WITH_AS(Tensor::zeros(ctx, {1 << 20}), doctest::Contains("out of memory: 4194304 bytes"), Error);
  }
  CHECK_EQ(kept.data<float>()[999], 0);
}

TEST_CASE("allocator: device memory that runs out is given back and asked for again, then the sizes are told") {
  sim::close_to_host(std::size_t{64} << 20);  // so much has the emulated card
  {
    Context ctx(Device::sim);
    const std::int64_t mib = 1 << 20;
    { const Tensor cached = Tensor::empty(ctx, {48 * mib}, DType::u8); }
    CHECK_EQ(ctx.allocator->stats().cached, 48 * mib);
    const Tensor kept = Tensor::empty(ctx, {32 * mib}, DType::u8);  // only there once the cache is flushed
    CHECK_EQ(ctx.allocator->stats().cached, 0);
    std::string error;
    try {
      Tensor::empty(ctx, {48 * mib}, DType::u8);
    } catch (const Error& e) {
      error = e.what();
    }
    const char* wanted = "out of memory on the device: 50331648 bytes asked for, 33554432 in use";
    CHECK_MESSAGE(error.find(wanted) != std::string::npos, error);
    CHECK(error.find("smaller batch") != std::string::npos);
    kept.set_zero();  // what was there before still works
  }
  sim::close_to_host(std::size_t{4} << 30);
}

TEST_CASE("allocator: while a graph is captured the device is asked for nothing and given nothing back") {
  Context ctx(Device::sim);
  { const Tensor cached = Tensor::empty(ctx, {1000}, DType::u8); }
  ctx.stream->begin_capture();
  CHECK_THROWS_WITH_AS(Tensor::empty(ctx, {5000}, DType::u8),
                       doctest::Contains("out of memory on the device: 5000 bytes asked for while a graph is captured, "
                                         "0 in use, 1024 kept for other sizes"),
                       Error);
  CHECK_EQ(ctx.allocator->stats().cached, 1024);
  {
    const Tensor kept = Tensor::empty(ctx, {1000}, DType::u8);
    CHECK_EQ(ctx.allocator->stats().cached, 0);
  }
  ctx.stream->end_capture();
  CHECK_EQ(Tensor::empty(ctx, {5000}, DType::u8).numel(), 5000);
}

TEST_CASE("device: every reason not to use a card is told with what to do") {
  const auto has = [](const std::string& text, const char* part) { return text.find(part) != std::string::npos; };
  CHECK(has(cuda_problem({.runtime = 13000}), "no NVIDIA driver"));
  const std::string old = cuda_problem({.driver = 12020, .runtime = 13000, .too_old = true});
  CHECK(has(old, "supports CUDA 12.2, this akin was built with 13.0; update the driver"));
  CHECK(has(cuda_problem({.driver = 13000, .runtime = 13000, .error = "system not yet initialized"}), "not yet"));
  CHECK(has(cuda_problem({.driver = 13000, .runtime = 13000}), "no NVIDIA card"));
  CHECK(has(cuda_problem({.driver = 13000, .runtime = 13000, .cards = 2, .wanted = 2}), "card 2 was asked for"));
  CHECK_EQ(cuda_problem({.driver = 13000, .runtime = 13000, .cards = 2, .wanted = 1}), "");
  const char* both = "80-real,90a-real";
  CHECK(has(card_problem("Tesla V100", 7, 0, both), "Tesla V100 has compute capability 7.0, at least 8.0"));
  CHECK_EQ(card_problem("NVIDIA H100", 9, 0, both), "");
  CHECK_EQ(card_problem("NVIDIA L40", 8, 9, both), "");
  CHECK_EQ(
      card_problem("NVIDIA B200", 10, 0, both),
      "device cuda: NVIDIA B200 has compute capability 10.0, this akin holds code for 80-real,90a-real alone; build "
      "it again with -DCMAKE_CUDA_ARCHITECTURES=100, or use --device cpu");
  for (const char* runs : {"80,90a-real", "90a-real,90-virtual", "100-real", "100a-real", "100f-real", "native", "all"})
    CHECK_EQ(card_problem("NVIDIA B200", 10, 0, runs), "");
  for (const char* not_there : {"90a", "103-real", "103-virtual", "103f-real", "120-real", ""})
    CHECK(has(card_problem("NVIDIA B200", 10, 0, not_there), "build it again with"));
  CHECK(has(card_problem("NVIDIA A100", 8, 0, "86-real"), "holds code for 86-real alone"));
  if (!built_with_cuda()) CHECK_THROWS_WITH_AS(open_cuda(), doctest::Contains("built without CUDA"), Error);
}

TEST_CASE("device: a kernel is given shared memory once for each card, and again only for more") {
  SharedGrants grants;
  int told = 0;
  const int a = 0, b = 0;
  const auto ask = [&](int card, const void* kernel, std::size_t bytes, bool works = true) {
    const bool granted = grants.once(card, kernel, bytes, [&] { return ++told, works; });
    CHECK_EQ(granted, works);
    return told;
  };
  CHECK_EQ(ask(0, &a, 50000, false), 1);
  CHECK_EQ(ask(0, &a, 50000), 2);  // it did not work
  CHECK_EQ(ask(0, &a, 50000), 2);
  CHECK_EQ(ask(0, &a, 49000), 2);
  CHECK_EQ(ask(0, &a, 60000), 3);
  CHECK_EQ(ask(0, &b, 50000), 4);
  CHECK_EQ(ask(1, &a, 50000), 5);
}

TEST_CASE("allocator: threads never get the same block") {
  Allocator a({.poison = true});
  std::vector<std::thread> threads;
  std::vector<int> wrong(4, 0);
  for (std::uint32_t t = 0; t < 4; ++t)
    threads.emplace_back([&a, &wrong, t] {
      Rng rng(1, t);
      for (int i = 0; i < 1000; ++i) {
        const std::size_t bytes = 64 * (1 + rng.below(4));
        auto* block = static_cast<unsigned char*>(a.allocate(bytes));
        std::memset(block, static_cast<int>(t), bytes);
        if (i % 100 == 0) a.flush();
        std::this_thread::yield();
        for (std::size_t k = 0; k < bytes; ++k) wrong[t] += block[k] != t;
        a.release(block, bytes);
      }
    });
  for (std::thread& t : threads) t.join();
  CHECK(wrong == std::vector<int>(4, 0));
  CHECK_EQ(a.stats().in_use, 0);
  CHECK_EQ(a.stats().fence_breaks, 0);
  CHECK(a.stats().peak_in_use <= 4 * 320);
}
