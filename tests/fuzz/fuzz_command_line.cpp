// The command line with --config (apps/command_line.hpp), without what the commands run: wrong usage is told as an
// akin::Error, and the settings that a run would save bring the same ones back. An input is the arguments, one a line,
// and behind a line "%%" the file that an argument FILE stands for.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <iostream>
#include <sstream>

#include "apps/command_line.hpp"
#include "apps/config_file.hpp"
#include "engine/io/json.hpp"
#include "tests/fuzz/settings_text.hpp"

namespace akin::fuzz {

namespace {

struct Parsed {
  bool runs = false, saves = false;  ///< a command is called; it takes --config
  std::vector<std::string> command;
  std::string config;
};

/// What a command would run. It owns what the command's options write to, so that somebody has to hold it.
class Opened : public CLI::App {
 public:
  static std::function<void()> what_runs(CLI::App& app) { return app.*(&Opened::final_callback_); }
};

void disarm(CLI::App& app, Parsed& parsed) {
  for (CLI::App* command : app.get_subcommands({})) {
    command->callback([command, &parsed, held = Opened::what_runs(*command)] {
      if (!command->get_subcommands().empty()) return;  // that one runs
      parsed.runs = true;
      parsed.command = command_path(*command);
      parsed.saves = command->get_option_no_throw("--config") != nullptr;
      if (parsed.saves) parsed.config = config_text(*command);
    });
    disarm(*command, parsed);
  }
}

std::optional<Parsed> parse(const std::vector<std::string>& arguments) {
  std::vector<const char*> argv{"akin"};
  for (const std::string& a : arguments) argv.push_back(a.c_str());
  argv.push_back(nullptr);
  std::ostringstream swallowed;  // help and version
  std::streambuf* shown = std::cout.rdbuf(swallowed.rdbuf());
  const auto parsed = accepted([&] {
    Parsed p;
    run_command_line(static_cast<int>(arguments.size()) + 1, argv.data(), [&](CLI::App& app) { disarm(app, p); });
    return p;
  });
  std::cout.rdbuf(shown);
  return parsed;
}

bool is_utf8(const std::string& text) {
  return json_line(text) == Json(text).dump(-1, ' ', false, Json::error_handler_t::ignore);
}

void run(ByteView input) {
  const std::string_view text = text_of(input);
  const std::size_t mark = text.find("\n%%\n");
  const std::string_view file = mark == std::string_view::npos ? std::string_view() : text.substr(mark + 4);
  const std::string path = file_with("config.toml", bytes_of(file)).string();
  std::vector<std::string> arguments;
  std::stringstream lines{std::string(text.substr(0, mark))};
  for (std::string line; std::getline(lines, line);) {
    line.resize(std::min(line.find('\0'), line.size()));  // an argument ends there
    arguments.push_back(line == "FILE" ? path : line == "--config=FILE" ? "--config=" + path : line);
  }
  if (arguments.size() > 64) return;
  const auto parsed = parse(arguments);
  if (!parsed || !parsed->saves || !is_utf8(parsed->config)) return;  // what is no UTF-8 cannot stand in TOML
  const std::string saved = file_with("saved.toml", bytes_of(parsed->config)).string();
  std::vector<std::string> same = parsed->command;
  same.insert(same.end(), {"--config", saved});
  const auto again = parse(same);
  if (!again || again->config != parsed->config)
    finding(fmt::format("settings that were saved do not come back:\n{}\nbut\n{}", parsed->config,
                        again ? again->config : "an error"));
}

Seeds seeds() {
  return {
      text_seed("train",
                "train\n--data\nd\n--arch\nresnet8\n--width\n16\n--epochs\n8\n--lr\n0.05\n--flip\nh\n--out\nr"),
      text_seed("train_config",
                "train\n--config\nFILE\n--out=r\n%%\ndata = \"d # x\"\nlr = 0.1\nflip = \"hv\"\nshift = "
                "2\n[train]\nbatch = 7\n"),
      text_seed("distill",
                "distill\n--target\nt\n--sources\na.safetensors\nb "
                "b.safetensors\n--methods\nscratch,weighted\n--seeds\n0,1\n--labels-per-class\n2\n--p\ninf\n--out\nr"),
      text_seed("distill_config",
                "--config=FILE\ndistill\n%%\ntarget = 't'\nsources = [\"a\", \"b,c\", 'd\"e']\nseeds = \"0,1\"\nout = "
                "\"r\"\n"),
      text_seed("experiment", "experiment\nx.toml\n--only\ntarget=a\n--only\nseed=0\n--dry-run"),
      text_seed("demo", "demo\nbirds\n--labels-per-class\n5\n--data\nd"),
      text_seed("rank", "rank\n--tables\na.npy\nb.csv\n--label-file\ny.txt\n--metric\nall\n--classes\n3"),
      text_seed("rank_target", "rank\n--target\nt\n--sources\na\n--metric\nparc,cka\n--probe\n50\n--json"),
      text_seed("import",
                "import\nw.safetensors\n--arch\nresnet18\n--mean\n.485,.456,.406\n--std\n.2\n--size\n224x224\n--new-"
                "head\n10\n--out\nm"),
      text_seed("data", "data\nglyphs\n--set\ndigits\n--count\n10\n--out\nd"),
      text_seed("eval", "eval\n--model\nm\n--data\nd\n--confusion\n--tolerance\n1e-3\n--device\ncpu\n--threads\n2"),
      text_seed("export", "export\ns.safetensors\n--fold\n--format\nonnx\n--force"),
      text_seed("help", "distill\n--help"),
      text_seed("version", "--version"),
      text_seed("info", "info\n--settings"),
      text_seed("wrong", "tarin\n--data"),
      text_seed("section", "train\n--config\nFILE\n%%\n[distill]\nlr = 1\n"),
      text_seed("no_toml", "train\n--config\nFILE\n%%\nlr 1\n[[a]]\n")};
}

}  // namespace

const Target target{
    .run = run,
    .seeds = seeds,
    .words = with_toml_words(
        {"--config\nFILE\n", "\n%%\n",        "[train]\n",      "[distill]\n", "[demo]\n",  "--resume",
         "--force",          "--quiet",       "--json",         "--lr=",       "--batch=0", "--steps=",
         "--seeds=",         "--sources=",    "--methods=",     "--size=",     "--mean=",   "--threads=",
         "--device=cuda",    "--stop-after=", "--student=init", "--init=",     "--labels=", "\n--\n",
         "--no-graph",       "--lr\n-1",      "1e999"})};

}  // namespace akin::fuzz
