// NVIDIA's NCCL: how cards give each other bytes without the host in between. A shared library that nothing is linked
// against and that is opened when several ranks train on cards; akin itself does not need it.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/context.hpp"

namespace akin {

class Ranks;

/// A communicator over all ranks of a Context. It moves bytes and adds nothing up, so that sums keep akin's order.
/// Calls are queued on the Context's stream, and return when they are done; who waits in vain is told by the watchdog
/// of Ranks. Throws Error with NCCL's own message.
class Nccl {
 public:
  /// Where the library may lie: names that the system looks for.
  static std::vector<std::string> files();
  /// What is wrong with this machine for it, or "": the library is missing (where was looked), or too old.
  static std::string problem(const std::vector<std::string>& files);
  /// All ranks of ctx.ranks call it, each with a card of its own.
  Nccl(Context& ctx, const std::vector<std::string>& files);
  Nccl(const Nccl&) = delete;
  Nccl& operator=(const Nccl&) = delete;
  ~Nccl();

  std::string about() const;  ///< "NCCL 2.21.5"
  /// Another rank is gone: the end waits for nobody.
  void abandon();

  /// Of bytes in the memory of the device; see collectives.hpp. `each`: of a rank's piece.
  void all_to_all(Context& ctx, const std::byte* send, std::byte* receive, std::size_t each, const std::string& what);
  struct Piece {
    std::size_t at, bytes;
  };
  /// A piece of every rank's `own` at ranks * piece.at of `all`, for each of `pieces`.
  void all_gather(Context& ctx, const std::byte* own, std::byte* all, std::span<const Piece> pieces,
                  const std::string& what);

 private:
  struct Api;
  void check(int code, const char* what) const;
  void wait(Context& ctx, const std::string& what) const;
  std::shared_ptr<const Api> api_;
  void* comm_ = nullptr;
  int ranks_ = 0;
};

}  // namespace akin
