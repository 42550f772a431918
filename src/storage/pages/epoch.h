// Epoch-based reclamation: memory and page ids that a reader may still hold are reused only after every
// reader that was under way has finished (Fraser, "Practical lock-freedom", 2004). Used by freed pages and by
// the version store.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>

#include "rustbd/storage/pages/thread_slot.h"

namespace rustbd::storage {

/// A reader holds a Pin from before it takes its first pointer or page id out of a shared structure until it
/// has let go of the last. What is unlinked and then stamped with `retire_stamp()` may be reused once
/// `passed(stamp)`.
///
/// Threads: any. A Pin belongs to its thread, nests, and is never held across a suspension.
class Epochs {
 public:
  Epochs();
  Epochs(const Epochs&) = delete;
  Epochs& operator=(const Epochs&) = delete;
  ~Epochs();  // runs what is still retired; no pin may exist

  struct alignas(64) Slot {
    std::atomic<std::uint64_t> pinned{~0ull};  // ~0: idle
    std::uint32_t depth = 0;                   // the owning thread only
  };

  class Pin {
   public:
    explicit Pin(Epochs& epochs) : slot_(&epochs.slots_[thread_slot()]) {
      if (slot_->depth++ == 0) {
        slot_->pinned.store(epochs.current_.load(std::memory_order_acquire), std::memory_order_seq_cst);
      }
    }
    Pin(Pin&& from) noexcept : slot_(from.slot_) { from.slot_ = nullptr; }
    Pin& operator=(Pin&&) = delete;
    ~Pin() {
      if (slot_ != nullptr && --slot_->depth == 0) slot_->pinned.store(kIdle, std::memory_order_release);
    }

   private:
    Slot* slot_;
  };

  [[nodiscard]] Pin pin() { return Pin(*this); }

  /// Call after unlinking. The thing may be reused when passed(stamp).
  [[nodiscard]] std::uint64_t retire_stamp() { return current_.fetch_add(1, std::memory_order_seq_cst); }
  /// Whether every pin that existed at retire_stamp() is gone. Reads all slots: ask once per batch.
  [[nodiscard]] bool passed(std::uint64_t stamp) const { return oldest_pinned() > stamp; }
  /// The smallest epoch that a pin holds; the current one if there is none. Anything stamped below it is
  /// free.
  [[nodiscard]] std::uint64_t oldest_pinned() const;

  /// Runs `reclaim` once no present reader is left (in some later collect()).
  void retire(std::move_only_function<void()> reclaim);
  /// Runs up to `limit` reclaims that are due. Returns how many ran. Also called by the pool thread.
  std::size_t collect(std::size_t limit);

 private:
  static constexpr std::uint64_t kIdle = ~0ull;

  struct Retired {
    std::uint64_t stamp;
    std::move_only_function<void()> reclaim;
  };
  std::atomic<std::uint64_t> current_{1};
  std::unique_ptr<Slot[]> slots_;
  std::mutex mutex_;             // protects retired_
  std::deque<Retired> retired_;  // stamps ascend
};

}  // namespace rustbd::storage
