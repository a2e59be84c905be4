#include "nn/data/slices.hpp"

#include "engine/ranks.hpp"
#include "kernels/common/error.hpp"

namespace akin {

std::int64_t count_slices(const Context& ctx, std::int64_t wanted, bool shared_statistics) {
  return count_slices(ctx.ranks == nullptr ? 1 : ctx.ranks->size(), wanted, shared_statistics);
}

std::int64_t count_slices(std::int64_t ranks, std::int64_t wanted, bool shared_statistics) {
  if (wanted == 1) return ranks;
  if (shared_statistics && wanted != ranks)
    fail_usage(
        "--sync-batchnorm: ranks count together, and slices of one rank cannot, for they come one after the other; "
        "found {} slices and {} rank{}: start {} ranks, or leave out one of --slices and --sync-batchnorm",
        wanted, ranks, ranks == 1 ? "" : "s", wanted);
  if (wanted < 1 || wanted % ranks != 0)
    fail_usage(
        "--slices {}: cannot be dealt evenly to {} ranks; use a multiple of {}, or start another number of ranks",
        wanted, ranks, ranks);
  return wanted;
}

Slices slices_of(const Context& ctx, std::int64_t count) {
  const std::int64_t ranks = ctx.ranks == nullptr ? 1 : ctx.ranks->size();
  AKIN_CHECK(count >= ranks && count % ranks == 0, "slices: {} for {} ranks", count, ranks);
  const std::int64_t here = count / ranks;
  return {.count = count, .first = ctx.ranks == nullptr ? 0 : ctx.ranks->rank() * here, .here = here};
}

}  // namespace akin
