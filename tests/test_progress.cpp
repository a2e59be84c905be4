#include "apps/progress.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <filesystem>
#include <sstream>
#include <stdexcept>
#include <thread>
#include <vector>

using namespace akin;

namespace {

struct Bench {
  std::ostringstream out;
  std::atomic<std::int64_t> milliseconds{0};
  ProgressOptions options(std::int64_t total) {
    ProgressOptions o;
    o.label = "train";
    o.total = total;
    o.now = [this] { return std::chrono::steady_clock::time_point(std::chrono::milliseconds(milliseconds.load())); };
    return o;
  }
};

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t n = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + part.size())) ++n;
  return n;
}

bool has(const std::string& text, const std::string& part) { return count(text, part) > 0; }

/// What a terminal shows in the end: \r goes back, ESC[K erases; colours take no room.
std::vector<std::string> screen(const std::string& text) {
  std::vector<std::string> lines(1);
  bool back = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\r') {
      back = true;
    } else if (text[i] == '\n') {
      lines.emplace_back();
      back = false;
    } else if (text.compare(i, 2, "\x1b[") == 0) {
      while (std::isalpha(static_cast<unsigned char>(text[i])) == 0) ++i;
      if (text[i] == 'K' && back) lines.back().clear();
    } else {
      if (back) lines.back().clear();
      back = false;
      lines.back() += text[i];
    }
  }
  return lines;
}

}  // namespace

TEST_CASE("on a terminal one line is drawn over, with rate and time left") {
  Bench b;
  {
    Progress p(b.out, {.tty = true, .colour = false, .columns = 80}, b.options(1000));
    for (int i = 0; i < 25; ++i) {
      b.milliseconds += 100;
      p.advance(10);
    }
    const std::string line = screen(b.out.str()).back();
    CHECK(has(line, "train"));
    CHECK(has(line, "250/1000"));
    CHECK(has(line, "100 images/s"));
    CHECK(has(line, "8 s left"));  // 750 / 100 = 7.5 s, rounded up
    CHECK(has(line, "━"));
    CHECK(!has(b.out.str(), "\n"));
    CHECK(!has(b.out.str(), "\x1b[3"));  // no colour
    b.milliseconds += 7500;
    p.advance(750);
    p.finish();
  }
  const auto lines = screen(b.out.str());
  REQUIRE(lines.size() == 2);
  CHECK(has(lines[0], "1000/1000"));
  CHECK(has(lines[0], "in 10 s"));
  CHECK(lines[1].empty());
}

TEST_CASE("drawing is rate-limited, counting is not") {
  Bench b;
  {
    Progress p(b.out, {.tty = true}, b.options(100000));
    for (int i = 0; i < 100000; ++i) {
      if (i % 100 == 0) ++b.milliseconds;
      p.advance();
    }
  }
  CHECK(count(b.out.str(), "\r") <= 1000 / 100 + 2);
  CHECK(has(screen(b.out.str())[0], "100000/100000"));
}

TEST_CASE("elsewhere plain lines at an interval, no control characters") {
  Bench b;
  {
    Progress p(b.out, {.tty = false}, b.options(100));
    for (int i = 0; i < 100; ++i) {
      b.milliseconds += 300;
      p.advance();
    }
    p.finish();
  }
  const std::string text = b.out.str();
  CHECK(count(text, "\n") ==
        3);  // after 10 and 20 seconds (30 s in all; the last falls together with the end) and the end
  CHECK(!has(text, "\r"));
  CHECK(!has(text, "\x1b"));
  CHECK(has(text, "train: 34/100"));
  CHECK(has(text, "train: 100/100"));
  CHECK(has(text, "(100 %)"));
}

TEST_CASE("a narrow terminal never gets a line that wraps") {
  for (int columns : {10, 20, 40, 60, 200}) {
    Bench b;
    Progress p(b.out, {.tty = true, .colour = true, .columns = columns}, b.options(1000));
    p.note("loss 0.431 and a long tail of words\r\n\x1b[2J");
    b.milliseconds = 500;
    p.advance(333);
    const auto lines = screen(b.out.str());
    CHECK(lines.size() == 1);
    CHECK(!has(b.out.str(), "\x1b[2J"));
    int characters = 0;
    for (char c : lines[0]) characters += (static_cast<unsigned char>(c) & 0xC0) != 0x80;
    CHECK(characters < columns);
  }
}

