// Models: akin_load to akin_features_files.
#include <algorithm>
#include <cstring>
#include <limits>
#include <mutex>

#include "api/call.hpp"
#include "distill/predict/picture_outputs.hpp"
#include "distill/predict/predictions.hpp"
#include "engine/io/text.hpp"

/// One call at a time works with it: a Context belongs to one thread.
struct akin_model {
  std::mutex busy;
  akin::Context ctx;
  akin::Classifier classifier;
  int threads = 0;
  std::vector<std::string> names = {};  ///< of the classes, UTF-8
};

namespace akin::api {

namespace {

/// call() with the model to itself.
template <class F>
int with(akin_model* model, F&& work) noexcept {
  return call(model == nullptr ? 0 : model->threads, [&] {
    akin_model& m = given(model, "model");
    const std::lock_guard one(m.busy);
    work(m);
  });
}

std::vector<std::filesystem::path> paths_of(const char* const* files, std::size_t count, const char* what) {
  std::vector<std::filesystem::path> out;
  if (count > 0) given(files, what);
  for (std::size_t i = 0; i < count; ++i) out.emplace_back(&given(files[i], what));
  return out;
}

Array images_of(const akin_pictures* pictures) {
  const akin_pictures& p = given(pictures, "pictures");
  std::int64_t all = 1;
  for (const std::int64_t n : {p.count, p.height, p.width, p.channels})
    if (n < 0 || __builtin_mul_overflow(all, n, &all))
      fail_usage("pictures: {} of {}x{}x{} (height x width x channels) cannot be", p.count, p.height, p.width,
                 p.channels);
  Array images(DType::u8, {p.count, p.height, p.width, p.channels});
  if (all > 0) std::memcpy(images.bytes(), &given(p.pixels, "pictures.pixels"), images.byte_size());
  return images;
}

void copy(const Array& from, float* to) {
  if (to != nullptr) std::copy_n(from.as<float>().data(), from.numel(), to);
}

/// For akin_last_error: a line each.
std::string told(const Faults& faults, std::int64_t answered) {
  return fmt::format("{} file{} could not be used; the other {} picture{} answered:\n  {}", faults.size(),
                     faults.size() == 1 ? "" : "s", answered, answered == 1 ? " is" : "s are",
                     fmt::join(faults, "\n  "));
}

const akin::Preprocessing* input_of(const akin_model* model) {
  return model == nullptr ? nullptr : &model->classifier.inputs().front();
}

}  // namespace

}  // namespace akin::api

using namespace akin;
using namespace akin::api;

int akin_load(const char* file, const akin_load_options* options, akin_model** model) {
  const akin_load_options o = options != nullptr ? *options : akin_load_options{};
  return call(0, [&] {
    given(file, "file");
    given(model, "model");
    const int threads = thread_count(o.threads);
    if (o.height < 0 || o.width < 0 || (o.height > 0) != (o.width > 0))
      fail_usage("height {}, width {}: give both, or 0 for those of the file", o.height, o.width);
    std::vector<std::string> sources;
    for (const std::filesystem::path& source : paths_of(o.sources, o.source_count, "sources"))
      sources.push_back(source.string());
    Context ctx(parse_device(o.device != nullptr ? o.device : "auto"));
    Classifier classifier(ctx, file, sources, nullptr);
    if (o.height > 0) classifier.set_size(o.height, o.width);
    std::vector<std::string> names;
    for (const std::string& name : classifier.classes()) names.push_back(readable_text(name));
    *model = new akin_model{{}, std::move(ctx), std::move(classifier), threads, std::move(names)};
  });
}

void akin_model_free(akin_model* model) { delete model; }

int64_t akin_model_classes(const akin_model* model) { return model == nullptr ? 0 : std::ssize(model->names); }
int64_t akin_model_features(const akin_model* model) {
  const Model* network = model == nullptr ? nullptr : model->classifier.model();
  return network == nullptr ? 0 : network->network->feature_size();
}
int64_t akin_model_height(const akin_model* model) { return model == nullptr ? 0 : input_of(model)->height; }
int64_t akin_model_width(const akin_model* model) { return model == nullptr ? 0 : input_of(model)->width; }
int64_t akin_model_channels(const akin_model* model) { return model == nullptr ? 0 : input_of(model)->channels; }
const char* akin_model_class_name(const akin_model* model, int64_t number) {
  if (number < 0 || number >= akin_model_classes(model)) return nullptr;
  return model->names[static_cast<std::size_t>(number)].c_str();
}

int akin_predict(akin_model* model, const akin_pictures* pictures, float* probabilities) {
  return with(model, [&](akin_model& m) {
    const Array images = images_of(pictures);
    if (images.numel() > 0) given(probabilities, "probabilities");
    copy(predict_images(m.ctx, m.classifier, images), probabilities);
  });
}

int akin_predict_files(akin_model* model, const char* const* files, size_t count, float* probabilities) {
  return with(model, [&](akin_model& m) {
    const std::vector<std::filesystem::path> paths = paths_of(files, count, "files");
    const std::size_t classes = m.names.size();
    if (count > 0) given(probabilities, "probabilities");
    std::vector<float> rows(count * classes, std::numeric_limits<float>::quiet_NaN());
    const PredictReport report =
        predict_pictures(m.ctx, m.classifier, paths, {.top = classes}, [&](const PictureAnswer& answer) {
          for (const Guess& g : answer.guesses)
            rows[answer.number * classes + static_cast<std::size_t>(g.class_number)] =
                static_cast<float>(g.probability);
        });
    std::copy(rows.begin(), rows.end(), probabilities);
    if (!report.faults.empty()) throw CodedError(AKIN_PARTLY, told(report.faults, report.pictures));
  });
}

int akin_features(akin_model* model, const akin_pictures* pictures, float* features, float* logits) {
  return with(model, [&](akin_model& m) {
    const Outputs out = picture_outputs(m.ctx, m.classifier, images_of(pictures));
    copy(out.features, features);
    copy(out.logits, logits);
  });
}

int akin_features_files(akin_model* model, const char* const* files, size_t count, float* features, float* logits) {
  return with(model, [&](akin_model& m) {
    const Outputs out = picture_outputs(m.ctx, m.classifier, paths_of(files, count, "files"));
    copy(out.features, features);
    copy(out.logits, logits);
  });
}
