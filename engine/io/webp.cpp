#include "engine/io/webp.hpp"

#include <webp/decode.h>
#include <webp/demux.h>

#include <cstring>
#include <memory>

namespace akin {
namespace {

struct Close {
  void operator()(WebPDemuxer* d) const { WebPDemuxDelete(d); }
};

/// The chunks of a file, and its first picture.
class Chunks {
 public:
  Chunks(ByteView file, const std::string& name) {
    const WebPData data{file.data(), file.size()};
    WebPDemuxState state = WEBP_DEMUX_PARSE_ERROR;
    demuxer_.reset(WebPDemuxPartial(&data, &state));
    AKIN_CHECK(state != WEBP_DEMUX_PARSING_HEADER && state != WEBP_DEMUX_PARSED_HEADER,
               "{}: image ends too early (truncated; fetch it again)", name);
    AKIN_CHECK(state == WEBP_DEMUX_DONE && demuxer_ != nullptr,
               "{}: image is damaged (its WebP chunks are not in order; fetch it again)", name);
    AKIN_CHECK(WebPDemuxGetFrame(demuxer_.get(), 1, &frame_) != 0, "{}: image is damaged (a WebP without a picture)",
               name);
  }
  ~Chunks() { WebPDemuxReleaseIterator(&frame_); }
  Chunks(const Chunks&) = delete;
  Chunks& operator=(const Chunks&) = delete;

  int number(WebPFormatFeature f) const { return static_cast<int>(WebPDemuxGetI(demuxer_.get(), f)); }
  const WebPIterator& frame() const { return frame_; }
  bool fills_canvas() const {
    return frame_.width == number(WEBP_FF_CANVAS_WIDTH) && frame_.height == number(WEBP_FF_CANVAS_HEIGHT);
  }
  Orientation orientation() const {
    WebPChunkIterator chunk{};
    if (WebPDemuxGetChunk(demuxer_.get(), "EXIF", 1, &chunk) == 0) return {};
    const Orientation found = exif_orientation({chunk.chunk.bytes, chunk.chunk.size});
    WebPDemuxReleaseChunkIterator(&chunk);
    return found;
  }

 private:
  std::unique_ptr<WebPDemuxer, Close> demuxer_;
  WebPIterator frame_{};
};

}  // namespace

StoredPicture read_webp_header(ByteView file, const std::string& name) {
  const Chunks chunks(file, name);
  StoredPicture header;
  header.width = chunks.number(WEBP_FF_CANVAS_WIDTH);
  header.height = chunks.number(WEBP_FF_CANVAS_HEIGHT);
  header.alpha = chunks.frame().has_alpha != 0 || !chunks.fills_canvas();
  header.frames = chunks.frame().num_frames > 1;
  header.orientation = chunks.orientation();
  return header;
}

Array read_webp_pixels(ByteView file, const std::string& name, const StoredPicture& header) {
  const Chunks chunks(file, name);
  const WebPIterator& frame = chunks.frame();
  const int samples = header.alpha ? 4 : 3;
  Array out(DType::u8, {header.height, header.width, samples});
  std::memset(out.bytes(), 0, out.byte_size());
  AKIN_CHECK(frame.x_offset >= 0 && frame.y_offset >= 0 && frame.width <= header.width - frame.x_offset &&
                 frame.height <= header.height - frame.y_offset,
             "{}: image is damaged (its picture lies outside of its canvas; fetch it again)", name);
  WebPDecoderConfig config;
  AKIN_CHECK(WebPInitDecoderConfig(&config) != 0, "{}: libwebp is of another version than akin was built with", name);
  const std::size_t row = static_cast<std::size_t>(header.width) * static_cast<std::size_t>(samples);
  const std::size_t start = static_cast<std::size_t>(frame.y_offset) * row +
                            static_cast<std::size_t>(frame.x_offset) * static_cast<std::size_t>(samples);
  config.output.colorspace = header.alpha ? MODE_RGBA : MODE_RGB;
  config.output.is_external_memory = 1;
  config.output.u.RGBA = {out.as<std::uint8_t>().data() + start, static_cast<int>(row), out.byte_size() - start};
  const VP8StatusCode status = WebPDecode(frame.fragment.bytes, frame.fragment.size, &config);
  AKIN_CHECK(status != VP8_STATUS_OUT_OF_MEMORY, "{}: not enough memory to decode it", name);
  AKIN_CHECK(status != VP8_STATUS_NOT_ENOUGH_DATA && status != VP8_STATUS_SUSPENDED,
             "{}: image ends too early (truncated; fetch it again)", name);
  AKIN_CHECK(status == VP8_STATUS_OK && config.input.width == frame.width && config.input.height == frame.height,
             "{}: image is damaged (libwebp: status {}; fetch it again)", name, static_cast<int>(status));
  return out;
}

}  // namespace akin
