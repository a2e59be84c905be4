// What every fuzz target shares. A target is one file fuzz_<name>.cpp: it hands its input to a parser and checks what
// must hold of the outcome, and it makes the inputs to start from. Two programs are made of it: with libFuzzer, which
// looks for new paths (scripts/fuzz.sh), and with driver.cpp and any compiler, which repeats the seeds, the inputs kept
// in tests/fuzz/corpus/<name>/ and a fixed number of mutations of both (ctest).
//
// A finding is whatever ends the process: a sanitizer's report, an exception that is no akin::Error, finding(), and one
// block of memory above kLargestBlock.
#pragma once

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "engine/dtype.hpp"
#include "engine/io/file.hpp"

namespace akin::fuzz {

/// No input of a few kilobytes is a reason to ask for more at once.
inline constexpr std::size_t kLargestBlock = std::size_t{64} << 20;

struct Seed {
  std::string name;
  Bytes bytes;
};
using Seeds = std::vector<Seed>;

/// Defined once by each target.
struct Target {
  void (*run)(ByteView input);
  Seeds (*seeds)();
  std::vector<std::string> words = {};  ///< of the format, for the fuzzer's dictionary
  /// Another input made of this one, of at most `most` bytes; empty: none. For formats of which a blind change leaves
  /// little that parses.
  Bytes (*mutate)(ByteView input, std::size_t most, std::uint64_t seed) = nullptr;
};
extern const Target target;

/// While it is set, driver.cpp's programs take a larger block for a finding; libFuzzer has an option for it.
inline bool blocks_are_limited = false;

/// Prints what does not hold, and ends the process.
[[noreturn]] void finding(const std::string& what);
inline void require(bool holds, const char* what) {
  if (!holds) finding(what);
}

/// What `read` returns; nothing where it refuses its input with an akin::Error, which must say something.
template <class F>
auto accepted(F&& read) -> std::optional<std::invoke_result_t<F>> {
  try {
    return std::forward<F>(read)();
  } catch (const Error& e) {
    require(*e.what() != '\0', "an error without words");
    return std::nullopt;
  }
}
/// Whether `check` went through.
template <class F>
bool passes(F&& check) {
  return accepted([&] {
           std::forward<F>(check)();
           return true;
         })
      .has_value();
}
/// What `f` returns; it may not fail. `what`: "reading back what was written".
template <class F>
auto must(const char* what, F&& f) {
  try {
    return std::forward<F>(f)();
  } catch (const Error& e) {
    finding(std::string(what) + " fails: " + e.what());
  }
}

inline std::string_view text_of(ByteView bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }
inline Bytes bytes_of_text(std::string_view text) { return {text.begin(), text.end()}; }
inline Seed text_seed(std::string name, std::string_view text) { return {std::move(name), bytes_of_text(text)}; }

inline bool same_bits(const Array& a, const Array& b) {
  return a.dtype() == b.dtype() && a.shape() == b.shape() &&
         (a.byte_size() == 0 || std::memcmp(a.bytes(), b.bytes(), a.byte_size()) == 0);
}

/// A file of an input: its path below the folder of the input, and its content.
struct Part {
  std::string path;
  Bytes bytes;
};
/// Several files as one input: for each the length of its path (one byte), the path, the length of its content (two
/// bytes, little-endian; more than there is means the rest), and its content.
Bytes pack(const std::vector<Part>& parts);
/// At most 24 of them. Any bytes are some files: paths lose what leads out of the folder.
std::vector<Part> unpack(ByteView input);

/// A folder of this process alone, in memory where the system has such a place; emptied by every call.
const std::filesystem::path& empty_folder();
/// empty_folder() with these files in it. Of paths that cannot both be, the first one counts.
const std::filesystem::path& folder_with(const std::vector<Part>& parts);
/// The path of a file of this name and content in empty_folder().
std::filesystem::path file_with(const std::string& name, ByteView content);

}  // namespace akin::fuzz
