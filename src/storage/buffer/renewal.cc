// A new image of a page without a change of it: how images come to be sealed by the current key.
#include "rustbd/storage/buffer/buffer_manager.h"

namespace rustbd::storage {

bool BufferManager::renew_image(PageId id) {
  if (entry_of(id).has(PageEntry::kTemp)) return false;  // it ends with its transaction
  constexpr int kTries = 100;  // somebody holds its latch, or it has left memory again
  for (int tries = 0; tries < kTries && !stopping_.load(std::memory_order_relaxed); ++tries) {
    if (const auto loaded = fix_shared(id); !loaded) return false;
    io::WaitToken wait;
    {
      const Action action(gate_);
      auto fix = try_fix_exclusive(id);
      if (!fix) continue;
      const DirtyResult dirty = fix->mark_dirty();
      if (dirty) return true;
      wait = dirty.retry;
    }
    environment_.executor->block_on(wait);
  }
  return false;
}

}  // namespace rustbd::storage
