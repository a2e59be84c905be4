# What `cmake --install` and `cpack -G DEB` put where. Each component is a Debian package of its own:
#   program      akin, and the plug-in of NVIDIA's libraries where it was built
#   mpi          the plug-in for several ranks, where it was built
#   library      libakin.so with the number of its ABI
#   python       the module akin over it
#   development  the static libraries, their headers below include/akin, find_package(akin) and akin.pc; of the library
#                akin.h, its name without a number and akin-c.pc
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

# One name for all of them.
add_library(akin_all INTERFACE)
target_link_libraries(akin_all INTERFACE distill)
set_target_properties(akin_all PROPERTIES EXPORT_NAME akin)
add_library(akin::akin ALIAS akin_all)

# Within the tree headers name each other from its root ("nn/module.hpp"); a program that uses akin names them below akin/
# (<akin/nn/module.hpp>), so that no folder called "engine" or "kernels" enters its include path. The examples are such
# programs: in the build tree they see the folders through links.
set(AKIN_PUBLIC_FOLDERS kernels engine nn distill)
file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/include/akin)
foreach(folder IN LISTS AKIN_PUBLIC_FOLDERS)
  file(CREATE_LINK ${CMAKE_SOURCE_DIR}/${folder} ${CMAKE_BINARY_DIR}/include/akin/${folder} SYMBOLIC)
endforeach()
target_include_directories(akin_all INTERFACE $<BUILD_INTERFACE:${CMAKE_BINARY_DIR}/include>)

if(AKIN_SANITIZE)  # a program would have to be built with the same sanitizer
  return()
endif()

set(CMAKE_INSTALL_DEFAULT_COMPONENT_NAME development)
install(TARGETS akin RUNTIME COMPONENT program)
if(NOT CMAKE_CROSSCOMPILING)  # apps/CMakeLists.txt makes them
  set(shared ${CMAKE_BINARY_DIR}/share)
  install(DIRECTORY ${shared}/man/ DESTINATION ${CMAKE_INSTALL_MANDIR}/man1 COMPONENT program)
  install(FILES ${shared}/completion/akin DESTINATION ${CMAKE_INSTALL_DATAROOTDIR}/bash-completion/completions
    COMPONENT program)
  install(FILES ${shared}/completion/_akin DESTINATION ${CMAKE_INSTALL_DATAROOTDIR}/zsh/vendor-completions
    COMPONENT program)
  install(FILES ${shared}/completion/akin.fish DESTINATION ${CMAKE_INSTALL_DATAROOTDIR}/fish/vendor_completions.d
    COMPONENT program)
endif()
if(AKIN_HAVE_VENDOR)
  install(TARGETS akin_vendor LIBRARY DESTINATION lib COMPONENT program)  # where akin looks for it
endif()
if(AKIN_HAVE_MPI)  # a package of its own: akin's needs no MPI
  install(TARGETS akin_mpi LIBRARY DESTINATION lib COMPONENT mpi)
endif()

