// The section "What they mix up": what each student called the test images of each class.
#pragma once

#include <string>

#include "distill/report/report.hpp"

namespace akin {

/// A table for up to 12 classes, a drawing for more, and the commonest mistakes. Empty where there is nothing to show.
std::string confusions(const ReportData& data);

}  // namespace akin
