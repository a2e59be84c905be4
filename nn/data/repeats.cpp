#include "nn/data/repeats.hpp"

#include <algorithm>
#include <cstring>
#include <unordered_map>

#include "nn/data/image_set.hpp"

namespace akin {
namespace {

/// Of the pixels of one image; what collides is compared.
std::uint64_t hash_of(const std::uint8_t* p, std::size_t n) {
  constexpr std::uint64_t kOdd = 0x9E3779B97F4A7C15;
  std::uint64_t sum = n;
  const auto mix = [&](std::uint64_t word) {
    sum = (sum ^ word) * kOdd;
    sum ^= sum >> 29;
  };
  for (; n >= 8; p += 8, n -= 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, p, 8);
    mix(word);
  }
  std::uint64_t rest = 0;
  std::memcpy(&rest, p, n);
  mix(rest);
  return sum;
}

/// The images of a split by their pixels.
class Pictures {
 public:
  explicit Pictures(const NamedSplit& split) : split_(split) {
    const Shape& s = split.set->images.shape();
    each_ = split.set->images.byte_size() / static_cast<std::size_t>(std::max<std::int64_t>(s[0], 1));
    count_ = static_cast<std::size_t>(s[0]);
  }
  std::size_t count() const { return count_; }
  const std::uint8_t* pixels(std::size_t i) const { return split_.set->images.as<std::uint8_t>().data() + i * each_; }
  std::uint64_t hash(std::size_t i) const { return hash_of(pixels(i), each_); }
  bool comparable(const Pictures& other) const {
    return split_.set->images.shape().dims().size() == 4 && each_ == other.each_;
  }
  bool same(std::size_t i, const Pictures& other, std::size_t j) const {
    return std::memcmp(pixels(i), other.pixels(j), each_) == 0;
  }
  int label(std::size_t i) const { return split_.set->labels.empty() ? -1 : split_.set->labels[i]; }
  std::string name(std::size_t i) const {
    return split_.files.empty() ? fmt::format("{} image {}", name_of(split_.split), i) : split_.files[i];
  }

 private:
  const NamedSplit& split_;
  std::size_t each_ = 0, count_ = 0;
};

using Index = std::unordered_map<std::uint64_t, std::size_t>;  // the first image of each hash

void tell(Account& account, const char* what, const Pictures& a, std::size_t i, const Pictures& b, std::size_t j) {
  account.warn(what, a.name(i) + " = " + b.name(j));
}

Index index_of(const Pictures& pictures, bool labelled, Account& account) {
  Index first;
  first.reserve(pictures.count());
  for (std::size_t i = 0; i < pictures.count(); ++i) {
    const auto [at, fresh] = first.emplace(pictures.hash(i), i);
    if (fresh || !labelled || !pictures.same(i, pictures, at->second)) continue;
    tell(account,
         pictures.label(i) == pictures.label(at->second) ? "training images that are there twice"
                                                         : "training images that are there under two classes",
         pictures, at->second, pictures, i);
  }
  return first;
}

}  // namespace

void account_for_repeats(std::span<const NamedSplit> splits, Account& account) {
  const NamedSplit* test = nullptr;
  for (const NamedSplit& s : splits)
    if (s.split == Split::test) test = &s;
  for (const NamedSplit& s : splits) {
    if (s.split == Split::test || (s.split == Split::unlabeled && test == nullptr)) continue;
    const Pictures own(s);
    const Index first = index_of(own, s.split == Split::train, account);
    if (test == nullptr) continue;
    const Pictures tests(*test);
    for (std::size_t i = 0; own.comparable(tests) && i < tests.count(); ++i) {
      const auto at = first.find(tests.hash(i));
      if (at != first.end() && tests.same(i, own, at->second))
        tell(account,
             s.split == Split::train ? "test images that are training images as well"
                                     : "test images that are unlabelled images as well",
             tests, i, own, at->second);
    }
  }
}

}  // namespace akin
