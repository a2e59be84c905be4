#include "engine/io/npy.hpp"

#include <cctype>
#include <cstring>
#include <limits>
#include <optional>
#include <string_view>
#include <utility>

namespace akin {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr std::size_t kMaxHeader = 1 << 16;  // numpy itself reads no more than 10,000 bytes

struct Kind {
  std::string_view descr;
  DType dtype;
};
constexpr Kind kKinds[] = {{"<f4", DType::f32}, {"<f8", DType::f64}, {"|u1", DType::u8},
                           {"<i4", DType::i32}, {"<i8", DType::i64}, {"|b1", DType::u8}};

struct Header {
  std::optional<DType> dtype;
  std::optional<bool> fortran;
  std::optional<std::vector<std::int64_t>> shape;
};

/// The header is the literal of a Python dict: {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }
class HeaderParser {
 public:
  explicit HeaderParser(std::string_view text) : rest_(text) {}

  Header parse() {
    Header h;
    expect('{');
    while (!accept('}')) {
      const std::string_view key = quoted();
      expect(':');
      if (key == "descr" && !h.dtype) {
        h.dtype = dtype();
      } else if (key == "fortran_order" && !h.fortran) {
        h.fortran = truth();
      } else if (key == "shape" && !h.shape) {
        h.shape = tuple();
      } else {
        fail("header key '{}' is unknown or there twice", key);
      }
      if (!accept(',')) {
        expect('}');
        break;
      }
    }
    skip_space();
    AKIN_CHECK(rest_.empty(), "text follows the header's dict");
    AKIN_CHECK(h.dtype && h.fortran && h.shape, "header lacks descr, fortran_order or shape");
    return h;
  }

 private:
  void skip_space() {
    while (!rest_.empty() && (rest_[0] == ' ' || rest_[0] == '\n')) rest_.remove_prefix(1);
  }
  bool accept(char c) {
    skip_space();
    if (rest_.empty() || rest_[0] != c) return false;
    rest_.remove_prefix(1);
    return true;
  }
  void expect(char c) { AKIN_CHECK(accept(c), "header is not the dict it should be: '{}' expected", c); }
  std::string_view quoted() {
    skip_space();
    const char mark = rest_.empty() ? ' ' : rest_[0];
    AKIN_CHECK(mark == '\'' || mark == '"', "header is not the dict it should be: a quoted text expected");
    const std::size_t end = rest_.find(mark, 1);
    AKIN_CHECK(end != std::string_view::npos, "header text without closing quote");
    const std::string_view text = rest_.substr(1, end - 1);
    rest_.remove_prefix(end + 1);
    return text;
  }
  DType dtype() {
    skip_space();
    AKIN_CHECK(rest_.empty() || rest_[0] != '[', "structured types are not supported (save one field)");
    const std::string_view text = quoted();
    for (const Kind& k : kKinds) {
      // '<', '|' and '=' mean the same for single bytes.
      if (text == k.descr || (k.descr[0] == '|' && text.size() == 3 && text.substr(1) == k.descr.substr(1)))
        return k.dtype;
    }
    fail("type '{}' is not supported (in Python: a.astype('<f4'), or '<i8' for whole numbers)", text);
  }
  bool truth() {
    skip_space();
    for (const bool value : {true, false}) {
      const std::string_view word = value ? "True" : "False";
      if (rest_.substr(0, word.size()) != word) continue;
      rest_.remove_prefix(word.size());
      return value;
    }
    fail("fortran_order is neither True nor False");
  }
  std::vector<std::int64_t> tuple() {
    std::vector<std::int64_t> dims;
    expect('(');
    while (!accept(')')) {
      dims.push_back(number());
      if (!accept(',')) {
        expect(')');
        break;
      }
    }
    return dims;
  }
  std::int64_t number() {
    skip_space();
    std::int64_t value = 0;
    std::size_t n = 0;
    for (; n < rest_.size() && std::isdigit(static_cast<unsigned char>(rest_[n])) != 0; ++n) {
      AKIN_CHECK(value <= (std::numeric_limits<std::int64_t>::max() - 9) / 10, "a size of the shape is too large");
      value = 10 * value + (rest_[n] - '0');
    }
    AKIN_CHECK(n > 0, "shape holds something that is not a whole number >= 0");
    rest_.remove_prefix(n);
    return value;
  }

