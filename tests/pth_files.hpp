// PyTorch's files byte by byte, as torch.save writes them, and in ways in which it never would.
#pragma once

#include <zlib.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "engine/io/file.hpp"

namespace akin::test {

inline std::string little(std::uint64_t value, int bytes) {
  std::string out;
  for (int i = 0; i < bytes; ++i) out += static_cast<char>(value >> (8 * i) & 255);
  return out;
}

/// A zip archive of files that are stored as they are.
inline Bytes zip_of(const std::vector<std::pair<std::string, std::string>>& files) {
  std::string body, list;
  for (const auto& [name, content] : files) {
    const auto crc = crc32(0, reinterpret_cast<const Bytef*>(content.data()), static_cast<uInt>(content.size()));
    const std::string facts = little(crc, 4) + little(content.size(), 4) + little(content.size(), 4);
    list += "PK\1\2" + little(20, 2) + little(20, 2) + little(0, 8) + facts + little(name.size(), 2) + little(0, 12) +
            little(body.size(), 4) + name;
    body += "PK\3\4" + little(20, 2) + little(0, 8) + facts + little(name.size(), 2) + little(0, 2) + name + content;
  }
  const std::string end = "PK\5\6" + little(0, 4) + little(files.size(), 2) + little(files.size(), 2) +
                          little(list.size(), 4) + little(body.size(), 4) + little(0, 2);
  const std::string all = body + list + end;
  return {all.begin(), all.end()};
}

namespace pickle {

inline std::string text(const std::string& s) { return "X" + little(s.size(), 4) + s; }
inline std::string whole(std::int64_t n) { return "J" + little(static_cast<std::uint64_t>(n), 4); }
inline std::string tuple(const std::vector<std::string>& items) {
  std::string out = "(";
  for (const std::string& i : items) out += i;
  return out + "t";
}
inline std::string wholes(const std::vector<std::int64_t>& values) {
  std::vector<std::string> items;
  for (const std::int64_t v : values) items.push_back(whole(v));
  return tuple(items);
}
inline std::string global(const std::string& module, const std::string& name) {
  return "c" + module + "\n" + name + "\n";
}
inline std::string call(const std::string& function, const std::vector<std::string>& arguments) {
  return function + tuple(arguments) + "R";
}

struct View {
  std::string storage = "FloatStorage", key = "0";
  std::int64_t numel = 0, offset = 0;
  std::vector<std::int64_t> size, stride;
};
inline std::string tensor(const View& v) {
  const std::string storage =
      tuple({text("storage"), global("torch", v.storage), text(v.key), text("cpu"), whole(v.numel)}) + "Q";
  return call(global("torch._utils", "_rebuild_tensor_v2"), {storage, whole(v.offset), wholes(v.size), wholes(v.stride),
                                                             "\x89", call(global("collections", "OrderedDict"), {})});
}
inline std::string dict(const std::vector<std::pair<std::string, std::string>>& entries) {
  std::string out = "}(";
  for (const auto& [key, value] : entries) out += text(key) + value;
  return out + "u";
}
inline std::string program(const std::string& value) { return "\x80\2" + value + "."; }

}  // namespace pickle

/// The numbers 0, 1, 2 ... as a storage of f32.
inline std::string floats(int n) {
  std::string out;
  for (int i = 0; i < n; ++i) {
    const auto v = static_cast<float>(i);
    out += std::string(reinterpret_cast<const char*>(&v), 4);
  }
  return out;
}

inline Bytes pth_of(const std::string& value, const std::vector<std::pair<std::string, std::string>>& storages) {
  std::vector<std::pair<std::string, std::string>> files{{"archive/data.pkl", pickle::program(value)},
                                                         {"archive/byteorder", "little"}};
  for (const auto& [key, content] : storages) files.emplace_back("archive/data/" + key, content);
  files.emplace_back("archive/version", "3\n");
  return zip_of(files);
}

}  // namespace akin::test
