// How the images of a training step are cut into slices, and which of them a rank has.
#pragma once

#include <cstdint>

#include "engine/context.hpp"

namespace akin {

/// Slice s of `count` has the images begin(B, s) .. begin(B, s + 1) of a batch of B; sizes differ by one at most. Each
/// slice is a batch of its own to the network (its batch norms see nothing else), and their gradients are added up in
/// order: so the result depends on `count` and not on who computes which.
struct Slices {
  std::int64_t count = 1;  ///< of a step
  std::int64_t first = 0;  ///< the first one of this rank
  std::int64_t here = 1;   ///< of this rank, one after the other

  constexpr std::int64_t begin(std::int64_t batch, std::int64_t slice) const { return batch * slice / count; }
  constexpr std::int64_t size(std::int64_t batch, std::int64_t slice) const {
    return begin(batch, slice + 1) - begin(batch, slice);
  }
  /// A feed of slices counts on over steps: its batch number i is one of step i / here.
  constexpr std::int64_t step_of(std::int64_t i) const { return i / here; }
  constexpr std::int64_t slice_of(std::int64_t i) const { return first + i % here; }
};

/// How many slices a step has where the settings say `wanted`: for 1, one a rank. UsageError where they cannot be dealt
/// evenly to the ranks of `ctx`, or a rank would have several of those that share batch norms' statistics.
std::int64_t count_slices(const Context& ctx, std::int64_t wanted, bool shared_statistics = false);
std::int64_t count_slices(std::int64_t ranks, std::int64_t wanted, bool shared_statistics = false);
/// Those of this rank. `count`: of count_slices().
Slices slices_of(const Context& ctx, std::int64_t count);

}  // namespace akin
