// gzip streams (RFC 1952) in memory, through zlib.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "engine/io/file.hpp"

namespace akin {

/// True where the bytes begin as gzip does (1f 8b).
bool is_gzip(ByteView bytes);

/// Unpacks as much as is asked for, so that a header can be looked at before the rest takes memory. Concatenated
/// members are joined, as gzip itself does; zeros behind the last one do not count. `packed` must outlive it.
class Gunzip {
 public:
  /// `name` goes into messages. Throws where it is no gzip stream.
  Gunzip(ByteView packed, std::string name);
  ~Gunzip();
  Gunzip(const Gunzip&) = delete;
  Gunzip& operator=(const Gunzip&) = delete;
  /// The next n bytes; fewer at the end alone. Throws on a truncated or damaged stream, and on bytes after its end.
  std::size_t read(std::uint8_t* to, std::size_t n);

 private:
  struct State;
  void end_member();
  ByteView packed_;
  std::string name_;
  std::size_t at_ = 0;
  std::unique_ptr<State> state_;
};

/// The unpacked content; concatenated members are joined, as gzip itself does. Throws on a truncated or damaged
/// stream, on bytes after its end, and as soon as the content exceeds `max_bytes`. `name` goes into the message.
Bytes gunzip(ByteView packed, std::uint64_t max_bytes, const std::string& name);

/// One gzip member without name or time: the same bytes in give the same bytes out.
Bytes gzip(ByteView bytes, int level = 6);

}  // namespace akin
