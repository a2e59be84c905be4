#include "distill/task/outputs.hpp"

#include <algorithm>
#include <cstring>
#include <unordered_map>

#include "distill/task/output_cache.hpp"
#include "engine/build_info.hpp"
#include "engine/io/sha256.hpp"
#include "engine/profile.hpp"
#include "engine/ranks.hpp"
#include "kernels/common/onednn.hpp"
#include "nn/data/image_view.hpp"

namespace akin {

namespace {

constexpr std::size_t kTakenBytes = std::size_t{512} << 20;
constexpr std::int64_t kChunkBytes = std::int64_t{32} << 20;  // of pictures brought to a network's size
constexpr std::int64_t kKeptBytes = std::int64_t{64} << 20;   // of outputs that one file of the cache holds

std::string kind(std::int64_t channels) {
  return channels == 1 ? "grey" : channels == 3 ? "colour" : fmt::format("{}-channel", channels);
}

/// What of a Context and of this build changes the bits of outputs.
std::string computed_by(const Context& ctx) {
  std::string by = fmt::format("{}|{}|{}|", version_line(), name_of(ctx.device), name_of(ctx.activations));
  if (ctx.device == Device::cpu) by += fmt::format("{} {}|", fast::onednn_version(), fast::onednn_isa());
  if (ctx.gemm_vendor != nullptr) by += "cublas|";
  if (ctx.conv_vendor != nullptr) by += "cudnn|";
  if (!ctx.use_fast_paths) by += "spec|";
  return by;
}

/// Everything that decides what the source says of a picture, but the picture.
std::string key_of(const Context& ctx, const Source& source, const Preprocessing& p) {
  return Sha256().update(preprocessing_json(p)).update(computed_by(ctx)).update(source.hash).hex();
}

Outputs blank(std::int64_t N, std::int64_t D, std::int64_t C) {
  return {Array(DType::f32, {N, D}), Array(DType::f32, {N, C})};
}

void copy_rows(const Array& from, std::int64_t from_row, std::int64_t rows, Array& to, std::int64_t to_row) {
  const std::int64_t columns = from.shape()[1];
  std::copy_n(from.as<float>().data() + from_row * columns, rows * columns, to.as<float>().data() + to_row * columns);
}

/// Runs a source over pictures of a set, a chunk after the other.
class Runner {
 public:
  Runner(Context& ctx, const Source& source, const ImageSet& set, TakenPictures& taken)
      : ctx_(ctx), source_(source), set_(set), taken_(taken), input_(preprocessing_of(source.model.info)) {
    sized_ = input_.height > 0 && input_.width > 0;
    const Shape& s = set.images.shape();
    const std::int64_t area = sized_ ? input_.height * input_.width : s[1] * s[2];
    const std::int64_t batch = images_at_once(ctx.device, area);
    chunk_ = batch * std::max<std::int64_t>(1, kChunkBytes / (batch * area * input_.channels));
  }
  /// Whether it sees the pictures as their files have them.
  bool sees_originals() const { return sized_ && !set_.originals.empty(); }
  const Preprocessing& input() const { return input_; }
  std::int64_t chunk() const { return chunk_; }

  /// With several ranks each runs a part, and all get all.
  Outputs run(const Indices& index, const std::function<void(std::int64_t)>& progress) const {
    if (ctx_.ranks == nullptr) return run_here(index, progress);
    Ranks& ranks = *ctx_.ranks;
    const std::int64_t N = std::ssize(index);
    const auto begin = [&](std::int64_t r) { return N * r / ranks.size(); };
    const std::int64_t from = begin(ranks.rank()), to = begin(ranks.rank() + 1);
    Outputs out = blank(N, source_.model.network->feature_size(), source_.classes());
    if (from < to) {
      const ContextScope<&Context::ranks> apart(ctx_, nullptr);
      const Outputs own = run_here(Indices(index.begin() + from, index.begin() + to), progress);
      copy_rows(own.features, 0, to - from, out.features, from);
      copy_rows(own.logits, 0, to - from, out.logits, from);
    }
    share_rows(ranks, begin, out.features);
    share_rows(ranks, begin, out.logits);
    return out;
  }

