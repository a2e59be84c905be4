# What `akin --version` and the reports name: version, the commit when the build was configured, and flags.
set(akin_commit "")
find_program(AKIN_GIT git)
if(AKIN_GIT)
  execute_process(COMMAND ${AKIN_GIT} describe --always --dirty WORKING_DIRECTORY ${CMAKE_SOURCE_DIR}
    OUTPUT_VARIABLE akin_commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
endif()
if(NOT akin_commit)
  set(akin_commit unknown)
endif()
set(akin_build "${CMAKE_CXX_COMPILER_ID} ${CMAKE_CXX_COMPILER_VERSION}, ${CMAKE_BUILD_TYPE}")
if(AKIN_NATIVE)
  string(APPEND akin_build ", -march=native")
endif()
if(AKIN_SANITIZE)
  string(APPEND akin_build ", sanitizers ${AKIN_SANITIZE}")
endif()
set_source_files_properties(engine/build_info.cpp PROPERTIES COMPILE_DEFINITIONS
  "AKIN_VERSION=\"${PROJECT_VERSION}\";AKIN_COMMIT=\"${akin_commit}\";AKIN_BUILD=\"${akin_build}\"")
