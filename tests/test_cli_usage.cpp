// The real program's help, settings from files, and what it says of bad input.
#include <doctest/doctest.h>

#include <array>
#include <fstream>
#include <limits>

#include "distill/student/settings.hpp"
#include "engine/io/idx.hpp"
#include "engine/io/safetensors.hpp"
#include "engine/io/text.hpp"
#include "tests/cli_process.hpp"

namespace fs = std::filesystem;
using namespace akin;
using namespace akin::test;

TEST_CASE("cli: help, version and wrong usage") {
  const TempFolder folder;
  const Finished top = akin_(folder, {"--help"});
  CHECK_EQ(top.code, 0);
  CHECK(has(top.out, "Exit codes: 0 done, 1 failed"));
  for (const Arguments& command : {Arguments{"data"},
                                   {"data", "glyphs"},
                                   {"data", "convert-sheets"},
                                   {"data", "show"},
                                   {"data", "pack"},
                                   {"train"},
                                   {"features"},
                                   {"rank"},
                                   {"distill"},
                                   {"eval"},
                                   {"predict"},
                                   {"label"},
                                   {"report"},
                                   {"info"},
                                   {"experiment"},
                                   {"import"},
                                   {"export"},
                                   {"demo"},
                                   {"demo", "birds"}}) {
    Arguments a = command;
    a.emplace_back("--help");
    const Finished f = akin_(folder, a);
    CAPTURE(join(a));
    CHECK_EQ(f.code, 0);
    CHECK_EQ(f.err, "");
    CHECK(has(f.out, "Example:\n  akin " + join(command).substr(0, 4)));
    if (command.size() == 1) CHECK(has(top.out, "\n  " + command.front() + " "));
  }
  CHECK(has(akin_(folder, {"--version"}).out, "akin 0."));
  check_fails(folder, {}, 2, "subcommand");
  check_fails(folder, {"eval", "--model", "m", "--bogus"}, 2, "--bogus");
  check_fails(folder, {"train", "--data", "x", "--epochs", "many"}, 2, "--epochs");
  check_fails(folder, {"train"}, 2, "--data");
  check_fails(folder, {"eval", "--model", "m", "--data", "d", "--device", "abacus"}, 2, "abacus");
  check_fails(folder, {"distill", "--target", "d", "--methods", "scratch,magic"}, 2, "magic");
  check_fails(folder, {"distill", "--target", "d", "--methods", "weighted"}, 2, "--sources");
  check_fails(folder, {"distill", "--target", "d", "--methods", "scratch", "--seeds", "0,,1"}, 2, "--seeds");
  for (const char* seed : {"9223372036854775808", "18446744073709551616", "-1", "1e3", "0x1"})
    for (const Arguments& command :
         {Arguments{"distill", "--target", "d", "--methods", "scratch"}, Arguments{"demo"}}) {
      Arguments line = command;
      line.insert(line.end(), {"--seeds", fmt::format("0,{}", seed)});
      check_fails(folder, line, 2, "seeds are whole numbers from 0 to 9223372036854775807");
    }
  check_fails(folder, {"rank", "--target", "d", "--sources", "s", "--metric", "guess"}, 2, "guess");
  check_fails(folder, {"info", "nowhere.safetensors"}, 1, "nowhere.safetensors");
  check_fails(folder, {"eval", "--model", "nowhere.safetensors", "--data", "d"}, 1, "nowhere.safetensors");
  check_fails(folder, {"train", "--data", "nowhere"}, 1, "nowhere");
  check_fails(folder, {"report", "nowhere"}, 1, "nowhere");
  const std::string out = (folder / "birds").string();
  check_fails(folder, {"demo", "birds", "--data", "nowhere", "--out", out}, 1, "nowhere: is not at hand; docs/data.md");
  check_fails(folder, {"demo", "birds", "--data", folder.path().string(), "--weights", "none", "--out", out}, 1,
              "none/inat_bird_mobilenet_v2_1.0_224_u8.safetensors: is not at hand");
  CHECK_FALSE(fs::exists(out));
  check_fails(folder, {"train", "--data", "d", "--config", "nowhere.toml"}, 1, "nowhere.toml");
  const Arguments distill{"distill", "--target", "d", "--methods", "scratch"};
  for (const auto& [option, value, expected] :
       std::vector<std::array<const char*, 3>>{{"--steps", "0", "'0' is no whole number from 1"},
                                               {"--labels-per-class", "2.5", "'2.5' is no whole number from 1"},
                                               {"--lambda", "2", "'2' is no number from 0 to 1"},
                                               {"--lambda", "nan", "'nan' is no number from 0 to 1"},
                                               {"--p", "-1", "'-1' is no number from 0, or inf"},
                                               {"--threads", "-1", "'-1' is no whole number from 0 to 4096"},
                                               {"--temperature", "0", "--temperature: '0' is no number above 0"},
                                               {"--batch", "0", "'0' is no whole number from 1 to 1000000"},
                                               {"--batch", "99999999999999999999", "is no whole number from 1"},
                                               {"--steps", "1e3", "'1e3' is no whole number from 1"},
                                               {"--unlabelled", "99999999999999", "is no whole number from 0 to"},
                                               {"--methods", "equal,scratch,equal", "equal twice"},
                                               {"--stps", "3", "akin distill --help"}}) {
    Arguments a = distill;
    if (std::string_view(option) == "--methods") a.resize(a.size() - 2);
    a.insert(a.end(), {option, value});
    check_fails(folder, a, 2, expected);
  }
  for (const auto& [batch, expected] : std::vector<std::array<const char*, 2>>{
           {"0", "'0' is no whole number"}, {"1", "batch norm needs at least 2"}, {"99999999999", "no whole number"}}) {
    const fs::path config = folder / "batch.toml";
    std::ofstream(config) << "batch = " << batch << "\n";
    write_bars(folder / "bars", 1, false);
    for (const Arguments& how : {Arguments{"--batch", batch}, {"--config", config.string()}}) {
      Arguments a{"train", "--data", (folder / "bars").string(), "--out", (folder / "none").string()};
      a.insert(a.end(), how.begin(), how.end());
      check_fails(folder, a, 2, expected);
    }
  }
  CHECK_FALSE(fs::exists(folder / "none"));
  for (const auto& [option, value] : std::vector<std::array<const char*, 2>>{{"--count", "-5"},
                                                                             {"--count", "99999999999999999999"},
                                                                             {"--test-count", "0"},
                                                                             {"--side", "0"},
                                                                             {"--seed", "1.5"}})
    check_fails(folder, {"data", "glyphs", option, value, "--out", (folder / "glyphs").string()}, 2,
                "is no whole number from");
  // A name that the system refuses to look up is the user's mistake, and no internal error.
  const std::string long_name(300, 'a');
  check_fails(folder, {"data", "show", long_name}, 1, "no such folder");
  check_fails(folder, {"rank", "--tables", long_name + ".npy"}, 1, "File name too long");
  check_fails(folder, {"eval", "--model", long_name, "--data", "d"}, 1, "File name too long");
  write_file_atomic(folder / "other.toml", std::string_view("stepz = 3\n"));
  check_fails(folder, {"distill", "--target", "d", "--config", (folder / "other.toml").string()}, 2, "'stepz'");
  const Finished full = Process(folder.path(), {"info"}, "/dev/full").wait();
  CHECK_EQ(full.code, 1);
  CHECK(has(full.err, "standard output"));
}

