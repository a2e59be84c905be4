// Inputs that are texts of settings: JSON where the first letter is a brace, else TOML.
#pragma once

#include "tests/fuzz/fuzz.hpp"

namespace akin::fuzz {

inline std::filesystem::path settings_file(ByteView text) {
  const bool json = !text.empty() && text[0] == '{';
  return file_with(json ? "settings.json" : "settings.toml", text);
}

/// The words of TOML that all of them share, besides those of the file.
inline std::vector<std::string> with_toml_words(std::vector<std::string> words) {
  for (const char* word : {"[[",
                           "]]",
                           "\"\"\"",
                           "'''",
                           "1_000",
                           "0x1f",
                           "inf",
                           "-nan",
                           "1e400",
                           "1979-05-27",
                           "true",
                           "false",
                           "\\u00e9",
                           "\xef\xbb\xbf",
                           "{ }",
                           "[]",
                           "# ",
                           "\r\n",
                           "9223372036854775808",
                           "a.b"})
    words.emplace_back(word);
  return words;
}

}  // namespace akin::fuzz
