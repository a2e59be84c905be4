// A fresh folder below the system's temporary folder, removed at the end of the scope; and the message of an error.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>
#include <utility>

#include "kernels/common/error.hpp"

namespace akin::test {

class TempFolder {
 public:
  TempFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "akin-test-XXXXXX").string();
    AKIN_CHECK(::mkdtemp(name.data()) != nullptr, "{}: temporary folder cannot be made", name);
    path_ = name;
  }
  ~TempFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

/// The message of the akin::Error that `f` throws; "" if it throws none. Other exceptions pass through and fail the
/// test.
template <class F>
std::string error_of(F&& f) {
  try {
    std::forward<F>(f)();
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

inline bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace akin::test
