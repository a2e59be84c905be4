// Streams, events and graphs of the emulated device: what waits for what, in every mode; and the engine's own use of
// them, which must give the same in all of them.
#include <doctest/doctest.h>

#include <cstring>

#include "kernels/common/sim/memory.hpp"
#include "kernels/common/sim/sim_device.hpp"
#include "nn/data/feed.hpp"
#include "tests/places.hpp"
#include "tests/temp_folder.hpp"

using namespace akin;
using namespace akin::test;

namespace {

std::vector<sim::Options> all_modes() {
  std::vector<sim::Options> all{{.async = sim::Async::none}, {.async = sim::Async::latest}};
  for (std::uint64_t seed = 1; seed <= 12; ++seed) all.push_back({.seed = seed, .async = sim::Async::random});
  return all;
}

/// One pinned number and one on the device.
struct Numbers {
  explicit Numbers(const sim::Options& options)
      : device(open_sim(options)),
        host(static_cast<int*>(device->allocate_pinned(sizeof(int)))),
        there(static_cast<int*>(device->allocate(sizeof(int)))) {}
  ~Numbers() {
    device->release(there);
    device->release_pinned(host);
  }
  Numbers(const Numbers&) = delete;
  Numbers& operator=(const Numbers&) = delete;
  std::shared_ptr<GpuDevice> device;
  int *host, *there;
};

struct Picture {
  Tensor pixels;
  std::shared_ptr<void> seen;  ///< destroyed with the slot that holds it
  void each(auto&& f, auto&... others) { f("pixels", pixels, others.pixels...); }
};

}  // namespace

TEST_CASE("streams: work is done when somebody waits, and copies read host memory then") {
  Numbers n({.async = sim::Async::latest});
  const auto stream = n.device->make_stream();
  *n.host = 1;
  stream->copy(n.there, n.host, sizeof(int));
  *n.host = 2;
  stream->copy(n.host, n.there, sizeof(int));
  const auto event = stream->record();
  stream->fill(n.there, 0, sizeof(int));
  event->synchronize();
  CHECK_EQ(*n.host, 2);
  int pageable = 5;
  stream->copy(&pageable, n.there, sizeof(int));  // waits
  CHECK_EQ(pageable, 0);
  *n.host = 3;
  stream->copy(n.there, n.host, sizeof(int));
  {
    const auto other = n.device->make_stream();
    other->synchronize();  // of its own work alone
    *n.host = 4;
    stream->synchronize();
    stream->copy(&pageable, n.there, sizeof(int));
    CHECK_EQ(pageable, 4);
    *n.host = 6;
    other->copy(n.there, n.host, sizeof(int));
  }  // a stream's end waits for it
  *n.host = 7;
  stream->copy(&pageable, n.there, sizeof(int));
  CHECK_EQ(pageable, 6);
}

TEST_CASE("streams: events order the work of two of them, in every mode") {
  for (const sim::Options& options : all_modes()) {
    Numbers n(options);
    const auto a = n.device->make_stream(), b = n.device->make_stream();
    for (int round = 0; round < 5; ++round) {
      a->fill(n.there, static_cast<unsigned char>(round), 1);
      const auto filled = a->record();
      b->wait(*filled);
      b->copy(n.host, n.there, 1);
      const auto copied = b->record();
      a->wait(*copied);
      a->fill(n.there, 0xee, 1);
      copied->synchronize();
      CHECK_EQ(*reinterpret_cast<unsigned char*>(n.host), round);
      CHECK_GE(copied->milliseconds_since(*filled), 0);
    }
  }
  Numbers n({});
  const auto stream = n.device->make_stream();
  const auto event = stream->record();
  CHECK(has(error_of([&] { event->milliseconds_since(*event); }), "of which one has not come yet"));
  const auto elsewhere = open_sim({})->make_stream();
  CHECK(has(error_of([&] { elsewhere->wait(*event); }), "of another device"));
}

TEST_CASE("streams: memory is taken back when all work is done") {
  Numbers n({});
  const auto stream = n.device->make_stream();
  void* block = n.device->allocate(4);
  *n.host = 11;
  stream->copy(block, n.host, 4);
  stream->copy(n.there, block, 4);
  n.device->release(block);
  *n.host = 12;
  int result = 0;
  stream->copy(&result, n.there, 4);
  CHECK_EQ(result, 11);
}

