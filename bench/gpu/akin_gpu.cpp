// akin_gpu: all that is to be run on a card, as one program to carry there: the tests of the kernels and the
// benchmarks.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "bench/programs.hpp"
#include "engine/build_info.hpp"
#include "kernels/common/gpu/device.hpp"
#include "tests/run_tests.hpp"

namespace {

constexpr const char* kUsage =
    R"(akin_gpu: the tests of akin's CUDA kernels and their benchmarks, as one program to carry to a card

  akin_gpu list                            the files of tests
  akin_gpu test [--file NAME] [OPTION...]  their cases, or those of a file (several times: of several): conv2d
                                           --places=cuda: on the card alone; --values-only, --no-poison, and doctest's
  akin_gpu bench [OPTION...]               kernels against libraries and device copies
  akin_gpu step [OPTION...]                training steps
  akin_gpu constants [OPTION...]           bandwidths, latencies and rates of the card
  akin_gpu hello                           opens the card and says what it is
  akin_gpu --version

bench, step and constants have a --help of their own.
Example: akin_gpu test --file conv2d --places=cuda --values-only
Exit code: 0 done, 1 something failed, 2 wrong use.
)";

int wrong_use(const std::string& what) {
  fmt::print(stderr, "akin_gpu: {} (see --help)\n", what);
  return 2;
}

std::vector<std::string> test_files() {
  std::vector<std::string> all;
  std::istringstream names(AKIN_DEVICE_TESTS);
  for (std::string name; names >> name;) all.push_back(name.substr(std::string_view("test_").size()));
  return all;
}

/// `argv` begins with the program's name.
int test(std::vector<char*> argv) {
  const std::vector<std::string> known = test_files();
  std::vector<char*> rest{argv[0]};
  std::string sources;
  for (std::size_t i = 1; i < argv.size(); ++i) {
    std::string_view name = argv[i];
    if (name == "--file" && i + 1 < argv.size()) {
      name = argv[++i];
    } else if (name.starts_with("--file=")) {
      name.remove_prefix(std::string_view("--file=").size());
    } else if (name == "--file") {
      return wrong_use("--file needs a name; akin_gpu list has them");
    } else {
      rest.push_back(argv[i]);
      continue;
    }
    if (std::find(known.begin(), known.end(), name) == known.end())
      return wrong_use(fmt::format("--file {}: no such file of tests; akin_gpu list has them", name));
    sources += fmt::format("{}*/test_{}.cpp", sources.empty() ? "--source-file=" : ",", name);
  }
  std::string skip = "--no-skip", paths = "--no-path-filenames";
  rest.insert(rest.end(), {skip.data(), paths.data()});
  if (!sources.empty()) rest.push_back(sources.data());
  return akin::test::run_tests(static_cast<int>(rest.size()), rest.data());
}

int hello() {
  try {
    fmt::print("{}\n", akin::open_cuda()->describe());
    return 0;
  } catch (const std::exception& e) {
    fmt::print(stderr, "akin_gpu: {}\n", e.what());
    return 1;
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    fmt::print(stderr, "{}", kUsage);
    return 2;
  }
  const std::string_view word = argv[1];
  std::vector<char*> rest(argv + 1, argv + argc);  // the word stands where a program's name would
  const int count = static_cast<int>(rest.size());
  if (word == "test") return test(rest);
  if (word == "bench") return akin::bench::bench_device(count, rest.data());
  if (word == "step") return akin::bench::bench_step(count, rest.data());
  if (word == "constants") return akin::bench::bench_constants(count, rest.data());
  if (count > 1) return wrong_use(fmt::format("{} {}: not understood", word, argv[2]));
  if (word == "hello") return hello();
  if (word == "list") {
    for (const std::string& name : test_files()) fmt::print("{}\n", name);
    return 0;
  }
  if (word == "--version") {
    fmt::print("akin_gpu {}, {}, machine code for {}\n", akin::commit(), akin::build_flags(),
               akin::built_with_cuda() ? AKIN_ARCHITECTURES : "no card");
    return 0;
  }
  if (word == "--help" || word == "-h") {
    fmt::print("{}", kUsage);
    return 0;
  }
  return wrong_use(fmt::format("no word \"{}\"", word));
}
