// The cells of a grid, dealt to several ranks as they get free. There is no server: the first rank answers the others
// between the steps of its own work.
#pragma once

#include <cstddef>
#include <functional>
#include <string>

#include "engine/ranks.hpp"

namespace akin {

/// What a rank made of a cell.
struct DealtCell {
  std::string line;   ///< for people
  std::string error;  ///< why it has no result; empty where it has one
};

class Deal {
 public:
  /// `ranks` may be nullptr: all cells are this process's. `told` gets, on the first rank, what others made.
  Deal(Ranks* ranks, std::size_t cells, std::function<void(const DealtCell&)> told);

  /// Whether cell `number`, of those that are to be run, is this rank's. Asked for numbers that grow. A rank that has
  /// none takes the first that nobody has; for that the others wait until the first rank answers.
  bool is_mine(std::size_t number) { return any_is_mine(number, number + 1); }
  /// The same of one of begin .. end - 1.
  bool any_is_mine(std::size_t begin, std::size_t end);
  /// Tells the first rank of a cell that this one has run.
  void made(const DealtCell& cell);
  /// On the first rank: answers those who ask. On another: whether the first one asks to stop. To be called often.
  bool serve();
  /// Nothing more is to be done here. The first rank waits for the others, and asks them to stop where it `stopped`
  /// itself. Whether no rank was stopped before its work was done.
  bool end(bool stopped);

 private:
  std::size_t next();
  Ranks* ranks_;
  std::size_t cells_;
  std::function<void(const DealtCell&)> told_;
  std::size_t mine_ = 0, dealt_ = 0;  // mine_: number of the cell, plus 1
  int gone_ = 0;                      // ranks that ended
  bool all_done_ = true, stop_ = false;
};

}  // namespace akin
