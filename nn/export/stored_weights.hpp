// Weights in fewer bits than they were trained in. What reads them computes in f32; only the file is smaller.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "engine/io/safetensors.hpp"

namespace akin {

/// How the weights of convolutions and linear layers are stored; biases and norms stay f32.
enum class WeightStore {
  f32,   ///< as they are
  f16,   ///< the nearest IEEE half
  int8,  ///< of heads see store_of; else w = scale (q - 128), q in 1..255, a scale for each output channel (symmetric,
         ///< 127 steps on each side)
};
const char* name_of(WeightStore store);

/// What int8 makes of a weight [K, ...]: q as u8 of that shape, scales f32 [K].
struct QuantizedWeight {
  Array q, scale;
};
inline constexpr std::uint8_t kZeroPoint = 128;
/// The largest value of each row becomes 127 steps; a row of zeros has the scale 1.
QuantizedWeight quantized(const Array& weight);

/// How a weight is stored where `asked` is: as that, but what int8 makes of heads is too rough. A feature that is
/// rarely above zero can have a weight that is hundreds of times the others of its row, which then share a step or two.
/// Those weights are halves, or stay as they are where one is beyond f16.
WeightStore store_of(WeightStore asked, const Array& weight, bool in_head);

/// Each value becomes the nearest half. Error where one is beyond what f16 holds.
void to_halves(Array& weight, const std::string& name);

/// Stores each tensor in its way: F16, or u8 with <name>_scale and <name>_zero_point beside it, as
/// dequantized() in nn/weight_file.hpp reads them.
void store_weights(SafeTensors& file, const std::vector<std::pair<std::string, WeightStore>>& ways);

}  // namespace akin
