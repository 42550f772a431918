#include "rustbd/catalog/pg_catalog/virtual_relation.h"

#include <algorithm>
#include <charconv>
#include <map>

#include "rustbd/base/assert.h"
#include "rustbd/catalog/pg_catalog/fills.h"
#include "rustbd/types/array.h"

namespace rustbd::catalog {

using types::Datum;
using types::Phys;

namespace {

constexpr std::int64_t kPostgresEpochUs = 946'684'800'000'000;  // 2000-01-01 in µs from 1970

struct StaticColumn {
  std::string_view name;
  Oid type;
  bool not_null;
};
struct StaticRelation {
  Oid oid, row_type, schema;
  std::string_view name;
  char kind;
  bool shared;
  std::uint16_t first_column, column_count;
};
#include "rustbd/catalog/pg_catalog/relations.inc"

// The server's own relations. Oids below 10000 that PostgreSQL doesn't use.
constexpr Oid kInt8 = types::oid::kInt8, kInt4 = types::oid::kInt4, kText = types::oid::kText,
              kFloat8 = types::oid::kFloat8;
constexpr StaticColumn kOwnColumns[] = {
    {"name", kText, false},
    {"value", kFloat8, false},  // rustbd_metrics
    {"hits", kInt8, false},
    {"misses", kInt8, false},
    {"evictions", kInt8, false},  // rustbd_buffer_stats
    {"dirty_pages", kInt8, false},
    {"checksum_failures", kInt8, false},
    {"hit_ratio", kFloat8, false},
    {"frame_waits", kInt8, false},
    {"mean_read_us", kFloat8, false},
    {"mean_write_us", kFloat8, false},
    {"pid", kInt4, false},
    {"transaction_id", kInt8, false},
    {"state", kText, false},  // rustbd_transactions
    {"start_time", types::oid::kTimestamptz, false},
    {"undo_records", kInt8, false},
    {"query", kText, false},
    {"key_id", kInt8, false},  // rustbd_keys
    {"algorithm", kText, false},
    {"state", kText, false},
    {"created", types::oid::kTimestamptz, false},
    {"state", kText, false},  // rustbd_key_rotation_progress
    {"pages_total", kInt8, false},
    {"pages_left", kInt8, false},
    {"id", kInt8, false},  // rustbd_backups
    {"state", kText, false},
    {"target", kText, false},
    {"incremental_from", kText, false},
    {"began", types::oid::kTimestamptz, false},
    {"ended", types::oid::kTimestamptz, false},
    {"bytes", kInt8, false},
    {"from_lsn", types::oid::kPgLsn, false},
    {"to_lsn", types::oid::kPgLsn, false},
    {"sqlstate", kText, false},
    {"message", kText, false},
};
constexpr StaticRelation kOwnRelations[] = {
    {9100, 0, oid::kPgCatalog, "rustbd_metrics", 'v', false, 0, 2},
    {9101, 0, oid::kPgCatalog, "rustbd_buffer_stats", 'v', false, 2, 9},
    {9102, 0, oid::kPgCatalog, "rustbd_transactions", 'v', false, 11, 6},
    {9103, 0, oid::kPgCatalog, "rustbd_keys", 'v', false, 17, 4},
    {9104, 0, oid::kPgCatalog, "rustbd_key_rotation_progress", 'v', false, 21, 3},
    {9105, 0, oid::kPgCatalog, "rustbd_backups", 'v', false, 24, 11},
};

std::shared_ptr<const Relation> make_relation(const StaticRelation& from,
                                              std::span<const StaticColumn> columns) {
  auto r = std::make_shared<Relation>();
  r->oid = from.oid;
  r->name = from.name;
  r->schema = from.schema;
  r->schema_name = from.schema == oid::kPgCatalog ? "pg_catalog" : "information_schema";
  r->row_type = from.row_type;
  r->kind = static_cast<RelationKind>(from.kind);
  r->source = RowSource::kVirtual;
  for (const auto& c : columns.subspan(from.first_column, from.column_count)) {
    Column column;
    column.name = c.name;
    column.type = types::make_type(c.type);
    column.number = static_cast<AttributeNumber>(r->columns.size() + 1);
    column.not_null = c.not_null;
    r->columns.push_back(std::move(column));
  }
  // Everybody may read what has no secrets in it.
  const bool secret = from.name == "pg_authid" || from.name == "pg_shadow" ||
                      from.name == "pg_user_mapping" || from.name == "pg_statistic" ||
                      from.name == "pg_subscription" || from.name == "pg_largeobject";
  r->acl = secret ? "{postgres=arwdDxt/postgres}" : "{postgres=arwdDxt/postgres,=r/postgres}";
  return r;
}

void no_rows(VirtualContext&, RowCollector&) {}

std::map<std::string_view, Fill> all_fills() {
  std::map<std::string_view, Fill> out;
  for (const auto& list : {object_fills(), code_fills(), server_fills(), view_fills(), information_fills()})
    for (const auto& f : list) {
      const bool is_new = out.emplace(f.relation, f.fill).second;
      RUSTBD_ASSERT(is_new, "a catalog relation is filled in one place");
    }
  return out;
}

std::vector<VirtualRelation> build() {
  std::vector<VirtualRelation> out;
  auto fills = all_fills();
  const auto add = [&](const StaticRelation& from, std::span<const StaticColumn> columns) {
    auto relation = make_relation(from, columns);
    const std::string key =
        from.schema == oid::kPgCatalog ? relation->name : "information_schema." + relation->name;
    const auto it = fills.find(key);
    out.push_back({std::move(relation), it == fills.end() ? &no_rows : it->second});
    if (it != fills.end()) fills.erase(it);
  };
  for (const auto& r : kStaticRelations) add(r, kStaticColumns);
  for (const auto& r : kOwnRelations) add(r, kOwnColumns);
  RUSTBD_ASSERT(fills.empty(), "every fill function belongs to a relation");
  std::sort(out.begin(), out.end(),
            [](const auto& a, const auto& b) { return a.relation->oid < b.relation->oid; });
  return out;
}

}  // namespace

std::span<const VirtualRelation> virtual_relations() {
  static const std::vector<VirtualRelation> all = build();
  return all;
}

const VirtualRelation* find_virtual(Oid relation) {
  const auto all = virtual_relations();
  const auto it = std::lower_bound(all.begin(), all.end(), relation,
                                   [](const auto& v, Oid o) { return v.relation->oid < o; });
  return it == all.end() || it->relation->oid != relation ? nullptr : &*it;
}

// ---- RowCollector ----

RowCollector::RowCollector(const Relation& relation) : relation_(relation) {
  for (const auto& c : relation.columns) phys_.push_back(c.type.phys);
}

RowCollector& RowCollector::put(const Datum& value, bool is_null) {
  RUSTBD_ASSERT(column_ < phys_.size(), "no more values than columns");
  if (column_ == 0 && row_ % types::kVectorSize == 0) {
    chunks_.push_back(std::make_unique<types::ChunkBuffer>(phys_));
    chunks_.back()->begin();
  }
  chunks_.back()->put(column_++, row_ % types::kVectorSize, value, is_null);
  return *this;
}
void RowCollector::end_row() {
  RUSTBD_ASSERT(column_ == phys_.size(), "every column of a catalog row has a value");
  column_ = 0;
  ++row_;
  chunks_.back()->chunk().select_all((row_ - 1) % types::kVectorSize + 1);
}

namespace {
/// The datum of a number in the column's own representation.
template <class T>
Datum number(T v, Phys phys) {
  switch (phys) {
    case Phys::kBool: return Datum::of(v != 0);
    case Phys::kI8: {
      Datum d;
      d.i8 = static_cast<std::int8_t>(v);
      return d;
    }
    case Phys::kI16: return Datum::of(static_cast<std::int16_t>(v));
    case Phys::kI32: return Datum::of(static_cast<std::int32_t>(v));
    case Phys::kI64: return Datum::of(static_cast<std::int64_t>(v));
    case Phys::kU32: return Datum::of(static_cast<std::uint32_t>(v));
    case Phys::kU64: return Datum::of(static_cast<std::uint64_t>(v));
    case Phys::kF32: return Datum::of(static_cast<float>(v));
    case Phys::kF64: return Datum::of(static_cast<double>(v));
    default: RUSTBD_ASSERT(false, "a number goes to a column of numbers"); return {};
  }
}
}  // namespace

RowCollector& RowCollector::null() { return put(Datum{}, true); }
RowCollector& RowCollector::boolean(bool v) {
  RUSTBD_ASSERT(phys_[column_] == Phys::kBool, "a boolean column");
  return put(Datum::of(v), false);
}
RowCollector& RowCollector::int2(std::int16_t v) { return put(number(v, phys_[column_]), false); }
RowCollector& RowCollector::int4(std::int32_t v) { return put(number(v, phys_[column_]), false); }
RowCollector& RowCollector::int8(std::int64_t v) { return put(number(v, phys_[column_]), false); }
RowCollector& RowCollector::oid(Oid v) { return put(number(v, phys_[column_]), false); }
RowCollector& RowCollector::xid(std::uint32_t v) { return put(number(v, phys_[column_]), false); }
RowCollector& RowCollector::float4(float v) { return put(number(v, phys_[column_]), false); }
RowCollector& RowCollector::float8(double v) { return put(number(v, phys_[column_]), false); }
RowCollector& RowCollector::character(char v) {
  RUSTBD_ASSERT(phys_[column_] == Phys::kI8, "a \"char\" column");
  return put(number(v, Phys::kI8), false);
}
RowCollector& RowCollector::text(std::string_view v) {
  RUSTBD_ASSERT(phys_[column_] == Phys::kStr, "a column of text");
  return put(Datum::of(types::Str{v}), false);
}
RowCollector& RowCollector::timestamptz(std::int64_t wall_us) { return int8(wall_us - kPostgresEpochUs); }

RowCollector& RowCollector::array(std::span<const Oid> v) {
  Arena arena;
  const auto& type = relation_.columns[column_].type;
  if (type.oid == types::oid::kOidVector) return put(Datum::of(types::make_oidvector(v, arena)), false);
  types::ArrayBuilder builder{types::element_type_of(type.oid)};
  for (const Oid o : v) builder.add(Datum::of(o));
  return put(Datum::of(builder.finish(arena)), false);
}
RowCollector& RowCollector::array(std::span<const std::int16_t> v) {
  Arena arena;
  const auto& type = relation_.columns[column_].type;
  if (type.oid == types::oid::kInt2Vector) return put(Datum::of(types::make_int2vector(v, arena)), false);
  types::ArrayBuilder builder{types::element_type_of(type.oid)};
  for (const auto n : v) builder.add(Datum::of(n));
  return put(Datum::of(builder.finish(arena)), false);
}
RowCollector& RowCollector::array(std::span<const std::string> v) {
  Arena arena;
  types::ArrayBuilder builder{types::element_type_of(relation_.columns[column_].type.oid)};
  for (const auto& s : v) builder.add(Datum::of(types::Str{s}));
  return put(Datum::of(builder.finish(arena)), false);
}
RowCollector& RowCollector::array_char(std::span<const char> v) {
  Arena arena;
  types::ArrayBuilder builder{types::element_type_of(relation_.columns[column_].type.oid)};
  for (const char c : v) builder.add(number(c, Phys::kI8));
  return put(Datum::of(builder.finish(arena)), false);
}
RowCollector& RowCollector::array_of(const types::TypeRef& element, std::span<const Datum> v) {
  Arena arena;
  types::ArrayBuilder builder{element.oid};
  for (const auto& d : v) builder.add(types::to_element(d, element, arena));
  return put(Datum::of(builder.finish(arena)), false);
}
RowCollector& RowCollector::array_float4(std::span<const double> v) {
  Arena arena;
  types::ArrayBuilder builder{types::oid::kFloat4};
  for (const double d : v) builder.add(Datum::of(static_cast<float>(d)));
  return put(Datum::of(builder.finish(arena)), false);
}
RowCollector& RowCollector::from_text(std::string_view v) {
  Arena arena;
  types::IoContext io;
  io.arena = &arena;
  return put(types::input_text(v, relation_.columns[column_].type, io), false);
}

// ---- shared helpers of the fill functions ----

std::vector<std::string_view> split_line(std::string_view line) {
  std::vector<std::string_view> out;
  for (;;) {
    const auto tab = line.find('\t');
    out.push_back(line.substr(0, tab));
    if (tab == std::string_view::npos) return out;
    line.remove_prefix(tab + 1);
  }
}
void fill_from_text(std::string_view lines, RowCollector& rows) {
  for_each_line(lines, [&](std::string_view line) {
    for (const auto value : split_line(line)) {
      if (value == "\\N") rows.null();
      else rows.from_text(value);
    }
    rows.end_row();
  });
}
Oid number_of(std::string_view text) {
  Oid out = 0;
  std::from_chars(text.data(), text.data() + text.size(), out);
  return out;
}
RowCollector& put_acl(RowCollector& rows, std::string_view acl) {
  return acl.empty() ? rows.null() : rows.from_text(acl);
}
std::string role_name(const CatalogSnapshot& catalog, Oid role) {
  const auto* r = catalog.role(role);
  return r != nullptr ? r->name : fmt::format("unknown (OID={})", role);
}
RowCollector& put_time(RowCollector& rows, std::int64_t wall_us) {
  return wall_us == 0 ? rows.null() : rows.timestamptz(wall_us);
}

}  // namespace rustbd::catalog
