#include "nn/weight_file.hpp"

#include <algorithm>
#include <cmath>
#include <map>

namespace akin {

Array permute_conv(const Array& w, const Shape& memory, bool to_memory) {
  const std::int64_t K = memory[0], R = memory[1], S = memory[2], C = memory[3];
  Array out(DType::f32, to_memory ? memory : Shape{K, C, R, S});
  const auto from = w.as<float>();
  const auto to = out.as<float>();
  for (std::int64_t k = 0; k < K; ++k)
    for (std::int64_t r = 0; r < R; ++r)
      for (std::int64_t s = 0; s < S; ++s)
        for (std::int64_t c = 0; c < C; ++c) {
          const auto at_memory = static_cast<std::size_t>(((k * R + r) * S + s) * C + c);
          const auto at_file = static_cast<std::size_t>(((k * C + c) * R + r) * S + s);
          if (to_memory)
            to[at_memory] = from[at_file];
          else
            to[at_file] = from[at_memory];
        }
  return out;
}

namespace {

bool is_float(DType t) { return t == DType::f32 || t == DType::f64 || t == DType::bf16; }

/// Whether the tensor lies as [K,R,S,C] in memory and channels first in files.
bool channels_move(ParameterKind kind) {
  return kind == ParameterKind::conv_weight || kind == ParameterKind::depthwise_weight ||
         kind == ParameterKind::flat_weight;
}

Shape file_shape(const Parameter& p) {
  const Shape& s = p.tensor.shape();
  switch (p.kind) {
    case ParameterKind::conv_weight:
    case ParameterKind::depthwise_weight:
      return {s[0], s[3], s[1], s[2]};
    case ParameterKind::pixel_weight:
      return {s[0], s[1], 1, 1};
    case ParameterKind::flat_weight:
      return {s[0], s[1] * s[2] * s[3]};
    default:
      return s;
  }
}

/// The same but for dimensions of size 1 at the end.
bool same_but_ones(const Shape& a, const Shape& b) {
  std::vector<std::int64_t> x = a.dims(), y = b.dims();
  while (x.size() > 1 && x.back() == 1) x.pop_back();
  while (y.size() > 1 && y.back() == 1) y.pop_back();
  return x == y;
}

/// A stem [K,C,R,S] for another number of channels, 1 <-> C.
Array converted_stem(const Array& w, std::int64_t channels) {
  const Shape& s = w.shape();
  const std::int64_t K = s[0], C = s[1], area = s[2] * s[3];
  Array out(DType::f32, {K, channels, s[2], s[3]});
  const auto from = w.as<float>();
  const auto to = out.as<float>();
  for (std::int64_t k = 0; k < K; ++k)
    for (std::int64_t c = 0; c < channels; ++c)
      for (std::int64_t i = 0; i < area; ++i) {
        double sum = 0;
        for (std::int64_t f = 0; f < C; ++f) sum += from[static_cast<std::size_t>((k * C + f) * area + i)];
        to[static_cast<std::size_t>((k * channels + c) * area + i)] =
            static_cast<float>(sum / static_cast<double>(channels));
      }
  return out;
}

/// Layers of training only, which akin's network does not have.
bool is_auxiliary(const Network& network, const std::string& name) {
  return network.architecture().name == "googlenet" && (name.starts_with("aux1.") || name.starts_with("aux2."));
}

constexpr double kLargest = 1e30;  // far beyond what a forward pass in float survives

/// Error where `w` holds what no training writes; `given` is what the file holds.
void check_values(const Parameter& p, const Array& given, const std::string& file) {
  if (p.kind == ParameterKind::counter) {
    const Array count = given.cast(DType::i64);
    AKIN_CHECK(count.numel() == 1 && count.as<std::int64_t>()[0] >= 0, "{}: tensor \"{}\" counts {} batches", file,
               p.name, count.numel() == 1 ? count.as<std::int64_t>()[0] : -1);
    return;
  }
  check_finite(given, p.name, file);
  const Array w = given.cast(DType::f32);
  check_finite(w, p.name, file);  // again: what was finite in f64 may not be in f32
  const bool variance = p.kind == ParameterKind::buffer && p.name.ends_with("running_var");
  const auto values = w.as<float>();
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double value = static_cast<double>(values[i]);
    AKIN_CHECK(std::abs(value) <= kLargest && (!variance || value >= 0),
               "{}: tensor \"{}\" holds {} at element {}, {}; no training writes that (damaged, or of another layout?)",
               file, p.name, values[i], i, variance && value < 0 ? "a negative variance" : "beyond 1e30");
  }
}

bool all_zero(const Array& a) {
  return std::all_of(a.bytes(), a.bytes() + a.byte_size(), [](std::byte b) { return b == std::byte{0}; });
}

/// What a shape that does not fit may be instead.
const char* other_layout(const Shape& given, const Shape& wanted) {
  if (given.rank() == 4 && wanted.rank() == 4 && given == Shape{wanted[2], wanted[3], wanted[1], wanted[0]})
    return " (height, width, in, out, as TensorFlow and Flax have it: transpose to out, in, height, width)";
  if (given.rank() == 2 && wanted.rank() == 2 && given == Shape{wanted[1], wanted[0]})
    return " (in, out, as TensorFlow and Flax have it: transpose)";
  return "";
}

/// The beginnings that most names share, for a file whose names do not fit.
std::string beginnings(const SafeTensors& file) {
  std::map<std::string, int> count;
  for (const auto& [name, array] : file.tensors) ++count[name.substr(0, name.find('.') + 1)];
  std::vector<std::pair<int, std::string>> most;
  for (const auto& [begin, n] : count) most.emplace_back(-n, begin.empty() ? "no dot" : "\"" + begin + "\"");
  std::sort(most.begin(), most.end());
  std::string text;
  for (std::size_t i = 0; i < std::min<std::size_t>(most.size(), 4); ++i)
    text += fmt::format("{}{} ({})", i > 0 ? ", " : "", most[i].second, -most[i].first);
  return text;
}

/// Of many problems the first few of a kind, and the number of all: a file of another family has hundreds.
std::string in_short(const std::vector<std::string>& problems) {
  constexpr std::size_t kAll = 10, kSome = 3;
  if (problems.size() <= kAll) return fmt::format("{}", fmt::join(problems, "; "));
  std::vector<std::string> told;
  for (const std::string kind : {"missing ", "unexpected ", ""}) {
    std::vector<std::string> own;
    for (const std::string& p : problems) {
      const bool named = p.starts_with("missing ") || p.starts_with("unexpected ");
      if (kind.empty() ? !named : p.starts_with(kind)) own.push_back(p.substr(kind.size()));
    }
    const std::size_t n = std::min(kSome, own.size());
    if (n > 0)
      told.push_back(fmt::format("{}{}{}", kind,
                                 fmt::join(own.begin(), own.begin() + static_cast<std::ptrdiff_t>(n), ", "),
                                 own.size() > n ? fmt::format(" and {} more", own.size() - n) : ""));
  }
  return fmt::format("{}", fmt::join(told, "; "));
}

}  // namespace

