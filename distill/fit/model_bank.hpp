// A folder of trained networks to fit from: <name>.safetensors, each a model file that describes itself.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "nn/cost.hpp"
#include "nn/model_file.hpp"

namespace akin {

/// $AKIN_BANK, else $XDG_DATA_HOME/akin/bank, else ~/.local/share/akin/bank; empty where none of them is set.
std::filesystem::path default_bank();

/// The model files of a bank, sorted; none where there is no such folder. Hidden files are left out.
std::vector<std::filesystem::path> bank_files(const std::filesystem::path& bank);

struct BankModel {
  std::filesystem::path file;
  std::string name;
  ModelInfo info;
  Cost cost;  ///< at the size it was trained on; 0 multiply-adds where that is not known
};
/// Reads it whole: a file that is no sound model is an Error.
BankModel read_bank_model(Context& ctx, const std::filesystem::path& file);

/// Copies a model into the bank under its name (source_name) or `name`: the same bytes where the file describes itself,
/// one self-contained file where a graph.json beside it does. Error where one of that name is there, unless `force`,
/// and where akin cannot tell what network the weights are of. Returns its place.
std::filesystem::path add_to_bank(Context& ctx, const std::filesystem::path& file, const std::filesystem::path& bank,
                                  const std::string& name, bool force);

}  // namespace akin
