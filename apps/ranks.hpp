// A program that a launcher (mpirun, srun) started several times: one rank works as if it were alone, the others help.
#pragma once

#include <CLI/CLI.hpp>
#include <memory>

#include "apps/command_line.hpp"
#include "engine/context.hpp"
#include "engine/ranks.hpp"

namespace akin {

struct CommonOptions;

/// What the environment says of the launcher.
struct Launch {
  int rank = 0, size = 1;
  const char* launcher = nullptr;  ///< "mpirun"; nullptr: none that started several
};
Launch launched();

/// --ranks, --rank-timeout.
void add_ranks(CLI::App& app, CommonOptions& options);

/// Joins the other ranks where --ranks says so; nullptr: this process is alone. From then on only the first rank is
/// heard on stdout and stderr. Deals the machine's processors and cards to the ranks on it where the launcher did not.
/// Throws where ranks cannot be had, and where they are other versions of akin.
std::shared_ptr<Ranks> join_ranks(CommonOptions& options);
/// --exchange, of what trains.
void add_exchange(CLI::App& app, CommonOptions& options);
/// Gives a Context the ranks that join_ranks() found, and on cards NCCL as --exchange says; all ranks call it.
void use_ranks(Context& ctx, const std::shared_ptr<Ranks>& ranks, const CommonOptions& options);
/// UsageError where a launcher started several processes of a command that is one process.
void refuse_ranks();

/// What main() ends with: whether this process tells the failure (one rank does, with its name), and the exit code.
/// Ends all ranks.
int end_ranks(const Failure* failure);

}  // namespace akin
