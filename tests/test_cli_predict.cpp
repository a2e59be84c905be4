// What the real program does with pictures of people: predict, label, and the size of eval and features.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <sstream>

#include "engine/io/safetensors.hpp"
#include "nn/evaluate.hpp"
#include "tests/predict_case.hpp"

namespace fs = std::filesystem;
using namespace akin;
using namespace akin::test;

TEST_CASE_FIXTURE(Trained, "cli: predict answers pictures, folders and lists as a table, CSV and JSON") {
  const std::string pictures = (folder / "data/unlabeled").string();
  const Finished csv = akin_(folder, {"predict", model, pictures, "--csv", "--top", "2"});
  CAPTURE(csv.err);
  REQUIRE_EQ(csv.code, 0);
  const auto rows = rows_of(csv.out);
  REQUIRE_EQ(rows.size(), 25);
  CHECK(rows[0] == Arguments{"file", "class", "probability", "class_2", "probability_2"});
  int good = 0;
  for (std::size_t i = 1; i < rows.size(); ++i) {
    good += right(rows[i][0], rows[i][1]);
    CHECK_GE(std::stod(rows[i][2]), std::stod(rows[i][4]));
    CHECK_NE(rows[i][1], rows[i][3]);
  }
  CHECK_GE(good, 22);
  CHECK(has(csv.err, "24 pictures: "));
  // One by one and as a list, in another folder's words, they get the same answers in the same order.
  std::string list;
  Arguments named{"predict", model};
  for (std::size_t i = rows.size() - 1; i > 0; --i) {
    list += fs::path(rows[i][0]).filename().string() + "\r\n";
    named.push_back(rows[i][0]);
  }
  write_file_atomic(folder / "data/unlabeled/mine.txt", std::string_view(list));
  const auto of_list = rows_of(akin_(folder, {"predict", model, pictures + "/mine.txt", "--csv", "--top", "2"}).out);
  const auto of_names = rows_of(akin_(folder, with(named, {"--csv", "--top", "2"})).out);
  REQUIRE_EQ(of_list.size(), rows.size());
  REQUIRE_EQ(of_names.size(), rows.size());
  for (std::size_t i = 1; i < rows.size(); ++i) {
    const auto& one = rows[rows.size() - i];
    CHECK(of_list[i] == one);
    CHECK(of_names[i] == one);
  }
  const std::string command = fmt::format("ls {}/*.png | '{}' predict '{}' - --jsonl --quiet > '{}'", pictures,
                                          AKIN_BINARY_DIR "/bin/akin", model, (folder / "answers").string());
  REQUIRE_EQ(std::system(command.c_str()), 0);
  std::istringstream lines(read_text(folder / "answers"));
  std::size_t n = 0;
  for (std::string line; std::getline(lines, line); ++n) {
    const auto j = nlohmann::json::parse(line);
    CHECK_GT(j["probability"], 1.0 / 3);
    CHECK_FALSE(j.contains("top"));
  }
  CHECK_EQ(n, 12);
  const auto whole = json_of(akin_(folder, {"predict", model, pictures, "--json", "--top", "3"}));
  CHECK_EQ(whole["pictures"], 24);
  CHECK_EQ(whole["predictions"].size(), 24);
  CHECK_EQ(whole["predictions"][0]["top"].size(), 3);
  CHECK_EQ(whole["failed"].size(), 0);
  const Finished text = akin_(folder, {"predict", model, pictures});
  CHECK(has(text.out, "  probability  class\n"));
  CHECK_EQ(std::count(text.out.begin(), text.out.end(), '\n'), 25);
  // To a file, whose ending says how; not over one that is there.
  const std::string out = (folder / "o.jsonl").string();
  CHECK(has(akin_(folder, {"predict", model, pictures, "--out", out}).out, out + ": 24 pictures: "));
  CHECK_EQ(nlohmann::json::parse(read_text(out).substr(0, read_text(out).find('\n')))["class"], rows[1][1]);
  check_fails(folder, {"predict", model, pictures, "--out", out}, 1, "--force");
  check_fails(folder, {"predict", model}, 2, "akin predict MODEL PICTURES");
  check_fails(folder, {"predict", model, pictures, "--least", "0.5"}, 2, "--least");
}

