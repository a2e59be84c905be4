#include "engine/dtype.hpp"

#include <bit>
#include <limits>

namespace akin {

std::size_t size_of(DType dtype) {
  switch (dtype) {
    case DType::f32:
    case DType::i32:
      return 4;
    case DType::f64:
    case DType::i64:
      return 8;
    case DType::bf16:
      return 2;
    case DType::u8:
      return 1;
  }
  fail("size_of: unknown dtype {}", static_cast<int>(dtype));
}

const char* name_of(DType dtype) {
  switch (dtype) {
    case DType::f32:
      return "f32";
    case DType::f64:
      return "f64";
    case DType::bf16:
      return "bf16";
    case DType::u8:
      return "u8";
    case DType::i32:
      return "i32";
    case DType::i64:
      return "i64";
  }
  return "?";
}

Shape::Shape(std::vector<std::int64_t> dims) : dims_(std::move(dims)) {
  bool empty = false;
  for (const std::int64_t d : dims_) {
    AKIN_CHECK(d >= 0, "shape {}: negative size {}", str(), d);
    empty = empty || d == 0;
  }
  if (empty) numel_ = 0;
  for (const std::int64_t d : dims_) {
    if (empty) break;
    AKIN_CHECK(numel_ <= std::numeric_limits<std::int64_t>::max() / 8 / d, "shape {}: too many elements", str());
    numel_ *= d;
  }
}

std::int64_t Shape::dim(int i) const {
  const int at = i < 0 ? i + static_cast<int>(dims_.size()) : i;
  AKIN_CHECK(at >= 0 && at < static_cast<int>(dims_.size()), "shape {}: no dimension {}", str(), i);
  return dims_[static_cast<std::size_t>(at)];
}

std::string Shape::str() const {
  std::string s = "[";
  for (std::size_t i = 0; i < dims_.size(); ++i) s += (i ? ", " : "") + std::to_string(dims_[i]);
  return s + "]";
}

void Array::check_type(DType wanted) const {
  AKIN_CHECK(dtype_ == wanted, "Array: holds {}, {} was asked for", name_of(dtype_), name_of(wanted));
}

namespace {

template <class To, class From>
void cast_values(const Array& in, Array& out) {
  const auto from = in.as<From>();
  const auto to = out.as<To>();
  for (std::size_t i = 0; i < from.size(); ++i) {
    if constexpr (std::is_same_v<From, bf16>)
      to[i] = static_cast<To>(bf16_to_float(from[i]));
    else if constexpr (std::is_same_v<To, bf16>)
      to[i] = float_to_bf16(static_cast<float>(from[i]));
    else
      to[i] = static_cast<To>(from[i]);
  }
}

template <class To>
void cast_to(const Array& in, Array& out) {
  switch (in.dtype()) {
    case DType::f32:
      return cast_values<To, float>(in, out);
    case DType::f64:
      return cast_values<To, double>(in, out);
    case DType::u8:
      return cast_values<To, std::uint8_t>(in, out);
    case DType::i32:
      return cast_values<To, std::int32_t>(in, out);
    case DType::i64:
      return cast_values<To, std::int64_t>(in, out);
    case DType::bf16:
      if constexpr (!std::is_same_v<To, bf16>) return cast_values<To, bf16>(in, out);
  }
}

}  // namespace

Array Array::cast(DType to) const {
  if (to == dtype_) return *this;
  Array out(to, shape_);
  switch (to) {
    case DType::f32:
      cast_to<float>(*this, out);
      break;
    case DType::f64:
      cast_to<double>(*this, out);
      break;
    case DType::u8:
      cast_to<std::uint8_t>(*this, out);
      break;
    case DType::i32:
      cast_to<std::int32_t>(*this, out);
      break;
    case DType::i64:
      cast_to<std::int64_t>(*this, out);
      break;
    case DType::bf16:
      cast_to<bf16>(*this, out);
  }
  return out;
}

Array Array::reshaped(Shape shape) const {
  AKIN_CHECK(shape.numel() == numel(), "Array: {} does not reshape to {}", shape_.str(), shape.str());
  Array out = *this;
  out.shape_ = std::move(shape);
  return out;
}

}  // namespace akin
