#include "engine/mpi_ranks.hpp"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <utility>

#include "kernels/common/plugin.hpp"

namespace akin {

namespace {

using Clock = std::chrono::steady_clock;
constexpr int kTexts = 1, kErrors = 2, kRoll = 3, kEnd = 4;  // tags

std::span<const std::byte> bytes_of(const void* data, std::size_t n) {
  return {static_cast<const std::byte*>(data), n};
}
std::span<std::byte> bytes_of(void* data, std::size_t n) { return {static_cast<std::byte*>(data), n}; }

double seconds_since(Clock::time_point begun) { return std::chrono::duration<double>(Clock::now() - begun).count(); }

template <class Call>
void checked(Call&& call) {
  std::array<char, 1024> text{};
  if (call(text.data(), text.size()) != 0) throw RankError(fmt::format("MPI: {}", text.data()));
}

const MpiApi& open_api() {
  using Entry = const MpiApi*();
  std::string tried;
  auto* entry = reinterpret_cast<Entry*>(open_plugin(plugin_files(kMpiFile), kMpiSymbol, tried));
  AKIN_CHECK(
      entry != nullptr,
      "several ranks come through a plug-in, {}, which was not found; looked for in:{}\nIt is built with akin where "
      "MPI is found (apt-get install libopenmpi-dev openmpi-bin, then cmake -DAKIN_MPI=ON says what is missing). "
      "Without it, run one process: --ranks none",
      kMpiFile, tried);
  const MpiApi* api = entry();
  AKIN_CHECK(api->version == kMpiVersion, "{}: of version {}, this akin needs {}; build both from one source", kMpiFile,
             api->version, kMpiVersion);
  return *api;
}

template <class... Args>
[[noreturn]] void fail_rank(fmt::format_string<Args...> format, Args&&... args) {
  throw RankError(fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace

std::string host_name() {
  std::array<char, 256> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "unknown host";
}

struct MpiRanks::Outgoing {
  std::string text;
  void* request = nullptr;
};

MpiRanks::MpiRanks(double timeout, int expected) : api_(open_api()), timeout_(timeout) {
  checked([&](char* e, std::size_t n) { return api_.open(&rank_, &size_, &neighbour_, &neighbours_, e, n); });
  names_.assign(static_cast<std::size_t>(size_), "");
  if (size_ != expected) {
    ended_ = true;  // each is alone, and nobody is to be waited for
    fail(
        "{} processes were started, MPI ({}) knows of {}: start them with that MPI's own mpirun, or with srun "
        "--mpi=pmix "
        "(srun --mpi=list says what it has)",
        expected, about(), size_);
  }
  names_ = gather(*this, host_name(), "the names of all ranks");
  for (int r = 0; r < size_; ++r) {
    std::string& name = names_[static_cast<std::size_t>(r)];
    name = fmt::format("rank {} ({})", r, name);
  }
}

MpiRanks::MpiRanks(MpiRanks& all, int each)
    : api_(all.api_), timeout_(all.timeout_), rank_(all.rank_ % each), size_(each), ended_(true), all_(&all) {
  const auto first = all.names_.begin() + (all.rank_ - rank_);
  names_.assign(first, first + each);
  all.barrier("groups of ranks");  // which splitting them does not wait for
  checked([&](char* e, std::size_t n) { return api_.split(all.rank_ / each, &group_, e, n); });
}

MpiRanks::~MpiRanks() {
  if (std::uncaught_exceptions() == 0) try {
      end();
    } catch (const Error&) {  // the work is done and told
    }
}

void MpiRanks::end() {
  constexpr double kLeast = 600;
  if (std::exchange(ended_, true)) return;
  if (without_some_) {
    for (int r = 1; r < size_; ++r) send(r, kEnd, "");
    abort(0);  // MPI's own end waits for all
  }
  const double limit = timeout_;
  if (rank_ != 0) timeout_ = std::max(kLeast, 10 * timeout_);
  // Twice: a rank may leave one while another is stuck in it, and does not answer any more.
  for (int i = 0; i < 2; ++i) barrier("the end of all ranks");
  // MPI's own end has no time limit, and a rank may be stopped in it. The first is the one to give up.
  std::thread([&api = api_, seconds = rank_ == 0 ? limit : 2 * limit] {
    std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
    api.abort(0);
    std::_Exit(0);
  }).detach();
  api_.close();
}

void MpiRanks::be_ended() {
  constexpr double kLongEnough = 5;  // a launcher that ends the others has done so by then
  const auto begun = Clock::now();
  while (seconds_since(begun) < kLongEnough) {
    receive(kTexts);
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  std::_Exit(0);
}

std::string MpiRanks::name(int rank) const { return names_[static_cast<std::size_t>(rank)]; }

std::shared_ptr<Ranks> MpiRanks::group(int each) {
  AKIN_CHECK(each > 0 && size_ % each == 0 && all_ == nullptr, "ranks: {} cannot be cut into groups of {}", size_,
             each);
  groups_.push_back(std::shared_ptr<MpiRanks>(new MpiRanks(*this, each)));
  return groups_.back();
}

void MpiRanks::leave_out(int) { without_some_ = true; }

template <class Start>
void MpiRanks::collective(std::span<const std::byte> in, std::span<std::byte> out, const std::string& what,
                          Start&& start) {
  const bool staged = while_waiting != nullptr;  // whoever gives up goes on, and what was passed may be gone
  if (staged) {
    in_.assign(in.begin(), in.end());
    out_.assign(out.begin(), out.end());
  }
  const void* from = staged ? in_.data() : in.data();
  void* to = staged ? out_.data() : out.data();
  void* request = nullptr;
  checked([&](char* e, std::size_t n) { return start(from, to, &request, e, n); });
  wait_until(
      [&] {
        int done = 0;
        checked([&](char* e, std::size_t n) { return api_.test(&request, &done, e, n); });
        return done != 0;
      },
      what);
  if (staged) std::copy(out_.begin(), out_.end(), out.begin());
}

void MpiRanks::all_to_all(const void* send, void* receive, std::size_t each, const std::string& what) {
  const std::size_t all = each * static_cast<std::size_t>(size_);
  collective(bytes_of(send, all), bytes_of(receive, all), what,
             [&](const void* from, void* to, void** r, char* e, std::size_t n) {
               return api_.all_to_all(group_, from, to, each, r, e, n);
             });
}

void MpiRanks::all_gather(const void* own, void* all, std::size_t each, const std::string& what) {
  collective(bytes_of(own, each), bytes_of(all, each * static_cast<std::size_t>(size_)), what,
             [&](const void* from, void* to, void** r, char* e, std::size_t n) {
               return api_.all_gather(group_, from, to, each, r, e, n);
             });
}

void MpiRanks::broadcast(void* data, std::size_t bytes, int from, const std::string& what) {
  collective({}, bytes_of(data, bytes), what, [&](const void*, void* to, void** r, char* e, std::size_t n) {
    return api_.broadcast(group_, to, bytes, from, r, e, n);
  });
}

void MpiRanks::barrier(const std::string& what) {
  collective({}, {}, what,
             [&](const void*, void*, void** r, char* e, std::size_t n) { return api_.barrier(group_, r, e, n); });
}

/// At first at once, for most waits are short; then other processes get the processor, and later it sleeps.
void MpiRanks::wait_until(const std::function<bool()>& done, const std::string& what) {
  constexpr int kSpin = 200, kYield = 2000;
  Clock::time_point begun{};
  bool patient = true;
  for (int turn = 0;; ++turn) {
    if (done()) return;
    if (turn < kSpin) continue;
    if (turn == kSpin) begun = Clock::now();
    if (turn < kYield) {
      ::sched_yield();
      continue;
    }
    std::this_thread::sleep_for(std::chrono::microseconds(50));
    if (turn % 64 != 0) continue;
    if (while_waiting) {
      while_waiting();
      continue;
    }
    listen(what);
    if (seconds_since(begun) <= timeout_) continue;
    call_roll(what, std::exchange(patient, false));
    begun = Clock::now();
  }
}

void MpiRanks::listen(const std::string& what) {
  if (all_ != nullptr) all_->listen(what);  // errors go there
  if (receive(kEnd)) be_ended();
  if (const auto error = receive(kErrors)) fail_rank("{}: {}", name(error->from), error->text);
  int there = 0, from = 0;
  std::size_t bytes = 0;
  checked([&](char* e, std::size_t n) { return api_.probe(group_, kRoll, &there, &from, &bytes, e, n); });
  if (there != 0) call_roll(what, true);
}

double MpiRanks::grace() const { return std::clamp(timeout_ / 4, 0.5, 5.0); }

void MpiRanks::call_roll(const std::string& what, bool patient) {
  for (int r = 0; r < size_; ++r)
    if (r != rank_) send(r, kRoll, what);
  std::vector<std::string> waits_for(static_cast<std::size_t>(size_));
  waits_for[static_cast<std::size_t>(rank_)] = what;
  const auto begun = Clock::now();
  while (seconds_since(begun) < grace()) {
    while (const auto here = receive(kRoll)) waits_for[static_cast<std::size_t>(here->from)] = here->text;
    if (const auto error = receive(kErrors)) fail_rank("{}: {}", name(error->from), error->text);
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  std::string gone, others;
  int first = size_;
  for (int r = size_ - 1; r >= 0; --r) {
    const std::string& text = waits_for[static_cast<std::size_t>(r)];
    if (text.empty())
      gone = name(r) + (gone.empty() ? "" : ", ") + gone;
    else
      first = r;
    if (!text.empty() && text != what) others = fmt::format("{} waits for {}", name(r), text);
  }
  if (gone.empty() && patient) return;
  if (first != rank_) throw ToldElsewhere(fmt::format("{} tells why the ranks end", name(first)));
  if (gone.empty())
    fail_rank("{}: waited for {} for {:g} s; {} (the ranks do different things, which is a fault of akin)", name(rank_),
              what, timeout_, others.empty() ? "all ranks answer" : others);
  fail_rank(
      "no answer from {} for {:g} s, waiting for {}: stopped, ended or cut off; all ranks end (--resume goes on, "
      "--rank-timeout says how long to wait)",
      gone, timeout_, what);
}

void MpiRanks::send(int to, int tag, const std::string& text) {
  std::erase_if(outgoing_, [&](const std::unique_ptr<Outgoing>& o) {
    int done = 0;
    checked([&](char* e, std::size_t n) { return api_.test(&o->request, &done, e, n); });
    return done != 0;
  });
  auto o = std::make_unique<Outgoing>();
  o->text = text;
  checked([&](char* e, std::size_t n) {
    return api_.post(group_, to, tag, o->text.data(), o->text.size(), &o->request, e, n);
  });
  outgoing_.push_back(std::move(o));
}

std::optional<Ranks::Message> MpiRanks::receive(int tag) {
  int there = 0;
  Message m;
  std::size_t bytes = 0;
  checked([&](char* e, std::size_t n) { return api_.probe(group_, tag, &there, &m.from, &bytes, e, n); });
  if (there == 0) return {};
  m.text.resize(bytes);
  checked([&](char* e, std::size_t n) { return api_.receive(group_, m.from, tag, m.text.data(), bytes, e, n); });
  return m;
}

void MpiRanks::post(int to, const std::string& text) { send(to, kTexts, text); }

std::optional<Ranks::Message> MpiRanks::take() {
  while_waiting ? while_waiting() : listen("a message");
  return receive(kTexts);
}

void MpiRanks::report(const std::string* error) {
  ended_ = true;
  if (rank_ == 0 && error != nullptr) return;
  try {
    if (error != nullptr) send(0, kErrors, *error);
    const auto begun = Clock::now();
    while (seconds_since(begun) < grace()) {
      receive(kTexts);  // MPI works while it is asked
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  } catch (const Error&) {  // MPI is broken too: the first error is the one to tell
  }
}

void MpiRanks::abort(int code) {
  ended_ = true;
  std::fflush(nullptr);
  api_.abort(code);
  std::_Exit(code);
}

}  // namespace akin
