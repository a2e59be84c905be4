// What a file is that akin cannot read as what it was given for: told by its content, to name it and the way to convert
// it. Looked at only after a reader has refused a file, so a sound file is never taken for another kind.
#pragma once

#include <filesystem>
#include <string>

#include "engine/io/file.hpp"

namespace akin {

/// What the file was given for.
enum class Wanted { weights, table };

/// "a PyTorch file (zip); in Python: ...": what the content is and what to do; empty where it is nothing known.
/// `path`: for its ending, and for the commands.
std::string foreign_kind(ByteView file, const std::string& path, Wanted wanted);
/// The same of a file that was not read, by its first bytes.
std::string foreign_kind_of(const std::filesystem::path& path, Wanted wanted);

}  // namespace akin
