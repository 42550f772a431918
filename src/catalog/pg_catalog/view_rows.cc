// PostgreSQL's views over its catalog: pg_tables, pg_views, pg_indexes, pg_stats, pg_stat_all_tables, ...
#include "rustbd/catalog/pg_catalog/acl.h"
#include "rustbd/catalog/pg_catalog/fills.h"

namespace rustbd::catalog {

namespace {

bool is_table(const Relation& t) { return t.kind == RelationKind::kTable; }
bool is_user(const Relation& t) { return !t.is_catalog(); }

void fill_tables(VirtualContext& x, RowCollector& r) {
  for (const auto& [id, t] : x.catalog.relations()) {
    if (!is_table(*t)) continue;
    bool triggers = !t->referenced_by.empty();
    for (const auto& k : t->constraints) triggers = triggers || k->type == ConstraintType::kForeignKey;
    r.text(t->schema_name)
        .text(t->name)
        .text(role_name(x.catalog, t->owner))
        .null()
        .boolean(!t->indexes.empty())
        .boolean(false);
    r.boolean(triggers).boolean(false).end_row();
  }
}
void fill_views(VirtualContext& x, RowCollector& r) {
  for (const auto& [id, t] : x.catalog.relations()) {
    if (t->kind != RelationKind::kView) continue;
    r.text(t->schema_name).text(t->name).text(role_name(x.catalog, t->owner));
    if (t->view_sql.empty()) r.null();  // computed by the server
    else r.text(x.server.view_definition(*t));
    r.end_row();
  }
}
void fill_materialized_views(VirtualContext& x, RowCollector& r) {
  for (const auto& [id, t] : x.catalog.relations()) {
    if (t->kind != RelationKind::kMaterializedView) continue;
    r.text(t->schema_name)
        .text(t->name)
        .text(role_name(x.catalog, t->owner))
        .null()
        .boolean(!t->indexes.empty())
        .boolean(true);
    r.text(x.server.view_definition(*t)).end_row();
  }
}
void fill_indexes(VirtualContext& x, RowCollector& r) {
  for (const auto& [id, t] : x.catalog.relations())
    for (const auto& i : t->indexes)
      r.text(t->schema_name).text(t->name).text(i->name).null().text(x.server.index_definition(*i)).end_row();
}
void fill_sequences(VirtualContext& x, RowCollector& r) {
  for (const auto& [id, t] : x.catalog.relations()) {
    if (!t->sequence) continue;
    const auto& s = *t->sequence;
    const auto value = x.server.sequence_value(t->oid);
    r.text(t->schema_name)
        .text(t->name)
        .text(role_name(x.catalog, t->owner))
        .oid(s.type)
        .int8(s.start)
        .int8(s.minimum)
        .int8(s.maximum);
    r.int8(s.increment).boolean(s.cycle).int8(s.cache);
    if (value.is_called) r.int8(value.last_value);
    else r.null();
    r.end_row();
  }
}
void fill_rules(VirtualContext&, RowCollector&) {}  // rules of views are not listed, and there are no others

// ---- statistics ----

void put_statistics(const Relation& t, const Column& c, const ColumnStatistics& s, RowCollector& r) {
  r.text(t.schema_name).text(t.name).text(c.name).boolean(false).float4(static_cast<float>(s.null_fraction));
  r.int4(static_cast<std::int32_t>(s.average_width)).float4(static_cast<float>(s.distinct));
  if (s.common_values.empty()) r.null().null();
  else r.array_of(c.type, s.common_values).array_float4(s.common_frequencies);
  if (s.bounds.empty()) r.null();
  else r.array_of(c.type, s.bounds);
  r.float4(static_cast<float>(s.correlation)).null().null().null().end_row();
}
void fill_stats(VirtualContext& x, RowCollector& r) {
  for (const auto& [id, t] : x.catalog.relations()) {
    if (t->statistics == nullptr || !acl_allows(x.catalog, t->acl, t->owner, x.server.current_role(), 'r'))
      continue;
    for (const auto& c : t->columns) {
      const auto at = static_cast<std::size_t>(c.number - 1);
      // Enum values have no array type that every client knows; their statistics stay inside.
      if (c.dropped || at >= t->statistics->columns.size() || types::find_type(c.type.oid) == nullptr)
        continue;
      put_statistics(*t, c, t->statistics->columns[at], r);
    }
  }
}

void put_table_activity(VirtualContext& x, const Relation& t, RowCollector& r) {
  const auto live = static_cast<std::int64_t>(is_user(t) ? x.server.live_rows(t) : 0);
  r.oid(t.oid).text(t.schema_name).text(t.name);
  for (int i = 0; i < 8; ++i) r.int8(0);  // scans and changes are not counted per table
  r.int8(live).int8(0).int8(0).int8(0).null().null().null().null().int8(0).int8(0).int8(0).int8(0).end_row();
}
template <bool OnlyUser>
void fill_table_activity(VirtualContext& x, RowCollector& r) {
  for (const auto& [id, t] : x.catalog.relations())
    if (is_table(*t) && (!OnlyUser || is_user(*t))) put_table_activity(x, *t, r);
}
template <bool OnlyUser>
void fill_index_activity(VirtualContext& x, RowCollector& r) {
  for (const auto& [id, t] : x.catalog.relations())
    for (const auto& i : t->indexes)
      if (!OnlyUser || is_user(*t))
        r.oid(t->oid)
            .oid(i->oid)
            .text(t->schema_name)
            .text(t->name)
            .text(i->name)
            .int8(0)
            .int8(0)
            .int8(0)
            .end_row();
}

constexpr NamedFill kFills[] = {
    {"pg_tables", &fill_tables},
    {"pg_views", &fill_views},
    {"pg_matviews", &fill_materialized_views},
    {"pg_indexes", &fill_indexes},
    {"pg_sequences", &fill_sequences},
    {"pg_rules", &fill_rules},
    {"pg_stats", &fill_stats},
    {"pg_stat_all_tables", &fill_table_activity<false>},
    {"pg_stat_user_tables", &fill_table_activity<true>},
    {"pg_stat_all_indexes", &fill_index_activity<false>},
    {"pg_stat_user_indexes", &fill_index_activity<true>},
};

}  // namespace

std::span<const NamedFill> view_fills() { return kFills; }

}  // namespace rustbd::catalog
