// Every mistake in a name is told before any work: nothing here could be read or trained, and nothing tries.
#include <doctest/doctest.h>

#include "tests/cli_process.hpp"

namespace fs = std::filesystem;
using namespace akin;
using namespace akin::test;

namespace {

/// Whoever reads a picture or opens a model of these says so by its name.
struct Broken {
  TempFolder folder;
  std::string birds, bank, model;
  Broken() : birds((folder / "birds").string()), bank((folder / "bank").string()), model(bank + "/ibis.safetensors") {
    for (const char* split : {"train", "test"})
      for (const char* name : {"wren", "robin"}) {
        make_folder(folder / "birds" / split / name);
        write_file_atomic(folder / "birds" / split / name / "UNREAD.png", std::string_view("no picture"));
      }
    make_folder(bank);
    for (const char* name : {"ibis", "merlin"})
      write_file_atomic(folder / "bank" / (std::string(name) + ".safetensors"), std::string_view("UNREAD"));
    write_file_atomic(folder / "labels.csv", std::string_view("file,label\nUNREAD.png,wern\n"));
    write_file_atomic(folder / "labels.toml", std::string_view("[labelled]\nrobbin = [0]\nwren = [1]\n"));
    write_file_atomic(folder / "settings.toml", std::string_view("[distill]\nstpes = 5\n"));
  }
  std::string at(const char* name) const { return (folder / name).string(); }

  void check(const Arguments& arguments, const std::string& meant) const {
    const Finished f = akin_(folder, arguments);
    CAPTURE(join(arguments));
    CAPTURE(f.err);
    CHECK_NE(f.code, 0);
    CHECK_EQ(f.out, "");
    CHECK(has(f.err, meant));
    CHECK_FALSE(has(f.err, "UNREAD"));
    CHECK_FALSE(fs::exists(folder / "out"));
  }
};

std::string meant(const std::string& name) { return "did you mean '" + name + "'?"; }

}  // namespace

TEST_CASE_FIXTURE(Broken, "names: commands and options, of every command") {
  check({"rnak"}, meant("rank"));
  check({"data", "shwo", birds}, meant("show"));
  check({"demo", "brids"}, meant("birds"));
  check({"bank", "lits"}, meant("list"));
  for (const Arguments& command : {Arguments{"fit"},
                                   {"bank", "add"},
                                   {"bank", "list"},
                                   {"init"},
                                   {"completion"},
                                   {"manual"},
                                   {"data", "check"},
                                   {"data", "show"},
                                   {"data", "glyphs"},
                                   {"data", "pack"},
                                   {"data", "convert-sheets"},
                                   {"train"},
                                   {"import"},
                                   {"features"},
                                   {"rank"},
                                   {"distill"},
                                   {"experiment"},
                                   {"eval"},
                                   {"predict"},
                                   {"label"},
                                   {"export"},
                                   {"report"},
                                   {"info"},
                                   {"demo"},
                                   {"demo", "birds"}})
    check(with(command, {"--hepl"}), "there is no option '--hepl'; " + meant("--help"));
  check({"distill", "--config", at("settings.toml")}, "'stpes'; " + meant("steps"));
}

