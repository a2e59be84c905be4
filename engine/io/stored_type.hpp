// The number types of files: how each becomes one of akin's, the same bits or without loss.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "engine/dtype.hpp"

namespace akin {

struct StoredType {
  std::string_view safetensors;  ///< its name there
  std::string_view numpy;        ///< there, without the mark of its byte order; empty: NumPy has none
  std::size_t size;              ///< bytes an element
  DType dtype;                   ///< what it becomes
  void (*convert)(const std::uint8_t* from, std::int64_t n, Array& to);  ///< nullptr: the same bits
};

/// nullptr where there is no such type.
const StoredType* find_safetensors_type(std::string_view name);
const StoredType* find_numpy_type(std::string_view name);
/// The type that keeps the bits of `dtype`.
const StoredType& stored_type_of(DType dtype);

/// The nearest half (IEEE binary16), of equally near ones the even one; infinity from 65520 on.
std::uint16_t half_of(float value);
/// Those of `values`, little-endian.
std::vector<std::uint8_t> halves_of(std::span<const float> values);
/// The float of a half.
float float_of_half(std::uint16_t half);

/// Little-endian elements of `type` at `from`, as many as `to` holds. Error where one does not fit, naming the element.
void read_stored(const StoredType& type, const std::uint8_t* from, Array& to);

}  // namespace akin
