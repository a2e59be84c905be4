#include "apps/value_lists.hpp"

#include <algorithm>
#include <charconv>
#include <optional>

#include "distill/grid/seeds.hpp"
#include "kernels/common/error.hpp"

namespace akin {

std::vector<std::string> split_list(std::string_view text, const std::string& option) {
  std::vector<std::string> items;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t comma = std::min(text.find(',', at), text.size());
    std::string_view item = text.substr(at, comma - at);
    while (item.starts_with(' ')) item.remove_prefix(1);
    while (item.ends_with(' ')) item.remove_suffix(1);
    if (item.empty()) fail_usage("{} '{}': an item is empty; separate them by single commas", option, text);
    items.emplace_back(item);
    at = comma + 1;
  }
  return items;
}

std::vector<std::uint64_t> parse_seeds(std::string_view text) {
  std::vector<std::uint64_t> seeds;
  for (const std::string& item : split_list(text, "--seeds")) {
    const std::optional<std::uint64_t> seed = parse_seed(item);
    if (!seed) fail_usage("--seeds '{}': '{}' is none: {}", text, item, kSeedRange);
    if (std::find(seeds.begin(), seeds.end(), *seed) != seeds.end()) fail_usage("--seeds '{}': {} twice", text, item);
    seeds.push_back(*seed);
  }
  return seeds;
}

std::vector<float> parse_floats(std::string_view text, const std::string& option) {
  std::vector<float> values;
  for (const std::string& item : split_list(text, option)) {
    float value = 0;
    const auto [end, error] = std::from_chars(item.data(), item.data() + item.size(), value);
    if (error != std::errc() || end != item.data() + item.size())
      fail_usage("{} '{}': '{}' is no number", option, text, item);
    values.push_back(value);
  }
  return values;
}

}  // namespace akin
