// An ONNX model (onnx.ai, "Open Neural Network Exchange", operator set 13) as data, and its bytes. Values are NCHW.
#pragma once

#include <map>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "engine/dtype.hpp"

namespace akin::onnx {

inline constexpr std::int64_t kIrVersion = 8, kOpset = 13;

using Attribute = std::variant<std::int64_t, float, std::vector<std::int64_t>>;

struct Node {
  std::string op;                   ///< "Conv"
  std::string name;                 ///< unique
  std::vector<std::string> inputs;  ///< values, initialisers; "" where an optional one is left out
  std::string output;
  std::vector<std::pair<std::string, Attribute>> attributes;
};

/// What goes in or comes out: float32, its first dimension, named "batch", of any size.
struct Value {
  std::string name;
  std::vector<std::int64_t> dims;  ///< without the batch
};

struct Graph {
  std::string name;
  Value input, output;
  std::vector<Node> nodes;                                  ///< each after those it reads
  std::vector<std::pair<std::string, Array>> initializers;  ///< f32, i64 or u8
  std::set<std::string> halves;                             ///< those of them in f32 that are written as float16
  std::string producer_version, text;                       ///< text: for people
  std::map<std::string, std::string> metadata;
};

/// The file's content. Throws Error where it would exceed 2 GB, the most that readers of protocol buffers take.
std::string to_bytes(const Graph& graph);

}  // namespace akin::onnx
