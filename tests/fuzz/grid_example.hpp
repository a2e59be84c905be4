// A grid of one target, budget and seed, whose records and rankings the targets read.
#pragma once

#include "distill/grid/tables.hpp"

namespace akin::fuzz {

inline Grid small_grid() {
  Grid grid;
  grid.title = "small";
  grid.seeds = {0};
  grid.metrics = {"parc", "cka"};
  grid.sources = {{"s", "s.safetensors"}};
  grid.targets = {{.name = "t", .load = {}, .sources = {"s"}}};
  grid.budgets = {{"b", {}}};
  grid.variants = {{"weighted", Method::weighted}, {"oracle", Method::oracle}};
  return grid;
}

}  // namespace akin::fuzz