install(TARGETS akin_c EXPORT akin-targets INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT library NAMELINK_COMPONENT development)
install(FILES ${CMAKE_SOURCE_DIR}/api/akin.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
# Where Debian's python3 looks below /usr; below another prefix PYTHONPATH names it. It finds the library from there.
set(AKIN_PYTHON_DIR lib/python3/dist-packages CACHE STRING "Where the Python module goes, below the prefix")
install(DIRECTORY ${CMAKE_SOURCE_DIR}/python/akin DESTINATION ${AKIN_PYTHON_DIR} COMPONENT python
  FILES_MATCHING PATTERN "*.py" PATTERN "py.typed" PATTERN "__pycache__" EXCLUDE)

install(TARGETS ${AKIN_PUBLIC_FOLDERS} akin_all EXPORT akin-targets INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
set(config_dir ${CMAKE_INSTALL_LIBDIR}/cmake/akin)
install(EXPORT akin-targets NAMESPACE akin:: DESTINATION ${config_dir})
configure_package_config_file(${CMAKE_SOURCE_DIR}/cmake/akin-config.cmake.in ${CMAKE_BINARY_DIR}/akin-config.cmake
  INSTALL_DESTINATION ${config_dir} NO_SET_AND_CHECK_MACRO NO_CHECK_REQUIRED_COMPONENTS_MACRO)
# Before 1.0 a minor version may change the interface.
write_basic_package_version_file(${CMAKE_BINARY_DIR}/akin-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/akin-config.cmake ${CMAKE_BINARY_DIR}/akin-config-version.cmake DESTINATION ${config_dir})

# Headers, written for their new home. What belongs to one implementation (oneDNN's, the plug-in's, the emulator's) stays.
install(CODE "
  foreach(folder ${AKIN_PUBLIC_FOLDERS})
    file(GLOB_RECURSE headers RELATIVE \"${CMAKE_SOURCE_DIR}\" \"${CMAKE_SOURCE_DIR}/\${folder}/*.hpp\")
    list(FILTER headers EXCLUDE REGEX \"_state\\\\.hpp$|^kernels/common/sim/|^engine/ops/\")
    foreach(header IN LISTS headers)
      file(READ \"${CMAKE_SOURCE_DIR}/\${header}\" text)
      string(REGEX REPLACE \"(#include \\\")((kernels|engine|nn|distill)/)\" \"\\\\1akin/\\\\2\" text \"\${text}\")
      set(new \"${CMAKE_BINARY_DIR}/install-headers/\${header}\")
      file(WRITE \"\${new}\" \"\${text}\")
      get_filename_component(place \"\${header}\" DIRECTORY)
      file(INSTALL \"\${new}\" DESTINATION \"\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_INCLUDEDIR}/akin/\${place}\")
    endforeach()
  endforeach()")

# akin.pc finds its own prefix from where it lies. The order of the libraries is that of their use.
file(RELATIVE_PATH AKIN_PC_PREFIX /p/${CMAKE_INSTALL_LIBDIR}/pkgconfig /p)
set(AKIN_PC_CFLAGS ${OpenMP_CXX_FLAGS})
set(AKIN_PC_LIBS "-lakin_distill -lakin_nn -lakin_engine -lakin_kernels")
if(AKIN_HAVE_ONEDNN)
  get_filename_component(folder ${AKIN_ONEDNN_LIBRARY} DIRECTORY)
  if(NOT folder IN_LIST CMAKE_CXX_IMPLICIT_LINK_DIRECTORIES)
    string(APPEND AKIN_PC_LIBS " -L${folder}")
  endif()
  string(APPEND AKIN_PC_LIBS " -ldnnl")
endif()
foreach(library webpdemux webp tiff gif)
  if(AKIN_LIB_${library} IN_LIST AKIN_PICTURE_LIBRARIES)
    string(APPEND AKIN_PC_LIBS " -l${library}")
  endif()
endforeach()
if(AKIN_HAVE_CUDA)
  string(APPEND AKIN_PC_CFLAGS " -DAKIN_HAVE_CUDA=1")
  string(APPEND AKIN_PC_LIBS " -L${CUDAToolkit_LIBRARY_DIR} -lcudart_static -lrt")
endif()
string(APPEND AKIN_PC_LIBS " -l${CMAKE_DL_LIBS} ${OpenMP_CXX_FLAGS}")
configure_file(${CMAKE_SOURCE_DIR}/cmake/akin.pc.in ${CMAKE_BINARY_DIR}/akin.pc @ONLY)
configure_file(${CMAKE_SOURCE_DIR}/cmake/akin-c.pc.in ${CMAKE_BINARY_DIR}/akin-c.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/akin.pc ${CMAKE_BINARY_DIR}/akin-c.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

install(FILES ${CMAKE_SOURCE_DIR}/LICENSE RENAME copyright DESTINATION ${CMAKE_INSTALL_DATAROOTDIR}/doc/akin COMPONENT program)
set(library_package libakin${AKIN_ABI})
install(FILES ${CMAKE_SOURCE_DIR}/LICENSE RENAME copyright DESTINATION ${CMAKE_INSTALL_DATAROOTDIR}/doc/${library_package} COMPONENT library)
install(FILES ${CMAKE_SOURCE_DIR}/LICENSE RENAME copyright DESTINATION ${CMAKE_INSTALL_DATAROOTDIR}/doc/python3-akin COMPONENT python)
set(development_doc ${CMAKE_INSTALL_DATAROOTDIR}/doc/libakin-dev)
install(FILES ${CMAKE_SOURCE_DIR}/LICENSE RENAME copyright DESTINATION ${development_doc})
install(DIRECTORY ${CMAKE_SOURCE_DIR}/examples DESTINATION ${development_doc})

# The packages. Who runs akin needs no compiler, and who links with it no program, so neither depends on the other. The
# module and the development files need the library of their own build.
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME akin)
set(CPACK_PACKAGE_VENDOR "the akin authors")
set(CPACK_PACKAGE_CONTACT "the akin authors <akin@localhost>")
set(CPACK_PACKAGE_DIRECTORY ${CMAKE_BINARY_DIR}/packages)
set(CPACK_STRIP_FILES ON)
set(CPACK_COMPONENTS_ALL program library python development)
if(AKIN_HAVE_MPI)
  list(APPEND CPACK_COMPONENTS_ALL mpi)
endif()
# What follows the project's own line.
set(CPACK_COMPONENT_PROGRAM_DESCRIPTION "akin makes an image classifier for a new task from a few labelled images, many
unlabelled ones and models that were trained on other tasks: it measures how
similar their tasks are and lets the similar ones teach.")
set(CPACK_COMPONENT_LIBRARY_DESCRIPTION "The library with a C interface: trained models on pictures, similarity of tasks
from tables of features, and the runs of akin fit and akin distill.")
set(CPACK_COMPONENT_PYTHON_DESCRIPTION "The Python module over it, numpy arrays in and out.")
set(CPACK_COMPONENT_DEVELOPMENT_DESCRIPTION "Headers and static libraries, for CMake and pkg-config: tensors, autograd,
layers and training loop, measures of task similarity and distillation in C++20;
and the header of the library with a C interface.")
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PROGRAM_PACKAGE_NAME akin)
set(CPACK_DEBIAN_PROGRAM_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PROGRAM_PACKAGE_RECOMMENDS fonts-dejavu-core)  # something to draw characters with
set(CPACK_COMPONENT_MPI_DESCRIPTION "The plug-in with which akin runs on several processors, cards or machines
under mpirun or srun.")
set(CPACK_DEBIAN_MPI_PACKAGE_NAME akin-mpi)
set(CPACK_DEBIAN_MPI_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_MPI_PACKAGE_DEPENDS "akin (= ${PROJECT_VERSION})")
set(CPACK_DEBIAN_LIBRARY_PACKAGE_NAME ${library_package})
set(CPACK_DEBIAN_LIBRARY_PACKAGE_SECTION libs)
set(CPACK_DEBIAN_LIBRARY_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)  # and with it ldconfig, where libakin is installed
set(CPACK_DEBIAN_PYTHON_PACKAGE_NAME python3-akin)
set(CPACK_DEBIAN_PYTHON_PACKAGE_SECTION python)
set(CPACK_DEBIAN_PYTHON_PACKAGE_DEPENDS "python3 (>= 3.11), python3-numpy, ${library_package} (= ${PROJECT_VERSION})")
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_NAME libakin-dev)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SECTION libdevel)
# The archives hold calls into the release of fmt and oneDNN that they were compiled with.
math(EXPR after "${fmt_VERSION_MAJOR} + 1")
set(needs "${library_package} (= ${PROJECT_VERSION}), g++, libfmt-dev (>= ${fmt_VERSION_MAJOR}), libfmt-dev (<< ${after}~), zlib1g-dev, nlohmann-json3-dev, libutf8proc-dev")
if(AKIN_HAVE_ONEDNN)
  find_file(AKIN_ONEDNN_VERSION dnnl_version.h HINTS ${AKIN_ONEDNN_INCLUDE} PATH_SUFFIXES oneapi/dnnl REQUIRED NO_DEFAULT_PATH)
  file(STRINGS ${AKIN_ONEDNN_VERSION} major REGEX "define DNNL_VERSION_MAJOR")
  string(REGEX REPLACE ".* " "" major "${major}")
  math(EXPR after "${major} + 1")
  string(APPEND needs ", libdnnl-dev (>= ${major}), libdnnl-dev (<< ${after}~)")
endif()
foreach(kind WEBP TIFF GIF)
  if(AKIN_HAVE_${kind})
    string(APPEND needs ", ${AKIN_${kind}_PACKAGE}")
  endif()
endforeach()
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_DEPENDS "${needs}")
include(CPack)