TEST_CASE("an exception leaves how far the work came, on a line of its own") {
  for (bool tty : {true, false}) {
    Bench b;
    try {
      Progress p(b.out, {.tty = tty}, b.options(10));
      b.milliseconds = 50;
      p.advance(4);
      throw std::runtime_error("broken");
    } catch (const std::runtime_error&) {
    }
    CHECK(has(b.out.str(), "4/10"));
    CHECK(has(b.out.str(), "(stopped)"));
    CHECK(b.out.str().back() == '\n');
  }
}

TEST_CASE("a stream that throws does not end the program") {
  Bench b;
  b.out.exceptions(std::ios::failbit | std::ios::badbit);
  {
    Progress p(b.out, {.tty = true}, b.options(10));
    b.out.clear();
    b.out.exceptions(std::ios::goodbit);
    b.out.setstate(std::ios::badbit);
    CHECK_NOTHROW(p.advance());
  }
}

TEST_CASE("resumed work counts, but not for the rate") {
  Bench b;
  Progress p(b.out, {.tty = true}, b.options(1000));
  p.skip(900);
  b.milliseconds = 1000;
  p.advance(50);
  CHECK(has(screen(b.out.str()).back(), "950/1000"));
  CHECK(has(screen(b.out.str()).back(), "50 images/s"));
  CHECK(has(screen(b.out.str()).back(), "1 s left"));
}

TEST_CASE("a message stands above the bar") {
  Bench b;
  Progress p(b.out, {.tty = true}, b.options(10));
  p.advance();
  p.message("saved checkpoint");
  const auto lines = screen(b.out.str());
  REQUIRE(lines.size() == 2);
  CHECK(lines[0] == "saved checkpoint");
  CHECK(has(lines[1], "1/10"));
}

TEST_CASE("unknown totals have no bar and no time left") {
  Bench b;
  Progress p(b.out, {.tty = true}, b.options(0));
  b.milliseconds = 1000;
  p.advance(5);
  CHECK(has(screen(b.out.str()).back(), "5.0 images/s"));
  CHECK(!has(b.out.str(), "left"));
  CHECK(!has(b.out.str(), "━"));
}

TEST_CASE("many threads advance it, and nothing is lost") {
  Bench b;
  {
    Progress p(b.out, {.tty = true}, b.options(40000));
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < 10000; ++i) {
          if (i % 10 == 0) ++b.milliseconds;
          p.advance();
          if (i % 1000 == 0) p.note("loss");
        }
      });
    }
    for (std::thread& t : threads) t.join();
  }
  CHECK(has(screen(b.out.str())[0], "40000/40000"));
}

TEST_CASE("time left as people read it") {
  CHECK(time_left(0) == "0 s");
  CHECK(time_left(11.2) == "12 s");
  CHECK(time_left(185) == "3:05");
  CHECK(time_left(7800) == "2:10:00");
  CHECK(time_left(-1) == "?");
  CHECK(time_left(1e300) == "?");
}

TEST_CASE("short work is not said to have taken a second") {
  Bench b;
  {
    Progress p(b.out, {.tty = true, .columns = 100}, b.options(100));
    b.milliseconds = 120;
    p.advance(100);
    p.finish();
  }
  CHECK(has(screen(b.out.str())[0], "100/100"));
  CHECK(has(screen(b.out.str())[0], "in 0.1 s"));
  CHECK(time_taken(0.04) == "0.0 s");
  CHECK(time_taken(9.94) == "9.9 s");
  CHECK(time_taken(59.2) == "1:00");
}

