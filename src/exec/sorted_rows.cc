#include "rustbd/exec/sorted_rows.h"

#include <algorithm>

namespace rustbd::exec {

bool key_less(const SortEntry& a, const SortEntry& b) {
  if (a.prefix != b.prefix) return a.prefix < b.prefix;
  const auto n = std::min(a.key_bytes, b.key_bytes);
  const int c = n == 0 ? 0 : std::memcmp(a.key, b.key, n);
  return c != 0 ? c < 0 : a.key_bytes < b.key_bytes;
}

namespace {
std::uint64_t prefix_of(const Bytes& key) {
  std::uint64_t prefix = 0;
  if (!key.empty()) std::memcpy(&prefix, key.data(), std::min<std::size_t>(8, key.size()));
  return __builtin_bswap64(prefix);
}
}  // namespace

void SortedRows::make_key(const Vector* keys, std::uint32_t row, std::uint32_t* partition_bytes) {
  scratch_.clear();
  *partition_bytes = 0;
  for (std::size_t i = 0; i < parts_.size(); ++i) {
    const bool valid = keys[i].is_valid(row);
    types::append_key(valid ? keys[i].datum(row) : Datum{}, !valid, parts_[i], scratch_);
    if (i + 1 == partition_parts_) *partition_bytes = static_cast<std::uint32_t>(scratch_.size());
  }
}

void SortedRows::append(const Vector* columns, const Vector* keys, const Selection& selection) {
  std::uint16_t kept[types::kVectorSize];
  std::uint32_t n = 0;
  const auto first = entries_.size();
  for (std::uint32_t i = 0; i < selection.count; ++i) {
    const auto row = selection[i];
    SortEntry entry{};
    make_key(keys, row, &entry.partition_bytes);
    if (!boundary_.empty()) {
      const auto bytes = std::min(scratch_.size(), boundary_.size());
      const int c = bytes == 0 ? 0 : std::memcmp(scratch_.data(), boundary_.data(), bytes);
      if (c > 0 || (c == 0 && scratch_.size() >= boundary_.size())) continue;
    }
    entry.prefix = prefix_of(scratch_);
    entry.key_bytes = static_cast<std::uint32_t>(scratch_.size());
    entry.key = reinterpret_cast<const std::byte*>(keys_.copy(as_chars(scratch_)).data());
    entries_.push_back(entry);
    kept[n++] = static_cast<std::uint16_t>(row);
  }
  if (n == 0) return;
  Row rows[types::kVectorSize];
  table_.append(columns, Selection{kept, n}, rows);
  for (std::uint32_t i = 0; i < n; ++i) entries_[first + i].row = rows[i];
  charge_.set(entries_.capacity() * sizeof(SortEntry) + keys_.bytes_reserved() + adopted_key_bytes_);
  if (bound_ != UINT64_MAX && entries_.size() > std::max<std::uint64_t>(2 * bound_, bound_ + 4096)) cut();
}

/// Keeps the `bound_` first rows and copies them into fresh memory.
void SortedRows::cut() {
  if (bound_ == 0) return clear();
  std::nth_element(entries_.begin(), entries_.begin() + static_cast<std::ptrdiff_t>(bound_ - 1),
                   entries_.end(), key_less);
  entries_.resize(bound_);
  const SortEntry& last = entries_[bound_ - 1];
  boundary_.assign(last.key, last.key + last.key_bytes);
  RowTable kept(*memory_, table_.layout());
  Arena keys{1024};
  for (auto& entry : entries_) {
    entry.row = kept.append_copy(entry.row);
    entry.key = reinterpret_cast<const std::byte*>(keys.copy(as_chars({entry.key, entry.key_bytes})).data());
  }
  table_.clear();
  table_.adopt(kept);
  keys_ = std::move(keys);
  adopted_keys_.clear();
  adopted_key_bytes_ = 0;
}

void SortedRows::adopt(SortedRows& other) {
  entries_.insert(entries_.end(), other.entries_.begin(), other.entries_.end());
  table_.adopt(other.table_);
  for (auto& arena : other.adopted_keys_) adopted_keys_.push_back(std::move(arena));
  adopted_key_bytes_ += other.adopted_key_bytes_ + other.keys_.bytes_reserved();
  adopted_keys_.push_back(std::move(other.keys_));
  other.clear();
  charge_.set(entries_.capacity() * sizeof(SortEntry) + keys_.bytes_reserved() + adopted_key_bytes_);
}

void SortedRows::sort() {
  std::sort(entries_.begin(), entries_.end(), key_less);
  if (entries_.size() > bound_) entries_.resize(bound_);
}

void SortedRows::clear() {
  table_.clear();
  entries_ = {};
  keys_ = Arena{1024};
  adopted_keys_.clear();
  adopted_key_bytes_ = 0;
  boundary_.clear();
  charge_.set(0);
}

}  // namespace rustbd::exec
