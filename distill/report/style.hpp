// The style sheet of the report, kept apart so that the page reads as structure.
#pragma once

namespace akin {

extern const char* const report_css;

}  // namespace akin
