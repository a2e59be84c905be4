#include "apps/ranks.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>

#include "apps/common.hpp"
#include "apps/flags.hpp"
#include "engine/io/text.hpp"
#include "engine/mpi_ranks.hpp"
#include "engine/nccl.hpp"
#include "kernels/common/gpu/device.hpp"
#include "kernels/common/onednn.hpp"
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

/// What decides the bits of results, and which calls the ranks make.
std::string device_of(const Context& ctx) {
  std::string text = name_of(ctx.device);
  if (ctx.device == Device::cuda) {
    const std::string card = ctx.gpu->describe();
    text = card.substr(0, card.find(", driver"));
  } else if (const std::string library = fast::onednn_version(); ctx.device == Device::cpu && !library.empty()) {
    text += fmt::format(", {} for instruction set {}", library, fast::onednn_isa());
  }
#if defined(__x86_64__)
  if (ctx.device != Device::cuda && !(__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")))
    text += ", no FMA";  // the C library's functions then round otherwise
#endif
  text += ctx.activations == DType::bf16 ? ", bf16" : ", f32";
  if (ctx.gemm_vendor != nullptr) text += ", cuBLASLt";
  if (ctx.conv_vendor != nullptr) text += ", cuDNN";
  return text;
}

void tell(const std::string& text) {
  const std::string line = "akin: " + spelled_controls(text, true) + "\n";
  [[maybe_unused]] const auto written = ::write(stderr_before, line.data(), line.size());
}

/// A failure before the ranks know each other. What all do wrong the first one tells, and the launcher then ends the
/// others, who wait for that (mpirun needs a second); where they are still there, it is their own fault.
void tell_alone(const Failure& failure) {
  const Launch launch = launched();
  if (failure.told) return;
  if (launch.rank == 0) return tell(failure.text);
  std::this_thread::sleep_for(std::chrono::seconds(2));
  tell(failure.of_ranks ? failure.text : fmt::format("rank {} ({}): {}", launch.rank, host_name(), failure.text));
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
    if (size > 1 && rank >= 0 && rank < size) return {rank, size, v.launcher, v.size};
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

void deal_card(const std::string& device, const MpiRanks& ranks) {
  constexpr const char* kVariable = "CUDA_VISIBLE_DEVICES";
  if (device != "cuda" && (device != "auto" || !built_with_cuda())) return;
  const char* said = std::getenv(kVariable);
  if (said == nullptr) {
    ::setenv(kVariable, std::to_string(ranks.neighbour()).c_str(), 1);
    return;
  }
  std::string list = said;
  const auto cards = 1 + std::count(list.begin(), list.end(), ',');
  if (cards == 1) return;
  if (cards < ranks.neighbours())
    fail_usage(
        "CUDA_VISIBLE_DEVICES={}: lists {} cards for {} ranks of this machine; list one for each, start {} ranks, or "
        "use --device cpu",
        list, cards, ranks.neighbours(), cards);
  for (int i = 0; i < ranks.neighbour(); ++i) list.erase(0, list.find(',') + 1);
  ::setenv(kVariable, list.substr(0, list.find(',')).c_str(), 1);
}

std::shared_ptr<Ranks> join_ranks(CommonOptions& options, const std::string& more) {
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
  deal_card(options.settings.device, *ranks);
  check_same(*ranks, version_line(), "version");
  check_same(*ranks,
             fmt::format("--compare-every {} --exchange {}{}", options.settings.compare_every, options.exchange, more),
             "choice of options");
  say(options, fmt::format("ranks: {} ({} on this machine), {}", ranks->size(), ranks->neighbours(), ranks->about()));
  return ranks;
}

void add_exchange(CLI::App& app, CommonOptions& options, const std::string& whose) {
  app.add_option("--exchange", options.exchange,
                 fmt::format("How {} on cards give each other tensors: nccl, mpi (through host memory), or auto: nccl "
                             "where all have it",
                             whose))
      ->transform(one_of({"auto", "nccl", "mpi"}))
      ->configurable(false)
      ->group("General");
}

void check_device(Ranks& ranks, const Context& ctx) { check_same(ranks, device_of(ctx), "device"); }

void use_ranks(Context& ctx, const std::shared_ptr<Ranks>& ranks) {
  ctx.ranks = ranks;
  if (ranks != nullptr) check_device(*ranks, ctx);
}

void use_ranks(Context& ctx, const std::shared_ptr<Ranks>& ranks, const CommonOptions& options) {
  use_ranks(ctx, ranks);  // from here on all ranks go the same way
  const bool insists = options.exchange == "nccl";
  if (insists && ctx.device != Device::cuda) fail_usage("--exchange nccl: goes with --device cuda");
  if (ranks == nullptr || ctx.device != Device::cuda || options.exchange == "mpi") return;
  const std::vector<std::string> problems = gather(*ranks, Nccl::problem(Nccl::files()), "whether NCCL is there");
  const auto without = std::find_if(problems.begin(), problems.end(), [](const std::string& p) { return !p.empty(); });
  if (without == problems.end()) {
    ctx.nccl = std::make_shared<Nccl>(ctx, Nccl::files());
    say(options, "exchange: " + ctx.nccl->about());
    return;
  }
  const std::string name = ranks->name(static_cast<int>(without - problems.begin()));
  AKIN_CHECK(!insists, "--exchange nccl: {}: {}", name, *without);
  say(options, fmt::format("exchange: through host memory, for {} has no NCCL that will do", name));
}

void refuse_ranks() {
  if (const Launch launch = launched(); launch.size > 1)
    fail_usage(
        "{0} started {1} processes of a command that is one; start it without {0}, or by env -u {2} where each is to "
        "run for itself",
        launch.launcher, launch.size, launch.variable);
}

int end_ranks(const Failure* failure) {
  std::shared_ptr<MpiRanks> ranks = std::move(joined());
  if (failure == nullptr) {
    if (ranks != nullptr) end_well(*ranks);
    return 0;
  }
  if (ranks == nullptr) {
    tell_alone(*failure);
    return failure->code;
  }
  const bool own = !failure->told && !failure->of_ranks;
  if (own || failure->told) ranks->report(own ? &failure->text : nullptr);
  if (!failure->told)
    tell(own && !ranks->is_first() ? fmt::format("{}: {}", ranks->name(ranks->rank()), failure->text) : failure->text);
  ranks->abort(failure->code);
}

}  // namespace akin
