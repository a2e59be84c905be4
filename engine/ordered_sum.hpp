// Sums over the slices of a batch in one fixed order, however many ranks share them.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "engine/tensor.hpp"

namespace akin {

/// The sum of S arrays of `n` floats, each element by itself as ((a0 + a1) + a2) + ...: the same bits on any number of
/// ranks. Each rank has the same number of consecutive slices, with an array each; all ranks get the sum. A rank adds
/// up its part of the elements, so of 4 n bytes each sends (ranks - 1) / ranks once for each of its slices and once for
/// the sum, in one message to every other rank each time. All of it is in the memory of the Context's device.
class OrderedSum {
 public:
  /// Without ranks in `ctx` all slices are here. `tail`: floats of a slice that are not added up but gathered, such as
  /// its loss; they travel with the sums.
  OrderedSum(Context& ctx, std::int64_t n, std::int64_t slices_here, std::int64_t tail);
  /// Takes this rank's slice number `i`; called for 0, 1, ... in order. `write` gets the place for its n floats.
  template <class Write>
  void put(std::int64_t i, std::span<const float> tail, Write&& write) {
    write(place(i));
    take_in(i, tail);
  }
  /// After all slices: [n], valid until the next put(). `what`: see Ranks.
  Tensor sum(const std::string& what);
  /// After sum(): the tail of any slice.
  std::span<const float> tail(std::int64_t slice) const;

 private:
  Tensor place(std::int64_t i) const;
  void take_in(std::int64_t i, std::span<const float> tail);

  Context& ctx_;
  std::int64_t size_, n_, here_, tail_size_;
  std::int64_t chunk_;               // elements that one rank adds up
  Tensor arrays_, sent_, received_;  // [slice here][rank][chunk], [rank][slice here][chunk], [slice][chunk]
  Tensor own_part_, all_parts_;      // a chunk and the tails of a rank; those of all: the sum, then the tails
  std::vector<float> own_tails_, all_tails_;
};

}  // namespace akin