TEST_CASE_FIXTURE(Trained, "cli: pictures that cannot be read keep no other from its answer") {
  const fs::path some = folder / "some";
  write_pictures(some, 2, 5, false);
  write_file_atomic(some / "cut.jpg", ByteView(encode(picture(20, 20, 1, 1), "jpg")).subspan(0, 200));
  write_file_atomic(some / "page.png", std::string_view("<html>no picture</html>"));
  write_file_atomic(some / "old.webp", std::string_view("RIFF....WEBPVP8 "));
  write_file_atomic(some / "notes.doc", std::string_view("x"));
  const Finished f = akin_(folder, {"predict", model, some.string(), (folder / "nowhere.png").string(), "--csv"});
  CAPTURE(f.err);
  CHECK_EQ(f.code, 1);
  CHECK_EQ(rows_of(f.out).size(), 7);
  for (const char* bad : {"cut.jpg", "page.png", "old.webp", "nowhere.png"}) CHECK(has(f.err, bad));
  CHECK(has(f.err, "4 files could not be used (above, a line each); the other 6 pictures are answered"));
  CHECK(has(f.err, "files that are no pictures passed over: 1"));
  check_fails(folder, {"predict", model, (folder / "nowhere.png").string()}, 1, "nowhere.png");
  write_file_atomic(folder / "empty.txt", std::string_view("\n"));
  check_fails(folder, {"predict", model, (folder / "empty.txt").string()}, 1, "names no file");
}

TEST_CASE_FIXTURE(Trained, "cli: a contact sheet shows every class's pictures with their names") {
  const std::string sheet = (folder / "sheet.png").string();
  const Finished f =
      akin_(folder, {"predict", model, data + "/unlabeled", "--contact-sheet", sheet, "--columns", "5", "--quiet"});
  CAPTURE(f.err);
  REQUIRE_EQ(f.code, 0);
  const Array image = read_image(sheet);
  CHECK_EQ(image.shape()[1], 10 + 5 * 138);
  CHECK_GT(image.shape()[0], 3 * (34 + 2 * 178));
  // Letters are black on white, pictures are neither.
  std::size_t black = 0, white = 0;
  for (const std::uint8_t v : image.as<std::uint8_t>()) black += v == 0, white += v == 255;
  CHECK_GT(black, 3000);
  CHECK_GT(white, image.byte_size() / 3);
  check_fails(folder, {"predict", model, data, "--contact-sheet", "sheet.jpg"}, 1, "a sheet is a .png");
}

