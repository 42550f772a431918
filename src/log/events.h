// Events inside a batch: `u8 op, varint table_id, zigzag varint rowid delta, varint body length, body`.
//
// The delta counts from the previous rowid of the same table in the same batch (0 before the first). The
// body's length makes events skippable: replay can route them by (table, rowid) without knowing any table's
// columns. Bodies: INSERT and DELETE: a row image. UPDATE: column map, before image and after image of the
// changed columns. DDL: u32 object, u8 kind, text. TRUNCATE: varint new table id (the event's id is the old
// one). SEQ: zigzag varint value, u8 called (table_id is the sequence, rowid 0). MESSAGE: varint-length
// prefix, bytes. LOCK (only of prepared transactions): u8 kind, u8 mode and, of locks that are not on the
// event's row, varint a, varint b. GID: varint-length global id, varint database, varint owner. A row image:
// null map (bit i: column i is NULL; in UPDATE one bit per changed column), then the non-null values.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string_view>
#include <vector>

#include "rustbd/base/bytes.h"
#include "rustbd/base/ids.h"

namespace rustbd::log {

enum class EventOp : std::uint8_t {
  kInsert = 1,
  kUpdate = 2,
  kDelete = 3,
  kSegment = 4,
  kDdl = 5,
  kTruncate = 6,
  kSequence = 7,
  kMessage = 8,
  kLock = 9,      // that a prepared transaction holds
  kGlobalId = 10  // of a prepared transaction: the last event of its PREPARE, the only one of its decision
};

struct Event {
  EventOp op{};
  TableId table;
  RowId row;
  ByteSpan body;  // borrowed from the batch
};

/// How a column's value is written. kInteger: zigzag varint (stored forms I16 I32 I64, and U32); kFixed:
/// `width` bytes; kVariable: varint length, bytes.
enum class ValueForm : std::uint8_t { kInteger, kFixed, kVariable };
struct ColumnForm {
  ValueForm form = ValueForm::kVariable;
  std::uint8_t width = 0;  // of kFixed
};
/// One value on its way in or out. kInteger uses `integer`, the others `bytes` (borrowed).
struct ColumnValue {
  bool is_null = true;
  std::int64_t integer = 0;
  ByteSpan bytes;
};

/// Row images. `forms` and `values` have the same length; the decoder gives false for malformed bytes.
void write_row_image(ByteWriter& out, std::span<const ColumnForm> forms, std::span<const ColumnValue> values);
bool read_row_image(ByteReader& in, std::span<const ColumnForm> forms, std::vector<ColumnValue>& values);

/// UPDATE body. `changed` holds indexes into the table's columns, ascending; before and after have one value
/// for each.
void write_update_body(ByteWriter& out, std::span<const ColumnForm> table_forms,
                       std::span<const std::uint16_t> changed, std::span<const ColumnValue> before,
                       std::span<const ColumnValue> after);
bool read_update_body(ByteReader& in, std::span<const ColumnForm> table_forms,
                      std::vector<std::uint16_t>& changed, std::vector<ColumnValue>& before,
                      std::vector<ColumnValue>& after);

struct DdlBody {
  std::uint32_t object = 0;
  std::uint8_t kind = 0;
  std::string_view text;
};
struct SequenceBody {
  std::int64_t value = 0;
  bool called = false;
};
struct MessageBody {
  std::string_view prefix;
  ByteSpan content;
};
/// What is locked: `kind`, `mode`, a and b are txn's (LockKey); of a row lock a and b are the event's table
/// and row.
struct LockBody {
  std::uint8_t kind = 0, mode = 0;
  std::uint64_t a = 0, b = 0;
};
inline constexpr std::uint8_t kRowLockKind = 1;
struct GlobalIdBody {
  std::string_view gid;
  std::uint32_t database = 0, owner = 0;
};
bool read_ddl_body(ByteSpan body, DdlBody& out);
bool read_truncate_body(ByteSpan body, TableId& new_table);
bool read_sequence_body(ByteSpan body, SequenceBody& out);
bool read_message_body(ByteSpan body, MessageBody& out);
bool read_lock_body(const Event& event, LockBody& out);
bool read_global_id_body(ByteSpan body, GlobalIdBody& out);

/// A transaction's events before commit (its log buffer). Thread: the transaction's own.
class EventWriter {
 public:
  EventWriter() = default;
  EventWriter(const EventWriter&) = delete;
  EventWriter& operator=(const EventWriter&) = delete;

  /// For rollback to a savepoint.
  struct Position {
    std::size_t bytes = 0;
    std::uint32_t events = 0;
  };

  /// Begins an event; the body is what is written to the returned writer until end_event().
  ByteWriter& begin_event(EventOp op, TableId table, RowId row);
  void end_event();
  void add(EventOp op, TableId table, RowId row, ByteSpan body);
  void add_ddl(std::uint32_t object, std::uint8_t kind, std::string_view text);
  void add_truncate(TableId old_table, TableId new_table);
  void add_sequence(TableId sequence, std::int64_t value, bool called);
  void add_message(std::string_view prefix, ByteSpan content);
  void add_lock(const LockBody& lock);
  void add_global_id(const GlobalIdBody& id);

  [[nodiscard]] ByteSpan bytes() const { return bytes_; }
  [[nodiscard]] std::uint32_t count() const { return count_; }
  [[nodiscard]] bool empty() const { return count_ == 0; }
  [[nodiscard]] Position position() const { return {bytes_.size(), count_}; }
  /// Cuts back and restores the previous rowid of each table. O(bytes kept).
  void cut_to(Position position);
  /// Begins a new batch; the memory is kept.
  void clear();

 private:
  Bytes bytes_;
  Bytes body_;
  ByteWriter body_writer_{body_};
  EventOp op_{};
  TableId table_;
  RowId row_;
  std::uint32_t count_ = 0;
  std::vector<std::pair<TableId, RowId>> previous_;  // few tables a transaction: a linear search is fastest
  RowId& previous_row(TableId table);
};

/// Walks the events of one batch. Malformed bytes end it with ok() false; it never reads over the end.
class EventReader {
 public:
  explicit EventReader(ByteSpan events) : in_(events) {}
  bool next(Event& out);
  [[nodiscard]] bool ok() const { return ok_; }

 private:
  ByteReader in_;
  bool ok_ = true;
  std::vector<std::pair<TableId, RowId>> previous_;
};

}  // namespace rustbd::log
