// What the real program does with pictures of people beyond answering: sorting and undoing, and what it writes over.
#include <doctest/doctest.h>

#include "engine/io/picture_readers.hpp"
#include "tests/predict_case.hpp"

namespace fs = std::filesystem;
using namespace akin;
using namespace akin::test;

TEST_CASE_FIXTURE(Trained, "cli: predict sorts pictures without replacing any, and moves them back") {
  const fs::path some = folder / "some", sorted = folder / "sorted";
  write_pictures(some, 3, 6, false);
  make_folder(some / "below");  // of the name of another picture, with other content
  write_file_atomic(some / "below/low0.png", encode(large(bars(1, 9, false), 0, 3, 1), "png"));
  const auto before = names_in(some);
  const Arguments copy{"predict", model, some.string(), "--copy", sorted.string(), "--json"};
  const auto first = json_of(akin_(folder, copy));
  CHECK_EQ(first["sorted"]["pictures"], 10);
  CHECK_EQ(first["sorted"]["renamed"], 1);
  CHECK(names_in(some) == before);
  CHECK_EQ(names_in(sorted).size(), 10);
  CHECK(fs::exists(sorted / "low/low0-2.png"));
  for (const auto& p : first["predictions"]) {
    const fs::path file = std::string(p["file"]);
    const fs::path there = sorted / std::string(p["class"]) / file.filename();
    CHECK(fs::exists(there));
  }
  // Again: all are there, and nothing is copied twice. An unlike file of the name stays as it is.
  CHECK_EQ(json_of(akin_(folder, copy))["sorted"]["pictures"], 0);
  CHECK_EQ(json_of(akin_(folder, copy))["sorted"]["there"], 10);
  write_file_atomic(sorted / "low/low0.png", std::string_view("somebody's"));
  CHECK_EQ(json_of(akin_(folder, copy))["sorted"]["pictures"], 1);
  CHECK_EQ(read_text(sorted / "low/low0.png"), "somebody's");
  const fs::path moved = folder / "moved";
  const auto third = json_of(akin_(folder, {"predict", model, some.string(), "--move", moved.string(), "--json"}));
  CHECK_EQ(third["sorted"]["pictures"], 10);
  CHECK(names_in(some).empty());
  const Finished back = akin_(folder, {"predict", "--undo", (moved / "moved.csv").string()});
  CHECK_EQ(back.code, 0);
  CHECK(has(back.out, "10 moved back"));
  CHECK(names_in(some) == before);
  CHECK(names_in(moved) == Arguments{"moved.csv"});
  CHECK(has(akin_(folder, {"predict", "--undo", (moved / "moved.csv").string()}).out, "0 moved back, 10 were"));
  // Those that are less sure than asked stay.
  const auto none =
      json_of(akin_(folder, {"predict", model, some.string(), "--move", moved.string(), "--least", "1", "--json"}));
  CHECK_EQ(std::int64_t(none["sorted"]["unsure"]) + std::int64_t(none["sorted"]["pictures"]), 10);
  CHECK_EQ(none["sorted"]["undo"] == "", none["sorted"]["pictures"] == 0);
}

TEST_CASE_FIXTURE(Trained, "cli: sorting that is stopped says how far it came, and the way back") {
  const fs::path some = folder / "some", sorted = folder / "sorted";
  write_pictures(some, 3, 6, false);
  fs::create_symlink("low0.png", some / "rel.png");
  const auto before = names_in(some);
  const Arguments move{"predict", model, some.string(), "--quiet", "--move", sorted.string()};
  const std::string list = (sorted / "moved.csv").string();
  const Finished f = akin_(folder, with(move, {"--stop-after", "4"}));
  CAPTURE(f.err);
  CHECK_EQ(f.code, 1);
  CHECK_EQ(f.err, fmt::format("akin: {}: stopped on request; 3 of 10 pictures moved; akin predict --undo {} moves them "
                              "back\n",
                              sorted.string(), list));
  CHECK_EQ(names_in(sorted).size(), 4);
  REQUIRE_EQ(akin_(folder, {"predict", "--undo", list}).code, 0);
  CHECK(names_in(some) == before);
  const fs::path copied = folder / "copied";
  const Finished none =
      akin_(folder, {"predict", model, some.string(), "--json", "--copy", copied.string(), "--stop-after", "1"});
  CHECK_EQ(none.code, 1);
  CHECK(has(none.err, copied.string() + ": stopped on request; 0 of 10 pictures copied\n"));
  CHECK_EQ(json_of(none)["sorted"]["pictures"], 0);
  CHECK(names_in(copied).empty());
  // A link to a place as seen from its own folder stays.
  const Finished all = akin_(folder, {"predict", model, some.string(), "--move", sorted.string()});
  CAPTURE(all.err);
  CHECK_EQ(all.code, 0);
  CHECK(has(all.err, "9 moved, 1 left where they are, links that lead"));
  CHECK(names_in(some) == Arguments{"rel.png"});
}

TEST_CASE_FIXTURE(Trained, "cli: predict and label write over nothing that they read, with --force neither") {
  const fs::path some = folder / "some";
  write_pictures(some, 1, 6, false);
  const std::string picture = (some / "low0.png").string(), list = (folder / "list.txt").string();
  write_file_atomic(list, std::string_view(picture + "\n"));
  write_file_atomic(some / "labels.csv", std::string_view("file,label\nlow0.png,low\n"));
  for (const Arguments& a : std::vector<Arguments>{{picture, "--contact-sheet", picture},
                                                   {some.string(), "--out", picture},
                                                   {list, "--contact-sheet", picture},
                                                   {list, "--out", list},
                                                   {picture, "--out", model}})
    check_fails(folder, with(with({"predict", model}, a), {"--force"}), 1, "is read by this command");
  const std::string both = (folder / "b.png").string();
  check_fails(folder, {"predict", model, picture, "--out", both, "--contact-sheet", both}, 2, "cannot be both");
  for (const char* out : {"labels.csv", "low0.png"})
    check_fails(folder, {"label", model, some.string(), "--out", (some / out).string(), "--force"}, 1,
                "is read by this command");
  CHECK_EQ(read_text(some / "labels.csv"), "file,label\nlow0.png,low\n");
  CHECK_EQ(read_text(list), picture + "\n");
  CHECK_EQ(read_image(picture).shape()[2], 1);
}

TEST_CASE_FIXTURE(Trained, "cli: CSV on stdout has the names of files byte by byte") {
  for (const char* name : {"latin\xE4.png", "control\x1B\xC2\x84.png"}) {
    const fs::path file = folder / name;
    fs::copy_file(fs::path(data) / "test/low/low0.png", file);
    const Finished csv = akin_(folder, {"predict", model, file.string(), "--csv"});
    REQUIRE_EQ(csv.code, 0);
    CHECK(has(csv.out, "\n" + file.string() + ",low,"));
    const Finished text = akin_(folder, {"predict", model, file.string()});  // for people
    CHECK_EQ(has(text.out, file.string()), has(name, "latin"));
  }
  write_file_atomic(folder / "notes.doc", std::string_view("x"));
  check_fails(folder, {"predict", model, (folder / "notes.doc").string()}, 1, "give pictures in " + list_of_kinds());
}
