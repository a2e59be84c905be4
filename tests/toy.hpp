// A task that a network learns in a few steps: a bright bar whose place tells the class, on noise.
#pragma once

#include <cstring>
#include <filesystem>
#include <map>
#include <string>

#include "engine/io/file.hpp"
#include "kernels/common/rng.hpp"
#include "nn/classifier.hpp"
#include "nn/evaluate.hpp"

namespace akin::test {

/// n images of `side` x `side`; image i has class i % classes.
inline ImageSet toy_set(std::int64_t n, int classes, std::uint64_t seed, std::int64_t channels = 1,
                        std::int64_t side = 12) {
  ImageSet set;
  set.images = Array(DType::u8, {n, side, side, channels});
  auto* p = set.images.as<std::uint8_t>().data();
  for (std::int64_t i = 0; i < n; ++i) {
    Rng rng(seed, 7, static_cast<std::uint64_t>(i));
    const auto label = static_cast<int>(i % classes);
    set.labels.push_back(label);
    for (std::int64_t h = 0; h < side; ++h)
      for (std::int64_t w = 0; w < side; ++w)
        for (std::int64_t c = 0; c < channels; ++c) {
          // Half of the classes are vertical bars of growing width, half are horizontal ones: shifts keep them apart.
          const std::int64_t along = label % 2 == 0 ? w : h, width = 2 + 2 * (label / 2);
          const bool bar = along >= 3 && along < 3 + width;
          *p++ = static_cast<std::uint8_t>(rng.below(60) + (bar ? 180 : 0));
        }
  }
  for (int c = 0; c < classes; ++c) set.classes.push_back("class" + std::to_string(c));
  set.name = set.source = "toy";
  return set;
}

inline Architecture toy_net(std::int64_t width = 4) { return {.name = "resnet8", .width = width}; }

/// A source trained for a few steps on another draw of the toy images.
inline TrainedClassifier toy_source(Context& ctx, int classes, std::uint64_t seed, std::int64_t channels = 1) {
  ClassifierOptions o;
  o.architecture = toy_net();
  o.epochs = 6;
  o.batch = 16;
  o.seed = seed;
  o.augment = false;
  o.train.schedule.base = 0.1;
  return train_classifier(ctx, toy_set(64, classes, 1000 + seed, channels), o);
}

inline bool same_bits(const Array& a, const Array& b) {
  return a.dtype() == b.dtype() && a.shape() == b.shape() && std::memcmp(a.bytes(), b.bytes(), a.byte_size()) == 0;
}

/// Names of the parameters that differ by at least one bit; "" where none does.
inline std::string differing(const ParameterList& a, const ParameterList& b) {
  if (a.size() != b.size()) return "their number";
  std::string out;
  for (std::size_t i = 0; i < a.size(); ++i)
    if (a[i].name != b[i].name || !same_bits(a[i].tensor.to_array(), b[i].tensor.to_array())) out += a[i].name + " ";
  return out;
}

inline std::string differing(const Network& a, const Network& b) { return differing(a.parameters(), b.parameters()); }

/// Every file below the folder with its content.
inline std::map<std::string, Bytes> files_of(const std::filesystem::path& folder) {
  std::map<std::string, Bytes> out;
  for (const auto& e : std::filesystem::recursive_directory_iterator(folder))
    if (e.is_regular_file()) out[e.path().lexically_relative(folder).string()] = read_file(e.path());
  return out;
}

}  // namespace akin::test
