// The pictures of a set as their files have them. A set holds all of its pictures brought to one size; a network that
// looks at another size, or at other parts of them, takes them from here and loses nothing on the way.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/dtype.hpp"
#include "nn/data/image_files.hpp"

namespace akin {

class Originals {
 public:
  Originals() = default;
  /// Of image files, one an image.
  explicit Originals(std::vector<std::filesystem::path> files);
  /// Of u8 [N,H,W,C], one an image, as a file of many images has them.
  explicit Originals(Array images);

  bool empty() const { return pictures_.empty(); }
  std::int64_t size() const { return std::ssize(pictures_); }

  /// Pictures `index` of these.
  Originals pick(std::span<const std::int64_t> index) const;
  /// `more` behind these.
  void append(const Originals& more);

  /// Pictures `index`, each brought to `format`, which has no zeros: u8 [n,H,W,C]. Error that names every file that
  /// cannot be read.
  Array load(std::span<const std::int64_t> index, const ImageFormat& format) const;
  /// SHA-256 of a picture's content as hexadecimal digits: of its file, or of size and pixels. Read anew at each call.
  std::vector<std::string> digests(std::span<const std::int64_t> index) const;

 private:
  struct Picture {
    std::filesystem::path file;          ///< empty: of `images`
    std::shared_ptr<const Array> images;
    std::int64_t row = 0;
  };
  std::vector<Picture> pictures_;
};

/// SHA-256 of size and pixels of each of images `index` of u8 [N,H,W,C].
std::vector<std::string> digests_of(const Array& images, std::span<const std::int64_t> index);

}  // namespace akin
