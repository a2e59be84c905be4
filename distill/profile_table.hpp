// A profile (engine/profile.hpp) for people: where a run's time went, by stage, op and layer.
#pragma once

#include <string>

#include "engine/profile.hpp"
#include "kernels/common/roof.hpp"

namespace akin {

/// Three tables and what they mean. Shares are of the whole time; GFLOP/s, GB/s and bytes count the contracts'
/// (kernels/ <stem>.hpp). `roof`: of this machine, nullptr where it is not known (a GPU); then its column is empty.
/// `layers`: so many, longest first, at most.
std::string profile_table(const Profile& profile, const Roof* roof, std::size_t layers = 30);

}  // namespace akin
