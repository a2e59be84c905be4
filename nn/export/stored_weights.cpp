#include "nn/export/stored_weights.hpp"

#include <algorithm>
#include <cmath>

#include "engine/io/stored_type.hpp"

namespace akin {

const char* name_of(WeightStore store) {
  return store == WeightStore::f16 ? "f16" : store == WeightStore::int8 ? "int8" : "f32";
}

QuantizedWeight quantized(const Array& weight) {
  const std::int64_t K = weight.shape()[0];
  QuantizedWeight out{Array(DType::u8, weight.shape()), Array(DType::f32, {K})};
  const auto w = weight.as<float>();
  const auto q = out.q.as<std::uint8_t>();
  const auto each = static_cast<std::int64_t>(w.size()) / K;
  for (std::int64_t k = 0; k < K; ++k) {
    const auto row = w.subspan(static_cast<std::size_t>(k * each), static_cast<std::size_t>(each));
    float largest = 0;
    for (const float v : row) largest = std::max(largest, std::abs(v));
    const float scale = largest / 127 > 0 ? largest / 127 : 1;
    out.scale.as<float>()[static_cast<std::size_t>(k)] = scale;
    for (std::size_t i = 0; i < row.size(); ++i) {
      const float steps = std::clamp(std::nearbyint(row[i] / scale), -127.0f, 127.0f);
      q[static_cast<std::size_t>(k * each) + i] = static_cast<std::uint8_t>(static_cast<int>(steps) + kZeroPoint);
    }
  }
  return out;
}

WeightStore store_of(WeightStore asked, const Array& weight, bool in_head) {
  if (asked != WeightStore::int8 || !in_head) return asked;
  const auto w = weight.as<float>();
  const bool fits = std::all_of(w.begin(), w.end(), [](float v) { return std::isfinite(float_of_half(half_of(v))); });
  return fits ? WeightStore::f16 : WeightStore::f32;
}

void to_halves(Array& weight, const std::string& name) {
  for (float& v : weight.as<float>()) {
    const float half = float_of_half(half_of(v));
    AKIN_CHECK(std::isfinite(half), "weight {} holds {}, beyond what f16 holds (65504); store int8 or f32 instead",
               name, v);
    v = half;
  }
}

void store_weights(SafeTensors& file, const std::vector<std::pair<std::string, WeightStore>>& ways) {
  for (const auto& [name, store] : ways) {
    if (store == WeightStore::f32) continue;
    const auto tensor =
        std::find_if(file.tensors.begin(), file.tensors.end(), [&](const auto& t) { return t.first == name; });
    AKIN_CHECK(tensor != file.tensors.end(), "{}: there is no tensor \"{}\" to store", file.source, name);
    if (store == WeightStore::f16) {
      to_halves(tensor->second, name);
      file.halves.insert(name);
      continue;
    }
    QuantizedWeight stored = quantized(tensor->second);
    tensor->second = std::move(stored.q);
    file.add(name + "_scale", std::move(stored.scale));
    file.add(name + "_zero_point", Array::from<std::uint8_t>({kZeroPoint}, {1}));
  }
}

}  // namespace akin
