// What this build is, for those who name it in what they write: reports, tables, model cards.
#pragma once

#include <string>

namespace akin {

const char* version();       ///< "0.1.0"
const char* commit();        ///< of the sources when the build was configured, or "unknown"
const char* build_flags();   ///< compiler, build type
std::string version_line();  ///< "akin 0.1.0 (commit)"

}  // namespace akin
