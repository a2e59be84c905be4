// A second opinion on ONNX files: reads the bytes by the published wire format and message numbers, and computes the
// graph by plain loops in double. Shares no code with the writer.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/common/error.hpp"
#include "tests/wire_reader.hpp"

namespace akin::test {

struct OnnxTensor {
  std::vector<std::int64_t> dims;
  std::vector<double> v;
  std::int64_t numel() const {
    std::int64_t n = 1;
    for (const std::int64_t d : dims) n *= d;
    return n;
  }
};

struct OnnxNode {
  std::string op, name, output;
  std::vector<std::string> inputs;
  std::map<std::string, std::vector<std::int64_t>> ints;
  std::map<std::string, double> floats;
};

struct OnnxFile {
  std::int64_t ir = 0, opset = 0;
  std::string producer, input, output;
  std::vector<std::int64_t> input_dims, output_dims;  ///< -1: of any size
  std::vector<OnnxNode> nodes;
  std::map<std::string, OnnxTensor> initializers;
  std::size_t bytes = 0;  ///< of all initialisers
  std::map<std::string, std::string> metadata;

  explicit OnnxFile(std::string_view text) {
    const Wire model(text);
    ir = model.number(1);
    producer = model.text(2);
    opset = model.messages(8).at(0).number(2);
    for (const Wire& m : model.messages(14)) metadata[m.text(1)] = m.text(2);
    const Wire graph = model.messages(7).at(0);
    for (const Wire& n : graph.messages(1)) {
      OnnxNode node{n.text(4), n.text(3), n.text(2), {}, {}, {}};
      if (n.bytes.contains(1))
        for (const std::string_view i : n.bytes.at(1)) node.inputs.emplace_back(i);
      for (const Wire& a : n.messages(5)) {
        const std::int64_t type = a.number(20);
        if (type == 1) {
          float f = 0;
          const auto bits = static_cast<std::uint32_t>(a.number(2));
          std::memcpy(&f, &bits, 4);
          node.floats[a.text(1)] = static_cast<double>(f);
        } else {
          AKIN_CHECK(type == 2 || type == 7, "attribute type {}", type);
          for (const std::uint64_t i : a.numbers.at(type == 2 ? 3 : 8))
            node.ints[a.text(1)].push_back(static_cast<std::int64_t>(i));
        }
      }
      nodes.push_back(std::move(node));
    }
    for (const Wire& t : graph.messages(5)) {
      OnnxTensor tensor;
      if (t.numbers.contains(1))
        for (const std::uint64_t d : t.numbers.at(1)) tensor.dims.push_back(static_cast<std::int64_t>(d));
      const std::string raw = t.text(9);
      const std::int64_t type = t.number(2);
      static const std::map<std::int64_t, std::size_t> kBytes{{1, 4}, {2, 1}, {7, 8}, {10, 2}};
      AKIN_CHECK(kBytes.contains(type), "element type {}", type);
      const std::size_t each = kBytes.at(type);
      AKIN_CHECK(raw.size() == static_cast<std::size_t>(tensor.numel()) * each, "{}: {} bytes", t.text(8), raw.size());
      bytes += raw.size();
      for (std::size_t at = 0; at < raw.size(); at += each) {
        float f = 0;
        std::int64_t i = 0;
        if (type == 1) std::memcpy(&f, raw.data() + at, 4);
        if (type != 1) std::memcpy(&i, raw.data() + at, each);
        tensor.v.push_back(type == 1 ? static_cast<double>(f) : type == 10 ? of_half(i) : static_cast<double>(i));
      }
      AKIN_CHECK(initializers.emplace(t.text(8), tensor).second, "{} twice", t.text(8));
    }
    const auto value = [](const Wire& v, std::vector<std::int64_t>& dims) {
      const Wire tensor = v.messages(2).at(0).messages(1).at(0);
      AKIN_CHECK(tensor.number(1) == 1, "input is not float");
      for (const Wire& d : tensor.messages(2).at(0).messages(1))
        dims.push_back(d.numbers.contains(1) ? d.number(1) : -1);
      return v.text(1);
    };
    input = value(graph.messages(11).at(0), input_dims);
    output = value(graph.messages(12).at(0), output_dims);
  }

