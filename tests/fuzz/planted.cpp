// A parser with every fault that the harness must notice, each behind its own word: a fuzzer that finds nothing is
// worth what it would have found.
#include <stdexcept>

#include "tests/fuzz/json_mutator.hpp"

namespace akin::fuzz {

namespace {

void run(ByteView input) {
  const std::string_view text = text_of(input);
  accepted([&] {
    AKIN_CHECK(text != "refused", "an error like any other");
    if (text == "exception") throw std::out_of_range("not akin's");
    if (text == "memory") static_cast<void>(Bytes(2 * kLargestBlock));
    if (text == "silent") throw Error("");
    return true;
  });
  if (text == "property") require(text.empty(), "a property that does not hold");
  if (text == "write") must("writing it", [] { fail("no"); });
  // Reached by a change of the seed alone: of its JSON, and of its words.
  if (text == R"({"a":65536})" || text == "exproperty") finding("reached");
}

Seeds seeds() { return {text_seed("refused", "refused"), text_seed("json", R"({"a":1})")}; }

}  // namespace

const Target target{.run = run, .seeds = seeds, .mutate = mutate_json};

}  // namespace akin::fuzz
