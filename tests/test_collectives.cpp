// Tensors between ranks: what collectives.hpp exchanges, through host memory and through NCCL (a stand-in of it, over
// the emulator), and batch norms that count the images of all ranks.
#include "engine/collectives.hpp"

#include <doctest/doctest.h>

#include <algorithm>

#include "engine/nccl.hpp"
#include "engine/ordered_sum.hpp"
#include "kernels/common/plugin.hpp"
#include "kernels/common/rng.hpp"
#include "kernels/common/sim/memory.hpp"
#include "kernels/common/sim/queue.hpp"
#include "tests/batchnorm_case.hpp"
#include "tests/temp_folder.hpp"
#include "tests/thread_ranks.hpp"
#include "tests/toy_run.hpp"

using namespace akin;
using namespace akin::test;
using Strings = std::vector<std::string>;
using Columns = std::vector<std::int64_t>;

namespace {

const Strings kStandIn{AKIN_BINARY_DIR "/bin/libnccl_stand_in.so"};

template <class Function>
Function* stand_in(const char* name) {
  std::string tried;
  const Library library = open_library(kStandIn, tried);
  AKIN_CHECK(library.handle != nullptr, "{}", tried);
  return reinterpret_cast<Function*>(symbol_of(library, name));
}

/// Work of a stream of the emulator, which is done in its turn.
void submit(void* stream, std::function<void()> work) {
  static_cast<sim::Queue*>(stream)->submit([work = std::move(work)] {
    const sim::HostAccess open;
    work();
  });
}

/// How tensors go from rank to rank.
struct Way {
  Device device = Device::cpu;
  bool nccl = false;
};
/// akin_gpu travels without the stand-in.
const bool kHasStandIn = std::string_view(AKIN_SOURCE_DIR) != ".";
const std::vector<Way> kWays =
    kHasStandIn ? std::vector<Way>{{}, {Device::sim}, {Device::sim, true}} : std::vector<Way>{{}, {Device::sim}};

/// `body` as each of n ranks, with a Context of its own.
void on_ranks(int n, const Way& way, const std::function<void(Context&)>& body) {
  CAPTURE(n);
  CAPTURE(name_of(way.device));
  CAPTURE(way.nccl);
  if (way.nccl) stand_in<void(void (*)(void*, std::function<void()>))>("stand_in_submit_with")(submit);
  for (const std::string& e : as_ranks(n, [&](const std::shared_ptr<Ranks>& ranks) {
         Context ctx(way.device, {.poison = true});
         ctx.ranks = ranks;
         if (way.nccl) ctx.nccl = std::make_shared<Nccl>(ctx, kStandIn);
         body(ctx);
       }))
    CHECK_EQ(e, "");
}

std::vector<float> values_of(const Tensor& t) {
  std::vector<float> out(static_cast<std::size_t>(t.numel()));
  t.copy_to(out.data());
  return out;
}

}  // namespace

TEST_CASE("pieces go to their ranks, and columns of all ranks stand one behind the other") {
  for (const Way& way : kWays)
    for (const int n : {1, 2, 3})
      on_ranks(n, way, [n](Context& ctx) {
        const int me = ctx.ranks->rank();
        for (const std::int64_t each : {1, 5, 300}) {
          std::vector<float> send;
          for (int to = 0; to < n; ++to) send.insert(send.end(), static_cast<std::size_t>(each), 100.0f * me + to);
          const Tensor receive = Tensor::empty(ctx, {n * each});
          all_to_all(ctx, Tensor::from(ctx, send, {n * each}), receive, "a test");
          const std::vector<float> got = values_of(receive);
          for (int from = 0; from < n; ++from)
            for (std::int64_t i = 0; i < each; ++i)
              AKIN_CHECK(got[static_cast<std::size_t>(from * each + i)] == 100.0f * from + me, "piece of rank {}",
                         from);
        }
        for (const Columns& columns : {Columns{7}, Columns{4, 4, 1}, Columns{3, 0, 2}}) {
          std::vector<float> own, want;
          for (std::size_t k = 0; k < columns.size(); ++k)
            own.insert(own.end(), static_cast<std::size_t>(columns[k]), 10.0f * static_cast<float>(k) + me);
          for (std::size_t k = 0; k < columns.size(); ++k)
            for (int r = 0; r < n; ++r)
              want.insert(want.end(), static_cast<std::size_t>(columns[k]), 10.0f * static_cast<float>(k) + r);
          const Tensor all = Tensor::empty(ctx, {static_cast<std::int64_t>(want.size())});
          all_gather(ctx, Tensor::from(ctx, own, {static_cast<std::int64_t>(own.size())}), all, columns, "a test");
          AKIN_CHECK(values_of(all) == want, "other columns");
        }
      });
  if (kHasStandIn) CHECK_EQ(stand_in<int()>("stand_in_calls_alone")(), 0);
}

