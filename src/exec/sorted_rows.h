// Rows with normalised keys: sorted by memcmp (query.md §10.4). Used by sorts, ordered aggregates and
// windows.
#pragma once

#include <vector>

#include "rustbd/exec/stored_rows.h"
#include "rustbd/types/compare.h"

namespace rustbd::exec {

struct SortEntry {
  std::uint64_t prefix;  // first 8 key bytes, big-endian
  const std::byte* key;  // the whole key
  std::uint32_t key_bytes;
  std::uint32_t partition_bytes;  // leading bytes that name the partition (windows, groups)
  Row row;
};
bool key_less(const SortEntry& a, const SortEntry& b);
inline bool same_key(const SortEntry& a, const SortEntry& b) {
  return a.key_bytes == b.key_bytes && (a.key_bytes == 0 || std::memcmp(a.key, b.key, a.key_bytes) == 0);
}
inline bool same_partition(const SortEntry& a, const SortEntry& b) {
  return a.partition_bytes == b.partition_bytes &&
         (a.partition_bytes == 0 || std::memcmp(a.key, b.key, a.partition_bytes) == 0);
}

class SortedRows {
 public:
  /// The first `partition_parts` of the key parts name the partition.
  SortedRows(MemoryTracker& memory, RowLayout layout, std::vector<types::KeyPart> parts,
             std::size_t partition_parts = 0)
      : memory_(&memory),
        table_(memory, std::move(layout)),
        parts_(std::move(parts)),
        partition_parts_(partition_parts),
        charge_(memory) {}
  /// Keeps the selected rows; keys[i] belongs to part i.
  void append(const Vector* columns, const Vector* keys, const Selection& selection);
  /// From now on only the first `rows` in order are kept (top-N).
  void set_bound(std::uint64_t rows) { bound_ = rows; }
  void adopt(SortedRows& other);
  void sort();
  void clear();
  [[nodiscard]] const std::vector<SortEntry>& entries() const { return entries_; }
  [[nodiscard]] const RowLayout& layout() const { return table_.layout(); }

 private:
  void cut();
  void make_key(const Vector* keys, std::uint32_t row, std::uint32_t* partition_bytes);
  MemoryTracker* memory_;
  RowTable table_;
  std::vector<types::KeyPart> parts_;
  std::size_t partition_parts_;
  std::vector<SortEntry> entries_;
  std::vector<Arena> adopted_keys_;
  std::size_t adopted_key_bytes_ = 0;
  Arena keys_{1024};
  Bytes scratch_;
  std::uint64_t bound_ = UINT64_MAX;
  Bytes boundary_;  // top-N: keys at or after it don't count; empty: none yet
  Charge charge_;
};

}  // namespace rustbd::exec
