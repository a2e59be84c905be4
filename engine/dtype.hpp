// Element types, shapes and the host array that files are read into and written from.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <span>
#include <string>
#include <vector>

#include "kernels/common/bf16.hpp"
#include "kernels/common/error.hpp"

namespace akin {

enum class DType { f32, f64, bf16, u8, i32, i64 };

std::size_t size_of(DType dtype);
const char* name_of(DType dtype);

template <class T>
constexpr DType dtype_of();
template <>
constexpr DType dtype_of<float>() {
  return DType::f32;
}
template <>
constexpr DType dtype_of<double>() {
  return DType::f64;
}
template <>
constexpr DType dtype_of<bf16>() {
  return DType::bf16;
}
template <>
constexpr DType dtype_of<std::uint8_t>() {
  return DType::u8;
}
template <>
constexpr DType dtype_of<std::int32_t>() {
  return DType::i32;
}
template <>
constexpr DType dtype_of<std::int64_t>() {
  return DType::i64;
}

/// Sizes of the dimensions, outermost first; rank 0 is a scalar of one element.
class Shape {
 public:
  Shape() = default;
  Shape(std::initializer_list<std::int64_t> dims) : Shape(std::vector<std::int64_t>(dims)) {}
  /// Throws on a negative size or a product that does not fit 63 bits.
  explicit Shape(std::vector<std::int64_t> dims);

  std::size_t rank() const { return dims_.size(); }
  /// Dimension i; negative i counts from the end.
  std::int64_t dim(int i) const;
  std::int64_t operator[](int i) const { return dim(i); }
  std::int64_t numel() const { return numel_; }
  const std::vector<std::int64_t>& dims() const { return dims_; }
  bool operator==(const Shape& other) const { return dims_ == other.dims_; }
  /// "[2, 3, 4]"
  std::string str() const;

 private:
  std::vector<std::int64_t> dims_;
  std::int64_t numel_ = 1;
};

/// A plain array in host memory, row-major: what the readers return and the writers take.
class Array {
 public:
  Array() = default;
  Array(DType dtype, Shape shape) : dtype_(dtype), shape_(std::move(shape)), bytes_(byte_size()) {}
  template <class T>
  static Array from(const std::vector<T>& values, Shape shape) {
    Array a(dtype_of<T>(), std::move(shape));
    AKIN_CHECK(static_cast<std::int64_t>(values.size()) == a.numel(), "Array: {} values for shape {}", values.size(),
               a.shape().str());
    if (!values.empty()) std::memcpy(a.bytes_.data(), values.data(), a.bytes_.size());
    return a;
  }

  DType dtype() const { return dtype_; }
  const Shape& shape() const { return shape_; }
  std::int64_t numel() const { return shape_.numel(); }
  std::size_t byte_size() const { return static_cast<std::size_t>(shape_.numel()) * size_of(dtype_); }
  std::byte* bytes() { return bytes_.data(); }
  const std::byte* bytes() const { return bytes_.data(); }
  template <class T>
  std::span<T> as() {
    check_type(dtype_of<T>());
    return {reinterpret_cast<T*>(bytes_.data()), static_cast<std::size_t>(numel())};
  }
  template <class T>
  std::span<const T> as() const {
    check_type(dtype_of<T>());
    return {reinterpret_cast<const T*>(bytes_.data()), static_cast<std::size_t>(numel())};
  }
  /// The same values as `to` (between number types, rounding as a C++ cast does; to bf16 by way of float, to
  /// nearest).
  Array cast(DType to) const;
  /// The same values with another shape of as many elements.
  Array reshaped(Shape shape) const;

 private:
  void check_type(DType wanted) const;
  DType dtype_ = DType::f32;
  Shape shape_{0};
  std::vector<std::byte> bytes_;
};

}  // namespace akin
