#include "engine/io/npy.hpp"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstring>
#include <limits>
#include <string_view>
#include <utility>

#include "engine/io/file_kind.hpp"
#include "engine/io/stored_type.hpp"
#include "engine/io/text.hpp"

namespace akin {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr std::size_t kMaxHeader = 1 << 16;  // numpy itself reads no more than 10,000 bytes
constexpr std::size_t kMaxText = 1 << 16;    // characters an element

/// What an element is, from a text such as "<f4" or ">U12".
struct Element {
  const StoredType* number = nullptr;  // nullptr: text
  char text = 0;                       // U: UCS-4, S: bytes
  std::size_t size = 0;                // bytes an element
  bool big_endian = false;
};

struct Header {
  std::optional<Element> element;
  std::optional<bool> fortran;
  std::optional<std::vector<std::int64_t>> shape;
};

bool whole(std::string_view text, std::size_t& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

/// A type that akin does not read: what it is, and what to do.
struct Foreign {
  char kind;
  const char *meaning, *remedy;
};
constexpr const char* kCast = "in Python: a.astype('<f4'), or '<i8' for whole numbers";
constexpr Foreign kForeign[] = {
    {'c', ", complex numbers,", "save a.real or numpy.abs(a)"},
    {'O', ", Python objects,",
     "rows of different lengths, or a column of text? In Python: numpy.array(a.tolist(), dtype='<f4') for numbers, "
     "a.astype(str) for text"},
    {'V', ", raw bytes,", "bfloat16 of JAX? In Python: a.astype('<f4')"},
    {'M', ", times,", kCast},
    {'m', ", spans of time,", kCast},
    {'f', ", a float of more than 64 bits,", kCast},
    {'g', ", a float of more than 64 bits,", kCast},
};

[[noreturn]] void refuse_type(std::string_view text, std::string_view type) {
  Foreign foreign{' ', "", kCast};
  for (const Foreign& f : kForeign)
    if (type.starts_with(f.kind)) foreign = f;
  fail("type '{}'{} is not supported ({})", text, foreign.meaning, foreign.remedy);
}

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
      if (key == "descr" && !h.element) {
        h.element = element();
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
    AKIN_CHECK(h.element && h.fortran && h.shape, "header lacks descr, fortran_order or shape");
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
  Element element() {
    skip_space();
    AKIN_CHECK(rest_.empty() || rest_[0] != '[',
               "its type is structured, a record a row; structured types are not supported (in Python: "
               "numpy.lib.recfunctions.structured_to_unstructured(a), or save one field)");
    const std::string_view text = quoted();
    const bool marked = !text.empty() && std::string_view("<>=|").find(text[0]) != std::string_view::npos;
    const std::string_view type = text.substr(marked ? 1 : 0);
    Element e{find_numpy_type(type), 0, 0, text.starts_with('>')};
    std::size_t length = 0;
    if (e.number != nullptr) {
      e.size = e.number->size;
    } else if (type.size() > 1 && (type[0] == 'U' || type[0] == 'S') && whole(type.substr(1), length) &&
               length <= kMaxText) {
      e.text = type[0];
      e.size = length * (e.text == 'U' ? 4 : 1);
    } else {
      refuse_type(text, type);
    }
    return e;
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
    accept('L');  // as Python 2 wrote long numbers
    return value;
  }

  std::string_view rest_;
};

/// Column-major bytes into row-major order: walks the output with an odometer of input offsets.
void from_fortran(const std::uint8_t* from, Array& to) {
  const std::size_t size = size_of(to.dtype());
  const auto& dims = to.shape().dims();
  if (to.numel() == 0) return;  // sizes beside a 0 may be anything
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

struct Parsed {
  Header header;
  Shape shape;
  ByteView data;
};

Parsed parse(ByteView file) {
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
  Parsed p{HeaderParser(text).parse(), {}, file.subspan(start + length)};
  p.shape = Shape(*p.header.shape);
  const Element& e = *p.header.element;
  const auto count = static_cast<std::uint64_t>(p.shape.numel());
  AKIN_CHECK(e.size == 0 || count <= std::numeric_limits<std::int64_t>::max() / e.size, "shape {} is too large",
             p.shape.str());
  const std::uint64_t wanted = count * e.size;
  const bool more = p.data.size() > wanted && p.data.size() - wanted >= kMagic.size() &&
                    std::memcmp(p.data.data() + wanted, kMagic.data(), kMagic.size()) == 0;
  AKIN_CHECK(!more, "a second array follows the first; save each to a file of its own");
  AKIN_CHECK(p.data.size() == wanted, "shape {} takes {} bytes, the file has {}", p.shape.str(), wanted, p.data.size());
  return p;
}

/// The bytes of each element (of each character in text of UCS-4) the other way round.
Bytes swapped(ByteView data, std::size_t size) {
  Bytes out(data.size());
  for (std::size_t i = 0; i < data.size(); i += size)
    std::reverse_copy(data.begin() + std::ptrdiff_t(i), data.begin() + std::ptrdiff_t(i + size),
                      out.begin() + std::ptrdiff_t(i));
  return out;
}

Array numbers_of(const Parsed& p) {
  const Element& e = *p.header.element;
  AKIN_CHECK(e.number != nullptr, "it holds text, numbers were expected (in Python: a.astype('<f4'))");
  Array array(e.number->dtype, p.shape);
  const Bytes turned = e.big_endian && e.size > 1 ? swapped(p.data, e.size) : Bytes();
  read_stored(*e.number, turned.empty() ? p.data.data() : turned.data(), array);
  if (!*p.header.fortran) return array;
  Array rows(e.number->dtype, p.shape);
  from_fortran(reinterpret_cast<const std::uint8_t*>(array.bytes()), rows);
  return rows;
}

/// Text of a fixed width, zeros at its end left out.
std::vector<std::string> text_of(const Parsed& p) {
  const Element& e = *p.header.element;
  const Bytes turned = e.big_endian && e.text == 'U' ? swapped(p.data, 4) : Bytes();
  const std::uint8_t* at = turned.empty() ? p.data.data() : turned.data();
  std::vector<std::string> cells(static_cast<std::size_t>(p.shape.numel()));
  for (std::string& cell : cells) {
    for (std::size_t i = 0; i < e.size; i += e.text == 'U' ? 4 : 1) {
      std::uint32_t c = at[i];
      if (e.text == 'U') std::memcpy(&c, at + i, 4);
      if (e.text == 'U')
        append_utf8(cell, c);
      else
        cell += static_cast<char>(c);
    }
    while (!cell.empty() && cell.back() == 0) cell.pop_back();
    at += e.size;
  }
  return cells;
}

template <class Read>
auto named(ByteView file, const std::string& name, Read&& read) {
  try {
    return read();
  } catch (const Error& e) {
    const bool npy = file.size() >= kMagic.size() && std::memcmp(file.data(), kMagic.data(), kMagic.size()) == 0;
    if (const std::string kind = npy ? "" : foreign_kind(file, name, Wanted::table); !kind.empty())
      fail("{}: is no .npy file but {}", name, kind);
    fail("{}: not a .npy file akin can read: {}", name, e.what());
  }
}

}  // namespace

Array parse_npy(ByteView file, const std::string& name) {
  return named(file, name, [&] { return numbers_of(parse(file)); });
}

std::optional<std::vector<std::string>> parse_npy_text(ByteView file, const std::string& name) {
  return named(file, name, [&]() -> std::optional<std::vector<std::string>> {
    const Parsed p = parse(file);
    if (p.header.element->number != nullptr) return std::nullopt;
    AKIN_CHECK(p.shape.rank() == 1 || (p.shape.rank() == 2 && p.shape[1] == 1),
               "its text has shape {}, one text a row was expected", p.shape.str());
    return text_of(p);
  });
}

Array read_npy(const std::filesystem::path& path, std::uint64_t max_bytes) {
  return parse_npy(read_file(path, max_bytes), path.string());
}

Bytes to_npy(const Array& array) {
  const StoredType& type = stored_type_of(array.dtype());
  AKIN_CHECK(!type.numpy.empty(), ".npy has no type {} (cast to f32)", name_of(array.dtype()));
  const auto& dims = array.shape().dims();
  std::string text =
      fmt::format("{{'descr': '{}{}', 'fortran_order': False, 'shape': ({}{}), }}", type.size > 1 ? '<' : '|',
                  type.numpy, fmt::join(dims, ", "), dims.size() == 1 ? "," : "");
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
