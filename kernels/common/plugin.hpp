// Shared libraries that akin opens when somebody asks for them, and that nothing is linked against.
#pragma once

#include <string>
#include <vector>

namespace akin {

/// Where a plug-in of this file name may lie: beside the running program, in ../lib from there, and where the system
/// looks for libraries (the bare name, last).
std::vector<std::string> plugin_files(const std::string& name);

/// A shared library, which stays open until the program ends.
struct Library {
  void* handle = nullptr;
  std::string file;
};
/// The first of `files` (paths, or bare names) that opens; without a handle where none does, and then `tried` says in a
/// line each what was looked at and why it was not that.
Library open_library(const std::vector<std::string>& files, std::string& tried);
/// Throws Error, naming the file, where it has no such symbol.
void* symbol_of(const Library& library, const char* symbol);

/// The function `symbol` of the first of `files` that opens; nullptr where none does. Throws Error on a library without
/// the symbol.
void* open_plugin(const std::vector<std::string>& files, const char* symbol, std::string& tried);

}  // namespace akin
