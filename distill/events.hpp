// What the stages of a run tell whoever started it, and how they are asked to stop.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "nn/data/account.hpp"

namespace akin {

/// All optional.
struct Events {
  std::function<void(const std::string& line)> stage = {};  ///< "warning: ..." where something is wrong
  std::function<void(const std::string& label, std::int64_t done, std::int64_t total, const std::string& unit,
                     const std::string& note)>
      progress = {};
  std::function<bool()> stop = {};  ///< true: keep what is needed to go on, and return
};

inline void say(const Events& events, const std::string& line) {
  if (events.stage) events.stage(line);
}

/// What a data set's folder holds besides its images.
inline void say(const Events& events, const Account& account, const std::string& source) {
  for (const std::string& line : told(account, source)) say(events, line);
}

inline bool stop_asked(const Events& events) { return events.stop && events.stop(); }

}  // namespace akin
