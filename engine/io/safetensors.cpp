#include "engine/io/safetensors.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <set>
#include <string_view>

#include "engine/io/file_kind.hpp"
#include "engine/io/json.hpp"
#include "engine/io/stored_type.hpp"

namespace akin {
namespace {

constexpr std::uint64_t kMaxHeader = 100'000'000;

struct Entry {
  std::string name;
  const StoredType* stored = nullptr;
  Shape shape;
  std::uint64_t begin = 0, end = 0;
};

/// A sound file that holds what akin does not read.
struct UnknownType : Error {
  using Error::Error;
};

/// JSON as strict as the format: no key twice in an object, nothing nested deeper than name -> field -> list.
Json parse_header(ByteView header) {
  // The library would skip a byte order mark; the format knows none.
  AKIN_CHECK(!header.empty() && header[0] == '{', "header does not begin with '{{'");
  return parse_json({reinterpret_cast<const char*>(header.data()), header.size()}, "header", 3);
}

std::vector<std::uint64_t> unsigned_list(const Json& value, const std::string& name, const char* field) {
  AKIN_CHECK(value.is_array(), "tensor \"{}\": {} is not a list", name, field);
  std::vector<std::uint64_t> list;
  for (const Json& item : value) {
    AKIN_CHECK(item.is_number_unsigned(), "tensor \"{}\": {} holds {}, a whole number >= 0 was expected", name, field,
               item.dump());
    list.push_back(item.get<std::uint64_t>());
  }
  return list;
}

Entry parse_entry(const std::string& name, const Json& value) {
  AKIN_CHECK(value.is_object(), "tensor \"{}\": an object was expected", name);
  for (const auto& [key, ignored] : value.items()) {
    AKIN_CHECK(key == "dtype" || key == "shape" || key == "data_offsets", "tensor \"{}\": unknown key \"{}\"", name,
               key);
  }
  AKIN_CHECK(value.size() == 3, "tensor \"{}\": dtype, shape and data_offsets are needed", name);
  AKIN_CHECK(value["dtype"].is_string(), "tensor \"{}\": dtype is not a string", name);
  const auto dtype = value["dtype"].get<std::string>();
  Entry entry;
  entry.name = name;
  entry.stored = find_safetensors_type(dtype);
  static const std::set<std::string> others{"F4",      "F6_E2M3",     "F6_E3M2",     "F8_E5M2", "F8_E4M3",
                                            "F8_E8M0", "F8_E5M2FNUZ", "F8_E4M3FNUZ", "C64"};
  if (others.contains(dtype))
    throw UnknownType(
        fmt::format("tensor \"{}\" is of the type {}, which akin does not read; convert it to F32", name, dtype));
  AKIN_CHECK(entry.stored != nullptr, "tensor \"{}\": dtype {} is not supported (convert it to F32)", name, dtype);
  std::vector<std::int64_t> dims;
  for (const std::uint64_t d : unsigned_list(value["shape"], name, "shape")) {
    AKIN_CHECK(d <= static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()),
               "tensor \"{}\": size {} is too large", name, d);
    dims.push_back(static_cast<std::int64_t>(d));
  }
  try {
    entry.shape = Shape(std::move(dims));
  } catch (const Error& e) {
    fail("tensor \"{}\": {}", name, e.what());
  }
  const auto offsets = unsigned_list(value["data_offsets"], name, "data_offsets");
  AKIN_CHECK(offsets.size() == 2, "tensor \"{}\": data_offsets has {} numbers instead of 2", name, offsets.size());
  entry.begin = offsets[0];
  entry.end = offsets[1];
  return entry;
}

/// Every tensor in its own place, the data filled without a gap, each as long as its shape says.
void check_layout(std::vector<Entry>& entries, std::uint64_t data_size) {
  std::stable_sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return a.begin != b.begin ? a.begin < b.begin : a.end < b.end;
  });
  std::uint64_t at = 0;
  for (const Entry& e : entries) {
    AKIN_CHECK(e.begin <= e.end && e.end <= data_size,
               "tensor \"{}\": data_offsets [{}, {}] lie outside the {} bytes of "
               "data",
               e.name, e.begin, e.end, data_size);
    AKIN_CHECK(e.begin == at, "tensor \"{}\": begins at byte {} of the data, the one before it ends at {} ({})", e.name,
               e.begin, at, e.begin < at ? "overlap" : "hole");
    const std::uint64_t wanted = static_cast<std::uint64_t>(e.shape.numel()) * e.stored->size;
    AKIN_CHECK(e.end - e.begin == wanted, "tensor \"{}\": {} of shape {} takes {} bytes, data_offsets give it {}",
               e.name, e.stored->safetensors, e.shape.str(), wanted, e.end - e.begin);
    at = e.end;
  }
  AKIN_CHECK(at == data_size, "{} bytes follow the last tensor", data_size - at);
}

