// The real program from a folder and a bank to a delivered model, and what it says to who mistypes.
#include <doctest/doctest.h>

#include "tests/cli_process.hpp"

namespace fs = std::filesystem;
using namespace akin;
using namespace akin::test;

TEST_CASE("cli: fit says what it found, trains, and hands over what validation chose; --resume adds nothing to it") {
  const TempFolder folder;
  make_bank(folder);
  const std::string bank = (folder / "bank").string();
  for (const char* name : {"a", "b"}) {
    const Finished added =
        akin_(folder, {"bank", "add", (folder / (std::string(name) + ".safetensors")).string(), "--bank", bank});
    CHECK_EQ(added.code, 0);
    CHECK_EQ(added.out, bank + "/" + name + ".safetensors\n");
  }
  check_fails(folder, {"bank", "add", (folder / "a.safetensors").string(), "--bank", bank}, 1, "is there already");
  const auto listed = json_of(akin_(folder, {"bank", "list", "--bank", bank, "--json"}));
  REQUIRE_EQ(listed["models"].size(), 2u);
  CHECK_EQ(listed["models"][1]["name"], "b");

  const Arguments fit{
      "fit", (folder / "target").string(), "--bank", bank, "--size", "12x12", "--steps", "6", "--threads", "1"};
  const Finished plan = akin_(folder, with(fit, {"--dry-run"}));
  CAPTURE(plan.out);
  CHECK_EQ(plan.code, 0);
  for (const char* said :
       {"120 labelled pictures of 3 classes (40 each), 0 without labels, 60 to test on",
        "96 are learnt from, 24 choose the model", "12x12 pixels, grey; it starts from ",
        "Scratch, LinearProbe, ProbeCV, ProbeTaught from 2 sources; 6 steps a student", " of memory, "})
    CHECK_MESSAGE(has(plan.out, said), std::string(said));
  CHECK_FALSE(fs::exists(folder / "runs"));

  const Arguments whole = with(fit, {"--out", (folder / "run").string()});
  const Finished done = akin_(folder, whole);
  CAPTURE(done.err);
  CAPTURE(done.out);
  REQUIRE_EQ(done.code, 0);
  CHECK(has(done.out, "\nTake "));
  CHECK(has(done.out, " of 60 test pictures right (95 % interval "));
  CHECK(has(done.out, "chosen by 24 validation pictures"));
  CHECK(has(read_text(folder / "run/report.html"), "What they cost to run"));
  const Bytes student = read_file(folder / "run/student.safetensors");
  bool kept = false;
  for (const char* method : {"scratch", "probe", "probe-taught"})
    kept |= read_file(folder / fmt::format("run/students/{}-seed0.safetensors", method)) == student;
  CHECK(kept);
  CHECK_EQ(akin_(folder, {"eval", "--model", (folder / "run/student.safetensors").string(), "--data",
                          (folder / "target").string()})
               .code,
           0);

  check_fails(folder, whole, 1, "is there from an earlier run; --resume goes on with it");
  const Finished again = akin_(folder, with(whole, {"--resume"}));
  CAPTURE(again.err);
  CHECK_EQ(again.code, 0);
  CHECK_EQ(again.out, done.out);
  CHECK(read_file(folder / "run/student.safetensors") == student);

  // A file of settings that akin wrote, as it is and with one of its comments made a setting.
  const fs::path file = folder / "fit.toml";
  CHECK_EQ(akin_(folder, {"init", (folder / "target").string(), "--out", file.string()}).code, 0);
  std::string text = read_text(file);
  CHECK(has(text, "[fit]\ndata = "));
  for (const auto& [comment, setting] : {std::pair{"# steps = 0", "steps = 6"},
                                         {"# size = \"\"", "size = \"12x12\""},
                                         {"# bank = \"\"", "bank = \"BANK\""}}) {
    const std::size_t at = text.find(comment);
    REQUIRE(at != std::string::npos);
    text.replace(at, std::string(comment).size(), setting);
  }
  text.replace(text.find("BANK"), 4, bank);
  write_file_atomic(file, std::string_view(text));
  const Finished by_file = akin_(folder, {"fit", "--config", file.string(), "--threads", "1", "--dry-run"});
  CAPTURE(by_file.err);
  CHECK_EQ(by_file.code, 0);
  CHECK_EQ(by_file.out.substr(0, by_file.out.find("about")), plan.out.substr(0, plan.out.find("about")));
  check_fails(folder, {"init", (folder / "target").string(), "--out", file.string()}, 1, "exists; --force replaces it");
  const Finished again_by_run = akin_(folder, {"fit", "--config", (folder / "run/config.toml").string(), "--resume",
                                               "--out", (folder / "run").string()});
  CAPTURE(again_by_run.err);
  CHECK_EQ(again_by_run.code, 0);

  // A bank's bad files are all told, and its good ones are listed.
  write_file_atomic(folder / "bank/broken.safetensors", std::string_view("no model"));
  write_file_atomic(folder / "bank/cut.safetensors", std::string_view("xy"));
  const Finished list = akin_(folder, {"bank", "list", "--bank", bank});
  CHECK_EQ(list.code, 1);
  CHECK(has(list.out, "\na  "));
  for (const Finished& f : {list, akin_(folder, with(fit, {"--dry-run"}))}) {
    CAPTURE(f.err);
    CHECK_EQ(f.code, 1);
    CHECK(has(f.err, "broken.safetensors"));
    CHECK(has(f.err, "cut.safetensors"));
  }
  for (const char* name : {"broken", "cut"}) fs::remove(folder / (std::string("bank/") + name + ".safetensors"));
  write_file_atomic(folder / "no.safetensors", std::string_view("no model"));
  const std::string other = (folder / "other").string();
  const Finished partly = akin_(
      folder,
      {"bank", "add", (folder / "no.safetensors").string(), (folder / "a.safetensors").string(), "--bank", other});
  CHECK_EQ(partly.code, 1);
  CHECK_EQ(partly.out, other + "/a.safetensors\n");
  CHECK(has(partly.err, "no.safetensors"));
  CHECK(fs::exists(folder / "other/a.safetensors"));
  fs::remove_all(folder / "other");
  fs::remove(folder / "no.safetensors");
  check_fails(folder, {"bank", "add", (folder / "a.safetensors").string(), "--bank", bank, "--as", "../evil"}, 1,
              "has no /");

  check_fails(folder, with(fit, {"--student", "aa"}), 2, "no source and no file; did you mean 'a'?");
  check_fails(folder, {"fit", (folder / "target").string(), "--bank", (folder / "nowhere").string()}, 1,
              "is no folder");
}

TEST_CASE("cli: a mistyped command or option is named, with the nearest there is") {
  const TempFolder folder;
  check_fails(folder, {"distil"}, 2, "there is no command 'distil'; did you mean 'distill'?");
  check_fails(folder, {"distill", "--target", "x", "--source", "b.safetensors"}, 2,
              "there is no option '--source'; did you mean '--sources'?");
  check_fails(folder, {"rank", "--target", "x", "--label-per-class=3"}, 2, "did you mean '--labels-per-class'?");
  check_fails(folder, {"info", "a", "b"}, 2, "not expected");
  check_fails(folder, {"data", "chek", "x"}, 2, "there is no command 'data chek'; did you mean 'check'?");
  check_fails(folder, {"--versoin"}, 2, "there is no option '--versoin'; did you mean '--version'?");
}
