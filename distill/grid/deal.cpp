#include "distill/grid/deal.hpp"

#include <algorithm>
#include <charconv>
#include <string_view>
#include <thread>
#include <utility>

namespace akin {

namespace {

// The first word of a message: to the first rank, and from it.
constexpr std::string_view kAsk = "ask", kMade = "made", kDone = "done", kStopped = "stopped";
constexpr std::string_view kTake = "take ", kStop = "stop", kRest = "rest", kEnd = "end";
constexpr std::string_view kAlive = "alive";    // both ways
constexpr std::string_view kFailed = "failed";  // between the ranks of a group

constexpr double kSigns = 4;     // of life, in the time after which a rank counts as lost
constexpr double kListens = 10;  // at least, before one counts as lost: this rank may have been stopped itself

void rest() { std::this_thread::sleep_for(std::chrono::microseconds(200)); }

}  // namespace

std::optional<std::size_t> CellRoster::deal(std::size_t group) {
  if (!back_.empty()) {
    held_[group] = back_.back();
    back_.pop_back();
  } else if (next_ < made_.size()) {
    held_[group] = next_++;
  }
  return held_[group];
}

void CellRoster::made(std::size_t group) {
  if (held_[group]) made_[*held_[group]] = true;
  held_[group].reset();
}

bool CellRoster::take_back(std::size_t group) {
  if (!held_[group]) return false;
  back_.push_back(*std::exchange(held_[group], std::nullopt));
  return true;
}

void CellRoster::close() {
  back_.clear();
  next_ = made_.size();
}

bool CellRoster::open() const {
  const auto busy = [](const std::optional<std::size_t>& cell) { return cell.has_value(); };
  return !back_.empty() || next_ < made_.size() || std::any_of(held_.begin(), held_.end(), busy);
}

Deal::Deal(Ranks* ranks, Ranks* group, std::size_t cells, Told told)
    : ranks_(ranks),
      group_(group),
      each_(group == nullptr ? 1 : group->size()),
      cells_(cells),
      told_(std::move(told)),
      signed_(Clock::now()),
      listened_(signed_),
      roster_(ranks == nullptr ? 1 : static_cast<std::size_t>(ranks->size() / each_), cells),
      peers_(ranks == nullptr ? 1 : static_cast<std::size_t>(ranks->size())),
      groups_(peers_.size() / static_cast<std::size_t>(each_)) {
  if (group_ == nullptr) return;
  group_->while_waiting = [this] {
    serve();
    end_waiting_in_vain();
  };
}

Deal::~Deal() {
  if (group_ != nullptr) group_->while_waiting = {};
}

std::optional<std::size_t> Deal::next(bool wait) {
  std::size_t number = cells_;
  if (is_first()) {
    for (serve();; serve(), rest()) {
      if (const auto cell = roster_.deal(0)) number = *cell;
      if (number < cells_ || !wait || !roster_.open()) break;
    }
  } else if (leads()) {
    answer_.reset();
    for (ranks_->post(0, std::string(kAsk)); !answer_; rest()) serve();
    number = *answer_;
  }
  if (group_ != nullptr) group_->broadcast(&number, sizeof number, 0, "a cell");
  return number < cells_ ? std::optional(number) : std::nullopt;
}

bool Deal::any_is_mine(std::size_t begin, std::size_t end) {
  if (!held_ && !dry_) {
    held_ = next(false);
    dry_ = !held_;
  }
  return held_ && *held_ >= begin && *held_ < end;
}

bool Deal::more() {
  if (ranks_ == nullptr) return false;
  const bool in_first_group = ranks_->rank() < each_;  // whose first does not wait in the course of its work
  if (!held_ && (!dry_ || in_first_group)) held_ = next(true);
  dry_ = !held_;
  return held_.has_value();
}

void Deal::made(const DealtCell& cell) {
  held_.reset();
  if (is_first())
    roster_.made(0);
  else if (leads())
    ranks_->post(0, fmt::format("{}\n{}\n{}", kMade, cell.line, cell.error));
}

bool Deal::serve() {
  if (ranks_ == nullptr) return false;
  while (const auto m = ranks_->take()) is_first() ? hear_as_first(*m) : hear(*m);
  look_after_ranks();
  give_sign_of_life();
  if (is_first()) answer();
  if (left_out_ && !std::exchange(resting_, true)) throw LeftOut();
  return stop_;
}

void Deal::failed(const std::string& error) {
  if (group_ == nullptr) return;
  for (int r = ranks_->rank() / each_ * each_, end = r + each_; r < end; ++r)
    if (r != ranks_->rank()) ranks_->post(r, fmt::format("{}\n{}", kFailed, error));
  for (; failures_ < each_ - 1; rest()) serve();
  failures_ = 0;
}

bool Deal::hear_of_failure(const Ranks::Message& m) {
  if (!m.text.starts_with(kFailed)) return false;
  if (failures_++ == 0) failed_ = Clock::now();
  failure_ = fmt::format("{}: {}", ranks_->name(m.from), m.text.substr(kFailed.size() + 1));
  return true;
}

/// A rank that has failed takes part in nothing that has not begun; what has is done in no time.
void Deal::end_waiting_in_vain() const {
  const double seconds = std::min(2.0, ranks_->timeout() / 2);
  if (failures_ > 0 && std::chrono::duration<double>(Clock::now() - failed_).count() > seconds)
    throw RankError(failure_);
}

void Deal::hear_as_first(const Ranks::Message& m) {
  Peer& peer = peers_[static_cast<std::size_t>(m.from)];
  const std::size_t g = group_of(m.from);
  Group& group = groups_[g];
  peer.awake = peer.lost;
  if (peer.lost) return;  // it was told to rest, and hears it when it listens
  peer.quiet = 0;
  if (hear_of_failure(m)) return;
  if (m.text == kAlive || group.out) return;
  if (m.text == kAsk) {
    group.asks = true;
  } else if (m.text.starts_with(kMade)) {
    const std::size_t line = kMade.size() + 1, error = m.text.find('\n', line) + 1;
    roster_.made(g);
    told_.made({m.text.substr(line, error - line - 1), m.text.substr(error)});
  } else if (m.text == kStopped) {
    all_done_ = false;
    roster_.drop(g);
    leave_out(g);
  } else {
    group.done = group.done || m.from % each_ == 0;
  }
}

void Deal::hear(const Ranks::Message& m) {
  if (hear_of_failure(m)) return;
  first_.quiet = 0;
  if (m.text == kStop)
    stop_ = true;
  else if (m.text == kRest)
    left_out_ = true;
  else if (m.text == kEnd)
    ended_ = true;
  else if (m.text.starts_with(kTake))
    std::from_chars(m.text.data() + kTake.size(), m.text.data() + m.text.size(), answer_.emplace());
  else
    AKIN_CHECK(m.text == kAlive, "grid: {} said '{}'", ranks_->name(m.from), m.text);
}

void Deal::look_after_ranks() {
  const auto now = Clock::now();
  const double limit = ranks_->timeout();
  const double passed =
      std::min(std::chrono::duration<double>(now - std::exchange(listened_, now)).count(), limit / kListens);
  if (!is_first()) {
    first_.quiet += passed;
    if (first_.quiet <= limit) return;
    ranks_->no_answer("the first rank, which deals the cells");
    first_.quiet = 0;
    return;
  }
  for (int r = 1; r < ranks_->size(); ++r) {
    Peer& peer = peers_[static_cast<std::size_t>(r)];
    peer.quiet += passed;
    if (!peer.lost && peer.quiet > limit) lose(r);
  }
}

void Deal::lose(int rank) {
  peers_[static_cast<std::size_t>(rank)].lost = true;
  ranks_->leave_out(rank);
  const std::size_t g = group_of(rank);
  const bool had = roster_.take_back(g);
  told_.lost(fmt::format("no answer from {} for {:g} s: stopped, ended or cut off; {}the others go on",
                         ranks_->name(rank), ranks_->timeout(), had ? "its cell is dealt anew, and " : ""));
  leave_out(g);
}

/// Its other ranks wait for the end of all; the first one goes on without them.
void Deal::leave_out(std::size_t g) {
  if (std::exchange(groups_[g].out, true)) return;
  for (int r = static_cast<int>(g) * each_; r < static_cast<int>(g + 1) * each_; ++r)
    if (r == 0)
      left_out_ = true;
    else
      ranks_->post(r, std::string(kRest));
}

void Deal::answer() {
  for (std::size_t g = 1; g < groups_.size(); ++g) {
    Group& group = groups_[g];
    if (!group.asks || group.out) continue;
    const std::optional<std::size_t> cell = roster_.deal(g);
    if (!cell && roster_.open()) continue;  // one may come back
    group.asks = false;
    ranks_->post(static_cast<int>(g) * each_, fmt::format("{}{}", kTake, cell.value_or(cells_)));
  }
}

void Deal::give_sign_of_life() {
  const auto now = Clock::now();
  if (std::chrono::duration<double>(now - signed_).count() < ranks_->timeout() / kSigns) return;
  signed_ = now;
  if (!is_first()) return ranks_->post(0, std::string(kAlive));
  for (int r = 1; r < ranks_->size(); ++r)
    if (const Peer& peer = peers_[static_cast<std::size_t>(r)]; !peer.lost || peer.awake)
      ranks_->post(r, std::string(kAlive));
}

bool Deal::goes_on_alone(bool can) {
  if (!is_first() || !can) return false;
  group_->while_waiting = {};
  group_ = nullptr;
  held_.reset();
  dry_ = left_out_ = false;
  return true;
}

bool Deal::end(bool stopped) {
  if (ranks_ == nullptr) return !stopped;
  resting_ = true;
  if (!is_first()) {
    ranks_->post(0, std::string(stopped ? kStopped : kDone));
    for (; !ended_; rest()) serve();
    return !stopped;
  }
  stop_ = stopped;
  const auto to_all = [&](std::string_view text) {
    for (int r = 1; r < ranks_->size(); ++r) ranks_->post(r, std::string(text));
  };
  if (stopped) {
    roster_.close();
    roster_.drop(0);
    to_all(kStop);
  }
  const auto works = [](const Group& g) { return !g.out && !g.done; };
  for (; std::any_of(groups_.begin() + 1, groups_.end(), works); rest()) serve();
  to_all(kEnd);
  if (roster_.open()) told_.lost("cells are left that no group of ranks is there for; the next run makes them");
  return all_done_ && !stopped && !roster_.open();
}

}  // namespace akin
