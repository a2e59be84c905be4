#include "nn/data/held_out.hpp"

#include <algorithm>
#include <cmath>
#include <map>

#include "engine/io/sha256.hpp"
#include "kernels/common/parallel.hpp"

namespace akin {

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
  struct Group {
    std::string first;  // digest
    Indices images;
  };
  std::map<std::uint64_t, Group> by_pixels;
  std::map<int, std::int64_t> count, taken;
  for (std::size_t i = 0; i < files.size(); ++i) {
    Group& group = by_pixels[pixels[i]];
    group.first = group.images.empty() ? digests[i] : std::min(group.first, digests[i]);
    group.images.push_back(static_cast<std::int64_t>(i));
    ++count[labels[i]];
  }
  std::vector<Group> groups;
  for (auto& [hash, group] : by_pixels) groups.push_back(std::move(group));
  std::sort(groups.begin(), groups.end(), [](const Group& a, const Group& b) { return a.first < b.first; });
  HeldOut out;
  for (const Group& group : groups) {
    std::map<int, std::int64_t> own;
    for (const std::int64_t i : group.images) ++own[labels[static_cast<std::size_t>(i)]];
    const bool fits = std::all_of(own.begin(), own.end(), [&](const auto& part) {
      const auto& [label, images_of] = part;
      const std::int64_t all = count.at(label);
      const std::int64_t share = std::llround(kTestShare * static_cast<double>(all));
      return taken[label] + images_of <= (all < 2 ? 0 : std::max<std::int64_t>(1, share));
    });
    Indices& side = fits ? out.test : out.kept;
    side.insert(side.end(), group.images.begin(), group.images.end());
    if (fits)
      for (const auto& [label, images_of] : own) taken[label] += images_of;
  }
  std::sort(out.kept.begin(), out.kept.end());
  std::sort(out.test.begin(), out.test.end());
  return out;
}

}  // namespace akin