TEST_CASE("cli: bad input gives one clear line and leaves nothing behind") {
  const TempFolder folder;
  make_bank(folder);
  const std::string good = (folder / "a.safetensors").string(), target = (folder / "target").string();
  const std::string run = (folder / "run").string();

  const Bytes bytes = read_file(good);
  write_file_atomic(folder / "cut.safetensors", ByteView(bytes.data(), bytes.size() / 2));
  SafeTensors broken = read_safetensors(good);
  for (auto& [name, array] : broken.tensors)
    if (name == "layer2.0.conv1.weight") array.as<float>()[7] = std::numeric_limits<float>::quiet_NaN();
  write_safetensors(folder / "nan.safetensors", broken);
  for (const char* bad : {"cut.safetensors", "nan.safetensors"}) {
    const std::string file = (folder / bad).string();
    check_fails(folder, {"eval", "--model", file, "--data", target}, 1, bad);
    check_fails(folder, {"rank", "--target", target, "--sources", good, file}, 1, bad);
    check_fails(folder, {"distill", "--target", target, "--sources", good, file, "--out", run}, 1, bad);
    check_fails(folder, {"features", "--model", file, "--data", target, "--out", run}, 1, bad);
    CHECK(names_in(run).empty());
  }

  write_bars(folder / "colour", 4, false, 3);
  const std::string colour = (folder / "colour").string();
  check_fails(folder, {"eval", "--model", good, "--data", colour}, 1, "channels");
  check_fails(folder, {"distill", "--target", colour, "--sources", good, "--out", run}, 1, "--match-channels");
  check_fails(folder, {"features", "--model", good, "--data", colour, "--out", run}, 1, "--match-channels");

  write_bars(folder / "labels", 5, false);
  Array labels = read_idx(folder / "labels/train-labels-idx1-ubyte");
  labels.as<std::uint8_t>()[9] = 250;
  write_idx(folder / "labels/train-labels-idx1-ubyte", labels);
  write_bars(folder / "empty", 6, false);
  write_file_atomic(folder / "empty/classes.txt", std::string_view("low\nmiddle\nhigh\nnever\n"));
  for (const char* bad : {"labels", "empty"}) {
    const std::string data = (folder / bad).string(), what = *bad == 'l' ? "250" : "never";
    check_fails(folder, {"train", "--data", data, "--out", run}, 1, what);
    check_fails(folder, {"distill", "--target", data, "--sources", good, "--out", run}, 1, what);
  }
  CHECK_FALSE(fs::exists(run));
  for (const auto& [option, value] :
       std::vector<std::array<const char*, 2>>{{"--student", "resnet7"}, {"--student-shortcut", "B"}}) {
    check_fails(folder, {"distill", "--target", target, "--sources", good, "--out", run, option, value}, 2, value);
  }
  check_fails(folder, {"train", "--data", target, "--out", run, "--arch", "resnet7"}, 2, "resnet7");
  CHECK_FALSE(fs::exists(run));
  write_file_atomic(folder / "table.csv", std::string_view("a,b\n"));
  check_fails(folder, {"rank", "--target", target, "--sources", (folder / "table.csv").string()}, 1, "is no source");
  for (const char* file : {"table.csv", "target/train-images-idx3-ubyte"})
    check_fails(folder, {"info", (folder / file).string()}, 1, "reads .safetensors and .pth files: models, tables");
  check_fails(folder, {"info", target}, 1, "is a folder; akin info reads");
  check_fails(folder, {"info", (folder / "cut.safetensors").string()}, 1, "not a sound safetensors file");
  check_fails(folder, {"distill", "--target", target, "--labels", "500", "--sources", good, "--out", run}, 1, "500");
  CHECK_FALSE(fs::exists(run));

  // A folder below a file cannot be made, not even by root.
  const std::string nowhere = (folder / "a.safetensors/run").string();
  check_fails(folder, {"train", "--data", target, "--out", nowhere}, 1, nowhere);
  check_fails(folder, {"distill", "--target", target, "--sources", good, "--out", nowhere}, 1, nowhere);
  check_fails(folder, {"data", "pack", target, "--out", nowhere}, 1, nowhere);
  // Nor can the sources' outputs be kept there, which is said before the run folder is made.
  check_fails(folder, {"distill", "--target", target, "--sources", good, "--out", run, "--cache", nowhere}, 1, nowhere);
  check_fails(folder, {"distill", "--target", target, "--sources", good, "--out", run, "--cache", good}, 1, "or none");
  CHECK_FALSE(fs::exists(run));
  CHECK(read_file(good) == bytes);
}

