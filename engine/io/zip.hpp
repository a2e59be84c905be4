// Zip archives whose files are stored as they are, without compression: PyTorch's .pth files. Layout: PKWARE,
// "APPNOTE", 4.3 (records), 4.5.3 (zip64).
#pragma once

#include <map>
#include <string>

#include "engine/io/file.hpp"

namespace akin {

/// Whether the bytes begin as a zip archive does.
bool is_zip(ByteView file);

/// The files of an archive by their names; parts of `file`, which must outlive them. Error, beginning with `name`, on
/// an archive that is damaged (each checksum is computed), packed, encrypted or of several parts, and where two files
/// have one name.
std::map<std::string, ByteView> stored_files(ByteView file, const std::string& name);

}  // namespace akin
