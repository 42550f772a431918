// LogDecoder: events of the log as people read them (`rustbd log dump`).
#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "rustbd/log/events.h"
#include "rustbd/log/format.h"
#include "rustbd/txn/row_codec.h"

namespace rustbd::txn {

/// What one event says. Values are text as SELECT would show it; in hexadecimal where the type's output needs
/// the catalog.
struct DecodedEvent {
  struct Value {
    ColumnNumber column = 0;
    bool is_null = false;
    std::string text;
  };
  std::string_view op;
  TableId table;
  RowId row;
  std::vector<Value> before, after;
  std::string text;   // of events without a row
  bool known = true;  // false: the layout in force is not known, `text` is the body in hexadecimal
};

/// Follows the layouts: rows of the built-in table of layouts that it decodes are in force for what comes
/// after. One thread.
class LogDecoder {
 public:
  /// The layouts of `system` are those in force where reading begins. nullptr: none is known.
  explicit LogDecoder(TransactionSystem* system);
  DecodedEvent decode(const log::Event& event);
  /// Reading begins before `event`: what its layout was then is in force. Events come in the log's order.
  void start_before(const log::Event& event);
  /// nullptr: not known (yet).
  [[nodiscard]] std::shared_ptr<const storage::TableLayout> layout(TableId table) const;

 private:
  static std::shared_ptr<const TableFormat> layout_in(const Cell& bytes);
  std::vector<DecodedEvent::Value> values(const TableFormat& format, std::span<const ColumnNumber> columns,
                                          std::span<const Cell> cells, Arena& arena) const;
  std::unordered_map<TableId, std::shared_ptr<const TableFormat>> formats_;
  std::unordered_set<TableId> begun_;  // of start_before(): what the first event of a table said counts
};

std::string_view to_text(log::BatchKind kind);

}  // namespace rustbd::txn
