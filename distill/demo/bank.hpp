// A bank of sources trained by akin itself: printed characters it draws, and data sets that are at hand. The demo's
// bank; any other list of model files serves the pipeline as well.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "distill/pipeline.hpp"
#include "nn/data/glyphs/glyphs.hpp"

namespace akin {

struct BankOptions {
  std::filesystem::path folder;  ///< where the models lie: <name>.safetensors
  std::filesystem::path data;    ///< folder with fashion/ and cifar10/, each left out where it is missing
  std::vector<std::string> glyphs = {"digits", "capitals", "lower", "greek"};  ///< sets of characters, one source each
  FontPart fonts = FontPart::all;
  std::int64_t images = 15000;      ///< training images a source
  std::int64_t test_images = 2000;  ///< for the source's own accuracy
  int side = 28;
  Settings settings = source_settings();  ///< network and training of every source
};

/// Paths of the bank's models, in the order of the report. What is there and was made by the same recipe
/// from the same data is kept; the rest is drawn and trained. Names of data sets that were missing are appended to
/// `missing`. Stops with an empty result when events.stop says so; finished sources stay.
std::vector<std::filesystem::path> make_bank(Context& ctx, const BankOptions& options, const Events& events,
                                             std::vector<std::string>& missing);

/// Training (15/16) and test images (1/16 more) of one set of printed characters as a target: fonts of `part` only.
std::pair<ImageSet, ImageSet> glyph_task(const std::string& set, FontPart part, std::int64_t train, std::int64_t test,
                                         int side, std::uint64_t seed);

}  // namespace akin
