// conv2d through cuDNN's graph interface, for the plug-in: the fastest of the plans that its heuristics propose. NHWC
// tensors are given as cuDNN wants them, dimensions in the order N, C, H, W and strides that say otherwise.
#include <cudnn.h>
#include <cudnn_backend.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <memory>
#include <utility>

#include "kernels/common/gpu/vendor_state.hpp"

namespace akin::vendor {

namespace {

constexpr std::int64_t kWorkspace = std::int64_t{1} << 30;
constexpr double kSearchSeconds = 1;  // plans are compiled when they are made; no more are made after this time

void check(cudnnStatus_t status, const char* what) {
  AKIN_CHECK(status == CUDNN_STATUS_SUCCESS, "{}: {}", what, cudnnGetErrorString(status));
}

/// One object of cuDNN's graph interface.
class Node {
 public:
  explicit Node(cudnnBackendDescriptorType_t type) { check(cudnnBackendCreateDescriptor(type, &node_), "make a node"); }
  ~Node() {
    if (node_ != nullptr) cudnnBackendDestroyDescriptor(node_);
  }
  Node(Node&& other) noexcept : node_(std::exchange(other.node_, nullptr)) {}
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  template <class V>
  Node& set(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, const V& value) {
    return array(name, type, 1, &value);
  }
  Node& set(cudnnBackendAttributeName_t name, const Node& other) {
    return array(name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &other.node_);
  }
  template <std::size_t Count, class V>
  Node& set(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, const std::array<V, Count>& values) {
    return array(name, type, Count, values.data());
  }
  Node& finish() {
    check(cudnnBackendFinalize(node_), "finish a node");
    return *this;
  }
  bool try_finish() { return cudnnBackendFinalize(node_) == CUDNN_STATUS_SUCCESS; }
  cudnnBackendDescriptor_t get() const { return node_; }

