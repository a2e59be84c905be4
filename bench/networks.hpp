// The networks that benchmarks measure, by name, and the images that they see.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>

#include "kernels/common/error.hpp"

namespace akin::bench {

struct Input {
  std::int64_t side, channels, classes;
};

/// What a network's images are where nobody says otherwise.
inline Input input_of(const std::string& net) {
  if (net == "resnet8") return {28, 1, 10};
  if (net == "resnet18" || net == "resnet34" || net == "resnet50") return {224, 3, 1000};
  return {32, 3, 10};
}

struct NetSpec {
  std::string net;
  std::int64_t width = 0, side = 0;  ///< 0: the net's own
};

/// "mobilenet_v1:8@64": width 8, images of 64 x 64.
inline NetSpec parse_net(const std::string& text) {
  const std::size_t at = text.find('@'), colon = text.find(':');
  const auto number_after = [&](std::size_t place, std::size_t end) -> std::int64_t {
    if (place == std::string::npos) return 0;
    const std::string digits = text.substr(place + 1, end == std::string::npos ? end : end - place - 1);
    if (digits.empty() || digits.size() > 6 || digits.find_first_not_of("0123456789") != std::string::npos)
      fail_usage("--net {}: expected NAME[:WIDTH][@SIDE], as in mobilenet_v1:8@64", text);
    return std::stoll(digits);
  };
  return {text.substr(0, std::min({text.size(), at, colon})), number_after(colon, at),
          number_after(at, std::string::npos)};
}

}  // namespace akin::bench
