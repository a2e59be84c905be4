// What ranks exchange of tensors: the calls of ranks.hpp over arrays in the memory of a Context's device.
#pragma once

#include <span>
#include <string>

#include "engine/ranks.hpp"
#include "engine/tensor.hpp"

namespace akin {

/// All ranks of ctx.ranks call them, with tensors of the same shapes. With ctx.nccl cards give each other the bytes,
/// else they go through host memory; either way they are there when the call returns. RankErrors as those of Ranks.

/// `send` and `receive`, of one size, have a piece for each rank.
void all_to_all(Context& ctx, const Tensor& send, const Tensor& receive, const std::string& what);
/// `own` has columns side by side, of `columns` elements each; `all` gets each column of every rank, in their order,
/// behind the one before it: [ranks][columns[0]], [ranks][columns[1]], ...
void all_gather(Context& ctx, const Tensor& own, const Tensor& all, std::span<const std::int64_t> columns,
                const std::string& what);

}  // namespace akin
