#include "kernels/common/sim/sim_device.hpp"

#include <chrono>
#include <cstdlib>
#include <cstring>

#include "kernels/common/error.hpp"
#include "kernels/common/sim/memory.hpp"
#include "kernels/common/sim/queue.hpp"

namespace akin {

namespace {

using Clock = std::chrono::steady_clock;

class SimEvent : public GpuEvent {
 public:
  void synchronize() override {}
  float milliseconds_since(const GpuEvent& start) const override {
    return std::chrono::duration<float, std::milli>(at_ - static_cast<const SimEvent&>(start).at_).count();
  }

 private:
  Clock::time_point at_ = Clock::now();
};

class SimGraph : public GpuGraph {
 public:
  std::size_t nodes() const override { return work.size(); }
  std::vector<std::function<void()>> work;
};

class SimStream : public GpuStream {
 public:
  explicit SimStream(const sim::Options& options) { queue_.options = options; }
  void copy(void* to, const void* from, std::size_t bytes) override {
    if (bytes == 0) return;
    queue_.submit([=] {
      const sim::HostAccess open;
      std::memmove(to, from, bytes);
    });
  }
  void fill(void* to, unsigned char byte, std::size_t bytes) override {
    if (bytes == 0) return;
    queue_.submit([=] {
      const sim::HostAccess open;
      std::memset(to, byte, bytes);
    });
  }
  void synchronize() override {
    AKIN_CHECK(queue_.recording == nullptr, "sim: a stream that captures a graph cannot be waited for");
  }
  std::unique_ptr<GpuEvent> record() override { return std::make_unique<SimEvent>(); }
  void wait(const GpuEvent&) override {}
  void begin_capture() override {
    AKIN_CHECK(queue_.recording == nullptr, "sim: this stream captures a graph already");
    graph_ = std::make_unique<SimGraph>();
    queue_.recording = &graph_->work;
  }
  std::unique_ptr<GpuGraph> end_capture() override {
    AKIN_CHECK(queue_.recording != nullptr, "sim: this stream captures no graph");
    queue_.recording = nullptr;
    return std::move(graph_);
  }
  bool capturing() const override { return queue_.recording != nullptr; }
  void launch(GpuGraph& graph) override {
    for (const auto& work : static_cast<SimGraph&>(graph).work) work();
  }
  void* handle() override { return &queue_; }

 private:
  sim::Queue queue_;
  std::unique_ptr<SimGraph> graph_;
};

class SimDevice : public GpuDevice {
 public:
  explicit SimDevice(const sim::Options& options) : options_(options) {}
  std::string describe() const override {
    return fmt::format("sim, the CUDA kernels on {} processor thread{}: for correctness, not for speed",
                       options_.os_threads, options_.os_threads == 1 ? "" : "s");
  }
  const GpuLimits& limits() const override { return limits_; }
  GpuMemory memory() const override { return {}; }
  void* allocate(std::size_t bytes) override {
    try {
      return sim::allocate(bytes);
    } catch (const Error&) {
      return nullptr;  // the caller knows what to give back, and what to say
    }
  }
  void release(void* block) noexcept override { sim::release(block); }
  void* allocate_pinned(std::size_t bytes) override {
    void* block = std::malloc(bytes);
    AKIN_CHECK(block != nullptr || bytes == 0, "sim: {} bytes of host memory could not be had", bytes);
    return block;
  }
  void release_pinned(void* block) noexcept override { std::free(block); }
  std::unique_ptr<GpuStream> make_stream() override { return std::make_unique<SimStream>(options_); }

 private:
  sim::Options options_;
  GpuLimits limits_{.multiprocessors = 2, .shared_per_block = 227 * 1024};
};

}  // namespace

std::shared_ptr<GpuDevice> open_sim(const sim::Options& options) { return std::make_shared<SimDevice>(options); }

}  // namespace akin
