#include "engine/io/safetensors.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <set>
#include <string_view>

#include "engine/io/json.hpp"

namespace akin {
namespace {

static_assert(std::endian::native == std::endian::little, "akin's files and memory are little-endian");

constexpr std::uint64_t kMaxHeader = 100'000'000;

/// How a dtype of the file becomes one of akin's: the same bits, or each element converted without loss.
struct Stored {
  std::string_view name;
  std::size_t size;
  DType dtype;
  void (*convert)(const std::uint8_t* from, std::int64_t n, Array& to);  // nullptr: the same bits
};

template <class From, class To>
void widen(const std::uint8_t* from, std::int64_t n, Array& to) {
  const auto out = to.as<To>();
  for (std::size_t i = 0; i < static_cast<std::size_t>(n); ++i) {
    From value{};
    std::memcpy(&value, from + i * sizeof(From), sizeof(From));
    if constexpr (sizeof(From) == 8) {
      AKIN_CHECK(value <= static_cast<From>(std::numeric_limits<To>::max()), "element {} is {}, beyond i64", i, value);
    }
    out[i] = static_cast<To>(value);
  }
}

void half_to_float(const std::uint8_t* from, std::int64_t n, Array& to) {
  const auto out = to.as<float>();
  for (std::size_t i = 0; i < static_cast<std::size_t>(n); ++i) {
    std::uint16_t h = 0;
    std::memcpy(&h, from + 2 * i, 2);
    const int exponent = (h >> 10) & 31, fraction = h & 1023;
    float value = exponent == 0    ? std::ldexp(static_cast<float>(fraction), -24)
                  : exponent == 31 ? (fraction != 0 ? std::numeric_limits<float>::quiet_NaN()
                                                    : std::numeric_limits<float>::infinity())
                                   : std::ldexp(static_cast<float>(1024 + fraction), exponent - 25);
    out[i] = (h & 0x8000) != 0 ? -value : value;
  }
}

void truth_values(const std::uint8_t* from, std::int64_t n, Array& to) {
  const auto out = to.as<std::uint8_t>();
  for (std::size_t i = 0; i < static_cast<std::size_t>(n); ++i) {
    AKIN_CHECK(from[i] <= 1, "BOOL element {} is {}, not 0 or 1", i, from[i]);
    out[i] = from[i];
  }
}

constexpr Stored kStored[] = {
    {"F32", 4, DType::f32, nullptr},
    {"F64", 8, DType::f64, nullptr},
    {"BF16", 2, DType::bf16, nullptr},
    {"U8", 1, DType::u8, nullptr},
    {"I32", 4, DType::i32, nullptr},
    {"I64", 8, DType::i64, nullptr},
    {"F16", 2, DType::f32, half_to_float},
    {"BOOL", 1, DType::u8, truth_values},
    {"I8", 1, DType::i32, widen<std::int8_t, std::int32_t>},
    {"I16", 2, DType::i32, widen<std::int16_t, std::int32_t>},
    {"U16", 2, DType::i32, widen<std::uint16_t, std::int32_t>},
    {"U32", 4, DType::i64, widen<std::uint32_t, std::int64_t>},
    {"U64", 8, DType::i64, widen<std::uint64_t, std::int64_t>},
};

const char* stored_name(DType dtype) {
  for (const Stored& s : kStored) {
    if (s.dtype == dtype) return s.name.data();
  }
  fail("safetensors: no name for dtype {}", name_of(dtype));
}

struct Entry {
  std::string name;
  const Stored* stored = nullptr;
  Shape shape;
  std::uint64_t begin = 0, end = 0;
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
  for (const Stored& s : kStored) {
    if (s.name == dtype) entry.stored = &s;
  }
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
               e.name, e.stored->name, e.shape.str(), wanted, e.end - e.begin);
    at = e.end;
  }
  AKIN_CHECK(at == data_size, "{} bytes follow the last tensor", data_size - at);
}

