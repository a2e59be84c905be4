// akin watch: a run that is at work, from another terminal.
#include <chrono>
#include <iostream>
#include <thread>

#include "apps/commands.hpp"
#include "apps/common.hpp"
#include "apps/flags.hpp"
#include "apps/progress.hpp"
#include "apps/watch_screen.hpp"
#include "engine/io/clock.hpp"
#include "engine/io/json.hpp"

namespace akin {

namespace {

struct Options {
  std::string run;
  int columns = 0;
  bool once = false;
  CommonOptions common;
};

std::string json_of(const WatchedRun& run) {
  const char* states[] = {"running", "stopped", "finished"};
  Json j = {{"run", run.name}, {"state", states[static_cast<int>(run.state)]}};
  if (const JournalEntry* e = run.now.get())
    j["now"] = {{"label", e->label}, {"done", e->done}, {"total", e->total}, {"unit", e->unit}, {"note", e->note}};
  j["students"] = Json::array();
  for (const WatchedStudent& s : run.students)
    j["students"].push_back({{"method", s.method},
                             {"seed", s.seed},
                             {"steps", s.steps},
                             {"loss", number(s.loss)},
                             {"validation", number(s.validation)}});
  return json_text(j);
}

void watch(const Options& o) {
  using State = WatchedRun::State;
  const ProgressStyle terminal = stdout_style();
  const int columns = o.columns > 0 ? o.columns : terminal.columns;
  catch_interrupts();
  std::size_t drawn = 0;  // lines on the screen to draw over
  std::string before;
  for (;;) {
    const WatchedRun run = look_at_run(o.run);
    const bool over = run.state == State::finished || run.state == State::stopped;
    if (o.common.json) return print(json_of(run));
    // The last column stays free: some terminals wrap when it is written.
    const std::vector<std::string> lines = watch_lines(run, terminal.tty ? columns - 1 : columns, unix_seconds());
    const std::string text = fmt::format("{}\n", fmt::join(lines, "\n"));
    if (!terminal.tty || o.once) {
      // Without a screen to draw over: what changed, a line at a time.
      if (o.once || over) return print(text);
      const std::string line = lines.size() > 2 ? lines[2] : lines.front();
      if (line != before) print(line + "\n");
      before = line;
    } else {
      if (drawn > 0) std::cout << fmt::format("\x1b[{}A\x1b[J", drawn) << std::flush;
      print(text);
      drawn = lines.size();
    }
    if (over) return;
    for (int tenth = 0; tenth < 10 && !interrupted(); ++tenth)
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
    if (interrupted()) return;  // it looks only; the run goes on
  }
}

}  // namespace

void add_watch(CLI::App& akin) {
  CLI::App* app = akin.add_subcommand("watch", "Show a run that is at work, from another terminal");
  const auto o = std::make_shared<Options>();
  app->add_option("run", o->run, "Run folder of train, fit, distill, demo or experiment")->required()->type_name("DIR");
  app->add_flag("--once", o->once, "Say how it is now, and end");
  app->add_option("--columns", o->columns, "Width of what is shown; 0: the terminal's")
      ->transform(whole_in(0, 1000))
      ->type_name("N");
  add_output(*app, o->common);
  app->footer(
      "Ends when the run does; Ctrl-C ends the watching alone.\n\n"
      "Example:\n  akin watch runs/birds");
  app->callback([o] { watch(*o); });
}

}  // namespace akin
