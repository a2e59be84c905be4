// akin info on files that say too little, too much, or what a terminal would obey.
#include <array>

#include "engine/io/safetensors.hpp"
#include "engine/io/text.hpp"
#include "nn/model_file.hpp"
#include "nn/zoo/zoo.hpp"
#include "tests/cli_process.hpp"

using namespace akin;
using namespace akin::test;

namespace {

/// A small model for images of `height` x `width`, of a task called `task`.
std::filesystem::path save(const std::filesystem::path& file, std::int64_t height, std::int64_t width,
                           const std::string& task) {
  Context ctx(Device::cpu);
  const auto network = make_network(ctx, {.name = "resnet8", .width = 4, .channels = 3, .classes = 5});
  initialize(network->parameters(), 1);
  ModelInfo info;
  info.architecture = network->architecture();
  info.height = height;
  info.width = width;
  info.task = task;
  save_model(file, *network, info);
  return file;
}

}  // namespace

TEST_CASE("cli: info of a model: what it costs, and a claimed size that is not spent") {
  const TempFolder folder;
  const auto costs = [&](std::int64_t height, std::int64_t width) {
    const std::string file = save(folder / "m.safetensors", height, width, "shapes").string();
    const Finished text = akin_(folder, {"info", file}), json = akin_(folder, {"info", file, "--json"});
    CHECK_EQ(text.code, 0);
    CHECK_EQ(json.code, 0);
    CHECK_EQ(text.err + json.err, "");
    const auto cost = nlohmann::json::parse(json.out)["multiply_adds"];
    CHECK_EQ(has(text.out, "multiply-adds an image of"), !cost.is_null());
    CHECK_EQ(has(text.out, "the size of its images is not said"), height == 0);
    return cost;
  };
  const auto small = costs(8, 12), large = costs(16, 24);
  REQUIRE(small.is_number());
  CHECK_GT(large.get<double>(), 3.5 * small.get<double>());
  CHECK(costs(0, 0).is_null());
  // Beyond a million pixels nothing is run.
  CHECK(costs(65536, 17).is_null());
  CHECK(costs(65536, 65536).is_null());
}

TEST_CASE("cli: info of names that a terminal would obey, and of long ones") {
  const TempFolder folder;
  const std::string odd =
      "a\x1b[2Jb\xc2\x9b"
      "31mc\x07 \xc3\xa4\nsecond";
  const Finished f = akin_(folder, {"info", save(folder / "m.safetensors", 8, 8, odd).string()});
  CHECK_EQ(f.code, 0);
  CHECK(has(f.out, "a\\u001b[2Jb\\u009b31mc\\u0007 \xc3\xa4\\u000asecond: 5 classes"));
  CHECK_EQ(spelled_controls("x\xe2\x80\xaey\x9bz\xc3\xa4", true), "x\\u202ey\\u009bz\xc3\xa4");
  for (const char* obeyed : {"\x1b", "\xc2\x9b", "\x07"}) CHECK_FALSE(has(f.out, obeyed));
  // Messages too: of files, and of what they hold.
  const Finished missing = akin_(folder, {"info", (folder / "x\x1b]0;y\x07.safetensors").string()});
  CHECK_EQ(missing.code, 1);
  CHECK(has(missing.err, "x\\u001b]0;y\\u0007.safetensors"));
  CHECK_FALSE(has(missing.err, "\x1b"));
  // JSON escapes in its own way and keeps what was there.
  const Finished json = akin_(folder, {"info", (folder / "m.safetensors").string(), "--json"});
  CHECK_EQ(nlohmann::json::parse(nlohmann::json::parse(json.out)["metadata"]["model"].get<std::string>())["task"], odd);

  const Finished long_one =
      akin_(folder, {"info", save(folder / "l.safetensors", 8, 8, std::string(5000, 'n')).string()});
  CHECK_LT(long_one.out.find(": 5 classes"), 500);
}

TEST_CASE("cli: info of a table beside a graph, and of a model that is damaged inside") {
  const TempFolder folder;
  // Features called as a graph beside them are a table all the same.
  SafeTensors table;
  table.add("features", Array(DType::f32, {4, 3}));
  table.add("logits", Array(DType::f32, {4, 2}));
  write_safetensors(folder / "t.safetensors", table);
  write_file_atomic(folder / "t.graph.json", std::string_view("{\"nodes\": []}"));
  const Finished f = akin_(folder, {"info", (folder / "t.safetensors").string()});
  CHECK_EQ(f.code, 0);
  CHECK_EQ(f.err, "");
  CHECK(has(f.out, "a table of features and logits"));

  std::string bytes = read_text(save(folder / "m.safetensors", 8, 8, "shapes"));
  bytes.back() = static_cast<char>(bytes.back() ^ 1);
  write_file_atomic(folder / "m.safetensors", bytes);
  const Finished damaged = akin_(folder, {"info", (folder / "m.safetensors").string()});
  CHECK_EQ(damaged.code, 0);
  CHECK(has(damaged.err, "warning: as a model it cannot be used: "));
  CHECK(has(damaged.out, "m.safetensors: a model\n"));
  CHECK_FALSE(has(damaged.out, "multiply-adds"));
}
