// Which frame is given up when one is needed (storage.md §2.1). A policy only names candidates; the buffer
// manager takes those whose page nobody holds.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "rustbd/storage/buffer/frame_pool.h"
#include "rustbd/storage/pages/choices.h"

namespace rustbd::storage {

/// "clock", "lru", "random".
std::string_view to_text(EvictionPolicyKind kind);

/// Threads: any.
class EvictionPolicy {
 public:
  virtual ~EvictionPolicy() = default;
  /// A candidate is first only marked; if nobody has used its page when it is named again, it goes. So the
  /// latch word carries what the clock's reference bit says, and an access costs nothing.
  [[nodiscard]] virtual bool second_chance() const { return false; }
  /// on_access() wants every fix of a page; costs a counter that all threads share.
  [[nodiscard]] virtual bool follows_accesses() const { return false; }
  /// The frame's page was used, came in, or could not be evicted just now.
  virtual void on_access(FrameMeta&) {}
  /// Appends at most `wanted` frames to try next. None: the pool is empty.
  virtual void pick(std::size_t wanted, std::vector<std::uint32_t>& out) = 0;
};

/// kClock: second chance (Corbató, 1968): scans wash out nothing that is used between two rounds of the hand.
/// kLru: exact, by the time of the last access; a look at all frames for every 32nd part of them that goes.
/// kRandom: uniform. `frames` outlives it.
std::unique_ptr<EvictionPolicy> make_eviction_policy(EvictionPolicyKind kind, const FramePool& frames);

}  // namespace rustbd::storage
