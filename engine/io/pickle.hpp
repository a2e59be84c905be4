// Python pickles (protocols 2 to 5) of plain data and of what torch.save writes for tensors. A pickle is a program;
// this one interprets the instructions that build such data and refuses every other by name, so no code of the file
// runs. Source: CPython, Lib/pickletools.py.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/io/file.hpp"

namespace akin {

/// One value. Text, bytes and containers belong to the Pickle that it comes from.
struct PickleValue {
  enum class Kind { none, boolean, integer, real, text, bytes, tuple, list, dict, global, storage, tensor, mark };
  Kind kind = Kind::none;
  std::int64_t whole = 0;             ///< of boolean, integer
  double number = 0;                  ///< of real
  std::string_view text = {};         ///< of text, bytes; of a global "module.name"
  struct PickleNode* node = nullptr;  ///< of tuple, list, dict, storage, tensor

  bool is(Kind k) const { return kind == k; }
};

/// What torch.save names by a persistent id: numbers in a file of their own, data/<key>.
struct PickleStorage {
  std::string_view type;  ///< "FloatStorage"
  std::string_view key;
  std::int64_t numel = 0;
};
/// A view of a storage; counted in elements.
struct PickleTensor {
  PickleStorage storage;
  std::int64_t offset = 0;
  std::vector<std::int64_t> size, stride;
};

struct PickleNode {
  std::vector<PickleValue> items;                            ///< of tuple, list
  std::vector<std::pair<PickleValue, PickleValue>> entries;  ///< of dict, in order; a key may stand twice
  PickleStorage storage;
  PickleTensor tensor;
};

class Pickle {
 public:
  /// Reads `bytes`, which must outlive it. Error on what is damaged, and on every class or function that is none of
  /// torch.save's for tensors: `UnknownGlobal`.
  explicit Pickle(ByteView bytes);
  const PickleValue& top() const { return top_; }

 private:
  friend class PickleMachine;
  std::deque<PickleNode> nodes_;  // a program can build containers that hold themselves: nobody owns them but this
  PickleValue top_;
};

/// The pickle names a class or function that akin does not know, and so needs Python: "torch.nn.modules.conv.Conv2d".
struct UnknownGlobal : Error {
  explicit UnknownGlobal(const std::string& full_name);
};

}  // namespace akin
