// Ranks that are threads of one process: what is built on engine/ranks.hpp is tested without MPI.
#pragma once

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "engine/ranks.hpp"
#include "kernels/common/parallel.hpp"

namespace akin::test {

class ThreadRanks final : public Ranks {
 public:
  struct Team {
    explicit Team(int n, double limit, int first_of_all = 0)
        : size(n),
          first(first_of_all),
          timeout(limit),
          sent(static_cast<std::size_t>(n)),
          posted(static_cast<std::size_t>(n)),
          expected(n) {}
    int size, first;  ///< of a group: the number of its first rank among all
    double timeout;
    std::vector<const void*> sent;
    std::vector<std::deque<Message>> posted;
    std::map<int, std::shared_ptr<Team>> groups;  ///< by their first rank
    std::mutex mutex;
    std::condition_variable met;
    int expected, here = 0, meetings = 0;

    void meet(const std::function<void()>& while_waiting) {
      std::unique_lock lock(mutex);
      const int before = meetings;
      ++here;
      close_meeting();
      while (meetings == before) {
        met.wait_for(lock, std::chrono::milliseconds(1));
        if (!while_waiting || meetings != before) continue;
        lock.unlock();
        while_waiting();
        lock.lock();
      }
    }
    void drop() {
      const std::lock_guard lock(mutex);
      --expected;
      close_meeting();
    }

   private:
    void close_meeting() {
      if (here < expected || here == 0) return;
      here = 0;
      ++meetings;
      met.notify_all();
    }
  };
  ThreadRanks(std::shared_ptr<Team> team, int rank) : team_(std::move(team)), rank_(rank) {}
  /// Who ends early lets the others go on: their sums are wrong then, but nobody hangs.
  ~ThreadRanks() override { team_->drop(); }

  int rank() const override { return rank_; }
  int size() const override { return team_->size; }
  std::string name(int rank) const override { return "rank " + std::to_string(team_->first + rank) + " (thread)"; }
  void all_to_all(const void* send, void* receive, std::size_t each, const std::string&) override {
    meet(send, [&](int from, const void* theirs) {
      std::memcpy(piece(receive, from, each), piece(const_cast<void*>(theirs), rank_, each), each);
    });
  }
  void all_gather(const void* own, void* all, std::size_t each, const std::string&) override {
    meet(own, [&](int from, const void* theirs) { std::memcpy(piece(all, from, each), theirs, each); });
  }
  void broadcast(void* data, std::size_t bytes, int from, const std::string&) override {
    meet(data, [&](int r, const void* theirs) {
      if (r == from && r != rank_) std::memcpy(data, theirs, bytes);
    });
  }
  void barrier(const std::string&) override { team_->meet(while_waiting); }
  void post(int to, const std::string& text) override {
    const std::lock_guard lock(team_->mutex);
    team_->posted[static_cast<std::size_t>(to)].push_back({rank_, text});
  }
  std::optional<Message> take() override {
    if (while_waiting) while_waiting();
    const std::lock_guard lock(team_->mutex);
    auto& mine = team_->posted[static_cast<std::size_t>(rank_)];
    if (mine.empty()) return {};
    Message m = std::move(mine.front());
    mine.pop_front();
    return m;
  }
  std::shared_ptr<Ranks> group(int each) override {
    const int first = rank_ / each * each;
    const std::lock_guard lock(team_->mutex);
    std::shared_ptr<Team>& team = team_->groups[first];
    if (team == nullptr) team = std::make_shared<Team>(each, team_->timeout, first);
    return std::make_shared<ThreadRanks>(team, rank_ - first);
  }
  double timeout() const override { return team_->timeout; }
  void no_answer(const std::string& what) override { throw RankError("no answer, waiting for " + what); }
  void leave_out(int rank) override { left_out.push_back(rank); }

  std::vector<int> left_out;

 private:
  static char* piece(void* of, int r, std::size_t each) {
    return static_cast<char*>(of) + static_cast<std::size_t>(r) * each;
  }
  template <class Take>
  void meet(const void* own, Take&& take) {
    team_->sent[static_cast<std::size_t>(rank_)] = own;
    team_->meet(while_waiting);
    for (int r = 0; r < team_->size; ++r) take(r, team_->sent[static_cast<std::size_t>(r)]);
    team_->meet(while_waiting);
  }
  std::shared_ptr<Team> team_;
  int rank_;
};

/// Runs `body` as each of n ranks; the messages of the errors that left it, by rank.
inline std::vector<std::string> as_ranks(int n, const std::function<void(const std::shared_ptr<Ranks>&)>& body,
                                         double timeout = 300) {
  const auto team = std::make_shared<ThreadRanks::Team>(n, timeout);
  std::vector<std::string> errors(static_cast<std::size_t>(n));
  std::vector<std::thread> threads;
  for (int r = 0; r < n; ++r)
    threads.emplace_back([&, r] {
      set_threads(1);
      try {
        body(std::make_shared<ThreadRanks>(team, r));
      } catch (const std::exception& e) {
        errors[static_cast<std::size_t>(r)] = e.what();
      }
    });
  for (std::thread& t : threads) t.join();
  return errors;
}

}  // namespace akin::test
