#include "tests/fuzz/fuzz.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>

#include "kernels/common/parallel.hpp"
#include "tests/fuzz/libfuzzer.hpp"
#include "tests/temp_folder.hpp"

namespace akin::fuzz {

namespace fs = std::filesystem;

void finding(const std::string& what) {
  std::fprintf(stderr, "finding: %s\n", what.c_str());
  std::abort();
}

Bytes pack(const std::vector<Part>& parts) {
  Bytes out;
  for (const Part& p : parts) {
    AKIN_CHECK(p.path.size() < 256 && p.bytes.size() < 65536, "{}: too long to be packed", p.path);
    out.push_back(static_cast<std::uint8_t>(p.path.size()));
    out.insert(out.end(), p.path.begin(), p.path.end());
    out.push_back(static_cast<std::uint8_t>(p.bytes.size() & 0xff));
    out.push_back(static_cast<std::uint8_t>(p.bytes.size() >> 8));
    out.insert(out.end(), p.bytes.begin(), p.bytes.end());
  }
  return out;
}

namespace {

/// Below its folder, and no longer than a file system takes.
std::string tame(std::string_view path) {
  std::string out;
  int levels = 0;
  while (!path.empty() && levels < 4) {
    const std::size_t slash = path.find('/');
    std::string name(path.substr(0, std::min<std::size_t>(slash, 80)));
    path = slash == std::string_view::npos ? std::string_view() : path.substr(slash + 1);
    std::erase(name, '\0');
    if (name.empty() || name == "." || name == "..") continue;
    out += (levels++ > 0 ? "/" : "") + name;
  }
  return out;
}

}  // namespace

std::vector<Part> unpack(ByteView input) {
  std::vector<Part> parts;
  const auto take = [&](std::size_t n) {
    const ByteView taken = input.first(std::min(n, input.size()));
    input = input.subspan(taken.size());
    return taken;
  };
  while (!input.empty() && parts.size() < 24) {
    const std::string path = tame(text_of(take(take(1)[0])));
    const ByteView length = take(2);
    const std::size_t n = length.size() < 2 ? 0 : static_cast<std::size_t>(length[0] | length[1] << 8);
    const ByteView content = take(n);
    if (!path.empty()) parts.push_back({path, {content.begin(), content.end()}});
  }
  return parts;
}

namespace {

class Scratch {
 public:
  Scratch() {
    // The path is part of messages and keys, so it has one length; what was left by a process of this number goes.
    const fs::path memory = "/dev/shm";
    std::error_code none;
    const fs::path base = fs::is_directory(memory, none) ? memory : fs::temp_directory_path();
    std::string name = (base / "akin-fuzz-XXXXXX").string();
    require(::mkdtemp(name.data()) != nullptr, "no scratch folder could be made");
    path_ = name;
  }
  ~Scratch() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  const fs::path& emptied() {
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(path_)) fs::remove_all(entry.path(), error);
    return path_;
  }

 private:
  fs::path path_;
};

}  // namespace

const fs::path& empty_folder() {
  static Scratch scratch;
  return scratch.emptied();
}

const fs::path& folder_with(const std::vector<Part>& parts) {
  const fs::path& folder = empty_folder();
  for (const Part& p : parts) {
    const fs::path file = folder / p.path;
    std::error_code error;
    fs::create_directories(file.parent_path(), error);
    if (error || fs::exists(file, error)) continue;
    std::ofstream(file, std::ios::binary)
        .write(reinterpret_cast<const char*>(p.bytes.data()), static_cast<std::streamsize>(p.bytes.size()));
  }
  return folder;
}

fs::path file_with(const std::string& name, ByteView content) {
  const fs::path file = empty_folder() / name;
  std::ofstream(file, std::ios::binary)
      .write(reinterpret_cast<const char*>(content.data()), static_cast<std::streamsize>(content.size()));
  return file;
}

namespace {

void write_seeds(const fs::path& folder) {
  fs::create_directories(folder);
  for (const Seed& s : target.seeds()) {
    std::ofstream(folder / s.name, std::ios::binary)
        .write(reinterpret_cast<const char*>(s.bytes.data()), static_cast<std::streamsize>(s.bytes.size()));
  }
}

/// As libFuzzer wants it: one quoted word a line.
void write_words(const fs::path& file) {
  std::ofstream out(file);
  for (const std::string& word : target.words) {
    out << '"';
    for (const char c : word)
      out << (c == '"' || c == '\\' || c < ' ' || c > '~' ? fmt::format("\\x{:02x}", static_cast<unsigned char>(c))
                                                          : std::string(1, c));
    out << "\"\n";
  }
}

}  // namespace
}  // namespace akin::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  akin::fuzz::target.run({data, size});
  return 0;
}

int LLVMFuzzerInitialize(int* argc, char*** argv) {
  akin::set_threads(1);
  if (*argc != 4 || std::string_view((*argv)[1]) != "--write") return 0;
  akin::fuzz::write_seeds((*argv)[2]);
  akin::fuzz::write_words((*argv)[3]);
  std::exit(0);
}

std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t most, unsigned int seed) {
  const akin::fuzz::Target& target = akin::fuzz::target;
  if (target.mutate != nullptr && seed % 3 != 0) {
    const akin::Bytes made = target.mutate({data, size}, most, seed);
    if (!made.empty() && made.size() <= most) {
      std::memcpy(data, made.data(), made.size());
      return made.size();
    }
  }
  return LLVMFuzzerMutate(data, size, most);
}
