#include "rustbd/log/events.h"

#include "rustbd/base/assert.h"

namespace rustbd::log {

namespace {

void write_null_map(ByteWriter& out, std::span<const ColumnValue> values) {
  for (std::size_t i = 0; i < values.size(); i += 8) {
    std::uint8_t bits = 0;
    for (std::size_t k = i; k < values.size() && k < i + 8; ++k)
      bits |= static_cast<std::uint8_t>(values[k].is_null) << (k - i);
    out.fixed(bits);
  }
}
bool bit_of(ByteSpan map, std::size_t i) {
  return (static_cast<std::uint8_t>(map[i / 8]) >> (i % 8) & 1) != 0;
}

void write_value(ByteWriter& out, ColumnForm form, const ColumnValue& value) {
  switch (form.form) {
    case ValueForm::kInteger: out.signed_varint(value.integer); break;
    case ValueForm::kFixed:
      RUSTBD_ASSERT(value.bytes.size() == form.width, "a fixed value has its column's width");
      out.raw(value.bytes);
      break;
    case ValueForm::kVariable:
      out.varint(value.bytes.size());
      out.raw(value.bytes);
      break;
  }
}
ColumnValue read_value(ByteReader& in, ColumnForm form) {
  ColumnValue value;
  value.is_null = false;
  switch (form.form) {
    case ValueForm::kInteger: value.integer = in.signed_varint(); break;
    case ValueForm::kFixed: value.bytes = in.raw(form.width); break;
    case ValueForm::kVariable: value.bytes = in.raw(in.varint()); break;
  }
  return value;
}

// `form_of(i)` is the form of value i.
template <class FormOf>
void write_values(ByteWriter& out, std::span<const ColumnValue> values, FormOf form_of) {
  write_null_map(out, values);
  for (std::size_t i = 0; i < values.size(); ++i)
    if (!values[i].is_null) write_value(out, form_of(i), values[i]);
}
template <class FormOf>
bool read_values(ByteReader& in, std::size_t count, std::vector<ColumnValue>& values, FormOf form_of) {
  const ByteSpan nulls = in.raw((count + 7) / 8);
  if (!in.ok()) return false;
  values.clear();
  values.reserve(count);
  for (std::size_t i = 0; i < count; ++i)
    values.push_back(bit_of(nulls, i) ? ColumnValue{} : read_value(in, form_of(i)));
  return in.ok();
}

RowId& previous_of(std::vector<std::pair<TableId, RowId>>& all, TableId table) {
  for (auto& [id, row] : all)
    if (id == table) return row;
  return all.emplace_back(table, RowId{}).second;
}

}  // namespace

void write_row_image(ByteWriter& out, std::span<const ColumnForm> forms,
                     std::span<const ColumnValue> values) {
  RUSTBD_ASSERT(forms.size() == values.size());
  write_values(out, values, [&](std::size_t i) { return forms[i]; });
}
bool read_row_image(ByteReader& in, std::span<const ColumnForm> forms, std::vector<ColumnValue>& values) {
  return read_values(in, forms.size(), values, [&](std::size_t i) { return forms[i]; });
}

void write_update_body(ByteWriter& out, std::span<const ColumnForm> table_forms,
                       std::span<const std::uint16_t> changed, std::span<const ColumnValue> before,
                       std::span<const ColumnValue> after) {
  RUSTBD_ASSERT(changed.size() == before.size() && changed.size() == after.size());
  std::size_t at = 0;
  for (std::size_t i = 0; i < table_forms.size(); i += 8) {
    std::uint8_t bits = 0;
    for (; at < changed.size() && changed[at] < i + 8; ++at)
      bits |= static_cast<std::uint8_t>(1u << (changed[at] - i));
    out.fixed(bits);
  }
  RUSTBD_ASSERT(at == changed.size(), "changed columns are ascending and exist");
  const auto form_of = [&](std::size_t i) { return table_forms[changed[i]]; };
  write_values(out, before, form_of);
  write_values(out, after, form_of);
}
bool read_update_body(ByteReader& in, std::span<const ColumnForm> table_forms,
                      std::vector<std::uint16_t>& changed, std::vector<ColumnValue>& before,
                      std::vector<ColumnValue>& after) {
  const ByteSpan map = in.raw((table_forms.size() + 7) / 8);
  if (!in.ok()) return false;
  changed.clear();
  for (std::size_t i = 0; i < map.size() * 8; ++i) {
    if (!bit_of(map, i)) continue;
    if (i >= table_forms.size()) return false;
    changed.push_back(static_cast<std::uint16_t>(i));
  }
  const auto form_of = [&](std::size_t i) { return table_forms[changed[i]]; };
  return read_values(in, changed.size(), before, form_of) && read_values(in, changed.size(), after, form_of);
}

bool read_ddl_body(ByteSpan body, DdlBody& out) {
  ByteReader in{body};
  out.object = in.fixed<std::uint32_t>();
  out.kind = in.fixed<std::uint8_t>();
  out.text = in.text();
  return in.ok();
}
bool read_truncate_body(ByteSpan body, TableId& new_table) {
  ByteReader in{body};
  new_table = TableId{static_cast<std::uint32_t>(in.varint())};
  return in.ok();
}
bool read_sequence_body(ByteSpan body, SequenceBody& out) {
  ByteReader in{body};
  out.value = in.signed_varint();
  out.called = in.fixed<std::uint8_t>() != 0;
  return in.ok();
}
bool read_message_body(ByteSpan body, MessageBody& out) {
  ByteReader in{body};
  out.prefix = in.text();
  out.content = in.raw(in.remaining());
  return in.ok();
}

bool read_lock_body(const Event& event, LockBody& out) {
  ByteReader in{event.body};
  out.kind = in.fixed<std::uint8_t>();
  out.mode = in.fixed<std::uint8_t>();
  const bool row = out.kind == kRowLockKind;
  out.a = row ? event.table.raw() : in.varint();
  out.b = row ? event.row.raw() : in.varint();
  return in.ok() && in.at_end();
}
bool read_global_id_body(ByteSpan body, GlobalIdBody& out) {
  ByteReader in{body};
  out.gid = in.text();
  out.database = static_cast<std::uint32_t>(in.varint());
  out.owner = static_cast<std::uint32_t>(in.varint());
  return in.ok() && in.at_end();
}

RowId& EventWriter::previous_row(TableId table) { return previous_of(previous_, table); }

namespace {
constexpr std::size_t kFirstBytes = 256;  // of a buffer: a few rows go in without growing byte by byte
}  // namespace

ByteWriter& EventWriter::begin_event(EventOp op, TableId table, RowId row) {
  op_ = op;
  table_ = table;
  row_ = row;
  body_.clear();
  if (body_.capacity() == 0) body_.reserve(kFirstBytes);
  return body_writer_;
}
void EventWriter::end_event() { add(op_, table_, row_, body_); }

void EventWriter::add(EventOp op, TableId table, RowId row, ByteSpan body) {
  if (bytes_.capacity() == 0) bytes_.reserve(kFirstBytes);
  ByteWriter out{bytes_};
  RowId& previous = previous_row(table);
  out.fixed(op);
  out.varint(table.raw());
  out.signed_varint(static_cast<std::int64_t>(row.raw() - previous.raw()));
  out.varint(body.size());
  out.raw(body);
  previous = row;
  ++count_;
}

void EventWriter::add_ddl(std::uint32_t object, std::uint8_t kind, std::string_view text) {
  ByteWriter& out = begin_event(EventOp::kDdl, TableId{}, RowId{});
  out.fixed(object);
  out.fixed(kind);
  out.text(text);
  end_event();
}
void EventWriter::add_truncate(TableId old_table, TableId new_table) {
  begin_event(EventOp::kTruncate, old_table, RowId{}).varint(new_table.raw());
  end_event();
}
void EventWriter::add_sequence(TableId sequence, std::int64_t value, bool called) {
  ByteWriter& out = begin_event(EventOp::kSequence, sequence, RowId{});
  out.signed_varint(value);
  out.fixed(static_cast<std::uint8_t>(called));
  end_event();
}
void EventWriter::add_message(std::string_view prefix, ByteSpan content) {
  ByteWriter& out = begin_event(EventOp::kMessage, TableId{}, RowId{});
  out.text(prefix);
  out.raw(content);
  end_event();
}

void EventWriter::add_lock(const LockBody& lock) {
  const bool row = lock.kind == kRowLockKind;
  ByteWriter& out = begin_event(EventOp::kLock, TableId{row ? static_cast<std::uint32_t>(lock.a) : 0},
                                RowId{row ? lock.b : 0});
  out.fixed(lock.kind);
  out.fixed(lock.mode);
  if (!row) {
    out.varint(lock.a);
    out.varint(lock.b);
  }
  end_event();
}
void EventWriter::add_global_id(const GlobalIdBody& id) {
  ByteWriter& out = begin_event(EventOp::kGlobalId, TableId{}, RowId{});
  out.text(id.gid);
  out.varint(id.database);
  out.varint(id.owner);
  end_event();
}

void EventWriter::cut_to(Position position) {
  RUSTBD_ASSERT(position.bytes <= bytes_.size() && position.events <= count_);
  bytes_.resize(position.bytes);
  count_ = position.events;
  previous_.clear();
  EventReader reader{bytes_};
  Event event;
  std::uint32_t seen = 0;
  for (; reader.next(event); ++seen) previous_row(event.table) = event.row;
  RUSTBD_ASSERT(reader.ok() && seen == count_, "a position stands between two events");
}

void EventWriter::clear() {
  bytes_.clear();
  previous_.clear();
  count_ = 0;
}

bool EventReader::next(Event& out) {
  if (!ok_ || in_.at_end()) return false;
  const auto op = in_.fixed<std::uint8_t>();
  const std::uint64_t table = in_.varint();
  const auto delta = static_cast<std::uint64_t>(in_.signed_varint());
  const ByteSpan body = in_.raw(in_.varint());
  ok_ = in_.ok() && op >= 1 && op <= 10 && table <= 0xFFFFFFFFu;
  if (!ok_) return false;
  out.op = static_cast<EventOp>(op);
  out.table = TableId{static_cast<std::uint32_t>(table)};
  RowId& previous = previous_of(previous_, out.table);
  previous = RowId{previous.raw() + delta};
  out.row = previous;
  out.body = body;
  return true;
}

}  // namespace rustbd::log
