// The card of an exported model: true figures, their absence said, and no text that breaks its tables.
#include <doctest/doctest.h>

#include "distill/grid/cell.hpp"
#include "distill/grid/origin.hpp"
#include "engine/io/file.hpp"
#include "engine/io/sha256.hpp"
#include "tests/report_example.hpp"
#include "tests/small_nets.hpp"
#include "tests/temp_folder.hpp"

using namespace akin;
using namespace akin::test;

namespace {

struct Fixture {
  Context ctx;
  Model model;
  CardFacts facts{
      "birds",           "student.safetensors", &model, {}, 12, 10, false, {"birds.onnx", "birds.safetensors"},
      "akin 0.1.0 (abc)"};

  Fixture() {
    model.network = random_net(ctx, {.name = "resnet8", .width = 4, .channels = 1, .classes = 3});
    model.info.architecture = model.network->architecture();
    model.info.normalization = {{0.25f}, {0.5f}};
    model.info.classes = {"low", "mid|dle", "<b>"};
    model.info.task = "bars";
    model.hash = "0123abcd";
  }
};

std::size_t columns(const std::string& line) {
  std::size_t n = 0;
  for (std::size_t i = 0; i < line.size(); ++i) n += line[i] == '|' && (i == 0 || line[i - 1] != '\\');
  return n;
}

/// Every table has as many cells in each row as in its head.
void check_tables(const std::string& card) {
  std::istringstream lines(card);
  std::size_t width = 0;
  for (std::string line; std::getline(lines, line);) {
    const bool row = line.starts_with("|");
    if (row && width > 0) CHECK_MESSAGE(columns(line) == width, line);
    width = row ? columns(line) : 0;
  }
}

}  // namespace

TEST_CASE_FIXTURE(Fixture, "model card: a model from nowhere says what is not known") {
  const std::string card = model_card(facts);
  check_tables(card);
  for (const char* part :
       {"# birds", "| Task | bars |", "3: low, mid\\|dle, \\<b\\>", "resnet8, width 4, shortcut A",
        "grey images of 12 x 10", "mean 0.25, std 0.5", "SHA-256 0123abcd", "akin 0.1.0 (abc)",
        "test split of its task: not recorded", "Spread over seeds: not recorded", "- Method: not recorded",
        "- Label budget: not recorded", "- Sources: not recorded", "- Settings: not recorded", "## Licence",
        "Not stated", "birds.onnx", "convert(\"L\")", "akin predict birds.safetensors"})
    CHECK_MESSAGE(has(card, part), std::string(part));
  CHECK_FALSE(has(card, "load_state_dict"));  // no library has the network, and its code was not given
  facts.network_code = "import torch\nclass Network:\n";
  CHECK(has(model_card(facts), "    import torch\n    class Network:\n"));
  CHECK(has(model_card(facts), "    network = Network()\n    network.load_state_dict(weights)\n"));
  const std::int64_t trained = count_trainable(model.network->parameters());
  CHECK(has(card, fmt::format("{},{:03} trained numbers", trained / 1000, trained % 1000)));
  model.info.task = "";
  model.info.classes.clear();
  const std::string less = model_card(facts);
  CHECK(has(less, "| Task | not recorded |"));
  CHECK(has(less, "3: not recorded"));
}

TEST_CASE_FIXTURE(Fixture, "model card: figures of the run, with their spread") {
  model.info.test_accuracy = 0.8471;
  model.info.validation_accuracy = 0.9;
  model.info.step = 700;
  facts.origin = {true, akin_test::example_run(), "Weighted", "1", false, true};
  facts.origin.report.command = "akin distill --title 'a|b'\n";
  facts.folded = true;
  facts.files = {"birds.onnx"};
  const std::string card = model_card(facts);
  check_tables(card);
  // Mean and sample deviation of 0.847 and 0.835; of 0.837 and 0.825 at the best steps.
  for (const char* part :
       {"84.71 %", "90.00 %, after step 700", "| Weighted (this model's) | 84.1 ± 0.8 | 83.1 ± 0.8 | 2 |", " ± 4.2 |",
        "Method: Weighted, seed 1, at the step that did best", "6 labelled images, 1,200",
        "| capitals | 26 | 94.0 | 28.1 | 0.750 |", "| digits in print | 10 | – | 31.2 | 0.250 |",
        "| clothes | 10 | 90.0 | – | 0.000 |", "PARC x100", "akin abc1234", "    akin distill --title 'a|b'",
        "    lambda = 0.2", "before its batch norms were folded"})
    CHECK_MESSAGE(has(card, part), std::string(part));
  for (const char* absent : {"load_state_dict", "akin predict"}) CHECK_FALSE(has(card, absent));
  CHECK_FALSE(has(card, "do not count"));
  facts.origin.left_out = 3;
  CHECK(has(model_card(facts), "3 of the folder's students were made with other settings or data"));
}

