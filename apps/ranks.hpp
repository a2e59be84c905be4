// A program that a launcher (mpirun, srun) started several times: one rank works as if it were alone, the others help.
#pragma once

#include <CLI/CLI.hpp>
#include <memory>

#include "apps/command_line.hpp"
#include "engine/context.hpp"
#include "engine/ranks.hpp"

namespace akin {

struct CommonOptions;
class MpiRanks;

/// What the environment says of the launcher.
struct Launch {
  int rank = 0, size = 1;
  const char* launcher = nullptr;  ///< "mpirun"; nullptr: none that started several
  const char* variable = nullptr;  ///< of the environment, which says the size
};
Launch launched();

/// --ranks, --rank-timeout.
void add_ranks(CLI::App& app, CommonOptions& options);

/// Joins the other ranks where --ranks says so; nullptr: this process is alone. From then on only the first rank is
/// heard on stdout and stderr. Deals the machine's processors and cards to the ranks on it where the launcher did not.
/// Throws where ranks cannot be had, and where they are other versions of akin or were given other options that steer
/// what they exchange; `more`: further ones of the command, " --only x".
std::shared_ptr<Ranks> join_ranks(CommonOptions& options, const std::string& more = "");
/// Neighbour i takes the i-th of the machine's cards, unless the launcher gave each its own; before a card is opened.
/// UsageError where CUDA_VISIBLE_DEVICES lists several, but too few.
void deal_card(const std::string& device, const MpiRanks& ranks);
/// --exchange, of what trains; `whose` tensors.
void add_exchange(CLI::App& app, CommonOptions& options, const std::string& whose = "ranks");
/// Throws on all ranks where one works on another device or in another precision than the first, or on a processor
/// that gives other bits.
void check_device(Ranks& ranks, const Context& ctx);
/// Gives a Context the ranks that join_ranks() found, whose devices must be the same; all ranks call it.
void use_ranks(Context& ctx, const std::shared_ptr<Ranks>& ranks);
/// The same for what trains: on cards with NCCL as --exchange says.
void use_ranks(Context& ctx, const std::shared_ptr<Ranks>& ranks, const CommonOptions& options);
/// UsageError where a launcher started several processes of a command that is one process.
void refuse_ranks();

/// What main() ends with: whether this process tells the failure (one rank does, with its name), and the exit code.
/// Ends all ranks.
int end_ranks(const Failure* failure);

}  // namespace akin
