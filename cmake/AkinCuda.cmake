# AKIN_CUDA = AUTO (on where nvcc is found), ON, OFF. Sets AKIN_HAVE_CUDA.
set(AKIN_HAVE_CUDA FALSE)
if(NOT AKIN_CUDA STREQUAL "OFF")
  if(NOT CMAKE_CUDA_COMPILER)
    find_program(AKIN_NVCC nvcc HINTS $ENV{CUDACXX} $ENV{CUDA_HOME}/bin PATHS /usr/local/cuda/bin)
    if(AKIN_NVCC)
      set(CMAKE_CUDA_COMPILER ${AKIN_NVCC})
    endif()
  endif()
  if(CMAKE_CUDA_COMPILER)
    if(NOT CMAKE_CUDA_ARCHITECTURES)
      set(CMAKE_CUDA_ARCHITECTURES 80 90a-real)  # 80: also PTX, which the driver translates for newer cards
    endif()
    enable_language(CUDA)
    # CMake 3.25 expects a library that CUDA 13 no longer has.
    if(NOT TARGET CUDA::nvToolsExt)
      add_library(CUDA::nvToolsExt INTERFACE IMPORTED)
    endif()
    find_package(CUDAToolkit REQUIRED)
    set(AKIN_HAVE_CUDA TRUE)
    # CMake 3.25 does not know how to ask nvcc for C++20.
    set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION -std=c++20)
    set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION -std=c++20)
    set(CMAKE_CUDA_STANDARD 20)
    message(STATUS "CUDA ${CMAKE_CUDA_COMPILER_VERSION}, architectures ${CMAKE_CUDA_ARCHITECTURES}")
  elseif(AKIN_CUDA STREQUAL "ON")
    message(FATAL_ERROR "AKIN_CUDA=ON but nvcc was not found: install the CUDA Toolkit, or set CMAKE_CUDA_COMPILER")
  endif()
endif()

file(GLOB_RECURSE AKIN_KERNEL_CU CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/kernels/*.cu)

# The same .cu files as C++ for the emulator: LANGUAGE is a property of a file in one directory, so this has its own.
add_subdirectory(cmake/sim)

# akin_cuda_objects(<target> <name> <source.cu>...): nvcc's compilation of them, as a library <name> of objects, becomes part
# of the target. A kernel that spills fails the build; scripts/kernel_table.sh makes a table of what ptxas said.
function(akin_cuda_objects target name)
  if(NOT AKIN_HAVE_CUDA)
    return()
  endif()
  add_library(${name} OBJECT ${ARGN})
  target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR})
  # Never header-only: that is slow with nvcc, and what these need of it comes from the other objects too.
  target_link_libraries(${name} PRIVATE fmt::fmt CUDA::cudart_static)
  # fmt turns its constexpr off for nvcc, although this one can.
  target_compile_definitions(${name} PRIVATE FMT_USE_CONSTEXPR=1)
  target_compile_options(${name} PRIVATE -lineinfo -Xcompiler=-Wall,-Wextra -Xptxas=-v)
  set_target_properties(${name} PROPERTIES CUDA_COMPILER_LAUNCHER
    "${CMAKE_SOURCE_DIR}/cmake/nvcc_gate.sh$<$<BOOL:${AKIN_CCACHE}>:;${AKIN_CCACHE}>")
  target_sources(${target} PRIVATE $<TARGET_OBJECTS:${name}>)
endfunction()

# akin_device_sources(kernels): gives the library both compilations.
function(akin_device_sources target)
  target_sources(${target} PRIVATE $<TARGET_OBJECTS:kernels_sim>)
  if(AKIN_HAVE_CUDA)
    list(JOIN CMAKE_CUDA_ARCHITECTURES "," architectures)
    set_source_files_properties(kernels/common/gpu/cuda_device.cu PROPERTIES
      COMPILE_DEFINITIONS "AKIN_CUDA_ARCHITECTURES=\"${architectures}\"")
    akin_cuda_objects(${target} kernels_cuda ${AKIN_KERNEL_CU})
    target_link_libraries(${target} PUBLIC CUDA::cudart_static)
    target_compile_definitions(${target} PUBLIC AKIN_HAVE_CUDA=1)
  endif()
endfunction()
