#include "engine/ordered_sum.hpp"

#include <algorithm>

#include "kernels/common/error.hpp"
#include "kernels/common/parallel.hpp"

namespace akin {

namespace {

constexpr std::int64_t kGrain = 16384;

void add_to(std::int64_t n, const float* x, float* sum) {
  parallel_for(n, kGrain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) sum[i] += x[i];
  });
}

}  // namespace

OrderedSum::OrderedSum(Ranks* ranks, std::int64_t n, std::int64_t slices_here, std::int64_t tail)
    : ranks_(ranks),
      size_(ranks == nullptr ? 1 : ranks->size()),
      n_(n),
      here_(slices_here),
      tail_size_(tail),
      chunk_((n + size_ - 1) / size_) {
  const auto floats = [](std::int64_t count) { return static_cast<std::size_t>(count); };
  const bool alone = size_ == 1;
  arrays_.resize(floats((alone ? 1 : here_) * size_ * chunk_));  // what pads the last chunk stays 0
  own_part_.resize(floats((alone ? 0 : chunk_) + here_ * tail_size_));
  sum_.resize(floats(size_ * chunk_));
  if (alone) return;
  if (here_ > 1) sent_.resize(arrays_.size());
  received_.resize(arrays_.size());
  all_parts_.resize(floats(size_) * own_part_.size());
}

std::span<float> OrderedSum::place(std::int64_t i) {
  return {at(arrays_, size_ == 1 ? 0 : i * size_ * chunk_), static_cast<std::size_t>(n_)};
}

void OrderedSum::take_in(std::int64_t i, std::span<const float> tail) {
  AKIN_CHECK(static_cast<std::int64_t>(tail.size()) == tail_size_, "ordered sum: a tail of {}, expected {}",
             tail.size(), tail_size_);
  std::copy(tail.begin(), tail.end(), at(own_part_, (size_ == 1 ? 0 : chunk_) + i * tail_size_));
  if (size_ > 1) return;
  if (i == 0)
    std::swap(arrays_, sum_);
  else
    add_to(n_, arrays_.data(), sum_.data());
}

std::span<const float> OrderedSum::sum(const std::string& what) {
  const std::span<const float> out(sum_.data(), static_cast<std::size_t>(n_));
  if (size_ == 1) return out;
  std::vector<float>& to_send = here_ == 1 ? arrays_ : sent_;
  for (std::int64_t r = 0; here_ > 1 && r < size_; ++r)
    for (std::int64_t i = 0; i < here_; ++i)
      std::copy_n(at(arrays_, (i * size_ + r) * chunk_), chunk_, at(sent_, (r * here_ + i) * chunk_));
  const auto bytes = [](std::int64_t count) { return static_cast<std::size_t>(count) * sizeof(float); };
  ranks_->all_to_all(to_send.data(), received_.data(), bytes(here_ * chunk_), what);
  std::copy_n(received_.data(), chunk_, own_part_.data());
  for (std::int64_t s = 1; s < size_ * here_; ++s) add_to(chunk_, at(received_, s * chunk_), own_part_.data());
  const auto part = static_cast<std::int64_t>(own_part_.size());
  ranks_->all_gather(own_part_.data(), all_parts_.data(), bytes(part), what);
  for (std::int64_t r = 0; r < size_; ++r) std::copy_n(at(all_parts_, r * part), chunk_, at(sum_, r * chunk_));
  return out;
}

std::span<const float> OrderedSum::tail(std::int64_t slice) const {
  const auto floats = static_cast<std::size_t>(tail_size_);
  if (size_ == 1) return std::span(own_part_).subspan(static_cast<std::size_t>(slice) * floats, floats);
  const std::size_t rank = static_cast<std::size_t>(slice / here_), i = static_cast<std::size_t>(slice % here_);
  return std::span(all_parts_).subspan(rank * own_part_.size() + static_cast<std::size_t>(chunk_) + i * floats, floats);
}

}  // namespace akin
