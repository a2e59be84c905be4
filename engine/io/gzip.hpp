// gzip streams (RFC 1952) in memory, through zlib.
#pragma once

#include <cstdint>
#include <string>

#include "engine/io/file.hpp"

namespace akin {

/// True where the bytes begin as gzip does (1f 8b).
bool is_gzip(ByteView bytes);

/// The unpacked content; concatenated members are joined, as gzip itself does. Throws on a truncated or damaged
/// stream, on bytes after its end, and as soon as the content exceeds `max_bytes`. `name` goes into the message.
Bytes gunzip(ByteView packed, std::uint64_t max_bytes, const std::string& name);

/// One gzip member without name or time: the same bytes in give the same bytes out.
Bytes gzip(ByteView bytes, int level = 6);

}  // namespace akin
