// Pictures that look alike: saved anew, made smaller, a little cut or brighter.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <span>

#include "engine/dtype.hpp"

namespace akin {

/// What is kept of a picture to compare it with others: 264 bytes.
struct Look {
  std::uint64_t steps = 0;                ///< of 9x8 means, whether each is brighter than its right neighbour
  std::array<std::uint8_t, 256> small{};  ///< means of 16x16 parts, stretched to the whole range of grey
  bool plain = true;                      ///< has too little contrast to be told from others
};

/// Of a u8 [H,W,C] picture, C = 1 or 3.
Look look_of(const Array& picture);

/// Whether two pictures look alike: at most 12 of the 64 steps differ, and the small pictures correlate with at least
/// 0.985. Plain ones are like no other.
bool look_alike(const Look& a, const Look& b);

/// Calls found(i, j), i < j, for all pairs that look alike, in order. Each with each: 60,000 pictures take some
/// seconds.
void find_near_copies(std::span<const Look> looks, const std::function<void(std::size_t, std::size_t)>& found);

}  // namespace akin