TEST_CASE_FIXTURE(Fixture, "model card: a README for the Hub, and what fewer bits keep") {
  facts.hub = true;
  facts.files = {"config.json", "model.safetensors", "preprocessor_config.json"};
  std::string card = model_card(facts);
  CHECK(card.starts_with("---\n# license: yours to add, see \"Licence\" below\nlibrary_name: pytorch\n"));
  CHECK_FALSE(has(card, "model-index"));  // no accuracy is known
  CHECK(has(card, "\n---\n\n# birds\n"));
  model.info.test_accuracy = 0.8471;
  model.info.task = "bars: \"a\"";
  card = model_card(facts);
  for (const char* part :
       {"model-index:\n- name: \"birds\"\n", "      name: \"bars: \\\"a\\\"\"\n", "      value: 0.8471\n"})
    CHECK_MESSAGE(has(card, part), std::string(part));
  facts.store = WeightStore::int8;
  CHECK(has(model_card(facts),
            "stored as int8, with a scale for each output channel, those of the head as f16; biases and norms as f32. "
            "What that keeps "
            "of the accuracy was not measured"));
  facts.kept = {.images = 1200, .full = 0.9, .stored = 0.875, .alike = 0.97, .data = "bars"};
  card = model_card(facts);
  CHECK(
      has(card,
          "On the 1,200 test images of bars it is right on 87.50 %, with weights in f32 on 90.00 %; both give the same "
          "class on 97.00 %."));
  CHECK(has(card, "      value: 0.8750\n"));
  // A network that timm has.
  facts.store = WeightStore::f32;
  facts.kept = {};
  model.network = random_net(ctx, {.name = "resnet18", .channels = 1, .classes = 3});
  model.info.architecture = model.network->architecture();
  card = model_card(facts);
  for (const char* part : {"library_name: timm\n", "timm has this network: resnet18.",
                           "timm.create_model(\"local-dir:.\", pretrained=True)",
                           "num_classes=3, in_chans=1, checkpoint_path=\"model.safetensors\""})
    CHECK_MESSAGE(has(card, part), std::string(part));
  check_tables(card);
}

TEST_CASE_FIXTURE(Fixture, "model card: a student is found in its run by its bytes") {
  namespace fs = std::filesystem;
  const TempFolder folder;
  const auto put = [&](const std::string& name, const std::string& text) {
    make_folder((folder / name).parent_path());
    write_file_atomic(folder / name, std::string_view(text));
    return sha256_hex(bytes_of(text));
  };
  put("alone.safetensors", "x");
  CHECK_FALSE(find_origin(folder / "alone.safetensors", "x").known);
  put("run/students/scratch-seed0.safetensors", "a");
  const std::string both = put("run/students/weighted-seed12.safetensors", "b");
  put("run/students/weighted-seed12_best.safetensors", "b");
  put("run/student.safetensors", "b");
  const std::string best = put("run/students/nearest-seed3_best.safetensors", "c");
  put("run/student_best.safetensors", "c");
  ReportData report = akin_test::example_run();
  write_report(report, folder / "run");
  // A report that does not list the file proves nothing of it, whatever its name and folder.
  CHECK_FALSE(find_origin(folder / "run/students/weighted-seed12.safetensors", both).known);
  report.files = {{"DistillWeighted", 12, both, both}, {"DistillNearest", 3, "d", best}, {"Transfer", 1, "", ""}};
  write_report(report, folder / "run");
  StudentOrigin o = find_origin(folder / "run/students/weighted-seed12.safetensors", both);
  CHECK(o.known);
  CHECK_EQ(o.method, "DistillWeighted");
  CHECK_EQ(o.seed, "12");
  CHECK_FALSE(o.best);
  CHECK_EQ(o.report.labelled, 6);
  CHECK(find_origin(folder / "run/students/weighted-seed12_best.safetensors", both).best);
  CHECK_EQ(find_origin(folder / "run/student.safetensors", both).seed, "12");
  o = find_origin(folder / "run/student_best.safetensors", best);
  CHECK_EQ(o.method, "DistillNearest");
  CHECK(o.best);
  for (const char* hash : {"another", ""}) CHECK_FALSE(find_origin(folder / "run/student.safetensors", hash).known);
  // Without such a report a record tells, of the students that were made of the same.
  GridTarget target{.name = "bars", .load = {}};
  GridBudget budget{"labels", {}};
  GridVariant variant{"scratch", Method::scratch};
  const auto record = [&](std::uint64_t seed, std::int64_t steps, const std::string& network) {
    const Cell cell{&target, &budget, seed, &variant, ""};
    StudentRecord r;
    r.settings = {{"method", "scratch"}, {"images", "i"}, {"seed", seed}, {"steps", steps}};
    r.figures.seed = seed;
    r.figures.test_accuracy = 0.5;
    r.labelled = 30;
    r.unlabelled = 0;
    r.student_hash = sha256_hex(network);
    write_record(GridFolder{folder / "run", true}.record(cell), cell, r);
  };
  record(0, 12, "a");
  record(1, 12, "new");
  record(2, 15, "longer");
  for (const bool report_is_there : {true, false}) {
    if (!report_is_there) fs::remove(folder / "run/report.json");
    o = find_origin(folder / "run/students/scratch-seed0.safetensors", sha256_hex(std::string_view("a")));
    CHECK(o.known);
    CHECK_EQ(o.method, "Scratch");
    CHECK_EQ(o.report.labelled, 30);
    CHECK_EQ(o.report.command, "");
    REQUIRE_EQ(o.report.methods.size(), 1);
    CHECK_EQ(o.report.methods[0].seeds.size(), 2);
    CHECK_EQ(o.left_out, 1);
    facts.origin = o;
    CHECK(has(model_card(facts), "| Scratch (this model's) | 50.0 ± 0.0 | – | 2 |"));
    CHECK_FALSE(find_origin(folder / "run/student_best.safetensors", best).known != report_is_there);
  }
  put("run/report.json", "{}");
  CHECK(has(error_of([&] { find_origin(folder / "run/student.safetensors", both); }), "report.json"));
}
