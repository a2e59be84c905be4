#include "engine/tensor.hpp"

#include <cstring>

namespace akin {

Tensor Tensor::make(const std::shared_ptr<Allocator>& allocator, Shape shape, DType dtype) {
  auto impl = std::make_shared<Impl>();
  impl->shape = std::move(shape);
  impl->dtype = dtype;
  impl->storage = std::make_shared<Storage>(allocator, static_cast<std::size_t>(impl->shape.numel()) * size_of(dtype));
  return Tensor(std::move(impl));
}

Tensor Tensor::empty(Context& ctx, Shape shape, DType dtype) { return make(ctx.allocator, std::move(shape), dtype); }

Tensor Tensor::on_host(Context& ctx, Shape shape, DType dtype) { return make(ctx.host, std::move(shape), dtype); }

Tensor Tensor::zeros(Context& ctx, Shape shape, DType dtype) {
  Tensor t = empty(ctx, std::move(shape), dtype);
  t.set_zero();
  return t;
}

Tensor Tensor::from(Context& ctx, const Array& array) {
  Tensor t = empty(ctx, array.shape(), array.dtype());
  t.copy_from(array.bytes());
  return t;
}

double Tensor::item() const {
  AKIN_CHECK(numel() == 1, "item: tensor has shape {}, one element was expected", shape().str());
  return to_array().cast(DType::f64).as<double>()[0];
}

Array Tensor::to_array() const {
  Array a(dtype(), shape());
  copy_to(a.bytes());
  return a;
}

void Tensor::copy_from(const void* host) const {
  if (bytes() == 0) return;
  check_elements();
  if (is_on_host()) {
    std::memcpy(raw(), host, bytes());
  } else {
    impl().storage->stream()->copy(raw(), host, bytes());
    impl().storage->stream()->synchronize();
  }
}

void Tensor::copy_to(void* host) const {
  if (bytes() == 0) return;
  check_elements();
  if (is_on_host()) {
    std::memcpy(host, raw(), bytes());
  } else {
    impl().storage->stream()->copy(host, raw(), bytes());
    impl().storage->stream()->synchronize();
  }
}

void Tensor::copy_from(const Tensor& other) const {
  AKIN_CHECK(other.bytes() == bytes() && other.is_on_host() == is_on_host(), "copy: {} {} into {} {}", name_of(other.dtype()),
             other.shape().str(), name_of(dtype()), shape().str());
  if (bytes() == 0) return;
  if (is_on_host())
    std::memcpy(raw(), other.raw(), bytes());
  else
    impl().storage->stream()->copy(raw(), other.raw(), bytes());
}

void Tensor::set_zero() const {
  if (bytes() == 0 || !has_elements()) return;
  if (is_on_host())
    std::memset(raw(), 0, bytes());
  else
    impl().storage->stream()->fill(raw(), 0, bytes());
}

Tensor Tensor::view(Shape shape, std::int64_t first) const {
  AKIN_CHECK(first >= 0 && shape.numel() <= numel() - first, "view: {} from element {} does not fit in {}", shape.str(),
             first, this->shape().str());
  auto v = std::make_shared<Impl>();
  v->shape = std::move(shape);
  v->dtype = dtype();
  v->storage = impl().storage;
  v->offset = impl().offset + static_cast<std::size_t>(first) * size_of(dtype());
  return Tensor(std::move(v));
}

void Tensor::set_requires_grad(bool on) {
  AKIN_CHECK(!on || dtype() == DType::f32 || dtype() == DType::f64 || dtype() == DType::bf16, "requires_grad: a tensor of {} has no gradient",
             name_of(dtype()));
  impl().requires_grad = on;
}

Tensor Tensor::grad() const { return impl().has_grad ? Tensor(impl().grad) : Tensor(); }

void Tensor::set_grad_buffer(Tensor buffer) {
  AKIN_CHECK(buffer.shape() == shape() && buffer.dtype() == dtype(), "grad buffer: {} for a tensor of {}",
             buffer.shape().str(), shape().str());
  impl().grad = buffer.handle();
  impl().grad_pinned = true;
  impl().has_grad = false;
}

void Tensor::zero_grad() {
  impl().has_grad = false;
  if (!impl().grad_pinned) impl().grad.reset();
}

void Tensor::check_elements() const {
  AKIN_CHECK(has_elements(), "tensor: {} was made without memory (AllocatorOptions::shapes_only)", shape().str());
}

void Tensor::check_type(DType wanted) const {
  AKIN_CHECK(dtype() == wanted, "tensor: holds {}, {} was asked for", name_of(dtype()), name_of(wanted));
}

}  // namespace akin
