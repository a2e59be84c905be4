// Runs a fuzz target without libFuzzer: its seeds, the files and folders named, and a fixed number of changes to them,
// the same ones every time. Blind changes find little that a fuzzer does not; that they are made at every commit is
// their worth.
//
//   fuzz_<name> [--mutations N] [FILE|FOLDER]...
//   fuzz_<name> --write FOLDER FILE      the seeds to a folder, the words to a dictionary
#include <unistd.h>
#include <algorithm>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <typeinfo>

#include "kernels/common/rng.hpp"
#include "tests/fuzz/fuzz.hpp"
#include "tests/fuzz/libfuzzer.hpp"
#include "tests/sanitized.hpp"

namespace {

using akin::Bytes;
using akin::Rng;
using akin::fuzz::Seed;

Rng mutation_rng(0);
const Bytes* at_hand = nullptr;  // the input that is being run
std::string at_hand_name;

/// The input to a file, so that whoever reads the log can repeat it.
void keep_input() {
  const char* file = "fuzz-finding";
  if (at_hand == nullptr) return;
  if (std::FILE* f = std::fopen(file, "wb")) {
    std::fwrite(at_hand->data(), 1, at_hand->size(), f);
    std::fclose(f);
    std::fprintf(stderr, "the input (%s, %zu bytes) is in ./%s\n", at_hand_name.c_str(), at_hand->size(), file);
  }
}

extern "C" void on_crash(int signal_number) {
  keep_input();  // nothing is left to be broken by it
  std::signal(signal_number, SIG_DFL);
  std::raise(signal_number);
}

void run(const Bytes& input, const std::string& name) {
  // A copy of exactly this size, so that a read behind its end is one behind a block.
  const Bytes copy(input.begin(), input.end());
  at_hand = &copy;
  at_hand_name = name;
  akin::fuzz::blocks_are_limited = true;
  try {
    LLVMFuzzerTestOneInput(copy.data(), copy.size());
  } catch (const std::exception& e) {
    akin::fuzz::finding(std::string("an exception that is no akin::Error: ") + typeid(e).name() + ": " + e.what());
  }
  akin::fuzz::blocks_are_limited = false;
  at_hand = nullptr;
}

std::vector<Seed> files_of(const std::filesystem::path& place) {
  namespace fs = std::filesystem;
  std::vector<fs::path> files;
  if (fs::is_directory(place)) {
    for (const auto& entry : fs::recursive_directory_iterator(place))
      if (entry.is_regular_file()) files.push_back(entry.path());
  } else {
    files.push_back(place);
  }
  std::sort(files.begin(), files.end());
  std::vector<Seed> inputs;
  for (const fs::path& file : files) inputs.push_back({file.string(), akin::read_file(file)});
  return inputs;
}

Bytes mutated(const std::vector<Seed>& inputs, std::uint32_t round) {
  constexpr std::size_t kMore = 256;  // bytes that an input may grow by
  Bytes bytes = inputs[round % inputs.size()].bytes;
  const std::size_t most = bytes.size() + kMore;
  for (std::uint32_t change = mutation_rng.below(3) + 1; change > 0; --change) {
    if (mutation_rng.below(8) == 0) {  // the head of this one and the tail of another
      const Bytes& other = inputs[mutation_rng.below(static_cast<std::uint32_t>(inputs.size()))].bytes;
      bytes.resize(mutation_rng.below(static_cast<std::uint32_t>(bytes.size() + 1)));
      const std::size_t from = mutation_rng.below(static_cast<std::uint32_t>(other.size() + 1));
      bytes.insert(bytes.end(), other.begin() + static_cast<std::ptrdiff_t>(from), other.end());
    }
    std::size_t size = std::min(bytes.size(), most);
    bytes.resize(most);
    size = LLVMFuzzerCustomMutator(bytes.data(), size, most, mutation_rng.next_u32());
    bytes.resize(size);
  }
  return bytes;
}

}  // namespace

std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t most) {
  Rng& rng = mutation_rng;
  constexpr std::uint8_t telling[] = {0, 1, 0x7f, 0x80, 0xff, ' ', '"', '[', '{', '-', '9'};
  const auto somewhere = [&](std::size_t n) { return rng.below(static_cast<std::uint32_t>(n)); };
  const std::vector<std::string>& words = akin::fuzz::target.words;
  switch (size == 0 ? 2 : rng.below(words.empty() ? 5 : 6)) {
    case 0:
      data[somewhere(size)] ^= static_cast<std::uint8_t>(1u << rng.below(8));
      return size;
    case 1:
      data[somewhere(size)] = telling[rng.below(sizeof telling)];
      return size;
    case 2:
      if (size >= most) return size;
      data[size] = static_cast<std::uint8_t>(rng.below(256));
      std::rotate(data + somewhere(size + 1), data + size, data + size + 1);
      return size + 1;
    case 3: {
      const std::size_t from = somewhere(size), n = std::min<std::size_t>(size - from, 1 + rng.below(16));
      std::memmove(data + from, data + from + n, size - from - n);
      return size - n;
    }
    case 4: {
      const std::size_t from = somewhere(size),
                        n = std::min({size - from, most - size, std::size_t{1 + rng.below(16)}});
      const Bytes block(data + from, data + from + n);
      std::memmove(data + from + n, data + from, size - from);
      std::copy(block.begin(), block.end(), data + from);
      return size + n;
    }
    default: {
      const std::string& word = words[rng.below(static_cast<std::uint32_t>(words.size()))];
      if (word.size() > most - size) return size;
      const std::size_t to = somewhere(size + 1);
      std::memmove(data + to + word.size(), data + to, size - to);
      std::copy(word.begin(), word.end(), data + to);
      return size + word.size();
    }
  }
}

int main(int argc, char** argv) {
  LLVMFuzzerInitialize(&argc, &argv);
  std::vector<Seed> inputs = akin::fuzz::target.seeds();
  std::uint32_t mutations = 0;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument == "--mutations" && i + 1 < argc) {
      const std::string_view number = argv[++i];
      std::from_chars(number.data(), number.data() + number.size(), mutations);
      continue;
    }
    for (Seed& s : files_of(argument)) inputs.push_back(std::move(s));
  }
#ifndef AKIN_TEST_ASAN  // which has handlers of its own
  for (const int s : {SIGABRT, SIGSEGV, SIGFPE, SIGBUS, SIGILL}) std::signal(s, on_crash);
#endif
  run({}, "nothing");
  for (const Seed& s : inputs) run(s.bytes, s.name);
  for (std::uint32_t round = 0; round < mutations && !inputs.empty(); ++round)
    run(mutated(inputs, round), "mutation " + std::to_string(round) + " of " + inputs[round % inputs.size()].name);
  std::printf("%zu inputs and %u mutations: no finding\n", inputs.size() + 1, mutations);
  return 0;
}
