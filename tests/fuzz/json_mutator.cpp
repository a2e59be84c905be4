#include "tests/fuzz/json_mutator.hpp"

#include <algorithm>
#include <limits>

#include "engine/io/json.hpp"
#include "kernels/common/rng.hpp"

namespace akin::fuzz {

namespace {

constexpr std::size_t kMostNodes = 4096;
constexpr int kMostLevels = 60;

void collect(Json& j, std::vector<Json*>& nodes, int level = 0) {
  if (nodes.size() >= kMostNodes || level > kMostLevels) return;
  nodes.push_back(&j);
  if (j.is_structured())
    for (Json& child : j) collect(child, nodes, level + 1);
}

class Changes {
 public:
  explicit Changes(std::uint64_t seed) : rng_(seed, 0x6a736f6e) {}

  void one(Json& root) {
    std::vector<Json*> nodes;
    collect(root, nodes);
    Json& at = *nodes[below(nodes.size())];
    switch (rng_.below(7)) {
      case 0:
        if (at.is_structured() && !at.empty()) return remove(at);
        break;
      case 1:
        if (at.is_structured() && !at.empty()) return repeat(at);
        break;
      case 2:
        at = Json(*nodes[below(nodes.size())]);  // another value of the same text
        return;
      case 3:
        if (at.is_object()) {
          at["x"] = odd_value();
          return;
        }
        break;
      case 4:
        if (at.is_array() && at.size() > 1) {
          std::swap(at[below(at.size())], at[below(at.size())]);
          return;
        }
        break;
      default:
        break;
    }
    if (at.is_number_integer() && rng_.below(2) == 0)
      at = static_cast<std::int64_t>(static_cast<std::uint64_t>(at.get<std::int64_t>()) + rng_.below(5) - 2);
    else if (at.is_string() && rng_.below(2) == 0)
      at = spoilt(at.get<std::string>());
    else if (!at.is_structured() || rng_.below(4) == 0)
      at = odd_value();
  }
  std::uint32_t below(std::size_t n) { return rng_.below(static_cast<std::uint32_t>(n)); }

 private:
  void remove(Json& at) {
    if (at.is_array())
      at.erase(below(at.size()));
    else
      at.erase(std::next(at.begin(), below(at.size())));
  }
  void repeat(Json& at) {
    const auto it = std::next(at.begin(), below(at.size()));
    const Json value = *it;
    if (at.is_array())
      at.push_back(value);
    else
      at[spoilt(it.key())] = value;
  }
  std::string spoilt(std::string text) {
    if (text.empty() || rng_.below(3) == 0) return text + static_cast<char>(' ' + rng_.below(95));
    const std::uint32_t i = below(text.size());
    if (rng_.below(2) == 0)
      text.erase(i, 1);
    else
      text[i] = static_cast<char>(' ' + rng_.below(95));
    return text;
  }
  Json odd_value() {
    static const std::vector<Json> odd = {nullptr,
                                          true,
                                          false,
                                          0,
                                          1,
                                          -1,
                                          2,
                                          3,
                                          7,
                                          255,
                                          256,
                                          65536,
                                          65537,
                                          -2147483648LL,
                                          2147483648LL,
                                          4294967296LL,
                                          1000000000000LL,
                                          std::numeric_limits<std::int64_t>::max(),
                                          std::numeric_limits<std::int64_t>::min(),
                                          std::numeric_limits<std::uint64_t>::max(),
                                          0.0,
                                          -0.0,
                                          0.5,
                                          1.5,
                                          -2.5,
                                          1e-45,
                                          1e39,
                                          1e80,
                                          1e300,
                                          -1e300,
                                          "",
                                          "a",
                                          "nan",
                                          "inf",
                                          "../x",
                                          "a/b",
                                          "\n",
                                          "\"",
                                          ",",
                                          "0",
                                          Json::array(),
                                          Json::object(),
                                          Json::array({1}),
                                          Json::array({nullptr}),
                                          Json::array({Json::array()}),
                                          Json{{"a", 1}}};
    return odd[below(odd.size())];
  }
  Rng rng_;
};

std::string changed(Json j, std::uint64_t seed) {
  Changes changes(seed);
  for (std::uint32_t n = 1 + changes.below(3); n > 0; --n) changes.one(j);
  return j.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace

Bytes mutate_json(ByteView input, std::size_t most, std::uint64_t seed) {
  const Json j = json_or_null(text_of(input));
  if (j.is_null()) return {};
  const std::string text = changed(j, seed);
  return text.size() <= most ? bytes_of_text(text) : Bytes();
}

Bytes mutate_safetensors(ByteView input, std::size_t most, std::uint64_t seed) {
  constexpr std::size_t kLength = 8;
  std::uint64_t length = 0;
  if (input.size() < kLength) return {};
  for (std::size_t i = kLength; i-- > 0;) length = length << 8 | input[i];
  if (length > input.size() - kLength) return {};
  const ByteView header = input.subspan(kLength, static_cast<std::size_t>(length)),
                 data = input.subspan(kLength + header.size());
  const Json j = json_or_null(text_of(header));
  if (!j.is_object()) return {};
  const std::string text = changed(j, seed);
  Bytes out;
  for (std::size_t i = 0; i < kLength; ++i) out.push_back(static_cast<std::uint8_t>(text.size() >> (8 * i)));
  out.insert(out.end(), text.begin(), text.end());
  // As long as the last tensor says, if that is near: a header is worth more where the data fit it.
  std::uint64_t wanted = data.size();
  if (const Json now = json_or_null(text); now.is_object())
    for (const Json& tensor : now)
      if (tensor.is_object() && tensor.contains("data_offsets") && tensor["data_offsets"].is_array() &&
          tensor["data_offsets"].size() == 2 && tensor["data_offsets"][1].is_number_unsigned())
        wanted = std::max(wanted, tensor["data_offsets"][1].get<std::uint64_t>());
  out.insert(out.end(), data.begin(), data.end());
  if (out.size() > most) return {};
  if (wanted > data.size() && wanted - data.size() <= most - out.size())
    out.resize(out.size() + static_cast<std::size_t>(wanted - data.size()));
  return out;
}

}  // namespace akin::fuzz
