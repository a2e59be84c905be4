#include "apps/run_folder.hpp"

#include <algorithm>
#include <regex>
#include <system_error>

#include "apps/common.hpp"
#include "engine/io/file.hpp"
#include "engine/io/path.hpp"
#include "nn/data/set_layout.hpp"

namespace akin {
namespace fs = std::filesystem;

namespace {

/// What a command leaves in its run folder.
struct Traces {
  RunKind kind;
  const char* command;
  std::vector<const char*> marks;   ///< of a run: one that is there and is no empty folder
  std::vector<const char*> finish;  ///< those that a finished run has, and a stopped one has not
  const char* own;                  ///< all that the run writes: names as a regular expression
};

constexpr const char* kFlat =
    "config\\.toml|(results|similarity|weights|oracle|errors)\\.csv|log\\.jsonl|report\\.(json|html)|"
    "student(_best)?\\.safetensors|labels-seed[0-9]+\\.json|students|checkpoints|tensorboard|progress\\.json";

const std::vector<Traces>& all_traces() {
  static const std::vector<const char*> marks{"results.csv", "report.json", "students", "checkpoints"};
  static const std::vector<const char*> finish{"report.json", "report.html", "results.csv"};
  static const std::vector<Traces> traces{
      {RunKind::train,
       "train",
       {"model.safetensors", "checkpoint.safetensors"},
       {"model.safetensors"},
       "config\\.toml|log\\.jsonl|(model|checkpoint)\\.safetensors|tensorboard|progress\\.json"},
      {RunKind::experiment,
       "experiment",
       {"cells", "rankings"},
       {"results.md"},
       "results\\.(csv|md)|sources\\.csv|report\\.html|progress\\.json|cells|rankings|labels|students|checkpoints"},
      {RunKind::demo, "demo", marks, finish, kFlat},
      {RunKind::birds, "demo birds", marks, finish, kFlat},
      {RunKind::fit, "fit", marks, finish, kFlat},
      {RunKind::distill, "distill", marks, finish, kFlat},
  };
  return traces;
}

const Traces& traces_of(RunKind kind) {
  return *std::find_if(all_traces().begin(), all_traces().end(), [&](const Traces& t) { return t.kind == kind; });
}

bool is_own(const Traces& t, const std::string& name) { return std::regex_match(name, std::regex(t.own)); }

bool holds(const fs::path& file) {
  std::error_code ignored;
  return is_folder(file) ? !fs::is_empty(file, ignored) : is_there(file);
}

bool holds_one(const fs::path& folder, const std::vector<const char*>& names) {
  return std::any_of(names.begin(), names.end(), [&](const char* name) { return holds(folder / name); });
}

/// The command whose settings config.toml holds: "[distill]"; empty where it says none.
std::string configured(const fs::path& folder) {
  if (!is_there(folder / "config.toml")) return {};
  const std::string text = read_text(folder / "config.toml");
  static const std::regex table("(^|\n)\\[\"?([a-z. ]+)\"?\\]");
  std::smatch found;
  return std::regex_search(text, found, table) ? found[2].str() : "";
}

/// Whose runs a folder holds.
std::vector<RunKind> runs_in(const fs::path& folder) {
  std::vector<RunKind> out;
  if (holds_one(folder, traces_of(RunKind::train).marks)) out.push_back(RunKind::train);
  // Of an experiment that was stopped in its first cell there may be no more than the labels.
  const bool grid = holds_one(folder, traces_of(RunKind::experiment).marks) ||
                    (holds(folder / "labels") && !is_there(folder / "config.toml"));
  if (grid) out.push_back(RunKind::experiment);
  // An experiment has results.csv, students and checkpoints, too.
  if (grid ? !is_there(folder / "report.json") : !holds_one(folder, traces_of(RunKind::distill).marks)) return out;
  const std::string command = configured(folder);
  const bool demo = command.starts_with("demo") || (command.empty() && is_there(folder / "bank"));
  out.push_back(command.ends_with("birds") ? RunKind::birds
                : demo                     ? RunKind::demo
                : command == "fit"         ? RunKind::fit
                                           : RunKind::distill);
  return out;
}

fs::path real_path(const fs::path& path) {
  std::error_code ignored;
  const fs::path whole = fs::absolute(path, ignored).lexically_normal(), real = fs::weakly_canonical(whole, ignored);
  return real.empty() ? whole : real;
}

void check_inputs(const Traces& own, const fs::path& out, const GridInputs& inputs) {
  for (const fs::path& data : inputs.data) check_outside(out, data);
  for (const fs::path& file : inputs.files) {
    const fs::path place = real_path(file).lexically_relative(real_path(out));
    if (place.empty() || !is_own(own, place.begin()->string())) continue;
    fail(
        "{}: is read by this run, which would write over it or remove it, for its run folder is {}; --out DIR chooses "
        "another folder",
        file.string(), out.string());
  }
}

/// `out`, or what stands for it where the user names none.
FolderLock lock_of(const fs::path& out) {
  if (out.empty()) return FolderLock::of_new_folder("runs/" + run_stamp());
  return FolderLock(out);
}

}  // namespace

void check_outside(const fs::path& out, const fs::path& data) {
  if (!is_folder(data) || !is_below(real_path(out), real_path(data)) || real_path(out) == real_path(data)) return;
  const SetLayout layout = layout_of(data);
  if (!of_pictures(layout)) return;
  for (const auto& [split, folders] : layout.images)
    for (const fs::path& folder : folders)
      if (is_below(real_path(out), real_path(folder)))
        fail_usage("{}: lies in {}, whose folders are classes of the data set that is read; write to another place",
                   out.string(), folder.string());
}

void check_output_file(const fs::path& file, bool force, const std::vector<fs::path>& inputs) {
  if (!is_there(file)) return;
  std::error_code ignored;
  for (const fs::path& input : inputs)
    AKIN_CHECK(!fs::equivalent(file, input, ignored), "{}: is read by this command; choose another name",
               file.string());
  AKIN_CHECK(force, "{}: exists; --force replaces it", file.string());
}

RunFolder::RunFolder(RunKind kind, const fs::path& out, const GridInputs& inputs, const Wish& wish)
    : kind_(kind), wish_(wish), lock_([&] {
        if (wish.resume && wish.force)
          fail_usage("--resume and --force: one goes on, the other starts anew; choose one");
        if (!out.empty()) check_inputs(traces_of(kind), out, inputs);
        return lock_of(out);
      }()) {
  const Traces& own = traces_of(kind);
  for (const RunKind found : runs_in(path())) {
    const Traces& there = traces_of(found);
    if (found != kind)
      AKIN_CHECK(wish.force, "{}: holds a {} `akin {}`; {}--out DIR chooses another folder", path().string(),
                 holds_one(path(), there.finish) ? "finished" : "stopped", there.command,
                 wish.resume        ? fmt::format("--resume goes on with `akin {}` alone; ", own.command)
                 : wish.takes_force ? "--force replaces it, "
                                    : "");
    else if (wish.takes_force && !wish.resume && !wish.force)
      for (const char* name : there.marks)
        AKIN_CHECK(!holds(path() / name),
                   "{}: is there from an earlier run; --resume goes on with it, --force starts anew, --out DIR chooses "
                   "another folder",
                   (path() / name).string());
  }
}

void RunFolder::begin(const std::vector<std::string>& written) const {
  check_still_locked(path());
  if (wish_.resume) {
    for (const char* name : traces_of(kind_).finish)
      if (kind_ != RunKind::train) remove_file(path() / name);
    return;
  }
  if (wish_.takes_force && !wish_.force) return;  // nothing is there, or the run would have been refused
  std::vector<RunKind> kinds = runs_in(path());
  kinds.push_back(kind_);
  std::vector<fs::path> gone;
  for (const auto& entry : fs::directory_iterator(path())) {
    const std::string name = entry.path().filename().string();
    const bool own = std::any_of(kinds.begin(), kinds.end(), [&](RunKind k) { return is_own(traces_of(k), name); });
    if (own && std::find(written.begin(), written.end(), name) == written.end()) gone.push_back(entry.path());
  }
  for (const fs::path& file : gone) {
    std::error_code error;
    if (fs::is_symlink(file) || !is_folder(file)) {
      remove_file(file);
    } else if (fs::remove_all(file, error); error) {
      fail_to(file, "removed", error.value());
    }
  }
}

}  // namespace akin
