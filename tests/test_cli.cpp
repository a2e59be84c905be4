// The real program on small data: every command from data to report, interruption and resumption.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "engine/io/safetensors.hpp"
#include "engine/io/seal.hpp"
#include "tests/cli_process.hpp"

namespace fs = std::filesystem;
using namespace akin;
using namespace akin::test;

TEST_CASE("cli: from data to a report") {
  const TempFolder folder;
  make_bank(folder);
  const std::string model = (folder / "a.safetensors").string(), target = (folder / "target").string();

  const Finished eval = akin_(folder, {"eval", "--model", model, "--data", target, "--json", "--quiet"});
  REQUIRE_EQ(eval.code, 0);
  CHECK_EQ(eval.err, "");
  const auto e = json_of(eval);
  REQUIRE(e.is_object());
  CHECK_EQ(e["images"], 60);
  CHECK(e["accuracy"].get<double>() > 0.9);  // the same task
  std::int64_t wrong = 60;
  for (std::size_t c = 0; c < 3; ++c) wrong -= e["confusion"][c][c].get<std::int64_t>();
  CHECK_EQ(e["wrong"], wrong);
  const Finished plain = akin_(folder, {"eval", "--model", model, "--data", target, "--confusion"});
  CHECK(has(plain.out, fmt::format("{} of 60 wrong", wrong)));
  CHECK(has(plain.out, "middle"));
  CHECK(has(plain.err, "device: "));

  // A table stands for its model: the same similarity.
  const std::string table = (folder / "a_table.safetensors").string();
  const Finished features = akin_(folder, {"features", "--model", model, "--data", target, "--out", table, "--quiet"});
  CAPTURE(features.err);
  REQUIRE_EQ(features.code, 0);
  const SafeTensors t = read_safetensors(table);
  CHECK(t.at("features").shape() == Shape{120, 16});
  CHECK(t.at("logits").shape() == Shape{120, 3});
  CHECK_EQ(t.at("labels").as<std::int32_t>()[4], 1);
  CHECK(seal_of(t) == Seal::sound);
  CHECK_EQ(akin_(folder, {"features", "--model", model, "--data", target, "--out", (folder / "npy").string()}).code, 0);
  // What an earlier table left there would be taken for a part of the new one.
  write_file_atomic(folder / "npy/names.npy", std::string_view("of another table"));
  check_fails(folder, {"features", "--model", model, "--data", target, "--out", (folder / "npy").string()}, 1,
              "npy/names.npy: is a file of another table");
  std::filesystem::remove(folder / "npy/names.npy");
  const Finished rank =
      akin_(folder, {"rank", "--target", target, "--labels", "5", "--sources", (folder / "b.safetensors").string(),
                     model, table, (folder / "npy").string(), "--metric", "parc,cka,leep", "--replicates", "20",
                     "--out", (folder / "similarity.csv").string(), "--json", "--quiet"});
  CAPTURE(rank.err);
  REQUIRE_EQ(rank.code, 0);
  const auto r = json_of(rank);
  REQUIRE_EQ(r["metrics"].size(), 3);
  for (const auto& metric : r["metrics"]) {
    std::map<std::string, double> value;
    for (const auto& s : metric["sources"]) value[s["source"].get<std::string>()] = s["value"].get<double>();
    CHECK_EQ(value.size(), 4);
    // The table's logits come from batches of another size: rounding moves them by some 1e-6. A pair of correlations
    // that swap ranks moves PARC of 105 pairs by about 1e-4.
    const double tolerance = metric["metric"] == "parc" ? 1e-3 : 1e-5;
    for (const char* table_name : {"a_table", "npy"}) {
      const double difference = std::abs(value["a"] - value[table_name]);
      CHECK_FALSE(!(difference <= tolerance));
    }
    CHECK(value["a"] > value["b"]);
    CHECK_EQ(metric["sources"][3]["source"], "b");
  }
  const std::string csv = read_text(folder / "similarity.csv");
  CHECK_EQ(std::count(csv.begin(), csv.end(), '\n'), 13);
  const Finished ranked = akin_(folder, {"rank", "--target", target, "--sources", model});
  CHECK(has(ranked.out, "95 % interval"));
  // No test image is looked at, so none needs to be there.
  fs::create_directory(folder / "untested");
  for (const auto& file : fs::directory_iterator(target))
    if (!file.path().filename().string().starts_with("t10k")) fs::copy(file, folder / "untested");
  CHECK_EQ(akin_(folder, {"rank", "--target", (folder / "untested").string(), "--sources", model}).out, ranked.out);
  check_fails(folder, {"distill", "--target", (folder / "untested").string(), "--sources", model}, 1, "test");
  fs::remove_all(folder / "untested");

  const Finished distill = akin_(folder, distill_arguments(folder, "run", {"--json"}));
  CAPTURE(distill.err);
  REQUIRE_EQ(distill.code, 0);
  const auto d = json_of(distill);
  REQUIRE_EQ(d["methods"].size(), 3);
  CHECK_EQ(d["methods"][2]["name"], "DistillWeighted");
  // What the report gives as its command can be run.
  const auto page_data = nlohmann::json::parse(read_text(folder / "run/report.json"));
  CHECK(has(page_data["command"].get<std::string>(), "akin distill --target " + target));
  for (const char* name : {"report.html", "report.json", "config.toml", "student.safetensors", "results.csv",
                           "similarity.csv", "weights.csv", "log.jsonl"})
    CHECK_MESSAGE(fs::exists(folder / "run" / name), name);
  const Finished student = akin_(folder, {"eval", "--model", (folder / "run/student.safetensors").string(), "--data",
                                          target, "--json", "--quiet"});
  CHECK_EQ(json_of(student)["accuracy"].get<double>(),
           doctest::Approx(d["methods"][2]["test_accuracy_mean"].get<double>()).epsilon(1e-12));

  const std::string page = read_text(folder / "run/report.html");
  fs::remove(folder / "run/report.html");
  const Finished report = akin_(folder, {"report", (folder / "run").string(), "--quiet"});
  CHECK_EQ(report.code, 0);
  CHECK(has(report.out, "DistillWeighted"));
  CHECK_EQ(read_text(folder / "run/report.html"), page);

  const auto info = json_of(akin_(folder, {"info", model, "--json"}));
  CHECK_EQ(info["kind"], "a model");
  CHECK(info["multiply_adds"].get<double>() > info["parameters"].get<double>());  // most weights are used many times
  const std::string shown = akin_(folder, {"info", model}).out;
  CHECK(has(shown, "million multiply-adds an image of"));
  CHECK(has(shown, "% of its test images right"));
  CHECK(has(akin_(folder, {"info", table}).out, "table of features"));
  CHECK(json_of(akin_(folder, {"info", table, "--json"}))["multiply_adds"].is_null());
  // A damaged one can be looked at all the same.
  std::string bytes = read_text(model);
  bytes.back() = static_cast<char>(bytes.back() ^ 1);
  write_file_atomic(folder / "damaged.safetensors", std::string_view(bytes));
  const Finished damaged = akin_(folder, {"info", (folder / "damaged.safetensors").string()});
  CHECK_EQ(damaged.code, 0);
  CHECK(has(damaged.out, "trained parameters"));
  CHECK(has(damaged.err, "as a model it cannot be used"));
  const auto program = json_of(akin_(folder, {"info", "--json", "--data", folder.path().string()}));
  CHECK_EQ(program["data"].size(), 3);

  // A run without sources can be had again from its settings, too.
  Arguments alone{
      "distill",         "--target", target,         "--methods", "scratch", "--steps", "5",
      "--student-width", "4",        "--unlabelled", "50",        "--quiet", "--out",   (folder / "alone").string()};
  const Finished scratch = akin_(folder, alone);
  CAPTURE(scratch.err);
  REQUIRE_EQ(scratch.code, 0);
  const Finished again = akin_(folder, {"distill", "--quiet", "--config", (folder / "alone/config.toml").string(),
                                        "--out", (folder / "again").string()});
  CAPTURE(again.err);
  REQUIRE_EQ(again.code, 0);
  CHECK(read_file(folder / "alone/student.safetensors") == read_file(folder / "again/student.safetensors"));

  // A finished run is not overwritten unawares.
  check_fails(folder, distill_arguments(folder, "run"), 1, "--force");
  check_fails(folder, train_arguments(folder / "data_a", folder / "run_a"), 1, "--resume");
}

