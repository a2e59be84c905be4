// The weights of a network as named tensors of a file: torchvision's names and layouts, out and in.
#pragma once

#include <string>
#include <vector>

#include "engine/io/safetensors.hpp"
#include "nn/network.hpp"

namespace akin {

/// f32 [K,C,R,S] of a file -> `memory` [K,R,S,C], or back when not `to_memory`.
Array permute_conv(const Array& w, const Shape& memory, bool to_memory);

/// Weights of `network` as file tensors (convolutions OIHW), each name after `prefix`.
void export_weights(const Network& network, SafeTensors& file, const std::string& prefix = "");

/// What may differ between a file and the network it is loaded into.
struct ImportOptions {
  bool new_head = false;      ///< the network keeps its own head; the file's may have another size or be absent
  std::uint64_t seed = 0;     ///< of a new head
  bool convert_stem = false;  ///< a colour stem for grey images: its weights summed over R, G, B (what grey copied to
                              ///< three channels would give); a grey stem for colour images: a third for each
};

/// What a program that wraps a model put before its names, such as "_orig_mod.", and before how many.
struct NamePrefix {
  std::string text = {};
  std::int64_t names = 0;
};

/// What import_weights did not take as it was, for people.
struct ImportReport {
  NamePrefix prefix;                  ///< taken off the names
  std::vector<std::string> ignored;   ///< tensors that serve another purpose: auxiliary heads
  std::vector<std::string> renamed;   ///< timm's names: "theirs -> ours"
  std::vector<std::string> reshaped;  ///< same numbers in another shape, and a converted stem
  std::vector<std::string> fresh;     ///< of the head, which stays as it was
  std::vector<std::string> suspect;   ///< layers whose weights are all zero
};

/// Loads what export_weights wrote, or torchvision or timm. A leading "module." is stripped, "linear." is read as "fc."
/// where the head is called so, and timm's names are known. Throws one error that lists every missing, unexpected and
/// misshapen tensor, and on values that no training writes, with tensor and element: NaN, infinity, beyond 1e30, a
/// negative variance or count, nothing but zeros in all layers. num_batches_tracked may be absent.
ImportReport import_weights(Network& network, const SafeTensors& file, const std::string& prefix = "",
                            const ImportOptions& options = {});

/// Takes off the prefix that stands before one of `layers` (names of tensors) and begins more than half of all names,
/// as torch.compile, Lightning and others put one there; none where a layer goes by its plain name.
NamePrefix take_prefix(SafeTensors& file, const std::vector<std::string>& layers);

/// The name under which import_weights would look for a file's tensor, but for timm's names.
std::string canonical_name(std::string name);
/// The tensor of that canonical name; nullptr where there is none.
const Array* find_canonical(const SafeTensors& file, const std::string& name);

/// Quantised tensors (u8 <name>, with <name>_scale and <name>_zero_point, of one element or one a row) replaced by
/// scale (w - zero point) in f32; other tensors as they are. Error where scale or zero point are missing or unsound.
SafeTensors dequantized(SafeTensors file);

}  // namespace akin
