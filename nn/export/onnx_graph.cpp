#include "nn/export/onnx_graph.hpp"

#include "engine/io/protobuf.hpp"
#include "engine/io/stored_type.hpp"

namespace akin::onnx {

namespace {

// Numbers below are those of onnx.proto.
enum class ElementType { float32 = 1, uint8 = 2, int64 = 7, float16 = 10 };
enum class AttributeType { float_ = 1, int_ = 2, ints = 7 };

ProtoMessage attribute_message(const std::string& name, const Attribute& value) {
  ProtoMessage m;
  m.bytes(1, name);
  AttributeType type = AttributeType::ints;
  if (const auto* f = std::get_if<float>(&value)) {
    m.number(2, *f);
    type = AttributeType::float_;
  } else if (const auto* i = std::get_if<std::int64_t>(&value)) {
    m.integer(3, *i);
    type = AttributeType::int_;
  } else {
    for (const std::int64_t item : std::get<std::vector<std::int64_t>>(value)) m.integer(8, item);
  }
  m.integer(20, static_cast<std::int64_t>(type));
  return m;
}

ProtoMessage node_message(const Node& node) {
  ProtoMessage m;
  for (const std::string& input : node.inputs) m.bytes(1, input);
  m.bytes(2, node.output);
  m.bytes(3, node.name);
  m.bytes(4, node.op);
  for (const auto& [name, value] : node.attributes) m.message(5, attribute_message(name, value));
  return m;
}

ElementType element_type(const std::string& name, DType type) {
  if (type == DType::f32) return ElementType::float32;
  if (type == DType::u8) return ElementType::uint8;
  AKIN_CHECK(type == DType::i64, "onnx: {} is of {}, f32, u8 or i64 is expected", name, name_of(type));
  return ElementType::int64;
}

ProtoMessage tensor_message(const std::string& name, const Array& array, bool half) {
  ProtoMessage m;
  for (const std::int64_t d : array.shape().dims()) m.integer(1, d);
  m.integer(2, static_cast<std::int64_t>(half ? ElementType::float16 : element_type(name, array.dtype())));
  m.bytes(8, name);
  if (half) {
    const std::vector<std::uint8_t> data = halves_of(array.as<float>());
    m.bytes(9, std::string(data.begin(), data.end()));
    return m;
  }
  const std::size_t bytes = static_cast<std::size_t>(array.numel()) * size_of(array.dtype());
  m.bytes(9, {reinterpret_cast<const char*>(array.bytes()), bytes});  // little-endian, as every machine akin runs on
  return m;
}

ProtoMessage value_message(const Value& value) {
  ProtoMessage shape, batch, tensor, type, m;
  batch.bytes(2, "batch");
  shape.message(1, batch);
  for (const std::int64_t d : value.dims) {
    ProtoMessage dim;
    dim.integer(1, d);
    shape.message(1, dim);
  }
  tensor.integer(1, static_cast<std::int64_t>(ElementType::float32));
  tensor.message(2, shape);
  type.message(1, tensor);
  m.bytes(1, value.name);
  m.message(2, type);
  return m;
}

}  // namespace

std::string to_bytes(const Graph& graph) {
  std::size_t weights = 0;
  for (const auto& [name, array] : graph.initializers)
    weights += static_cast<std::size_t>(array.numel()) * size_of(array.dtype());
  AKIN_CHECK(weights < (std::size_t{1} << 31) - (std::size_t{1} << 24),
             "onnx: {} MB of weights; an ONNX file holds less than 2048 MB (export safetensors)", weights >> 20);
  ProtoMessage g;
  for (const Node& node : graph.nodes) g.message(1, node_message(node));
  g.bytes(2, graph.name);
  for (const auto& [name, array] : graph.initializers)
    g.message(5, tensor_message(name, array, graph.halves.contains(name)));
  g.message(11, value_message(graph.input));
  g.message(12, value_message(graph.output));
  ProtoMessage opset, model;
  opset.bytes(1, "");
  opset.integer(2, kOpset);
  model.integer(1, kIrVersion);
  model.bytes(2, "akin");
  model.bytes(3, graph.producer_version);
  model.bytes(6, graph.text);
  model.message(7, g);
  model.message(8, opset);
  for (const auto& [key, value] : graph.metadata) {
    ProtoMessage entry;
    entry.bytes(1, key);
    entry.bytes(2, value);
    model.message(14, entry);
  }
  return model.str();
}

}  // namespace akin::onnx
