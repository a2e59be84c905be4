// Curves for TensorBoard.
#pragma once

#include <filesystem>
#include <span>
#include <string>

#include "distill/report/figures.hpp"

namespace akin {

/// Writes run_folder/tensorboard/<name>/events.out.tfevents.akin: loss/train, accuracy/validation and, at the last
/// step, accuracy/test. Times are those of steps as if they had taken equally long, the last one being now. Where the
/// file is there, it stays: another run would have taken it away.
void write_tensorboard(const std::filesystem::path& run_folder, const std::string& name, const Figures& figures,
                       std::span<const CurvePoint> curve);

}  // namespace akin
