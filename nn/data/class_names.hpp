// Names of classes as people write them.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace akin {

/// Names, one a line, as in classes.txt; byte order mark, kind of line ends, empty last lines, and numbers that count
/// the lines ("0,cat", a title over them) do not count. Throws, with file and line: numbers in another order, an empty
/// line, text that is no UTF-8, no name at all. A name may be there twice: ImageNet has two kinds of crane.
std::vector<std::string> read_names(const std::filesystem::path& path);

/// Whether model files and reports can hold the text.
bool is_utf8(std::string_view text);

}  // namespace akin
