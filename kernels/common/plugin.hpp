// Shared libraries that akin opens when somebody asks for them, and that nothing is linked against.
#pragma once

#include <string>
#include <vector>

namespace akin {

/// Where a plug-in of this file name may lie: beside the running program, in ../lib from there, and where the system
/// looks for libraries (the bare name, last).
std::vector<std::string> plugin_files(const std::string& name);

/// The function `symbol` of the first of `files` (paths, or bare names) that opens; nullptr where none does, and then
/// `tried` says in a line each what was looked at and why it was not that. Throws Error on a library without the
/// symbol. It stays open until the program ends.
void* open_plugin(const std::vector<std::string>& files, const char* symbol, std::string& tried);

}  // namespace akin
