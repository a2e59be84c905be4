// What a loader met in a folder besides the images it read, so that nothing is dropped or let in without a word.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace akin {

struct Account {
  enum class Tone { note, warning };
  struct Line {
    std::string what;  ///< "hidden files and folders passed over"
    Tone tone = Tone::note;
    std::int64_t count = 0;
    std::string first = {};                            ///< of the examples, in byte order
    std::map<std::string, std::int64_t> endings = {};  ///< how many have which, where that tells something
  };
  std::vector<Line> lines;  ///< in the order in which they were first added

  void note(std::string_view what, const std::string& example) { add(what, Tone::note, example); }
  void warn(std::string_view what, const std::string& example) { add(what, Tone::warning, example); }
  Line& add(std::string_view what, Tone tone, const std::string& example, std::int64_t count = 1);
  void merge(const Account& more);
};

/// "hidden files and folders passed over: 3 (first: train/.cache)"
std::string text_of(const Account::Line& line);
/// "birds: hidden files and folders passed over: 3 (first: train/.cache)", a line each, after "warning: " where it is
/// one: what Events::stage takes.
std::vector<std::string> told(const Account& account, const std::string& source);

/// Why files cannot be used: one message each, that names the file.
using Faults = std::vector<std::string>;
/// Throws the only one as it is, or the number of all and the first few; nothing where there is none.
void throw_faults(const Faults& faults, const std::string& source);

}  // namespace akin
