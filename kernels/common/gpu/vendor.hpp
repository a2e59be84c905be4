// cuBLASLt and cuDNN as yardsticks: a shared library of its own, libakin_vendor.so, that nothing is linked against. It
// is opened when somebody asks for it (--gemm cublas, --conv cudnn, bench_device); akin itself needs neither library.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "kernels/common/accum.hpp"
#include "kernels/conv2d.hpp"
#include "kernels/gemm.hpp"

namespace akin {

/// Which of the three products of a convolution.
enum class ConvPass { forward, data, weight };

/// c = alpha op(a) op(b) + bias (added to c where `add`), as kernels/gemm.hpp has it. a and b are bf16 or float, c
/// float or the same; bias [N] float or nullptr, with a float c alone.
struct VendorGemm {
  GemmShape shape;
  float alpha = 1;
  bool in_bf16 = false, out_bf16 = false, add = false;
  const void *a = nullptr, *b = nullptr;
  const float* bias = nullptr;
  void* c = nullptr;
};

/// out = forward: x * w; data: dx from dy, w; weight: dw from x, dy. Overwrites. All three tensors have one type.
struct VendorConv {
  Conv2dShape shape;
  ConvPass pass = ConvPass::forward;
  bool bf16 = false;
  const void *x = nullptr, *w = nullptr, *y = nullptr;  ///< the one that `pass` makes is written
};

/// What the plug-in exports, as one C symbol: akin_vendor_api(). Functions return 0, or 1 with the reason in `error`.
struct VendorApi {
  int version;             ///< kVendorVersion of its build
  const char* (*about)();  ///< "cuBLASLt 13.1.0, cuDNN 9.19.0"
  int (*open)(void** state, int tf32, char* error, std::size_t size);
  void (*close)(void* state);
  int (*gemm)(void* state, void* stream, const VendorGemm* product, char* error, std::size_t size);
  int (*conv2d)(void* state, void* stream, const VendorConv* product, char* error, std::size_t size);
};
inline constexpr int kVendorVersion = 2;
inline constexpr const char* kVendorSymbol = "akin_vendor_api";
inline constexpr const char* kVendorFile = "libakin_vendor.so";

/// The plug-in's functions. It is looked for beside the running program, in ../lib from there, then where the system
/// looks for libraries. Throws Error: where was looked, what was found, how to build it. It stays open until the
/// program ends.
const VendorApi& vendor_api();
/// The same with the files to try: paths, or a bare name for the system to look for.
const VendorApi& load_vendor(const std::vector<std::string>& files);

/// The libraries on the current CUDA card. Plans are searched for at the first call with a shape (the fastest of those
/// that the library proposes, timed) and kept; workspaces belong to the object. So a call with a new shape waits for
/// the device and must not be captured in a graph; later ones only queue. One stream at a time.
class Vendor {
 public:
  struct Options {
    bool tf32 = false;  ///< products of float inputs may be rounded to tf32 (10 bits)
  };
  /// Throws Error without the plug-in, or where the libraries find no card.
  explicit Vendor(Options options);
  Vendor() : Vendor(Options{}) {}
  ~Vendor();
  Vendor(const Vendor&) = delete;
  Vendor& operator=(const Vendor&) = delete;

  std::string about() const;
  void gemm(const Stream<Cuda>& stream, const VendorGemm& product);
  void conv2d(const Stream<Cuda>& stream, const VendorConv& product);

 private:
  const VendorApi& api_;
  void* state_ = nullptr;
};

}  // namespace akin
