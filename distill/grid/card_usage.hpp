// The part of a model card that says how to run the model, and what stands before a card on the Hugging Face Hub.
#pragma once

#include <string>

#include "distill/grid/model_card.hpp"
#include "nn/data/preprocessing.hpp"

namespace akin {

/// How pictures become the input of what was exported.
Preprocessing input_of(const CardFacts& facts);

/// An indented block, which no content can end.
std::string indented(const std::string& text);

/// "## How to run it", with code that runs as it stands in the folder of the files.
std::string usage_part(const CardFacts& facts);

/// The YAML between "---" lines that the Hub reads: library, task, tags, and the accuracy where it is known. The
/// licence is left to whoever uploads the folder.
std::string hub_head(const CardFacts& facts);

}  // namespace akin
