// Whose a folder is: no command writes over another one's run, over what it reads, or into a folder that somebody else
// works in.
#include <doctest/doctest.h>
#include <sys/resource.h>

#include <algorithm>
#include <fstream>
#include <map>

#include "engine/context.hpp"
#include "engine/io/folder_lock.hpp"
#include "nn/model_file.hpp"
#include "tests/cli_process.hpp"

using namespace akin;
using namespace akin::test;
namespace fs = std::filesystem;

namespace {

/// A data set and a source trained on it; the commands that need them.
struct Place {
  TempFolder folder;
  std::string data = (folder / "data").string(), model = (folder / "source.safetensors").string();

  Place() {
    write_bars(data, 1, false);
    const Finished f = akin_(folder, train("source"));
    REQUIRE_MESSAGE(f.code == 0, f.err);
    fs::copy_file(folder / "source/model.safetensors", model);
  }
  std::string at(const std::string& name) const { return (folder / name).string(); }
  Arguments train(const std::string& out, const Arguments& more = {}, const std::string& epochs = "1") const {
    return with(
        {"train", "--data", data, "--width", "4", "--epochs", epochs, "--batch", "12", "--quiet", "--out", at(out)},
        more);
  }
  Arguments distill(const std::string& out, const Arguments& more = {}, const std::string& source = "",
                    const std::string& seeds = "0") const {
    return with({"distill",
                 "--target",
                 data,
                 "--labels-per-class",
                 "2",
                 "--methods",
                 "scratch,equal",
                 "--steps",
                 "3",
                 "--student-width",
                 "4",
                 "--batch",
                 "6",
                 "--unlabelled-batch",
                 "6",
                 "--replicates",
                 "0",
                 "--seeds",
                 seeds,
                 "--quiet",
                 "--out",
                 at(out),
                 "--sources",
                 source.empty() ? model : source},
                more);
  }
  Arguments experiment(const std::string& out, const Arguments& more = {}) const {
    std::ofstream(folder / "grid.toml") << fmt::format(
        "seeds = [0, 1]\nmethods = [\"scratch\", \"equal\"]\n[settings]\nstudent_width = 4\nsteps = 3\nbatch = 6\n"
        "unlabelled_batch = 6\n[[targets]]\nname = \"bars\"\ndata = \"data\"\n[[budgets]]\nname = \"two\"\nper_class = "
        "2\n"
        "[[sources]]\nname = \"a\"\npath = \"source.safetensors\"\n");
    return with({"experiment", at("grid.toml"), "--out", at(out), "--quiet"}, more);
  }
  void runs(const Arguments& arguments) const {
    const Finished f = akin_(folder, arguments);
    CAPTURE(join(arguments));
    CHECK_MESSAGE(f.code == 0, f.err);
  }
  void fails(const Arguments& arguments, const std::string& what, int code = 1) const {
    check_fails(folder, arguments, code, what);
  }
};

std::string bytes_in(const fs::path& folder) {
  std::string all;
  for (const std::string& name : names_in(folder)) all += name + "\n" + read_text(folder / name);
  return all;
}

}  // namespace

TEST_CASE("a run folder holds the runs of one command; another one is told whose it is") {
  const Place p;
  p.runs(p.train("train"));
  p.runs(p.distill("distill"));
  p.runs(p.experiment("experiment"));
  const std::string model = read_text(p.at("train/model.safetensors"));
  fs::copy(p.at("distill"), p.at("birds"), fs::copy_options::recursive);
  write_file_atomic(p.at("birds/config.toml"), std::string_view("# akin\n[birds]\nseeds=0\n"));
  const auto holds = [](const std::string& command) { return "holds a finished `akin " + command + "`"; };
  const std::vector<std::string> names{"train", "distill", "experiment", "birds"};
  std::map<std::string, std::string> before;
  for (const std::string& name : names) before[name] = bytes_in(p.at(name));
  p.fails(p.train("distill"), holds("distill"));
  p.fails(p.train("experiment"), holds("experiment"));
  p.fails(p.distill("train"), holds("train"));
  p.fails(p.distill("train", {"--resume"}), "--resume goes on with `akin distill` alone");
  p.fails(p.distill("experiment"), holds("experiment"));
  p.fails(p.distill("birds"), holds("demo birds"));
  p.fails(p.experiment("train"), holds("train"));
  p.fails(p.experiment("distill"), holds("distill"));
  p.fails({"demo", "--out", p.at("distill"), "--seeds", "0"}, holds("distill"));
  p.fails({"demo", "--out", p.at("birds"), "--seeds", "0"}, holds("demo birds"));
  for (const std::string& name : names) CHECK_EQ(bytes_in(p.at(name)), before[name]);

  p.runs(p.experiment("experiment"));  // goes on in its own
  p.runs(p.distill("train", {"--force"}));
  CHECK_FALSE(fs::exists(p.at("train/model.safetensors")));
  CHECK(fs::exists(p.at("train/student.safetensors")));
  p.runs(p.train("train", {"--force"}));
  CHECK_EQ(names_in(p.at("train")), std::vector<std::string>{"config.toml", "log.jsonl", "model.safetensors"});
  CHECK_EQ(read_text(p.at("train/model.safetensors")), model);
}