TEST_CASE("cli: the same seed gives the same bits; so does a run that was stopped and resumed") {
  const TempFolder folder;
  make_bank(folder);
  const auto student = [&](const std::string& run) { return read_file(folder / run / "student.safetensors"); };
  REQUIRE_EQ(akin_(folder, distill_arguments(folder, "one")).code, 0);
  REQUIRE_EQ(akin_(folder, distill_arguments(folder, "two")).code, 0);
  CHECK(student("one") == student("two"));
  REQUIRE_EQ(akin_(folder, distill_arguments(folder, "other", {"--seeds", "1"})).code, 0);
  CHECK(student("one") != student("other"));  // the comparison can fail

  // In the middle of the second of three students, then of the third.
  for (const char* after : {"28", "24"}) {
    Arguments a = distill_arguments(folder, "stopped", {"--stop-after", after});
    if (fs::exists(folder / "stopped")) a.emplace_back("--resume");
    const Finished stopped = akin_(folder, a);
    CAPTURE(stopped.err);
    CHECK_EQ(stopped.code, 1);
    CHECK(has(stopped.err, "--resume"));
    CHECK_FALSE(fs::exists(folder / "stopped/student.safetensors"));
    CHECK_EQ(names_in(folder / "stopped/checkpoints").size(), 1);
  }
  REQUIRE_EQ(akin_(folder, distill_arguments(folder, "stopped", {"--resume"})).code, 0);
  CHECK(student("stopped") == student("one"));
  CHECK(names_in(folder / "stopped/checkpoints").empty());

  Arguments a = train_arguments(folder / "data_a", folder / "stopped_a");
  a.insert(a.end(), {"--stop-after", "30"});
  CHECK_EQ(akin_(folder, a).code, 1);
  CHECK_EQ(names_in(folder / "stopped_a"), std::vector<std::string>{"checkpoint.safetensors", "config.toml"});
  a = train_arguments(folder / "data_a", folder / "stopped_a");
  a.emplace_back("--resume");
  a.insert(a.end(), {"--lr", "0.05"});
  // Another run's checkpoint; its settings stay, too.
  const std::string settings = read_text(folder / "stopped_a/config.toml");
  check_fails(folder, a, 1, "checkpoint.safetensors: was trained with other settings or data (lr was 0.1 and is 0.05)");
  CHECK_EQ(read_text(folder / "stopped_a/config.toml"), settings);
  a.resize(a.size() - 2);
  CHECK_EQ(akin_(folder, a).code, 0);
  const Bytes model = read_file(folder / "stopped_a/model.safetensors");
  CHECK(model == read_file(folder / "run_a/model.safetensors"));

  // A finished run keeps what it was trained with: the same again is done, anything else is refused.
  CHECK(has(akin_(folder,
                  [&] {
                    Arguments loud = a;
                    loud.erase(std::find(loud.begin(), loud.end(), "--quiet"));
                    return loud;
                  }())
                .err,
            "finished already"));
  Arguments b = a;
  b.insert(b.end(), {"--no-augment", "--warmup", "3"});
  check_fails(folder, b, 1,
              "model.safetensors: was trained with other settings or data (augment was true and is false, warmup was 0 "
              "and is 3): --resume needs the same ones");
  const std::string classes = read_text(folder / "data_a/classes.txt");
  write_file_atomic(folder / "data_a/classes.txt", std::string_view("renamed" + classes.substr(classes.find('\n'))));
  check_fails(folder, a, 1, "or data (classes: other content)");
  write_file_atomic(folder / "data_a/classes.txt", std::string_view(classes));
  write_bars(folder / "data_a", 77, false);
  check_fails(folder, a, 1, "or data (images: other content, test: other content)");
  CHECK(read_file(folder / "stopped_a/model.safetensors") == model);
  b = distill_arguments(folder, "one", {"--resume", "--lr", "0.2"});
  check_fails(folder, b, 1, "lr was 0.1 and is 0.2");
  write_bars(folder / "target", 78, false);
  check_fails(folder, distill_arguments(folder, "one", {"--resume"}), 1,
              "or data (images: other content, test: other content)");
  CHECK(student("one") == student("two"));
}

