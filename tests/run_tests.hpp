#pragma once

namespace akin::test {

/// The cases that are linked into this program, as a test program's command line says (tests/places.hpp, doctest):
/// 0 all passed, else 1.
int run_tests(int argc, char** argv);

}  // namespace akin::test
