#include "nn/data/same_form.hpp"

namespace akin {

void check_form(const ImageSet& train, const ImageSet& other, std::string_view what) {
  const Shape &a = train.images.shape(), &b = other.images.shape();
  AKIN_CHECK(
      a[1] == b[1] && a[2] == b[2] && a[3] == b[3],
      "{}: {} images are {}x{}x{}, training images {}x{}x{}; bring them to one form: --size HxW, --channels 1 or "
      "3, or `akin data pack`",
      other.source, what, b[1], b[2], b[3], a[1], a[2], a[3]);
}

}  // namespace akin
