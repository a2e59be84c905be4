// Names of classes as people write them.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace akin {

/// Names, one a line, as in classes.txt. A byte order mark, line ends of any kind and empty lines at the end do not
/// count. Throws, naming file and line, on an empty line elsewhere and on text that is no UTF-8, and where there is no
/// name. A name may be there twice: ImageNet has two kinds of crane.
std::vector<std::string> read_names(const std::filesystem::path& path);

/// Whether model files and reports can hold the text.
bool is_utf8(std::string_view text);

}  // namespace akin