TEST_CASE("NCCL that is missing, of another make or in trouble is told with its own words") {
  CHECK(has(Nccl::problem({"/nowhere/libnccl.so.2"}), "NCCL was not found; looked for in:\n  /nowhere/libnccl.so.2"));
  if (!kHasStandIn) return;
  CHECK_EQ(Nccl::problem(kStandIn), "");
  on_ranks(1, {Device::sim, true}, [](Context& ctx) {
    AKIN_CHECK(ctx.nccl->about() == "NCCL 2.21.5", "{}", ctx.nccl->about());
    const auto fail_with = stand_in<void(int)>("stand_in_fail");
    const Tensor one = Tensor::zeros(ctx, {1});
    fail_with(3);
    const std::string error = error_of([&] { all_to_all(ctx, one, Tensor::zeros(ctx, {1}), "a test"); });
    fail_with(0);
    AKIN_CHECK(has(error, "NCCL: cannot send: internal error"), "{}", error);
  });
}

TEST_CASE("sums over slices have the same bits on a device, however its ranks exchange them") {
  constexpr std::int64_t kSlices = 4, kN = 1001;
  std::vector<std::vector<float>> slices(kSlices);
  Rng rng(5, 1, 2);
  for (auto& s : slices)
    for (std::int64_t i = 0; i < kN; ++i) s.push_back(rng.normal() * std::exp2(static_cast<float>(rng.below(20))));
  std::vector<float> want = slices[0];
  for (std::size_t s = 1; s < kSlices; ++s)
    for (std::size_t i = 0; i < want.size(); ++i) want[i] += slices[s][i];
  for (const Way& way : kWays)
    for (const int n : {1, 2, 4})
      on_ranks(n, way, [&](Context& ctx) {
        const std::int64_t here = kSlices / n, first = here * ctx.ranks->rank();
        OrderedSum sum(ctx, kN, here, 2);
        for (int turn = 0; turn < 2; ++turn) {
          for (std::int64_t i = 0; i < here; ++i) {
            const float tail[] = {static_cast<float>(first + i), static_cast<float>(turn)};
            sum.put(i, tail,
                    [&](const Tensor& to) { to.copy_from(slices[static_cast<std::size_t>(first + i)].data()); });
          }
          AKIN_CHECK(values_of(sum.sum("a test")) == want, "another sum");
          for (std::int64_t s = 0; s < kSlices; ++s)
            AKIN_CHECK(sum.tail(s)[0] == static_cast<float>(s) && sum.tail(s)[1] == static_cast<float>(turn), "tail {}",
                       s);
        }
      });
}

namespace {

/// What a batch norm with its backward makes of some rows; dgamma and dbeta are of these rows alone.
struct Made {
  Values y, dx, dresidual, dgamma, dbeta, mean, var;
};

Made made_by(Context& ctx, const Setup& s, const std::vector<Values>& in, const Values& dy, DType dtype) {
  const std::int64_t M = static_cast<std::int64_t>(in[0].size()) / s.C;
  Tape tape;
  const TapeScope scope(ctx, &tape);
  const auto tensor = [&](const Values& v, const Shape& shape, DType type) {
    const Tensor t = Tensor::from(ctx, Array::from(std::vector<double>(v.begin(), v.end()), shape).cast(type));
    return t;
  };
  const DType full = dtype == DType::bf16 ? DType::f32 : dtype;
  std::vector<Tensor> x{tensor(in[0], {M, s.C}, dtype), tensor(in[1], {s.C}, full), tensor(in[2], {s.C}, full)};
  if (s.residual) x.push_back(tensor(in[3], {M, s.C}, dtype));
  for (Tensor& t : x) t.set_requires_grad(true);
  BatchNormState state = state_of(ctx, s.C, dtype);
  const Tensor y = ops::batchnorm(ctx, x[0], x[1], x[2], state, true, s.act(), s.residual ? x[3] : Tensor());
  tape.backward(ctx, ops::sum(ctx, ops::mul(ctx, y, tensor(dy, {M, s.C}, dtype))));
  return {to_values(y),
          to_values(x[0].grad()),
          s.residual ? to_values(x[3].grad()) : Values{},
          to_values(x[1].grad()),
          to_values(x[2].grad()),
          to_values(state.running_mean),
          to_values(state.running_var)};
}

Values rows_of(const Values& v, std::int64_t C, std::int64_t first, std::int64_t end) {
  return Values(v.begin() + first * C, v.begin() + end * C);
}

}  // namespace

