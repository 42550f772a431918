// RootMap: the root page of each table and index tree, kept in the catalog root page (id 1, kind 10) and the
// pages that follow it by right_sibling (storage.md §0 item 15). Physical: changed by actions, carried by
// checkpoints, never logged.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <shared_mutex>
#include <vector>

#include "rustbd/base/ids.h"
#include "rustbd/io/wait.h"
#include "rustbd/storage/pages/page.h"

namespace rustbd::storage {

class BufferManager;

/// As stored: sorted by id through the chain. Catalog root page: header, then header.count of these.
struct RootEntry {
  std::uint32_t id;  // table or index id
  std::uint32_t reserved;
  std::uint64_t root_page;
};
static_assert(sizeof(RootEntry) == 16);
inline constexpr std::uint32_t kRootEntriesMax = (kPageBytes - kPageHeaderBytes) / sizeof(RootEntry);  // 1017

enum class RootStatus : std::uint8_t {
  kOk,
  kRetry,    // nothing changed: release all, leave the gate, await `wait` (may be empty), restart
  kNoSpace,  // 53100
};
struct [[nodiscard]] RootResult {
  RootStatus status = RootStatus::kOk;
  io::WaitToken wait;
  explicit operator bool() const { return status == RootStatus::kOk; }
};

/// Threads: get() any; try_set and try_erase any, inside the gate, after all other pages of the action are
/// latched and marked dirty (the catalog root pages come last in the latch order), before its first changed
/// byte. The pages of the map stay in memory. A root page id never changes while its id exists.
class RootMap {
 public:
  explicit RootMap(BufferManager& buffer) : buffer_(buffer) {}

  /// None if the id has no root. Callers keep the answer; it does not change.
  [[nodiscard]] PageId get(std::uint32_t id) const;
  [[nodiscard]] RootResult try_set(std::uint32_t id, PageId root);
  [[nodiscard]] RootResult try_erase(std::uint32_t id);
  [[nodiscard]] std::vector<RootEntry> list() const;

  /// At open and creation only. False: the chain is damaged.
  bool load();
  void create();

 private:
  struct Place {
    std::size_t chain_index;
    std::uint32_t slot;
    bool present;
  };
  RootResult split(std::size_t chain_index);
  [[nodiscard]] std::size_t page_for(std::uint32_t id) const;

  BufferManager& buffer_;
  mutable std::shared_mutex mutex_;  // protects the following
  std::map<std::uint32_t, PageId> roots_;
  std::vector<PageId> chain_;            // pages in order
  std::vector<std::uint32_t> first_id_;  // lowest id that belongs to the page; [0] = 0
};

}  // namespace rustbd::storage
