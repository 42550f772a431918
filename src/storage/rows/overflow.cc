#include "rustbd/storage/rows/overflow.h"

#include <algorithm>
#include <cstring>

#include "rustbd/base/bytes.h"
#include "rustbd/storage/btree/blink.h"

namespace rustbd::storage {

namespace {
constexpr std::size_t kCount = 32, kData = 40;

template <class Guard>
Status from_fix(Fix<Guard>& fix, PageId id) {
  switch (fix.status) {
    case FixStatus::kOk: return Status::ok();
    case FixStatus::kMiss: return Status::miss(std::move(fix.wait));
    case FixStatus::kBusy: return Status::restart();
    case FixStatus::kDamaged: return Status::damaged(id);
    case FixStatus::kNoFrame: break;
  }
  return {Outcome::kNoFrame, {}, {}};
}

/// Bytes of this page of a chain with `left` bytes to go; 0: no such page.
std::uint32_t bytes_here(const std::byte* page, std::uint64_t left) {
  const auto header = load<PageHeader>(page);
  const auto count = load<std::uint32_t>(page + kCount);
  const bool good = header.kind == PageKind::kOverflow && count > 0 && count <= kOverflowDataBytes &&
                    count <= left && (header.right_sibling != 0) == (count < left);
  return good ? count : 0;
}
}  // namespace

std::uint32_t overflow_bytes(const std::byte* page) { return load<std::uint32_t>(page + kCount); }

Status OverflowWrite::run(BufferManager& buffer) {
  while (left_ > 0) {
    // The last page takes what is left over, so that every other one is full.
    const std::uint64_t rest = left_ % kOverflowDataBytes;
    const auto bytes = static_cast<std::uint32_t>(rest != 0 ? rest : kOverflowDataBytes);
    Action action(buffer.gate());
    Allocated page = buffer.alloc(PageKind::kOverflow, owner_);
    if (!page) return to_status(page.status, page.wait);
    std::byte* data = page.guard.mutable_data();
    page.guard.mutable_header().right_sibling = next_.raw();
    store(data + kCount, bytes);
    std::memcpy(data + kData, bytes_.data() + (left_ - bytes), bytes);
    pending_->add(page.guard.page_id(), PendingKind::kChain);
    if (!next_.is_none()) pending_->remove(next_);
    next_ = page.guard.page_id();
    left_ -= bytes;
  }
  return Status::ok();
}

Status OverflowRead::run(BufferManager& buffer) {
  while (left_ > 0) {
    Fix<SharedGuard> page = buffer.try_fix_shared(next_);
    if (Status s = from_fix(page, next_); !s) return s;
    const std::uint32_t bytes = bytes_here(page->data(), left_);
    if (bytes == 0) return Status::damaged(next_);
    std::memcpy(to_, page->data() + kData, bytes);
    to_ += bytes;
    left_ -= bytes;
    next_ = PageId{page->header().right_sibling};
    if (left_ > 0) buffer.prefetch(next_);
  }
  return Status::ok();
}

Status OverflowFree::run(BufferManager& buffer, PendingFree& pending) {
  while (!next_.is_none()) {
    Action action(buffer.gate());
    Fix<ExclusiveGuard> page = buffer.try_fix_exclusive(next_);
    if (Status s = from_fix(page, next_); !s) {
      if (s.outcome != Outcome::kDamaged) pending.add(next_, PendingKind::kChain);
      else buffer.note_freed_unread();
      return s;
    }
    if (page->header().kind != PageKind::kOverflow) {
      buffer.note_freed_unread();
      return Status::damaged(next_);
    }
    const PageId rest{page->header().right_sibling};
    pending.remove(next_);
    if (!rest.is_none()) pending.add(rest, PendingKind::kChain);
    buffer.free(std::move(page.guard));
    next_ = rest;
  }
  return Status::ok();
}

}  // namespace rustbd::storage
