#include "distill/predict/picture_outputs.hpp"

#include <algorithm>
#include <cstring>

#include "distill/predict/predictions.hpp"

namespace akin {

namespace {

void check_pictures(const Classifier& classifier, const Array& images) {
  const Shape& s = images.shape();
  AKIN_CHECK(
      images.dtype() == DType::u8 && s.rank() == 4 && s[0] >= 0 && s[1] >= 1 && s[2] >= 1 && (s[3] == 1 || s[3] == 3),
      "{}: looks at pictures u8 [N, H, W, C], H and W at least 1, C 1 (grey) or 3 (RGB); found {} {}",
      classifier.file(), name_of(images.dtype()), s.str());
}

/// Pictures begin..end-1.
Array part_of(const Array& images, std::int64_t begin, std::int64_t end) {
  const Shape& s = images.shape();
  Array part(DType::u8, {end - begin, s[1], s[2], s[3]});
  if (part.byte_size() > 0)
    std::memcpy(part.bytes(), images.bytes() + static_cast<std::size_t>(begin * s[1] * s[2] * s[3]), part.byte_size());
  return part;
}

const Model& network_of(const Classifier& classifier) {
  const Model* model = classifier.model();
  AKIN_CHECK(model != nullptr, "{}: is a probe, which has no features of its own; ask the models that it reads",
             classifier.file());
  return *model;
}

Outputs run(Context& ctx, const Classifier& classifier, const Array& images, RunOptions options) {
  options.whole_batches = true;  // as distill/task/outputs.hpp has it: a picture's bits do not depend on its neighbours
  const Model& model = network_of(classifier);
  Outputs out = run_network(ctx, *model.network, images, all_indices(images.shape()[0]),
                            classifier.inputs().front().normalization, options);
  check_finite(out.features, "features", classifier.file());
  check_finite(out.logits, "logits", classifier.file());
  return out;
}

}  // namespace

Array predict_images(Context& ctx, const Classifier& classifier, const Array& images,
                     const std::function<void(std::int64_t)>& progress) {
  check_pictures(classifier, images);
  const std::vector<Preprocessing>& inputs = classifier.inputs();
  const std::int64_t N = images.shape()[0], batch = pictures_at_once(classifier);
  Array out(DType::f32, {N, std::ssize(classifier.classes())});
  const auto row = static_cast<std::size_t>(out.shape()[1]) * sizeof(float);
  if (progress) progress(0);
  for (std::int64_t begin = 0; begin < N; begin += batch) {
    const std::int64_t end = std::min(N, begin + batch);
    std::vector<Array> prepared;
    for (const Preprocessing& p : inputs) {
      const ImageFormat f = format_of(p);  // as decode_each has it: colour first, then size
      prepared.push_back(
          resize_images(convert_channels(part_of(images, begin, end), f.channels), f.height, f.width, f.fit));
    }
    const Array p = classifier.probabilities(ctx, prepared);
    std::memcpy(out.bytes() + static_cast<std::size_t>(begin) * row, p.bytes(), p.byte_size());
    if (progress) progress(end);
  }
  return out;
}

Outputs picture_outputs(Context& ctx, const Classifier& classifier, const Array& images,
                        const std::function<void(std::int64_t)>& progress) {
  check_pictures(classifier, images);
  network_of(classifier);
  const Preprocessing& p = classifier.inputs().front();
  return run(ctx, classifier, images, {.height = p.height, .width = p.width, .fit = p.fit, .progress = progress});
}

Outputs picture_outputs(Context& ctx, const Classifier& classifier, const std::vector<std::filesystem::path>& files,
                        const std::function<void(std::int64_t)>& progress) {
  const Model& model = network_of(classifier);
  if (files.empty())
    return {Array(DType::f32, {0, model.network->feature_size()}),
            Array(DType::f32, {0, model.info.architecture.classes})};
  const Preprocessing& p = classifier.inputs().front();
  Faults faults;
  Account account;
  ImageFormat own = format_of(p);
  own.channels = 0;  // the network's part, as of a folder of pictures
  const ImageFormat format = settle_format(files, own, faults);
  throw_faults(faults, "pictures");
  std::vector<std::string> errors;
  const Array images = decode_each(files, format, format, {}, account, errors);
  for (std::string& error : errors)
    if (!error.empty()) faults.push_back(std::move(error));
  throw_faults(faults, "pictures");
  return run(ctx, classifier, images, {.progress = progress});
}

}  // namespace akin