TEST_CASE("cli: the list of settings, for people and for programs") {
  const TempFolder folder;
  CHECK_EQ(akin_(folder, {"info", "--settings"}).out, settings_markdown());
  const auto list = nlohmann::json::parse(akin_(folder, {"info", "--settings", "--json"}).out)["settings"];
  REQUIRE_EQ(list.size(), setting_list().size());
  for (const auto& row : list) {
    CAPTURE(row.dump());
    if (row["key"] == "lr") CHECK_EQ(row["may_be"], "number above 0");
    if (row["key"] == "batch") CHECK_EQ(row["train_default"], "128");
    if (row["train"] == "epochs") CHECK(row["key"].is_null());
  }
  check_fails(folder, {"info", "--settings", "model.safetensors"}, 2, "--settings");
}

TEST_CASE("cli: settings from a file, and the command line wins") {
  const TempFolder folder;
  write_bars(folder / "data", 1, false);
  write_file_atomic(folder / "my.toml",
                    std::string_view(fmt::format("data = \"{}\"\nwidth = 4\nepochs = 3\nbatch = 12\naugment = false\n",
                                                 (folder / "data").string())));
  const auto run = [&](const std::string& out, const Arguments& more) {
    Arguments a{"train", "--quiet", "--config"};
    a.insert(a.end(), more.begin(), more.end());
    a.insert(a.end(), {"--out", (folder / out).string()});
    const Finished f = akin_(folder, a);
    CAPTURE(f.err);
    REQUIRE_EQ(f.code, 0);
    return read_text(folder / out / "config.toml");
  };
  const std::string first = run("first", {(folder / "my.toml").string(), "--epochs", "2"});
  CHECK(has(first, "[train]\n"));
  CHECK(has(first, "epochs=2\n"));
  CHECK(has(first, "width=4\n"));
  CHECK(has(first, "augment=false\n"));
  CHECK(has(first, "lr=0.1\n"));
  // What a run saved gives the same run again.
  const std::string second = run("second", {(folder / "first/config.toml").string()});
  const auto strip = [](std::string text) {
    return text.erase(text.find("out="), text.find('\n', text.find("out=")) - text.find("out="));
  };
  CHECK_EQ(strip(first), strip(second));
  CHECK(read_file(folder / "first/model.safetensors") == read_file(folder / "second/model.safetensors"));

  // A switch is true or false wherever it stands, as in an experiment's file.
  write_file_atomic(folder / "switch.toml", std::string_view("nesterov = \"yes\"\n"));
  check_fails(folder, {"train", "--data", "x", "--config", (folder / "switch.toml").string()}, 2,
              "--nesterov: 'yes' is neither");
  for (const char* word : {"2", "-1", "on"})
    check_fails(folder, {"distill", "--target", "x", "--methods", "scratch", std::string("--nesterov=") + word}, 2,
                fmt::format("--nesterov: '{}' is neither true nor false", word));
  // flip was a switch once.
  write_file_atomic(folder / "old.toml", std::string_view("flip = true\n"));
  check_fails(folder, {"train", "--data", "x", "--config", (folder / "old.toml").string()}, 2,
              "--flip: 'true' is not none, h, v or hv; what was true is h now, false is none");
  check_fails(folder, {"distill", "--target", "x", "--methods", "scratch", "--flip=false"}, 2,
              "--flip: 'false' is not none, h, v or hv; what was true is h now, false is none");
  check_fails(folder, {"train", "--flip", "--data", "x"}, 2, "--flip");
  for (const char* option : {"--labels-per-class", "--bank-images", "--bank-epochs"})
    check_fails(folder, {"demo", option, "0"}, 2, "'0' is no whole number from 1");
  check_fails(folder, {"demo", "birds", "--labels-per-class", "0"}, 2, "'0' is no whole number from 1");

  write_file_atomic(folder / "typo.toml", std::string_view("epoch = 3\n"));
  check_fails(folder, {"train", "--data", "x", "--config", (folder / "typo.toml").string()}, 2, "epoch");
  check_fails(folder, {"rank", "--target", "x", "--sources", "s", "--config", (folder / "first/config.toml").string()},
              2, "[train]");
  write_file_atomic(folder / "broken.toml", std::string_view("[train\nepochs\n"));
  check_fails(folder, {"train", "--data", "x", "--config", (folder / "broken.toml").string()}, 2,
              "broken.toml, line 1");
  write_file_atomic(folder / "empty.toml", std::string_view("epochs =\n"));
  check_fails(folder, {"train", "--data", "x", "--config", (folder / "empty.toml").string()}, 2, "line 1");
  write_file_atomic(folder / "long.toml", std::string_view(std::string(2 << 20, '#')));
  check_fails(folder, {"train", "--data", "x", "--config", (folder / "long.toml").string()}, 2, "right file");
  check_fails(folder, {"train", "--data", "x", "--config", "/dev/zero"}, 2, "right file");
}

