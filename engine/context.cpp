#include "engine/context.hpp"

#include "kernels/common/parallel.hpp"
#include "kernels/common/sim/sim_device.hpp"

namespace akin {

namespace {

std::shared_ptr<GpuDevice> open(Device device) {
  if (device == Device::cuda) return open_cuda();
  if (device == Device::sim) return open_sim({.os_threads = max_threads()});
  return nullptr;
}

}  // namespace

Context::Context(Device d, AllocatorOptions options) : Context(d, open(d), options) {}

Context::Context(Device d, std::shared_ptr<GpuDevice> card, AllocatorOptions options)
    : device(d),
      gpu(std::move(card)),
      stream(gpu == nullptr ? nullptr : gpu->make_stream()),
      allocator(std::make_shared<Allocator>(options, gpu, stream)),
      host(gpu == nullptr ? allocator : std::make_shared<Allocator>(options, gpu)) {}

void use_bf16(Context& ctx) {
  if (ctx.device == Device::cpu && !fast::onednn_has_bf16()) {
    const bool built = !fast::onednn_version().empty();
    fail_usage(
        "--precision bf16: {}; use --precision f32, or --device cuda (or sim)",
        built ? "needs a processor with AVX512_BF16 or AMX, this one lacks both (or ONEDNN_MAX_CPU_ISA forbids them)"
              : "on the CPU is oneDNN's, which this build lacks (build it again with libdnnl-dev)");
  }
  ctx.activations = DType::bf16;
}

std::string describe(const Context& ctx) {
  std::string text;
  if (ctx.gpu != nullptr) {
    text = ctx.gpu->describe();
  } else {
    const std::string library = fast::onednn_version();
    text = fmt::format("cpu, {} thread{}, {}", max_threads(), max_threads() == 1 ? "" : "s",
                       library.empty() ? "plain loops (oneDNN absent)" : library);
  }
  if (ctx.activations == DType::bf16) text += ", bf16";
  if (ctx.gemm_vendor != nullptr) text += ", gemm by cuBLASLt";
  if (ctx.conv_vendor != nullptr) text += ", conv2d by cuDNN";
  return text;
}

}  // namespace akin
