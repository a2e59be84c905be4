// Experiment files, TOML or JSON (distill/grid/grid.hpp): every cell of a grid that is read has a name of its own,
// settings that were checked and files below its folder. An input is the text.
#include <set>

#include "distill/grid/cell.hpp"
#include "tests/fuzz/json_mutator.hpp"
#include "tests/fuzz/settings_text.hpp"

namespace akin::fuzz {

namespace {

constexpr std::size_t kMostCells = 2000;

void run(ByteView input) {
  const auto grid = accepted([&] { return read_grid(settings_file(input)); });
  if (!grid) return;
  require(!grid->targets.empty() && !grid->budgets.empty() && !grid->variants.empty() && !grid->seeds.empty(),
          "a grid without cells");
  if (grid->targets.size() * grid->budgets.size() * grid->variants.size() * grid->seeds.size() *
          (grid->sources.size() + 1) >
      kMostCells)
    return;
  std::set<std::string> names;
  const GridFolder place{"out"};
  const TargetInputs inputs{.images = "i", .test = "t", .classes = "c", .sources = {{"s", "h"}}};
  for (const GridTarget& t : grid->targets)
    for (const Cell& c : cells_of(*grid, t, t.sources)) {
      require(names.insert(c.name()).second, "two cells of one name");
      const Settings settings = must("settings of a cell", [&] { return grid->settings_of(t, c.variant); });
      must("settings of a cell that were checked", [&] { check(settings); });
      // Files that it names are asked for their digest, and are not there.
      passes([&] { cell_settings(c, settings, inputs); });
      for (const std::filesystem::path& file :
           {place.record(c), place.student(c), place.checkpoint(c), place.labels(t, *c.budget, c.seed)})
        require(file.lexically_normal().string().starts_with("out/"), "a file out of the folder");
    }
  for (const char* filter : {"target=a", "budget=b", "seed=0", "seed=1", "method=weighted", "variant=scratch", "x",
                             "seed=99999999999999999999", "="}) {
    GridFilter f;
    passes([&] { add_filter(f, filter, *grid); });
  }
}

Seeds seeds() {
  return {
      text_seed("small", R"(title = "t"
root = ".."
seeds = [0, 1]
methods = ["scratch", "weighted", "oracle"]
metrics = ["parc", "cka"]
[settings]
steps = 10
student = "resnet8"
[[variants]]
name = "weighted-p2"
method = "weighted"
p = 2.0
[[budgets]]
name = "two"
per_class = 2
[[sources]]
name = "s1"
path = "bank/{target}/s1.safetensors"
[[sources]]
name = "s2"
path = "s2.safetensors"
arch = "resnet20"
shortcut = "A"
mean = [0.5, 0.4, 0.3]
std = [0.2]
[[targets]]
name = "a"
data = "data/a"
size = "32x32"
channels = 3
exclude = ["s2"]
[[targets]]
name = "b"
data = "data/b"
images = 100
lr = 0.05
)"),
      text_seed(
          "json",
          R"({"seeds": [3], "methods": ["transfer"], "settings": {"lr": 0.1, "device": "cpu"}, "budgets": [{"name": "f", "fraction": 0.1}],
 "sources": [{"name": "s", "path": "s"}], "targets": [{"name": "t", "data": "d", "sources": ["s"]}], "variants": [{"name": "v", "method": "fixmatch"}]})"),
      text_seed("least",
                "methods = ['scratch']\n[[targets]]\nname='a'\ndata='d'\n[[budgets]]\nname='b'\nper_class=1\n"),
      text_seed("listed",
                "methods = "
                "['scratch']\n[[targets]]\nname='a'\ndata='d'\n[[budgets]]\nname='b'\n[budgets.labelled]\ncat=[0]\ndog="
                "[1]\n"),
      text_seed(
          "file",
          "methods = ['scratch']\n[[targets]]\nname='a'\ndata='d'\n[[budgets]]\nname='b'\nfile='settings.toml'\n"),
      text_seed("empty_table", "[/x]\n")};
}

}  // namespace

const Target target{
    .run = run,
    .seeds = seeds,
    .words = with_toml_words({"[settings]",  "[[variants]]", "[[budgets]]", "[[sources]]",  "[[targets]]",
                              "name = ",     "method = ",    "methods = ",  "seeds = ",     "metrics = ",
                              "data = ",     "path = ",      "sources = ",  "exclude = ",   "size = ",
                              "channels = ", "images = ",    "{target}",    "per_class = ", "fraction = ",
                              "file = ",     "oracle",       "weighted",    "scratch",      "transfer"}),
    .mutate = mutate_json};

}  // namespace akin::fuzz
