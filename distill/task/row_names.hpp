// Rows matched by the names of their images.
#pragma once

#include "distill/task/table.hpp"

namespace akin {

/// Fills order[i] with the row of `table` whose name is that of row i of `wanted`. Names are paths: as many of their
/// last parts are compared as tell all rows apart, then without the ending of the file. False, with a note, where the
/// table's names are numbers and none of them fits: they count something else. Error, with some names, where rows are
/// missing, where names repeat, and where the folders before the compared parts are of different splits.
bool match_names(const TableRows& table, const TableRows& wanted, Indices& order, std::vector<std::string>& notes);

}  // namespace akin
