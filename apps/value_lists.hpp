// Options that hold several values with commas between.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace akin {

/// "a, b ,c" -> {"a", "b", "c"}; UsageError, naming the option, on an empty item.
std::vector<std::string> split_list(std::string_view text, const std::string& option);
/// "0,1" -> {0, 1}
std::vector<std::uint64_t> parse_seeds(std::string_view text);
std::vector<float> parse_floats(std::string_view text, const std::string& option);

}  // namespace akin
