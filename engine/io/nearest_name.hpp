// The name that somebody may have meant.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace akin {

/// The name that differs least from `name` in the letters to add, drop, replace or swap, where it differs in less than
/// half of its letters; else "".
std::string nearest_name(std::string_view name, const std::vector<std::string>& known);
/// "; did you mean 'x'?", or "".
std::string did_you_mean(std::string_view name, const std::vector<std::string>& known);
/// The same, or "; known are a, b, c".
std::string suggestion(std::string_view name, const std::vector<std::string>& known);
/// did_you_mean of a file or folder that is not there: what lies where it was looked for.
std::string nearest_file(const std::filesystem::path& path);

}  // namespace akin
