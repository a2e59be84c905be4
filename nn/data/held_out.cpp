#include "nn/data/held_out.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <unordered_map>

#include "engine/io/sha256.hpp"
#include "kernels/common/parallel.hpp"
#include "nn/data/image_view.hpp"

namespace akin {

HeldOut hold_out_by_order(const Indices& order, const std::vector<std::uint64_t>& pixels,
                          const std::vector<int>& labels, std::int64_t fewest) {
  std::unordered_map<std::uint64_t, Indices> alike;
  std::map<int, std::int64_t> count, taken;
  for (const std::int64_t i : order) {
    alike[pixels.at(static_cast<std::size_t>(i))].push_back(i);
    ++count[labels.at(static_cast<std::size_t>(i))];
  }
  const auto most_of = [&](int label) {
    const std::int64_t all = count.at(label);
    return all < fewest ? 0 : std::max<std::int64_t>(1, std::llround(kHeldOutShare * static_cast<double>(all)));
  };
  HeldOut out;
  for (const std::int64_t i : order) {
    Indices& group = alike.at(pixels[static_cast<std::size_t>(i)]);  // empty: told with an earlier one
    std::map<int, std::int64_t> own;
    for (const std::int64_t k : group) ++own[labels[static_cast<std::size_t>(k)]];
    const bool fits = std::all_of(own.begin(), own.end(),
                                  [&](const auto& p) { return taken[p.first] + p.second <= most_of(p.first); });
    Indices& side = fits ? out.test : out.kept;
    side.insert(side.end(), group.begin(), group.end());
    if (fits)
      for (const auto& [label, images] : own) taken[label] += images;
    group.clear();
  }
  std::sort(out.kept.begin(), out.kept.end());
  std::sort(out.test.begin(), out.test.end());
  return out;
}

HeldOut hold_out(const std::vector<std::filesystem::path>& files, const std::vector<std::uint64_t>& pixels,
                 const std::vector<int>& labels) {
  const auto n = std::ssize(files);
  AKIN_CHECK(std::ssize(pixels) == n && std::ssize(labels) == n, "hold_out: {} files, {} images and {} labels", n,
             pixels.size(), labels.size());
  std::vector<std::string> digests(files.size());
  parallel_for(n, 1, [&](std::int64_t begin, std::int64_t end) {
    for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i)
      digests[i] = sha256_file(files[i]);
  });
  // Files of equal content show the same and go together, whichever comes first.
  Indices order = all_indices(n);
  std::stable_sort(order.begin(), order.end(), [&](std::int64_t a, std::int64_t b) {
    return digests[static_cast<std::size_t>(a)] < digests[static_cast<std::size_t>(b)];
  });
  return hold_out_by_order(order, pixels, labels, 2);
}

}  // namespace akin
