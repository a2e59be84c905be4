#include "nn/network.hpp"

#include "nn/resnet.hpp"

namespace akin {

const std::vector<std::string>& known_architectures() {
  static const std::vector<std::string> names = ResNet::names();
  return names;
}

std::unique_ptr<Network> make_network(Context& ctx, const Architecture& architecture) {
  if (ResNet::knows(architecture.name)) return std::make_unique<ResNet>(ctx, architecture);
  fail_usage("architecture '{}' is unknown; known are {}", architecture.name, fmt::join(known_architectures(), ", "));
}

}  // namespace akin
