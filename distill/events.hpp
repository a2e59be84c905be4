// What the stages of a run tell whoever started it, and how they are asked to stop.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "nn/data/account.hpp"

namespace akin {

/// How far a run of several pieces has come: piece `number` of `pieces` is about to begin. Its progress follows, as
/// that of any work. `work` is in any unit, such as pictures times steps: it tells how long the other pieces may take.
struct RunProgress {
  std::string what;  ///< "students"
  std::string name;  ///< of this piece
  std::int64_t number = 0, pieces = 0;
  double work_before = 0, work = 0, work_in_all = 0;
};

/// All optional.
struct Events {
  std::function<void(const std::string& line)> stage = {};  ///< "warning: ..." where something is wrong
  std::function<void(const std::string& label, std::int64_t done, std::int64_t total, const std::string& unit,
                     const std::string& note)>
      progress = {};
  std::function<void(const RunProgress& run)> piece = {};
  std::function<bool()> stop = {};  ///< true: keep what is needed to go on, and return
};

inline void say(const Events& events, const std::string& line) {
  if (events.stage) events.stage(line);
}

/// What a data set's folder holds besides its images.
inline void say(const Events& events, const Account& account, const std::string& source) {
  for (const std::string& line : told(account, source)) say(events, line);
}

inline void begin_piece(const Events& events, const RunProgress& run) {
  if (events.piece) events.piece(run);
}
/// What follows is no piece of a run.
inline void end_pieces(const Events& events) { begin_piece(events, {}); }

inline bool stop_asked(const Events& events) { return events.stop && events.stop(); }

}  // namespace akin