TEST_CASE("a run does not write over what it reads") {
  const Place p;
  p.runs(p.distill("own"));
  const std::string before = bytes_in(p.at("own")), student = p.at("own/student.safetensors");
  for (const char* mode : {"--force", "--resume"}) {
    p.fails(p.distill("own", {mode}, student), "would write over it");
    p.fails(p.distill("own", {mode}, p.at("own/students/scratch-seed0.safetensors")), "would write over it");
    p.fails(p.distill("own", {mode, "--init", student}), "would write over it");
    p.fails(p.distill("own", {mode, "--metric", "rsa", "--reference", student}), "would write over it");
    Arguments listed = p.distill("own", {mode, "--labels", p.at("own/labels-seed0.json")});
    const auto drawn = std::find(listed.begin(), listed.end(), "--labels-per-class");
    listed.erase(drawn, drawn + 2);
    p.fails(listed, "would write over it");
  }
  fs::create_symlink(student, p.at("link.safetensors"));
  p.fails(p.distill("own", {"--force"}, p.at("link.safetensors")), "would write over it");
  std::string grid = p.experiment("x")[1];
  std::string text = read_text(grid);
  text.replace(text.find("source.safetensors"), 18, "x/students/a.safetensors");
  fs::create_directories(p.at("x/students"));
  fs::copy_file(p.model, p.at("x/students/a.safetensors"));
  write_file_atomic(grid, std::string_view(text));
  p.fails({"experiment", grid, "--out", p.at("x"), "--keep-students"}, "would write over it");
  CHECK_EQ(bytes_in(p.at("own")), before);
  fs::create_directories(p.at("bank"));  // beside the run's own files there is room for a source
  fs::copy_file(p.model, p.at("bank/a.safetensors"));
  p.runs(p.distill("bank", {}, p.at("bank/a.safetensors")));
}

TEST_CASE("begun anew with --force: nothing of the earlier run is left to pass for this one's") {
  const Place p;
  p.runs(p.distill("run", {}, "", "0,1"));
  const std::string before = bytes_in(p.at("run"));
  // What cannot start leaves the earlier run alone.
  p.fails(p.distill("run", {"--force", "--warmup", "9"}), "warm", 2);
  CHECK_EQ(akin_(p.folder, {"report", p.at("run"), "--quiet"}).code, 0);
  const Finished stopped = akin_(p.folder, p.distill("run", {"--force", "--lr", "0.05", "--stop-after", "2"}));
  CHECK_EQ(stopped.code, 1);
  for (const char* gone : {"results.csv", "report.json", "report.html", "student.safetensors", "labels-seed1.json",
                           "students/scratch-seed1.safetensors", "students/scratch-seed0.safetensors"})
    CHECK_MESSAGE(!fs::exists(p.folder / "run" / gone), gone);
  p.fails({"report", p.at("run")}, "not finished");
  p.runs(p.distill("run", {"--resume", "--lr", "0.05"}));
  p.runs({"report", p.at("run"), "--quiet"});
  // Likewise where a finished run gets more to do.
  CHECK_EQ(akin_(p.folder, p.distill("run", {"--resume", "--lr", "0.05", "--stop-after", "2"}, "", "0,2")).code, 1);
  p.fails({"report", p.at("run")}, "not finished");
  // A report of another run.
  p.runs(p.distill("other", {"--title", "other"}));
  p.runs(p.distill("run", {"--resume", "--lr", "0.05"}, "", "0,2"));
  fs::copy_file(p.at("other/report.json"), p.at("run/report.json"), fs::copy_options::overwrite_existing);
  p.fails({"report", p.at("run")}, "is not of this run");

  p.runs(p.train("t"));
  const std::string finished = bytes_in(p.at("t"));
  for (const Arguments& both : {p.train("t", {"--force", "--resume"}), p.distill("run", {"--resume", "--force"})})
    p.fails(both, "--resume and --force: one goes on, the other starts anew", 2);
  CHECK_EQ(bytes_in(p.at("t")), finished);
  p.fails(p.train("t", {"--force", "--warmup", "1000"}), "warm", 2);
  CHECK(fs::exists(p.at("t/model.safetensors")));
  CHECK_EQ(akin_(p.folder, p.train("t", {"--force", "--seed", "7", "--stop-after", "2"})).code, 1);
  CHECK_EQ(names_in(p.at("t")), std::vector<std::string>{"checkpoint.safetensors", "config.toml"});
}

