// The plug-in of the yardstick libraries: it exports what it must, and what is missing is told in one message.
#include <dlfcn.h>
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <fstream>

#include "engine/ops.hpp"
#include "engine/vendor.hpp"
#include "kernels/common/rng.hpp"
#include "tests/temp_folder.hpp"

using namespace akin;
using namespace akin::test;

namespace {

const std::string kBuilt = std::string(AKIN_BINARY_DIR) + "/bin/" + kVendorFile;

bool built() { return std::filesystem::exists(kBuilt); }

/// Largest difference relative to the largest element of `b`.
double difference(const Tensor& a, const Tensor& b) {
  const Array x = a.to_array().cast(DType::f64), y = b.to_array().cast(DType::f64);
  double worst = 0, scale = 0;
  for (std::size_t i = 0; i < y.as<double>().size(); ++i) {
    worst = std::max(worst, std::abs(x.as<double>()[i] - y.as<double>()[i]));
    if (!std::isfinite(x.as<double>()[i])) worst = INFINITY;
    scale = std::max(scale, std::abs(y.as<double>()[i]));
  }
  return worst / scale;
}

Tensor noise(Context& ctx, const Shape& shape, std::uint32_t seed) {
  Rng rng(seed, 1);
  std::vector<float> v(static_cast<std::size_t>(shape.numel()));
  for (float& x : v) x = rng.uniform(-1, 1);
  return Tensor::from(ctx, Array::from(v, shape));
}

}  // namespace

TEST_CASE("a plug-in that is not there: every place that was looked at, how to build it, what to use instead") {
  const TempFolder folder;
  const std::string absent = folder / "no" / kVendorFile;
  const std::string message = error_of([&] { load_vendor({absent, "libakin_no_such_library.so"}); });
  CAPTURE(message);
  CHECK(has(message, absent + ": not there"));
  CHECK(has(message, "libakin_no_such_library.so: cannot open shared object file"));
  CHECK(has(message, "AKIN_VENDOR=ON"));
  CHECK(has(message, "--gemm own"));
}

TEST_CASE("a file that is no plug-in is refused") {
  const TempFolder folder;
  const std::string file = folder / kVendorFile;
  std::ofstream(file) << "not a library";
  CHECK(has(error_of([&] { load_vendor({file}); }), file + ": " + file));  // the loader's own words follow
  CHECK(has(error_of([&] { load_vendor({"libz.so.1"}); }), "exports no akin_vendor_api"));
}

TEST_CASE("the plug-in exports its functions, and says what is missing where no card answers") {
  if (!built()) {
    CHECK(has(error_of([] { vendor_api(); }), kVendorFile));
    return;
  }
  const VendorApi& api = vendor_api();  // beside this program
  CHECK_EQ(&api, &load_vendor({kBuilt}));
  CHECK_EQ(api.version, kVendorVersion);
  CHECK(has(api.about(), "cuBLASLt "));
  CHECK(has(api.about(), "cuDNN 9."));
  for (const bool there : {api.open != nullptr, api.close != nullptr, api.gemm != nullptr, api.conv2d != nullptr})
    CHECK(there);
  if (cuda_usable()) return;
  const std::string message = error_of([] { Vendor(); });
  CAPTURE(message);
  CHECK(has(message, "no CUDA card answers"));
  // A text longer than the room for it is cut.
  char small[8];
  void* state = nullptr;
  CHECK_EQ(api.open(&state, 0, small, sizeof small), 1);
  CHECK_EQ(std::string(small), "no CUDA");
}

TEST_CASE("the emulator does not run NVIDIA's libraries") {
  Context ctx(Device::sim);
  CHECK(has(error_of([&] { use_vendor(ctx, true, true); }), "device cuda alone"));
}

TEST_CASE("on a card the libraries agree with akin's kernels, forward and backward") {
  if (!cuda_usable() || !built()) return;
  for (const DType type : {DType::f32, DType::bf16}) {
    CAPTURE(name_of(type));
    // f32: sums of at most 9 * 16 * 9 * 9 terms in two orders, 4 eps sqrt(n) each; bf16: twice the storage's rounding.
    const double tolerance = type == DType::f32 ? 8 * 0x1p-23 * std::sqrt(11664.0) : 0x1p-6;
    std::vector<std::vector<Tensor>> results;
    Context ctx(Device::cuda, {.poison = true});
    for (const bool vendor : {false, true}) {
      use_vendor(ctx, vendor, vendor);
      std::vector<Tensor>& r = results.emplace_back();
      for (const auto& [stride, side] : {std::pair{1, 9}, {2, 8}}) {
        Tensor x = ops::convert(ctx, noise(ctx, {4, side, side, 16}, 1), type), w = noise(ctx, {24, 3, 3, 16}, 2),
               head = noise(ctx, {8, 24}, 3), bias = noise(ctx, {8}, 4);
        for (Tensor* t : {&x, &w, &head, &bias}) t->set_requires_grad(true);
        Tape tape;
        const TapeScope scope(ctx, &tape);
        const Tensor y = ops::conv2d(ctx, x, w, stride, 1);
        const Tensor z = ops::linear(ctx, ops::global_avg_pool(ctx, y), head, bias);
        tape.backward(ctx, ops::sum(ctx, ops::mul(ctx, z, z)));
        for (const Tensor& t : {y, z, x.grad(), w.grad(), head.grad(), bias.grad()}) r.push_back(t);
      }
    }
    for (std::size_t i = 0; i < results[0].size(); ++i) {
      CAPTURE(i);
      CHECK(difference(results[1][i], results[0][i]) <= tolerance);
    }
  }
}
