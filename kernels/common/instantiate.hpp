// The CPU specification is compiled for these types: float for work, double for gradient checks.
#pragma once

#define AKIN_FOR_EACH_FLOAT(MACRO) MACRO(float) MACRO(double)