 private:
  Outputs run_here(const Indices& index, const std::function<void(std::int64_t)>& progress) const {
    RunOptions options{.progress = progress, .whole_batches = true};
    if (sees_originals()) {
      const Array& images = taken_.of(set_.originals, index, format_of(input_));
      return run_network(ctx_, *source_.model.network, images, all_indices(std::ssize(index)), input_.normalization,
                         options);
    }
    options.height = input_.height;
    options.width = input_.width;
    options.fit = input_.fit;
    return run_network(ctx_, *source_.model.network, set_.images, index, input_.normalization, options);
  }

  Context& ctx_;
  const Source& source_;
  const ImageSet& set_;
  TakenPictures& taken_;
  Preprocessing input_;
  bool sized_ = false;
  std::int64_t chunk_ = 0;
};

/// What the first rank found, to all.
void share_known(Ranks& ranks, std::vector<bool>& known, Outputs& out) {
  std::string marks(known.size(), '0');
  for (std::size_t i = 0; i < known.size(); ++i) marks[i] = known[i] ? '1' : '0';
  const std::string what = "the cached outputs";
  broadcast(ranks, marks, 0, what);
  for (std::size_t i = 0; i < known.size(); ++i) known[i] = marks.at(i) == '1';
  if (marks.find('1') == std::string::npos) return;
  for (Array* a : {&out.features, &out.logits})
    if (a->byte_size() > 0) ranks.broadcast(a->bytes(), a->byte_size(), 0, what);
}

Outputs rows_of_table(const Source& source, const Task& task, const OutputOptions& options) {
  const TableRows images = rows_of(task.pool(), task.hash());
  std::vector<std::string> notes = source.notes;
  const Indices order = match_rows(source.rows, source.table.features.shape()[0], images, notes);
  AKIN_CHECK(
      std::ssize(order) == task.pool().images.shape()[0],
      "source {}: its table has {} rows, the target {} images (training, then unlabelled ones); one row an image, in "
      "their order",
      source.name, order.size(), task.pool().images.shape()[0]);
  tell_unused_names(source.rows, images, notes);
  compare_labels(source.rows, order, images, notes);
  const TableRows& own = source.logit_rows;
  const Indices heads = own.names.empty() ? order : match_rows(own, source.table.logits.shape()[0], images, notes);
  compare_labels(own, heads, images, notes);
  if (options.tell)
    for (const std::string& note : notes) options.tell("warning: " + note);
  Indices rows, logit_rows;
  for (const std::int64_t image : task.target) {
    rows.push_back(order[static_cast<std::size_t>(image)]);
    logit_rows.push_back(heads.at(static_cast<std::size_t>(image)));
  }
  return {pick_rows(source.table.features, rows), pick_rows(source.table.logits, logit_rows)};
}

}  // namespace

const Array& TakenPictures::of(const Originals& originals, const Indices& index, const ImageFormat& format) {
  const auto same = [&](const Part& p) {
    return p.index == index && p.format.height == format.height && p.format.width == format.width &&
           p.format.channels == format.channels && p.format.fit == format.fit;
  };
  if (const auto it = std::find_if(parts_.begin(), parts_.end(), same); it != parts_.end()) return it->images;
  Array images = originals.load(index, format);
  if (bytes_ + images.byte_size() > kTakenBytes) {
    parts_.clear();
    bytes_ = 0;
  }
  bytes_ += images.byte_size();
  parts_.push_back({format, index, std::move(images)});
  return parts_.back().images;
}

const std::vector<std::string>& TakenPictures::digests(const ImageSet& set, const Indices& index, bool originals) {
  if (digests_.empty() || originals != of_originals_ || index != digested_) {
    digests_ = originals ? set.originals.digests(index) : digests_of(set.images, index);
    digested_ = index;
    of_originals_ = originals;
  }
  return digests_;
}

void check_channels(const Source& source, const ImageSet& set, bool match_channels) {
  if (source.is_table()) return;
  const std::int64_t wanted = source.model.info.architecture.channels, found = set.images.shape()[3];
  const bool possible = wanted == found || wanted == 1 || found == 1;
  AKIN_CHECK(wanted == found || (match_channels && possible), "source {} expects {} images, the target's are {}{}",
             source.name, kind(wanted), kind(found),
             possible ? "; --match-channels turns grey to colour and colour to grey" : "; leave this source out");
}

Outputs outputs_of(Context& ctx, const Source& source, const ImageSet& set, std::span<const std::int64_t> index,
                   const OutputOptions& options) {
  AKIN_CHECK(!source.is_table(), "source {}: is a table and says nothing of other images than its own", source.name);
  check_channels(source, set, options.match_channels);
  const StageScope stage(ctx, "teachers");
  TakenPictures own;
  TakenPictures& taken = options.taken ? *options.taken : own;
  const Runner runner(ctx, source, set, taken);
  const std::int64_t D = source.model.network->feature_size(), C = source.classes();
  Outputs out = blank(std::ssize(index), D, C);
  // Without a cache nobody asks which pictures are equal: every one is run.
  // Of several ranks the first alone uses the cache, so that all go the same way.
  Ranks* const ranks = ctx.ranks.get();
  const bool first_rank = ranks == nullptr || ranks->is_first();
  OutputCache cache(first_rank ? options.cache : std::filesystem::path(), key_of(ctx, source, runner.input()), D, C,
                    source.name, options.tell);
  std::vector<std::string> digests;
  std::vector<bool> known(index.size(), false);
  char cached = options.cache.empty() ? 0 : 1;
  if (ranks != nullptr) ranks->broadcast(&cached, 1, 0, "whether outputs are cached");
  if (cached != 0) {
    digests = taken.digests(set, Indices(index.begin(), index.end()), runner.sees_originals());
    if (first_rank) known = cache.find(digests, out);
    if (ranks != nullptr) share_known(*ranks, known, out);
  }
  Indices places, twins;  // rows of `out` to be computed, and those whose picture is among them already
  std::unordered_map<std::string_view, std::int64_t> first;
  for (std::size_t i = 0; i < known.size(); ++i) {
    if (known[i]) continue;
    const bool fresh = digests.empty() || first.emplace(digests[i], static_cast<std::int64_t>(i)).second;
    (fresh ? places : twins).push_back(static_cast<std::int64_t>(i));
  }
  const std::int64_t done_before = std::ssize(index) - std::ssize(places), missing = std::ssize(places);
  const std::int64_t helpers = ranks == nullptr ? 1 : ranks->size();
  const std::int64_t chunk = options.at_once > 0 ? options.at_once : runner.chunk() * helpers;
  std::int64_t done = 0, kept = 0;  // of `places`
  const auto keep = [&] {
    if (kept == done || digests.empty() || !first_rank) return;
    const Indices rows(places.begin() + kept, places.begin() + done);
    std::vector<std::string> names;
    for (const std::int64_t row : rows) names.push_back(digests[static_cast<std::size_t>(row)]);
    cache.keep(names, {pick_rows(out.features, rows), pick_rows(out.logits, rows)});
    kept = done;
  };
  try {
    while (done < missing) {
      const std::int64_t n = std::min(chunk, missing - done);
      Indices pictures;
      for (const std::int64_t place :
           std::span(places).subspan(static_cast<std::size_t>(done), static_cast<std::size_t>(n)))
        pictures.push_back(index[static_cast<std::size_t>(place)]);
      const Outputs part = runner.run(pictures, [&](std::int64_t of_part) {
        if (options.progress) options.progress(done_before + done + std::min(n, of_part * helpers));
      });
      check_finite(part.features, "features", "source " + source.name);
      check_finite(part.logits, "logits", "source " + source.name);
      for (std::int64_t k = 0; k < n; ++k) {
        copy_rows(part.features, k, 1, out.features, places[static_cast<std::size_t>(done + k)]);
        copy_rows(part.logits, k, 1, out.logits, places[static_cast<std::size_t>(done + k)]);
      }
      done += n;
      if ((done - kept) * (D + C) * static_cast<std::int64_t>(sizeof(float)) >= kKeptBytes) keep();
    }
  } catch (...) {
    keep();
    throw;
  }
  keep();
  for (const std::int64_t i : twins) {
    const std::int64_t from = first.at(digests[static_cast<std::size_t>(i)]);
    copy_rows(out.features, from, 1, out.features, i);
    copy_rows(out.logits, from, 1, out.logits, i);
  }
  return out;
}

Outputs source_outputs(Context& ctx, const Source& source, const Task& task, const OutputOptions& options) {
  if (source.is_table()) return rows_of_table(source, task, options);
  return outputs_of(ctx, source, task.pool(), task.target, options);
}

}  // namespace akin
