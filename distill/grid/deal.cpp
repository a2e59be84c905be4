#include "distill/grid/deal.hpp"

#include <charconv>
#include <chrono>
#include <thread>
#include <utility>

namespace akin {

namespace {

// The first word of a message: to the first rank, and from it.
constexpr std::string_view kAsk = "ask", kMade = "made", kDone = "done", kStopped = "stopped";
constexpr std::string_view kTake = "take ", kStop = "stop";

void rest() { std::this_thread::sleep_for(std::chrono::microseconds(200)); }

}  // namespace

Deal::Deal(Ranks* ranks, std::size_t cells, std::function<void(const DealtCell&)> told)
    : ranks_(ranks), cells_(cells), told_(std::move(told)) {}

std::size_t Deal::next() {
  if (ranks_ == nullptr || ranks_->is_first()) {
    serve();
    return dealt_ < cells_ ? dealt_++ : cells_;
  }
  ranks_->post(0, std::string(kAsk));
  for (;; rest()) {
    const auto m = ranks_->take();
    if (!m) continue;
    if (m->text == kStop) {
      stop_ = true;
      continue;  // the answer comes all the same
    }
    AKIN_CHECK(m->text.starts_with(kTake), "grid: {} said '{}'", ranks_->name(m->from), m->text);
    std::size_t number = 0;
    std::from_chars(m->text.data() + kTake.size(), m->text.data() + m->text.size(), number);
    return number;
  }
}

bool Deal::any_is_mine(std::size_t begin, std::size_t end) {
  while (mine_ < begin + 1 && mine_ <= cells_) mine_ = next() + 1;
  return mine_ >= begin + 1 && mine_ <= end && mine_ <= cells_;
}

void Deal::made(const DealtCell& cell) {
  if (ranks_ != nullptr && !ranks_->is_first())
    ranks_->post(0, fmt::format("{}\n{}\n{}", kMade, cell.line, cell.error));
}

bool Deal::serve() {
  if (ranks_ == nullptr) return false;
  while (const auto m = ranks_->take()) {
    if (!ranks_->is_first()) {
      stop_ = stop_ || m->text == kStop;
      continue;
    }
    if (m->text == kAsk) {
      ranks_->post(m->from, fmt::format("{}{}", kTake, dealt_ < cells_ && !stop_ ? dealt_++ : cells_));
    } else if (m->text.starts_with(kMade)) {
      const std::size_t line = kMade.size() + 1, error = m->text.find('\n', line) + 1;
      told_({m->text.substr(line, error - line - 1), m->text.substr(error)});
    } else {
      ++gone_;
      all_done_ = all_done_ && m->text == kDone;
    }
  }
  return stop_;
}

bool Deal::end(bool stopped) {
  if (ranks_ == nullptr) return !stopped;
  if (!ranks_->is_first()) {
    ranks_->post(0, std::string(stopped ? kStopped : kDone));
    return !stopped;
  }
  stop_ = stopped;
  for (int r = 1; stopped && r < ranks_->size(); ++r) ranks_->post(r, std::string(kStop));
  for (serve(); gone_ < ranks_->size() - 1; serve()) rest();
  return all_done_ && !stopped;
}

}  // namespace akin
