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

}  // namespace akin::fast