TEST_CASE("a folder in which another akin works is refused by every command that writes into it") {
  const Place p;
  const std::string out = p.at("out");
  p.runs(p.distill("run"));
  {
    const FolderLock other(out);
    const FolderLock report(p.at("run"));
    const std::vector<Arguments> all{p.train("out"),
                                     p.distill("out"),
                                     p.experiment("out"),
                                     {"demo", "--out", out, "--seeds", "0"},
                                     {"features", "--model", p.model, "--data", p.data, "--out", out},
                                     {"data", "pack", p.data, "--out", out},
                                     {"data", "glyphs", "--count", "20", "--test-count", "20", "--out", out},
                                     {"data", "convert-sheets", "--from", p.data, "--out", out},
                                     {"export", p.model, "--out", out},
                                     {"report", p.at("run")}};
    for (const Arguments& arguments : all)
      p.fails(arguments, fmt::format("another akin (process {}) is at work in this folder", ::getpid()));
    CHECK_EQ(names_in(out), std::vector<std::string>{".akin-lock"});
  }
  // Parts of a grid share a folder in turn.
  p.runs(p.experiment("parts", {"--only", "seed=0"}));
  p.runs(p.experiment("parts", {"--only", "seed=1"}));
  const std::string csv = read_text(p.at("parts/results.csv"));
  CHECK_EQ(std::count(csv.begin(), csv.end(), '\n'), 1 + 2 * 2);
}

TEST_CASE("a run whose folder is moved away or made anew writes nothing into what is there now") {
  const Place p;
  Process run(p.folder.path(), p.train("run", {"--checkpoint-every", "1"}, "100000"));
  REQUIRE(appears(p.at("run/checkpoint.safetensors")));
  fs::rename(p.at("run"), p.at("old"));
  fs::create_directory(p.at("run"));
  write_file_atomic(p.at("run/.akin-lock"), std::string_view("1"));
  const Finished f = run.wait();
  CHECK_EQ(f.code, 1);
  CHECK_MESSAGE(has(f.err, p.at("run") + ": was moved, removed or made anew"), f.err);
  CHECK_EQ(names_in(p.at("run")), std::vector<std::string>{".akin-lock"});
  CHECK(fs::exists(p.at("old/checkpoint.safetensors")));
  CHECK_FALSE(fs::exists(p.at("old/.akin-lock")));
}

TEST_CASE("files are written over with --force alone, and never what the command reads") {
  const Place p;
  const std::string before = read_text(p.model), table = p.at("t.safetensors"), folder = p.at("table");
  const Arguments features{"features", "--model", p.model, "--data", p.data, "--quiet", "--out"};
  for (const Arguments& force : {Arguments{}, Arguments{"--force"}})
    p.fails(with(with(features, {p.model}), force), "is read by this command");
  p.runs(with(features, {table}));
  p.fails(with(features, {table}), "exists; --force replaces it");
  p.runs(with(features, {table, "--force"}));
  p.runs(with(features, {folder}));
  p.fails(with(features, {folder}), "features.npy: exists; --force replaces it");
  p.runs(with(features, {folder, "--force"}));
  const std::string picture = p.at("p.png"), values = p.at("v.csv");
  std::ofstream(picture) << "mine";
  p.fails({"data", "show", p.data, "--png", picture}, "exists; --force replaces it");
  p.fails({"data", "show", p.data, "--png", p.model}, "exists; --force replaces it");
  CHECK_EQ(read_text(picture), "mine");
  p.runs({"data", "show", p.data, "--png", picture, "--force"});
  const Arguments rank{"rank", "--target", p.data, "--sources", p.model, "--quiet", "--out"};
  p.fails(with(rank, {p.model, "--force"}), "is read by this command");
  p.runs(with(rank, {values}));
  p.fails(with(rank, {values}), "exists; --force replaces it");
  p.runs(with(rank, {values, "--force"}));
  p.fails({"import", p.model, "--out", p.model, "--force"}, "is read by this command");
  CHECK_EQ(read_text(p.model), before);
}

