#include "apps/profiling.hpp"

#include <fstream>
#include <iostream>

#include "distill/profile_table.hpp"
#include "engine/io/file.hpp"
#include "engine/io/text.hpp"

namespace akin {

namespace {

constexpr std::string_view kBegin = R"({"displayTimeUnit")";  // of a timeline

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

Profiling::Profiling(const CommonOptions& options, Context& ctx) : options_(options), ctx_(ctx) {
  if (!options.profile && options.trace.empty()) return;
  if (!options.trace.empty()) {
    std::string begin(kBegin.size(), ' ');
    std::ifstream(options.trace, std::ios::binary).read(begin.data(), std::ssize(begin));
    AKIN_CHECK(!is_there(options.trace) || begin == kBegin, "--trace {}: is there and no timeline; choose another name",
               options.trace);
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
    write_file_atomic(options_.trace, profiler_->timeline_json());
    say(options_, options_.trace + ": timeline; open it in ui.perfetto.dev");
  } catch (const std::exception& e) {
    warn(fmt::format("the profile is lost: {}", e.what()));
  }
}

}  // namespace akin
