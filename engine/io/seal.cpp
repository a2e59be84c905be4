#include "engine/io/seal.hpp"

#include <algorithm>

#include "engine/io/json.hpp"
#include "engine/io/sha256.hpp"

namespace akin {

namespace {

constexpr const char* kKey = "sha256";

/// Lengths stand before the texts, so that no two contents give one stream.
void add(Sha256& h, std::string_view text) { h.update(fmt::format("{}:", text.size())).update(text); }

std::string digest(const SafeTensors& file) {
  Sha256 h;
  for (const auto& [key, value] : file.metadata) {
    if (key == kKey) continue;
    add(h, key);
    add(h, value);
  }
  std::vector<const std::pair<std::string, Array>*> order;
  for (const auto& tensor : file.tensors) order.push_back(&tensor);
  std::sort(order.begin(), order.end(), [](const auto* a, const auto* b) { return a->first < b->first; });
  for (const auto* tensor : order) {
    const Array& array = tensor->second;
    add(h, tensor->first);
    add(h, fmt::format("{}{}", name_of(array.dtype()), array.shape().str()));
    h.update(ByteView(reinterpret_cast<const std::uint8_t*>(array.bytes()), array.byte_size()));
  }
  return h.hex();
}

std::string digest(const Json& j) {
  Json rest = j;
  rest.erase(kKey);
  return sha256_hex(json_line(rest));
}

}  // namespace

void seal(SafeTensors& file) { file.metadata[kKey] = digest(file); }

Seal seal_of(const SafeTensors& file) {
  const auto it = file.metadata.find(kKey);
  if (it == file.metadata.end()) return Seal::none;
  return it->second == digest(file) ? Seal::sound : Seal::broken;
}

void check_seal(const SafeTensors& file, const char* remedy) {
  AKIN_CHECK(seal_of(file) != Seal::broken,
             "{}: its content is not what akin wrote (its sha256 differs: damaged, or changed by another program); {}",
             file.source, remedy);
}

void seal(Json& object) {
  object.erase(kKey);
  object[kKey] = digest(object);
}

Seal seal_of(const Json& object) {
  const auto it = object.find(kKey);
  if (it == object.end()) return Seal::none;
  return *it == digest(object) ? Seal::sound : Seal::broken;
}

void write_sealed(const std::filesystem::path& path, Json object) {
  seal(object);
  write_json(path, object);
}

std::optional<Json> read_sealed(const std::filesystem::path& path,
                                const std::function<void(const std::string&)>& tell) {
  if (!is_there(path)) return {};
  Json j = json_or_null(read_text(path));
  const Seal found = j.is_object() ? seal_of(j) : Seal::broken;
  if (found == Seal::sound) {
    j.erase(kKey);
    return j;
  }
  if (tell)
    tell(fmt::format("{}: {}", path.string(),
                     found == Seal::none ? "carries no digest (an earlier akin wrote it)"
                                         : "its content is not what akin wrote (damaged, or changed by hand)"));
  return {};
}

}  // namespace akin
