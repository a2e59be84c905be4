#include "engine/profile.hpp"

#include <algorithm>

#include "engine/io/json.hpp"

namespace akin {

namespace {

constexpr std::size_t kMostSlices = 4'000'000;  // of a timeline: some 600 MB of JSON
constexpr std::size_t kMostWaiting = 4096;      // launches whose clocks the card still holds
constexpr const char *kOther = "other", *kLoader = "loader";
constexpr int kLayerTrack = 1000, kCardTrack = 1001;

std::string layer_name(const std::string& parameter) {
  const std::size_t dot = parameter.rfind('.');
  return dot == std::string::npos ? parameter : parameter.substr(0, dot);
}

}  // namespace

void Spent::add(const Spent& more) {
  calls += more.calls;
  seconds += more.seconds;
  work += more.work;
  memory = std::max(memory, more.memory);
}

Profiler::Profiler(bool timeline) : timeline_(timeline) { track(); }

Profiler::Track& Profiler::track() {
  const auto [it, fresh] = tracks_.try_emplace(std::this_thread::get_id());
  if (fresh) it->second.id = static_cast<int>(tracks_.size()) - 1;
  return it->second;
}

void Profiler::know(const Tensor& parameter, const std::string& name) {
  const std::lock_guard lock(mutex_);
  layers_[parameter.handle().get()] = {parameter.handle(), &*names_.insert(layer_name(name)).first};
}

const std::string* Profiler::layer_of(const std::vector<Tensor>& inputs) const {
  for (const Tensor& t : inputs) {
    if (!t.defined()) continue;
    if (const auto it = layers_.find(t.handle().get()); it != layers_.end() && !it->second.first.expired())
      return it->second.second;
  }
  return nullptr;
}

void Profiler::begin(Context& ctx, const KernelCall& call) {
  std::shared_ptr<GpuEvent> from;
  if (ctx.gpu) ctx.gpu->begin_range(call.name);
  if (ctx.stream) from = ctx.stream->record();
  const std::lock_guard lock(mutex_);
  if (from && !card_begun_) {
    card_begun_ = from;
    card_start_ = now();
  }
  Track& t = track();
  t.open.push_back({.call = call, .pass = t.pass, .start = now(), .from = std::move(from)});
}

void Profiler::end(Context& ctx) {
  std::shared_ptr<GpuEvent> to;
  if (ctx.stream) to = ctx.stream->record();
  if (ctx.gpu) ctx.gpu->end_range();
  const std::size_t in_use = ctx.allocator->stats().in_use;
  const std::lock_guard lock(mutex_);
  Track& t = track();
  Launch launch = std::move(t.open.back());
  t.open.pop_back();
  launch.seconds = now() - launch.start;
  launch.memory = in_use;
  launch.to = std::move(to);
  peak_ = std::max(peak_, in_use);
  if (timeline_ && (samples_.empty() || samples_.back().bytes != in_use) && samples_.size() < kMostSlices)
    samples_.push_back({launch.start + launch.seconds, in_use});
  t.pending.push_back(std::move(launch));
  if (t.pending.back().pass == Pass::update) settle(t);
}

void Profiler::forward(const char* op, const std::vector<Tensor>& inputs, const Tensor& output) {
  const std::lock_guard lock(mutex_);
  Track& t = track();
  if (const std::string* layer = layer_of(inputs); layer != nullptr) t.layer = layer;
  const std::int64_t flow = ++flows_;
  outputs_[output.handle().get()] = {t.layer, flow};
  settle(t, op, t.layer, flow, 0);
}

void Profiler::backward(const char* op, const std::vector<Tensor>& inputs, const Tensor& output) {
  const std::lock_guard lock(mutex_);
  const auto it = outputs_.find(output.handle().get());
  settle(track(), op, it != outputs_.end() ? it->second.first : layer_of(inputs), 0,
         it != outputs_.end() ? it->second.second : 0);
}

void Profiler::settle() {
  const std::lock_guard lock(mutex_);
  settle(track());
}

Pass Profiler::set_pass(Pass pass) {
  const std::lock_guard lock(mutex_);
  return std::exchange(track().pass, pass);
}

void Profiler::begin_stage(const char* name) {
  const std::lock_guard lock(mutex_);
  Track& t = track();
  settle(t);
  t.layer = nullptr;
  t.stages.push_back({name, now()});
  if (std::none_of(by_stage_.begin(), by_stage_.end(), [&](const Profile::Stage& s) { return s.name == name; }))
    by_stage_.push_back({.name = name});
}

void Profiler::end_stage() {
  const std::lock_guard lock(mutex_);
  Track& t = track();
  settle(t);
  t.layer = nullptr;
  const OpenStage stage = t.stages.back();
  t.stages.pop_back();
  const double seconds = now() - stage.start;
  const auto sum =
      std::find_if(by_stage_.begin(), by_stage_.end(), [&](const Profile::Stage& s) { return s.name == stage.name; });
  ++sum->times;
  sum->seconds += seconds;
  sum->own_seconds += seconds - stage.inside;
  if (!t.stages.empty()) t.stages.back().inside += seconds;
  keep({.name = stage.name, .track = t.id, .start = stage.start, .seconds = seconds});
}

void Profiler::settle(Track& t, const char* op, const std::string* layer, std::int64_t flow_from,
                      std::int64_t flow_to) {
  if (t.pending.empty()) return;
  const double start = t.pending.front().start;
  const double seconds = t.pending.back().start + t.pending.back().seconds - start;
  for (Launch& launch : t.pending) {
    launch.stage = !t.stages.empty() ? t.stages.back().name : t.id == 0 ? kOther : kLoader;
    launch.layer = layer;
    if (timeline_)
      keep({.name = launch.call.name,
            .track = t.id,
            .start = launch.start,
            .seconds = launch.seconds,
            .work = launch.call.work,
            .layer = layer});
    if (launch.to)
      waiting_.push_back(std::move(launch));
    else
      count(launch);
  }
  t.pending.clear();
  if (waiting_.size() >= kMostWaiting) resolve();
  if (!timeline_) return;
  if (op != nullptr)
    keep({.name = op,
          .track = t.id,
          .start = start,
          .seconds = seconds,
          .layer = layer,
          .flow_from = flow_from,
          .flow_to = flow_to});
  if (layer == nullptr || t.id != 0) return;
  keep({.name = layer->c_str(), .track = kLayerTrack, .start = start, .seconds = seconds});
}

void Profiler::count(const Launch& launch) {
  ops_[{launch.stage, launch.call.name, launch.pass}].add({1, launch.seconds, launch.call.work, launch.memory});
  if (launch.layer == nullptr) return;
  const auto [it, fresh] = layer_places_.try_emplace({launch.stage, launch.layer}, by_layer_.size());
  if (fresh) by_layer_.push_back({.stage = launch.stage, .name = *launch.layer});
  Profile::Layer& sum = by_layer_[it->second];
  (launch.pass == Pass::forward ? sum.forward : sum.backward) += launch.seconds;
  sum.work += launch.call.work;
}

void Profiler::keep(const Slice& slice) {
  if (!timeline_) return;
  if (slices_.size() < kMostSlices)
    slices_.push_back(slice);
  else
    cut_ = true;
}

void Profiler::resolve() {
  if (waiting_.empty()) return;
  waiting_.back().to->synchronize();
  for (Launch& launch : waiting_) {
    launch.seconds = 1e-3 * static_cast<double>(launch.to->milliseconds_since(*launch.from));
    keep({.name = launch.call.name,
          .track = kCardTrack,
          .start = card_start_ + 1e-3 * static_cast<double>(launch.from->milliseconds_since(*card_begun_)),
          .seconds = launch.seconds,
          .work = launch.call.work,
          .layer = launch.layer});
    count(launch);
  }
  waiting_.clear();
}

Profile Profiler::profile() {
  const std::lock_guard lock(mutex_);
  settle(track());
  resolve();
  Profile out;
  out.layers = by_layer_;
  out.stages = by_stage_;
  out.seconds = now();
  out.peak_memory = peak_;
  std::map<std::tuple<std::string, std::string, Pass>, Spent> by_name;
  for (const auto& [key, spent] : ops_) by_name[key].add(spent);
  for (const auto& [key, spent] : by_name)
    out.ops.push_back({std::get<0>(key), std::get<1>(key), std::get<2>(key), spent});
  std::stable_sort(out.ops.begin(), out.ops.end(),
                   [](const Profile::Op& a, const Profile::Op& b) { return a.spent.seconds > b.spent.seconds; });
  return out;
}

std::string Profiler::timeline_json() {
  const std::lock_guard lock(mutex_);
  settle(track());
  resolve();
  const auto micro = [](double seconds) { return 1e6 * seconds; };
  std::string out = "{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n";
  const auto event = [&](const Json& j) { out += j.dump() + ",\n"; };
  const auto name_track = [&](int id, const char* name) {
    event({{"ph", "M"}, {"pid", 1}, {"tid", id}, {"name", "thread_name"}, {"args", {{"name", name}}}});
  };
  event({{"ph", "M"}, {"pid", 1}, {"name", "process_name"}, {"args", {{"name", "akin"}}}});
  for (const auto& [thread, t] : tracks_) name_track(t.id, t.id == 0 ? "ops" : "loader");
  name_track(kLayerTrack, "layers");
  if (card_begun_) name_track(kCardTrack, "device");
  for (const Slice& s : slices_) {
    Json args = Json::object();
    if (s.layer != nullptr) args["layer"] = *s.layer;
    if (s.work.flops > 0) args["flops"] = s.work.flops;
    if (s.work.bytes > 0) args["bytes"] = s.work.bytes;
    event({{"ph", "X"},
           {"pid", 1},
           {"tid", s.track},
           {"name", s.name},
           {"ts", micro(s.start)},
           {"dur", micro(s.seconds)},
           {"args", args}});
    if (s.flow_from > 0)
      event({{"ph", "s"},
             {"pid", 1},
             {"tid", s.track},
             {"id", s.flow_from},
             {"name", "gradient"},
             {"cat", "gradient"},
             {"ts", micro(s.start)}});
    if (s.flow_to > 0)
      event({{"ph", "f"},
             {"bp", "e"},
             {"pid", 1},
             {"tid", s.track},
             {"id", s.flow_to},
             {"name", "gradient"},
             {"cat", "gradient"},
             {"ts", micro(s.start)}});
  }
  for (const Sample& s : samples_)
    event({{"ph", "C"}, {"pid", 1}, {"name", "bytes in use"}, {"ts", micro(s.time)}, {"args", {{"bytes", s.bytes}}}});
  event({{"ph", "M"},
         {"pid", 1},
         {"name", "process_labels"},
         {"args", {{"labels", cut_ ? "cut: more launches than a timeline keeps" : ""}}}});
  out.resize(out.size() - 2);
  return out + "\n]}\n";
}

}  // namespace akin
