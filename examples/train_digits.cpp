// Training in the open: a small residual network learns to read seven-segment digits, drawn here with noise.
#include <fmt/format.h>

#include <akin/kernels/common/rng.hpp>
#include <akin/nn/evaluate.hpp>
#include <akin/nn/optimizer.hpp>
#include <akin/nn/zoo/zoo.hpp>

using namespace akin;

constexpr std::int64_t kSide = 16;

struct Digits {
  std::vector<float> pixels;          // [n, kSide, kSide, 1]
  std::vector<std::int64_t> classes;  // [n], which digit it is
};

/// n digits, each somewhere in its image, darker or lighter, in noise. Equal seeds draw equal digits.
Digits draw(std::int64_t n, std::uint64_t seed) {
  // Of each segment: its corner and size {x, y, width, height}, and the digits that it is lit in, bit d for digit d.
  constexpr int segments[7][5] = {{0, 0, 6, 2, 0b1111101101}, {0, 0, 2, 6, 0b1101110001}, {4, 0, 2, 6, 0b1110011111},
                                  {0, 4, 6, 2, 0b1101111100}, {0, 4, 2, 6, 0b0101000101}, {4, 4, 2, 6, 0b1111111011},
                                  {0, 8, 6, 2, 0b1101101101}};
  Digits out{std::vector<float>(static_cast<std::size_t>(n * kSide * kSide)), {}};
  Rng rng(seed);
  for (std::int64_t i = 0; i < n; ++i) {
    float* image = &out.pixels[static_cast<std::size_t>(i * kSide * kSide)];
    for (int p = 0; p < kSide * kSide; ++p) image[p] = 0.5f * rng.normal();
    const int digit = static_cast<int>(rng.below(10)), x0 = static_cast<int>(rng.below(9)),
              y0 = static_cast<int>(rng.below(7));
    const float ink = rng.uniform(0.7f, 1.5f);
    for (const auto& [x, y, w, h, lit] : segments)
      for (int p = 0; p < w * h && (lit >> digit) % 2 == 1; ++p)
        image[(y0 + y + p / w) * kSide + x0 + x + p % w] += ink;
    out.classes.push_back(digit);
  }
  return out;
}

int main() {
  Context ctx;  // the CPU; Context ctx(Device::cuda) is a card
  const auto net = make_network(ctx, {.name = "resnet8", .width = 8, .channels = 1, .classes = 10});
  initialize(net->parameters(), 0);
  Optimizer optimizer(ctx, net->parameters(), {.momentum = 0.9});
  constexpr std::int64_t steps = 300, batch = 64, tests = 1000;
  for (std::int64_t step = 0; step < steps; ++step) {
    const double lr = 0.1 * static_cast<double>(steps - step) / static_cast<double>(steps);
    const Digits digits = draw(batch, 1 + static_cast<std::uint64_t>(step));
    const Tensor images = Tensor::from(ctx, digits.pixels, {batch, kSide, kSide, 1});
    const Tensor targets = Tensor::from(ctx, digits.classes, {batch});

    Tape tape;
    const TapeScope recording(ctx, &tape);  // from here on, ops write down how to go back

    optimizer.zero_grad();                                                      // 1. zero
    const Tensor logits = net->logits(ctx, images, true);                       // 2. forward
    const Tensor loss = ops::mean(ctx, ops::softmax_ce(ctx, logits, targets));  // 3. loss
    tape.backward(ctx, loss);                                                   // 4. backward
    optimizer.step(lr);                                                         // 5. step

    if (step % 50 == 0 || step + 1 == steps) fmt::print("step {:3}  loss {:.3f}\n", step, loss.item());
  }
  const Digits unseen = draw(tests, 0);
  const Tensor logits = net->logits(ctx, Tensor::from(ctx, unseen.pixels, {tests, kSide, kSide, 1}), false);
  const std::vector<int> truth(unseen.classes.begin(), unseen.classes.end());
  fmt::print("right: {:.1f} % of {} digits that it never saw\n", 100 * accuracy(argmax_rows(logits.to_array()), truth),
             tests);
}