TEST_CASE("a batch norm over ranks is that of all their rows") {
  struct Case {
    Setup s;
    DType dtype = DType::f32;
    std::int64_t row = 1;  // values a channel of an image
  };
  const Case cases[] = {{{25, 3, true, false, false}},
                        {{700, 16, true, true, false}, DType::f32, 7},
                        {{310, 33, true, true, true}},
                        {{96, 8, true, true, true, 40, 0.5, true}, DType::f32, 4},
                        {{180, 24, true, true, true}, DType::bf16}};
  for (const Case& c : cases)
    for (const Way& way : kWays)
      for (const int n : {2, 3}) {
        if (c.dtype == DType::bf16 && way.device == Device::cpu) continue;
        if (n == 3 && way.device == Device::sim && c.s.C != 33) continue;  // the emulator takes its time
        const Setup& s = c.s;
        std::vector<Values> in;
        for (const Array& a : make_inputs(bn(s), 3)) {
          const auto v = a.as<double>();
          in.emplace_back(v.begin(), v.end());
        }
        Rng rng(9, 2, 1);
        Values dy;
        for (std::int64_t i = 0; i < s.M * s.C; ++i) dy.push_back(static_cast<double>(rng.normal()));
        if (c.dtype == DType::bf16)
          for (Values* v : {in.data(), &dy, &in.back()})
            for (double& e : *v) e = static_cast<double>(bf16_to_float(float_to_bf16(static_cast<float>(e))));
        Context exact;
        exact.use_fast_paths = false;
        const Made whole = made_by(exact, s, in, dy, DType::f64);
        std::vector<Made> parts(static_cast<std::size_t>(n)), alone = parts;
        const std::int64_t images = s.M / c.row;
        const auto first = [&](int r) { return images * r / n * c.row; };  // uneven
        on_ranks(n, way, [&](Context& ctx) {
          const int r = ctx.ranks->rank();
          std::vector<Values> own = in;
          own[0] = rows_of(in[0], s.C, first(r), first(r + 1));
          if (s.residual) own[3] = rows_of(in[3], s.C, first(r), first(r + 1));
          const Values my_dy = rows_of(dy, s.C, first(r), first(r + 1));
          alone[static_cast<std::size_t>(r)] = made_by(ctx, s, own, my_dy, c.dtype);
          const ContextScope<&Context::shared_batch> shared(ctx, {(first(r + 1) - first(r)) / c.row, images});
          parts[static_cast<std::size_t>(r)] = made_by(ctx, s, own, my_dy, c.dtype);
        });
        CAPTURE(n);
        CAPTURE(s.C);
        CAPTURE(name_of(way.device));
        const auto joined = [&](Values Made::*what, const std::vector<Made>& of) {
          Values out;
          for (const Made& m : of) out.insert(out.end(), (m.*what).begin(), (m.*what).end());
          return out;
        };
        const auto sum = [&](Values Made::*what) {
          Values out(static_cast<std::size_t>(s.C));
          for (const Made& m : parts)
            for (std::size_t i = 0; i < out.size(); ++i) out[i] += (m.*what)[i];
          return out;
        };
        // As tests/batchnorm_case.hpp: float sums of 64 rows and then double, a mean rounded to float; a bf16 result
        // has 8 bits, and the largest of a tensor says what compare() measures by.
        const double eps = std::numeric_limits<float>::epsilon(), offset = std::max(1.0, std::abs(s.mean) / s.std);
        const double stored = c.dtype == DType::bf16 ? 1.0 / 128 : 0, tol = 64 * eps * offset + stored;
        CHECK_EQ(compare("y", joined(&Made::y, parts), whole.y, tol), "");
        CHECK_EQ(compare("dx", joined(&Made::dx, parts), whole.dx, 4 * tol), "");
        CHECK_EQ(compare("dresidual", joined(&Made::dresidual, parts), whole.dresidual, tol), "");
        CHECK_EQ(compare("dgamma", sum(&Made::dgamma), whole.dgamma, 4 * tol), "");
        CHECK_EQ(compare("dbeta", sum(&Made::dbeta), whole.dbeta, 4 * tol), "");
        for (const Made& m : parts) {
          CHECK(m.mean == parts[0].mean);
          CHECK(m.var == parts[0].var);
        }
        CHECK_EQ(compare("running mean", parts[0].mean, whole.mean, tol), "");
        CHECK_EQ(compare("running var", parts[0].var, whole.var, 4 * tol), "");
        // Each for itself is something else.
        CHECK_NE(compare("y", joined(&Made::y, alone), whole.y, tol), "");
        CHECK_NE(compare("dx", joined(&Made::dx, alone), whole.dx, 4 * tol), "");
      }
}

