#pragma once

#include <memory>

#include "engine/context.hpp"
#include "engine/dtype.hpp"

namespace akin {

/// A block of device memory; goes back to its allocator's cache when the last owner is gone.
class Storage {
 public:
  Storage(std::shared_ptr<Allocator> allocator, std::size_t bytes)
      : allocator_(std::move(allocator)), bytes_(bytes), data_(static_cast<std::byte*>(allocator_->allocate(bytes))) {}
  ~Storage() { allocator_->release(data_, bytes_); }
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;
  std::byte* data() const { return data_; }
  std::size_t bytes() const { return bytes_; }
  /// nullptr: host memory.
  GpuStream* stream() const { return allocator_->stream(); }

 private:
  std::shared_ptr<Allocator> allocator_;
  std::size_t bytes_;
  std::byte* data_;
};

struct NormSums;  // engine/ops/norm_sums.hpp

/// A contiguous array, row-major; activations are [N, H, W, C]. A cheap handle: copies share the elements. const is of
/// the handle, as with a pointer: through a const Tensor elements can be written, but it stays the same tensor.
class Tensor {
 public:
  Tensor() = default;
  /// Uninitialised elements.
  static Tensor empty(Context& ctx, Shape shape, DType dtype = DType::f32);
  static Tensor zeros(Context& ctx, Shape shape, DType dtype = DType::f32);
  /// Uninitialised elements in host memory, whatever the device: for what the host reads and writes.
  static Tensor on_host(Context& ctx, Shape shape, DType dtype = DType::f32);
  /// A copy of a host array on the device.
  static Tensor from(Context& ctx, const Array& array);
  template <class T>
  static Tensor from(Context& ctx, const std::vector<T>& values, Shape shape) {
    return from(ctx, Array::from(values, std::move(shape)));
  }

  bool defined() const { return impl_ != nullptr; }
  const Shape& shape() const { return impl().shape; }
  std::int64_t dim(int i) const { return shape().dim(i); }
  std::int64_t numel() const { return shape().numel(); }
  DType dtype() const { return impl().dtype; }
  std::size_t bytes() const { return static_cast<std::size_t>(numel()) * size_of(dtype()); }

  /// First element, in the memory of the device that holds it; throws when T is not the dtype.
  template <class T>
  T* data() const {
    check_type(dtype_of<T>());
    return reinterpret_cast<T*>(raw());
  }
  std::byte* raw() const { return impl().storage->data() + impl().offset; }
  /// The value of a tensor of one element, as double.
  double item() const;
  /// A copy in host memory.
  Array to_array() const;
  /// Copies of `bytes()` bytes from or to host memory, and from another tensor of this device; they wait until done
  /// when the other side is host memory.
  void copy_from(const void* host) const;
  void copy_to(void* host) const;
  void copy_from(const Tensor& other) const;
  void set_zero() const;
  /// False in a Context of AllocatorOptions::shapes_only.
  bool has_elements() const { return impl().storage->data() != nullptr; }
  /// True in host memory, where elements may be read and written through data().
  bool is_on_host() const { return impl().storage->stream() == nullptr; }

  /// `shape.numel()` elements from element `first` on, sharing memory; no gradient flows (ops::reshape, ops::rows do).
  Tensor view(Shape shape, std::int64_t first = 0) const;
  /// The same elements without history: gradients stop here, on purpose.
  Tensor detach() const { return view(shape()); }

  // Gradients (see autograd.hpp).
  bool requires_grad() const { return impl().requires_grad; }
  /// Marks a leaf (a parameter). Throws for an integer dtype.
  void set_requires_grad(bool on);
  /// Gradient of a leaf after backward(); undefined when none arrived.
  Tensor grad() const;
  /// Gives a leaf the memory its gradient is written to (a slice of the optimiser's arena).
  void set_grad_buffer(Tensor buffer);
  /// Forgets the gradient; the next backward() overwrites the buffer.
  void zero_grad();

  /// A bf16 copy of a parameter, kept up to date by the optimiser; undefined without one (see ops::low_precision).
  Tensor shadow() const { return impl().shadow ? Tensor(impl().shadow) : Tensor(); }
  void set_shadow(const Tensor& copy) { impl().shadow = copy.handle(); }

  struct Impl {
    Shape shape;
    DType dtype = DType::f32;
    std::shared_ptr<Storage> storage;
    std::size_t offset = 0;  // bytes
    bool requires_grad = false;
    bool has_grad = false;       // grad holds a value of this backward pass
    bool grad_pinned = false;    // grad is a slice of an arena: private although its storage is shared
    std::shared_ptr<Impl> grad;    // buffer of the gradient
    std::shared_ptr<Impl> shadow;  // the same values in bf16
    std::shared_ptr<NormSums> norm;  // of the batchnorm that made this
  };
  const std::shared_ptr<Impl>& handle() const { return impl_; }
  explicit Tensor(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}

 private:
  static Tensor make(const std::shared_ptr<Allocator>& allocator, Shape shape, DType dtype);
  Impl& impl() const {
    AKIN_CHECK(impl_ != nullptr, "tensor: used before it was given a value");
    return *impl_;
  }
  void check_elements() const;
  void check_type(DType wanted) const;
  std::shared_ptr<Impl> impl_;
};

}  // namespace akin
