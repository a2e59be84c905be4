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

void* open_plugin(const std::vector<std::string>& files, const char* symbol, std::string& tried) {
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
    void* entry = dlsym(library, symbol);
    AKIN_CHECK(entry != nullptr, "{}: exports no {}; it is not akin's plug-in", file, symbol);
    return entry;
  }
  return nullptr;
}

}  // namespace akin
