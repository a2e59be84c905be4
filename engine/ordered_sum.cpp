#include "engine/ordered_sum.hpp"

#include <algorithm>

#include "engine/collectives.hpp"
#include "engine/ops/dispatch.hpp"

namespace akin {

OrderedSum::OrderedSum(Context& ctx, std::int64_t n, std::int64_t slices_here, std::int64_t tail)
    : ctx_(ctx),
      size_(ctx.ranks == nullptr ? 1 : ctx.ranks->size()),
      n_(n),
      here_(slices_here),
      tail_size_(tail),
      chunk_((n + size_ - 1) / size_),
      own_tails_(static_cast<std::size_t>(here_ * tail_size_)),
      all_tails_(own_tails_.size() * static_cast<std::size_t>(size_)) {
  const bool alone = size_ == 1;
  arrays_ = Tensor::zeros(ctx, {alone ? 1 : here_, size_ * chunk_});  // what pads the last chunk stays 0
  const auto tails = static_cast<std::int64_t>(own_tails_.size());
  all_parts_ = Tensor::empty(ctx, {size_ * (chunk_ + tails)});
  if (alone) return;
  own_part_ = Tensor::empty(ctx, {chunk_ + tails});
  if (here_ > 1) sent_ = Tensor::empty(ctx, {size_, here_, chunk_});
  received_ = Tensor::empty(ctx, {size_ * here_, chunk_});
}

Tensor OrderedSum::place(std::int64_t i) const {
  if (size_ == 1) return i == 0 ? all_parts_.view({n_}) : arrays_.view({n_});
  return arrays_.view({n_}, i * size_ * chunk_);
}

void OrderedSum::take_in(std::int64_t i, std::span<const float> tail) {
  AKIN_CHECK(static_cast<std::int64_t>(tail.size()) == tail_size_, "ordered sum: a tail of {}, expected {}",
             tail.size(), tail_size_);
  std::copy(tail.begin(), tail.end(), own_tails_.begin() + i * tail_size_);
  if (size_ == 1 && i > 0) ops::axpy(ctx_, 1, {}, arrays_.view({n_}), all_parts_.view({n_}), Accum::add);
}

Tensor OrderedSum::sum(const std::string& what) {
  if (size_ == 1) {
    all_tails_ = own_tails_;
    return all_parts_.view({n_});
  }
  for (std::int64_t r = 0; here_ > 1 && r < size_; ++r)
    for (std::int64_t i = 0; i < here_; ++i)
      sent_.view({chunk_}, (r * here_ + i) * chunk_).copy_from(arrays_.view({chunk_}, (i * size_ + r) * chunk_));
  all_to_all(ctx_, here_ == 1 ? arrays_ : sent_, received_, what);
  const Tensor own = own_part_.view({chunk_});
  own.copy_from(received_.view({chunk_}));
  for (std::int64_t s = 1; s < size_ * here_; ++s)
    ops::axpy(ctx_, 1, {}, received_.view({chunk_}, s * chunk_), own, Accum::add);
  const auto tails = static_cast<std::int64_t>(own_tails_.size());
  if (tails > 0) own_part_.view({tails}, chunk_).copy_from(own_tails_.data());
  const std::int64_t columns[] = {chunk_, tails};
  all_gather(ctx_, own_part_, all_parts_, columns, what);
  if (tails > 0) all_parts_.view({size_ * tails}, size_ * chunk_).copy_to(all_tails_.data());
  return all_parts_.view({n_});
}

std::span<const float> OrderedSum::tail(std::int64_t slice) const {
  const auto floats = static_cast<std::size_t>(tail_size_);
  return std::span(all_tails_).subspan(static_cast<std::size_t>(slice) * floats, floats);
}

}  // namespace akin