NamePrefix take_prefix(SafeTensors& file, const std::vector<std::string>& layers) {
  std::map<std::string, std::int64_t> candidates;
  for (const auto& [name, array] : file.tensors) {
    for (const std::string& layer : layers) {
      if (canonical_name(name) == layer) return {};
      if (name.ends_with("." + layer)) candidates[name.substr(0, name.size() - layer.size())] = 0;
    }
  }
  const std::string* best = nullptr;
  for (auto& [prefix, count] : candidates) {
    count = std::count_if(file.tensors.begin(), file.tensors.end(),
                          [&p = prefix](const auto& tensor) { return tensor.first.starts_with(p); });
    // Of two that are in front of all, the longer one: it is what stands before the layer.
    if (2 * count > static_cast<std::int64_t>(file.tensors.size()) &&
        (best == nullptr || count > candidates[*best] || (count == candidates[*best] && prefix.size() > best->size())))
      best = &prefix;
  }
  if (best == nullptr) return {};
  for (auto& [name, array] : file.tensors)
    if (name.starts_with(*best)) name.erase(0, best->size());
  return {*best, candidates[*best]};
}

std::string canonical_name(std::string name) {
  if (name.starts_with("module.")) name.erase(0, 7);
  if (name.starts_with("linear.")) name.replace(0, 7, "fc.");
  return name;
}

