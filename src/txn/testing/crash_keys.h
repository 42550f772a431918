// Index keys that the crash simulation's clients compute, as the executor does for expressions and
// predicates: the expression is 3 * value mod 97 (null of null), the predicate says that id is no multiple
// of 3.
#pragma once

#include <optional>
#include <vector>

#include "rustbd/base/arena.h"
#include "rustbd/txn/tables/index.h"
#include "rustbd/txn/tables/table.h"
#include "rustbd/txn/testing/crash_model.h"

namespace rustbd::txn::testing {

[[nodiscard]] bool is_computed(const storage::IndexLayout& index);
/// Whether the row has an entry.
[[nodiscard]] bool is_member(const storage::IndexLayout& index, const Image& image);
/// The rows that have one.
[[nodiscard]] Rows members(const storage::IndexLayout& index, const Rows& rows);
/// The value of a number index's only part.
[[nodiscard]] std::optional<std::int64_t> key_of(const storage::IndexLayout& index, const Image& image);

/// One part: the expression, or that column.
[[nodiscard]] storage::IndexLayout computed_index(IndexId id, ColumnNumber column, bool partial, bool unique);

/// What one write gives for the computed indexes of its table. Outlives the write.
class ComputedKeys {
 public:
  /// nullptr: there is no such image.
  ComputedKeys(const storage::TableLayout& layout, const Image* before, const Image* after);
  [[nodiscard]] WriteExtras extras(DeferredUnique* deferred = nullptr) const;
  [[nodiscard]] bool any() const { return !keys_.empty(); }

 private:
  Arena arena_{256};
  types::Vector before_, after_;
  std::vector<ComputedKey> keys_;
};

/// For build_index() of a computed index.
[[nodiscard]] ComputeKeys compute_keys(const storage::IndexLayout& index);
/// For check(): a KeysOf.
[[nodiscard]] inline std::optional<ComputeKeys> computed_keys_of(const storage::IndexLayout& index) {
  return compute_keys(index);
}

}  // namespace rustbd::txn::testing
