# libakin_vendor.so: cuBLASLt and cuDNN behind kernels/common/gpu/vendor.hpp. Nothing is linked against it: akin opens it
# with dlopen when asked. AKIN_VENDOR_ROOT: folders to look into besides the CUDA Toolkit; Python's packages of the
# libraries (nvidia/cudnn, nvidia/cublas, nvidia/cu13 below site-packages) have the same layout.
set(AKIN_HAVE_VENDOR FALSE)
if(AKIN_VENDOR STREQUAL "OFF")
  return()
endif()
set(missing "")
if(AKIN_HAVE_CUDA)
  set(places ${AKIN_VENDOR_ROOT} ${CUDAToolkit_LIBRARY_ROOT} ${CUDAToolkit_LIBRARY_DIR}/.. ${CUDAToolkit_BIN_DIR}/..)
  find_path(AKIN_CUBLAS_INCLUDE cublasLt.h HINTS ${places} ${CUDAToolkit_INCLUDE_DIRS} PATH_SUFFIXES include)
  find_path(AKIN_CUDNN_INCLUDE cudnn_graph.h HINTS ${places} ${CUDAToolkit_INCLUDE_DIRS} PATH_SUFFIXES include)
  # Python's packages leave out the names without a version.
  find_library(AKIN_CUBLAS_LIBRARY NAMES cublasLt libcublasLt.so.${CUDAToolkit_VERSION_MAJOR} HINTS ${places}
    PATH_SUFFIXES lib64 lib)
  find_library(AKIN_CUDNN_LIBRARY NAMES cudnn libcudnn.so.9 HINTS ${places} PATH_SUFFIXES lib64 lib)
  foreach(what IN ITEMS AKIN_CUBLAS_INCLUDE:cublasLt.h AKIN_CUDNN_INCLUDE:cudnn_graph.h
      AKIN_CUBLAS_LIBRARY:libcublasLt.so AKIN_CUDNN_LIBRARY:libcudnn.so)
    string(REPLACE ":" ";" what ${what})
    list(GET what 0 variable)
    list(GET what 1 file)
    if(NOT ${variable})
      list(APPEND missing ${file})
    endif()
  endforeach()
else()
  set(missing nvcc)
endif()
if(missing)
  list(JOIN missing ", " missing)
  if(AKIN_VENDOR STREQUAL "ON")
    message(FATAL_ERROR "AKIN_VENDOR=ON, but these were not found: ${missing}; install cuBLAS and cuDNN 9, or name their "
      "folders (with include/ and lib/) in AKIN_VENDOR_ROOT")
  endif()
  message(STATUS "No plug-in for --gemm cublas and --conv cudnn (not found: ${missing})")
  return()
endif()

set(AKIN_HAVE_VENDOR TRUE)
file(GLOB vendor_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/kernels/*_cublas.cpp ${CMAKE_SOURCE_DIR}/kernels/*_cudnn.cpp
  ${CMAKE_SOURCE_DIR}/kernels/common/gpu/vendor_plugin.cpp)
add_library(akin_vendor MODULE ${vendor_sources})
target_include_directories(akin_vendor SYSTEM PRIVATE ${AKIN_CUBLAS_INCLUDE} ${AKIN_CUDNN_INCLUDE} ${CUDAToolkit_INCLUDE_DIRS})
target_link_libraries(akin_vendor PRIVATE akin_options fmt::fmt-header-only ${AKIN_CUBLAS_LIBRARY} ${AKIN_CUDNN_LIBRARY}
  CUDA::cudart_static)
# cuDNN marks as deprecated what its earlier 9.x versions require.
target_compile_options(akin_vendor PRIVATE -fvisibility=hidden -Wno-deprecated-declarations)
set_target_properties(akin_vendor PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${CMAKE_RUNTIME_OUTPUT_DIRECTORY})
