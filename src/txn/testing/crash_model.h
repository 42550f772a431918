// What a database should hold: every row's versions by commit timestamp, every relation's layouts. The crash
// simulation compares what it reads with the state at a timestamp.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "rustbd/storage/rows/table_layout.h"

namespace rustbd::txn::testing {

using LayoutPtr = std::shared_ptr<const storage::TableLayout>;

/// Columns: id, value, note, then int8 columns that ALTER TABLE added.
struct Image {
  std::int64_t id = 0;
  std::optional<std::int64_t> value;
  std::optional<std::string> note;
  std::vector<std::optional<std::int64_t>> extra;
  bool operator==(const Image&) const = default;
};

inline constexpr std::size_t kBaseColumns = 3;

/// Value of an added column in rows that were written before it came.
inline std::optional<std::int64_t> missing_value(std::size_t column) {
  if (column % 2 == 0) return {};
  return static_cast<std::int64_t>(column) * 11;
}

inline Image padded(Image image, const storage::TableLayout& layout) {
  while (image.extra.size() + kBaseColumns < layout.columns.size()) {
    image.extra.push_back(missing_value(kBaseColumns + image.extra.size()));
  }
  return image;
}

/// One change of a transaction.
struct Effect {
  bool is_layout = false;
  TableId table;  // of a row
  std::uint64_t row = 0;
  std::optional<Image> image;  // none: the row was deleted
  Oid relation = 0;            // of a layout
  LayoutPtr layout;            // nullptr: dropped
};

using Rows = std::map<std::uint64_t, Image>;

/// Threads: one.
class CrashModel {
 public:
  void apply(std::uint64_t ts, const std::vector<Effect>& effects) {
    newest_ = std::max(newest_, ts);
    for (const Effect& e : effects) {
      if (e.is_layout) layouts_[e.relation].push_back({ts, e.layout});
      else rows_[e.table][e.row].push_back({ts, e.image});
    }
  }
  void acknowledge(std::uint64_t ts) { acknowledged_ = std::max(acknowledged_, ts); }
  [[nodiscard]] std::uint64_t acknowledged() const { return acknowledged_; }
  /// A client was sent a result that tells of the commit at `ts`.
  void show(std::uint64_t ts) { shown_ = std::max(shown_, ts); }
  [[nodiscard]] std::uint64_t shown() const { return shown_; }
  /// The newest commit that changed a row of the table, of those that a snapshot sees. 0: none.
  [[nodiscard]] std::uint64_t newest_change(TableId table, std::uint64_t snapshot) const {
    std::uint64_t newest = 0;
    const auto found = rows_.find(table);
    if (found == rows_.end()) return newest;
    for (const auto& [row, versions] : found->second)
      for (const auto& [ts, image] : versions)
        if (ts <= snapshot) newest = std::max(newest, ts);
    return newest;
  }
  /// The commit since which a relation's layout names this index; ~0: it never did.
  [[nodiscard]] std::uint64_t index_since(Oid relation, IndexId index) const {
    const auto found = layouts_.find(relation);
    if (found == layouts_.end()) return ~std::uint64_t{0};
    for (const auto& [ts, layout] : found->second)
      if (layout != nullptr && layout->find_index(index) != nullptr) return ts;
    return ~std::uint64_t{0};
  }
  [[nodiscard]] std::uint64_t newest() const { return newest_; }

  /// Everything after `ts` has not survived.
  void cut_after(std::uint64_t ts) {
    const auto cut = [ts](auto& versions) {
      while (!versions.empty() && versions.back().first > ts) versions.pop_back();
      return versions.empty();
    };
    const auto cut_map = [&](auto& map) {
      for (auto at_entry = map.begin(); at_entry != map.end();) {
        if (cut(at_entry->second)) at_entry = map.erase(at_entry);
        else ++at_entry;
      }
    };
    cut_map(layouts_);
    for (auto& [table, rows] : rows_) cut_map(rows);
    newest_ = std::min(newest_, ts);
  }

  [[nodiscard]] Rows rows_at(TableId table, std::uint64_t ts) const {
    Rows out;
    const auto found = rows_.find(table);
    if (found == rows_.end()) return out;
    for (const auto& [row, versions] : found->second)
      if (const auto* image = at(versions, ts); image != nullptr && *image) out.emplace(row, **image);
    return out;
  }
  /// The newest committed image; nullptr: none.
  [[nodiscard]] const Image* newest_row(TableId table, std::uint64_t row) const {
    const auto found = rows_.find(table);
    if (found == rows_.end()) return nullptr;
    const auto versions = found->second.find(row);
    if (versions == found->second.end() || !versions->second.back().second) return nullptr;
    return &*versions->second.back().second;
  }
  /// Some committed row at or after `from` (wrapping round); 0: there is none.
  [[nodiscard]] std::uint64_t some_row(TableId table, std::uint64_t random) const {
    const auto found = rows_.find(table);
    if (found == rows_.end() || found->second.empty()) return 0;
    const auto& rows = found->second;
    auto at_row = rows.lower_bound(random % (rows.rbegin()->first + 1));
    for (int tries = 0; tries < 32; ++tries) {
      if (at_row == rows.end()) at_row = rows.begin();
      if (at_row->second.back().second) return at_row->first;
      ++at_row;
    }
    return 0;
  }
  [[nodiscard]] std::map<Oid, LayoutPtr> layouts_at(std::uint64_t ts) const {
    std::map<Oid, LayoutPtr> out;
    for (const auto& [relation, versions] : layouts_)
      if (const auto* layout = at(versions, ts); layout != nullptr && *layout != nullptr)
        out.emplace(relation, *layout);
    return out;
  }
  /// The highest row id that was ever committed in the table (I17).
  [[nodiscard]] std::uint64_t highest_row(TableId table) const {
    const auto found = rows_.find(table);
    return found == rows_.end() || found->second.empty() ? 0 : found->second.rbegin()->first;
  }

 private:
  template <class Value>
  using Versions = std::vector<std::pair<std::uint64_t, Value>>;
  template <class Value>
  static const Value* at(const Versions<Value>& versions, std::uint64_t ts) {
    const Value* found = nullptr;
    for (const auto& [when, value] : versions) {
      if (when > ts) break;
      found = &value;
    }
    return found;
  }

  std::map<TableId, std::map<std::uint64_t, Versions<std::optional<Image>>>> rows_;
  std::map<Oid, Versions<LayoutPtr>> layouts_;
  std::uint64_t acknowledged_ = 0, shown_ = 0, newest_ = 0;
};

}  // namespace rustbd::txn::testing
