// Sample images of the report as PNG.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "distill/report/report.hpp"

namespace akin {

/// Throws Error where the pixels do not match height, width and channels (1 or 3).
std::vector<std::uint8_t> encode_sample(const SampleImage& image);
/// For the page, as a data URL: PNG, or JPEG where that is smaller, as of photographs.
std::string data_url(const SampleImage& image);
/// Sets height, width, channels and pixels. `where` names the file in errors.
void decode_sample(std::span<const std::uint8_t> png, SampleImage& image, const std::string& where);

}  // namespace akin
