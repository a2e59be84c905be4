#include "engine/collectives.hpp"

#include <cstring>
#include <numeric>

#include "engine/nccl.hpp"

namespace akin {

namespace {

/// The same elements in host memory: those of the tensor itself where it lies there.
Tensor staged(Context& ctx, const Tensor& t) { return t.is_on_host() ? t : Tensor::on_host(ctx, t.shape(), t.dtype()); }

}  // namespace

void all_to_all(Context& ctx, const Tensor& send, const Tensor& receive, const std::string& what) {
  const auto ranks = static_cast<std::size_t>(ctx.ranks->size());
  AKIN_CHECK(send.bytes() == receive.bytes() && send.bytes() % ranks == 0, "all_to_all: {} and {} bytes for {} ranks",
             send.bytes(), receive.bytes(), ranks);
  const std::size_t each = send.bytes() / ranks;
  if (ctx.nccl != nullptr) {
    ctx.nccl->all_to_all(ctx, send.raw(), receive.raw(), each, what);
    return;
  }
  const Tensor from = staged(ctx, send), to = staged(ctx, receive);
  if (!send.is_on_host()) send.copy_to(from.raw());
  ctx.ranks->all_to_all(from.raw(), to.raw(), each, what);
  if (!receive.is_on_host()) receive.copy_from(to.raw());
}

void all_gather(Context& ctx, const Tensor& own, const Tensor& all, std::span<const std::int64_t> columns,
                const std::string& what) {
  const auto ranks = static_cast<std::size_t>(ctx.ranks->size());
  AKIN_CHECK(all.bytes() == ranks * own.bytes() &&
                 std::accumulate(columns.begin(), columns.end(), std::int64_t{0}) == own.numel(),
             "all_gather: {} elements of {} bytes into {} bytes for {} ranks", own.numel(), own.bytes(), all.bytes(),
             ranks);
  std::vector<Nccl::Piece> pieces;  // in bytes
  for (const std::int64_t n : columns) {
    const std::size_t at = pieces.empty() ? 0 : pieces.back().at + pieces.back().bytes;
    pieces.push_back({at, static_cast<std::size_t>(n) * size_of(own.dtype())});
  }
  if (ctx.nccl != nullptr) {
    ctx.nccl->all_gather(ctx, own.raw(), all.raw(), pieces, what);
    return;
  }
  const Tensor from = staged(ctx, own), to = staged(ctx, all);
  if (!own.is_on_host()) own.copy_to(from.raw());
  if (columns.size() == 1) {
    ctx.ranks->all_gather(from.raw(), to.raw(), own.bytes(), what);
  } else {
    std::vector<std::byte> rows(all.bytes());
    ctx.ranks->all_gather(from.raw(), rows.data(), own.bytes(), what);
    for (const auto& [at, bytes] : pieces)
      for (std::size_t r = 0; r < ranks; ++r)
        std::memcpy(to.raw() + ranks * at + r * bytes, rows.data() + r * own.bytes() + at, bytes);
  }
  if (!all.is_on_host()) all.copy_from(to.raw());
}

}  // namespace akin