 private:
  Node& array(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, std::size_t count,
              const void* values) {
    check(cudnnBackendSetAttribute(node_, name, type, static_cast<std::int64_t>(count), values), "set an attribute");
    return *this;
  }
  cudnnBackendDescriptor_t node_ = nullptr;
};

struct Plan {
  std::vector<std::shared_ptr<const Node>> parts;  // what the plan was made from outlives it
  Node node;
  std::int64_t workspace = 0;
};

struct Dnn : LibraryOf<cudnnHandle_t, cudnnDestroy, Plan> {
  Dnn() { check(cudnnCreate(&handle), "cudnnCreate"); }
};

enum : std::int64_t { kX = 1, kW = 2, kY = 3 };  // names of the tensors

/// [n, h, w, c] in memory.
Node tensor(std::int64_t id, bool bf16, const void* data, std::int64_t n, std::int64_t c, std::int64_t h,
            std::int64_t w) {
  Node t(CUDNN_BACKEND_TENSOR_DESCRIPTOR);
  t.set(CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, bf16 ? CUDNN_DATA_BFLOAT16 : CUDNN_DATA_FLOAT)
      .set(CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, std::array{n, c, h, w})
      .set(CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, std::array{h * w * c, std::int64_t{1}, w * c, c})
      .set(CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, id)
      .set(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, std::int64_t{std::min(alignment_of(data), 16u)})
      .finish();
  return t;
}

/// The names that the three passes have for one thing.
struct Names {
  cudnnBackendDescriptorType_t type;
  cudnnBackendAttributeName_t x, w, y, conv, alpha, beta;
};
Names names_of(ConvPass pass) {
  switch (pass) {
    case ConvPass::forward:
      return {CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR,
              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X,
              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y,
              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC,
              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA,
              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA};
    case ConvPass::data:
      return {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA};
    default:
      return {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA};
  }
}

/// The graph of one operation, last, and before it all that it refers to.
std::vector<std::shared_ptr<const Node>> graph_of(const Dnn& dnn, const VendorConv& p) {
  const Conv2dShape& s = p.shape;
  Node x = tensor(kX, p.bf16, p.x, s.N, s.C, s.H, s.W), w = tensor(kW, p.bf16, p.w, s.K, s.C, s.R, s.S),
       y = tensor(kY, p.bf16, p.y, s.N, s.K, s.P(), s.Q());
  const std::array pad{s.pad, s.pad}, pad_end{s.pad_end, s.pad_end}, stride{s.stride, s.stride},
      dilation{std::int64_t{1}, std::int64_t{1}};
  Node conv(CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR);
  conv.set(CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, CUDNN_DATA_FLOAT)
      .set(CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, CUDNN_CROSS_CORRELATION)
      .set(CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64, std::int64_t{2})
      .set(CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_TYPE_INT64, pad)
      .set(CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_TYPE_INT64, pad_end)
      .set(CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_TYPE_INT64, stride)
      .set(CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_TYPE_INT64, dilation)
      .finish();
  const Names n = names_of(p.pass);
  Node operation(n.type);
  operation.set(n.x, x).set(n.w, w).set(n.y, y).set(n.conv, conv);
  operation.set(n.alpha, CUDNN_TYPE_FLOAT, 1.0f).set(n.beta, CUDNN_TYPE_FLOAT, 0.0f).finish();
  Node graph(CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
  graph.set(CUDNN_ATTR_OPERATIONGRAPH_OPS, operation)
      .set(CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, dnn.handle)
      .finish();
  std::vector<std::shared_ptr<const Node>> all;
  for (Node* node : {&x, &w, &y, &conv, &operation, &graph}) all.push_back(std::make_shared<Node>(std::move(*node)));
  return all;
}

/// Engine configurations of one heuristic, best guess first; none where it does not apply.
std::vector<std::shared_ptr<const Node>> proposals(const Node& graph, cudnnBackendHeurMode_t mode) {
  Node heuristic(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
  heuristic.set(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph)
      .set(CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, mode);
  std::int64_t count = 0;
  if (!heuristic.try_finish() ||
      cudnnBackendGetAttribute(heuristic.get(), CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR, 0, &count,
                               nullptr) != CUDNN_STATUS_SUCCESS)
    return {};
  std::vector<std::shared_ptr<const Node>> nodes;
  std::vector<cudnnBackendDescriptor_t> raw;
  for (std::int64_t i = 0; i < count; ++i)
    raw.push_back(nodes.emplace_back(std::make_shared<Node>(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR))->get());
  if (cudnnBackendGetAttribute(heuristic.get(), CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR, count,
                               &count, raw.data()) != CUDNN_STATUS_SUCCESS)
    return {};
  nodes.resize(static_cast<std::size_t>(count));
  return nodes;
}

/// False where it rounds float inputs to fewer bits than it may.
bool precise_enough(const Node& configuration, bool tf32) {
  const Node engine(CUDNN_BACKEND_ENGINE_DESCRIPTOR);
  cudnnBackendDescriptor_t raw = engine.get();
  std::int64_t count = 0;
  std::array<cudnnBackendNumericalNote_t, CUDNN_NUMERICAL_NOTE_TYPE_COUNT> notes{};
  if (cudnnBackendGetAttribute(configuration.get(), CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1,
                               &count, &raw) != CUDNN_STATUS_SUCCESS ||
      cudnnBackendGetAttribute(raw, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE,
                               static_cast<std::int64_t>(notes.size()), &count, notes.data()) != CUDNN_STATUS_SUCCESS)
    return false;
  return std::none_of(notes.begin(), notes.begin() + count, [&](cudnnBackendNumericalNote_t note) {
    return note == CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS || (note == CUDNN_NUMERICAL_NOTE_TENSOR_CORE && !tf32);
  });
}

bool run(const Dnn& dnn, const Plan& plan, const VendorConv& p, void* workspace) {
  Node pack(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
  pack.set(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, std::array<std::int64_t, 3>{kX, kW, kY})
      .set(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, std::array<const void*, 3>{p.x, p.w, p.y})
      .set(CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, workspace)
      .finish();
  return cudnnBackendExecute(dnn.handle, plan.node.get(), pack.get()) == CUDNN_STATUS_SUCCESS;
}

std::unique_ptr<Plan> search(State& state, const Dnn& dnn, cudaStream_t stream, const VendorConv& p) {
  const auto graph = graph_of(dnn, p);
  const auto start = std::chrono::steady_clock::now();
  const auto late = [&] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() > kSearchSeconds;
  };
  std::vector<Plan> plans;
  std::int64_t largest = 0;
  for (const auto& [mode, most] :
       {std::pair{CUDNN_HEUR_MODE_A, 12}, {CUDNN_HEUR_MODE_B, 6}, {CUDNN_HEUR_MODE_FALLBACK, 4}}) {
    if (!plans.empty()) break;  // the others are for what the first knows nothing of
    int taken = 0;
    for (const auto& configuration : proposals(*graph.back(), mode)) {
      if (taken == most || (late() && !plans.empty())) break;
      if (!p.bf16 && !precise_enough(*configuration, state.tf32)) continue;
      Plan plan{graph, Node(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR)};
      plan.parts.push_back(configuration);
      plan.node.set(CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, dnn.handle)
          .set(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, *configuration);
      std::int64_t count = 0;
      if (!plan.node.try_finish() ||
          cudnnBackendGetAttribute(plan.node.get(), CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64, 1,
                                   &count, &plan.workspace) != CUDNN_STATUS_SUCCESS ||
          plan.workspace > kWorkspace)
        continue;
      largest = std::max(largest, plan.workspace);
      plans.push_back(std::move(plan));
      ++taken;
    }
  }
  void* workspace = state.workspace.at_least(static_cast<std::size_t>(largest));
  const int best = fastest(stream, static_cast<int>(plans.size()),
                           [&](int i) { return run(dnn, plans[static_cast<std::size_t>(i)], p, workspace); });
  const Conv2dShape& s = p.shape;
  AKIN_CHECK(best >= 0,
             "no plan for x [{}, {}, {}, {}], w [{}, {}, {}, {}], stride {}, padding {} and {} in {} ({} proposals); "
             "use --conv own",
             s.N, s.H, s.W, s.C, s.K, s.R, s.S, s.C, s.stride, s.pad, s.pad_end, p.bf16 ? "bf16" : "f32", plans.size());
  return std::make_unique<Plan>(std::move(plans[static_cast<std::size_t>(best)]));
}

}  // namespace

std::string cudnn_version() {
  const std::size_t v = cudnnGetVersion();
  return fmt::format("cuDNN {}.{}.{}", v / 10000, v / 100 % 100, v % 100);
}

void open_conv2d(State& state) { state.conv = std::make_unique<Dnn>(); }

void conv2d(State& state, cudaStream_t stream, const VendorConv& p) {
  const Conv2dShape& s = p.shape;
  if (s.x_size() == 0 || s.w_size() == 0 || s.y_size() == 0) return;
  Dnn& dnn = static_cast<Dnn&>(*state.conv);
  check(cudnnSetStream(dnn.handle, stream), "cudnnSetStream");
  std::unique_ptr<Plan>& plan = dnn.plans[{static_cast<std::int64_t>(p.pass), p.bf16, s.N, s.H, s.W, s.C, s.K, s.R, s.S,
                                           s.stride, s.pad, s.pad_end, std::min(alignment_of(p.x), 16u),
                                           std::min(alignment_of(p.w), 16u), std::min(alignment_of(p.y), 16u)}];
  if (plan == nullptr) plan = search(state, dnn, stream, p);
  AKIN_CHECK(run(dnn, *plan, p, state.workspace.at_least(static_cast<std::size_t>(plan->workspace))),
             "cudnnBackendExecute: {}", [] {
               std::array<char, 512> text{};
               cudnnGetLastErrorString(text.data(), text.size());
               return std::string(text.data());
             }());
}

}  // namespace akin::vendor
