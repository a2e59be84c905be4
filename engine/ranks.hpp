// The processes of one run, each a rank: who they are, and what they tell each other. Every rank runs the same program
// on the same data; what they exchange decides nothing but who computes which part. A Context without ranks is alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "kernels/common/error.hpp"

namespace akin {

/// Another rank failed, or does not answer: this one cannot go on, whatever it was doing.
class RankError : public Error {
 public:
  using Error::Error;
};

/// Each call is made by all ranks, in the same order, by the thread that uses the Context; it ends when this rank has
/// what it asked for. `what` says in messages what was waited for: "the gradients of step 17". RankErrors name a rank
/// that does not answer in time, is gone, or has failed.
class Ranks {
 public:
  Ranks() = default;
  virtual ~Ranks() = default;
  Ranks(const Ranks&) = delete;
  Ranks& operator=(const Ranks&) = delete;

  virtual int rank() const = 0;
  virtual int size() const = 0;
  /// "rank 2 (node17)"
  virtual std::string name(int rank) const = 0;

  /// Piece p of `send` goes to rank p, piece p of `receive` comes from it; `each`: bytes of a piece.
  virtual void all_to_all(const void* send, void* receive, std::size_t each, const std::string& what) = 0;
  /// `all` gets every rank's `each` bytes, in the order of ranks.
  virtual void all_gather(const void* own, void* all, std::size_t each, const std::string& what) = 0;
  /// Everybody gets what `data` holds on rank `from`.
  virtual void broadcast(void* data, std::size_t bytes, int from, const std::string& what) = 0;
  virtual void barrier(const std::string& what) = 0;

  struct Message {
    int from = 0;
    std::string text;
  };
  /// Sends a text to one rank, which need not ask for it now; nobody waits.
  virtual void post(int to, const std::string& text) = 0;
  /// The oldest text that was posted to this rank; nothing where none has come yet.
  virtual std::optional<Message> take() = 0;

  /// Asks `done` until it says so: for what other ranks take part in without this class.
  virtual void wait_until(const std::function<bool()>& done, const std::string& what);

  /// The ranks cut into groups of `each` consecutive ones: that of this rank, as Ranks of its own. Their numbers begin
  /// at 0, their names stay. All ranks call it; `each` divides their number.
  virtual std::shared_ptr<Ranks> group(int each) = 0;
  /// Called by take(), and now and then while another call waits for others, which then has no time limit: it watches
  /// over them instead. What it throws leaves the call, and these Ranks are of no more use.
  std::function<void()> while_waiting = {};

  /// Seconds without an answer after which a rank counts as lost.
  virtual double timeout() const = 0;
  /// `what` has been waited for that long, by this rank alone: asks all others, and throws a RankError that names those
  /// who do not answer. Returns where all do.
  virtual void no_answer(const std::string& what) = 0;
  /// Nobody waits for this rank any more, at the end either. Called on the first rank.
  virtual void leave_out(int rank) = 0;

  bool is_first() const { return rank() == 0; }
};

/// What the first rank does alone; without ranks this one. All ranks throw the Error that it fails with.
void on_first(Ranks* ranks, const std::string& what, const std::function<void()>& work);
/// A text of rank `from` to all.
void broadcast(Ranks& ranks, std::string& text, int from, const std::string& what);
/// Every rank's text, in their order.
std::vector<std::string> gather(Ranks& ranks, const std::string& own, const std::string& what);
/// Every rank's value, in their order; without ranks the own one alone.
template <class T>
requires std::is_trivially_copyable_v<T> std::vector<T> gathered(Ranks* ranks, const T& own, const std::string& what) {
  std::vector<T> all(ranks == nullptr ? 1 : static_cast<std::size_t>(ranks->size()), own);
  if (ranks != nullptr) ranks->all_gather(&own, all.data(), sizeof own, what);
  return all;
}
/// Throws on all ranks, naming the first one whose text is not that of rank 0: "rank 1 (node2): has another WHAT than
/// rank 0 (node1)", with both texts where they are short.
void check_same(Ranks& ranks, const std::string& own, const std::string& what);

/// CRC-32 of an array: what ranks compare to see that their copies are the same.
std::uint32_t checksum(std::span<const std::byte> bytes);
/// For each of `own`, one number an item, whether all ranks have it: the first item where rank r has another one than
/// rank 0, and r; nothing where all are the same. The same answer on every rank.
struct Difference {
  std::size_t item;
  int rank;
};
std::optional<Difference> first_difference(Ranks& ranks, std::span<const std::uint32_t> own, const std::string& what);

}  // namespace akin