TEST_CASE("graphs: what a card refuses in a capture is refused, and the stream works on") {
  const auto refused = [](auto&& body) {
    Numbers n({});
    const auto stream = n.device->make_stream(), other = n.device->make_stream();
    const auto event = other->record();
    stream->begin_capture();
    const std::string said = error_of([&] { body(n, *stream, *event); });
    const std::string ended = error_of([&] { stream->end_capture(); });
    CHECK_EQ(said, ended);
    *n.host = 3;
    int result = 0;
    stream->copy(n.there, n.host, sizeof(int));
    stream->copy(&result, n.there, sizeof(int));
    CHECK_EQ(result, 3);
    return ended;
  };
  CHECK(has(refused([](Numbers& n, auto&...) { n.device->allocate(8); }), "an allocation of device memory"));
  CHECK(has(refused([](Numbers& n, auto&...) { n.device->allocate_pinned(8); }), "an allocation of pinned"));
  CHECK(has(refused([](Numbers&, GpuStream& s, auto&...) { s.synchronize(); }), "synchronize() while"));
  CHECK(has(refused([](Numbers&, GpuStream& s, GpuEvent& e, auto&...) { s.wait(e); }), "a wait for an event"));
  CHECK(has(refused([](Numbers& n, GpuStream& s, auto&...) {
              int here = 0;
              s.copy(n.there, &here, sizeof(int));
            }),
            "a copy of host memory that is not pinned"));
  // What cannot throw is told by end_capture().
  for (const bool pinned : {false, true}) {
    Numbers n({});
    const auto stream = n.device->make_stream();
    void* spare = pinned ? n.device->allocate_pinned(16) : n.device->allocate(16);
    stream->begin_capture();
    pinned ? n.device->release_pinned(spare) : n.device->release(spare);
    CHECK(has(error_of([&] { stream->end_capture(); }), pinned ? "a release of pinned" : "a release of device"));
  }
  // An event of the capture is no event for anybody else.
  Numbers n({});
  const auto stream = n.device->make_stream(), other = n.device->make_stream();
  stream->begin_capture();
  const auto event = stream->record();
  const auto graph = stream->end_capture();
  CHECK(has(error_of([&] { event->synchronize(); }), "recorded while a graph was captured"));
  CHECK(has(error_of([&] { other->wait(*event); }), "recorded while a graph was captured"));
}

TEST_CASE("feed: every batch is read as it was made, in every mode; the end waits for copies under way") {
  for (const sim::Options& options : all_modes()) {
    Context ctx(Device::sim, open_sim(options));
    constexpr std::int64_t kPixels = 50;
    const auto batch = [&](std::int64_t t) {
      Picture p{.pixels = Tensor::on_host(ctx, {kPixels}), .seen = {}};
      for (std::int64_t i = 0; i < kPixels; ++i) p.pixels.data<float>()[i] = static_cast<float>(100 * t + i);
      return p;
    };
    std::vector<Tensor> seen;
    Tensor last;
    bool copied = false;
    {
      Uploader<Picture> uploader(ctx);
      uploader.start(batch(0));
      for (std::int64_t t = 0; t < 6; ++t) {
        const Picture& p = uploader.finish();
        seen.push_back(Tensor::empty(ctx, {kPixels}, DType::f32));
        seen.back().copy_from(p.pixels);
        if (t < 5) uploader.start(batch(t + 1));
      }
      // One more, which the host does not wait for: its slot looks when it goes.
      Picture more = batch(9);
      more.seen = std::shared_ptr<void>(nullptr, [&](void*) {
        const sim::HostAccess open;
        copied = last.data<float>()[kPixels - 1] == 900 + kPixels - 1;
      });
      uploader.start(std::move(more));
      last = uploader.finish().pixels;
    }
    CHECK(copied);
    for (std::int64_t t = 0; t < 6; ++t) {
      const Array a = seen[static_cast<std::size_t>(t)].to_array();
      CHECK_EQ(a.as<float>()[0], static_cast<float>(100 * t));
      CHECK_EQ(a.as<float>()[kPixels - 1], static_cast<float>(100 * t + kPixels - 1));
    }
  }
}
