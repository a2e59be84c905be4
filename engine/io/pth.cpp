#include "engine/io/pth.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#include "engine/io/file_kind.hpp"
#include "engine/io/pickle.hpp"
#include "engine/io/stored_type.hpp"
#include "engine/io/text.hpp"
#include "engine/io/zip.hpp"

namespace akin {

namespace {

using Kind = PickleValue::Kind;

/// Under which keys programs put weights beside other things; the first that is there counts.
constexpr std::array<std::string_view, 9> kUsualKeys{"state_dict", "model_state_dict", "model",   "net",   "network",
                                                     "weights",    "params",           "encoder", "module"};
/// Tensors may be views of one storage, or repeat it: of a file of n bytes at most this many times n numbers are made.
constexpr std::uint64_t kMostViews = 16;

const StoredType* stored_type(std::string_view storage) {
  static constexpr std::pair<std::string_view, std::string_view> kTypes[] = {
      {"FloatStorage", "F32"}, {"DoubleStorage", "F64"}, {"HalfStorage", "F16"},  {"BFloat16Storage", "BF16"},
      {"LongStorage", "I64"},  {"IntStorage", "I32"},    {"ShortStorage", "I16"}, {"CharStorage", "I8"},
      {"ByteStorage", "U8"},   {"BoolStorage", "BOOL"}};
  for (const auto& [torch, type] : kTypes)
    if (storage == torch) return find_safetensors_type(type);
  fail("a tensor of {} is none that akin reads", storage);
}

std::string shown(std::string_view text) { return spelled_controls(readable_text(text.substr(0, 80)), false); }

/// How many tensors with dimensions a dictionary has under names.
std::size_t tensors_in(const PickleValue& v) {
  if (!v.is(Kind::dict)) return 0;
  return static_cast<std::size_t>(std::count_if(v.node->entries.begin(), v.node->entries.end(), [](const auto& e) {
    return e.first.is(Kind::text) && e.second.is(Kind::tensor) && !e.second.node->tensor.size.empty();
  }));
}

/// The dictionary of the weights.
const PickleNode& weights_of(const PickleValue& top) {
  AKIN_CHECK(!top.is(Kind::tensor), "it is one tensor without a name; weights are a dictionary of them (state_dict)");
  AKIN_CHECK(top.is(Kind::dict), "it holds no dictionary of tensors (state_dict)");
  if (tensors_in(top) > 0) return *top.node;
  std::vector<std::string> found;
  const PickleNode* only = nullptr;
  for (const auto& [key, value] : top.node->entries) {
    if (!key.is(Kind::text) || tensors_in(value) == 0) continue;
    found.push_back(shown(key.text));
    only = value.node;
  }
  for (const std::string_view usual : kUsualKeys)
    for (const auto& [key, value] : top.node->entries)
      if (key.is(Kind::text) && key.text == usual && tensors_in(value) > 0) return *value.node;
  AKIN_CHECK(!found.empty(), "it holds no dictionary of tensors (state_dict)");
  AKIN_CHECK(
      found.size() == 1,
      "it holds several sets of weights ({}), and none is called state_dict or model; in Python, with NAME one of "
      "them: torch.save(torch.load(\"FILE\", map_location=\"cpu\")[\"NAME\"], \"weights.pth\")",
      fmt::join(found, ", "));
  return *only;
}

class Reader {
 public:
  Reader(const std::map<std::string, ByteView>& files, std::string root, std::uint64_t most)
      : files_(files), root_(std::move(root)), left_(most) {}

  Array read(const PickleTensor& t) {
    const StoredType& type = *stored_type(t.storage.type);
    const auto file = files_.find(root_ + "data/" + std::string(t.storage.key));
    AKIN_CHECK(file != files_.end(), "its numbers ({}data/{}) are missing", shown(root_), shown(t.storage.key));
    const std::uint64_t there = file->second.size() / type.size;
    AKIN_CHECK(t.storage.numel >= 0 && static_cast<std::uint64_t>(t.storage.numel) <= there,
               "{} numbers are claimed, {} are there", t.storage.numel, there);
    std::uint64_t numel = 1;
    for (const std::int64_t s : t.size) {
      AKIN_CHECK(s >= 0, "a size of {}", s);
      if (s == 0) return Array(type.dtype, Shape(t.size));
    }
    for (const std::int64_t s : t.size) {
      AKIN_CHECK(static_cast<std::uint64_t>(s) <= left_ / numel, "more numbers than the file can hold");
      numel *= static_cast<std::uint64_t>(s);
    }
    left_ -= numel;
    AKIN_CHECK(t.offset >= 0 && t.offset < t.storage.numel, "begins at {} of {} numbers", t.offset, t.storage.numel);
    std::uint64_t last = static_cast<std::uint64_t>(t.offset);
    for (std::size_t d = 0; d < t.size.size(); ++d) {
      const auto steps = static_cast<std::uint64_t>(t.size[d] - 1), stride = static_cast<std::uint64_t>(t.stride[d]);
      AKIN_CHECK(t.stride[d] >= 0 && (steps == 0 || stride <= (there - last) / steps),
                 "reaches behind the {} numbers of its storage", there);
      last += steps * stride;
    }
    AKIN_CHECK(last < static_cast<std::uint64_t>(t.storage.numel), "reaches behind the {} numbers of its storage",
               t.storage.numel);
    Array array(type.dtype, Shape(t.size));
    const Bytes rows = gathered(t, file->second, type.size, numel);
    read_stored(type, rows.data(), array);
    return array;
  }

