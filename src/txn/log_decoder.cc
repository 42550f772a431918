#include "rustbd/txn/log_decoder.h"

#include <fmt/format.h>

#include <numeric>

#include "rustbd/base/error.h"
#include "rustbd/txn/system_parts.h"
#include "rustbd/types/io.h"

namespace rustbd::txn {

namespace {

constexpr ColumnNumber kLayoutBytesColumn = 2;

std::string hexadecimal(ByteSpan bytes) {
  std::string out = "\\x";
  for (const std::byte b : bytes) out += fmt::format("{:02x}", static_cast<unsigned>(b));
  return out;
}

std::string_view to_text(log::EventOp op) {
  switch (op) {
    case log::EventOp::kInsert: return "INSERT";
    case log::EventOp::kUpdate: return "UPDATE";
    case log::EventOp::kDelete: return "DELETE";
    case log::EventOp::kSegment: return "SEGMENT";
    case log::EventOp::kDdl: return "DDL";
    case log::EventOp::kTruncate: return "TRUNCATE";
    case log::EventOp::kSequence: return "SEQUENCE";
    case log::EventOp::kMessage: return "MESSAGE";
    case log::EventOp::kLock: return "LOCK";
    case log::EventOp::kGlobalId: return "GID";
  }
  return "?";
}

std::string lock_text(const log::LockBody& lock) {
  static constexpr std::string_view kRowModes[] = {"none", "FOR KEY SHARE", "FOR SHARE", "FOR NO KEY UPDATE",
                                                   "FOR UPDATE"};
  switch (static_cast<LockKind>(lock.kind)) {
    case LockKind::kTable:
      if (lock.mode > static_cast<std::uint8_t>(TableLockMode::kAccessExclusive)) break;
      return fmt::format("{} on relation {} of database {}", to_text(static_cast<TableLockMode>(lock.mode)),
                         lock.a, lock.b);
    case LockKind::kRow:
      if (lock.mode >= std::size(kRowModes)) break;
      return std::string(kRowModes[lock.mode]);
    case LockKind::kAdvisory:
      return fmt::format(
          "{} advisory lock {} of class {} in database {}",
          lock.mode == static_cast<std::uint8_t>(AdvisoryMode::kShared) ? "shared" : "exclusive",
          static_cast<std::int64_t>(lock.b), lock.a >> 32, lock.a & 0xFFFFFFFFu);
  }
  return fmt::format("kind {} mode {} of {} {}", lock.kind, lock.mode, lock.a, lock.b);
}

}  // namespace

std::string_view to_text(log::BatchKind kind) {
  switch (kind) {
    case log::BatchKind::kCommit: return "COMMIT";
    case log::BatchKind::kFragment: return "FRAGMENT";
    case log::BatchKind::kCommitLarge: return "COMMIT_LARGE";
    case log::BatchKind::kAbortLarge: return "ABORT_LARGE";
    case log::BatchKind::kPrepare: return "PREPARE";
    case log::BatchKind::kCommitPrepared: return "COMMIT_PREPARED";
    case log::BatchKind::kAbortPrepared: return "ABORT_PREPARED";
    case log::BatchKind::kNonTransactional: return "NONTX";
    case log::BatchKind::kCheckpoint: return "CHECKPOINT";
    case log::BatchKind::kPad: return "PAD";
    case log::BatchKind::kConfig: return "CONFIG";
    case log::BatchKind::kPrepareLarge: return "PREPARE_LARGE";
  }
  return "?";
}

LogDecoder::LogDecoder(TransactionSystem* system) {
  if (system == nullptr) return;
  auto layouts = system->layouts();
  layouts.push_back(system->parts().layout_table);
  for (const auto& layout : layouts) formats_[layout->table] = std::make_shared<TableFormat>(layout);
}

std::shared_ptr<const storage::TableLayout> LogDecoder::layout(TableId table) const {
  const auto at = formats_.find(table);
  return at == formats_.end() ? nullptr : at->second->layout;
}

std::shared_ptr<const TableFormat> LogDecoder::layout_in(const Cell& bytes) {
  auto layout = std::make_shared<storage::TableLayout>();
  if (bytes.kind != CellKind::kValue ||
      !storage::TableLayout::deserialize(as_bytes(bytes.value.str.view()), layout.get()))
    return nullptr;
  return std::make_shared<TableFormat>(layout);
}

void LogDecoder::start_before(const log::Event& event) {
  const auto built_in = formats_.find(kLayoutTable);
  if (event.table != kLayoutTable || built_in == formats_.end()) return;
  const TableFormat& format = *built_in->second;
  Arena arena(1024);
  std::vector<ComputedEntry> computed;
  std::vector<Cell> before, after;
  std::vector<ColumnNumber> columns;
  if (event.op == log::EventOp::kUpdate) {
    if (!read_update_event(event.body, format, arena, &columns, &before, &after, &computed)) return;
  } else {
    const bool insert = event.op == log::EventOp::kInsert;
    if (!insert && event.op != log::EventOp::kDelete) return;
    if (!read_row_event(event.body, format, arena, insert ? &after : &before, &computed)) return;
    columns.resize(std::max(before.size(), after.size()));
    std::iota(columns.begin(), columns.end(), ColumnNumber{0});
  }
  const auto in = [&](const std::vector<Cell>& cells) {
    for (std::size_t i = 0; i < cells.size(); ++i)
      if (columns[i] == kLayoutBytesColumn) return layout_in(cells[i]);
    return std::shared_ptr<const TableFormat>{};
  };
  if (const auto was = in(before); was != nullptr && begun_.insert(was->layout->table).second)
    formats_[was->layout->table] = was;
  if (const auto now = in(after); now != nullptr) begun_.insert(now->layout->table);
}

std::vector<DecodedEvent::Value> LogDecoder::values(const TableFormat& format,
                                                    std::span<const ColumnNumber> columns,
                                                    std::span<const Cell> cells, Arena& arena) const {
  std::vector<DecodedEvent::Value> out;
  for (std::size_t i = 0; i < columns.size(); ++i) {
    const auto& column = format.layout->columns[columns[i]];
    if (column.dropped) continue;
    DecodedEvent::Value value{columns[i], cells[i].is_null(), {}};
    if (!value.is_null) {
      const auto datum = storage::load_cell(cells[i], format.phys[columns[i]], arena);
      types::IoContext context;
      context.arena = &arena;
      try {
        types::output_text(datum, column.type, context, value.text);
      } catch (const Error&) {  // an enum's labels, say, are in the catalog
        const bool text = types::is_variable(format.phys[columns[i]]);
        value.text = text ? hexadecimal(as_bytes(cells[i].value.str.view()))
                          : hexadecimal(as_bytes(std::string_view(reinterpret_cast<const char*>(&datum),
                                                                  types::width_of(format.phys[columns[i]]))));
      }
    }
    out.push_back(std::move(value));
  }
  return out;
}

DecodedEvent LogDecoder::decode(const log::Event& event) {
  DecodedEvent out;
  out.op = to_text(event.op);
  out.table = event.table;
  out.row = event.row;
  const auto unknown = [&] {
    out.known = false;
    out.text = hexadecimal(event.body);
    return out;
  };
  if (event.op == log::EventOp::kDdl) {
    log::DdlBody body;
    if (!log::read_ddl_body(event.body, body)) return unknown();
    out.text = body.kind == kDdlIndexEntries
                   ? fmt::format("entries of index {}, {} bytes", body.object, body.text.size())
                   : fmt::format("layout of relation {}", body.object);
    return out;
  }
  if (event.op == log::EventOp::kTruncate) {
    TableId now;
    if (!log::read_truncate_body(event.body, now)) return unknown();
    out.text = fmt::format("goes on as table {}", now.raw());
    return out;
  }
  if (event.op == log::EventOp::kSequence) {
    log::SequenceBody body;
    if (!log::read_sequence_body(event.body, body)) return unknown();
    out.text = fmt::format("value {}{}", body.value, body.called ? "" : ", not called");
    return out;
  }
  if (event.op == log::EventOp::kMessage) {
    log::MessageBody body;
    if (!log::read_message_body(event.body, body)) return unknown();
    out.text = fmt::format("{}: {}", body.prefix, hexadecimal(body.content));
    return out;
  }
  if (event.op == log::EventOp::kLock) {
    log::LockBody body;
    if (!log::read_lock_body(event, body)) return unknown();
    out.text = lock_text(body);
    return out;
  }
  if (event.op == log::EventOp::kGlobalId) {
    log::GlobalIdBody body;
    if (!log::read_global_id_body(event.body, body)) return unknown();
    out.text = fmt::format("'{}' of role {} in database {}", body.gid, body.owner, body.database);
    return out;
  }
  const auto known = formats_.find(event.table);
  if (known == formats_.end()) return unknown();
  const auto format = known->second;  // what it says may replace it
  Arena arena(1024);
  std::vector<ComputedEntry> computed;
  std::vector<Cell> before, after;
  std::vector<ColumnNumber> columns;
  if (event.op == log::EventOp::kUpdate) {
    if (!read_update_event(event.body, *format, arena, &columns, &before, &after, &computed))
      return unknown();
    out.before = values(*format, columns, before, arena);
    out.after = values(*format, columns, after, arena);
  } else if (event.op == log::EventOp::kInsert || event.op == log::EventOp::kDelete) {
    const bool insert = event.op == log::EventOp::kInsert;
    if (!read_row_event(event.body, *format, arena, &after, &computed)) return unknown();
    columns.resize(after.size());
    std::iota(columns.begin(), columns.end(), ColumnNumber{0});
    (insert ? out.after : out.before) = values(*format, columns, after, arena);
    if (!insert) after.clear();
  } else {
    return unknown();
  }
  if (event.table == kLayoutTable) {
    for (std::size_t i = 0; i < after.size(); ++i)
      if (const auto now = columns[i] == kLayoutBytesColumn ? layout_in(after[i]) : nullptr; now != nullptr)
        formats_[now->layout->table] = now;
  }
  return out;
}

}  // namespace rustbd::txn
