#include "engine/io/cifar.hpp"

#include <system_error>

namespace akin {
namespace {

constexpr std::size_t kPlane = 32 * 32, kPixels = 3 * kPlane;
constexpr std::uint64_t kMaxBytes = std::uint64_t{1} << 31;

int label_in(int label, int classes, const std::string& file, std::size_t record) {
  AKIN_CHECK(label < classes, "{}: record {} has label {}, the format knows 0..{} (CIFAR-10 and CIFAR-100 mixed up?)",
             file, record, label, classes - 1);
  return label;
}

CifarBatch read(const std::filesystem::path& path, bool hundred) {
  const std::size_t head = hundred ? 2 : 1, record = head + kPixels;
  const auto check_size = [&](std::uint64_t size) {
    AKIN_CHECK(size > 0 && size % record == 0,
               "{}: {} bytes are not a whole number of {}-byte CIFAR-{} records "
               "(truncated, or another format)",
               path.string(), size, record, hundred ? 100 : 10);
  };
  std::error_code none;  // of a file that is not there, which is told when it is opened
  if (const std::uint64_t size = std::filesystem::file_size(path, none); !none) check_size(size);
  const Bytes file = read_file(path, kMaxBytes);
  check_size(file.size());
  const std::size_t n = file.size() / record;
  CifarBatch batch;
  batch.images = Array(DType::u8, {static_cast<std::int64_t>(n), 32, 32, 3});
  const auto pixels = batch.images.as<std::uint8_t>();
  for (std::size_t i = 0; i < n; ++i) {
    const std::uint8_t* r = file.data() + i * record;
    if (hundred) batch.coarse.push_back(label_in(r[0], 20, path.string(), i));
    batch.labels.push_back(label_in(r[head - 1], hundred ? 100 : 10, path.string(), i));
    std::uint8_t* to = pixels.data() + i * kPixels;
    for (std::size_t p = 0; p < kPlane; ++p) {
      for (std::size_t c = 0; c < 3; ++c) to[3 * p + c] = r[head + c * kPlane + p];
    }
  }
  return batch;
}

}  // namespace

CifarBatch read_cifar10(const std::filesystem::path& path) { return read(path, false); }
CifarBatch read_cifar100(const std::filesystem::path& path) { return read(path, true); }

}  // namespace akin
