// Running a block: the life of a CUDA thread, the barrier, and what happens when nothing can run any more.
#include "kernels/common/sim/block.hpp"

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <map>
#include <utility>

#include "kernels/common/sim/multiprocessor.hpp"
#include "kernels/common/sim/sanitizers.hpp"

namespace akin::sim {

constinit thread_local Multiprocessor* current = nullptr;

namespace {

void fibre_main() noexcept;

/// A fibre that may begin with a new CUDA thread. TSan identifies a CUDA thread by its fibre, so there the fibres of
/// one block are all different, and different from those of the block before.
Fibre& take_fibre(Multiprocessor& sm, Lane& lane) {
  Fibre* fibre = nullptr;
  if constexpr (kTsan) {
    fibre = sm.fibres[sm.next_fibre++ % sm.fibres.size()].get();
  } else if (!sm.free_fibres.empty()) {
    fibre = sm.free_fibres.back();
    sm.free_fibres.pop_back();
  } else {
    auto made = std::make_unique<Fibre>();
    create_fibre(*made, static_cast<unsigned>(sm.fibres.size()), fibre_main);
    fibre = made.get();
    sm.fibres.push_back(std::move(made));
  }
  fibre->start = &lane;
  return *fibre;
}

void switch_to(Multiprocessor& sm, Fibre& to, bool abandon = false) {
  Fibre& from = *sm.fibre;
  sm.fibre = &to;
  switch_fibre(from, to, abandon);
}

void switch_to(Multiprocessor& sm, Lane& lane) {
  sm.lane = &lane;
  switch_to(sm, lane.fibre != nullptr ? *lane.fibre : take_fibre(sm, lane));
}

Lane& next_lane(Multiprocessor& sm) {
  const int next = sm.ready.pop();
  if (next < 0) fail_thread(sm.lane->site, "deadlock: no thread of the block can run");
  return sm.lanes[static_cast<unsigned>(next)];
}

/// For the race checker's reports.
void name_fibre([[maybe_unused]] const Lane& lane) {
#if defined(AKIN_SIM_TSAN)
  char name[64];
  const cuda::uint3 b = cuda::blockIdx, t = lane.thread;
  std::snprintf(name, sizeof name, "block (%u,%u,%u) thread (%u,%u,%u)", b.x, b.y, b.z, t.x, t.y, t.z);
  __tsan_set_fiber_name(__tsan_get_current_fiber(), name);
#endif
}

/// Runs the kernel for the current thread; what it threw, or nothing. An exception must not leave the fibre's stack.
std::string call_body(Multiprocessor& sm) {
  try {
    sm.body(sm.arguments);
    return {};
  } catch (const std::exception& e) {
    const Quiet quiet;
    return fmt::format("the kernel threw an exception: {}", e.what());
  }
}

void run_lane(Multiprocessor& sm, Lane& lane, Fibre& self) {
  sm.lane = &lane;
  lane.fibre = &self;
  lane.state = Lane::State::running;
  cuda::threadIdx = lane.thread;
  name_fibre(lane);
  order_acquire(&sm.block_start);
  if (std::string thrown = call_body(sm); !thrown.empty()) fail_thread(lane.site, std::move(thrown));
  if (sm.at_barrier != 0)
    fail_thread(sm.barrier_site, fmt::format("the thread exits while {} threads wait in __syncthreads", sm.at_barrier));
  order_release(&sm.lane_end);
  lane.state = Lane::State::exited;
  lane.fibre = nullptr;
  ++sm.exited;
  const unsigned warp = lane.index / 32;
  sm.warps[warp].exited |= 1u << (lane.index % 32);
  if (sm.warps[warp].meetings != 0) warp_lane_exited(sm, warp);
}

/// After a thread's end: the next thread to run on this stack, at once where that one has none yet (a kernel without
/// barriers is a plain loop here), else after other stacks have run.
Lane* leave(Multiprocessor& sm, Fibre& self) {
  if (sm.exited == sm.threads) {
    if (!kTsan) sm.free_fibres.push_back(&self);
    switch_to(sm, sm.host);
  } else {
    Lane& next = next_lane(sm);
    if (!kTsan && next.fibre == nullptr) return &next;
    if (!kTsan) sm.free_fibres.push_back(&self);
    switch_to(sm, next);
  }
  return std::exchange(self.start, nullptr);
}

void fibre_main() noexcept {
  fibre_started();
  Multiprocessor& sm = *current;
  Fibre& self = *sm.fibre;
  for (Lane* lane = std::exchange(self.start, nullptr);; lane = leave(sm, self)) run_lane(sm, *lane, self);
}

void prepare(Multiprocessor& sm, cuda::dim3 block, std::uint64_t seed) {
  const unsigned threads = block.x * block.y * block.z, warps = (threads + 31) / 32;
  if (sm.lanes.size() != threads) sm.lanes = std::vector<Lane>(threads);
  for (unsigned i = 0; i < threads; ++i) {
    Lane& lane = sm.lanes[i];
    lane.index = i;
    lane.thread = {i % block.x, i / block.x % block.y, i / block.x / block.y};
    lane.state = Lane::State::fresh;
    lane.site = {"start", 0};
    lane.fibre = nullptr;
    lane.copies.clear();
    lane.group_sizes.clear();
    lane.finished_copies = 0;
  }
  sm.warps.resize(warps);
  for (Warp& warp : sm.warps) warp.exited = warp.meetings = warp.next_order = 0;
  if (threads % 32 != 0) sm.warps.back().exited = ~0u << (threads % 32);
  sm.threads = threads;
  sm.at_barrier = sm.exited = sm.barriers = 0;
  sm.error.clear();
  sm.ready.reset(sm.policy, threads, seed);
  for (unsigned i = 0; i < threads; ++i) sm.ready.push(i);
  reset_shared(sm);
  if constexpr (kTsan) {  // made here: a fibre made by another one would be ordered after it
    while (sm.fibres.size() < 2 * std::size_t{threads} + 1) {
      sm.fibres.push_back(std::make_unique<Fibre>());
      create_fibre(*sm.fibres.back(), static_cast<unsigned>(sm.fibres.size()), fibre_main);
    }
  }
}

}  // namespace

void run_block(Multiprocessor& sm, cuda::dim3 block, std::uint64_t seed) {
  {
    const Quiet quiet;
    prepare(sm, block, seed);
  }
  order_release(&sm.block_start);
  sm.fibre = &sm.host;
  switch_to(sm, next_lane(sm));
  if (sm.error.empty()) return;
  // The block is abandoned: whatever its threads were doing is forgotten.
  const auto forget = [&](Fibre& fibre) {
    restart_fibre(fibre, fibre_main);
    if (!kTsan) sm.free_fibres.push_back(&fibre);
  };
  for (const Lane& lane : sm.lanes)
    if (lane.fibre != nullptr && lane.fibre != sm.failed_fibre) forget(*lane.fibre);
  forget(*sm.failed_fibre);
}

void wait_for_others(Multiprocessor& sm) {
  Lane& self = *sm.lane;
  Lane& next = next_lane(sm);
  if (&next != &self) {
    switch_to(sm, next);
    sm.lane = &self;
    cuda::threadIdx = self.thread;
  }
  self.state = Lane::State::running;
}

void block_barrier(Site site) {
  Multiprocessor& sm = *current;
  Lane& self = *sm.lane;
  if (sm.exited != 0)
    fail_thread(site, fmt::format("__syncthreads, but {} threads of the block have exited", sm.exited));
  if (sm.at_barrier == 0)
    sm.barrier_site = site;
  else if (sm.barrier_site.line != site.line || std::strcmp(sm.barrier_site.file, site.file) != 0) {
    std::string what = fmt::format("divergent barrier: this thread waits in __syncthreads at {}, others at {}",
                                   place(site), place(sm.barrier_site));
    fail_thread(site, std::move(what));
  }
  char* order = &sm.sync->barrier[sm.barriers & 1];
  order_release(order);
  self.op = Op::barrier;
  self.site = site;
  self.state = Lane::State::waiting;
  if (++sm.at_barrier == sm.threads) {
    sm.at_barrier = 0;
    ++sm.barriers;
    for (unsigned i = 0; i < sm.threads; ++i) sm.ready.push(i);
  }
  wait_for_others(sm);
  order_acquire(order);
}

void memory_fence() {
  std::atomic_thread_fence(std::memory_order_seq_cst);
  order_acquire(current->fence);
  order_release(current->fence);
}

unsigned lane_index() { return current->lane->index % 32; }

void async_copy_add(const AsyncCopy& copy) {
  const Quiet quiet;
  current->lane->copies.push_back(copy);
}

void async_copy_commit() {
  const Quiet quiet;
  Lane& lane = *current->lane;
  std::size_t committed = lane.finished_copies;
  for (const std::size_t n : lane.group_sizes) committed += n;
  lane.group_sizes.push_back(lane.copies.size() - committed);
}

const AsyncCopy* async_copy_take(std::size_t groups, std::size_t& copies) {
  const Quiet quiet;
  Lane& lane = *current->lane;
  lane.copies.erase(lane.copies.begin(), lane.copies.begin() + static_cast<std::ptrdiff_t>(lane.finished_copies));
  lane.finished_copies = 0;
  if (lane.group_sizes.size() <= groups) return nullptr;
  copies = lane.finished_copies = lane.group_sizes.front();
  lane.group_sizes.erase(lane.group_sizes.begin());
  static constexpr AsyncCopy kNone{};
  return lane.copies.empty() ? &kNone : lane.copies.data();
}

const char* op_name(Op op) {
  switch (op) {
    case Op::none:
      return "nothing";
    case Op::barrier:
      return "__syncthreads";
    case Op::shuffle:
      return "__shfl_*_sync";
    case Op::vote:
      return "__ballot_sync";
    case Op::warp_barrier:
      return "__syncwarp";
    case Op::mma_bf16:
      return "mma.m16n8k16.bf16";
    case Op::mma_tf32:
      return "mma.m16n8k8.tf32";
    case Op::mma_f64:
      return "mma.m16n8k8.f64";
    case Op::ldmatrix:
      return "ldmatrix";
  }
  return "?";
}

std::string place(Site site) {
  const char* slash = std::strrchr(site.file, '/');
  return fmt::format("{}:{}", slash != nullptr ? slash + 1 : site.file, site.line);
}

std::string describe_threads(const Multiprocessor& sm) {
  struct Group {
    unsigned threads = 0, first = 0;
  };
  std::map<std::string, Group> groups;
  for (const Lane& lane : sm.lanes) {
    std::string doing;
    switch (lane.state) {
      case Lane::State::fresh:
        doing = "not started";
        break;
      case Lane::State::running:
        doing = "runs";
        break;
      case Lane::State::waiting:
        doing =
            fmt::format("waits in {}{} at {}", op_name(lane.op),
                        lane.op == Op::barrier ? "" : fmt::format(" with mask 0x{:08x}", lane.mask), place(lane.site));
        break;
      case Lane::State::exited:
        doing = "exited";
        break;
    }
    Group& group = groups[doing];
    if (group.threads++ == 0) group.first = lane.index;
  }
  std::string out;
  for (const auto& [doing, group] : groups) {
    const cuda::uint3 t = sm.lanes[group.first].thread;
    out += fmt::format("\n    {} threads, the first is ({},{},{}): {}", group.threads, t.x, t.y, t.z, doing);
  }
  return out;
}

void fail_thread(Site site, std::string what) {
  Multiprocessor& sm = *current;
  {  // nothing of this stack will be destroyed: leave no memory behind on it
    const Quiet quiet;
    const std::string message = std::move(what);
    const cuda::uint3 b = cuda::blockIdx, t = sm.lane->thread;
    sm.error = fmt::format("block ({},{},{}) thread ({},{},{}) at {}: {}{}", b.x, b.y, b.z, t.x, t.y, t.z, place(site),
                           message, describe_threads(sm));
  }
  sm.failed_fibre = sm.fibre;
  switch_to(sm, sm.host, true);
  std::abort();  // never switched to again
}

}  // namespace akin::sim
