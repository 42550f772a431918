// pg_class, pg_attribute, pg_type and the others that describe objects of the catalog snapshot.
#include <algorithm>
#include <map>
#include <set>

#include "rustbd/catalog/pg_catalog/fills.h"
#include "rustbd/catalog/pg_catalog/operator_classes.h"
#include "rustbd/functions/registry.h"

namespace rustbd::catalog {

namespace {

bool is_shared(Oid relation) {
  static constexpr Oid kShared[] = {1213, 1214, 1260, 1261, 1262, 2396, 2964, 3592, 6000, 6100, 6243};
  return std::ranges::binary_search(kShared, relation);
}
bool is_view(const Relation& r) { return r.kind == RelationKind::kView; }
bool is_stored(const Relation& r) { return r.source == RowSource::kStored && r.layout != nullptr; }
/// PostgreSQL 15 has no rows for NOT NULL constraints.
bool has_row(const Constraint& c) { return c.type != ConstraintType::kNotNull; }

// ---- pg_class ----

struct ClassRow {
  Oid oid, schema, row_type, owner, access_method, file;
  std::string_view name;
  std::int32_t pages;
  float rows;
  bool has_index, shared, has_rules, has_triggers;
  char persistence, kind, replica_identity;
  std::int16_t columns, checks;
  std::string_view acl;
  std::span<const std::string> options;
};

void put_class(const ClassRow& c, RowCollector& r) {
  r.oid(c.oid)
      .text(c.name)
      .oid(c.schema)
      .oid(c.row_type)
      .oid(0)
      .oid(c.owner)
      .oid(c.access_method)
      .oid(c.file)
      .oid(0);
  r.int4(c.pages)
      .float4(c.rows)
      .int4(0)
      .oid(0)
      .boolean(c.has_index)
      .boolean(c.shared)
      .character(c.persistence)
      .character(c.kind);
  r.int2(c.columns)
      .int2(c.checks)
      .boolean(c.has_rules)
      .boolean(c.has_triggers)
      .boolean(false)
      .boolean(false)
      .boolean(false)
      .boolean(true);
  r.character(c.replica_identity).boolean(false).oid(0).xid(0).xid(0);
  put_acl(r, c.acl);
  if (c.options.empty()) r.null();
  else r.array(c.options);
  r.null().end_row();
}

void fill_class(VirtualContext& x, RowCollector& r) {
  for (const auto& [id, relation] : x.catalog.relations()) {
    const auto& t = *relation;
    const bool stored = is_stored(t), table = t.kind == RelationKind::kTable;
    const auto pages = static_cast<std::int32_t>(stored ? x.server.pages(t) : 0);
    const auto rows = stored && table ? x.server.live_rows(t)
                                      : (t.kind == RelationKind::kSequence ? 1.0 : (table ? 0.0 : -1.0));
    ClassRow c{t.oid,
               t.schema,
               t.kind == RelationKind::kSequence ? 0 : t.row_type,
               t.owner,
               table ? oid::kHeap : 0,
               stored ? t.layout->table.raw() : (is_view(t) ? 0 : t.oid),
               t.name,
               pages,
               static_cast<float>(rows),
               !t.indexes.empty(),
               is_shared(t.oid),
               is_view(t),
               false,
               t.persistence,
               kind_letter(t),
               table ? (t.is_catalog() ? 'n' : 'd') : 'n',
               live_columns(t),
               0,
               t.acl,
               t.options};
    for (const auto& k : t.constraints) {
      c.checks = static_cast<std::int16_t>(c.checks + (k->type == ConstraintType::kCheck ? 1 : 0));
      c.has_triggers = c.has_triggers || k->type == ConstraintType::kForeignKey;
    }
    c.has_triggers = c.has_triggers || !t.referenced_by.empty();
    put_class(c, r);
    for (const auto& i : t.indexes) {
      ClassRow x2{i->oid,
                  i->schema,
                  0,
                  t.owner,
                  i->method == "hash" ? oid::kHash : oid::kBtree,
                  i->tree.raw(),
                  i->name,
                  static_cast<std::int32_t>(stored ? x.server.index_pages(*i) : 0),
                  static_cast<float>(rows),
                  false,
                  false,
                  false,
                  false,
                  t.persistence,
                  'i',
                  'n',
                  static_cast<std::int16_t>(i->columns.size() + i->included.size()),
                  0,
                  {},
                  {}};
      put_class(x2, r);
    }
  }
}

// ---- pg_attribute ----

struct TypeFacts {
  std::int16_t length = -1;
  bool by_value = false;
  char align = 'i', storage = 'x';
  Oid collation = 0;
  bool array = false;
};
TypeFacts type_facts(Oid type) {
  const auto* t = types::find_type(type);
  if (t != nullptr)
    return {t->length,  t->by_value,  t->align,
            t->storage, t->collation, t->category == 'A' && t->length == -1};
  return {4, true, 'i', 'p', 0, false};  // enums
}

struct AttributeRow {
  Oid relation = 0;
  std::string_view name;
  types::TypeRef type;
  std::int16_t number = 0;
  bool not_null = false, has_default = false, has_missing = false, dropped = false;
  char identity = 0, generated = 0;
  std::int32_t statistics_target = -1;
};

void put_attribute(const AttributeRow& a, RowCollector& r) {
  const TypeFacts f = type_facts(a.type.oid);
  r.oid(a.relation)
      .text(a.name)
      .oid(a.dropped ? 0 : a.type.oid)
      .int4(a.dropped ? 0 : a.statistics_target)
      .int2(f.length)
      .int2(a.number);
  r.int4(f.array ? 1 : 0)
      .int4(-1)
      .int4(a.type.typmod < 0 ? -1 : a.type.typmod)
      .boolean(f.by_value)
      .character(f.align)
      .character(f.storage);
  r.character('\0')
      .boolean(a.not_null)
      .boolean(a.has_default)
      .boolean(a.has_missing)
      .character(a.identity)
      .character(a.generated);
  r.boolean(a.dropped).boolean(true).int4(0);
  r.oid(a.type.collation != 0 ? a.type.collation : f.collation);
  r.null().null().null().null().end_row();
}

void put_index_attributes(const Relation& t, const Index& index, RowCollector& r) {
  std::set<std::string> used;
  AttributeRow a;
  a.relation = index.oid;
  const auto put = [&](std::string name, const types::TypeRef& type) {
    const std::string base = name;
    for (int n = 1; !used.insert(name).second; ++n) name = base + std::to_string(n);
    a.name = name;
    a.type = type;
    ++a.number;
    put_attribute(a, r);
  };
  for (const auto& k : index.columns)
    put(k.attribute == 0 ? expression_column_name(k.expression_sql) : t.column(k.attribute).name, k.type);
  for (const auto n : index.included) put(t.column(n).name, t.column(n).type);
}

void fill_attribute(VirtualContext& x, RowCollector& r) {
  for (const auto& [id, relation] : x.catalog.relations()) {
    const auto& t = *relation;
    for (const auto& c : t.columns) {
      AttributeRow a{
          t.oid, c.name,    c.type,     c.number,    c.not_null && !c.dropped, !c.default_sql.empty(),
          false, c.dropped, c.identity, c.generated, c.statistics_target};
      const std::string dropped_name =
          c.dropped ? fmt::format("........pg.dropped.{}........", c.number) : std::string{};
      if (c.dropped) a.name = dropped_name;
      put_attribute(a, r);
    }
    if (t.kind == RelationKind::kTable) {
      put_attribute({t.oid, "tableoid", types::make_type(types::oid::kOid), kTableOidAttribute, true, false,
                     false, false, 0, 0, 0},
                    r);
      put_attribute({t.oid, "ctid", types::make_type(types::oid::kTid), kCtidAttribute, true, false, false,
                     false, 0, 0, 0},
                    r);
    }
    for (const auto& i : t.indexes) put_index_attributes(t, *i, r);
  }
}

// ---- pg_type ----

struct TypeRow {
  Oid oid = 0, schema = oid::kPgCatalog, owner = oid::kBootstrapRole;
  std::string_view name;
  std::int16_t length = -1;
  bool by_value = false;
  char type = 'b', category = 'U', delimiter = ',';
  Oid relation = 0, element = 0, array = 0;
  Oid subscript = 0, input = 0, output = 0, receive = 0, send = 0, analyze = 0;
  char align = 'i', storage = 'x';
};

void put_type(const TypeRow& t, RowCollector& r) {
  r.oid(t.oid)
      .text(t.name)
      .oid(t.schema)
      .oid(t.owner)
      .int2(t.length)
      .boolean(t.by_value)
      .character(t.type)
      .character(t.category);
  r.boolean(false)
      .boolean(true)
      .character(t.delimiter)
      .oid(t.relation)
      .oid(t.subscript)
      .oid(t.element)
      .oid(t.array);
  r.oid(t.input)
      .oid(t.output)
      .oid(t.receive)
      .oid(t.send)
      .oid(0)
      .oid(0)
      .oid(t.analyze)
      .character(t.align)
      .character(t.storage);
  r.boolean(false).oid(0).int4(-1).int4(0).oid(0).null().null().null().end_row();
}

void fill_type(VirtualContext& x, RowCollector& r) {
  // Rows of types that do not exist here are left out.
  for_each_line(builtin_rows("pg_type"), [&](std::string_view line) {
    if (types::find_type(number_of(line)) != nullptr) fill_from_text(line, r);
  });
  // Functions of array_in, enum_in, record_in and so on have PostgreSQL's oids.
  for (const auto& [id, e] : x.catalog.enums()) {
    TypeRow t;
    t.oid = e->oid, t.schema = e->schema, t.owner = e->owner, t.name = e->name;
    t.length = 4, t.by_value = true, t.type = 'e', t.category = 'E', t.array = e->array_oid, t.storage = 'p';
    t.input = 3506, t.output = 3507, t.receive = 3532, t.send = 3533;
    put_type(t, r);
    if (e->array_oid == 0) continue;
    const std::string array_name = "_" + e->name;
    TypeRow a;
    a.oid = e->array_oid, a.schema = e->schema, a.owner = e->owner, a.name = array_name, a.category = 'A',
    a.element = e->oid;
    a.subscript = 6179, a.input = 750, a.output = 751, a.receive = 2400, a.send = 2401, a.analyze = 3816;
    put_type(a, r);
  }
  for (const auto& [id, relation] : x.catalog.relations()) {
    if (relation->row_type == 0 || relation->kind == RelationKind::kSequence) continue;
    TypeRow t;
    t.oid = relation->row_type, t.schema = relation->schema, t.owner = relation->owner,
    t.name = relation->name;
    t.type = 'c', t.category = 'C', t.relation = relation->oid, t.align = 'd';
    t.input = 2290, t.output = 2291, t.receive = 2402, t.send = 2403;
    put_type(t, r);
  }
}

void fill_enum(VirtualContext& x, RowCollector& r) {
  for (const auto& [id, e] : x.catalog.enums()) {
    float order = 0;
    for (const auto& l : e->labels) r.oid(l.oid).oid(e->oid).float4(++order).text(l.text).end_row();
  }
}

void fill_namespace(VirtualContext& x, RowCollector& r) {
  for (const auto& [id, s] : x.catalog.schemas()) {
    r.oid(s.oid).text(s.name).oid(s.owner);
    const bool system = s.oid == oid::kPgCatalog || s.oid == oid::kInformationSchema;
    if (s.acl.empty() && system) r.from_text("{postgres=UC/postgres,=U/postgres}");
    else if (s.acl.empty() && s.oid == oid::kPublic)
      r.from_text("{pg_database_owner=UC/pg_database_owner,=U/pg_database_owner}");
    else put_acl(r, s.acl);
    r.end_row();
  }
}

void fill_attrdef(VirtualContext& x, RowCollector& r) {
  for (const auto& [id, relation] : x.catalog.relations())
    for (const auto& c : relation->columns)
      if (!c.dropped && !c.default_sql.empty())
        r.oid(c.default_oid).oid(relation->oid).int2(c.number).text(c.default_sql).end_row();
}

// ---- pg_index, pg_constraint ----

void put_index(const Index& i, const Relation& t, RowCollector& r) {
  std::vector<std::int16_t> keys, options;
  std::vector<Oid> collations, classes;
  std::string expressions;
  for (const auto& k : i.columns) {
    keys.push_back(k.attribute);
    options.push_back(static_cast<std::int16_t>((k.descending ? 1 : 0) | (k.nulls_first ? 2 : 0)));
    collations.push_back(k.type.collation != 0 ? k.type.collation : type_facts(k.type.oid).collation);
    classes.push_back(k.operator_class != 0 ? k.operator_class
                                            : default_operator_class(
                                                  k.type.oid, i.method == "hash" ? oid::kHash : oid::kBtree));
    if (k.attribute == 0) expressions += (expressions.empty() ? "" : ", ") + k.expression_sql;
  }
  for (const auto n : i.included) keys.push_back(n);
  r.oid(i.oid)
      .oid(t.oid)
      .int2(static_cast<std::int16_t>(keys.size()))
      .int2(static_cast<std::int16_t>(i.columns.size()));
  r.boolean(i.unique)
      .boolean(i.nulls_not_distinct)
      .boolean(i.primary)
      .boolean(false)
      .boolean(!i.deferrable)
      .boolean(false)
      .boolean(i.valid);
  r.boolean(false).boolean(true).boolean(true).boolean(false);
  r.array(keys).array(collations).array(classes).array(options);
  r.text_or_null(expressions).text_or_null(i.predicate_sql).end_row();
}
void fill_index(VirtualContext& x, RowCollector& r) {
  for (const auto& [id, relation] : x.catalog.relations())
    for (const auto& i : relation->indexes) put_index(*i, *relation, r);
}

Oid equality_operator(Oid left, Oid right) {
  for (const auto* op : functions::Registry::instance().operators("="))
    if (op->left == left && op->right == right) return op->oid;
  return left == right ? 0 : equality_operator(right, right);
}

void put_constraint(VirtualContext& x, const Constraint& k, const Relation& t, RowCollector& r) {
  const bool foreign = k.type == ConstraintType::kForeignKey;
  r.oid(k.oid)
      .text(k.name)
      .oid(k.schema)
      .character(static_cast<char>(k.type))
      .boolean(k.deferrable)
      .boolean(k.initially_deferred);
  r.boolean(k.validated).oid(t.oid).oid(0).oid(k.index).oid(0).oid(k.referenced_relation);
  r.character(foreign ? k.on_update : ' ')
      .character(foreign ? k.on_delete : ' ')
      .character(foreign ? k.match : ' ');
  r.boolean(true).int4(0).boolean(k.type == ConstraintType::kCheck ? k.no_inherit : true);
  if (k.columns.empty()) r.null();
  else r.array(k.columns);
  if (foreign) {
    r.array(k.referenced_columns);
    std::vector<Oid> both, referenced, own;
    const auto target = x.catalog.relation(k.referenced_relation);
    for (std::size_t i = 0; i < k.columns.size(); ++i) {
      const Oid fk = t.column(k.columns[i]).type.oid;
      const Oid pk = target != nullptr && i < k.referenced_columns.size()
                         ? target->column(k.referenced_columns[i]).type.oid
                         : fk;
      both.push_back(equality_operator(pk, fk));
      referenced.push_back(equality_operator(pk, pk));
      own.push_back(equality_operator(fk, fk));
    }
    r.array(both).array(referenced).array(own);
    if (k.on_delete_columns.empty()) r.null();
    else r.array(k.on_delete_columns);
  } else {
    r.null().null().null().null().null();
  }
  r.null().text_or_null(k.expression_sql).end_row();
}
void fill_constraint(VirtualContext& x, RowCollector& r) {
  for (const auto& [id, relation] : x.catalog.relations())
    for (const auto& k : relation->constraints)
      if (has_row(*k)) put_constraint(x, *k, *relation, r);
}

// ---- sequences, views, comments, dependencies ----

void fill_sequence(VirtualContext& x, RowCollector& r) {
  for (const auto& [id, t] : x.catalog.relations()) {
    if (!t->sequence) continue;
    const auto& s = *t->sequence;
    r.oid(t->oid)
        .oid(s.type)
        .int8(s.start)
        .int8(s.increment)
        .int8(s.maximum)
        .int8(s.minimum)
        .int8(s.cache)
        .boolean(s.cycle)
        .end_row();
  }
}

/// A view has one rule, whose oid is the view's: oids are unique within a catalog relation.
void fill_rewrite(VirtualContext& x, RowCollector& r) {
  for (const auto& [id, t] : x.catalog.relations()) {
    if (t->view_sql.empty()) continue;
    r.oid(t->oid)
        .text("_RETURN")
        .oid(t->oid)
        .character('1')
        .character('O')
        .boolean(true)
        .text("<>")
        .text(t->view_sql)
        .end_row();
  }
}

void fill_description(VirtualContext& x, RowCollector& r) {
  for (const auto& [key, text] : x.store.comments()) {
    const auto& [class_oid, object, sub] = key;
    if (class_oid == oid::kPgDatabase || class_oid == oid::kPgAuthid) continue;
    r.oid(object).oid(class_oid).int4(sub).text(text).end_row();
  }
}
void fill_shared_description(VirtualContext& x, RowCollector& r) {
  for (const auto& [key, text] : x.store.comments()) {
    const auto& [class_oid, object, sub] = key;
    if (class_oid == oid::kPgDatabase || class_oid == oid::kPgAuthid)
      r.oid(object).oid(class_oid).text(text).end_row();
  }
}

struct Dependency {
  Oid class_oid, object;
  std::int32_t sub;
  Oid on_class, on_object;
  std::int32_t on_sub;
  char type;
};
void put_dependency(const Dependency& d, RowCollector& r) {
  r.oid(d.class_oid)
      .oid(d.object)
      .int4(d.sub)
      .oid(d.on_class)
      .oid(d.on_object)
      .int4(d.on_sub)
      .character(d.type)
      .end_row();
}

void put_index_dependencies(const Relation& t, const Index& i, RowCollector& r) {
  if (i.constraint != 0) {
    put_dependency({oid::kPgClass, i.oid, 0, oid::kPgConstraint, i.constraint, 0, 'i'}, r);
    return;
  }
  std::set<AttributeNumber> columns(i.included.begin(), i.included.end());
  for (const auto& k : i.columns) columns.insert(k.attribute);
  for (const auto n : columns) put_dependency({oid::kPgClass, i.oid, 0, oid::kPgClass, t.oid, n, 'a'}, r);
}
void put_constraint_dependencies(const Relation& t, const Constraint& k, RowCollector& r) {
  for (const auto n : k.columns)
    put_dependency({oid::kPgConstraint, k.oid, 0, oid::kPgClass, t.oid, n, 'a'}, r);
  if (k.columns.empty()) put_dependency({oid::kPgConstraint, k.oid, 0, oid::kPgClass, t.oid, 0, 'a'}, r);
  if (k.type != ConstraintType::kForeignKey) return;
  for (const auto n : k.referenced_columns)
    put_dependency({oid::kPgConstraint, k.oid, 0, oid::kPgClass, k.referenced_relation, n, 'n'}, r);
  put_dependency({oid::kPgConstraint, k.oid, 0, oid::kPgClass, k.index, 0, 'n'}, r);
}

void put_relation_dependencies(VirtualContext& x, const Relation& t, RowCollector& r) {
  put_dependency({oid::kPgClass, t.oid, 0, oid::kPgNamespace, t.schema, 0, 'n'}, r);
  if (t.row_type != 0 && !t.sequence)
    put_dependency({oid::kPgType, t.row_type, 0, oid::kPgClass, t.oid, 0, 'i'}, r);
  if (!t.view_sql.empty()) put_dependency({oid::kPgRewrite, t.oid, 0, oid::kPgClass, t.oid, 0, 'i'}, r);
  if (t.sequence && t.sequence->owner_relation != 0) {
    const auto owner = x.catalog.relation(t.sequence->owner_relation);
    const bool identity = owner != nullptr && owner->column(t.sequence->owner_column).identity != 0;
    put_dependency({oid::kPgClass, t.oid, 0, oid::kPgClass, t.sequence->owner_relation,
                    t.sequence->owner_column, identity ? 'i' : 'a'},
                   r);
  }
  for (const auto& c : t.columns) {
    if (c.dropped) continue;
    if (!c.default_sql.empty())
      put_dependency({oid::kPgAttrdef, c.default_oid, 0, oid::kPgClass, t.oid, c.number, 'a'}, r);
    if (c.type.oid >= oid::kFirstUserObject)
      put_dependency({oid::kPgClass, t.oid, c.number, oid::kPgType, c.type.oid, 0, 'n'}, r);
  }
  for (const auto& i : t.indexes) put_index_dependencies(t, *i, r);
  for (const auto& k : t.constraints)
    if (has_row(*k)) put_constraint_dependencies(t, *k, r);
}
void fill_depend(VirtualContext& x, RowCollector& r) {
  for (const auto& [id, relation] : x.catalog.relations())
    if (!relation->is_catalog()) put_relation_dependencies(x, *relation, r);
  for (const auto& [id, e] : x.catalog.enums()) {
    put_dependency({oid::kPgType, e->oid, 0, oid::kPgNamespace, e->schema, 0, 'n'}, r);
    if (e->array_oid != 0) put_dependency({oid::kPgType, e->array_oid, 0, oid::kPgType, e->oid, 0, 'i'}, r);
  }
}

constexpr NamedFill kFills[] = {
    {"pg_class", &fill_class},
    {"pg_attribute", &fill_attribute},
    {"pg_type", &fill_type},
    {"pg_enum", &fill_enum},
    {"pg_namespace", &fill_namespace},
    {"pg_attrdef", &fill_attrdef},
    {"pg_index", &fill_index},
    {"pg_constraint", &fill_constraint},
    {"pg_sequence", &fill_sequence},
    {"pg_rewrite", &fill_rewrite},
    {"pg_description", &fill_description},
    {"pg_shdescription", &fill_shared_description},
    {"pg_depend", &fill_depend},
};

}  // namespace

std::span<const NamedFill> object_fills() { return kFills; }

std::string expression_column_name(std::string_view expression_sql) {
  const auto open = expression_sql.find('(');
  if (open == std::string_view::npos || open == 0 || expression_sql.back() != ')') return "expr";
  const auto name = expression_sql.substr(0, open);
  const bool plain = std::ranges::all_of(
      name, [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'; });
  return plain ? std::string{name} : "expr";
}

}  // namespace rustbd::catalog
