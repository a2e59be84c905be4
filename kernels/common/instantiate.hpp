// The element types of the devices: the CPU has float and bf16 for work, double for gradient checks; losses and the
// optimiser know no bf16.
#pragma once

#define AKIN_FOR_EACH_FLOAT(MACRO) MACRO(float) MACRO(double)
#define AKIN_FOR_EACH_STORED(MACRO) MACRO(float) MACRO(double) MACRO(bf16)
#define AKIN_FOR_EACH_DEVICE(MACRO) \
  MACRO(float, Cpu)                 \
  MACRO(double, Cpu) MACRO(bf16, Cpu) MACRO(float, Sim) MACRO(bf16, Sim) MACRO(float, Cuda) MACRO(bf16, Cuda)