 private:
  /// The elements row by row.
  static Bytes gathered(const PickleTensor& t, ByteView storage, std::size_t size, std::uint64_t numel) {
    Bytes out(numel * size);
    std::vector<std::int64_t> index(t.size.size(), 0);
    auto from = static_cast<std::uint64_t>(t.offset);
    for (std::uint64_t i = 0; i < numel; ++i) {
      std::memcpy(out.data() + i * size, storage.data() + from * size, size);
      for (std::size_t d = t.size.size(); d-- > 0;) {  // the next index
        from += static_cast<std::uint64_t>(t.stride[d]);
        if (++index[d] < t.size[d]) break;
        from -= static_cast<std::uint64_t>(t.stride[d]) * static_cast<std::uint64_t>(t.size[d]);
        index[d] = 0;
      }
    }
    return out;
  }

  const std::map<std::string, ByteView>& files_;
  std::string root_;
  std::uint64_t left_;  // numbers that may still be made
};

/// "archive/", where the pickle lies in the zip.
std::string root_of(const std::map<std::string, ByteView>& files) {
  for (const auto& [name, content] : files)
    if (name == "data.pkl" || name.ends_with("/data.pkl")) return name.substr(0, name.size() - 8);
  fail("it has no data.pkl");
}

SafeTensors read(ByteView file, const std::map<std::string, ByteView>& files) {
  const std::string root = root_of(files);
  if (const auto order = files.find(root + "byteorder"); order != files.end()) {
    const std::string_view text(reinterpret_cast<const char*>(order->second.data()), order->second.size());
    AKIN_CHECK(text == "little", "its numbers are of the byte order '{}', expected little", shown(text));
  }
  const Pickle pickle(files.at(root + "data.pkl"));
  const PickleNode& weights = weights_of(pickle.top());
  Reader reader(files, root, kMostViews * file.size());
  std::map<std::string, Array> read_so_far;  // of names that stand twice the last one counts, as in Python
  std::vector<std::string> order;
  for (const auto& [key, value] : weights.entries) {
    if (!key.is(Kind::text) || !value.is(Kind::tensor)) continue;
    const std::string name(key.text);
    AKIN_CHECK(valid_utf8(name) == name.size(), "a tensor's name is no UTF-8");
    try {
      const auto [it, fresh] = read_so_far.insert_or_assign(name, reader.read(value.node->tensor));
      if (fresh) order.push_back(name);
    } catch (const Error& e) {
      fail("tensor \"{}\": {}", shown(name), e.what());
    }
  }
  SafeTensors out;
  for (const std::string& name : order) out.tensors.emplace_back(name, std::move(read_so_far.at(name)));
  return out;
}

}  // namespace

bool is_pth(ByteView file) {
  const std::string_view text(reinterpret_cast<const char*>(file.data()), file.size());
  return is_zip(file) && text.find("data.pkl") != std::string_view::npos &&
         text.find("constants.pkl") == std::string_view::npos;
}

SafeTensors parse_pth(ByteView file, const std::string& name) {
  const std::map<std::string, ByteView> files = stored_files(file, name);
  try {
    SafeTensors out = read(file, files);
    out.source = name;
    return out;
  } catch (const UnknownGlobal& e) {
    fail(
        "{}: a PyTorch file in which more than tensors was saved: {}; akin runs no code of files. If you trust it, in "
        "Python: import torch; d = torch.load(\"{}\", map_location=\"cpu\", weights_only=False); d = d if "
        "isinstance(d, "
        "dict) else d.state_dict(); torch.save(d.get(\"state_dict\", d.get(\"model\", d)), \"weights.pth\")",
        name, e.what(), name);
  } catch (const Error& e) {
    fail("{}: a PyTorch file that akin cannot read: {}", name, e.what());
  }
}

SafeTensors parse_weights(ByteView file, const std::string& name) {
  return is_pth(file) ? parse_pth(file, name) : parse_safetensors(file, name);
}

}  // namespace akin
