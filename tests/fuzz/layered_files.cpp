#include "tests/fuzz/layered_files.hpp"

#include <algorithm>
#include <cmath>

#include "tests/fuzz/fuzz.hpp"

namespace akin::fuzz {

namespace {

constexpr std::size_t kMostValues = 12;
constexpr std::pair<const char*, DType> kTypes[] = {{"F32", DType::f32}, {"F64", DType::f64}, {"BF16", DType::bf16},
                                                    {"U8", DType::u8},   {"I32", DType::i32}, {"I64", DType::i64}};

/// What a type holds, and a conversion to it is defined for.
double within(DType type, double value) {
  switch (type) {
    case DType::u8:
      return std::clamp(value, 0.0, 255.0);
    case DType::i32:
      return std::clamp(value, -2e9, 2e9);
    case DType::i64:
      return std::clamp(value, -9e18, 9e18);
    default:
      return value;
  }
}

std::optional<Array> tensor_of(const Json& j, std::int64_t& left) {
  if (!j.is_array() || j.size() < 3 || !j[1].is_array()) return {};
  const auto* type = std::find_if(std::begin(kTypes), std::end(kTypes), [&](const auto& t) { return j[0] == t.first; });
  if (type == std::end(kTypes)) return {};
  std::vector<std::int64_t> dims;
  for (const Json& d : j[1]) {
    if (!d.is_number_integer() || d.get<std::int64_t>() < 0 || d.get<std::int64_t>() > left) return {};
    dims.push_back(d.get<std::int64_t>());
  }
  const auto shape = accepted([&] { return Shape(dims); });
  if (!shape || shape->numel() > left) return {};
  left -= shape->numel();
  std::vector<double> values;
  for (std::size_t i = 2; i < j.size(); ++i) values.push_back(within(type->second, number(j[i])));
  if (type->second != DType::f32 && type->second != DType::f64 && type->second != DType::bf16)
    for (double& v : values) v = std::isnan(v) ? 0 : v;
  Array array(DType::f64, *shape);
  for (std::size_t i = 0; double& v : array.as<double>()) v = values[i++ % values.size()];
  return array.cast(type->second);
}

std::string text_of_value(const Json& j) { return j.is_string() ? j.get<std::string>() : json_line(j); }

}  // namespace

std::optional<SafeTensors> file_of(const Json& j, std::int64_t most) {
  if (!j.is_object() || !j.contains("tensors") || !j["tensors"].is_object()) return {};
  SafeTensors file;
  for (const auto& [name, tensor] : j["tensors"].items()) {
    std::optional<Array> array = tensor_of(tensor, most);
    if (!array) return {};
    if (file.find(name) == nullptr) file.add(name, std::move(*array));
  }
  if (j.contains("metadata") && j["metadata"].is_object())
    for (const auto& [key, value] : j["metadata"].items()) file.metadata[key] = text_of_value(value);
  return file;
}

Json description_of(const SafeTensors& file) {
  Json tensors = Json::object(), metadata = Json::object();
  for (const auto& [name, array] : file.tensors) {
    const auto* type = std::find_if(std::begin(kTypes), std::end(kTypes),
                                    [&, dtype = array.dtype()](const auto& t) { return t.second == dtype; });
    Json j = {type->first, array.shape().dims()};
    const Array values = array.cast(DType::f64);
    for (const double v : values.as<double>().first(std::min<std::size_t>(values.as<double>().size(), kMostValues)))
      j.push_back(number(v));
    if (array.numel() == 0) j.push_back(0);
    tensors[name] = j;
  }
  for (const auto& [key, value] : file.metadata) {
    const Json inner = json_or_null(value);
    metadata[key] = inner.is_object() ? inner : Json(value);
  }
  return {{"tensors", tensors}, {"metadata", metadata}};
}

}  // namespace akin::fuzz
