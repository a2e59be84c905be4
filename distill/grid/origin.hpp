// What an experiment's folder knows of a student that it kept, for the student's model card.
#pragma once

#include <filesystem>

#include "distill/grid/model_card.hpp"

namespace akin {

/// Of `<experiment>/students/<target>/<budget>/<variant>-seed<k>.safetensors`, also with _best or an oracle's @source:
/// the figures of its target and budget over all variants and seeds, its own settings, and its seed's similarities. Not
/// known where the file lies elsewhere or its cell is gone.
StudentOrigin find_cell_origin(const std::filesystem::path& student);

}  // namespace akin
