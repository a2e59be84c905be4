// Files read whole and written atomically. Every failure is one akin::Error naming the file and a remedy. Nothing is
// written or removed where a folder that this process has locked was moved or replaced (engine/io/folder_lock.hpp).
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/common/error.hpp"

namespace akin {

using Bytes = std::vector<std::uint8_t>;
using ByteView = std::span<const std::uint8_t>;

inline constexpr std::uint64_t kMaxFileBytes = std::uint64_t{16} << 30;

/// The bytes of a text, without a copy.
inline ByteView bytes_of(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

/// The whole file. Throws if it is missing, a folder, unreadable, longer than `max_bytes`, or changes while it is read,
/// and where it is a pipe that nobody opens to write into within 5 seconds.
Bytes read_file(const std::filesystem::path& path, std::uint64_t max_bytes = kMaxFileBytes);
std::string read_text(const std::filesystem::path& path, std::uint64_t max_bytes = std::uint64_t{256} << 20);
/// The first `most` bytes, or all there are, of a regular file. Throws as read_file, and on pipes and devices.
Bytes read_start(const std::filesystem::path& path, std::size_t most);
/// read_file, and gunzip where the content (not the name) is gzip; `max_bytes` limits both lengths.
Bytes read_file_gunzipped(const std::filesystem::path& path, std::uint64_t max_bytes = kMaxFileBytes);

/// A file that appears complete or not at all: written beside its final place under a temporary name, flushed to the
/// disk and renamed by commit(). Without commit() the temporary file is removed and an older file keeps its content.
/// A symbolic link is followed: the file it names is replaced. The temporary name is `.NAME.akin-PROCESS-N.tmp`; what
/// writers that were killed left of this kind in the folder is removed when a process first writes there.
class AtomicFile {
 public:
  explicit AtomicFile(const std::filesystem::path& path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  void write(ByteView bytes);
  void write(std::string_view text) { write(bytes_of(text)); }
  void commit();

 private:
  [[noreturn]] void fail_writing(const char* step, int error);
  bool create();
  void discard() noexcept;
  std::filesystem::path path_, temporary_;
  int fd_ = -1;
};

/// Removes temporary files of AtomicFile in `folder` whose writers are gone; their number.
int remove_leftovers(const std::filesystem::path& folder) noexcept;

void write_file_atomic(const std::filesystem::path& path, ByteView bytes);
void write_file_atomic(const std::filesystem::path& path, std::string_view text);

/// Throws "FILE: cannot be STEP: REASON (REMEDY)" for an errno.
[[noreturn]] void fail_to(const std::filesystem::path& path, const char* step, int error);

/// Whether there is such a file or folder, and such a folder; no where the way to it may not be looked into or is no
/// way, for which std::filesystem's own questions throw.
bool is_there(const std::filesystem::path& path);
bool is_folder(const std::filesystem::path& path);
/// The last name of a path, also of "data/birds/" and "data/birds/.", as text (readable_text).
std::string last_name(const std::filesystem::path& path);

/// Makes the folder and its parents; it may exist. Throws where that cannot be done, and on a link that leads nowhere.
void make_folder(const std::filesystem::path& path);
/// Removes a file, or an empty folder, where there is one. Throws where that cannot be done.
void remove_file(const std::filesystem::path& path);

}  // namespace akin
