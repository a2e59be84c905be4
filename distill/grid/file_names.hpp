// Names of targets, budgets, variants and sources become names of files; whether they can.
#pragma once

#include <vector>

#include "distill/grid/cell.hpp"

namespace akin {

/// UsageError where a file of one of a target's cells would have a longer name than its file system takes, or two cells
/// would write one: to be called before anything is trained. `students`: whether these are kept.
void check_file_names(const GridFolder& place, const std::vector<Cell>& cells, bool students);

}  // namespace akin
