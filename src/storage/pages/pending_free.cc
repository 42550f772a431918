#include "rustbd/storage/pages/pending_free.h"

namespace rustbd::storage {

void PendingFree::add(PageId first_page, PendingKind kind) {
  const std::lock_guard lock(mutex_);
  entries_[first_page] = kind;
}

void PendingFree::remove(PageId first_page) {
  const std::lock_guard lock(mutex_);
  entries_.erase(first_page);
}

std::vector<PendingEntry> PendingFree::list() const {
  const std::lock_guard lock(mutex_);
  std::vector<PendingEntry> out;
  out.reserve(entries_.size());
  for (const auto& [page, kind] : entries_) out.push_back({page, kind});
  return out;
}

std::size_t PendingFree::size() const {
  const std::lock_guard lock(mutex_);
  return entries_.size();
}

}  // namespace rustbd::storage