  std::string_view rest_;
};

/// Column-major bytes into row-major order: walks the output with an odometer of input offsets.
void from_fortran(const std::uint8_t* from, Array& to) {
  const std::size_t size = size_of(to.dtype());
  const auto& dims = to.shape().dims();
  std::vector<std::int64_t> stride(dims.size(), 1), index(dims.size(), 0);
  for (std::size_t i = 1; i < dims.size(); ++i) stride[i] = stride[i - 1] * dims[i - 1];
  std::int64_t at = 0;
  for (std::int64_t n = 0; n < to.numel(); ++n) {
    std::memcpy(to.bytes() + static_cast<std::size_t>(n) * size, from + static_cast<std::size_t>(at) * size, size);
    for (std::size_t i = dims.size(); i-- > 0;) {
      at += stride[i];
      if (++index[i] < dims[i]) break;
      at -= stride[i] * dims[i];
      index[i] = 0;
    }
  }
}

Array parse(ByteView file) {
  AKIN_CHECK(file.size() >= 10 && std::memcmp(file.data(), kMagic.data(), kMagic.size()) == 0,
             "it does not begin with \\x93NUMPY");
  const int version = file[6];
  AKIN_CHECK(version >= 1 && version <= 3 && file[7] == 0, "version {}.{} is not known", version, file[7]);
  const std::size_t start = version == 1 ? 10 : 12;
  AKIN_CHECK(file.size() >= start, "{} bytes are too few for a header", file.size());
  std::uint32_t length = 0;
  std::memcpy(&length, file.data() + 8, version == 1 ? 2 : 4);
  AKIN_CHECK(length <= kMaxHeader && length <= file.size() - start, "header of {} bytes does not fit a file of {}",
             length, file.size());
  const std::string_view text(reinterpret_cast<const char*>(file.data()) + start, length);
  const Header header = HeaderParser(text).parse();
  const Shape shape(*header.shape);
  const ByteView data = file.subspan(start + length);
  const std::uint64_t wanted = static_cast<std::uint64_t>(shape.numel()) * size_of(*header.dtype);
  AKIN_CHECK(data.size() == wanted, "shape {} of {} takes {} bytes, the file has {}", shape.str(),
             name_of(*header.dtype), wanted, data.size());
  Array array(*header.dtype, shape);
  if (*header.fortran) {
    from_fortran(data.data(), array);
  } else if (wanted > 0) {
    std::memcpy(array.bytes(), data.data(), wanted);
  }
  return array;
}

}  // namespace

Array parse_npy(ByteView file, const std::string& name) {
  try {
    return parse(file);
  } catch (const Error& e) {
    fail("{}: not a .npy file akin can read: {}", name, e.what());
  }
}

Array read_npy(const std::filesystem::path& path, std::uint64_t max_bytes) {
  return parse_npy(read_file(path, max_bytes), path.string());
}

Bytes to_npy(const Array& array) {
  const Kind* kind = nullptr;
  for (const Kind& k : kKinds) {
    if (kind == nullptr && k.dtype == array.dtype()) kind = &k;
  }
  AKIN_CHECK(kind != nullptr, ".npy has no type {} (cast to f32)", name_of(array.dtype()));
  const auto& dims = array.shape().dims();
  std::string text = fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}{}), }}", kind->descr,
                                 fmt::join(dims, ", "), dims.size() == 1 ? "," : "");
  // The data begins at a multiple of 64 bytes, and the header ends with a new line.
  text.append((64 - (10 + text.size() + 1) % 64) % 64, ' ');
  text += '\n';
  AKIN_CHECK(text.size() <= 65535, ".npy: {} dimensions are too many", dims.size());
  std::string head(kMagic);
  head += '\1';
  head += '\0';
  head += static_cast<char>(text.size() & 255);
  head += static_cast<char>(text.size() >> 8);
  head += text;
  Bytes bytes(head.size() + array.byte_size());
  std::memcpy(bytes.data(), head.data(), head.size());
  if (array.byte_size() > 0) std::memcpy(bytes.data() + head.size(), array.bytes(), array.byte_size());
  return bytes;
}

void write_npy(const std::filesystem::path& path, const Array& array) { write_file_atomic(path, to_npy(array)); }

}  // namespace akin
