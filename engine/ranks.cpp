#include "engine/ranks.hpp"

#include <zlib.h>

#include <algorithm>
#include <thread>

namespace akin {

void Ranks::wait_until(const std::function<bool()>& done, const std::string&) {
  while (!done()) std::this_thread::yield();
}

void on_first(Ranks* ranks, const std::string& what, const std::function<void()>& work) {
  if (ranks == nullptr) return work();
  std::string problem;
  if (ranks->is_first()) try {
      work();
    } catch (const Error& e) {
      problem = e.what();
    }
  broadcast(*ranks, problem, 0, what);
  AKIN_CHECK(problem.empty(), "{}", problem);
}

void broadcast(Ranks& ranks, std::string& text, int from, const std::string& what) {
  std::uint64_t bytes = text.size();
  ranks.broadcast(&bytes, sizeof bytes, from, what);
  text.resize(bytes);
  if (bytes > 0) ranks.broadcast(text.data(), bytes, from, what);
}

std::vector<std::string> gather(Ranks& ranks, const std::string& own, const std::string& what) {
  const auto N = static_cast<std::size_t>(ranks.size());
  const std::uint64_t bytes = own.size();
  std::vector<std::uint64_t> sizes(N);
  ranks.all_gather(&bytes, sizes.data(), sizeof bytes, what);
  const std::size_t most = *std::max_element(sizes.begin(), sizes.end());
  std::string padded = own, all(N * most, '\0');
  padded.resize(most);
  if (most > 0) ranks.all_gather(padded.data(), all.data(), most, what);
  std::vector<std::string> out;
  for (std::size_t r = 0; r < N; ++r) out.push_back(all.substr(r * most, sizes[r]));
  return out;
}

void check_same(Ranks& ranks, const std::string& own, const std::string& what) {
  constexpr std::size_t kShown = 100;
  const std::vector<std::string> all = gather(ranks, own, what);
  for (int r = 1; r < ranks.size(); ++r) {
    const std::string& its = all[static_cast<std::size_t>(r)];
    if (its == all[0]) continue;
    fail("{}: has another {} than {}{}; all ranks need the same program, settings and files", ranks.name(r), what,
         ranks.name(0),
         its.size() <= kShown && all[0].size() <= kShown ? fmt::format(" ('{}', not '{}')", its, all[0]) : "");
  }
}

std::uint32_t checksum(std::span<const std::byte> bytes) {
  constexpr std::size_t kMost = std::size_t{1} << 30;  // of one call
  uLong sum = ::crc32(0, nullptr, 0);
  while (!bytes.empty()) {
    const std::size_t n = std::min(bytes.size(), kMost);
    sum = ::crc32(sum, reinterpret_cast<const Bytef*>(bytes.data()), static_cast<uInt>(n));
    bytes = bytes.subspan(n);
  }
  return static_cast<std::uint32_t>(sum);
}

std::optional<Difference> first_difference(Ranks& ranks, std::span<const std::uint32_t> own, const std::string& what) {
  const std::size_t n = own.size();
  std::vector<std::uint32_t> all(n * static_cast<std::size_t>(ranks.size()));
  ranks.all_gather(own.data(), all.data(), n * sizeof(std::uint32_t), what);
  for (std::size_t i = 0; i < n; ++i)
    for (int r = 1; r < ranks.size(); ++r)
      if (all[static_cast<std::size_t>(r) * n + i] != all[i]) return Difference{i, r};
  return {};
}

}  // namespace akin
