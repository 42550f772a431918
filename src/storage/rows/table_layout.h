// TableLayout: all that the layers under the catalog know of a table (storage.md §0 item 14). Ids, never
// names.
#pragma once

#include <cstdint>
#include <vector>

#include "rustbd/base/bytes.h"
#include "rustbd/base/ids.h"
#include "rustbd/types/compare.h"
#include "rustbd/types/type.h"

namespace rustbd::storage {

using ColumnNumber =
    std::uint16_t;  // position in TableLayout::columns; never reused: dropped columns stay, marked

struct ColumnLayout {
  types::TypeRef type;
  bool nullable = true;
  bool dropped = false;
  /// Value of rows written before the column was added (ALTER TABLE ... ADD COLUMN ... DEFAULT): stored form
  /// (types::append_stored for variable types, the bytes of the value for fixed ones).
  bool has_missing_value = false;
  Bytes missing_value;
  std::uint32_t since_version = 0;  // schema_version that brought it; older leaves don't hold it
  /// Leaves of this schema_version and later have a null bitmap for the column. 0 (always) is right for every
  /// column; a column that is NOT NULL from its first version may say kNoBitmap, and DROP NOT NULL then sets
  /// the version it brings.
  static constexpr std::uint32_t kNoBitmap = ~0u;
  std::uint32_t bitmap_since = 0;
};

struct IndexLayout {
  IndexId id;
  bool unique = false;
  bool nulls_not_distinct = false;
  /// Deferrable constraints check at the end of the statement or at commit.
  bool deferrable = false;
  struct Part {
    ColumnNumber column = 0;
    types::KeyPart key;
  };
  /// Key columns in order. Expression and partial indexes keep their computed columns and predicate in the
  /// catalog: the writer passes the computed key (`kExpressionColumn`) and says whether the row belongs.
  static constexpr ColumnNumber kExpressionColumn = 0xFFFF;
  std::vector<Part> parts;
  std::vector<ColumnNumber> included;
  bool partial = false;
  [[nodiscard]] bool has_expressions() const {
    for (const auto& p : parts)
      if (p.column == kExpressionColumn) return true;
    return false;
  }
};

enum class LogBefore : std::uint8_t { kChanged, kFull, kNone };

struct TableLayout {
  TableId table;
  Oid relation = 0;                  // the SQL object
  Oid database = 0;                  // 0: shared by all databases
  std::uint32_t schema_version = 1;  // raised by every change of columns
  std::vector<ColumnLayout> columns;
  std::vector<IndexLayout> indexes;  // ascending by id
  LogBefore log_before = LogBefore::kChanged;
  bool is_sequence = false;

  [[nodiscard]] const IndexLayout* find_index(IndexId id) const {
    for (const auto& i : indexes)
      if (i.id == id) return &i;
    return nullptr;
  }
  /// The binary form of DDL events and layout rows; versioned.
  void serialize(Bytes& out) const;
  /// False if the bytes are no layout.
  static bool deserialize(ByteSpan in, TableLayout* out);
};

}  // namespace rustbd::storage
