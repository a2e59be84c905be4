#include "engine/nccl.hpp"

#include <array>
#include <exception>
#include <utility>

#include "engine/ranks.hpp"
#include "kernels/common/plugin.hpp"

namespace akin {

namespace {

// Of NCCL's C interface, as its manual gives it (NCCL 2: ncclComm_t and cudaStream_t are pointers, enums are ints).
struct UniqueId {
  std::array<char, 128> bytes{};
};
constexpr int kSuccess = 0, kInProgress = 7;
constexpr int kBytes = 0;                     // ncclInt8
constexpr int kOldest = 2 * 10000 + 9 * 100;  // 2.9: from there on versions count so; send and receive came with 2.7

}  // namespace

struct Nccl::Api {
  int (*version)(int*);
  int (*unique_id)(UniqueId*);
  int (*init_rank)(void** comm, int ranks, UniqueId id, int rank);
  int (*destroy)(void* comm);
  int (*abort)(void* comm);
  int (*async_error)(void* comm, int* error);
  const char* (*error_string)(int);
  int (*group_start)();
  int (*group_end)();
  int (*send)(const void* from, std::size_t count, int type, int peer, void* comm, void* stream);
  int (*receive)(void* to, std::size_t count, int type, int peer, void* comm, void* stream);
  int (*all_gather)(const void* from, void* to, std::size_t count, int type, void* comm, void* stream);

  void take_all(const Library& library);
  /// nullptr, and why in `problem`, where there is none that will do.
  static std::shared_ptr<const Api> open(const std::vector<std::string>& files, std::string& problem);
};

std::shared_ptr<const Nccl::Api> Nccl::Api::open(const std::vector<std::string>& files, std::string& problem) {
  std::string tried;
  const Library library = open_library(files, tried);
  if (library.handle == nullptr) {
    problem = fmt::format(
        "NCCL was not found; looked for in:{}\nIt is NVIDIA's (libnccl2, or Python's nvidia-nccl-cu13: put its folder "
        "into LD_LIBRARY_PATH). Without it, --exchange mpi goes through host memory",
        tried);
    return nullptr;
  }
  auto api = std::make_shared<Api>();
  try {
    api->take_all(library);
  } catch (const Error& e) {
    problem = e.what();
    return nullptr;
  }
  int version = 0;
  api->version(&version);
  if (version >= kOldest) return api;
  problem = fmt::format("{}: is NCCL of version code {}, needed is 2.9 or newer", library.file, version);
  return nullptr;
}

void Nccl::Api::take_all(const Library& library) {
  const auto take = [&](auto& function, const char* name) {
    function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(symbol_of(library, name));
  };
  take(version, "ncclGetVersion");
  take(unique_id, "ncclGetUniqueId");
  take(init_rank, "ncclCommInitRank");
  take(destroy, "ncclCommDestroy");
  take(abort, "ncclCommAbort");
  take(async_error, "ncclCommGetAsyncError");
  take(error_string, "ncclGetErrorString");
  take(group_start, "ncclGroupStart");
  take(group_end, "ncclGroupEnd");
  take(send, "ncclSend");
  take(receive, "ncclRecv");
  take(all_gather, "ncclAllGather");
}

std::vector<std::string> Nccl::files() { return {"libnccl.so.2"}; }

std::string Nccl::problem(const std::vector<std::string>& files) {
  std::string text;
  Api::open(files, text);
  return text;
}

Nccl::Nccl(Context& ctx, const std::vector<std::string>& files) : ranks_(ctx.ranks->size()) {
  std::string problem;
  api_ = Api::open(files, problem);
  AKIN_CHECK(api_ != nullptr, "{}", problem);
  UniqueId id;
  if (ctx.ranks->is_first()) check(api_->unique_id(&id), "make an id");
  ctx.ranks->broadcast(id.bytes.data(), id.bytes.size(), 0, "NCCL's id");
  check(api_->init_rank(&comm_, ranks_, id, ctx.ranks->rank()), "join the ranks (each needs a card of its own)");
}

Nccl::~Nccl() {
  if (std::uncaught_exceptions() > 0) abandon();
  if (comm_ != nullptr) api_->destroy(comm_);  // all ranks do
}

void Nccl::abandon() {
  if (comm_ != nullptr) api_->abort(std::exchange(comm_, nullptr));
}

std::string Nccl::about() const {
  int v = 0;
  api_->version(&v);
  return fmt::format("NCCL {}.{}.{}", v / 10000, v / 100 % 100, v % 100);
}

/// A failure concerns all ranks: no cell of a grid ends with it.
void Nccl::check(int code, const char* what) const {
  if (code != kSuccess)
    throw RankError(fmt::format("NCCL: cannot {}: {} (NCCL_DEBUG=WARN tells more; --exchange mpi does without it)",
                                what, api_->error_string(code)));
}

void Nccl::all_to_all(Context& ctx, const std::byte* send, std::byte* receive, std::size_t each,
                      const std::string& what) {
  void* const stream = ctx.stream->handle();
  check(api_->group_start(), "begin to send");
  for (int r = 0; r < ranks_; ++r) {
    const std::size_t at = static_cast<std::size_t>(r) * each;
    check(api_->send(send + at, each, kBytes, r, comm_, stream), "send");
    check(api_->receive(receive + at, each, kBytes, r, comm_, stream), "receive");
  }
  check(api_->group_end(), "send");
  wait(ctx, what);
}

void Nccl::all_gather(Context& ctx, const std::byte* own, std::byte* all, std::span<const Piece> pieces,
                      const std::string& what) {
  void* const stream = ctx.stream->handle();
  check(api_->group_start(), "begin to gather");
  for (const auto& [at, bytes] : pieces)
    check(api_->all_gather(own + at, all + static_cast<std::size_t>(ranks_) * at, bytes, kBytes, comm_, stream),
          "gather");
  check(api_->group_end(), "gather");
  wait(ctx, what);
}

/// The host waits here, and not in a call of CUDA, so that it hears of ranks that are gone.
void Nccl::wait(Context& ctx, const std::string& what) const {
  const std::unique_ptr<GpuEvent> end = ctx.stream->record();
  ctx.ranks->wait_until(
      [&] {
        int error = kSuccess;
        check(api_->async_error(comm_, &error), "ask for errors");
        if (error != kInProgress) check(error, "exchange");
        return end->done();
      },
      what);
}

}  // namespace akin