TEST_CASE("a data set is written whole, or is refused by name and written by the next command") {
  const Place p;
  const std::string out = p.at("packed");
  const Arguments pack{"data", "pack", p.data, "--out", out};
  p.runs(pack);
  const std::string whole = bytes_in(out);
  fs::remove_all(out);
  // A disk that is full on the way: nothing is left.
  rlimit limit{};
  REQUIRE_EQ(::getrlimit(RLIMIT_FSIZE, &limit), 0);
  const rlimit small{10'000, limit.rlim_max};
  REQUIRE_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  p.fails(pack, "cannot be written");
  REQUIRE_EQ(::setrlimit(RLIMIT_FSIZE, &limit), 0);
  CHECK_FALSE(fs::exists(out));
  // Killed on the way.
  fs::create_directory(out);
  for (const char* name : {"classes.txt", "t10k-labels-idx1-ubyte", "t10k-images-idx3-ubyte"})
    fs::copy_file(p.folder / "data" / name, p.folder / "packed" / name);
  fs::copy_file(p.folder / "data/t10k-images-idx3-ubyte", p.folder / "packed/unlabeled-images-idx3-ubyte");
  std::ofstream(p.at("packed/.akin-unfinished")) << "x";
  for (const Arguments& reader : {Arguments{"data", "show", out}, {"eval", "--model", p.model, "--data", out}})
    p.fails(reader, out + ": its data set is not finished");
  p.runs(pack);
  CHECK_EQ(bytes_in(out), whole);
  p.fails(pack, "holds a data set already");
}

TEST_CASE("a run folder among the classes of its data set is refused before it is made") {
  const Place p;
  for (const char* name : {"train/low", "train/high", "test/low", "test/high"}) {
    fs::create_directories(p.folder / "set" / name);
    for (int i = 0; i < 4; ++i) {
      const std::string picture = p.at("set/" + std::string(name) + fmt::format("/{}.png", i));
      REQUIRE_EQ(akin_(p.folder, {"data", "show", p.data, "--png", picture, "--columns", "3"}).code, 0);
    }
  }
  const std::string set = p.at("set");
  const auto before = names_in(set);
  for (const std::string& out : {set + "/train/run", set + "/train", set + "/test/low/run"})
    for (const Arguments& command :
         {Arguments{"train", "--data", set, "--out", out},
          {"distill", "--target", set, "--labels-per-class", "1", "--methods", "scratch", "--out", out},
          {"features", "--model", p.model, "--data", set, "--out", out},
          {"data", "pack", set, "--out", out}})
      p.fails(command, "are classes of the data set that is read", 2);
  p.fails({"data", "show", set, "--png", set + "/train/p.png"}, "are classes of the data set that is read", 2);
  CHECK_EQ(names_in(set), before);
  CHECK_FALSE(fs::exists(set + "/train/run"));
}

TEST_CASE("runs without --out in the same second have a folder each; a link that leads nowhere is called so") {
  const Place p;
  const std::string akin = AKIN_BINARY_DIR "/bin/akin", where = p.folder.path().string();
  const std::string train = akin + " train --data data --width 4 --epochs 1 --batch 12 --quiet >/dev/null 2>&1 & ";
  const std::string four = "cd '" + where + "'; " + train + train + train + train +
                           "wait; ls runs | wc -l > count; ls runs/*/model.safetensors | wc -l >> count";
  REQUIRE_EQ(std::system(four.c_str()), 0);
  CHECK_EQ(read_text(p.at("count")), "4\n4\n");
  // The same without luck: the folder of this second is there.
  {
    const FolderLock one = FolderLock::of_new_folder(p.at("made/run")),
                     two = FolderLock::of_new_folder(p.at("made/run"));
    CHECK_EQ(two.folder(), fs::path(p.at("made/run-2")));
  }
  CHECK_FALSE(fs::exists(p.at("made")));
  fs::create_symlink("nowhere", p.at("link"));
  p.fails(p.train("link"), p.at("link") + ": is a link to nowhere, which is not there");
  p.fails(p.train("link/below"), p.at("link") + ": is a link to nowhere, which is not there");
}

TEST_CASE("a finished training run is gone on with where it is that run alone") {
  const Place p;
  p.runs(p.train("run", {"--resume"}));
  const std::string model = read_text(p.at("run/model.safetensors"));
  p.runs(p.train("run", {"--resume"}));
  // Other test images.
  const ImageSet first = bars(20, 2, false), other = bars(20, 3, false);
  save_images(other, Split::test, p.data);
  p.fails(p.train("run", {"--resume"}), "test");
  save_images(first, Split::test, p.data);
  p.runs(p.train("run", {"--resume"}));
  CHECK_EQ(read_text(p.at("run/model.safetensors")), model);
  // A model that nobody knows the settings of.
  Context ctx;
  Model untold = load_model(ctx, p.model);
  untold.info.settings.clear();
  save_model(p.at("run/model.safetensors"), *untold.network, untold.info);
  const std::string foreign = read_text(p.at("run/model.safetensors"));
  p.fails(p.train("run", {"--resume"}), "another program or an earlier akin made it");
  CHECK_EQ(read_text(p.at("run/model.safetensors")), foreign);
}
