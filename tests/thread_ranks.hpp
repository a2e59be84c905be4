// Ranks that are threads of one process: what is built on engine/ranks.hpp is tested without MPI.
#pragma once

#include <algorithm>
#include <barrier>
#include <cstring>
#include <deque>
#include <exception>
#include <functional>
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
    explicit Team(int n) : size(n), sent(static_cast<std::size_t>(n)), posted(static_cast<std::size_t>(n)), all(n) {}
    int size;
    std::vector<const void*> sent;
    std::vector<std::deque<Message>> posted;
    std::mutex mutex;
    std::barrier<> all;
  };
  ThreadRanks(std::shared_ptr<Team> team, int rank) : team_(std::move(team)), rank_(rank) {}
  /// Who ends early lets the others go on: their sums are wrong then, but nobody hangs.
  ~ThreadRanks() override { team_->all.arrive_and_drop(); }

  int rank() const override { return rank_; }
  int size() const override { return team_->size; }
  std::string name(int rank) const override { return "rank " + std::to_string(rank) + " (thread)"; }
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
  void barrier(const std::string&) override { team_->all.arrive_and_wait(); }
  void post(int to, const std::string& text) override {
    const std::lock_guard lock(team_->mutex);
    team_->posted[static_cast<std::size_t>(to)].push_back({rank_, text});
  }
  std::optional<Message> take() override {
    const std::lock_guard lock(team_->mutex);
    auto& mine = team_->posted[static_cast<std::size_t>(rank_)];
    if (mine.empty()) return {};
    Message m = std::move(mine.front());
    mine.pop_front();
    return m;
  }

 private:
  static char* piece(void* of, int r, std::size_t each) {
    return static_cast<char*>(of) + static_cast<std::size_t>(r) * each;
  }
  template <class Take>
  void meet(const void* own, Take&& take) {
    team_->sent[static_cast<std::size_t>(rank_)] = own;
    team_->all.arrive_and_wait();
    for (int r = 0; r < team_->size; ++r) take(r, team_->sent[static_cast<std::size_t>(r)]);
    team_->all.arrive_and_wait();
  }
  std::shared_ptr<Team> team_;
  int rank_;
};

/// Runs `body` as each of n ranks; the messages of the errors that left it, by rank.
inline std::vector<std::string> as_ranks(int n, const std::function<void(const std::shared_ptr<Ranks>&)>& body) {
  const auto team = std::make_shared<ThreadRanks::Team>(n);
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
