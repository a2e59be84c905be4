#include "engine/io/stored_type.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

namespace akin {
namespace {

static_assert(std::endian::native == std::endian::little, "akin's files and memory are little-endian");

template <class From, class To>
void widen(const std::uint8_t* from, std::int64_t n, Array& to) {
  const auto out = to.as<To>();
  for (std::size_t i = 0; i < static_cast<std::size_t>(n); ++i) {
    From value{};
    std::memcpy(&value, from + i * sizeof(From), sizeof(From));
    if constexpr (sizeof(From) == 8) {
      AKIN_CHECK(value <= static_cast<From>(std::numeric_limits<To>::max()), "element {} is {}, beyond i64", i, value);
    }
    out[i] = static_cast<To>(value);
  }
}

void half_to_float(const std::uint8_t* from, std::int64_t n, Array& to) {
  const auto out = to.as<float>();
  for (std::size_t i = 0; i < static_cast<std::size_t>(n); ++i) {
    std::uint16_t h = 0;
    std::memcpy(&h, from + 2 * i, 2);
    out[i] = float_of_half(h);
  }
}

void truth_values(const std::uint8_t* from, std::int64_t n, Array& to) {
  const auto out = to.as<std::uint8_t>();
  for (std::size_t i = 0; i < static_cast<std::size_t>(n); ++i) {
    AKIN_CHECK(from[i] <= 1, "BOOL element {} is {}, not 0 or 1", i, from[i]);
    out[i] = from[i];
  }
}

constexpr StoredType kTypes[] = {
    {"F32", "f4", 4, DType::f32, nullptr},
    {"F64", "f8", 8, DType::f64, nullptr},
    {"BF16", "", 2, DType::bf16, nullptr},
    {"U8", "u1", 1, DType::u8, nullptr},
    {"I32", "i4", 4, DType::i32, nullptr},
    {"I64", "i8", 8, DType::i64, nullptr},
    {"F16", "f2", 2, DType::f32, half_to_float},
    {"BOOL", "b1", 1, DType::u8, truth_values},
    {"I8", "i1", 1, DType::i32, widen<std::int8_t, std::int32_t>},
    {"I16", "i2", 2, DType::i32, widen<std::int16_t, std::int32_t>},
    {"U16", "u2", 2, DType::i32, widen<std::uint16_t, std::int32_t>},
    {"U32", "u4", 4, DType::i64, widen<std::uint32_t, std::int64_t>},
    {"U64", "u8", 8, DType::i64, widen<std::uint64_t, std::int64_t>},
};

template <class Fits>
const StoredType* find(const Fits& fits) {
  const auto* at = std::find_if(std::begin(kTypes), std::end(kTypes), fits);
  return at == std::end(kTypes) ? nullptr : at;
}

}  // namespace

std::vector<std::uint8_t> halves_of(std::span<const float> values) {
  std::vector<std::uint8_t> out;
  out.reserve(2 * values.size());
  for (const float v : values) {
    const std::uint16_t half = half_of(v);
    out.push_back(static_cast<std::uint8_t>(half & 255));
    out.push_back(static_cast<std::uint8_t>(half >> 8));
  }
  return out;
}

float float_of_half(std::uint16_t h) {
  const int exponent = (h >> 10) & 31, fraction = h & 1023;
  const float value = exponent == 0    ? std::ldexp(static_cast<float>(fraction), -24)
                      : exponent == 31 ? (fraction != 0 ? std::numeric_limits<float>::quiet_NaN()
                                                        : std::numeric_limits<float>::infinity())
                                       : std::ldexp(static_cast<float>(1024 + fraction), exponent - 25);
  return (h & 0x8000) != 0 ? -value : value;
}

std::uint16_t half_of(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const auto sign = static_cast<std::uint16_t>((bits >> 16) & 0x8000);
  const float size = std::abs(value);
  if (std::isnan(value)) return sign | 0x7e00;
  if (size >= 65520) return sign | 0x7c00;
  if (size < 0x1p-14f)  // in steps of 2^-24, as nearbyint rounds: to even
    return sign | static_cast<std::uint16_t>(std::nearbyint(std::ldexp(size, 24)));
  const std::uint32_t rest = bits & 0x7fffffff, even = (rest >> 13) & 1;
  return sign | static_cast<std::uint16_t>(((rest + 0xfff + even) >> 13) - (112u << 10));
}

const StoredType* find_safetensors_type(std::string_view name) {
  return find([&](const StoredType& type) { return type.safetensors == name; });
}

const StoredType* find_numpy_type(std::string_view name) {
  return find([&](const StoredType& type) { return !name.empty() && type.numpy == name; });
}

const StoredType& stored_type_of(DType dtype) {
  return *find([&](const StoredType& type) { return type.dtype == dtype && type.convert == nullptr; });
}

void read_stored(const StoredType& type, const std::uint8_t* from, Array& to) {
  if (type.convert != nullptr)
    type.convert(from, to.numel(), to);
  else if (to.byte_size() > 0)
    std::memcpy(to.bytes(), from, to.byte_size());
}

}  // namespace akin