TEST_CASE("cli: an interrupted run keeps a checkpoint and says how to go on; its folder has one owner") {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    CAPTURE(signal);
    const TempFolder folder;
    write_bars(folder / "data", 1, false);
    Arguments a = train_arguments(folder / "data", folder / "run");
    a.insert(a.end(), {"--epochs", "100000"});
    a.erase(std::find(a.begin(), a.end(), "6") - 1, std::find(a.begin(), a.end(), "6") + 1);
    Process process(folder.path(), a);
    REQUIRE(appears(folder / "run/config.toml"));
    check_fails(folder, {"train", "--data", (folder / "data").string(), "--out", (folder / "run").string(), "--force"},
                1, "another akin (process ");
    process.send(signal);
    const Finished f = process.wait();
    CAPTURE(f.err);
    CHECK_EQ(f.code, 1);
    CHECK(has(f.err, "--resume"));
    CHECK_EQ(names_in(folder / "run"), std::vector<std::string>{"checkpoint.safetensors", "config.toml"});
  }
}

TEST_CASE("cli: a run of one step claims no speed; images too small for a network are warned of") {
  const TempFolder folder;
  write_bars(folder / "data", 1, false);
  const auto train = [&](const Arguments& more) {
    Arguments a{"train", "--data", (folder / "data").string(), "--width", "4", "--epochs", "1", "--force"};
    a.insert(a.end(), {"--out", (folder / "run").string()});
    a.insert(a.end(), more.begin(), more.end());
    const Finished f = akin_(folder, a);
    CHECK_EQ(f.code, 0);
    return f.err;
  };
  const std::string one = train({"--batch", "120"});
  CHECK(has(one, "training on data: 1/1  loss"));
  CHECK_FALSE(has(one, "steps/s"));
  CHECK_FALSE(has(one, "warning"));  // 12x12
  CHECK(has(train({"--batch", "12"}), " steps/s"));
  // The last map of a CIFAR ResNet is a quarter of the image, of an ImageNet one a 32nd.
  CHECK_FALSE(has(train({"--size", "5x5"}), "warning"));
  CHECK(has(train({"--size", "5x4"}), "images of 5x4 are small for resnet8"));
  CHECK(has(train({"--arch", "resnet18", "--batch", "40"}), "--size 64x64 or larger"));
}

