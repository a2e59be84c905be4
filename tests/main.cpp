#include "tests/run_tests.hpp"

int main(int argc, char** argv) { return akin::test::run_tests(argc, argv); }