std::uint64_t header_size_of(ByteView file) {
  AKIN_CHECK(file.size() >= 8, "{} bytes are too few for a header", file.size());
  std::uint64_t size = 0;
  std::memcpy(&size, file.data(), 8);
  AKIN_CHECK(size <= kMaxHeader, "header length {} is above the limit of {}", size, kMaxHeader);
  return size;
}

std::map<std::string, std::string> metadata_of(const Json& header) {
  std::map<std::string, std::string> out;
  const auto it = header.find("__metadata__");
  if (it == header.end()) return out;
  AKIN_CHECK(it->is_object(), "__metadata__ is not an object");
  for (const auto& [name, text] : it->items()) {
    AKIN_CHECK(text.is_string(), "__metadata__ \"{}\" is not a string", name);
    out[name] = text.get<std::string>();
  }
  return out;
}

SafeTensors parse(ByteView file) {
  const std::uint64_t header_size = header_size_of(file);
  AKIN_CHECK(header_size <= file.size() - 8, "header of {} bytes does not fit a file of {}", header_size, file.size());
  const Json header = parse_header(file.subspan(8, header_size));
  const ByteView data = file.subspan(8 + header_size);

  SafeTensors result;
  result.metadata = metadata_of(header);
  std::vector<Entry> entries;
  for (const auto& [key, value] : header.items())
    if (key != "__metadata__") entries.push_back(parse_entry(key, value));
  check_layout(entries, data.size());
  for (Entry& e : entries) {
    Array array(e.stored->dtype, e.shape);
    const std::uint8_t* from = data.data() + e.begin;
    try {
      read_stored(*e.stored, from, array);
    } catch (const Error& error) {
      fail("tensor \"{}\": {}", e.name, error.what());
    }
    result.tensors.emplace_back(std::move(e.name), std::move(array));
  }
  return result;
}

std::string quoted(const std::string& text) {
  try {
    return Json(text).dump();
  } catch (const Json::exception&) {
    fail("safetensors: a name or metadata text is not valid UTF-8 and cannot be written");
  }
}

/// A tensor as it is written.
struct Item {
  const std::string* name;
  const Array* array;
  const StoredType* stored;
};

/// Header with its length in front, and the tensors in the order of their data.
std::pair<Bytes, std::vector<Item>> header_of(const SafeTensors& content) {
  std::vector<Item> order;
  for (const auto& [name, array] : content.tensors) {
    const bool half = content.halves.contains(name);
    AKIN_CHECK(!half || array.dtype() == DType::f32, "safetensors: {} is to be written as F16 and is {}", name,
               name_of(array.dtype()));
    order.push_back({&name, &array, half ? find_safetensors_type("F16") : &stored_type_of(array.dtype())});
  }
  std::sort(order.begin(), order.end(), [](const Item& a, const Item& b) {
    return a.stored->size != b.stored->size ? a.stored->size > b.stored->size : *a.name < *b.name;
  });
  std::string json_text = "{";
  std::set<std::string> names;
  if (!content.metadata.empty()) {
    json_text += "\"__metadata__\":{";
    for (const auto& [key, value] : content.metadata) {
      json_text += fmt::format("{}{}:{}", json_text.back() == '{' ? "" : ",", quoted(key), quoted(value));
    }
    json_text += "}";
  }
  std::uint64_t at = 0;
  for (const Item& item : order) {
    const std::string& name = *item.name;
    const std::uint64_t bytes = static_cast<std::uint64_t>(item.array->numel()) * item.stored->size;
    AKIN_CHECK(name != "__metadata__" && names.insert(name).second, "safetensors: tensor name \"{}\" is {}", name,
               name == "__metadata__" ? "reserved" : "used twice");
    json_text += json_text.size() > 1 ? "," : "";
    json_text += fmt::format("{}:{{\"dtype\":\"{}\",\"shape\":[{}],\"data_offsets\":[{},{}]}}", quoted(name),
                             item.stored->safetensors, fmt::join(item.array->shape().dims(), ","), at, at + bytes);
    at += bytes;
  }
  json_text += "}";
  json_text.resize((json_text.size() + 7) / 8 * 8, ' ');
  const std::uint64_t size = json_text.size();
  AKIN_CHECK(size <= kMaxHeader, "safetensors: header of {} bytes is above the limit of {}", size, kMaxHeader);
  Bytes bytes(8 + size);
  std::memcpy(bytes.data(), &size, 8);
  std::memcpy(bytes.data() + 8, json_text.data(), size);
  return {std::move(bytes), std::move(order)};
}

