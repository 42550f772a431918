#include "rustbd/storage/rows/table_layout.h"

namespace rustbd::storage {

namespace {

constexpr std::uint8_t kFormat = 1;

enum ColumnFlags : std::uint8_t { kNullable = 1, kDropped = 2, kHasMissing = 4 };
enum IndexFlags : std::uint8_t { kUnique = 1, kNullsNotDistinct = 2, kDeferrable = 4, kPartial = 8 };
enum PartFlags : std::uint8_t { kDescending = 1, kNullsFirst = 2 };

void write_type(ByteWriter& out, const types::TypeRef& type) {
  out.varint(type.oid);
  out.signed_varint(type.typmod);
  out.fixed(static_cast<std::uint8_t>(type.phys));
  out.signed_varint(type.scale);
  out.varint(type.collation);
}

bool read_type(ByteReader& in, types::TypeRef* type) {
  type->oid = static_cast<Oid>(in.varint());
  type->typmod = static_cast<std::int32_t>(in.signed_varint());
  const auto phys = in.fixed<std::uint8_t>();
  type->phys = static_cast<types::Phys>(phys);
  type->scale = static_cast<std::int16_t>(in.signed_varint());
  type->collation = static_cast<Oid>(in.varint());
  return in.ok() && phys < types::kPhysCount;
}

void write_column(ByteWriter& out, const ColumnLayout& column) {
  write_type(out, column.type);
  out.fixed(static_cast<std::uint8_t>((column.nullable ? kNullable : 0) | (column.dropped ? kDropped : 0) |
                                      (column.has_missing_value ? kHasMissing : 0)));
  out.varint(column.since_version);
  out.varint(column.bitmap_since);
  if (column.has_missing_value) out.text(as_chars(column.missing_value));
}

bool read_column(ByteReader& in, ColumnLayout* column) {
  if (!read_type(in, &column->type)) return false;
  const auto flags = in.fixed<std::uint8_t>();
  column->nullable = flags & kNullable;
  column->dropped = flags & kDropped;
  column->has_missing_value = flags & kHasMissing;
  column->since_version = static_cast<std::uint32_t>(in.varint());
  column->bitmap_since = static_cast<std::uint32_t>(in.varint());
  if (column->has_missing_value) {
    const ByteSpan bytes = as_bytes(in.text());
    column->missing_value.assign(bytes.begin(), bytes.end());
    const bool variable = types::is_variable(column->type.phys);
    if (!variable && column->missing_value.size() != types::width_of(column->type.phys)) return false;
  }
  return in.ok() && flags < 8;
}

void write_index(ByteWriter& out, const IndexLayout& index) {
  out.varint(index.id.raw());
  out.fixed(static_cast<std::uint8_t>((index.unique ? kUnique : 0) |
                                      (index.nulls_not_distinct ? kNullsNotDistinct : 0) |
                                      (index.deferrable ? kDeferrable : 0) | (index.partial ? kPartial : 0)));
  out.varint(index.parts.size());
  for (const auto& part : index.parts) {
    out.varint(part.column);
    write_type(out, part.key.type);
    out.fixed(static_cast<std::uint8_t>((part.key.descending ? kDescending : 0) |
                                        (part.key.nulls_first ? kNullsFirst : 0)));
  }
  out.varint(index.included.size());
  for (const ColumnNumber c : index.included) out.varint(c);
}

bool read_index(ByteReader& in, IndexLayout* index) {
  index->id = IndexId{static_cast<std::uint32_t>(in.varint())};
  const auto flags = in.fixed<std::uint8_t>();
  index->unique = flags & kUnique;
  index->nulls_not_distinct = flags & kNullsNotDistinct;
  index->deferrable = flags & kDeferrable;
  index->partial = flags & kPartial;
  const std::uint64_t parts = in.varint();
  if (!in.ok() || parts > in.remaining()) return false;
  for (std::uint64_t i = 0; i < parts; ++i) {
    IndexLayout::Part part;
    part.column = static_cast<ColumnNumber>(in.varint());
    if (!read_type(in, &part.key.type)) return false;
    const auto order = in.fixed<std::uint8_t>();
    part.key.descending = order & kDescending;
    part.key.nulls_first = order & kNullsFirst;
    index->parts.push_back(part);
  }
  const std::uint64_t included = in.varint();
  if (!in.ok() || included > in.remaining()) return false;
  for (std::uint64_t i = 0; i < included; ++i)
    index->included.push_back(static_cast<ColumnNumber>(in.varint()));
  return in.ok() && flags < 16;
}

}  // namespace

void TableLayout::serialize(Bytes& out) const {
  ByteWriter writer(out);
  writer.fixed(kFormat);
  writer.varint(table.raw());
  writer.varint(relation);
  writer.varint(database);
  writer.varint(schema_version);
  writer.fixed(static_cast<std::uint8_t>(log_before));
  writer.fixed(static_cast<std::uint8_t>(is_sequence));
  writer.varint(columns.size());
  for (const auto& column : columns) write_column(writer, column);
  writer.varint(indexes.size());
  for (const auto& index : indexes) write_index(writer, index);
}

bool TableLayout::deserialize(ByteSpan in, TableLayout* out) {
  ByteReader reader(in);
  TableLayout layout;
  if (reader.fixed<std::uint8_t>() != kFormat) return false;
  layout.table = TableId{static_cast<std::uint32_t>(reader.varint())};
  layout.relation = static_cast<Oid>(reader.varint());
  layout.database = static_cast<Oid>(reader.varint());
  layout.schema_version = static_cast<std::uint32_t>(reader.varint());
  const auto log_before = reader.fixed<std::uint8_t>();
  const auto is_sequence = reader.fixed<std::uint8_t>();
  if (!reader.ok() || log_before > 2 || is_sequence > 1) return false;
  layout.log_before = static_cast<LogBefore>(log_before);
  layout.is_sequence = is_sequence != 0;
  const std::uint64_t columns = reader.varint();
  if (!reader.ok() || columns > reader.remaining()) return false;
  layout.columns.resize(columns);
  for (auto& column : layout.columns)
    if (!read_column(reader, &column)) return false;
  const std::uint64_t indexes = reader.varint();
  if (!reader.ok() || indexes > reader.remaining()) return false;
  layout.indexes.resize(indexes);
  for (auto& index : layout.indexes)
    if (!read_index(reader, &index)) return false;
  if (!reader.ok() || !reader.at_end()) return false;
  *out = std::move(layout);
  return true;
}

}  // namespace rustbd::storage
