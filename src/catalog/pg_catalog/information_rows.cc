// information_schema (ISO 9075-11) as PostgreSQL fills it. Shown is what the current role owns or has a
// privilege on.
#include <algorithm>

#include "rustbd/catalog/pg_catalog/acl.h"
#include "rustbd/catalog/pg_catalog/fills.h"

namespace rustbd::catalog {

namespace {

constexpr std::string_view kCatalog = "postgres";
std::string_view yes_no(bool v) { return v ? "YES" : "NO"; }

bool owns(VirtualContext& x, Oid owner) {
  const auto* role = x.catalog.role(x.server.current_role());
  return (role != nullptr && role->superuser) || owner == x.server.current_role();
}
bool may_any(VirtualContext& x, const Relation& t, std::string_view letters) {
  if (owns(x, t.owner)) return true;
  return std::ranges::any_of(
      letters, [&](char c) { return acl_allows(x.catalog, t.acl, t.owner, x.server.current_role(), c); });
}
bool is_table_or_view(const Relation& t) {
  return t.kind == RelationKind::kTable || t.kind == RelationKind::kView;
}
/// Relations that information_schema.tables and columns show to this role.
bool is_shown(VirtualContext& x, const Relation& t) {
  return is_table_or_view(t) && may_any(x, t, kTableLetters);
}

template <class F>
void for_each_shown(VirtualContext& x, F&& with) {
  for (const auto& [id, t] : x.catalog.relations())
    if (is_shown(x, *t)) with(*t);
}
RowCollector& nulls(RowCollector& r, int count) {
  for (int i = 0; i < count; ++i) r.null();
  return r;
}

void fill_catalog_name(VirtualContext&, RowCollector& r) { r.text(kCatalog).end_row(); }
void fill_schemata(VirtualContext& x, RowCollector& r) {
  for (const auto& [id, s] : x.catalog.schemas())
    if (owns(x, s.owner))
      nulls(r.text(kCatalog).text(s.name).text(role_name(x.catalog, s.owner)), 4).end_row();
}

void fill_tables(VirtualContext& x, RowCollector& r) {
  for_each_shown(x, [&](const Relation& t) {
    const bool view = t.kind == RelationKind::kView;
    r.text(kCatalog)
        .text(t.schema_name)
        .text(t.name)
        .text(view ? "VIEW" : (t.persistence == 't' ? "LOCAL TEMPORARY" : "BASE TABLE"));
    nulls(r, 5).text(yes_no(!view && !t.is_catalog())).text("NO");
    if (t.persistence == 't') r.text("PRESERVE");
    else r.null();
    r.end_row();
  });
}
void fill_views(VirtualContext& x, RowCollector& r) {
  for_each_shown(x, [&](const Relation& t) {
    if (t.kind != RelationKind::kView) return;
    r.text(kCatalog).text(t.schema_name).text(t.name);
    if (t.view_sql.empty() || !owns(x, t.owner)) r.null();
    else r.text(x.server.view_definition(t));
    r.text(t.view_check_option ? "CASCADED" : "NONE")
        .text("NO")
        .text("NO")
        .text("NO")
        .text("NO")
        .text("NO")
        .end_row();
  });
}

// ---- columns ----

/// What SQL says of a type: name, lengths, precisions.
struct TypeDescription {
  std::string data_type, udt_schema, udt_name;
  std::optional<std::int32_t> length, octets, precision, radix, scale, datetime_precision;
};
TypeDescription describe(const CatalogSnapshot& catalog, const types::TypeRef& type) {
  namespace o = types::oid;
  TypeDescription d;
  const auto* info = types::find_type(type.oid);
  if (info == nullptr) {
    d.data_type = "USER-DEFINED";
    const auto e = catalog.enum_type(type.oid);
    const auto* schema = e != nullptr ? catalog.schema(e->schema) : nullptr;
    d.udt_name = e != nullptr ? e->name : std::string{};
    d.udt_schema = schema != nullptr ? schema->name : "public";
    return d;
  }
  d.udt_schema = "pg_catalog";
  d.udt_name = info->name;
  d.data_type = info->category == 'A' && info->length == -1 && info->element_oid != 0
                    ? "ARRAY"
                    : types::format_type(type.oid, -1);
  const auto modifier = type.typmod < 0 ? -1 : type.typmod;
  const auto number = [&](std::int32_t bits) { d.precision = bits, d.radix = 2, d.scale = 0; };
  switch (type.oid) {
    case o::kBpchar:
    case o::kVarchar:
      if (modifier >= 0) d.length = modifier - 4;
      d.octets = modifier >= 0 ? std::min((modifier - 4) * 4LL, 1'073'741'824LL) : 1'073'741'824;
      break;
    case o::kText: d.octets = 1'073'741'824; break;
    case o::kBit:
    case o::kVarbit:
      if (modifier >= 0) d.length = modifier;
      break;
    case o::kInt2: number(16); break;
    case o::kInt4: number(32); break;
    case o::kInt8: number(64); break;
    case o::kFloat4: d.precision = 24, d.radix = 2; break;
    case o::kFloat8: d.precision = 53, d.radix = 2; break;
    case o::kNumeric:
      d.radix = 10;
      if (modifier >= 0)
        d.precision = types::numeric_precision(modifier), d.scale = types::numeric_scale(modifier);
      break;
    case o::kDate: d.datetime_precision = 0; break;
    case o::kTime:
    case o::kTimetz:
    case o::kTimestamp:
    case o::kTimestamptz: d.datetime_precision = modifier < 0 ? 6 : modifier; break;
    case o::kInterval:
      d.datetime_precision = modifier < 0 || (modifier & 0xFFFF) == 0xFFFF ? 6 : modifier & 0xFFFF;
      break;
    default: break;
  }
  return d;
}
RowCollector& put(RowCollector& r, const std::optional<std::int32_t>& v) { return v ? r.int4(*v) : r.null(); }

void put_identity(VirtualContext& x, const Column& c, RowCollector& r) {
  r.text(yes_no(c.identity != 0));
  const auto sequence = c.identity != 0 ? x.catalog.relation(c.identity_sequence) : nullptr;
  if (sequence == nullptr || !sequence->sequence) {
    nulls(r, 5).text("NO");
    return;
  }
  const auto& s = *sequence->sequence;
  r.text(c.identity == 'a' ? "ALWAYS" : "BY DEFAULT")
      .text(std::to_string(s.start))
      .text(std::to_string(s.increment));
  r.text(std::to_string(s.maximum)).text(std::to_string(s.minimum)).text(yes_no(s.cycle));
}
void put_column(VirtualContext& x, const Relation& t, const Column& c, std::int32_t position,
                RowCollector& r) {
  const auto d = describe(x.catalog, c.type);
  r.text(kCatalog).text(t.schema_name).text(t.name).text(c.name).int4(position);
  const std::string expression = c.default_sql.empty() || !may_any(x, t, "rawx")
                                     ? std::string{}
                                     : x.server.expression_text(t, c.default_sql, &c.type);
  if (c.generated != 0 || c.default_sql.empty()) r.null();
  else r.text_or_null(expression);
  r.text(yes_no(!c.not_null)).text(d.data_type);
  put(r, d.length);
  put(r, d.octets);
  put(r, d.precision);
  put(r, d.radix);
  put(r, d.scale);
  put(r, d.datetime_precision);
  nulls(r, 2);  // interval
  nulls(r, 3);  // character set
  if (c.type.collation == 950 || c.type.collation == 951)
    r.text(kCatalog).text("pg_catalog").text(c.type.collation == 950 ? "C" : "POSIX");
  else nulls(r, 3);
  nulls(r, 3).text(kCatalog).text(d.udt_schema).text(d.udt_name);
  nulls(r, 4).text(std::to_string(c.number)).text("NO");
  put_identity(x, c, r);
  r.text(c.generated != 0 ? "ALWAYS" : "NEVER");
  if (c.generated != 0) r.text_or_null(expression);
  else r.null();
  r.text(yes_no(t.kind == RelationKind::kTable && !t.is_catalog())).end_row();
}
void fill_columns(VirtualContext& x, RowCollector& r) {
  for_each_shown(x, [&](const Relation& t) {
    for (const auto& c : t.columns)
      if (!c.dropped) put_column(x, t, c, c.number, r);
  });
}

// ---- constraints ----

std::string_view type_text(ConstraintType type) {
  switch (type) {
    case ConstraintType::kCheck:
    case ConstraintType::kNotNull: return "CHECK";
    case ConstraintType::kForeignKey: return "FOREIGN KEY";
    case ConstraintType::kPrimaryKey: return "PRIMARY KEY";
    case ConstraintType::kUnique: return "UNIQUE";
  }
  return {};
}
/// PostgreSQL 15 names the CHECK that stands for NOT NULL so.
std::string not_null_name(const Relation& t, const Column& c) {
  return fmt::format("{}_{}_{}_not_null", t.schema, t.oid, c.number);
}
std::string schema_name(VirtualContext& x, Oid schema) {
  const auto* s = x.catalog.schema(schema);
  return s != nullptr ? s->name : std::string{};
}
bool is_unique_key(const Constraint& k) {
  return k.type == ConstraintType::kPrimaryKey || k.type == ConstraintType::kUnique;
}

void fill_table_constraints(VirtualContext& x, RowCollector& r) {
  for_each_shown(x, [&](const Relation& t) {
    const auto put_row = [&](std::string_view name, std::string_view type, bool deferrable, bool deferred,
                             std::string_view nulls_distinct) {
      r.text(kCatalog)
          .text(t.schema_name)
          .text(name)
          .text(kCatalog)
          .text(t.schema_name)
          .text(t.name)
          .text(type);
      r.text(yes_no(deferrable)).text(yes_no(deferred)).text("YES").text_or_null(nulls_distinct).end_row();
    };
    for (const auto& k : t.constraints) {
      if (k->type == ConstraintType::kNotNull) continue;
      const auto index = k->type == ConstraintType::kUnique ? x.catalog.index(k->index) : nullptr;
      put_row(k->name, type_text(k->type), k->deferrable, k->initially_deferred,
              index == nullptr ? "" : yes_no(!index->nulls_not_distinct));
    }
    for (const auto& c : t.columns)
      if (c.not_null && !c.dropped) put_row(not_null_name(t, c), "CHECK", false, false, {});
  });
}
void fill_key_column_usage(VirtualContext& x, RowCollector& r) {
  for_each_shown(x, [&](const Relation& t) {
    for (const auto& k : t.constraints) {
      if (!is_unique_key(*k) && k->type != ConstraintType::kForeignKey) continue;
      const auto referenced = x.catalog.index(k->type == ConstraintType::kForeignKey ? k->index : 0);
      for (std::size_t i = 0; i < k->columns.size(); ++i) {
        r.text(kCatalog).text(t.schema_name).text(k->name).text(kCatalog).text(t.schema_name).text(t.name);
        r.text(t.column(k->columns[i]).name).int4(static_cast<std::int32_t>(i + 1));
        std::optional<std::int32_t> position;
        if (referenced != nullptr)
          for (std::size_t j = 0; j < referenced->columns.size(); ++j)
            if (referenced->columns[j].attribute == k->referenced_columns[i])
              position = static_cast<std::int32_t>(j + 1);
        put(r, position).end_row();
      }
    }
  });
}
void put_column_usage(VirtualContext& x, const Relation& of, AttributeNumber number, const Constraint& k,
                      RowCollector& r) {
  r.text(kCatalog)
      .text(of.schema_name)
      .text(of.name)
      .text(of.column(number).name)
      .text(kCatalog)
      .text(schema_name(x, k.schema))
      .text(k.name)
      .end_row();
}
void fill_constraint_column_usage(VirtualContext& x, RowCollector& r) {
  for (const auto& [id, t] : x.catalog.relations())
    for (const auto& k : t->constraints) {
      const bool foreign = k->type == ConstraintType::kForeignKey;
      const auto of = foreign ? x.catalog.relation(k->referenced_relation) : t;
      if (of == nullptr || !owns(x, of->owner) || k->type == ConstraintType::kNotNull) continue;
      for (const auto n : foreign ? k->referenced_columns : k->columns) put_column_usage(x, *of, n, *k, r);
    }
}
void fill_constraint_table_usage(VirtualContext& x, RowCollector& r) {
  for (const auto& [id, t] : x.catalog.relations())
    for (const auto& k : t->constraints) {
      const auto of = k->type == ConstraintType::kForeignKey ? x.catalog.relation(k->referenced_relation) : t;
      if (of == nullptr || !owns(x, of->owner) ||
          (!is_unique_key(*k) && k->type != ConstraintType::kForeignKey))
        continue;
      r.text(kCatalog)
          .text(of->schema_name)
          .text(of->name)
          .text(kCatalog)
          .text(schema_name(x, k->schema))
          .text(k->name)
          .end_row();
    }
}
std::string_view rule_text(char action) {
  switch (action) {
    case 'c': return "CASCADE";
    case 'n': return "SET NULL";
    case 'd': return "SET DEFAULT";
    case 'r': return "RESTRICT";
    default: return "NO ACTION";
  }
}
void fill_referential(VirtualContext& x, RowCollector& r) {
  for_each_shown(x, [&](const Relation& t) {
    for (const auto& k : t.constraints) {
      if (k->type != ConstraintType::kForeignKey) continue;
      r.text(kCatalog).text(t.schema_name).text(k->name);
      const auto target = x.catalog.relation(k->referenced_relation);
      const Constraint* unique = nullptr;
      if (target != nullptr)
        for (const auto& u : target->constraints)
          if (is_unique_key(*u) && u->index == k->index) unique = u.get();
      if (unique == nullptr) nulls(r, 3);
      else r.text(kCatalog).text(target->schema_name).text(unique->name);
      r.text(k->match == 'f' ? "FULL" : "NONE")
          .text(rule_text(k->on_update))
          .text(rule_text(k->on_delete))
          .end_row();
    }
  });
}
void fill_check_constraints(VirtualContext& x, RowCollector& r) {
  for (const auto& [id, t] : x.catalog.relations()) {
    if (!is_table_or_view(*t) || !owns(x, t->owner)) continue;
    for (const auto& k : t->constraints)
      if (k->type == ConstraintType::kCheck)
        r.text(kCatalog)
            .text(t->schema_name)
            .text(k->name)
            .text("(" + x.server.expression_text(*t, k->expression_sql, nullptr) + ")")
            .end_row();
    for (const auto& c : t->columns)
      if (c.not_null && !c.dropped)
        r.text(kCatalog)
            .text(t->schema_name)
            .text(not_null_name(*t, c))
            .text(c.name + " IS NOT NULL")
            .end_row();
  }
}

// ---- sequences, privileges, roles ----

void fill_sequences(VirtualContext& x, RowCollector& r) {
  for (const auto& [id, t] : x.catalog.relations()) {
    if (!t->sequence || !may_any(x, *t, kSequenceLetters)) continue;
    // Sequences of identity columns are part of their column.
    if (const auto owner = x.catalog.relation(t->sequence->owner_relation);
        owner != nullptr && owner->column(t->sequence->owner_column).identity != 0)
      continue;
    const auto& s = *t->sequence;
    const auto d = describe(x.catalog, types::make_type(s.type));
    r.text(kCatalog).text(t->schema_name).text(t->name).text(d.data_type);
    put(r, d.precision);
    put(r, d.radix);
    put(r, d.scale);
    r.text(std::to_string(s.start))
        .text(std::to_string(s.minimum))
        .text(std::to_string(s.maximum))
        .text(std::to_string(s.increment));
    r.text(yes_no(s.cycle)).end_row();
  }
}

std::string_view privilege_name(char letter) {
  switch (letter) {
    case 'r': return "SELECT";
    case 'a': return "INSERT";
    case 'w': return "UPDATE";
    case 'd': return "DELETE";
    case 'D': return "TRUNCATE";
    case 'x': return "REFERENCES";
    case 't': return "TRIGGER";
    default: return {};
  }
}
void put_grants(VirtualContext& x, const Relation& t, bool with_public, RowCollector& r) {
  const auto* me = x.catalog.role(x.server.current_role());
  for (const auto& item : effective_acl(x.catalog, t.acl, t.owner, letters_of(t), {})) {
    const bool mine =
        me != nullptr && (me->superuser || item.grantee == me->name || item.grantor == me->name);
    if (item.grantee.empty() ? !with_public : !mine) continue;
    for (const char letter : item.letters) {
      const auto name = privilege_name(letter);
      if (name.empty()) continue;
      const auto* owner = x.catalog.role(t.owner);
      const bool grantable = item.grantable.find(letter) != std::string::npos ||
                             (owner != nullptr && owner->name == item.grantee);
      r.text(item.grantor)
          .text(item.grantee.empty() ? "PUBLIC" : item.grantee)
          .text(kCatalog)
          .text(t.schema_name)
          .text(t.name)
          .text(name);
      r.text(yes_no(grantable)).text(yes_no(letter == 'r')).end_row();
    }
  }
}
template <bool WithPublic>
void fill_grants(VirtualContext& x, RowCollector& r) {
  for (const auto& [id, t] : x.catalog.relations())
    if (is_table_or_view(*t)) put_grants(x, *t, WithPublic, r);
}
void fill_column_privileges(VirtualContext& x, RowCollector& r) {
  for (const auto& [id, t] : x.catalog.relations()) {
    if (!is_table_or_view(*t) || t->is_catalog()) continue;
    for (const auto& item : effective_acl(x.catalog, t->acl, t->owner, letters_of(*t), {}))
      for (const char letter : item.letters) {
        if (std::string_view{"rawx"}.find(letter) == std::string_view::npos) continue;
        for (const auto& c : t->columns) {
          if (c.dropped) continue;
          r.text(item.grantor)
              .text(item.grantee.empty() ? "PUBLIC" : item.grantee)
              .text(kCatalog)
              .text(t->schema_name)
              .text(t->name)
              .text(c.name);
          r.text(privilege_name(letter))
              .text(yes_no(item.grantee == role_name(x.catalog, t->owner)))
              .end_row();
        }
      }
  }
}
void fill_enabled_roles(VirtualContext& x, RowCollector& r) {
  const auto* me = x.catalog.role(x.server.current_role());
  for (const auto& [id, role] : x.catalog.roles())
    if (me != nullptr && (me->superuser || me->oid == role.oid)) r.text(role.name).end_row();
}
void fill_character_sets(VirtualContext&, RowCollector& r) {
  r.null().null().text("UTF8").text("UCS").text("UTF8").null().null().null().end_row();
}
void fill_collations(VirtualContext&, RowCollector& r) {
  for (const std::string_view name : {"default", "C", "POSIX", "ucs_basic"})
    r.text(kCatalog).text("pg_catalog").text(name).text("NO PAD").end_row();
}

constexpr NamedFill kFills[] = {
    {"information_schema.information_schema_catalog_name", &fill_catalog_name},
    {"information_schema.schemata", &fill_schemata},
    {"information_schema.tables", &fill_tables},
    {"information_schema.views", &fill_views},
    {"information_schema.columns", &fill_columns},
    {"information_schema.table_constraints", &fill_table_constraints},
    {"information_schema.key_column_usage", &fill_key_column_usage},
    {"information_schema.constraint_column_usage", &fill_constraint_column_usage},
    {"information_schema.constraint_table_usage", &fill_constraint_table_usage},
    {"information_schema.referential_constraints", &fill_referential},
    {"information_schema.check_constraints", &fill_check_constraints},
    {"information_schema.sequences", &fill_sequences},
    {"information_schema.role_table_grants", &fill_grants<false>},
    {"information_schema.table_privileges", &fill_grants<true>},
    {"information_schema.column_privileges", &fill_column_privileges},
    {"information_schema.enabled_roles", &fill_enabled_roles},
    {"information_schema.character_sets", &fill_character_sets},
    {"information_schema.collations", &fill_collations},
};

}  // namespace

std::span<const NamedFill> information_fills() { return kFills; }

}  // namespace rustbd::catalog
