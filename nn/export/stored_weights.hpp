// Weights in fewer bits than they were trained in. What reads them computes in f32; only the file is smaller.
#pragma once

#include <string>
#include <vector>

#include "engine/io/safetensors.hpp"

namespace akin {

/// How the weights of convolutions and linear layers are stored; biases and norms stay f32.
enum class WeightStore {
  f32,   ///< as they are
  f16,   ///< the nearest IEEE half
  int8,  ///< w = scale (q - 128), q in 1..255, a scale for each output channel (symmetric, 127 steps on each side)
};
const char* name_of(WeightStore store);

/// What int8 makes of a weight [K, ...]: q as u8 of that shape, scales f32 [K].
struct QuantizedWeight {
  Array q, scale;
};
inline constexpr std::uint8_t kZeroPoint = 128;
/// The largest value of each row becomes 127 steps; a row of zeros has the scale 1.
QuantizedWeight quantized(const Array& weight);

/// Each value becomes the nearest half. Error where one is beyond what f16 holds.
void to_halves(Array& weight, const std::string& name);

/// Stores the tensors of these names in that way: F16, or u8 with <name>_scale and <name>_zero_point beside it, as
/// dequantized() in nn/weight_file.hpp reads them.
void store_weights(SafeTensors& file, const std::vector<std::string>& names, WeightStore store);

}  // namespace akin
