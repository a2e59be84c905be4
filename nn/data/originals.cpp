#include "nn/data/originals.hpp"

#include <cstring>

#include "engine/io/sha256.hpp"
#include "kernels/common/parallel.hpp"
#include "nn/data/image_view.hpp"

namespace akin {
namespace {

std::string digest_of(const Array& images, std::int64_t row) {
  const Shape& s = images.shape();
  const auto each = static_cast<std::size_t>(s[1] * s[2] * s[3]);
  return Sha256()
      .update(fmt::format("{}x{}x{}|", s[1], s[2], s[3]))
      .update(ByteView(reinterpret_cast<const std::uint8_t*>(images.bytes()) + static_cast<std::size_t>(row) * each, each))
      .hex();
}

/// out[i] = of(i) on all threads; the first error of any, in the order of i.
std::vector<std::string> each_digest(std::size_t n, auto&& of) {
  std::vector<std::string> out(n), errors(n);
  parallel_for(static_cast<std::int64_t>(n), 1, [&](std::int64_t begin, std::int64_t end) {
    for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i) try {
        out[i] = of(i);
      } catch (const Error& e) {
        errors[i] = e.what();
      }
  });
  for (const std::string& e : errors)
    if (!e.empty()) throw Error(e);
  return out;
}

}  // namespace

Originals::Originals(std::vector<std::filesystem::path> files) {
  for (std::filesystem::path& file : files) pictures_.push_back({std::move(file), nullptr, 0});
}

Originals::Originals(Array images) {
  const std::int64_t n = images.shape()[0];
  const auto all = std::make_shared<const Array>(std::move(images));
  for (std::int64_t i = 0; i < n; ++i) pictures_.push_back({{}, all, i});
}

Originals Originals::pick(std::span<const std::int64_t> index) const {
  Originals out;
  if (empty()) return out;
  for (const std::int64_t i : index) out.pictures_.push_back(pictures_.at(static_cast<std::size_t>(i)));
  return out;
}

void Originals::append(const Originals& more) {
  pictures_.insert(pictures_.end(), more.pictures_.begin(), more.pictures_.end());
}

Array Originals::load(std::span<const std::int64_t> index, const ImageFormat& format) const {
  Array out(DType::u8, {std::ssize(index), format.height, format.width, format.channels});
  const std::size_t each = out.byte_size() / std::max<std::size_t>(1, index.size());
  std::vector<std::filesystem::path> files;
  std::vector<std::size_t> places;
  for (std::size_t k = 0; k < index.size(); ++k) {
    const Picture& p = pictures_.at(static_cast<std::size_t>(index[k]));
    if (!p.file.empty()) {
      files.push_back(p.file);
      places.push_back(k);
      continue;
    }
    const std::int64_t row[] = {p.row};
    const Array one = resize_images(convert_channels(pick_images(*p.images, row), format.channels), format.height,
                                    format.width, format.fit);
    std::memcpy(out.bytes() + k * each, one.bytes(), each);
  }
  if (files.empty()) return out;
  const Array read = decode_files(files, format);
  for (std::size_t k = 0; k < places.size(); ++k)
    std::memcpy(out.bytes() + places[k] * each, read.bytes() + k * each, each);
  return out;
}

std::vector<std::string> Originals::digests(std::span<const std::int64_t> index) const {
  return each_digest(index.size(), [&](std::size_t k) {
    const Picture& p = pictures_.at(static_cast<std::size_t>(index[k]));
    return p.file.empty() ? digest_of(*p.images, p.row) : sha256_file(p.file);
  });
}

std::vector<std::string> digests_of(const Array& images, std::span<const std::int64_t> index) {
  return each_digest(index.size(), [&](std::size_t k) { return digest_of(images, index[k]); });
}

}  // namespace akin