TEST_CASE_FIXTURE(Trained, "cli: label writes what --labels takes back") {
  const std::string labels = (folder / "labels.csv").string();
  const auto j = json_of(akin_(folder, {"label", model, data, "--out", labels, "--least", "0.6", "--json"}));
  CHECK_EQ(j["given"], 120);
  CHECK_EQ(j["unlabelled"], 24);
  auto rows = rows_of(read_text(labels));
  REQUIRE_EQ(rows.size(), 145);
  CHECK(rows[0] == Arguments{"file", "label", "probability", "keep"});
  std::int64_t kept = 0;
  for (std::size_t i = 1; i < rows.size(); ++i) {
    if (i <= 120) CHECK(right(rows[i][0], rows[i][1]));
    if (i <= 120) CHECK_EQ(rows[i][3], "yes");
    if (i > 120) CHECK_EQ(rows[i][3] == "yes", std::stod(rows[i][2]) >= 0.6);
    kept += i > 120 && rows[i][3] == "yes";
  }
  CHECK_EQ(j["kept"], kept);
  REQUIRE_GE(kept, 12);
  // Mended by hand: one label less, one put right, as a spreadsheet saves it.
  std::string mended;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (i == 1) rows[i][3] = "FALSE";
    if (i == 121) rows[i] = {rows[i][0], "high", "1", "TRUE"};
    mended += fmt::format("{}\r\n", fmt::join(rows[i], ";"));
  }
  write_file_atomic(folder / "mended.csv", std::string_view(mended));
  const bool was_kept = rows_of(read_text(labels))[121][3] == "yes";
  for (const auto& [file, count] :
       {std::pair{labels, 120 + kept}, {(folder / "mended.csv").string(), 119 + kept + !was_kept}}) {
    const std::string out = (folder / "student").string();
    const Finished f =
        akin_(folder, {"distill", "--target", data, "--size", "12x12", "--labels", file, "--methods", "scratch",
                       "--student-width", "4", "--steps", "3", "--batch", "8", "--force", "--out", out});
    CAPTURE(f.err);
    REQUIRE_EQ(f.code, 0);
    const auto split = nlohmann::json::parse(read_text(folder / "student/labels-seed0.json"));
    CHECK(has(read_text(folder / "student/report.json"),
              fmt::format("data: {} labels listed in {}", count, fs::path(file).filename().string())));
    std::size_t labelled = 0;
    for (const auto& [name, images] : split["labelled"].items()) labelled += images.size();
    CHECK_EQ(labelled, count);
    if (file != labels)
      CHECK_NE(std::find(split["labelled"]["high"].begin(), split["labelled"]["high"].end(), 120),
               split["labelled"]["high"].end());
  }
  // A plain folder of pictures gets labels, too.
  const auto plain =
      json_of(akin_(folder, {"label", model, data + "/unlabeled", "--out", (folder / "p.csv").string(), "--json"}));
  CHECK_EQ(plain["given"], 0);
  CHECK_EQ(plain["unlabelled"], 24);
  // So do those beside class folders; of these the part that akin holds out as the test split is no training picture.
  const std::filesystem::path flat = folder / "flat";
  std::filesystem::copy(data + "/train", flat, std::filesystem::copy_options::recursive);
  const std::size_t classified = names_in(flat).size();
  std::filesystem::copy(data + "/unlabeled", flat / "unlabelled", std::filesystem::copy_options::recursive);
  const auto beside =
      json_of(akin_(folder, {"label", model, flat.string(), "--out", (folder / "f.csv").string(), "--json"}));
  CHECK_EQ(beside["unlabelled"], 24);
  CHECK(beside["given"] > classified / 2);
  CHECK(beside["given"] < classified);
  const std::string flat_table = (folder / "flat.safetensors").string();
  CHECK_EQ(akin_(folder, {"features", "--model", model, "--data", flat.string(), "--out", flat_table}).code, 0);
  CHECK_EQ(read_safetensors(flat_table).at("logits").shape()[0], beside["given"].get<std::int64_t>() + 24);
  for (const auto& [text, expected] : std::vector<std::pair<std::string, std::string>>{
           {"file,label\nlow/low0.png,lwo\n",
            "line 2: label 'lwo' is not one of the data set's classes; did you mean 'low'?"},
           {"file,label\nnowhere.png,low\n", "line 2: nowhere.png"},
           {"file,label\nlow0.png,low\n", "2 images of " + data + " are called so: it may be train/low/low0.png or unlabeled/low0.png; give more of the path"},
           {"file,label,keep\nlow/low0.png,low,perhaps\n", "keep is 'perhaps'"},
           {"file,label\na/low0.png,low\na/low0.png,low\n", "is in line 2, too"},
           {"file,label\nlow0.png,\n", "line 2: has no label"},
           {"file,label,keep\nlow0.png,low,no\n", "lists no label that is to be kept"},
           {"picture,weight\nlow0.png,3\n", "expected the names of its columns"}}) {
    write_file_atomic(folder / "bad.csv", std::string_view(text));
    const Finished f =
        akin_(folder, {"distill", "--target", data, "--size", "12x12", "--labels", (folder / "bad.csv").string(),
                       "--methods", "scratch", "--out", (folder / "none").string()});
    CAPTURE(text);
    CAPTURE(f.err);
    CHECK_NE(f.code, 0);
    CHECK(has(f.err, expected));
  }
}

