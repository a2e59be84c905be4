#include "kernels/common/gpu/vendor.hpp"

#include <array>

#include "kernels/common/error.hpp"
#include "kernels/common/plugin.hpp"

namespace akin {

const VendorApi& load_vendor(const std::vector<std::string>& files) {
  using Entry = const VendorApi*();
  std::string tried;
  auto* entry = reinterpret_cast<Entry*>(open_plugin(files, kVendorSymbol, tried));
  AKIN_CHECK(
      entry != nullptr,
      "cuBLAS and cuDNN come through a plug-in, {}, which was not found; looked for in:{}\nIt is built with akin where "
      "nvcc and the headers and libraries of cuBLASLt and cuDNN 9 are found (cmake -DAKIN_VENDOR=ON says what is "
      "missing). Without it, use akin's own kernels: --gemm own --conv own",
      kVendorFile, tried);
  const VendorApi* api = entry();
  AKIN_CHECK(api->version == kVendorVersion, "{}: of version {}, this akin needs {}; build both from one source",
             kVendorFile, api->version, kVendorVersion);
  return *api;
}

const VendorApi& vendor_api() {
  static const VendorApi* const api = &load_vendor(plugin_files(kVendorFile));
  return *api;
}

namespace {

template <class Call>
void checked(const char* what, Call&& call) {
  std::array<char, 1024> text{};
  AKIN_CHECK(call(text.data(), text.size()) == 0, "{}: {}", what, text.data());
}

}  // namespace

Vendor::Vendor(Options options) : api_(vendor_api()) {
  checked("vendor plug-in",
          [&](char* text, std::size_t size) { return api_.open(&state_, options.tf32 ? 1 : 0, text, size); });
}

Vendor::~Vendor() { api_.close(state_); }

std::string Vendor::about() const { return api_.about(); }

void Vendor::gemm(const Stream<Cuda>& stream, const VendorGemm& product) {
  checked("gemm through cuBLASLt",
          [&](char* text, std::size_t size) { return api_.gemm(state_, stream.handle, &product, text, size); });
}

void Vendor::conv2d(const Stream<Cuda>& stream, const VendorConv& product) {
  checked("conv2d through cuDNN",
          [&](char* text, std::size_t size) { return api_.conv2d(state_, stream.handle, &product, text, size); });
}

}  // namespace akin
