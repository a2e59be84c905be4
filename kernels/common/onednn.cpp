#include "kernels/common/onednn.hpp"

#if AKIN_HAVE_ONEDNN
#include "kernels/common/onednn_state.hpp"
#else
namespace akin::fast {
struct OnednnCache::State {};
}  // namespace akin::fast
#endif

namespace akin::fast {

OnednnCache::OnednnCache() : state_(std::make_unique<State>()) {}
OnednnCache::~OnednnCache() = default;
OnednnCache::OnednnCache(OnednnCache&&) noexcept = default;

std::string onednn_version() {
#if AKIN_HAVE_ONEDNN
  const dnnl_version_t* v = dnnl_version();
  return "oneDNN " + std::to_string(v->major) + "." + std::to_string(v->minor) + "." + std::to_string(v->patch);
#else
  return "";
#endif
}

std::string onednn_isa() {
#if AKIN_HAVE_ONEDNN
  return std::to_string(static_cast<unsigned>(dnnl::get_effective_cpu_isa()));
#else
  return "";
#endif
}

#if AKIN_HAVE_ONEDNN
namespace {

bool has_isa(dnnl::cpu_isa wanted) {  // what came later holds its bits too
  const auto bits = static_cast<unsigned>(wanted);
  return (static_cast<unsigned>(dnnl::get_effective_cpu_isa()) & bits) == bits;
}

}  // namespace

bool onednn_has_bf16() {
  static const bool has = has_isa(dnnl::cpu_isa::avx512_core_bf16);
  return has;
}
bool onednn_has_amx() {
  static const bool has = has_isa(dnnl::cpu_isa::avx512_core_amx);
  return has;
}
#else
bool onednn_has_bf16() { return false; }
bool onednn_has_amx() { return false; }
#endif

}  // namespace akin::fast
