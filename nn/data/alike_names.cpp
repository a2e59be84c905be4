#include "nn/data/alike_names.hpp"

#include <utf8proc.h>

#include <cstdlib>
#include <memory>
#include <set>

namespace akin {

std::vector<std::string> names_twice(const std::vector<std::string>& names) {
  std::set<std::string> seen, twice;
  for (const std::string& name : names)
    if (!seen.insert(name).second) twice.insert(name);
  return {twice.begin(), twice.end()};
}

std::string alike_form(const std::string& name) {
  utf8proc_uint8_t* made = nullptr;
  constexpr auto kOptions = UTF8PROC_STABLE | UTF8PROC_COMPAT | UTF8PROC_COMPOSE | UTF8PROC_CASEFOLD | UTF8PROC_IGNORE;
  const utf8proc_ssize_t bytes =
      utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(name.data()), static_cast<utf8proc_ssize_t>(name.size()),
                   &made, static_cast<utf8proc_option_t>(kOptions));
  if (bytes < 0) return name;
  const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owner(made, &std::free);
  std::string out;
  for (utf8proc_ssize_t i = 0; i < bytes; ++i) {
    const char c = static_cast<char>(made[i]);
    const bool blank = c == ' ' || (c >= '\t' && c <= '\r');
    if (!blank)
      out += c;
    else if (!out.empty() && out.back() != ' ')
      out += ' ';
  }
  if (out.ends_with(' ')) out.pop_back();
  return out;
}

}  // namespace akin
