// Ranks over MPI. MPI is a shared library of its own, libakin_mpi.so, which nothing is linked against: it is opened
// when a program runs under a launcher, and akin itself needs no MPI.
#pragma once

#include <memory>

#include "engine/ranks.hpp"

namespace akin {

/// What the plug-in exports, as one C symbol: akin_mpi_api(). Functions that return int return 0, or 1 with the reason
/// in `error`; none of them waits, but for open, split and close. `group`: of split(); nullptr: all ranks.
struct MpiApi {
  int version;             ///< kMpiVersion of its build
  const char* (*about)();  ///< "Open MPI v4.1.4"
  /// `neighbours`: ranks on this machine; `neighbour`: which of them this one is.
  int (*open)(int* rank, int* size, int* neighbour, int* neighbours, char* error, std::size_t room);
  /// All ranks, each with the colour of its group; stays until close().
  int (*split)(int color, void** group, char* error, std::size_t room);
  void (*close)();  ///< all ranks
  void (*abort)(int code);
  int (*all_to_all)(void* group, const void* send, void* receive, std::size_t each, void** request, char* error,
                    std::size_t room);
  int (*all_gather)(void* group, const void* own, void* all, std::size_t each, void** request, char* error,
                    std::size_t room);
  int (*broadcast)(void* group, void* data, std::size_t bytes, int from, void** request, char* error, std::size_t room);
  int (*barrier)(void* group, void** request, char* error, std::size_t room);
  /// `data` must stay until test() says that it is done.
  int (*post)(void* group, int to, int tag, const void* data, std::size_t bytes, void** request, char* error,
              std::size_t room);
  /// *done: whether the request is, which is then gone.
  int (*test)(void** request, int* done, char* error, std::size_t room);
  /// *there: whether a message of this tag has come, from whom and how long it is.
  int (*probe)(void* group, int tag, int* there, int* from, std::size_t* bytes, char* error, std::size_t room);
  /// One that probe() told of.
  int (*receive)(void* group, int from, int tag, void* data, std::size_t bytes, char* error, std::size_t room);
};
inline constexpr int kMpiVersion = 2;
inline constexpr const char* kMpiSymbol = "akin_mpi_api";
inline constexpr const char* kMpiFile = "libakin_mpi.so";

/// Of this machine.
std::string host_name();

/// Why this rank ends is told by another one.
class ToldElsewhere : public RankError {
 public:
  using RankError::RankError;
};

/// A rank that does not answer: stopped, hung, dead or cut off. Every call gives up after `timeout` seconds; the ranks
/// that are left then call each other, and the first of them throws an Error that names those who did not answer, the
/// others ToldElsewhere. An error that another rank reports (end()) comes out of the next call of rank 0.
class MpiRanks final : public Ranks {
 public:
  /// Starts MPI. Throws Error: no plug-in (where was looked, how to get it); MPI cannot start; MPI knows of another
  /// number of ranks than `expected`, the launcher's.
  MpiRanks(double timeout, int expected);
  ~MpiRanks() override;

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  std::string name(int rank) const override;
  void all_to_all(const void* send, void* receive, std::size_t each, const std::string& what) override;
  void all_gather(const void* own, void* all, std::size_t each, const std::string& what) override;
  void broadcast(void* data, std::size_t bytes, int from, const std::string& what) override;
  void barrier(const std::string& what) override;
  void post(int to, const std::string& text) override;
  std::optional<Message> take() override;
  void wait_until(const std::function<bool()>& done, const std::string& what) override;
  std::shared_ptr<Ranks> group(int each) override;
  double timeout() const override { return timeout_; }
  void no_answer(const std::string& what) override { call_roll(what, true); }
  void leave_out(int rank) override;

  std::string about() const { return api_.about(); }
  /// Ranks on this machine, and which of them this one is.
  int neighbours() const { return neighbours_; }
  int neighbour() const { return neighbour_; }
  /// This rank has failed: hands rank 0 the error (nullptr: another rank told it) and waits for the end that follows.
  /// Returns where it does not, or where this is rank 0: then the caller tells it, and calls abort().
  void report(const std::string* error);
  /// The work is done: ends MPI, with all other ranks; what the first one has still to do may take ten times the
  /// timeout. Where a rank was left out, ends all processes with exit code 0 instead, and does not return. Throws
  /// RankError on the first rank where one does not come to the end.
  void end();
  /// Ends all ranks at once.
  [[noreturn]] void abort(int code);

 private:
  struct Outgoing;
  MpiRanks(MpiRanks& all, int each);
  /// `start` is given what is sent and where to receive.
  template <class Start>
  void collective(std::span<const std::byte> in, std::span<std::byte> out, const std::string& what, Start&& start);
  /// Errors and calls that have come from other ranks.
  void listen(const std::string& what);
  /// Another rank ends all: waits for it.
  [[noreturn]] void be_ended();
  /// Throws where a rank does not answer. Where all do, one of them was slow: returns once, for those who are
  /// `patient`.
  void call_roll(const std::string& what, bool patient);
  void send(int to, int tag, const std::string& text);
  std::optional<Message> receive(int tag);
  double grace() const;

  const MpiApi& api_;
  double timeout_;
  int rank_ = 0, size_ = 1, neighbour_ = 0, neighbours_ = 1;
  bool ended_ = false, without_some_ = false;
  std::vector<std::string> names_;
  std::vector<std::unique_ptr<Outgoing>> outgoing_;
  // Of a group: whose, MPI's name of it, and what a call left that was given up: MPI may still read and write there.
  MpiRanks* all_ = nullptr;
  void* group_ = nullptr;
  std::vector<std::byte> in_, out_;
  std::vector<std::shared_ptr<MpiRanks>> groups_;
};

}  // namespace akin