TEST_CASE("cli: what a run wrote as config.toml repeats it, whatever its paths and texts are called") {
  const TempFolder folder;
  const std::string odd = "my #1 \"set\" \\ 'of' [bars], ü=1 \xfc\xff \xEE\xBE\x80";  // Latin-1, no text at all, U+EF80
  write_bars(folder / odd, 1, false);
  const auto train = [&](const Arguments& more, const std::string& out) {
    Arguments a{"train", "--quiet", "--out", (folder / out).string()};
    a.insert(a.end(), more.begin(), more.end());
    const Finished f = akin_(folder, a);
    CAPTURE(f.err);
    REQUIRE_EQ(f.code, 0);
  };
  train({"--data", (folder / odd).string(), "--width", "4", "--epochs", "1", "--batch", "12"}, odd + " run");
  train({"--config", (folder / (odd + " run") / "config.toml").string()}, "second");
  CHECK(read_file(folder / (odd + " run") / "model.safetensors") == read_file(folder / "second/model.safetensors"));

  // A list over several lines with a '#' in a name, after a byte order mark.
  fs::copy_file(folder / "second/model.safetensors", folder / "so#urce.safetensors");
  fs::copy_file(folder / "second/model.safetensors", folder / "b.safetensors");
  const auto text = [&](const std::string& name) {
    std::string out = "\"";
    for (const char c : text_of_bytes((folder / name).string()))
      out += (c == '"' || c == '\\' ? std::string("\\") : "") + c;
    return out + "\"";
  };
  write_file_atomic(folder / "list.toml",
                    std::string_view("\xef\xbb\xbf[distill]  # which\ntarget = " + text(odd) + "\nsources = [\n  " +
                                     text("so#urce.safetensors") + ",  # one\n  " + text("b.safetensors") +
                                     ",\n]\n\"steps\" = 2\nseeds = \"0\"\nmethods = 'scratch,weighted'\n"
                                     "student-width = 4\nlabels-per-class = 2\nreplicates = 0\ncache = 'none'\n"
                                     "title = \"a\\nb\"\n"));
  const auto distill = [&](const fs::path& config, const std::string& out) {
    const Finished f =
        akin_(folder, {"distill", "--quiet", "--config", config.string(), "--out", (folder / out).string()});
    CAPTURE(f.err);
    REQUIRE_EQ(f.code, 0);
    return read_text(folder / out / "weights.csv");
  };
  const std::string weights = distill(folder / "list.toml", "d1");
  CHECK(has(weights, "so#urce"));
  CHECK_EQ(distill(folder / "d1/config.toml", "d2"), weights);
  CHECK(read_file(folder / "d1/student.safetensors") == read_file(folder / "d2/student.safetensors"));

  // Names of runs, models and tables go into files whose text is UTF-8.
  const std::string model = (folder / (odd + " run") / "model.safetensors").string();
  const std::string table = (folder / (odd + ".safetensors")).string(), data = (folder / odd).string();
  const Arguments all[] = {
      {"features", "--model", model, "--data", data, "--out", table},
      {"distill", "--target", data, "--sources", model, table, "--labels-per-class", "2", "--steps", "2", "--methods",
       "weighted", "--student-width", "4", "--out", (folder / (odd + "d3")).string()},
      {"export", (folder / (odd + "d3") / "student.safetensors").string(), "--out", (folder / "e").string()}};
  for (const Arguments& arguments : all) {
    const Finished f = akin_(folder, arguments);
    CAPTURE(f.err);
    CHECK_EQ(f.code, 0);
  }
}

