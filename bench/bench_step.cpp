// One training step of a whole network: forward, cross-entropy, backward, SGD. Inputs are random and rotate.
//   bench_step --net resnet8 --width 16 --batch 128            runs for a while and prints images a second
//   bench_step ... --worker                                    waits for "run SECONDS" on stdin, answers one JSON line;
//                                                              bench/step_vs_torch.py takes turns with it and PyTorch
#include <CLI/CLI.hpp>
#include <chrono>
#include <iostream>

#include "kernels/common/rng.hpp"
#include "nn/classifier.hpp"
#include "nn/optimizer.hpp"

namespace {

using namespace akin;

struct Step {
  Context ctx;
  std::unique_ptr<Network> network;
  std::unique_ptr<Optimizer> optimizer;
  std::vector<StepBatch> batches;
  std::int64_t batch, done = 0;

  Step(const std::string& net, std::int64_t width, std::int64_t images) : batch(images) {
    const bool small = net == "resnet8";
    const std::int64_t side = small ? 28 : 32, channels = small ? 1 : 3;
    network = make_network(ctx, {.name = net, .width = width, .channels = channels, .classes = 10});
    initialize(network->parameters(), 1);
    optimizer = std::make_unique<Optimizer>(ctx, network->parameters(), OptimizerOptions{});
    for (std::uint32_t k = 0; k < 8; ++k) {
      Rng rng(7, k);
      const Tensor pixels = Tensor::on_host(ctx, {batch, side, side, channels});
      const Tensor targets = Tensor::on_host(ctx, {batch}, DType::i64);
      for (std::int64_t i = 0; i < pixels.numel(); ++i) pixels.data<float>()[i] = rng.normal();
      for (std::int64_t i = 0; i < batch; ++i) targets.data<std::int64_t>()[i] = rng.below(10);
      batches.push_back({ops::convert(ctx, Tensor::from(ctx, pixels.to_array()), ctx.activations),
                         Tensor::from(ctx, targets.to_array())});
    }
  }

  void run() {
    const StepBatch& b = batches[static_cast<std::size_t>(done++) % batches.size()];
    Tape tape;
    optimizer->zero_grad();
    const TapeScope scope(ctx, &tape);
    const Tensor loss = ops::mean(ctx, ops::softmax_ce(ctx, network->logits(ctx, b[0], true), b[1]));
    tape.backward(ctx, loss);
    optimizer->step(1e-4);
  }

  /// Whole steps for at least `seconds`; returns {images, seconds}.
  std::pair<std::int64_t, double> run_for(double seconds) {
    const auto start = std::chrono::steady_clock::now();
    const auto passed = [&] { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(); };
    std::int64_t images = 0;
    do {
      run();
      images += batch;
    } while (passed() < seconds);
    return {images, passed()};
  }
};

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Time of a training step");
  std::string net = "resnet8";
  std::int64_t width = 16, batch = 128;
  bool worker = false;
  app.add_option("--net", net, "resnet8 (28x28x1) or any other CIFAR ResNet (32x32x3)");
  app.add_option("--width", width, "channels of the first stage");
  app.add_option("--batch", batch, "images a step");
  app.add_flag("--worker", worker, "take orders from standard input");
  CLI11_PARSE(app, argc, argv);
  try {
    Step step(net, width, batch);
    step.run_for(0.5);  // warm-up
    if (!worker) {
      for (int i = 0; i < 5; ++i) {
        const auto [images, seconds] = step.run_for(2);
        fmt::print("{} w{} batch {}: {:.0f} images/s, {:.2f} ms a step\n", net, width, batch,
                   static_cast<double>(images) / seconds,
                   1e3 * seconds * static_cast<double>(batch) / static_cast<double>(images));
      }
      return 0;
    }
    for (std::string line; std::getline(std::cin, line) && line != "quit";) {
      if (!line.starts_with("run ")) continue;
      const auto [images, seconds] = step.run_for(std::stod(line.substr(4)));
      fmt::print("{{\"images\": {}, \"seconds\": {:.6f}}}\n", images, seconds);
      std::fflush(stdout);
    }
  } catch (const std::exception& e) {
    fmt::print(stderr, "bench_step: {}\n", e.what());
    return 1;
  }
  return 0;
}
