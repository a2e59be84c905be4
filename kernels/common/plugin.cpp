#include "kernels/common/plugin.hpp"

#include <dlfcn.h>

#include <filesystem>

#include "kernels/common/error.hpp"

namespace akin {

std::vector<std::string> plugin_files(const std::string& name) {
  std::vector<std::string> files;
  std::error_code error;
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", error);
  if (!error) {
    const std::filesystem::path folder = program.parent_path();
    files.push_back(folder / name);
    files.push_back(folder.parent_path() / "lib" / name);
  }
  files.push_back(name);
  return files;
}

Library open_library(const std::vector<std::string>& files, std::string& tried) {
  for (const std::string& file : files) {
    const bool path = file.find('/') != std::string::npos;
    std::error_code ignored;
    if (path && !std::filesystem::exists(file, ignored)) {
      tried += fmt::format("\n  {}: not there", file);
      continue;
    }
    void* library = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) {  // e.g. it is there, but a library that it needs is not
      tried += path ? fmt::format("\n  {}: {}", file, dlerror())
                    : fmt::format("\n  the system's library folders and LD_LIBRARY_PATH: {}", dlerror());
      continue;
    }
    return {library, file};
  }
  return {};
}

void* symbol_of(const Library& library, const char* symbol) {
  void* entry = dlsym(library.handle, symbol);
  AKIN_CHECK(entry != nullptr, "{}: exports no {}; it is another library than this akin needs", library.file, symbol);
  return entry;
}

void* open_plugin(const std::vector<std::string>& files, const char* symbol, std::string& tried) {
  const Library library = open_library(files, tried);
  return library.handle == nullptr ? nullptr : symbol_of(library, symbol);
}

}  // namespace akin
