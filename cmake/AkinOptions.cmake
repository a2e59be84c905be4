# Compiler flags that every target shares, and the rule "one library per folder".
add_library(akin_options INTERFACE)
target_include_directories(akin_options INTERFACE ${CMAKE_SOURCE_DIR})
target_compile_options(akin_options INTERFACE -Wall -Wextra -Wshadow -Wnon-virtual-dtor -Wold-style-cast
  -Woverloaded-virtual -Wpedantic -Wno-unknown-pragmas)
# Nobody reads errno after sqrt; without it loops with a sqrt become vector loops.
target_compile_options(akin_options INTERFACE -fno-math-errno)
if(AKIN_WERROR)
  target_compile_options(akin_options INTERFACE -Werror)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  # GCC 12 sees overlapping copies in std::string's "literal" + text where there are none (PR 105651).
  target_compile_options(akin_options INTERFACE -Wno-restrict)
endif()
if(AKIN_NATIVE)
  target_compile_options(akin_options INTERFACE -march=native)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND AKIN_NATIVE)
  # GCC prefers 256-bit vectors on processors that run 512-bit ones at full speed.
  target_compile_options(akin_options INTERFACE -mprefer-vector-width=512)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64|amd64|i[3-6]86")
  # GCC 12.2 with AVX-512 stores a 32- or 64-byte constant that ends in zeros as if its first word filled all of it:
  # std::vector<int>{3, 3, 3, 3, 0, 0, 0, 0} holds eight threes. With 16-byte stores it is right (tests/test_compiler.cpp).
  target_compile_options(akin_options INTERFACE -mmove-max=128 -mstore-max=128)
endif()
if(AKIN_FUZZ)
  if(NOT CMAKE_CXX_COMPILER_ID MATCHES "Clang")
    message(FATAL_ERROR "AKIN_FUZZ=ON needs clang++, whose libFuzzer it uses: cmake --preset fuzz, or scripts/fuzz.sh")
  endif()
  set(AKIN_SANITIZE "fuzzer-no-link,address,undefined,float-cast-overflow")
endif()
if(AKIN_SANITIZE)
  target_compile_options(akin_options INTERFACE -fsanitize=${AKIN_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=undefined)
  target_link_options(akin_options INTERFACE -fsanitize=${AKIN_SANITIZE})
  target_compile_definitions(akin_options INTERFACE _GLIBCXX_ASSERTIONS)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # With sanitizers GCC loses track of what std::regex and std::function have set (PR 105562).
    target_compile_options(akin_options INTERFACE -Wno-maybe-uninitialized)
    if(AKIN_SANITIZE MATCHES "address")
      # The frames that g++ 14 keeps to find uses after a return are aligned to less than a 64-byte vector needs: it crashes.
      target_compile_options(akin_options INTERFACE "SHELL:--param asan-use-after-return=0")
    endif()
  endif()
endif()
find_program(AKIN_CCACHE ccache)
if(AKIN_CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${AKIN_CCACHE})
endif()

# akin_library(<folder> DEPENDS ...): all .cpp below the folder. A new file is picked up by the next build.
function(akin_library name)
  cmake_parse_arguments(ARG "" "" "DEPENDS" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/${name}/*.cpp)
  if(name STREQUAL "kernels" AND NOT AKIN_HAVE_ONEDNN)
    list(FILTER sources EXCLUDE REGEX "_onednn\\.cpp$")
  endif()
  list(FILTER sources EXCLUDE REGEX "(_cublas|_cudnn|/vendor_plugin)\\.cpp$")  # the plug-in's: AkinVendor.cmake
  if(AKIN_HAVE_CUDA)
    list(FILTER sources EXCLUDE REGEX "/cuda_absent\\.cpp$")
  endif()
  if(AKIN_FUZZ AND name STREQUAL "kernels")  # read no files; watching them costs an hour of building
    set_source_files_properties(${sources} PROPERTIES COMPILE_OPTIONS "-fno-sanitize=all;-g0")
  endif()
  add_library(${name} STATIC ${sources})
  add_library(akin::${name} ALIAS ${name})
  set_target_properties(${name} PROPERTIES OUTPUT_NAME akin_${name})
  target_compile_features(${name} PUBLIC cxx_std_20)
  target_link_libraries(${name} PUBLIC ${ARG_DEPENDS})
  if(name STREQUAL "kernels" AND AKIN_HAVE_ONEDNN)
    target_compile_definitions(${name} PUBLIC $<BUILD_INTERFACE:AKIN_HAVE_ONEDNN=1>)  # no header asks
    target_link_libraries(${name} PRIVATE akin::onednn)
  endif()
endfunction()
