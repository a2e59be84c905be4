#include "apps/profiling.hpp"

#include <filesystem>
#include <fstream>
#include <iostream>

#include "distill/profile_table.hpp"
#include "engine/io/file.hpp"
#include "engine/io/text.hpp"

namespace akin {

namespace {

constexpr std::string_view kBegin = R"({"displayTimeUnit")";  // of a timeline

/// Throws where the timeline would replace anything but another one: looked at before the run, and again when it has
/// written its own files.
void check_trace(const std::filesystem::path& file) {
  namespace fs = std::filesystem;
  if (!file.filename().string().ends_with("trace.json"))  // what no file of a run is called, now or later
    fail_usage("--trace {}: give a name that ends in trace.json", file.string());
  std::error_code none;
  const fs::file_status status = fs::status(file, none);
  if (!fs::exists(status)) return;
  AKIN_CHECK(fs::is_regular_file(status), "--trace {}: is there and no file; name a new one", file.string());
  std::string begin(kBegin.size(), ' ');
  std::ifstream(file, std::ios::binary).read(begin.data(), std::ssize(begin));
  AKIN_CHECK(begin == kBegin || fs::file_size(file, none) == 0,
             "--trace {}: is there and no timeline; choose another name", file.string());
}

}  // namespace

void add_profiling(CLI::App& app, CommonOptions& options) {
  app.add_flag("--profile", options.profile, "Tables of time by stage, op and layer, on stderr")
      ->configurable(false)
      ->group("General");
  app.add_option("--trace", options.trace, "Timeline of stages, layers and ops for ui.perfetto.dev (Chrome's JSON)")
      ->configurable(false)
      ->type_name("FILE")
      ->group("General");
}

Profiling::Profiling(const CommonOptions& options, Context& ctx, bool first_rank) : options_(options), ctx_(ctx) {
  if (!first_rank || (!options.profile && options.trace.empty())) return;
  if (!options.trace.empty()) {
    check_trace(options.trace);
    const AtomicFile probe(options.trace);
  }
  profiler_ = std::make_unique<Profiler>(!options.trace.empty());
  ctx.profiler = profiler_.get();
}

Profiling::~Profiling() {
  if (!profiler_) return;
  ctx_.profiler = nullptr;
  try {
    const Profile profile = profiler_->profile();
    if (options_.profile)
      std::cerr << '\n'
                << spelled_controls(profile_table(profile, ctx_.device == Device::cpu ? &roof() : nullptr), true);
    if (options_.trace.empty()) return;
    check_trace(options_.trace);
    write_file_atomic(options_.trace, profiler_->timeline_json());
    say(options_, options_.trace + ": timeline; open it in ui.perfetto.dev");
  } catch (const std::exception& e) {
    warn(fmt::format("the profile is lost: {}", e.what()));
  }
}

}  // namespace akin
