// What a run folder proves of a student that lies in it, for the student's model card.
#pragma once

#include <filesystem>

#include "distill/grid/model_card.hpp"

namespace akin {

/// Of a model by its SHA-256 `hash`: from the report that lists it among its students, else from the record that names
/// it, else not known, wherever the file lies and whatever its name. The folder is that of the file or the one above
/// `students/`; in an experiment `<experiment>/students/<target>/<budget>/<variant>-seed<k>.safetensors`, also with
/// _best or an oracle's @source. A record has the figures of the students that were made of the same data with the same
/// settings but the seed. Throws Error where the run's report is damaged.
StudentOrigin find_origin(const std::filesystem::path& student, const std::string& hash);

}  // namespace akin