TEST_CASE("cli: data sets are shown and packed") {
  const TempFolder folder;
  write_bars(folder / "data", 1, false, 3);
  const std::string data = (folder / "data").string(), packed = (folder / "packed").string();
  REQUIRE_EQ(akin_(folder, {"data", "pack", data, "--size", "8x10", "--channels", "1", "--out", packed}).code, 0);
  const Finished shown = akin_(folder, {"data", "show", packed, "--json", "--png", (folder / "p.png").string()});
  CAPTURE(shown.err);
  REQUIRE_EQ(shown.code, 0);
  const auto j = json_of(shown);
  CHECK_EQ(j["splits"]["train"]["height"], 8);
  CHECK_EQ(j["splits"]["train"]["width"], 10);
  CHECK_EQ(j["splits"]["test"]["counts"], nlohmann::json({20, 20, 20}));
  CHECK_EQ(j["balance"], 1.0);
  const ImageInfo png = image_info(read_file(folder / "p.png"), "p.png");
  CHECK_EQ(png.height, 3 * 9 - 1);
  CHECK_EQ(png.width, 12 * 11 - 1);
  CHECK(has(akin_(folder, {"data", "show", data}).out, "middle"));
  const std::string fewer = (folder / "fewer").string();
  REQUIRE_EQ(akin_(folder, {"data", "pack", data, "--without", "middle", "--out", fewer}).code, 0);
  CHECK_EQ(json_of(akin_(folder, {"data", "show", fewer, "--json"}))["splits"]["test"]["counts"],
           nlohmann::json({20, 20}));
  check_fails(folder, {"data", "pack", data, "--without", "none", "--out", fewer + "2"}, 1, "'none'");
  check_fails(folder, {"data", "pack", data, "--out", data}, 2, "--out");
  check_fails(folder, {"data", "show", folder.path().string()}, 1, "train/");
  check_fails(folder, {"data", "pack", data, "--size", "8", "--out", packed}, 2, "--size");
  check_fails(folder, {"data", "pack", data, "--out", packed}, 1, "holds a data set already");
}

