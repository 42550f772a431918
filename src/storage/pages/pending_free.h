// Pages that are no part of any tree but not yet free: given up, of a dropped tree, or under construction. A
// checkpoint carries the list (FREE records, storage.md §6.3), so that a crash leaks nothing.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <vector>

#include "rustbd/base/ids.h"

namespace rustbd::storage {

enum class PendingKind : std::uint8_t {
  kPage = 1,   // this page alone; the page layer frees it after a restart
  kChain = 2,  // this page and all that follow by right_sibling (overflow chain); freed by the page layer too
  kTableTree = 3,  // root of a table's tree: whoever dropped it frees it child before parent, then the root
  kIndexTree = 4,
};

struct PendingEntry {
  PageId first_page;
  PendingKind kind;
};

/// Changed only inside an action, so that a checkpoint sees it together with the pages. Threads: any.
class PendingFree {
 public:
  void add(PageId first_page, PendingKind kind);
  void remove(PageId first_page);  // it is linked now, or freed
  [[nodiscard]] std::vector<PendingEntry> list() const;
  [[nodiscard]] std::size_t size() const;

 private:
  mutable std::mutex mutex_;
  std::map<PageId, PendingKind> entries_;  // mutex_
};

}  // namespace rustbd::storage
