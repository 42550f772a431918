#include "rustbd/storage/pages/root_map.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <thread>

#include "rustbd/base/assert.h"
#include "rustbd/base/bytes.h"
#include "rustbd/storage/buffer/buffer_manager.h"

namespace rustbd::storage {
namespace {

// Nobody but the checkpointer (shared, for microseconds) latches these pages besides the map, which does it
// under its mutex.
ExclusiveGuard latch(BufferManager& buffer, PageId page) {
  for (;;) {
    auto fix = buffer.try_fix_exclusive(page);
    if (fix) return std::move(*fix);
    RUSTBD_ASSERT(fix.status == FixStatus::kBusy, "the pages of the root map stay in memory");
    std::this_thread::yield();
  }
}

const RootEntry* entries(const PageGuard& page) {
  return reinterpret_cast<const RootEntry*>(page.data() + kPageHeaderBytes);
}
RootEntry* entries(ExclusiveGuard& page) {
  return reinterpret_cast<RootEntry*>(page.mutable_data() + kPageHeaderBytes);
}

}  // namespace

PageId RootMap::get(std::uint32_t id) const {
  const std::shared_lock lock(mutex_);
  const auto found = roots_.find(id);
  return found == roots_.end() ? PageId{} : found->second;
}

std::vector<RootEntry> RootMap::list() const {
  const std::shared_lock lock(mutex_);
  std::vector<RootEntry> out;
  out.reserve(roots_.size());
  for (const auto& [id, page] : roots_) out.push_back({id, 0, page.raw()});
  return out;
}

std::size_t RootMap::page_for(std::uint32_t id) const {
  return static_cast<std::size_t>(std::ranges::upper_bound(first_id_, id) - first_id_.begin()) - 1;
}

RootResult RootMap::try_set(std::uint32_t id, PageId root) {
  RUSTBD_ASSERT(id != 0 && !root.is_none());
  const std::unique_lock lock(mutex_);
  RUSTBD_ASSERT(!roots_.contains(id), "a root page id never changes");
  std::size_t index = page_for(id);
  ExclusiveGuard page = latch(buffer_, chain_[index]);
  DirtyResult marked = page.mark_dirty();
  if (!marked) return {RootStatus::kRetry, std::move(marked.retry)};
  if (page.header().count == kRootEntriesMax) {
    page.release();
    if (RootResult split_done = split(index); !split_done) return split_done;
    index = page_for(id);
    page = latch(buffer_, chain_[index]);
    marked = page.mark_dirty();
    RUSTBD_ASSERT(marked.ok, "it is dirty in this epoch");
  }
  PageHeader& header = page.mutable_header();
  RootEntry* first = entries(page);
  RootEntry* place =
      std::lower_bound(first, first + header.count, id,
                       [](const RootEntry& entry, std::uint32_t key) { return entry.id < key; });
  std::memmove(place + 1, place, static_cast<std::size_t>(first + header.count - place) * sizeof(RootEntry));
  *place = RootEntry{id, 0, root.raw()};
  ++header.count;
  roots_[id] = root;
  return {};
}

// The upper half goes to a new page behind it. The page is dirty in this epoch already.
RootResult RootMap::split(std::size_t chain_index) {
  Allocated fresh = buffer_.alloc(PageKind::kCatalogRoot, 0);
  if (!fresh) {
    const bool full = fresh.status == AllocStatus::kNoSpace || fresh.status == AllocStatus::kStopped;
    return {full ? RootStatus::kNoSpace : RootStatus::kRetry, std::move(fresh.wait)};
  }
  ExclusiveGuard page = latch(buffer_, chain_[chain_index]);
  const DirtyResult marked = page.mark_dirty();
  RUSTBD_ASSERT(marked.ok, "it is dirty in this epoch");
  constexpr std::uint32_t kKept = kRootEntriesMax / 2;
  std::memcpy(entries(fresh.guard), entries(page) + kKept, (kRootEntriesMax - kKept) * sizeof(RootEntry));
  fresh.guard.mutable_header().count = kRootEntriesMax - kKept;
  fresh.guard.mutable_header().right_sibling = page.header().right_sibling;
  page.mutable_header().count = kKept;
  page.mutable_header().right_sibling = fresh.guard.page_id().raw();
  const auto at = static_cast<std::ptrdiff_t>(chain_index) + 1;
  chain_.insert(chain_.begin() + at, fresh.guard.page_id());
  first_id_.insert(first_id_.begin() + at, entries(fresh.guard)[0].id);
  buffer_.pin_resident(fresh.guard.page_id());
  return {};
}

RootResult RootMap::try_erase(std::uint32_t id) {
  const std::unique_lock lock(mutex_);
  if (!roots_.contains(id)) return {};
  ExclusiveGuard page = latch(buffer_, chain_[page_for(id)]);
  DirtyResult marked = page.mark_dirty();
  if (!marked) return {RootStatus::kRetry, std::move(marked.retry)};
  PageHeader& header = page.mutable_header();
  RootEntry* first = entries(page);
  RootEntry* end = first + header.count;
  RootEntry* place = std::lower_bound(
      first, end, id, [](const RootEntry& entry, std::uint32_t key) { return entry.id < key; });
  RUSTBD_ASSERT(place != end && place->id == id, "the map and its pages agree");
  std::memmove(place, place + 1, static_cast<std::size_t>(end - place - 1) * sizeof(RootEntry));
  --header.count;
  std::memset(first + header.count, 0, sizeof(RootEntry));
  roots_.erase(id);
  return {};
}

void RootMap::create() {
  const Action action(buffer_.gate());
  Allocated page = buffer_.alloc(PageKind::kCatalogRoot, 0);
  RUSTBD_ASSERT(page && page.guard.page_id() == kCatalogRootPage, "the catalog root is the first page");
  buffer_.pin_resident(kCatalogRootPage);
  chain_ = {kCatalogRootPage};
  first_id_ = {0};
}

bool RootMap::load() {
  PageId next = kCatalogRootPage;
  std::uint32_t last = 0;
  while (!next.is_none()) {
    if (std::ranges::find(chain_, next) != chain_.end()) return false;
    auto fix = buffer_.fix_shared(next);
    if (!fix) return false;
    const PageHeader& header = fix->header();
    if (header.kind != PageKind::kCatalogRoot || header.page_id != next.raw() ||
        header.count > kRootEntriesMax) {
      return false;
    }
    buffer_.pin_resident(next);
    chain_.push_back(next);
    first_id_.push_back(chain_.size() == 1 ? 0 : (header.count > 0 ? entries(fix.guard)[0].id : last + 1));
    for (std::uint32_t i = 0; i < header.count; ++i) {
      const RootEntry entry = entries(fix.guard)[i];
      if (entry.id <= last || entry.root_page == 0) return false;
      last = entry.id;
      roots_[entry.id] = PageId{entry.root_page};
    }
    next = PageId{header.right_sibling};
  }
  return true;
}

}  // namespace rustbd::storage
