// Stands in for NVIDIA's NCCL between the threads of one process: the functions that engine/nccl.cpp calls, with the
// same meaning of groups and streams. A stream is whatever the test says (stand_in_submit_with): there the work of a
// group is done, when it is its turn.
#include <array>
#include <condition_variable>
#include <cstddef>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

namespace {

struct UniqueId {
  std::array<char, 128> bytes;
};

using Message = std::vector<char>;

/// Mail between the ranks of a communicator, in order.
struct World {
  int ranks = 0, joined = 0;
  std::map<std::pair<int, int>, std::deque<Message>> mail;
};

struct Comm {
  World* world;
  int rank;
};

struct Call {
  Comm* comm;
  void* stream;
  bool sends;
  int peer;
  const char* from;
  char* to;
  std::size_t bytes;
};

std::mutex mutex;
std::condition_variable changed;
std::map<int, World> worlds;
int next_id = 1, failing = 0, calls_alone = 0;
void (*submit)(void* stream, std::function<void()> work) = nullptr;
thread_local std::vector<Call> group;
thread_local int depth = 0;

void do_all(const std::vector<Call>& calls) {
  for (const Call& c : calls) {
    if (!c.sends) continue;
    const std::lock_guard lock(mutex);
    c.comm->world->mail[{c.comm->rank, c.peer}].emplace_back(c.from, c.from + c.bytes);
    changed.notify_all();
  }
  for (const Call& c : calls) {
    if (c.sends) continue;
    std::unique_lock lock(mutex);
    auto& box = c.comm->world->mail[{c.peer, c.comm->rank}];
    changed.wait(lock, [&] { return !box.empty(); });
    if (c.bytes > 0 && box.front().size() == c.bytes)
      std::memcpy(c.to, box.front().data(), c.bytes);  // else the test sees poison
    box.pop_front();
  }
}

int add(Call call) {
  if (depth == 0) ++calls_alone;  // of send and receive in turns: NCCL would hang
  group.push_back(call);
  return failing;
}

}  // namespace

extern "C" {

void stand_in_submit_with(void (*how)(void*, std::function<void()>)) { submit = how; }
void stand_in_fail(int code) { failing = code; }
int stand_in_calls_alone() { return calls_alone; }

int ncclGetVersion(int* version) {
  *version = 22105;
  return 0;
}
const char* ncclGetErrorString(int code) { return code == 3 ? "internal error" : "no error"; }
int ncclGetUniqueId(UniqueId* id) {
  const std::lock_guard lock(mutex);
  std::memcpy(id->bytes.data(), &next_id, sizeof next_id);
  ++next_id;
  return 0;
}
int ncclCommInitRank(void** comm, int ranks, UniqueId id, int rank) {
  int number = 0;
  std::memcpy(&number, id.bytes.data(), sizeof number);
  std::unique_lock lock(mutex);
  World& world = worlds[number];
  world.ranks = ranks;
  ++world.joined;
  changed.notify_all();
  changed.wait(lock, [&] { return world.joined == ranks; });
  *comm = new Comm{&world, rank};
  return 0;
}
int ncclCommAbort(void* comm);
int ncclCommDestroy(void* comm) { return ncclCommAbort(comm); }
int ncclCommAbort(void* comm) {
  delete static_cast<Comm*>(comm);
  return 0;
}
int ncclCommGetAsyncError(void*, int* error) {
  *error = failing;
  return 0;
}
int ncclGroupStart() {
  ++depth;
  return 0;
}
int ncclGroupEnd() {
  if (--depth > 0 || group.empty()) return 0;
  std::vector<Call> calls;
  calls.swap(group);
  submit(calls.front().stream, [calls] { do_all(calls); });
  return failing;
}
int ncclSend(const void* from, std::size_t count, int, int peer, void* comm, void* stream) {
  return add({static_cast<Comm*>(comm), stream, true, peer, static_cast<const char*>(from), nullptr, count});
}
int ncclRecv(void* to, std::size_t count, int, int peer, void* comm, void* stream) {
  return add({static_cast<Comm*>(comm), stream, false, peer, nullptr, static_cast<char*>(to), count});
}
int ncclAllGather(const void* from, void* to, std::size_t count, int, void* comm, void* stream) {
  ncclGroupStart();
  for (int r = 0; r < static_cast<Comm*>(comm)->world->ranks; ++r) {
    ncclSend(from, count, 0, r, comm, stream);
    ncclRecv(static_cast<char*>(to) + static_cast<std::size_t>(r) * count, count, 0, r, comm, stream);
  }
  return ncclGroupEnd();
}

}  // extern "C"