const Array* find_canonical(const SafeTensors& file, const std::string& name) {
  const auto it = std::find_if(file.tensors.begin(), file.tensors.end(),
                               [&](const auto& tensor) { return canonical_name(tensor.first) == name; });
  return it == file.tensors.end() ? nullptr : &it->second;
}

void export_weights(const Network& network, SafeTensors& file, const std::string& prefix) {
  for (const Parameter& p : network.parameters()) {
    Array a = p.tensor.to_array();
    if (channels_move(p.kind)) a = permute_conv(a, p.tensor.shape(), false);
    file.add(prefix + p.name, a.reshaped(file_shape(p)));
  }
}

ImportReport import_weights(Network& network, const SafeTensors& file, const std::string& prefix,
                            const ImportOptions& options) {
  ImportReport report;
  std::map<std::string, const Array*> found;
  std::vector<std::string> problems, whole;
  const ParameterList list = network.parameters();
  const auto ours = [&](const std::string& name) {
    return std::any_of(list.begin(), list.end(), [&](const Parameter& p) { return p.name == name; });
  };
  std::map<std::string, std::string> aliases;
  for (const auto& [theirs, own] : network.aliases()) aliases[theirs] = own;
  // One layer that only timm has tells its files: without it "bn1" could be either's.
  const bool timm = !aliases.empty() && find_canonical(file, prefix + "conv_stem.weight") != nullptr;
  for (const auto& [full, array] : file.tensors) {
    if (!full.starts_with(prefix)) continue;
    std::string own = canonical_name(full.substr(prefix.size()));
    if (timm) {
      const std::size_t dot = own.rfind('.');
      const auto alias = dot == std::string::npos ? aliases.end() : aliases.find(own.substr(0, dot));
      if (alias != aliases.end()) {
        own = alias->second + own.substr(dot);
        report.renamed.push_back(full + " -> " + own);
      }
    }
    if (is_auxiliary(network, own)) {
      report.ignored.push_back(full);
      continue;
    }
    if (options.new_head && network.in_head(own)) continue;
    if (!found.emplace(own, &array).second) problems.push_back("two tensors for " + own);
  }
  std::map<std::string, Array> ready;
  for (const Parameter& p : list) {
    if (options.new_head && network.in_head(p.name)) {
      report.fresh.push_back(p.name);
      continue;
    }
    const auto it = found.find(p.name);
    if (it == found.end()) {
      if (p.kind != ParameterKind::counter) problems.push_back("missing " + p.name);
      continue;
    }
    const Array& theirs = *it->second;
    const Shape wanted = file_shape(p), &given = theirs.shape();
    const bool stem = options.convert_stem && &p == &list.front() && given.rank() == 4 && wanted[0] == given[0] &&
                      wanted[2] == given[2] && wanted[3] == given[3] && (wanted[1] == 1 || given[1] == 1);
    if (!(given == wanted) && !same_but_ones(given, wanted) && !stem) {
      problems.push_back(
          fmt::format("{} is {}, expected {}{}", p.name, given.str(), wanted.str(), other_layout(given, wanted)));
      continue;
    }
    if (p.kind != ParameterKind::counter && !is_float(theirs.dtype())) {
      whole.push_back(p.name);
      continue;
    }
    check_values(p, theirs, file.source);
    Array a = theirs.cast(p.tensor.dtype());
    if (p.is_weight() && all_zero(a)) report.suspect.push_back(p.name);
    if (!(given == wanted)) report.reshaped.push_back(fmt::format("{} {} -> {}", p.name, given.str(), wanted.str()));
    if (stem && wanted[1] != given[1]) a = converted_stem(a, wanted[1]);
    ready.emplace(p.name, a.reshaped(wanted));
  }
  if (!whole.empty())
    problems.push_back(fmt::format(
        "{}{} whole numbers, floats are expected (quantised weights are read where <name>_scale and <name>_zero_point "
        "lie beside them)",
        whole[0], whole.size() > 1 ? fmt::format(" and {} other tensors hold", whole.size() - 1) : " holds"));
  bool second_head = false;
  for (const auto& [name, array] : found) {
    if (ours(name)) continue;
    problems.push_back("unexpected " + name);
    second_head = second_head || name.starts_with(std::string(kTaughtHead) + ".");
  }
  if (second_head && problems.size() == 2)
    fail(
        "{}: has the second head of a student that a probe taught ({}.weight, .bias), and not the metadata that say "
        "how "
        "the two are mixed: take the file that akin wrote, or leave those two tensors out and the label head is the "
        "whole network",
        file.source, kTaughtHead);
  const auto layers = std::count_if(list.begin(), list.end(), [](const Parameter& p) { return p.is_weight(); });
  AKIN_CHECK(
      !problems.empty() || static_cast<std::ptrdiff_t>(report.suspect.size()) < layers - (options.new_head ? 1 : 0),
      "{}: the weights of all layers are zero (a download that did not end?); fetch it again", file.source);
  if (!problems.empty()) {
    const Architecture& a = network.architecture();
    std::string kind = a.name == "graph" ? "the layer graph" : a.name;
    if (a.width > 0)
      kind += fmt::format(" (width {}, shortcut {}, {} channels, {} classes)", a.width,
                          a.shortcut.empty() ? "-" : a.shortcut, a.channels, a.classes);
    fail("{}: weights do not fit {}: {}; give the architecture the file was made for. Names in the file begin with {}",
         file.source, kind, in_short(problems), beginnings(file));
  }
  for (const Parameter& p : list) {
    const auto it = ready.find(p.name);
    if (it == ready.end()) continue;
    const Array a = channels_move(p.kind) ? permute_conv(it->second, p.tensor.shape(), true) : it->second;
    p.tensor.copy_from(a.bytes());
  }
  return report;
}

