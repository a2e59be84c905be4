#include "kernels/common/gpu/vendor.hpp"

#include <dlfcn.h>

#include <array>
#include <filesystem>

#include "kernels/common/error.hpp"

namespace akin {

namespace {

std::vector<std::string> candidates() {
  std::vector<std::string> files;
  std::error_code error;
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", error);
  if (!error) {
    const std::filesystem::path folder = program.parent_path();
    files.push_back(folder / kVendorFile);
    files.push_back(folder.parent_path() / "lib" / kVendorFile);
  }
  files.emplace_back(kVendorFile);
  return files;
}

using Entry = const VendorApi*();

}  // namespace

const VendorApi& load_vendor(const std::vector<std::string>& files) {
  std::string tried;
  for (const std::string& file : files) {
    const bool path = file.find('/') != std::string::npos;
    std::error_code ignored;
    if (path && !std::filesystem::exists(file, ignored)) {
      tried += fmt::format("\n  {}: not there", file);
      continue;
    }
    void* library = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) {  // e.g. it is there, but libcudnn is not
      tried += path ? fmt::format("\n  {}: {}", file, dlerror())
                    : fmt::format("\n  the system's library folders and LD_LIBRARY_PATH: {}", dlerror());
      continue;
    }
    auto* entry = reinterpret_cast<Entry*>(dlsym(library, kVendorSymbol));
    AKIN_CHECK(entry != nullptr, "{}: exports no {}; it is not akin's plug-in", file, kVendorSymbol);
    const VendorApi* api = entry();
    AKIN_CHECK(api->version == kVendorVersion, "{}: of version {}, this akin needs {}; build both from one source",
               file, api->version, kVendorVersion);
    return *api;
  }
  fail(
      "cuBLAS and cuDNN come through a plug-in, {}, which was not found; looked for in:{}\nIt is built with akin where "
      "nvcc and the headers and libraries of cuBLASLt and cuDNN 9 are found (cmake -DAKIN_VENDOR=ON says what is "
      "missing). Without it, use akin's own kernels: --gemm own --conv own",
      kVendorFile, tried);
}

const VendorApi& vendor_api() {
  static const VendorApi* const api = &load_vendor(candidates());
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
