#include "api/call.hpp"

#include "apps/command_line.hpp"
#include "engine/build_info.hpp"
#include "engine/io/text.hpp"

namespace akin::api {

namespace {

thread_local std::string last_error;
thread_local const char* last_text = "";

}  // namespace

int keep_failure(const std::exception_ptr& error) noexcept {
  try {
    Failure failure = failure_of(error);
    try {
      std::rethrow_exception(error);
    } catch (const CodedError& e) {
      failure.code = e.code();
    } catch (...) {
    }
    last_error = readable_text(failure.text);
    last_text = last_error.c_str();
    return failure.code;
  } catch (...) {  // not even for a text
    last_text = "out of memory";
    return AKIN_FAILED;
  }
}

}  // namespace akin::api

int akin_abi_version(void) { return AKIN_ABI_VERSION; }
const char* akin_version(void) { return akin::version(); }
const char* akin_version_line(void) {
  static const std::string line = akin::version_line();
  return line.c_str();
}
const char* akin_last_error(void) { return akin::api::last_text; }
