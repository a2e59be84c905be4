// The element types of the devices: the CPU has float for work, double for gradient checks.
#pragma once

#define AKIN_FOR_EACH_FLOAT(MACRO) MACRO(float) MACRO(double)
#define AKIN_FOR_EACH_DEVICE(MACRO) \
  MACRO(float, Cpu) MACRO(double, Cpu) MACRO(float, Sim) MACRO(bf16, Sim) MACRO(float, Cuda) MACRO(bf16, Cuda)
