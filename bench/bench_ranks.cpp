// What ranks exchange in a training step, alone: the sums over slices of a network's gradients, and the statistics of a
// batch norm (--sync-batchnorm).
//   mpirun -n 4 bench_ranks --net resnet50 --net resnet20
//   mpirun -n 8 bench_ranks --device cuda --exchange nccl
#include <algorithm>
#include <chrono>

#include "apps/ranks.hpp"
#include "bench/networks.hpp"
#include "bench/program.hpp"
#include "engine/collectives.hpp"
#include "engine/mpi_ranks.hpp"
#include "engine/nccl.hpp"
#include "engine/ordered_sum.hpp"
#include "kernels/common/rng.hpp"
#include "nn/zoo/zoo.hpp"

namespace {

using namespace akin;
using namespace akin::bench;

struct RanksSettings {
  std::vector<std::string> nets{"resnet20", "mobilenet_v1:8@224", "resnet50"};
  std::string device = "cpu", exchange = "mpi", json;
  int rounds = 15;
  double timeout = 60;
};

/// Parameters and running statistics of a network.
std::int64_t numbers_of(const NetSpec& spec) {
  Context no_memory(Device::cpu, {.shapes_only = true});
  const Input in = input_of(spec.net);
  const auto net = make_network(no_memory, {.name = spec.net,
                                            .width = spec.width,
                                            .channels = in.channels,
                                            .classes = spec.side == 224 ? 1000 : in.classes});
  std::int64_t n = 0;
  for (const Parameter& p : net->parameters())
    if (p.kind != ParameterKind::counter) n += p.tensor.numel();
  return n;
}

/// Microseconds of each round, the slowest rank's: none is done before that one.
template <class Work>
ResultRow timed(Ranks& ranks, const std::string& name, int rounds, Work&& work) {
  ResultRow row{name, "us", false, {}};
  for (int i = -2; i < rounds; ++i) {  // the first ones make room
    ranks.barrier("a round");
    const auto begun = std::chrono::steady_clock::now();
    work();
    const double own = std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - begun).count();
    const std::vector<double> all = gathered(&ranks, own, "the times of a round");
    if (i >= 0) row.rounds.push_back(*std::max_element(all.begin(), all.end()));
  }
  return row;
}

void measure(const RanksSettings& s) {
  const Launch launch = launched();
  if (launch.size == 1) fail_usage("one process exchanges nothing: mpirun -n 4 bench_ranks");
  const auto ranks = std::make_shared<MpiRanks>(s.timeout, launch.size);
  deal_card(s.device, *ranks);
  Context ctx(parse_device(s.device));
  use_ranks(ctx, ranks);
  if (s.exchange == "nccl") ctx.nccl = std::make_shared<Nccl>(ctx, Nccl::files());
  ResultFile file = result_file("bench_ranks");
  file.processor = describe(ctx);
  file.details["ranks"] = ranks->size();
  file.details["of_this_machine"] = ranks->neighbours();
  file.details["exchange"] = ctx.nccl == nullptr ? ranks->about() : ctx.nccl->about();
  const bool tells = ranks->is_first();
  if (tells)
    fmt::print("{} ranks ({} of this machine), {}, {}; the slowest rank of each round\n", ranks->size(),
               ranks->neighbours(), file.details["exchange"].get<std::string>(), file.processor);
  const auto add = [&](const ResultRow& row, std::int64_t bytes) {
    file.rows.push_back(row);
    const double us = median(row.rounds);
    if (tells)
      fmt::print("{:<52} {:>11.1f} us{}\n", row.name, us,
                 bytes == 0 ? "" : fmt::format("  {:.2f} GB/s sent by each", static_cast<double>(bytes) / us / 1e3));
  };
  add(timed(*ranks, "nothing (barrier)", s.rounds, [&] { ranks->barrier("a barrier"); }), 0);
  for (const std::int64_t channels : {16, 256}) {
    const Tensor own = Tensor::zeros(ctx, {2 * channels + 1}),
                 all = Tensor::empty(ctx, {ranks->size() * (2 * channels + 1)});
    const std::int64_t columns[] = {channels, channels, 1};
    add(timed(*ranks, fmt::format("statistics of a batch norm of {} channels", channels), s.rounds,
              [&] { all_gather(ctx, own, all, columns, "statistics"); }),
        0);
  }
  for (const std::string& net : s.nets) {
    const std::int64_t n = numbers_of(parse_net(net));
    OrderedSum sum(ctx, n, 1, 2);
    std::vector<float> values(static_cast<std::size_t>(n));
    Rng rng(3, static_cast<std::uint32_t>(ranks->rank()));
    for (float& v : values) v = rng.normal();
    const float tail[] = {1, 0};
    sum.put(0, tail, [&](const Tensor& to) { to.copy_from(values.data()); });
    const std::int64_t bytes = 2 * 4 * n * (ranks->size() - 1) / ranks->size();
    add(timed(*ranks, fmt::format("gradients of {}: {} numbers", net, n), s.rounds, [&] { sum.sum("gradients"); }),
        bytes);
  }
  if (tells && !s.json.empty()) write_results(s.json, file);
}

}  // namespace

int main(int argc, char** argv) {
  RanksSettings s;
  CLI::App app(
      "What ranks exchange in a training step, alone; to be started by mpirun or srun.\n"
      "Example: mpirun -n 4 bench_ranks --net resnet50\n"
      "Exit code: 0 measured, 1 failed, 2 wrong use.");
  app.add_option("--net", s.nets,
                 "Networks whose gradients are added up, NAME[:WIDTH][@SIDE]; at side 224 of 1000 classes")
      ->take_all()
      ->capture_default_str();
  app.add_option("--device", s.device, "Where the gradients are")->check(CLI::IsMember({"cpu", "sim", "cuda"}));
  app.add_option("--exchange", s.exchange, "How they are exchanged")->check(CLI::IsMember({"mpi", "nccl"}));
  app.add_option("--rounds", s.rounds, "Of each row")->check(CLI::Range(1, 100000))->capture_default_str();
  app.add_option("--json", s.json, "File for the results (bench_compare reads it)");
  return bench::run_program(app, argc, argv, "bench_ranks", [&] { measure(s); });
}
