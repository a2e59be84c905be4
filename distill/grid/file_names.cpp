#include "distill/grid/file_names.hpp"

#include <map>

#include "engine/io/path.hpp"
#include "kernels/common/error.hpp"
#include "nn/data/alike_names.hpp"

namespace akin {

void check_file_names(const GridFolder& place, const std::vector<Cell>& cells, bool students) {
  std::map<std::filesystem::path, const Cell*> owners;
  std::map<std::string, const Cell*> alike;
  for (const Cell& c : cells) {
    if (const auto [other, alone] = alike.emplace(alike_form(place.record(c).string()), &c); !alone)
      fail_usage(
          "{}: the files of {} and {} would be one where a file system does not tell case, or two spellings of a "
          "letter, apart; rename one of them",
          c.target->name, other->second->label(), c.label());
    const std::filesystem::path student = place.student(c), best = place.best(c);  // old ones go in any case
    std::vector<std::filesystem::path> files = {place.record(c), place.checkpoint(c), student, best,
                                                place.labels(*c.target, *c.budget, c.seed)};
    if (!place.flat) files.push_back(place.ranking(*c.target, *c.budget, c.seed));
    for (const std::filesystem::path& file : {student, best}) {
      const auto [owner, alone] = owners.emplace(file, &c);
      // The best student of a source's oracle has the name of the student of a source called <name>_best.
      if (!alone && students && c.budget->labels.validates())
        fail_usage(
            "{}: sources {} and {}: with validation images, {} would write two students to one file, {}; rename one "
            "of the sources, or leave it out",
            c.target->name, owner->second->teacher, c.teacher, c.variant->name, file.string());
    }
    for (const std::filesystem::path& file : files)
      if (const std::string problem = length_problem(file); !problem.empty())
        fail_usage(
            "{}: {}; give {} a shorter name", file.string(), problem,
            c.teacher.empty() ? "the target, the budget, the variant or the run folder" : "the source " + c.teacher);
  }
}

}  // namespace akin
