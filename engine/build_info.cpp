#include "engine/build_info.hpp"

namespace akin {

const char* version() { return AKIN_VERSION; }
const char* commit() { return AKIN_COMMIT; }
const char* build_flags() { return AKIN_BUILD; }
std::string version_line() { return std::string("akin ") + version() + " (" + commit() + ")"; }

}  // namespace akin