TEST_CASE("training with shared statistics is training on the whole batch, and has the same bits each time") {
  const auto same = [](const Array& a, const Array& b) { return same_bits(a, b); };
  const auto run_on = [&](int n, bool shared, const Way& way) {
    std::vector<std::vector<double>> losses(static_cast<std::size_t>(n));
    std::vector<std::vector<Array>> left(losses.size());
    on_ranks(n, way, [&](Context& outer) {
      ToyRun run(ToyRun::Share{outer.ranks, n, 9}, 4, 1, "sgd", way.device);
      run.ctx.nccl = outer.nccl == nullptr ? nullptr : std::make_shared<Nccl>(run.ctx, kStandIn);
      run.options.sync_batchnorm = shared;
      run.go();
      const auto r = static_cast<std::size_t>(outer.ranks->rank());
      losses[r] = run.losses;
      for (const Parameter& p : run.net->parameters()) left[r].push_back(p.tensor.to_array());
    });
    for (std::size_t r = 1; r < losses.size(); ++r) {
      CHECK(losses[r] == losses[0]);
      CHECK(std::equal(left[r].begin(), left[r].end(), left[0].begin(), left[0].end(), same));
    }
    return std::pair(losses[0], left[0]);
  };
  const auto furthest = [](const std::vector<double>& a, const std::vector<double>& b) {
    REQUIRE_EQ(a.size(), b.size());
    double most = 0;
    for (std::size_t i = 0; i < a.size(); ++i) most = std::max(most, std::abs(a[i] - b[i]));
    return most;
  };
  ToyRun whole(ToyRun::Share{nullptr, 1, 9}, 4);
  whole.go();
  std::vector<Array> on_sim;
  for (const Way& way : kWays) {
    const auto [losses, left] = run_on(2, true, way);
    // Losses of about 1 after four updates: single precision through 10 layers, not another batch norm.
    CHECK(furthest(losses, whole.losses) < 1e-4);
    if (way.device == Device::cpu) {
      CHECK(furthest(run_on(2, false, way).first, whole.losses) > 1e-3);
      const auto again = run_on(2, true, way).second;
      CHECK(std::equal(left.begin(), left.end(), again.begin(), again.end(), same));
    } else if (!way.nccl)
      on_sim = left;
    else
      CHECK(std::equal(left.begin(), left.end(), on_sim.begin(), on_sim.end(), same));
  }
}

TEST_CASE("shared statistics and several slices a rank exclude each other") {
  Context ctx;
  CHECK_EQ(count_slices(ctx, 1, true), 1);
  CHECK(has(error_of([&] { count_slices(ctx, 3, true); }), "--sync-batchnorm"));
  for (const std::string& e : as_ranks(2, [](const std::shared_ptr<Ranks>& r) {
         Context c;
         c.ranks = r;
         AKIN_CHECK(count_slices(c, 1, true) == 2 && count_slices(c, 2, true) == 2, "another number");
         count_slices(c, 4, true);
       }))
    CHECK(has(e, "found 4 slices and 2 ranks: start 4 ranks"));
}
