#include "bench/op_bench.hpp"
#include "kernels/augment.hpp"

using namespace akin;
using namespace akin::bench;

namespace {

const bool registered = [] {
  for (const Activation& a : {Activation{28, 1}, {32, 3}, {64, 3}}) {  // side, channels
    const std::int64_t side = a.M, C = a.C, images = 10000, pixels = side * side * C;
    const std::pair<const char*, AugmentOptions> presets[] = {
        {"clean", {}},
        {"weak", augment_weak(side, C == 3 ? Flip::hv : Flip::none)},
        {"strong", augment_strong(side, C == 3 ? Flip::hv : Flip::none)}};
    for (const auto& [name, preset] : presets)
      add(fmt::format("{}/{}x{}x{}", name, side, side, C), [=, options = preset](benchmark::State& state) {
        std::vector<std::uint8_t> data(static_cast<std::size_t>(images * pixels));
        Rng rng(1);
        for (std::uint8_t& v : data) v = static_cast<std::uint8_t>(rng.next_u32());
        const Normalization norm{std::vector<float>(static_cast<std::size_t>(C), 0.5f),
                                 std::vector<float>(static_cast<std::size_t>(C), 0.25f)};
        Rotating<> out{kBatch * pixels};
        std::vector<AugmentItem> items(kBatch, {0, 1});
        const ImageView view{data.data(), images, side, side, C};
        measure(state, augment_work(view, kBatch, C, options.affine(), sizeof(float)), [&] {
          for (AugmentItem& i : items) i.image = rng.below(images);
          augment(kFast, view, false, items.data(), kBatch, options, norm, 7, out[0]);
          out.next();
        });
      });
  }
  return true;
}();

}  // namespace