TEST_CASE_FIXTURE(Broken, "names: methods, metrics, networks and other words") {
  const Arguments distill{"distill", "--target", birds, "--sources", model, "--out", at("out")};
  const Arguments rank{"rank", "--target", birds, "--sources", model};
  const Arguments train{"train", "--data", birds, "--out", at("out")};
  const Arguments fit{"fit", birds, "--sources", model, "--out", at("out")};
  const Arguments foreign{"--model", model, "--data", birds};
  struct Row {
    Arguments arguments;
    std::string meant;
  };
  for (const Row& row : std::vector<Row>{
           {with(distill, {"--methods", "scratch,weigthed"}), "weighted"},
           {with(distill, {"--metric", "pacr"}), "parc"},
           {with(rank, {"--metric", "leap"}), "leep"},
           {{"rank", "--tables", at("labels.csv"), "--metric", "logmee"}, "logme"},
           {with(distill, {"--mapping", "clip"}), "clip0"},
           {with(rank, {"--mapping", "minmxa"}), "minmax"},
           {with(distill, {"--student", "resnt8"}), "resnet8"},
           {with(fit, {"--student", "iibs"}), "ibis"},
           {with(train, {"--arch", "mobilnet_v2"}), "mobilenet_v2"},
           {{"import", model, "--arch", "resnet81", "--out", at("out")}, "resnet8"},
           {with({"eval"}, with(foreign, {"--arch", "googlnet"})), "googlenet"},
           {with({"features", "--out", at("out")}, with(foreign, {"--arch", "alexnt"})), "alexnet"},
           {{"predict", model, birds, "--arch", "gragh"}, "graph"},
           {with(distill, {"--transfer", "ibsi", "--methods", "transfer"}), "ibis"},
           {with(train, {"--schedule", "cosin"}), "cosine"},
           {with(distill, {"--optimizer", "adam"}), "adamw"},
           {with(distill, {"--teacher-view", "claen"}), "clean"},
           {with(rank, {"--device", "cpuu"}), "cpu"},
           {with(fit, {"--flip", "nnoe"}), "none"},
           {{"import", model, "--filter", "bicubci", "--out", at("out")}, "bicubic"},
           {with({"eval", "--split", "tset"}, foreign), "test"},
           {with({"features", "--split", "trian", "--out", at("out")}, foreign), "train"},
           {{"export", model, "--format", "onx", "--out", at("out")}, "onnx"},
           {{"data", "glyphs", "--set", "digtis", "--out", at("out")}, "digits"},
           {{"completion", "zhs"}, "zsh"},
           {{"init", birds, "--command", "distil", "--out", at("out")}, "distill"},
           {{"data", "pack", birds, "--without", "wern", "--out", at("out")}, "wren"},
           {with(distill, {"--labels", at("labels.csv")}), "wren"},
           {with(rank, {"--labels", at("labels.csv")}), "wren"},
           {with(distill, {"--labels", at("labels.toml")}), "robin"},
       })
    check(row.arguments, meant(row.meant));
}

TEST_CASE_FIXTURE(Broken, "names: files and folders that are not there") {
  const std::string near = meant(birds), no_model = bank + "/merln.safetensors", no_birds = at("brids");
  const std::string merlin = meant(bank + "/merlin.safetensors");
  for (const Arguments& a : {Arguments{"fit", no_birds, "--sources", model},

                             {"data", "show", no_birds},
                             {"data", "pack", no_birds, "--out", at("out")},
                             {"train", "--data", no_birds, "--out", at("out")},
                             {"distill", "--target", no_birds, "--methods", "scratch", "--out", at("out")}})
    check(a, near);
  for (const Arguments& a :
       {Arguments{"fit", birds, "--sources", model, no_model, "--out", at("out")},
        {"distill", "--target", birds, "--sources", model, no_model, "--out", at("out")},
        {"distill", "--target", birds, "--methods", "scratch", "--init", no_model, "--out", at("out")},
        {"distill", "--target", birds, "--sources", model, "--reference", no_model, "--out", at("out")},
        {"rank", "--target", birds, "--sources", no_model},
        {"eval", "--model", no_model, "--data", birds},
        {"features", "--model", no_model, "--data", birds, "--out", at("out")},
        {"predict", no_model, birds},
        {"label", no_model, birds, "--out", at("out")},
        {"export", no_model},
        {"import", no_model, "--out", at("out.safetensors")},
        {"info", no_model},
        {"bank", "add", no_model, "--bank", bank}})
    check(a, merlin);
  check({"fit", birds, "--bank", at("bnak"), "--out", at("out")}, meant(bank));
  check({"distill", "--target", birds, "--sources", model, "--labels", at("lables.csv")}, meant(at("labels.csv")));
  check({"distill", "--config", at("setings.toml")}, meant(at("settings.toml")));
  check({"experiment", at("setings.toml")}, meant(at("settings.toml")));
  CHECK(has(akin_(folder, {"data", "check", no_birds}).out, near));
  // All that an experiment names and that is not there is told at once.
  write_file_atomic(folder / "grid.toml",
                    std::string_view("seeds = [0]\nmethods = [\"scratch\", \"equal\"]\n"
                                     "[[budgets]]\nname = \"two\"\nper_class = 2\n"
                                     "[[sources]]\nname = \"merlin\"\npath = \"bank/merln.safetensors\"\n"
                                     "[[targets]]\nname = \"birds\"\ndata = \"brids\"\n"));
  for (const char* also : {"--dry-run", "--quiet"}) {
    const Finished grid = akin_(folder, {"experiment", at("grid.toml"), "--out", at("out"), also});
    CAPTURE(grid.err);
    CHECK_EQ(grid.code, 1);
    CHECK(has(grid.err, fmt::format("names what is not there: {}, {}", no_birds, no_model)));
    CHECK_FALSE(fs::exists(folder / "out"));
  }
  // Two sources that are not there are told at once.
  const Finished f = akin_(folder, {"rank", "--target", birds, "--sources", no_model, bank + "/ibs.safetensors"});
  CHECK(has(f.err, merlin));
  CHECK(has(f.err, meant(model)));
}