TEST_CASE("cli: standard streams that are closed, full or left by their reader cost no result and end with a code") {
  const TempFolder folder;
  write_bars(folder / "data", 1, false);
  const std::string akin = AKIN_BINARY_DIR "/bin/akin";
  const auto shell = [&](const std::string& text) {
    const int status = std::system(("cd '" + folder.path().string() + "' && " + text).c_str());
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  };
  const std::string train = akin + " train --data data --width 4 --epochs 1 --batch 12 --out ";
  CHECK_EQ(shell(train + "a <&- >&- 2>&-"), 1);  // stdout could not be written, and nobody is left to be told
  CHECK_EQ(shell(train + "b 2>&- >/dev/null"), 0);
  CHECK_EQ(shell(train + "c 2>/dev/full >/dev/null"), 0);
  CHECK_EQ(shell(train + "d >/dev/full 2>err"), 1);
  CHECK(has(read_text(folder / "err"), "standard output"));
  CHECK_EQ(shell("{ " + train + "e >/dev/null; echo $? >code; } 2>&1 | true"), 0);  // the reader of stderr is gone
  CHECK_EQ(read_text(folder / "code"), "0\n");
  for (const char* run : {"a", "b", "c", "d", "e"})
    CHECK(read_file(folder / run / "model.safetensors") == read_file(folder / "b/model.safetensors"));
  CHECK_EQ(shell(akin + " data show nowhere <&- >&- 2>&-"), 1);
  CHECK_EQ(shell("{ " + akin + " --help; echo $? >code; } | true"), 0);
}
