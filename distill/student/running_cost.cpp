#include "distill/student/running_cost.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "nn/cost.hpp"
#include "nn/evaluate.hpp"

namespace akin {

void add_running_cost(Context& ctx, const Network& network, const Normalization& normalization, std::int64_t height,
                      std::int64_t width, const Array& images, Figures& figures) {
  const ContextScope<&Context::ranks> apart(ctx, nullptr);  // timed on one rank
  const Cost cost = cost_of(ctx, network, height, width);
  figures.parameters = std::max<std::int64_t>(0, figures.parameters) + cost.parameters;
  figures.multiply_adds = std::max<std::int64_t>(0, figures.multiply_adds) + cost.multiply_adds;
  const Indices all = all_indices(images.shape()[0]);
  double shortest = INFINITY;
  for (int run = 0; run < 3; ++run) {
    const auto start = std::chrono::steady_clock::now();
    run_network(ctx, network, images, all, normalization, {.height = height, .width = width});
    shortest = std::min(shortest, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  const double ms = 1000 * shortest / static_cast<double>(all.size());
  figures.ms_per_image = std::isfinite(figures.ms_per_image) ? figures.ms_per_image + ms : ms;
}

void add_running_cost(Context& ctx, const Model& model, const Array& images, Figures& figures) {
  const auto [height, width] = seen_size(model.info, images.shape());
  add_running_cost(ctx, *model.network, model.info.normalization, height, width, images, figures);
}

}  // namespace akin
