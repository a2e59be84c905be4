// Asserts for every planted bug of kernels.hpp that the build which should find it does, and names the right lines; and
// that the kernels as they should be give no report:   sim_check plain|asan|tsan <program> <path of kernels.hpp>
#include <fmt/format.h>
#include <sys/personality.h>
#include <sys/wait.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <string>
#include <vector>

namespace {

struct Expectation {
  std::string build, arguments;
  int exit_code;                   ///< kSanitizer: a sanitizer stopped it
  std::vector<std::string> texts;  ///< all must be in the output; {marker} stands for the marked line
};

constexpr int kRight = 0, kWrong = 1, kStopped = 3, kSanitizer = 77;

std::vector<Expectation> expectations() {
  std::vector<Expectation> all;
  const auto expect = [&](const std::string& build, const std::string& arguments, int exit_code,
                          const std::vector<std::string>& texts) {
    all.push_back({build, arguments, exit_code, texts});
  };
  for (const char* build : {"plain", "asan", "tsan"}) expect(build, "none", kRight, {});

  for (const std::string policy : {"fifo", "lifo", "pct 1", "pct 2", "pct 3"}) {
    expect("plain", "exit_before_barrier " + policy, kStopped,
           {"sim: softmax with grid (5,1,1), block (128,1,1)", "shuffle reads lane", "has exited", "at {warp_max}"});
    expect("plain", "shuffle_half_warp " + policy, kStopped,
           {"deadlock", "64 threads, the first is (0,0,0): waits in __shfl_*_sync with mask 0xffffffff at {warp_max}",
            "64 threads, the first is (16,0,0): waits in __syncthreads at {first_barrier}"});
    expect("plain", "barrier_in_branch " + policy, kStopped,
           {"divergent barrier: this thread waits in __syncthreads at {barrier_in_branch}, others at "
            "{barrier_in_branch:others}"});
    expect("plain", "weak_wait " + policy, kWrong, {"WRONG tensor_gemm", "is -nan"});
    expect("plain", "uninitialised_shared " + policy, kWrong, {"WRONG histogram"});
    expect("plain", "double_buffer_race " + policy, kWrong, {"WRONG gemm"});
    if (policy != "fifo")  // where all threads keep step, nobody fills the buffer again too early
      expect("plain", "missing_end_barrier " + policy, kWrong, {"WRONG tensor_gemm"});
  }

  expect("plain", "past_dynamic_memory", kStopped,
         {"at {past_dynamic_memory}: cp.async: the target is not in the block's shared memory"});
  expect("plain", "copy_to_global", kStopped,
         {"at {missing_end_barrier:write}: cp.async: the target is not in the block's shared memory"});
  expect("plain", "matrix_from_global", kStopped,
         {"at {missing_end_barrier:read}: ldmatrix: the address of a row is not in the block's shared memory"});
  expect("plain", "assumed_alignment", kWrong, {"WRONG lines"});

  // As work is queued, with two multiprocessors, hosts go wrong unseen; not so in the other modes.
  const auto expect_of_host = [&](const std::string& bug, const std::string& how, int exit_code,
                                  const std::vector<std::string>& texts) {
    expect("plain", bug + " fifo 1 1 none", kRight, {});
    expect("plain", bug + " fifo " + how, exit_code, texts);
  };
  expect_of_host("missing_event_wait", "1 1 latest", kWrong, {"WRONG pipeline: element 0 is -nan"});
  expect_of_host("reused_stage", "1 1 latest", kWrong, {"WRONG pipeline: element 0 is 1220, expected 620"});
  expect_of_host("read_too_early", "1 1 latest", kWrong, {"WRONG pipeline: element 0 is 0, expected 620"});
  expect("plain", "slot_overwritten fifo 1 1 latest", kRight, {});
  for (const char* seed : {"2", "3", "4"})
    expect_of_host("slot_overwritten", std::string(seed) + " 1 random", kWrong, {"WRONG pipeline"});
  expect_of_host("few_parts", "1 1 latest 132", kWrong, {"WRONG total"});
  const std::string no_device = ", which is no device memory: a kernel can read nothing else; copy it there";
  expect("plain", "host_pointer", kStopped, {"sim: scale: argument 1 points to 0x", no_device});
  expect("plain", "host_pointer_in_struct", kStopped, {"sim: scale: a member of argument 2 points to 0x", no_device});
  const std::string refused = " while this thread captures a graph: a card refuses it and breaks the capture";
  expect("plain", "allocate_in_capture", kStopped, {"sim: an allocation of device memory" + refused});
  expect("plain", "release_in_capture", kStopped, {"sim: a release of device memory" + refused});
  expect("plain", "pageable_in_capture", kStopped, {"sim: a copy of host memory that is not pinned" + refused});

  const std::string poisoned = "AddressSanitizer: use-after-poison";
  expect("asan", "write_past_end", kSanitizer, {poisoned, "of size 4", "{write_past_end}"});
  expect("asan", "missing_column_guard", kSanitizer, {poisoned, "READ of size 16", "{missing_column_guard}"});
  expect("asan", "shared_out_of_bounds", kSanitizer, {poisoned, "READ of size 4", "{shared_out_of_bounds}"});
  expect("asan", "misaligned_load", kSanitizer, {"{misaligned_load}", "misaligned address", "requires 16 byte"});

  const std::string race = "ThreadSanitizer: data race";
  const auto expect_race = [&](const std::string& bug, const std::vector<std::string>& lines) {
    std::vector<std::string> texts{race, "' (tid=0, running) created by"};
    texts.insert(texts.end(), lines.begin(), lines.end());
    expect("tsan", bug, kSanitizer, texts);
  };
  expect_race("missing_barrier",
              {"{missing_barrier:write}", "{missing_barrier:read}", "block (0,0,0) thread (32,0,0)"});
  expect_race("missing_syncwarp", {"{missing_syncwarp:write}", "{missing_syncwarp:read}"});
  expect_race("plain_update", {"{plain_update}"});
  expect_race("race_between_blocks", {"{race_between_blocks}", "block (0,0,0)", "block (1,0,0)"});
  // pct: TSan since LLVM 14 forgets what a thread did while 256 others ran, one after the other.
  expect_race("double_buffer_race pct 1", {"{double_buffer_race:write}", "{double_buffer_race:read}"});
  expect_race("missing_end_barrier", {"{missing_end_barrier:write}", "{missing_end_barrier:read}"});
  return all;
}

/// "[name]" in a comment -> "kernels.hpp:<line>"
std::map<std::string, std::string> markers(const std::string& file) {
  std::map<std::string, std::string> out;
  std::ifstream in(file);
  int number = 1;
  for (std::string line; std::getline(in, line); ++number) {
    const std::size_t start = line.find("// ["), end = line.find(']', start == std::string::npos ? 0 : start);
    if (start != std::string::npos && end != std::string::npos)
      out[line.substr(start + 4, end - start - 4)] = fmt::format("kernels.hpp:{}", number);
  }
  return out;
}

std::string replace_markers(std::string text, const std::map<std::string, std::string>& lines) {
  for (const auto& [name, place] : lines)
    for (std::size_t at; (at = text.find("{" + name + "}")) != std::string::npos;)
      text.replace(at, name.size() + 2, place);
  return text;
}

struct Result {
  int exit_code = -1;
  std::string output;
};

Result run(const std::string& command) {
  Result r;
  std::FILE* pipe = popen((command + " 2>&1").c_str(), "r");
  if (pipe == nullptr) return r;
  char buffer[4096];
  for (std::size_t n; (n = std::fread(buffer, 1, sizeof buffer, pipe)) > 0;) r.output.append(buffer, n);
  const int status = pclose(pipe);
  r.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return r;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  const std::string build = argv[1], program = argv[2];
  const auto lines = markers(argv[3]);
  personality(ADDR_NO_RANDOMIZE);  // TSan of some compilers refuses the addresses that newer Linux kernels choose
  for (const char* name : {"ASAN_OPTIONS", "TSAN_OPTIONS", "UBSAN_OPTIONS"}) setenv(name, "exitcode=77", 1);
  int passed = 0, failed = 0;
  for (const Expectation& e : expectations()) {
    if (e.build != build) continue;
    const Result r = run("'" + program + "' " + e.arguments);
    std::string missing;
    for (const std::string& text : e.texts)
      if (const std::string t = replace_markers(text, lines); r.output.find(t) == std::string::npos)
        missing += "\n  not in the output: " + t;
    if (r.exit_code != e.exit_code) missing += fmt::format("\n  exit code {}, expected {}", r.exit_code, e.exit_code);
    if (e.exit_code == kRight && r.output != "right\n") missing += "\n  a correct kernel was reported";
    if (missing.empty()) {
      ++passed;
      continue;
    }
    ++failed;
    fmt::print("FAILED {} {}:{}\n--- output\n{}\n---\n", build, e.arguments, missing, r.output.substr(0, 6000));
  }
  fmt::print("{}: {} passed, {} failed\n", build, passed, failed);
  return failed == 0 && passed > 0 ? 0 : 1;
}