SafeTensors dequantized(SafeTensors file) {
  SafeTensors out;
  out.metadata = file.metadata;
  out.source = file.source;
  const auto is_part = [&](const std::string& name) {
    for (const char* end : {"_scale", "_zero_point"})
      if (name.ends_with(end)) {
        const Array* of = file.find(name.substr(0, name.size() - std::string(end).size()));
        if (of != nullptr && of->dtype() == DType::u8) return true;
      }
    return false;
  };
  for (const auto& [name, array] : file.tensors) {
    if (is_part(name)) continue;
    if (array.dtype() != DType::u8 || file.find(name + "_scale") == nullptr) {
      out.add(name, array);
      continue;
    }
    const Array* zero = file.find(name + "_zero_point");
    AKIN_CHECK(zero != nullptr, "{}: {} is quantised and has a scale, but no tensor {}_zero_point", file.source, name,
               name);
    const Array scales = file.at(name + "_scale").cast(DType::f32), zeros = zero->cast(DType::f32);
    const std::int64_t rows = array.shape().rank() == 0 ? 1 : array.shape()[0];
    for (const Array* a : {&scales, &zeros}) {
      check_finite(*a, name, file.source);
      AKIN_CHECK(a->numel() == 1 || a->numel() == rows, "{}: {} has {} scales or zero points, expected 1 or {}",
                 file.source, name, a->numel(), rows);
    }
    Array w(DType::f32, array.shape());
    const auto from = array.as<std::uint8_t>();
    const auto to = w.as<float>();
    const std::size_t each = rows == 0 ? 0 : from.size() / static_cast<std::size_t>(rows);
    for (std::size_t i = 0; i < from.size(); ++i) {
      const std::size_t row = i / each;
      const float scale = scales.as<float>()[scales.numel() == 1 ? 0 : row];
      AKIN_CHECK(scale > 0, "{}: the scale of {} is {}, expected above 0", file.source, name, scale);
      const float zero_point = zeros.as<float>()[zeros.numel() == 1 ? 0 : row];
      AKIN_CHECK(zero_point >= 0 && zero_point <= 255, "{}: the zero point of {} is {}, expected 0 to 255", file.source,
                 name, zero_point);
      to[i] = scale * (static_cast<float>(from[i]) - zero_point);
    }
    out.add(name, std::move(w));
  }
  return out;
}

}  // namespace akin
