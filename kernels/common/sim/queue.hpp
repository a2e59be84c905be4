// What Stream<Sim>::handle points to: how kernels run, and, while a graph is captured, where they are kept instead.
#pragma once

#include <functional>
#include <vector>

#include "kernels/common/sim/grid.hpp"

namespace akin::sim {

struct Queue {
  Options options;
  std::vector<std::function<void()>>* recording = nullptr;

  /// Does `work` now, or keeps it for the graph that is being captured.
  template <class Work>
  void submit(Work work) {
    if (recording != nullptr)
      recording->push_back(std::move(work));
    else
      work();
  }
};

}  // namespace akin::sim
