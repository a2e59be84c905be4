// Names of classes that are the same, or that people take for the same.
#pragma once

#include <string>
#include <vector>

namespace akin {

/// The names that several classes share, each once, in byte order.
std::vector<std::string> names_twice(const std::vector<std::string>& names);

/// The same for names that people take for one: case, letters spelled in one or two characters, blanks of any kind (by
/// Unicode's NFKC_Casefold, blanks joined and taken off the ends). A name that is no UTF-8 is its own.
std::string alike_form(const std::string& name);

}  // namespace akin
