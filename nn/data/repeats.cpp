#include "nn/data/repeats.hpp"

#include <algorithm>
#include <cstring>
#include <optional>
#include <unordered_map>

#include "engine/io/image.hpp"
#include "nn/data/image_set.hpp"

namespace akin {

std::uint64_t pixel_hash(const std::uint8_t* p, std::size_t n) {
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

std::uint64_t picture_hash(const Array& picture) {
  const Shape& s = picture.shape();
  const auto pixels = picture.as<std::uint8_t>();
  bool grey = s[2] == 3;
  for (std::size_t i = 0; grey && i < pixels.size(); i += 3)
    grey = pixels[i] == pixels[i + 1] && pixels[i] == pixels[i + 2];
  if (grey) return picture_hash(convert_channels(picture, 1));
  const auto shape = static_cast<std::uint64_t>(s[0] << 34 | s[1] << 4 | s[2]);
  return pixel_hash(pixels.data(), picture.byte_size()) ^ shape * 0x9E3779B97F4A7C15;
}

namespace {

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
  std::uint64_t hash(std::size_t i) const { return pixel_hash(pixels(i), each_); }
  bool comparable(const Pictures& other) const {
    return split_.set->images.shape().dims().size() == 4 && each_ == other.each_;
  }
  bool same(std::size_t i, const Pictures& other, std::size_t j) const {
    return std::memcmp(pixels(i), other.pixels(j), each_) == 0;
  }
  int label(std::size_t i) const { return split_.set->labels.empty() ? -1 : split_.set->labels[i]; }
  std::string name(std::size_t i) const {
    return split_.set->names.empty() ? fmt::format("{} image {}", name_of(split_.split), i) : split_.set->names[i];
  }

 private:
  const NamedSplit& split_;
  std::size_t each_ = 0, count_ = 0;
};

using Index = std::unordered_map<std::uint64_t, std::size_t>;  // the first image of each hash

void tell(Account& account, const char* what, const Pictures& a, std::size_t i, const Pictures& b, std::size_t j) {
  account.warn(what, a.name(i) + " = " + b.name(j));
}

/// How repeats within a split are told; an unlabelled one may have them.
struct Words {
  const char *twice, *two_classes;
};

/// `words` == nullptr: nothing is told.
Index index_of(const Pictures& pictures, const Words* words, Account& account) {
  Index first;
  first.reserve(pictures.count());
  for (std::size_t i = 0; i < pictures.count(); ++i) {
    const auto [at, fresh] = first.emplace(pictures.hash(i), i);
    if (fresh || words == nullptr || !pictures.same(i, pictures, at->second)) continue;
    tell(account, pictures.label(i) == pictures.label(at->second) ? words->twice : words->two_classes, pictures,
         at->second, pictures, i);
  }
  return first;
}

}  // namespace

void account_for_repeats(std::span<const NamedSplit> splits, Account& account) {
  static constexpr Words kTraining{"training images that are there twice",
                                   "training images that are there under two classes"},
      kTest{"test images that are there twice", "test images that are there under two classes"};
  const auto find = [&](Split wanted) {
    const auto at = std::find_if(splits.begin(), splits.end(), [&](const NamedSplit& s) { return s.split == wanted; });
    return at == splits.end() ? std::optional<Pictures>() : std::optional<Pictures>(*at);
  };
  const std::optional<Pictures> train = find(Split::train), test = find(Split::test),
                                unlabelled = find(Split::unlabeled);
  const auto shared = [&](const std::optional<Pictures>& of, const Pictures& own, const Index& first, auto&& say) {
    for (std::size_t i = 0; of && own.comparable(*of) && i < of->count(); ++i) {
      const auto at = first.find(of->hash(i));
      if (at != first.end() && of->same(i, own, at->second)) say(of->name(i) + " = " + own.name(at->second));
    }
  };
  if (train) {
    const Index first = index_of(*train, &kTraining, account);
    shared(test, *train, first,
           [&](const std::string& pair) { account.warn("test images that are training images as well", pair); });
    shared(unlabelled, *train, first, [&](const std::string& pair) {
      account.note("unlabelled images that are training images as well, whose labels are known", pair);
    });
  }
  if (test) index_of(*test, &kTest, account);
  if (unlabelled && test) {
    const Index first = index_of(*unlabelled, nullptr, account);
    shared(test, *unlabelled, first,
           [&](const std::string& pair) { account.warn("test images that are unlabelled images as well", pair); });
  }
}

}  // namespace akin