TEST_CASE_FIXTURE(Trained, "cli: eval and features see pictures of any size as predict does") {
  const auto said = json_of(akin_(folder, {"predict", model, data + "/test", "--json"}));
  std::int64_t wrong = 0;
  for (const auto& p : said["predictions"]) wrong += !right(p["file"], p["class"]);
  const Finished eval = akin_(folder, {"eval", "--model", model, "--data", data, "--json"});
  CAPTURE(eval.err);
  REQUIRE_EQ(eval.code, 0);
  CHECK_EQ(json_of(eval)["wrong"], wrong);
  CHECK(has(eval.err,
            "images of several sizes; " + model + " sees of each the largest centred part in the shape of 12x12"));
  // A folder without splits is as good for features as a data set; rows have names.
  const std::string table = (folder / "t.safetensors").string();
  const Finished features =
      akin_(folder, {"features", "--model", model, "--data", data + "/unlabeled", "--out", table});
  CAPTURE(features.err);
  REQUIRE_EQ(features.code, 0);
  const SafeTensors t = read_safetensors(table);
  CHECK_EQ(t.at("logits").shape()[0], 24);
  CHECK(t.find("names") != nullptr);
  CHECK(t.find("labels") == nullptr);
  const auto answers = json_of(akin_(folder, {"predict", model, data + "/unlabeled", "--json"}));
  const std::vector<int> best = argmax_rows(t.at("logits"));
  for (std::size_t i = 0; i < best.size(); ++i)
    CHECK_EQ(answers["predictions"][i]["class"],
             (Arguments{"high", "low", "middle"})[static_cast<std::size_t>(best[i])]);
  check_fails(folder,
              {"features", "--model", model, "--data", data + "/unlabeled", "--split", "test", "--out", table + "2"}, 1,
              "train/");
  // Packed at another size: brought to the model's, which is said, and with --size as asked.
  const std::string packed = (folder / "packed").string();
  REQUIRE_EQ(akin_(folder, {"data", "pack", data, "--size", "24x24", "--out", packed}).code, 0);
  const Finished other = akin_(folder, {"eval", "--model", model, "--data", packed});
  CHECK_EQ(other.code, 0);
  CHECK(has(other.err, "packed: images of 24x24; "));
  CHECK_FALSE(has(other.err, "warning"));
  const Finished asked = akin_(folder, {"eval", "--model", model, "--data", packed, "--size", "24x24"});
  CHECK(has(asked.err, "was trained on images of 12x12, those of packed are 24x24"));
}

TEST_CASE_FIXTURE(Trained, "cli: a probe answers with the networks whose features it reads") {
  write_pictures(folder / "other/train", 20, 11, true);
  write_pictures(folder / "other/test", 3, 12, true);
  REQUIRE_EQ(akin_(folder, with(train_arguments(folder / "other", folder / "two"), {"--size", "16x16"})).code, 0);
  const std::string two = (folder / "two/model.safetensors").string(), run = (folder / "probed").string();
  const Finished f =
      akin_(folder, {"distill", "--target", data, "--size", "12x12", "--labels-per-class", "10", "--sources", model,
                     two, "--methods", "probe-cv", "--replicates", "0", "--out", run});
  CAPTURE(f.err);
  REQUIRE_EQ(f.code, 0);
  const std::string probe = run + "/student.safetensors";
  const Arguments ask{"predict", probe, data + "/unlabeled", "--json"};
  check_fails(folder, ask, 1, "give ");
  // Which of the two it reads is its own choice: one, or both.
  const auto parts = nlohmann::json::parse(read_safetensors(probe).metadata.at("parts"));
  Arguments sources;
  for (const auto& part : parts) sources.push_back(part["source"] == "run" ? model : two);
  const Finished said = akin_(folder, with(with(ask, {"--sources"}), sources));
  CAPTURE(said.err);
  REQUIRE_EQ(said.code, 0);
  int good = 0;
  const auto answers = json_of(said);
  CHECK_EQ(answers["predictions"].size(), 24);
  for (const auto& p : answers["predictions"]) good += right(p["file"], p["class"]);
  CHECK_GE(good, 20);
  check_fails(folder, with(ask, {"--sources", two == sources[0] ? model : two}), 1, "is a probe, which has no network");
}
