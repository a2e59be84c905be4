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

bool onednn_has_bf16() {
#if AKIN_HAVE_ONEDNN
  static const bool has = [] {
    const auto wanted = static_cast<unsigned>(dnnl::cpu_isa::avx512_core_bf16);  // what came later holds its bits too
    return (static_cast<unsigned>(dnnl::get_effective_cpu_isa()) & wanted) == wanted;
  }();
  return has;
#else
  return false;
#endif
}

}  // namespace akin::fast
