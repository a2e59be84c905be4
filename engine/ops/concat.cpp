#include "kernels/concat.hpp"

#include "engine/ops.hpp"
#include "engine/ops/dispatch.hpp"

namespace akin::ops {

namespace {

/// y[r, to + c] = x[r, from + c], or += ...
void copy(Context& ctx, const ColumnsCopy& s, const Tensor& x, std::int64_t from, const Tensor& y, std::int64_t to,
          Accum mode) {
  launch_on(
      ctx, x.dtype(), {"concat_channels", copy_columns_work(s, size_of(x.dtype()))},
      [&]<class T>(const auto& stream, T) { copy_columns(stream, s, x.data<T>() + from, y.data<T>() + to, mode); });
}

}  // namespace

Tensor concat_channels(Context& ctx, const std::vector<Tensor>& parts) {
  AKIN_CHECK(!parts.empty(), "concat_channels: nothing to join");
  const auto leading = [](const Tensor& t) {
    std::vector<std::int64_t> dims = t.shape().dims();
    AKIN_CHECK(!dims.empty(), "concat_channels: a tensor of shape {} has no channels", t.shape().str());
    dims.pop_back();
    return dims;
  };
  std::vector<std::int64_t> dims = leading(parts[0]), channels;
  std::int64_t total = 0;
  for (const Tensor& t : parts) {
    AKIN_CHECK(leading(t) == dims && t.dtype() == parts[0].dtype(),
               "concat_channels: {} {} beside {} {} (all but the last dimension must agree)", name_of(t.dtype()),
               t.shape().str(), name_of(parts[0].dtype()), parts[0].shape().str());
    channels.push_back(t.shape().dims().back());
    total += channels.back();
  }
  const std::int64_t rows = Shape(dims).numel();
  dims.push_back(total);
  Tensor y = Tensor::empty(ctx, Shape(dims), parts[0].dtype());
  std::int64_t first = 0;
  for (std::size_t i = 0; i < parts.size(); first += channels[i++])
    copy(ctx, {rows, channels[i], channels[i], total}, parts[i], 0, y, first, Accum::overwrite);
  return record(ctx, "concat_channels", y, parts, [rows, total, channels](const Tensor& dy, Grads& d) {
    std::int64_t at = 0;
    for (std::size_t i = 0; i < channels.size(); at += channels[i++]) {
      if (!d.wanted(i)) continue;
      const auto [dx, mode] = d.into(i);
      copy(d.ctx(), {rows, channels[i], total, channels[i]}, dy, at, dx, 0, mode);
    }
  });
}

}  // namespace akin::ops