/// The data of a tensor, one after the other to `put`.
template <class Put>
void put_data(const std::vector<Item>& items, Put put) {
  for (const Item& item : items) {
    if (item.stored->dtype == item.array->dtype() && item.stored->convert == nullptr) {
      put(ByteView(reinterpret_cast<const std::uint8_t*>(item.array->bytes()), item.array->byte_size()));
      continue;
    }
    put(ByteView(halves_of(item.array->as<float>())));
  }
}

template <class T>
void check_finite_values(std::span<const T> values, const std::string& name, const std::string& file) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    AKIN_CHECK(std::isfinite(values[i]),
               "{}: tensor \"{}\" holds {} at element {}; finite values are needed (was the "
               "training that wrote it stable?)",
               file, name, values[i], i);
  }
}

}  // namespace

const Array* SafeTensors::find(const std::string& name) const {
  for (const auto& [key, array] : tensors) {
    if (key == name) return &array;
  }
  return nullptr;
}

const Array& SafeTensors::at(const std::string& name) const {
  const Array* array = find(name);
  if (array != nullptr) return *array;
  std::string held;
  for (std::size_t i = 0; i < std::min<std::size_t>(tensors.size(), 8); ++i) held += (i ? ", " : "") + tensors[i].first;
  fail("{}: no tensor \"{}\"; the file holds {} tensors: {}{}", source, name, tensors.size(), held,
       tensors.size() > 8 ? ", ..." : "");
}

void SafeTensors::add(std::string name, Array value) {
  AKIN_CHECK(find(name) == nullptr, "{}: tensor \"{}\" is there already", source, name);
  tensors.emplace_back(std::move(name), std::move(value));
}

SafeTensors parse_safetensors(ByteView file, const std::string& name) {
  try {
    SafeTensors result = parse(file);
    result.source = name;
    return result;
  } catch (const UnknownType& e) {
    fail("{}: {}", name, e.what());
  } catch (const Error& e) {
    if (const std::string kind = foreign_kind(file, name, Wanted::weights); !kind.empty())
      fail("{}: is no safetensors file but {}", name, kind);
    fail("{}: not a sound safetensors file: {} (damaged or truncated? fetch or write it again)", name, e.what());
  }
}

SafeTensors read_safetensors(const std::filesystem::path& path, std::uint64_t max_bytes) {
  return parse_safetensors(read_file(path, max_bytes), path.string());
}

std::map<std::string, std::string> read_safetensors_metadata(const std::filesystem::path& path) {
  try {
    const std::uint64_t size = header_size_of(read_start(path, 8));
    const Bytes start = read_start(path, 8 + size);
    AKIN_CHECK(start.size() == 8 + size, "header of {} bytes does not fit a file of {}", size, start.size());
    return metadata_of(parse_header(ByteView(start).subspan(8)));
  } catch (const Error& e) {
    const std::string what = e.what();
    if (what.starts_with(path.string())) throw;
    fail("{}: not a sound safetensors file: {} (damaged or truncated? fetch or write it again)", path.string(), what);
  }
}

Bytes to_safetensors(const SafeTensors& content) {
  auto [bytes, items] = header_of(content);
  put_data(items, [&all = bytes](ByteView data) { all.insert(all.end(), data.begin(), data.end()); });
  return bytes;
}

void write_safetensors(const std::filesystem::path& path, const SafeTensors& content) {
  const auto [header, items] = header_of(content);
  AtomicFile file(path);
  file.write(header);
  put_data(items, [&](ByteView data) { file.write(data); });
  file.commit();
}

void check_finite(const Array& array, const std::string& name, const std::string& file) {
  switch (array.dtype()) {
    case DType::f32:
      return check_finite_values(array.as<float>(), name, file);
    case DType::f64:
      return check_finite_values(array.as<double>(), name, file);
    case DType::bf16:
      return check_finite(array.cast(DType::f32), name, file);
    case DType::u8:
    case DType::i32:
    case DType::i64:
      return;
  }
}

}  // namespace akin
