// What is told of a data set's folder, for programs. For .cpp files: the library behind JSON is large.
#pragma once

#include "engine/io/json.hpp"
#include "nn/data/account.hpp"

namespace akin {

/// A list of {what, warning, count, first, endings}.
Json json_of(const Account& account);

}  // namespace akin
