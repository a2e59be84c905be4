// Label manifests (distill/task/labels.hpp), TOML or JSON: a split has its parts apart and ascending, and the manifest
// that lists it brings the same one back, whatever the seed. An input is the text; a first byte { makes it JSON.
#include <algorithm>
#include <set>

#include "distill/task/labels.hpp"
#include "tests/fuzz/json_mutator.hpp"
#include "tests/fuzz/settings_text.hpp"

namespace akin::fuzz {

namespace {

constexpr int kTraining = 12, kImages = 16;

ImageSet pool() {
  ImageSet set;
  set.images = Array(DType::u8, {kImages, 1, 1, 1});
  set.classes = {"cat", "dog", "owl"};
  set.name = set.source = "pool";
  for (int i = 0; i < kImages; ++i) set.labels.push_back(i < kTraining ? i % 3 : -1);
  return set;
}

void run(ByteView input) {
  const ImageSet images = pool();
  const auto manifest =
      accepted([&] { return read_manifest(settings_file(input), {.labels_per_class = 1, .unlabelled = 0}); });
  if (!manifest) return;
  for (const bool own : {false, true}) {
    LabelManifest m = *manifest;
    if (own) m.data = "hash";
    std::vector<int> labels = images.labels;
    const auto split = accepted([&] { return split_pool(images, kTraining, "hash", m, labels); });
    if (!split) continue;
    std::set<std::int64_t> seen;
    for (const Indices* part : {&split->labelled, &split->unlabelled, &split->validation}) {
      require(std::is_sorted(part->begin(), part->end()), "a part is not ascending");
      for (const std::int64_t i : *part)
        require(i >= 0 && i < kImages && seen.insert(i).second, "an image in two parts");
    }
    for (const Indices* part : {&split->labelled, &split->validation})
      for (const std::int64_t i : *part) {
        const int label = labels[static_cast<std::size_t>(i)];
        require(label >= 0 && label < 3 && (i >= kTraining || label == images.labels[static_cast<std::size_t>(i)]),
                "a wrong label");
      }
    require(!split->labelled.empty(), "no image is labelled");
    const std::string text = manifest_text(images, labels, *split, "hash", 3);
    std::vector<int> again = images.labels;
    const TaskSplit same = must("reading the manifest that was written", [&] {
      const LabelManifest listed = read_manifest(file_with("m.json", bytes_of(text)), {.seed = 77});
      return split_pool(images, kTraining, "hash", listed, again);
    });
    require(same.labelled == split->labelled && same.unlabelled == split->unlabelled &&
                same.validation == split->validation,
            "the manifest that lists a split brings another one");
  }
}

Seeds seeds() {
  return {
      text_seed("per_class", "per_class = 2\nvalidation = 1\nunlabelled = 3\n"),
      text_seed("fraction", "fraction = 0.5\nvalidation = 0.2\ndata = \"hash\"\n"),
      text_seed("listed",
                "unlabelled = [1, 13]\n[labelled]\ncat = [0, 3]\ndog = [4, 14]\nowl = [2]\n[validation]\ncat = [6]\n"),
      text_seed(
          "json",
          R"({"format": "akin-labels-1", "name": "x", "data": "hash", "seed": 1, "labelled": {"cat": [0], "dog": [1], "owl": [2]}, "validation": 0, "unlabelled": [3, 4, 15]})"),
      text_seed("json_drawn", R"({"per_class": 1, "unlabelled": 5, "validation": {"cat": [3]}})"),
      text_seed("comments", "# budget\nper_class = 1 # one\n\n\"validation\" = 0x1\n")};
}

}  // namespace

const Target target{.run = run,
                    .seeds = seeds,
                    .words = with_toml_words({"per_class", "fraction", "[labelled]", "[validation]", "unlabelled",
                                              "validation", "labelled", "data", "format", "akin-labels-1", "cat", "dog",
                                              "owl", "\"\"\"", "'''", "1_000", "inf", "1979-05-27", "[[labelled]]"}),
                    .mutate = mutate_json};

}  // namespace akin::fuzz
