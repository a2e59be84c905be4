#include "apps/ranks.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>

#include "apps/common.hpp"
#include "apps/flags.hpp"
#include "engine/io/text.hpp"
#include "engine/mpi_ranks.hpp"
#include "engine/nccl.hpp"
#include "kernels/common/parallel.hpp"
#include "kernels/common/processors.hpp"

namespace akin {

namespace {

/// MPI can be started once, and main() ends it when all else is gone.
std::shared_ptr<MpiRanks>& joined() {
  static std::shared_ptr<MpiRanks> ranks;
  return ranks;
}

int stderr_before = STDERR_FILENO;

int number_of(const char* variable) {
  const char* text = std::getenv(variable);
  return text == nullptr || *text == 0 ? -1 : std::atoi(text);
}

/// Standard output and error of the other ranks go nowhere, but for why a rank failed.
void fall_silent() {
  std::fflush(stdout);
  stderr_before = ::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
  const int nowhere = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
  if (nowhere == -1) return;
  ::dup2(nowhere, STDOUT_FILENO);
  ::dup2(nowhere, STDERR_FILENO);
  ::close(nowhere);
}

/// Neighbour i takes the i-th of the machine's cards, unless the launcher gave each its own.
void choose_card(int neighbour) {
  const char* said = std::getenv("CUDA_VISIBLE_DEVICES");
  std::string list = said == nullptr ? "" : said;
  if (said == nullptr) {
    ::setenv("CUDA_VISIBLE_DEVICES", std::to_string(neighbour).c_str(), 0);
    return;
  }
  for (int i = 0; i < neighbour && list.find(',') != std::string::npos; ++i) list.erase(0, list.find(',') + 1);
  ::setenv("CUDA_VISIBLE_DEVICES", list.substr(0, list.find(',')).c_str(), 1);
}

void tell(const std::string& text) {
  const std::string line = "akin: " + spelled_controls(text, true) + "\n";
  [[maybe_unused]] const auto written = ::write(stderr_before, line.data(), line.size());
}

/// Ends all where one does not come to the end.
void end_well(MpiRanks& ranks) {
  try {
    ranks.end();
  } catch (const ToldElsewhere&) {
    ranks.report(nullptr);
    ranks.abort(1);
  } catch (const Error& e) {
    const bool done = ranks.is_first();  // the others do not know what it had still to write
    tell(done ? fmt::format("warning: the work is done; {}", e.what()) : e.what());
    ranks.abort(done ? 0 : 1);
  }
}

}  // namespace

Launch launched() {
  struct Variables {
    const char *launcher, *rank, *size;
  };
  // Of Slurm what srun sets for a step alone: a batch script that starts one process has SLURM_NTASKS, too.
  constexpr std::array<Variables, 3> all{{{"mpirun", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"},
                                          {"srun", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS"},
                                          {"mpiexec", "PMI_RANK", "PMI_SIZE"}}};
  for (const Variables& v : all) {
    const int rank = number_of(v.rank), size = number_of(v.size);
    if (size > 1 && rank >= 0 && rank < size) return {rank, size, v.launcher};
  }
  return {};
}

void add_ranks(CLI::App& app, CommonOptions& options) {
  app.add_option("--ranks", options.ranks,
                 "auto: share the work with the processes that mpirun or srun started beside this one; mpi: insist on "
                 "it; none: each for itself")
      ->transform(one_of({"auto", "mpi", "none"}))
      ->configurable(false)
      ->group("General");
  app.add_option("--rank-timeout", options.rank_timeout,
                 "Seconds to wait for a rank that does not answer, before all end or experiment goes on without it")
      ->transform(number_in(0.5, 1e6))
      ->configurable(false)
      ->group("General");
}

std::shared_ptr<Ranks> join_ranks(CommonOptions& options) {
  const Launch launch = launched();
  if (options.ranks == "none" || options.console != nullptr) return nullptr;  // a library's host is its own master
  if (options.ranks == "auto" && launch.size == 1) return nullptr;
  if (launch.size == 1)
    fail_usage("--ranks mpi: no launcher started more than this process; use mpirun -n N akin ..., or srun");
  const auto ranks = std::make_shared<MpiRanks>(options.rank_timeout, launch.size);
  joined() = ranks;
  if (!ranks->is_first()) fall_silent();
  if (options.threads == 0 && std::getenv("OMP_NUM_THREADS") == nullptr) {
    const int all = static_cast<int>(std::thread::hardware_concurrency());
    const int own = available_processors();  // fewer where the launcher bound this rank
    if (own >= all && ranks->neighbours() > 1) options.threads = std::max(1, own / ranks->neighbours());
  }
  choose_card(ranks->neighbour());
  check_same(*ranks, version_line(), "version");
  say(options, fmt::format("ranks: {} ({} on this machine), {}", ranks->size(), ranks->neighbours(), ranks->about()));
  return ranks;
}

void add_exchange(CLI::App& app, CommonOptions& options) {
  app.add_option("--exchange", options.exchange,
                 "How ranks on cards give each other tensors: nccl, mpi (through host memory), or auto: nccl where all "
                 "have it")
      ->transform(one_of({"auto", "nccl", "mpi"}))
      ->configurable(false)
      ->group("General");
}

void use_ranks(Context& ctx, const std::shared_ptr<Ranks>& ranks, const CommonOptions& options) {
  ctx.ranks = ranks;
  const bool insists = options.exchange == "nccl";
  if (insists && ctx.device != Device::cuda) fail_usage("--exchange nccl: goes with --device cuda");
  if (ranks == nullptr || ctx.device != Device::cuda || options.exchange == "mpi") return;
  const std::string problem = Nccl::problem(Nccl::files());
  if (insists) AKIN_CHECK(problem.empty(), "--exchange nccl: {}", problem);
  const std::vector<char> there = gathered<char>(ranks.get(), problem.empty(), "whether NCCL is there");
  const auto without = std::find(there.begin(), there.end(), 0);
  if (without == there.end()) {
    ctx.nccl = std::make_shared<Nccl>(ctx, Nccl::files());
    say(options, "exchange: " + ctx.nccl->about());
  } else {
    say(options, fmt::format("exchange: through host memory, for {} has no NCCL",
                             ranks->name(static_cast<int>(without - there.begin()))));
  }
}

void refuse_ranks() {
  if (const Launch launch = launched(); launch.size > 1)
    fail_usage("{} started {} processes of a command that is one; start it without {}", launch.launcher, launch.size,
               launch.launcher);
}

int end_ranks(const Failure* failure) {
  std::shared_ptr<MpiRanks> ranks = std::move(joined());
  if (failure == nullptr) {
    if (ranks != nullptr) end_well(*ranks);
    return 0;
  }
  if (ranks == nullptr) {
    // What fails before the ranks know each other fails in all of them alike.
    if (const Launch launch = launched(); launch.rank == 0) tell(failure->text);
    return failure->code;
  }
  const bool own = !failure->told && !failure->of_ranks;
  if (own || failure->told) ranks->report(own ? &failure->text : nullptr);
  if (!failure->told)
    tell(own && !ranks->is_first() ? fmt::format("{}: {}", ranks->name(ranks->rank()), failure->text) : failure->text);
  ranks->abort(failure->code);
}

}  // namespace akin
