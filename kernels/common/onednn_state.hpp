// Only for *_onednn.cpp: the engine, the stream and the compiled primitives by key; and where oneDNN 2 and 3 differ.
#pragma once

#include <omp.h>
#include <dnnl.hpp>

#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <new>
#include <unordered_map>
#include <utility>
#include <vector>

#include "kernels/common/onednn.hpp"
#include "kernels/common/parallel.hpp"

namespace akin::fast {

/// Least work of a piece that one thread takes: some 50 microseconds, where a call costs a few.
constexpr std::int64_t kPieceOperations = 4'000'000;

/// Memory that grows and stays, where a vector register's width begins.
class Buffer {
 public:
  /// At least `bytes` of them; what was in it is lost when it grows.
  template <class T = char>
  T* sized(std::size_t bytes) {
    if (bytes > size_) {
      size_ = (bytes + kAlignment - 1) / kAlignment * kAlignment;
      own_.reset(std::aligned_alloc(kAlignment, size_));
      if (!own_) throw std::bad_alloc();
    }
    return data<T>();
  }
  template <class T>
  T* data() const {
    return static_cast<T*>(own_.get());
  }

 private:
  static constexpr std::size_t kAlignment = 64;
  std::unique_ptr<void, void (*)(void*)> own_{nullptr, std::free};
  std::size_t size_ = 0;
};

/// What a stem keeps for one shape; each stem derives its own.
struct OnednnPlan {
  virtual ~OnednnPlan() = default;
};

struct OnednnCache::State {
  dnnl::engine engine{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream{engine};
  std::map<std::vector<std::int64_t>, std::unique_ptr<OnednnPlan>> plans;
  Buffer weights[2];  // in a primitive's layout: of all pieces of a batch, and of a smaller last one
  Buffer sums;        // of the pieces

  /// The plan for `key` (first number: a stem's own constant), made by `make()` the first time. It is run by one
  /// thread: loops over pieces of the batch are ours (parallel.hpp).
  template <class Plan, class Make>
  Plan& plan(const std::vector<std::int64_t>& key, Make&& make) {
    omp_set_num_threads(1);
    auto& slot = plans[key];
    if (!slot) slot = make();
    return static_cast<Plan&>(*slot);
  }
};

template <class T>
inline constexpr auto kDataType =
    std::is_same_v<T, bf16> ? dnnl::memory::data_type::bf16 : dnnl::memory::data_type::f32;

constexpr bool kOnednn3 = DNNL_VERSION_MAJOR >= 3;

/// Attributes of a SharedPrimitive: it is handed its scratch memory.
inline dnnl::primitive_attr for_any_thread(dnnl::primitive_attr attr = {}) {
  attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return attr;
}

/// A compiled primitive that several threads may run at once. (The library's own scratch memory belongs to the thread
/// that compiled the primitive.)
struct SharedPrimitive {
  dnnl::primitive run;
  dnnl::memory::desc scratch;

  SharedPrimitive() = default;
  template <class Description>
  SharedPrimitive(dnnl::primitive compiled, const Description& of)
      : run(std::move(compiled)), scratch(of.scratchpad_desc()) {}

  void operator()(const dnnl::engine& engine, std::unordered_map<int, dnnl::memory> arguments) const {
    thread_local Buffer own;
    arguments.emplace(DNNL_ARG_SCRATCHPAD, dnnl::memory(scratch, engine, own.sized(scratch.get_size())));
    dnnl::stream stream(engine);
    run.execute(stream, arguments);
    stream.wait();
  }
};

// Implementations by the names that oneDNN gives them.
inline bool is_brgconv(const char* implementation) {
  return std::strstr(implementation, "brgconv") != nullptr || std::strstr(implementation, "brg_conv") != nullptr;
}
inline bool is_jit512(const char* implementation) {
  return std::strncmp(implementation, "jit", 3) == 0 && std::strstr(implementation, ":avx512_core") != nullptr;
}

/// What oneDNN would run for a primitive's arguments. Version 2 wants them packed into an operation descriptor.
template <class Primitive, class... Arguments>
typename Primitive::primitive_desc describe(const dnnl::engine& engine, const dnnl::primitive_attr& attr,
                                            const Arguments&... arguments) {
#if DNNL_VERSION_MAJOR >= 3
  return {engine, arguments..., for_any_thread(attr)};
#else
  return {typename Primitive::desc(arguments...), for_any_thread(attr), engine};
#endif
}

/// The same for a backward pass; `forward` describes the forward pass that it belongs to.
template <class Primitive, class Forward, class... Arguments>
typename Primitive::primitive_desc describe_backward(const dnnl::engine& engine, const Forward& forward,
                                                     const Arguments&... arguments) {
#if DNNL_VERSION_MAJOR >= 3
  return {engine, arguments..., forward, for_any_thread()};
#else
  return {typename Primitive::desc(arguments...), for_any_thread(), engine, forward};
#endif
}

/// The result times alpha, and with `add` plus what the output holds. Version 3 has no scale of the output.
inline dnnl::primitive_attr write_as(float alpha, bool add) {
  dnnl::primitive_attr attr;
  dnnl::post_ops post;
#if DNNL_VERSION_MAJOR >= 3
  if (alpha != 1.0f) post.append_eltwise(dnnl::algorithm::eltwise_linear, alpha, 0.0f);
#else
  if (alpha != 1.0f) attr.set_output_scales(0, {alpha});
#endif
  if (add) post.append_sum(1.0f);
  attr.set_post_ops(post);
  return attr;
}

}  // namespace akin::fast
