// Overflow chains (page kind 5): values too long for a leaf. header, u32 byte count, u32 0, bytes; next in
// right_sibling.
//
// A chain is immutable. It is written before the row's action, listed as PendingFree kChain until the row
// holds it, and given up when no version needs it (undo and before-images keep the reference, not the bytes).
#pragma once

#include <cstdint>
#include <string_view>

#include "rustbd/storage/btree/status.h"
#include "rustbd/storage/buffer/buffer_manager.h"
#include "rustbd/storage/rows/row_format.h"

namespace rustbd::storage {

inline constexpr std::uint32_t kOverflowDataBytes = kPageBytes - 40;

/// Bytes of the value that a page of a chain holds, as the page says.
[[nodiscard]] std::uint32_t overflow_bytes(const std::byte* page);

/// Writes one value, last page first, one action a page. `bytes` stays valid until done. When it is abandoned
/// before done, or the row's action never comes: OverflowFree{ref()}.
class OverflowWrite {
 public:
  OverflowWrite(std::string_view bytes, std::uint32_t owner, PendingFree& pending)
      : bytes_(bytes), left_(bytes.size()), owner_(owner), pending_(&pending) {}
  /// Outside the gate. kOk: done (at once for what is done). kMiss: await and call again, it goes on where it
  /// was.
  Status run(BufferManager& buffer);
  /// The action that stores the reference also calls pending.remove(ref().first).
  [[nodiscard]] OverflowRef ref() const { return {next_, bytes_.size()}; }

 private:
  std::string_view bytes_;
  std::uint64_t left_;
  std::uint32_t owner_;
  PendingFree* pending_;
  PageId next_;
};

/// Reads a chain into `to` (ref.bytes). Resumable: after kMiss await and call again.
class OverflowRead {
 public:
  OverflowRead(const OverflowRef& ref, char* to) : next_(ref.first), left_(ref.bytes), to_(to) {}
  Status run(BufferManager& buffer);

 private:
  PageId next_;
  std::uint64_t left_;
  char* to_;
};

/// Gives a chain up, one action a page; `pending` lists the rest meanwhile. Resumable.
class OverflowFree {
 public:
  explicit OverflowFree(const OverflowRef& ref) : next_(ref.first) {}
  Status run(BufferManager& buffer, PendingFree& pending);
  /// What is still there of it.
  [[nodiscard]] PageId rest() const { return next_; }

 private:
  PageId next_;
};

}  // namespace rustbd::storage
