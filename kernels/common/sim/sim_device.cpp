#include "kernels/common/sim/sim_device.hpp"

#include <cstring>

#include "kernels/common/error.hpp"
#include "kernels/common/sim/memory.hpp"
#include "kernels/common/sim/queue.hpp"

namespace akin {

namespace {

class SimEvent : public GpuEvent {
 public:
  SimEvent(std::shared_ptr<sim::Queues> queues, sim::MarkPointer mark)
      : queues_(std::move(queues)), mark_(std::move(mark)) {}
  void synchronize() override { queues_->finish(*mark_); }
  bool done() override {  // it works when somebody waits for it
    synchronize();
    return true;
  }
  float milliseconds_since(const GpuEvent& start) const override {
    return queues_->milliseconds(*static_cast<const SimEvent&>(start).mark_, *mark_);
  }
  const sim::MarkPointer& mark() const { return mark_; }

 private:
  std::shared_ptr<sim::Queues> queues_;
  sim::MarkPointer mark_;
};

class SimGraph : public GpuGraph {
 public:
  explicit SimGraph(std::shared_ptr<const std::vector<sim::Work>> work) : work_(std::move(work)) {}
  std::size_t nodes() const override { return work_->size(); }
  /// Lives on where the graph is destroyed before it is done.
  const std::shared_ptr<const std::vector<sim::Work>>& work() const { return work_; }

 private:
  std::shared_ptr<const std::vector<sim::Work>> work_;
};

class SimStream : public GpuStream {
 public:
  SimStream(std::shared_ptr<sim::Queues> queues, const sim::Options& options)
      : queues_(std::move(queues)), queue_(queues_, options) {}
  void copy(void* to, const void* from, std::size_t bytes) override {
    if (bytes == 0) return;
    const auto prompt = [](const void* p) { return sim::owns(p) || sim::pinned(p); };
    const bool waits = !prompt(to) || !prompt(from);
    if (waits) sim::refuse_in_capture("a copy of host memory that is not pinned");
    queue_.submit([=] {
      const sim::HostAccess open;
      std::memmove(to, from, bytes);
    });
    if (waits) queue_.synchronize();
  }
  void fill(void* to, unsigned char byte, std::size_t bytes) override {
    if (bytes == 0) return;
    queue_.submit([=] {
      const sim::HostAccess open;
      std::memset(to, byte, bytes);
    });
  }
  void synchronize() override { queue_.synchronize(); }
  std::unique_ptr<GpuEvent> record() override { return std::make_unique<SimEvent>(queues_, queue_.record()); }
  void wait(const GpuEvent& event) override { queue_.wait(static_cast<const SimEvent&>(event).mark()); }
  void begin_capture() override { queue_.begin_capture(); }
  std::unique_ptr<GpuGraph> end_capture() override { return std::make_unique<SimGraph>(queue_.end_capture()); }
  bool capturing() const override { return queue_.capturing(); }
  void launch(GpuGraph& graph) override {
    queue_.submit([work = static_cast<SimGraph&>(graph).work()] {
      for (const sim::Work& node : *work) node();
    });
  }
  void* handle() override { return &queue_; }

 private:
  std::shared_ptr<sim::Queues> queues_;
  sim::Queue queue_;
};

class SimDevice : public GpuDevice {
 public:
  explicit SimDevice(const sim::Options& options) : options_(options), queues_(std::make_shared<sim::Queues>(options)) {
    limits_ = {.multiprocessors = options.multiprocessors, .shared_per_block = sim::kSharedPerBlock};
  }
  std::string describe() const override {
    return fmt::format("sim, the CUDA kernels on {} processor thread{}: for correctness, not for speed",
                       options_.os_threads, options_.os_threads == 1 ? "" : "s");
  }
  const GpuLimits& limits() const override { return limits_; }
  GpuMemory memory() const override { return {}; }
  void* allocate(std::size_t bytes) override {
    sim::refuse_in_capture("an allocation of device memory");
    try {
      return sim::allocate(bytes);
    } catch (const Error&) {
      return nullptr;  // the caller knows what to give back, and what to say
    }
  }
  // A card finishes its work before it takes memory back.
  void release(void* block) noexcept override {
    sim::break_capture("a release of device memory");
    queues_->finish_all();
    sim::release(block);
  }
  void* allocate_pinned(std::size_t bytes) override {
    sim::refuse_in_capture("an allocation of pinned host memory");
    return sim::allocate_pinned(bytes);
  }
  void release_pinned(void* block) noexcept override {
    sim::break_capture("a release of pinned host memory");
    queues_->finish_all();
    sim::release_pinned(block);
  }
  std::unique_ptr<GpuStream> make_stream() override { return std::make_unique<SimStream>(queues_, options_); }

 private:
  sim::Options options_;
  std::shared_ptr<sim::Queues> queues_;
  GpuLimits limits_;
};

}  // namespace

std::shared_ptr<GpuDevice> open_sim(const sim::Options& options) { return std::make_shared<SimDevice>(options); }

}  // namespace akin