SafeTensors parse(ByteView file) {
  AKIN_CHECK(file.size() >= 8, "{} bytes are too few for a header", file.size());
  std::uint64_t header_size = 0;
  std::memcpy(&header_size, file.data(), 8);
  AKIN_CHECK(header_size <= kMaxHeader, "header length {} is above the limit of {}", header_size, kMaxHeader);
  AKIN_CHECK(header_size <= file.size() - 8, "header of {} bytes does not fit a file of {}", header_size, file.size());
  const Json header = parse_header(file.subspan(8, header_size));
  const ByteView data = file.subspan(8 + header_size);

  SafeTensors result;
  std::vector<Entry> entries;
  for (const auto& [key, value] : header.items()) {
    if (key != "__metadata__") {
      entries.push_back(parse_entry(key, value));
      continue;
    }
    AKIN_CHECK(value.is_object(), "__metadata__ is not an object");
    for (const auto& [name, text] : value.items()) {
      AKIN_CHECK(text.is_string(), "__metadata__ \"{}\" is not a string", name);
      result.metadata[name] = text.get<std::string>();
    }
  }
  check_layout(entries, data.size());
  for (Entry& e : entries) {
    Array array(e.stored->dtype, e.shape);
    const std::uint8_t* from = data.data() + e.begin;
    try {
      if (e.stored->convert != nullptr) {
        e.stored->convert(from, array.numel(), array);
      } else if (array.byte_size() > 0) {
        std::memcpy(array.bytes(), from, array.byte_size());
      }
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

/// Header with its length in front, and the tensors in the order of their data.
std::pair<Bytes, std::vector<const Array*>> header_of(const SafeTensors& content) {
  std::vector<const std::pair<std::string, Array>*> order;
  for (const auto& item : content.tensors) order.push_back(&item);
  std::sort(order.begin(), order.end(), [](const auto* a, const auto* b) {
    const std::size_t sa = size_of(a->second.dtype()), sb = size_of(b->second.dtype());
    return sa != sb ? sa > sb : a->first < b->first;
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
  std::vector<const Array*> arrays;
  for (const auto* item : order) {
    const auto& [name, array] = *item;
    AKIN_CHECK(name != "__metadata__" && names.insert(name).second, "safetensors: tensor name \"{}\" is {}", name,
               name == "__metadata__" ? "reserved" : "used twice");
    json_text += json_text.size() > 1 ? "," : "";
    json_text +=
        fmt::format("{}:{{\"dtype\":\"{}\",\"shape\":[{}],\"data_offsets\":[{},{}]}}", quoted(name),
                    stored_name(array.dtype()), fmt::join(array.shape().dims(), ","), at, at + array.byte_size());
    at += array.byte_size();
    arrays.push_back(&array);
  }
  json_text += "}";
  json_text.resize((json_text.size() + 7) / 8 * 8, ' ');
  const std::uint64_t size = json_text.size();
  AKIN_CHECK(size <= kMaxHeader, "safetensors: header of {} bytes is above the limit of {}", size, kMaxHeader);
  Bytes bytes(8 + size);
  std::memcpy(bytes.data(), &size, 8);
  std::memcpy(bytes.data() + 8, json_text.data(), size);
  return {std::move(bytes), std::move(arrays)};
}

ByteView view(const Array& a) { return {reinterpret_cast<const std::uint8_t*>(a.bytes()), a.byte_size()}; }

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
  } catch (const Error& e) {
    fail("{}: not a sound safetensors file: {} (damaged or truncated? fetch or write it again)", name, e.what());
  }
}

SafeTensors read_safetensors(const std::filesystem::path& path, std::uint64_t max_bytes) {
  return parse_safetensors(read_file(path, max_bytes), path.string());
}

Bytes to_safetensors(const SafeTensors& content) {
  auto [bytes, arrays] = header_of(content);
  for (const Array* a : arrays) bytes.insert(bytes.end(), view(*a).begin(), view(*a).end());
  return bytes;
}

void write_safetensors(const std::filesystem::path& path, const SafeTensors& content) {
  const auto [header, arrays] = header_of(content);
  AtomicFile file(path);
  file.write(header);
  for (const Array* a : arrays) file.write(view(*a));
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