TEST_CASE("the line of a piece is that of the whole run, and leaves nothing behind") {
  Bench b;
  ProgressOptions options = b.options(400);
  options.label = "DistillEqual, seed 0";
  options.unit = "steps";
  // Two of five students took 100 s; the work of the third is a quarter of all, as theirs was.
  options.run = {.name = "3 of 5 students", .before = 25, .own = 25, .in_all = 100, .seconds = 100};
  Progress p(b.out, {.tty = true, .columns = 100}, options);
  b.milliseconds = 50000;
  p.advance(200);
  p.note("loss 0.431");
  // 150 s for 37.5 %: 250 s are left.
  const std::string line = screen(b.out.str()).back();
  CAPTURE(line);
  CHECK(line.starts_with("3 of 5 students ━"));
  CHECK(has(line, "about 4 min left  DistillEqual, seed 0  200/400  4.0 steps/s"));
  const auto filled = static_cast<double>(count(line, "━")), empty = static_cast<double>(count(line, "─"));
  CHECK(std::abs(filled / (filled + empty) - 0.375) < 0.1);
  p.finish();
  CHECK(screen(b.out.str()) == std::vector<std::string>{""});

  Bench plain;
  {
    ProgressOptions own = plain.options(400);
    own.label = options.label;
    own.run = options.run;
    Progress q(plain.out, {.tty = false}, own);
    plain.milliseconds = 50000;
    q.advance(200);
  }
  CHECK(has(plain.out.str(),
            "3 of 5 students, about 4 min left: DistillEqual, seed 0: 200/400  4.0 images/s (38 % of all)\n"));
}

TEST_CASE("on a narrow terminal parts are left out, and none is cut") {
  for (const int columns : {24, 30, 40, 60, 80, 120, 200}) {
    Bench b;
    ProgressOptions options = b.options(6000);
    options.label = "ProbeTaught, seed 0";
    options.unit = "steps";
    options.run = {.name = "3 of 4 students", .before = 1, .own = 3, .in_all = 8, .seconds = 60};
    Progress p(b.out, {.tty = true, .columns = columns}, options);
    p.note("loss 0.431");
    b.milliseconds = 30000;
    p.advance(3000);
    std::string line = screen(b.out.str()).back();
    CAPTURE(columns);
    CAPTURE(line);
    std::size_t shown = 0;
    for (const char c : line) shown += (static_cast<unsigned char>(c) & 0xC0) != 0x80;
    CHECK(shown < static_cast<std::size_t>(columns));
    CHECK(line.starts_with("3 of 4 students"));
    CHECK(has(line, "about 3 min left") == (columns >= 40));
    CHECK(has(line, "ProbeTaught, seed 0") == (columns >= 60));
    CHECK(has(line, "━") == (columns < 40 || columns >= 80));
    CHECK(has(line, "3000/6000") == (columns >= 80));
    CHECK(has(line, "loss 0.431") == (columns >= 120));
  }
  // Work that stands for itself, of a long name.
  for (const int columns : {40, 60, 80}) {
    Bench b;
    ProgressOptions options = b.options(700);
    options.label = "outputs of imagenet_mobilenet_v1_0.25_128_u8_and_more";
    Progress p(b.out, {.tty = true, .columns = columns}, options);
    b.milliseconds = 2000;
    p.advance(350);
    const std::string line = screen(b.out.str()).back();
    CAPTURE(line);
    CHECK(has(line, "350/700"));
    CHECK(line.starts_with("outputs of"));
    if (columns < 80) CHECK(has(line, "…"));
  }
}

TEST_CASE("what is left of a run as people say it") {
  CHECK(about(3.2) == "about 4 s");
  CHECK(about(41) == "about 45 s");
  CHECK(about(70) == "about 1 min");
  CHECK(about(250) == "about 4 min");
  CHECK(about(9000) == "about 2.5 h");
  CHECK(about(-1).empty());
  CHECK(about(std::nan("")).empty());
}

TEST_CASE("a link holds the whole path, with what no address may hold spelled out") {
  const std::string link = linked("report.html", "/tmp/my birds/é.html");
  CHECK(link.starts_with("\x1b]8;;file://"));
  CHECK(has(link, "/tmp/my%20birds/%C3%A9.html\x1b\\report.html\x1b]8;;\x1b\\"));
  CHECK(has(linked("x", "runs/x"), std::filesystem::current_path().string() + "/runs/x"));
}
