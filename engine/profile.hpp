// Where a run's time goes: every launch of a kernel by stage, op, pass and layer, and a timeline of them. While a
// Context has a profiler, launch_on tells it of each launch; otherwise a launch pays one comparison for it.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "engine/tensor.hpp"
#include "kernels/common/work.hpp"

namespace akin {

enum class Pass { forward, backward, update };
constexpr const char* name_of(Pass pass) {
  return pass == Pass::forward ? "forward" : pass == Pass::backward ? "backward" : "update";
}

/// What launches took together. On a GPU seconds are the card's.
struct Spent {
  std::int64_t calls = 0;
  double seconds = 0;
  Work work;
  std::size_t memory = 0;  ///< most bytes of tensors in use at the end of one of them
  void add(const Spent& more);
};

struct Profile {
  struct Op {
    std::string stage, name;
    Pass pass;
    Spent spent;
  };
  struct Layer {
    std::string stage, name;           ///< of its first parameter; ops without one count to the layer before
    double forward = 0, backward = 0;  ///< seconds
    Work work = {};
  };
  struct Stage {
    std::string name;
    std::int64_t times = 0;
    double seconds = 0, own_seconds = 0;  ///< own: without the stages inside it
  };
  std::vector<Op> ops;        ///< longest first
  std::vector<Layer> layers;  ///< in the order in which they first ran
  std::vector<Stage> stages;  ///< in the order in which they first began
  double seconds = 0;         ///< since the profiler was made
  std::size_t peak_memory = 0;
};

/// For one device. Threads may tell it of launches at once: each has a track of its own.
class Profiler {
 public:
  /// `timeline`: keep every launch for timeline_json(); else sums alone.
  explicit Profiler(bool timeline = false);

  /// Launches that read `parameter` belong to the layer `name` says: "layer1.0.conv1" of "layer1.0.conv1.weight".
  void know(const Tensor& parameter, const std::string& name);

  // What launches and ops tell.
  void begin(Context& ctx, const KernelCall& call);
  void end(Context& ctx);
  /// The launches since the last op belong to this one.
  void forward(const char* op, const std::vector<Tensor>& inputs, const Tensor& output);
  void backward(const char* op, const std::vector<Tensor>& inputs, const Tensor& output);
  /// The launches since the last op belong to none.
  void settle();
  /// Returns what was before.
  Pass set_pass(Pass pass);
  void begin_stage(const char* name);
  void end_stage();

  /// The sums so far; waits for the device.
  Profile profile();
  /// Chrome's trace format, for ui.perfetto.dev: launches within their ops on a track a thread, layers, the bytes of
  /// tensors in use, and arrows from an op to its backward pass. On a GPU the card's launches have a track of their
  /// own.
  std::string timeline_json();

 private:
  using Clock = std::chrono::steady_clock;
  struct Launch {
    KernelCall call;
    Pass pass;
    double start = 0, seconds = 0;
    std::size_t memory = 0;
    std::shared_ptr<GpuEvent> from = nullptr, to = nullptr;
    const char* stage = "";
    const std::string* layer = nullptr;  // one of names_
  };
  struct OpenStage {
    const char* name;
    double start, inside = 0;  ///< seconds of the stages within
  };
  struct Track {
    int id = 0;
    std::vector<Launch> open, pending;
    std::vector<OpenStage> stages;
    const std::string* layer = nullptr;
    Pass pass = Pass::forward;  // a loader makes images while the other thread runs backwards
  };
  struct Slice {
    const char* name;  // a literal, or of names_
    int track = 0;
    double start = 0, seconds = 0;
    Work work = {};
    const std::string* layer = nullptr;
    std::int64_t flow_from = 0, flow_to = 0;
  };
  struct Sample {
    double time;
    std::size_t bytes;
  };

  double now() const { return std::chrono::duration<double>(Clock::now() - begun_).count(); }
  Track& track();
  const std::string* layer_of(const std::vector<Tensor>& inputs) const;
  void settle(Track& t, const char* op = nullptr, const std::string* layer = nullptr, std::int64_t flow_from = 0,
              std::int64_t flow_to = 0);
  void count(const Launch& launch);
  void keep(const Slice& slice);
  /// Reads the clocks of the card for the launches that wait for it.
  void resolve();

  const Clock::time_point begun_ = Clock::now();
  const bool timeline_;
  std::mutex mutex_;
  std::map<std::thread::id, Track> tracks_;
  std::set<std::string> names_;  // of layers; never moved
  /// By parameter. One that is gone is none: its address may be another tensor's by then.
  std::unordered_map<const void*, std::pair<std::weak_ptr<Tensor::Impl>, const std::string*>> layers_;
  std::unordered_map<const void*, std::pair<const std::string*, std::int64_t>>
      outputs_;  // layer and flow, for the backward pass
  // By address, for a launch shall cost little: two literals of one name are joined in profile().
  std::map<std::tuple<const char*, const char*, Pass>, Spent> ops_;
  std::vector<Profile::Layer> by_layer_;
  std::map<std::pair<const char*, const std::string*>, std::size_t> layer_places_;
  std::vector<Profile::Stage> by_stage_;
  std::vector<Launch> waiting_;  // for the card
  std::shared_ptr<GpuEvent> card_begun_;
  double card_start_ = 0;
  std::size_t peak_ = 0;
  std::vector<Slice> slices_;
  std::vector<Sample> samples_;
  std::int64_t flows_ = 0;
  bool cut_ = false;  // the timeline was full
};

/// While alive, launches of `ctx` are told to `profiler` (nullptr: nobody); then the previous state returns. No other
/// thread may use `ctx` when it begins or ends: a loader of `ctx` begins and ends within.
using ProfileScope = ContextScope<&Context::profiler>;

/// While alive, the thread's time and launches belong to a stage of the run: "teachers", "test".
class StageScope {
 public:
  StageScope(const Context& ctx, const char* name) : profiler_(ctx.profiler), gpu_(ctx.gpu.get()) {
    if (profiler_ == nullptr) return;
    profiler_->begin_stage(name);
    if (gpu_ != nullptr) gpu_->begin_range(name);
  }
  ~StageScope() {
    if (profiler_ == nullptr) return;
    if (gpu_ != nullptr) gpu_->end_range();
    profiler_->end_stage();
  }
  StageScope(const StageScope&) = delete;
  StageScope& operator=(const StageScope&) = delete;

 private:
  Profiler* profiler_;
  GpuDevice* gpu_;
};

/// While alive, launches belong to this pass.
class PassScope {
 public:
  PassScope(const Context& ctx, Pass pass) : profiler_(ctx.profiler) {
    if (profiler_ != nullptr) before_ = profiler_->set_pass(pass);
  }
  ~PassScope() {
    if (profiler_ != nullptr) profiler_->set_pass(before_);
  }
  PassScope(const PassScope&) = delete;
  PassScope& operator=(const PassScope&) = delete;

 private:
  Profiler* profiler_;
  Pass before_ = Pass::forward;
};

/// One launch, told to the profiler if there is one.
class LaunchScope {
 public:
  LaunchScope(Context& ctx, const KernelCall& call) : ctx_(ctx), profiler_(ctx.profiler) {
    if (profiler_ != nullptr) profiler_->begin(ctx_, call);
  }
  ~LaunchScope() {
    if (profiler_ != nullptr) profiler_->end(ctx_);
  }
  LaunchScope(const LaunchScope&) = delete;
  LaunchScope& operator=(const LaunchScope&) = delete;

 private:
  Context& ctx_;
  Profiler* profiler_;
};

}  // namespace akin
