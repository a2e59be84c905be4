// What libakin_vendor.so exports: the functions of VendorApi, in which exceptions become texts.
#include <algorithm>
#include <cstring>

#include "kernels/common/gpu/vendor_state.hpp"

namespace akin::vendor {

namespace {

void close(void* state) { delete static_cast<State*>(state); }

template <class Body>
int guarded(char* error, std::size_t size, Body&& body) noexcept {
  try {
    body();
    return 0;
  } catch (const std::exception& e) {
    const std::size_t length = std::min(std::strlen(e.what()), size - 1);
    std::memcpy(error, e.what(), length);
    error[length] = 0;
    return 1;
  }
}

/// Makes the handles at once, so that a machine without a card hears of it here.
int open(void** state, int tf32, char* error, std::size_t size) {
  return guarded(error, size, [&] {
    auto made = std::make_unique<State>();
    made->tf32 = tf32 != 0;
    int cards = 0;
    const cudaError_t found = cudaGetDeviceCount(&cards);
    AKIN_CHECK(found == cudaSuccess && cards > 0, "no CUDA card answers ({}); cuBLAS and cuDNN need one",
               cudaGetErrorString(found));
    open_gemm(*made);
    open_conv2d(*made);
    *state = made.release();
  });
}

int run_gemm(void* state, void* stream, const VendorGemm* product, char* error, std::size_t size) {
  return guarded(error, size, [&] { gemm(*static_cast<State*>(state), static_cast<cudaStream_t>(stream), *product); });
}

int run_conv2d(void* state, void* stream, const VendorConv* product, char* error, std::size_t size) {
  return guarded(error, size,
                 [&] { conv2d(*static_cast<State*>(state), static_cast<cudaStream_t>(stream), *product); });
}

const char* about() {
  static const std::string text = cublas_version() + ", " + cudnn_version();
  return text.c_str();
}

}  // namespace

}  // namespace akin::vendor

extern "C" __attribute__((visibility("default"))) const akin::VendorApi* akin_vendor_api() {
  static const akin::VendorApi api{akin::kVendorVersion, akin::vendor::about,    akin::vendor::open,
                                   akin::vendor::close,  akin::vendor::run_gemm, akin::vendor::run_conv2d};
  return &api;
}