TEST_CASE("cli: what a data set's folder holds besides its images is told, and to programs listed") {
  const TempFolder folder;
  const fs::path data = folder / "data";
  write_bars(data, 1, false);
  write_file_atomic(data / "notes.txt", std::string_view("x"));
  make_folder(data / "masks");
  const std::string name = data.string(), out = (folder / "run").string();
  const std::string note = name + ": files that are no pictures passed over: 1 (1 .txt; notes.txt)\n",
                    warning =
                        "akin: warning: " + name + ": folders that are no split of the data passed over: 1 (masks)\n";
  const Finished shown = akin_(folder, {"data", "show", name, "--json"});
  CHECK(has(shown.err, note));
  CHECK(has(shown.err, warning));
  const auto account = json_of(shown)["account"];
  REQUIRE_EQ(account.size(), 2);
  CHECK_EQ(account[1]["what"], "files that are no pictures passed over");
  CHECK_EQ(account[1]["endings"][".txt"], 1);
  CHECK_EQ(account[0]["first"], "masks");
  CHECK_EQ(account[0]["warning"], true);
  const Finished quiet = akin_(folder, {"data", "pack", name, "--out", (folder / "packed").string(), "--quiet"});
  CHECK(!has(quiet.err, note));
  CHECK(has(quiet.err, warning));
  CHECK(!json_of(akin_(folder, {"data", "show", (folder / "packed").string(), "--json"})).contains("account"));
  for (const std::vector<std::string>& command :
       {std::vector<std::string>{"train", "--data", name, "--epochs", "1", "--width", "2", "--out", out},
        {"distill", "--target", name, "--labels-per-class", "1", "--methods", "scratch", "--student", "resnet8",
         "--student-width", "2", "--steps", "1", "--batch", "2", "--out", out + "2"},
        {"eval", "--model", out + "/model.safetensors", "--data", name},
        {"features", "--model", out + "/model.safetensors", "--data", name, "--out", out + "/t.safetensors"},
        {"rank", "--target", name, "--labels-per-class", "2", "--sources", out + "/model.safetensors"}}) {
    const Finished done = akin_(folder, command);
    CAPTURE(command[0]);
    CAPTURE(done.err);
    CHECK_EQ(done.code, 0);
    CHECK(has(done.err, note));
    CHECK_EQ(done.err.find(warning), done.err.rfind(warning));  // once
    CHECK(has(done.err, warning));
  }
}