  static double of_half(std::int64_t h) {
    const auto exponent = static_cast<int>(h >> 10 & 31);
    const double fraction = static_cast<double>(h & 1023) / 1024, sign = (h & 0x8000) != 0 ? -1 : 1;
    return sign * (exponent == 0 ? std::ldexp(fraction, -14) : std::ldexp(1 + fraction, exponent - 15));
  }

  /// The output for an input; every value must be made before it is read, and only once.
  OnnxTensor run(const OnnxTensor& x) const;
};

namespace onnx_detail {

using Dims = std::vector<std::int64_t>;

inline std::size_t index(const Dims& dims, std::int64_t n, std::int64_t c, std::int64_t h, std::int64_t w) {
  return static_cast<std::size_t>(((n * dims[1] + c) * dims[2] + h) * dims[3] + w);
}

/// numpy's broadcasting of two operands.
template <class F>
OnnxTensor broadcast(const OnnxTensor& a, const OnnxTensor& b, F f) {
  const std::size_t rank = std::max(a.dims.size(), b.dims.size());
  const auto dim = [&](const OnnxTensor& t, std::size_t i) {
    return i + t.dims.size() < rank ? 1 : t.dims[i + t.dims.size() - rank];
  };
  OnnxTensor y;
  for (std::size_t i = 0; i < rank; ++i) {
    const std::int64_t p = dim(a, i), q = dim(b, i);
    AKIN_CHECK(p == q || p == 1 || q == 1, "broadcast: {} and {}", p, q);
    y.dims.push_back(std::max(p, q));
  }
  y.v.resize(static_cast<std::size_t>(y.numel()));
  for (std::size_t at = 0; at < y.v.size(); ++at) {
    const auto offset = [&](const OnnxTensor& t) {
      std::size_t rest = at, out = 0, step = 1;
      for (std::size_t i = rank; i-- > 0;) {
        const auto n = static_cast<std::size_t>(y.dims[i]), own = static_cast<std::size_t>(dim(t, i));
        out += own == 1 ? 0 : rest % n * step;
        step *= own;
        rest /= n;
      }
      return out;
    };
    y.v[at] = f(a.v[offset(a)], b.v[offset(b)]);
  }
  return y;
}

inline OnnxTensor log_softmax(const OnnxNode& n, OnnxTensor x) {
  AKIN_CHECK(n.ints.at("axis") == Dims{1} && x.dims.size() == 2, "LogSoftmax {}: axis", n.name);
  for (std::size_t row = 0; row < x.v.size(); row += static_cast<std::size_t>(x.dims[1])) {
    double sum = 0;
    for (std::int64_t c = 0; c < x.dims[1]; ++c) sum += std::exp(x.v[row + static_cast<std::size_t>(c)]);
    for (std::int64_t c = 0; c < x.dims[1]; ++c) x.v[row + static_cast<std::size_t>(c)] -= std::log(sum);
  }
  return x;
}

inline OnnxTensor conv(const OnnxNode& n, const OnnxTensor& x, const OnnxTensor& w, const OnnxTensor* b) {
  const Dims &pads = n.ints.at("pads"), &strides = n.ints.at("strides"), &kernel = n.ints.at("kernel_shape");
  const std::int64_t group = n.ints.at("group")[0], C = w.dims[1], K = w.dims[0];
  AKIN_CHECK(kernel == Dims({w.dims[2], w.dims[3]}) && x.dims[1] == C * group && K % group == 0, "Conv {}: shapes",
             n.name);
  OnnxTensor y;
  y.dims = {x.dims[0], K, (x.dims[2] + pads[0] + pads[2] - kernel[0]) / strides[0] + 1,
            (x.dims[3] + pads[1] + pads[3] - kernel[1]) / strides[1] + 1};
  y.v.resize(static_cast<std::size_t>(y.numel()));
  for (std::int64_t i = 0; i < y.dims[0]; ++i)
    for (std::int64_t k = 0; k < K; ++k)
      for (std::int64_t p = 0; p < y.dims[2]; ++p)
        for (std::int64_t q = 0; q < y.dims[3]; ++q) {
          double sum = b == nullptr ? 0 : b->v[static_cast<std::size_t>(k)];
          for (std::int64_t c = 0; c < C; ++c)
            for (std::int64_t r = 0; r < kernel[0]; ++r)
              for (std::int64_t s = 0; s < kernel[1]; ++s) {
                const std::int64_t h = p * strides[0] + r - pads[0], v = q * strides[1] + s - pads[1];
                if (h < 0 || v < 0 || h >= x.dims[2] || v >= x.dims[3]) continue;
                sum += x.v[index(x.dims, i, k / (K / group) * C + c, h, v)] * w.v[index(w.dims, k, c, r, s)];
              }
          y.v[index(y.dims, i, k, p, q)] = sum;
        }
  return y;
}

inline OnnxTensor pool(const OnnxNode& n, const OnnxTensor& x) {
  const Dims &pads = n.ints.at("pads"), &strides = n.ints.at("strides"), &kernel = n.ints.at("kernel_shape");
  const bool max = n.op == "MaxPool";
  AKIN_CHECK(max || n.ints.at("count_include_pad")[0] == 1, "AveragePool: pads must count");
  OnnxTensor y;
  y.dims = {x.dims[0], x.dims[1], (x.dims[2] + pads[0] + pads[2] - kernel[0]) / strides[0] + 1,
            (x.dims[3] + pads[1] + pads[3] - kernel[1]) / strides[1] + 1};
  for (std::int64_t i = 0; i < y.dims[0]; ++i)
    for (std::int64_t c = 0; c < y.dims[1]; ++c)
      for (std::int64_t p = 0; p < y.dims[2]; ++p)
        for (std::int64_t q = 0; q < y.dims[3]; ++q) {
          double best = -std::numeric_limits<double>::infinity(), sum = 0;
          for (std::int64_t r = 0; r < kernel[0]; ++r)
            for (std::int64_t s = 0; s < kernel[1]; ++s) {
              const std::int64_t h = p * strides[0] + r - pads[0], v = q * strides[1] + s - pads[1];
              if (h < 0 || v < 0 || h >= x.dims[2] || v >= x.dims[3]) continue;
              best = std::max(best, x.v[index(x.dims, i, c, h, v)]);
              sum += x.v[index(x.dims, i, c, h, v)];
            }
          y.v.push_back(max ? best : sum / static_cast<double>(kernel[0] * kernel[1]));
        }
  return y;
}

/// Rank 4 by rank 2 or rank 2 by rank 4, or two matrices.
inline OnnxTensor matmul(const OnnxTensor& a, const OnnxTensor& b) {
  const std::size_t ra = a.dims.size(), rb = b.dims.size();
  const std::int64_t M = a.dims[ra - 2], K = a.dims[ra - 1], N = b.dims[rb - 1];
  AKIN_CHECK(b.dims[rb - 2] == K && (ra == 2 || rb == 2), "MatMul: shapes");
  OnnxTensor y;
  y.dims = ra >= rb ? a.dims : b.dims;
  y.dims[y.dims.size() - 2] = M;
  y.dims.back() = N;
  const std::int64_t batches = y.numel() / (M * N);
  for (std::int64_t i = 0; i < batches; ++i)
    for (std::int64_t m = 0; m < M; ++m)
      for (std::int64_t c = 0; c < N; ++c) {
        double sum = 0;
        for (std::int64_t k = 0; k < K; ++k)
          sum += a.v[static_cast<std::size_t>(((ra == 2 ? 0 : i) * M + m) * K + k)] *
                 b.v[static_cast<std::size_t>(((rb == 2 ? 0 : i) * K + k) * N + c)];
        y.v.push_back(sum);
      }
  return y;
}

inline OnnxTensor gemm(const OnnxNode& n, const OnnxTensor& x, const OnnxTensor& w, const OnnxTensor* b) {
  AKIN_CHECK(n.ints.at("transB")[0] == 1 && w.dims.at(1) == x.dims.at(1) && x.dims.size() == 2, "Gemm: shapes");
  OnnxTensor y{{x.dims[0], w.dims[0]}, {}};
  const auto D = static_cast<std::size_t>(x.dims[1]), K = static_cast<std::size_t>(w.dims[0]);
  for (std::size_t i = 0; i < static_cast<std::size_t>(x.dims[0]); ++i)
    for (std::size_t k = 0; k < K; ++k) {
      double sum = b == nullptr ? 0 : b->v[k];
      for (std::size_t d = 0; d < D; ++d) sum += x.v[i * D + d] * w.v[k * D + d];
      y.v.push_back(sum);
    }
  return y;
}

/// A box of x with steps, or x with zeros around: y[i] = x[from + step i] where that is inside.
inline OnnxTensor window(const OnnxTensor& x, const Dims& from, const Dims& step, const Dims& size) {
  OnnxTensor y{size, {}};
  for (std::int64_t n = 0; n < size[0]; ++n)
    for (std::int64_t c = 0; c < size[1]; ++c)
      for (std::int64_t h = 0; h < size[2]; ++h)
        for (std::int64_t w = 0; w < size[3]; ++w) {
          const Dims at{from[0] + step[0] * n, from[1] + step[1] * c, from[2] + step[2] * h, from[3] + step[3] * w};
          bool inside = true;
          for (std::size_t i = 0; i < 4; ++i) inside = inside && at[i] >= 0 && at[i] < x.dims[i];
          y.v.push_back(inside ? x.v[index(x.dims, at[0], at[1], at[2], at[3])] : 0.0);
        }
  return y;
}

inline Dims whole(const OnnxTensor& t) { return Dims(t.v.begin(), t.v.end()); }

}  // namespace onnx_detail

inline OnnxTensor OnnxFile::run(const OnnxTensor& x) const {
  using namespace onnx_detail;
  std::map<std::string, OnnxTensor> values = initializers;
  values[input] = x;
  for (const OnnxNode& n : nodes) {
    std::vector<const OnnxTensor*> in;
    for (const std::string& i : n.inputs) {
      AKIN_CHECK(values.contains(i), "{} reads {} before it is made", n.name, i);
      in.push_back(&values.at(i));
    }
    const auto each = [&](auto f) {
      OnnxTensor y = *in[0];
      for (double& v : y.v) v = f(v);
      return y;
    };
    const auto optional = [&](std::size_t i) { return i < in.size() ? in[i] : nullptr; };
    OnnxTensor y;
    if (n.op == "Conv") {
      y = conv(n, *in.at(0), *in.at(1), optional(2));
    } else if (n.op == "Gemm") {
      y = gemm(n, *in.at(0), *in.at(1), optional(2));
    } else if (n.op == "MatMul") {
      y = matmul(*in.at(0), *in.at(1));
    } else if (n.op == "Add" || n.op == "Sub" || n.op == "Mul" || n.op == "Div") {
      const char op = n.op[0];
      y = broadcast(*in.at(0), *in.at(1), [&](double a, double b) {
        return op == 'A' ? a + b : op == 'S' ? a - b : op == 'M' ? a * b : a / b;
      });
    } else if (n.op == "Max") {
      y = broadcast(*in.at(0), *in.at(1), [](double a, double b) { return std::max(a, b); });
    } else if (n.op == "Exp" || n.op == "Log") {
      y = each([&](double v) { return n.op == "Exp" ? std::exp(v) : std::log(v); });
    } else if (n.op == "LogSoftmax") {
      y = log_softmax(n, *in.at(0));
    } else if (n.op == "BatchNormalization") {
      y = *in.at(0);
      const auto C = static_cast<std::size_t>(y.dims[1]), pixels = static_cast<std::size_t>(y.numel() / y.dims[0]) / C;
      for (std::size_t i = 0; i < y.v.size(); ++i) {
        const std::size_t c = i / pixels % C;
        y.v[i] =
            (y.v[i] - in.at(3)->v[c]) / std::sqrt(in.at(4)->v[c] + n.floats.at("epsilon")) * in[1]->v[c] + in[2]->v[c];
      }
    } else if (n.op == "Relu") {
      y = each([](double v) { return std::max(v, 0.0); });
    } else if (n.op == "Clip") {
      y = each([&](double v) { return std::min(std::max(v, in.at(1)->v.at(0)), in.at(2)->v.at(0)); });
    } else if (n.op == "HardSigmoid") {
      const double alpha = n.floats.at("alpha"), beta = n.floats.at("beta");
      y = each([&](double v) { return std::min(std::max(alpha * v + beta, 0.0), 1.0); });
    } else if (n.op == "MaxPool" || n.op == "AveragePool") {
      y = pool(n, *in.at(0));
    } else if (n.op == "GlobalAveragePool") {
      y = {{in.at(0)->dims[0], in[0]->dims[1], 1, 1}, {}};
      const auto pixels = static_cast<std::size_t>(in[0]->dims[2] * in[0]->dims[3]);
      for (std::size_t i = 0; i < in[0]->v.size(); i += pixels) {
        double sum = 0;
        for (std::size_t j = 0; j < pixels; ++j) sum += in[0]->v[i + j];
        y.v.push_back(sum / static_cast<double>(pixels));
      }
    } else if (n.op == "Cast") {
      AKIN_CHECK(n.ints.at("to")[0] == 1, "Cast: to float");
      y = *in.at(0);
    } else if (n.op == "DequantizeLinear") {
      AKIN_CHECK(
          n.ints.at("axis")[0] == 0 && in.at(1)->dims == std::vector{in[0]->dims[0]} && in.at(2)->dims == in[1]->dims,
          "DequantizeLinear: a scale and a zero point each row");
      y = *in[0];
      const auto rows = static_cast<std::size_t>(y.dims[0]), row = y.v.size() / rows;
      for (std::size_t i = 0; i < y.v.size(); ++i) y.v[i] = (y.v[i] - in[2]->v[i / row]) * in[1]->v[i / row];
    } else if (n.op == "Flatten") {
      AKIN_CHECK(n.ints.at("axis")[0] == 1, "Flatten: axis");
      y = {{in.at(0)->dims[0], in[0]->numel() / in[0]->dims[0]}, in[0]->v};
    } else if (n.op == "Reshape") {
      y = {whole(*in.at(1)), in.at(0)->v};
      for (std::size_t i = 0; i < y.dims.size(); ++i)
        if (y.dims[i] == 0) y.dims[i] = in[0]->dims.at(i);
      AKIN_CHECK(y.numel() == in[0]->numel(), "Reshape: shapes");
    } else if (n.op == "Concat") {
      AKIN_CHECK(n.ints.at("axis")[0] == 1, "Concat: axis");
      y.dims = in.at(0)->dims;
      y.dims[1] = 0;
      for (const OnnxTensor* t : in) y.dims[1] += t->dims[1];
      for (std::int64_t i = 0; i < y.dims[0]; ++i)
        for (const OnnxTensor* t : in) {
          const std::int64_t row = t->numel() / t->dims[0];
          y.v.insert(y.v.end(), t->v.begin() + i * row, t->v.begin() + (i + 1) * row);
        }
    } else if (n.op == "Slice") {
      Dims from(4, 0), step(4, 1), size = in.at(0)->dims;
      const Dims axes = whole(*in.at(3));
      for (std::size_t i = 0; i < axes.size(); ++i) {
        const auto a = static_cast<std::size_t>(axes[i]);
        from[a] = static_cast<std::int64_t>(in.at(1)->v[i]);
        step[a] = static_cast<std::int64_t>(in.at(4)->v[i]);
        const std::int64_t end = std::min(static_cast<std::int64_t>(in.at(2)->v[i]), size[a]);
        size[a] = (end - from[a] + step[a] - 1) / step[a];
      }
      y = window(*in[0], from, step, size);
    } else if (n.op == "Pad") {
      const Dims pads = whole(*in.at(1));
      Dims from(4), size = in.at(0)->dims;
      for (std::size_t i = 0; i < 4; ++i) {
        from[i] = -pads.at(i);
        size[i] += pads[i] + pads.at(i + 4);
      }
      y = window(*in[0], from, Dims(4, 1), size);
    } else {
      AKIN_CHECK(n.op == "Identity", "no operator {}", n.op);
      y = *in.at(0);
    }
    AKIN_CHECK(values.emplace(n.output, std::move(y)).second, "{} is made twice", n.output);
  }
  AKIN_CHECK(values.contains(output), "nobody makes {}", output);
  return values.at(output);
}

}  // namespace akin::test
