#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <cstdio>
#include <vector>

#include "kernels/common/gpu/device.hpp"
#include "kernels/common/sim/memory.hpp"
#include "tests/places.hpp"
#include "tests/run_tests.hpp"

// A test program that ran no case has failed: a filter or a build mistake must not look like success.
// The emulator's device memory is closed to host code, as a card's is: a host access ends the test with SIGSEGV.
int akin::test::run_tests(int argc, char** argv) {
  akin::sim::close_to_host(std::size_t{4} << 30);
  std::vector<char*> rest;  // what is left for doctest
  try {
    for (int i = 0; i < argc; ++i)
      if (i == 0 || !akin::test::take_option(argv[i])) rest.push_back(argv[i]);
  } catch (const akin::Error& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 2;
  }
  if (!akin::test::chosen(akin::Device::sim) && !akin::cuda_usable()) {
    std::fputs("--places=cuda: no CUDA card answers on this machine (or this build is without CUDA)\n", stderr);
    return 1;
  }
  doctest::Context context(static_cast<int>(rest.size()), rest.data());
  struct Count : doctest::IReporter {
    explicit Count(const doctest::ContextOptions&) {}
    void report_query(const doctest::QueryData&) override {}
    void test_run_start() override {}
    void test_run_end(const doctest::TestRunStats& stats) override { ran() = stats.numTestCasesPassingFilters; }
    void test_case_start(const doctest::TestCaseData&) override {}
    void test_case_reenter(const doctest::TestCaseData&) override {}
    void test_case_end(const doctest::CurrentTestCaseStats&) override {}
    void test_case_exception(const doctest::TestCaseException&) override {}
    void subcase_start(const doctest::SubcaseSignature&) override {}
    void subcase_end() override {}
    void log_assert(const doctest::AssertData&) override {}
    void log_message(const doctest::MessageData&) override {}
    void test_case_skipped(const doctest::TestCaseData&) override {}
    static unsigned& ran() {
      static unsigned n = 0;
      return n;
    }
  };
  doctest::registerReporter<Count>("count", 0, false);
  const int rc = context.run();
  if (context.shouldExit()) return rc;
  return Count::ran() == 0 ? 1 : rc;
}
