// The cells of a grid, dealt to several ranks as they get free. There is no server: the first rank answers the others
// between the steps of its own work.
//
// A cell is made by one rank, or by a group of ranks, whose first one speaks for it. Every rank gives a sign of life
// now and then. One of which the first rank hears nothing for too long is lost: what it had goes to others, nobody
// waits for it, and should it wake up it is told to rest. The others look after the first rank alike; without it
// nothing goes on.
#pragma once

#include <chrono>
#include <cstddef>
#include <exception>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "engine/ranks.hpp"

namespace akin {

/// What a rank made of a cell.
struct DealtCell {
  std::string line;   ///< for people
  std::string error;  ///< why it has no result; empty where it has one
};

/// This rank's group lost a member, or this rank was lost itself and is back: whatever it was doing is another's now.
/// No Error, for it is nothing that a cell may fail with.
struct LeftOut : std::exception {
  const char* what() const noexcept override { return "another rank has this one's work"; }
};

/// Who has which cell: kept by the first rank.
class CellRoster {
 public:
  CellRoster(std::size_t groups, std::size_t cells) : held_(groups), made_(cells, false) {}
  /// A cell for the group, which has none: one that came back, or the next.
  std::optional<std::size_t> deal(std::size_t group);
  void made(std::size_t group);
  /// The group's cell goes back; whether it had one.
  bool take_back(std::size_t group);
  /// Nobody makes the group's cell.
  void drop(std::size_t group) { held_[group].reset(); }
  /// Nothing more is dealt.
  void close();
  /// Cells are to be dealt, or are being made and may come back.
  bool open() const;

 private:
  std::vector<std::optional<std::size_t>> held_;
  std::vector<bool> made_;
  std::vector<std::size_t> back_;
  std::size_t next_ = 0;
};

class Deal {
 public:
  /// What the first rank is told.
  struct Told {
    std::function<void(const DealtCell&)> made = {};         ///< by others
    std::function<void(const std::string& line)> lost = {};  ///< who, and what becomes of its work
  };

  /// `ranks` may be nullptr: all cells are this process's. `group`: of ranks->group(), which makes a cell together;
  /// nullptr: each rank is one. Both must outlive it.
  Deal(Ranks* ranks, Ranks* group, std::size_t cells, Told told);
  ~Deal();
  Deal(const Deal&) = delete;
  Deal& operator=(const Deal&) = delete;

  // All ranks of a group make the same calls in the same order. Each call may throw LeftOut, and on other ranks than
  // the first a RankError that names it where it does not answer.

  /// Whether cell `number`, of those that are to be run, is this rank's. To be asked for numbers that grow; a rank that
  /// has none gets one, for which others than the first may wait.
  bool is_mine(std::size_t number) { return any_is_mine(number, number + 1); }
  /// The same of one of begin .. end - 1.
  bool any_is_mine(std::size_t begin, std::size_t end);
  /// Tells the first rank that this one's cell has run.
  void made(const DealtCell& cell);
  /// After the last number: whether this rank has another cell, of one that was lost, and so is to ask for all numbers
  /// again. Waits until all are made.
  bool more();
  /// Answers those who ask, and gives a sign of life. To be called often. Whether the first rank asks to stop.
  bool serve();
  /// After LeftOut: whether this rank goes on alone, without its group, and is to ask for all numbers again. The first
  /// one does, where one rank `can` make the cells.
  bool goes_on_alone(bool can);
  /// This rank's cell failed. Returns when it failed on all ranks of its group. Where others wait for this one in vain,
  /// their waiting ends with a RankError that tells `error`, and so does the run.
  void failed(const std::string& error);
  /// Whether this rank makes its cells together with others.
  bool has_group() const { return group_ != nullptr; }
  /// Nothing more is to be done here. The first rank waits for the others, and asks them to stop where it `stopped`
  /// itself; the others wait for it. Whether no rank was stopped before its work was done, and none of it is left.
  /// Throws no LeftOut.
  bool end(bool stopped);

 private:
  using Clock = std::chrono::steady_clock;
  struct Peer {
    double quiet = 0;  ///< seconds in which this rank listened and did not hear from it
    bool lost = false;
    bool awake = false;  ///< lost, and back
  };
  struct Group {
    bool asks = false;  ///< waits for a cell
    bool out = false;   ///< has lost a rank, or was stopped
    bool done = false;
  };

  bool is_first() const { return ranks_ == nullptr || ranks_->is_first(); }
  bool leads() const { return group_ == nullptr || group_->is_first(); }
  std::optional<std::size_t> next(bool wait);
  void hear_as_first(const Ranks::Message& message);
  void hear(const Ranks::Message& message);
  void look_after_ranks();
  void lose(int rank);
  void leave_out(std::size_t group);
  void answer();
  void give_sign_of_life();
  bool hear_of_failure(const Ranks::Message& message);
  void end_waiting_in_vain() const;
  std::size_t group_of(int rank) const { return static_cast<std::size_t>(rank / each_); }

  Ranks* const ranks_;
  Ranks* group_;
  const int each_;  ///< ranks of a group
  const std::size_t cells_;
  Told told_;
  std::optional<std::size_t> held_;
  bool dry_ = false;  ///< asked, and got nothing
  bool stop_ = false, resting_ = false, left_out_ = false;
  int failures_ = 0;  ///< of this cell, on other ranks of the group
  std::string failure_;
  Clock::time_point failed_;
  Clock::time_point signed_, listened_;
  // Of the first rank.
  CellRoster roster_;
  std::vector<Peer> peers_;
  std::vector<Group> groups_;
  bool all_done_ = true;
  // Of the others.
  Peer first_;
  std::optional<std::size_t> answer_;
  bool ended_ = false;
};

}  // namespace akin
