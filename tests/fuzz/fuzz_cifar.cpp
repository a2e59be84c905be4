// CIFAR's binary batches: as many images as there are records, pixels and labels where the format has them.
#include "engine/io/cifar.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace akin::fuzz {

namespace {

constexpr std::size_t kPlane = 1024, kPixels = 3 * kPlane;

void check(const CifarBatch& batch, ByteView file, bool hundred) {
  const std::size_t labels = hundred ? 2 : 1, record = kPixels + labels, n = file.size() / record;
  require(file.size() % record == 0 && batch.labels.size() == n && batch.coarse.size() == (hundred ? n : 0) &&
              batch.images.shape() == Shape{static_cast<std::int64_t>(n), 32, 32, 3},
          "another number of images than of records");
  const auto pixels = batch.images.as<std::uint8_t>();
  for (std::size_t i = 0; i < n; ++i) {
    const ByteView r = file.subspan(i * record, record);
    require(batch.labels[i] == r[labels - 1] && batch.labels[i] < (hundred ? 100 : 10), "a label is another one");
    require(!hundred || (batch.coarse[i] == r[0] && batch.coarse[i] < 20), "a coarse label is another one");
    for (std::size_t p = 0; p < kPlane; p += 31)
      for (std::size_t c = 0; c < 3; ++c)
        require(pixels[i * kPixels + p * 3 + c] == r[labels + c * kPlane + p], "a pixel is another one");
  }
}

/// The first byte says which of the two; the rest is a file as it is, or (high bit) repeated to whole records.
void run(ByteView input) {
  if (input.empty()) return;
  const bool hundred = (input[0] & 1) != 0, whole = (input[0] & 0x80) != 0;
  const ByteView rest = input.subspan(1);
  Bytes file(rest.begin(), rest.end());
  if (whole && !rest.empty()) {
    const std::size_t record = kPixels + (hundred ? 2 : 1), records = 1 + rest.size() / record;
    for (std::size_t i = rest.size(); i < records * record; ++i) file.push_back(rest[i % rest.size()]);
  }
  const auto path = file_with("batch.bin", file);
  if (const auto batch = accepted([&] { return hundred ? read_cifar100(path) : read_cifar10(path); }))
    check(*batch, file, hundred);
}

Seeds seeds() {
  return {{"ten", {0x80, 3, 1, 4}},
          {"hundred", {0x81, 3, 1, 4}},
          {"label_out", {0x80, 10, 1}},
          {"fine_out", {0x81, 19, 100}},
          {"coarse_out", {0x81, 20, 9}},
          {"short", {0, 1, 2, 3}},
          {"nothing", {1}}};
}

}  // namespace

const Target target{.run = run, .seeds = seeds};

}  // namespace akin::fuzz
