#include "rustbd/catalog/object_codec.h"

#include "rustbd/types/compare.h"

namespace rustbd::catalog {

namespace {

constexpr std::uint8_t kFormat = 1;

/// One description of an object's fields serves both directions: `f(archive, object)`.
class Writer {
 public:
  static constexpr bool kReads = false;
  explicit Writer(Bytes& out) : w_(out) {}
  void field(const std::string& s) { w_.text(s); }
  void field(bool b) { w_.fixed<std::uint8_t>(b); }
  void field(char c) { w_.fixed(c); }
  void field(double d) { w_.fixed(d); }
  void field(std::uint32_t v) { w_.varint(v); }
  void field(std::uint64_t v) { w_.varint(v); }
  void field(std::int16_t v) { w_.signed_varint(v); }
  void field(std::int32_t v) { w_.signed_varint(v); }
  void field(std::int64_t v) { w_.signed_varint(v); }
  bool ok() const { return true; }

 private:
  ByteWriter w_;
};
class Reader {
 public:
  static constexpr bool kReads = true;
  explicit Reader(ByteSpan in) : r_(in) {}
  void field(std::string& s) { s = r_.text(); }
  void field(bool& b) { b = r_.fixed<std::uint8_t>() != 0; }
  void field(char& c) { c = r_.fixed<char>(); }
  void field(double& d) { d = r_.fixed<double>(); }
  void field(std::uint32_t& v) { v = static_cast<std::uint32_t>(r_.varint()); }
  void field(std::uint64_t& v) { v = r_.varint(); }
  void field(std::int16_t& v) { v = static_cast<std::int16_t>(r_.signed_varint()); }
  void field(std::int32_t& v) { v = static_cast<std::int32_t>(r_.signed_varint()); }
  void field(std::int64_t& v) { v = r_.signed_varint(); }
  bool ok() const { return r_.ok(); }
  ByteReader& bytes() { return r_; }

 private:
  ByteReader r_;
};

template <class A, class T, class F>
void list(A& a, std::vector<T>& items, F each) {
  auto n = static_cast<std::uint32_t>(items.size());
  a.field(n);
  if constexpr (A::kReads) {
    items.clear();
    for (std::uint32_t i = 0; i < n && a.ok(); ++i) items.emplace_back();
  }
  for (auto& i : items) each(i);
}
template <class A>
void type(A& a, types::TypeRef& t) {
  a.field(t.oid);
  a.field(t.typmod);
  if constexpr (A::kReads) t = types::make_type(t.oid, t.typmod);
}
template <class A>
void column(A& a, Column& c) {
  a.field(c.name);
  type(a, c.type);
  a.field(c.number);
  a.field(c.not_null);
  a.field(c.dropped);
  a.field(c.identity);
  a.field(c.generated);
  a.field(c.default_sql);
  a.field(c.default_oid);
  a.field(c.identity_sequence);
  a.field(c.statistics_target);
}
template <class A>
void index(A& a, Index& i) {
  a.field(i.oid);
  a.field(i.name);
  a.field(i.relation);
  a.field(i.schema);
  std::uint32_t tree = i.tree.raw();
  a.field(tree);
  i.tree = IndexId{tree};
  a.field(i.unique);
  a.field(i.primary);
  a.field(i.valid);
  a.field(i.nulls_not_distinct);
  a.field(i.deferrable);
  list(a, i.columns, [&](IndexColumn& c) {
    a.field(c.attribute);
    a.field(c.expression_sql);
    type(a, c.type);
    a.field(c.descending);
    a.field(c.nulls_first);
    a.field(c.operator_class);
  });
  list(a, i.included, [&](AttributeNumber& n) { a.field(n); });
  a.field(i.predicate_sql);
  a.field(i.method);
  a.field(i.constraint);
}
template <class A>
void constraint(A& a, Constraint& c) {
  a.field(c.oid);
  a.field(c.name);
  a.field(c.schema);
  a.field(c.relation);
  char kind = static_cast<char>(c.type);
  a.field(kind);
  c.type = static_cast<ConstraintType>(kind);
  list(a, c.columns, [&](AttributeNumber& n) { a.field(n); });
  a.field(c.expression_sql);
  a.field(c.index);
  a.field(c.deferrable);
  a.field(c.initially_deferred);
  a.field(c.validated);
  a.field(c.no_inherit);
  a.field(c.referenced_relation);
  list(a, c.referenced_columns, [&](AttributeNumber& n) { a.field(n); });
  a.field(c.on_update);
  a.field(c.on_delete);
  a.field(c.match);
  list(a, c.on_delete_columns, [&](AttributeNumber& n) { a.field(n); });
}
template <class A>
void sequence(A& a, SequenceOptions& s) {
  a.field(s.type);
  a.field(s.start);
  a.field(s.increment);
  a.field(s.minimum);
  a.field(s.maximum);
  a.field(s.cache);
  a.field(s.cycle);
  a.field(s.owner_relation);
  a.field(s.owner_column);
}
/// Shared objects of a vector: written by value.
template <class A, class T, class F>
void shared_list(A& a, std::vector<std::shared_ptr<const T>>& items, F each) {
  auto n = static_cast<std::uint32_t>(items.size());
  a.field(n);
  if constexpr (A::kReads) {
    items.clear();
    for (std::uint32_t i = 0; i < n && a.ok(); ++i) {
      auto item = std::make_shared<T>();
      each(*item);
      items.push_back(std::move(item));
    }
  } else {
    for (auto& i : items) {
      T copy = *i;
      each(copy);
    }
  }
}
template <class A>
void relation(A& a, Relation& r) {
  a.field(r.oid);
  a.field(r.name);
  a.field(r.schema);
  a.field(r.owner);
  a.field(r.row_type);
  char kind = static_cast<char>(r.kind);
  a.field(kind);
  r.kind = static_cast<RelationKind>(kind);
  a.field(r.persistence);
  list(a, r.columns, [&](Column& c) { column(a, c); });
  shared_list(a, r.indexes, [&](Index& i) { index(a, i); });
  shared_list(a, r.constraints, [&](Constraint& c) { constraint(a, c); });
  a.field(r.view_sql);
  a.field(r.view_check_option);
  bool is_sequence = r.sequence.has_value();
  a.field(is_sequence);
  if (is_sequence) {
    if constexpr (A::kReads) r.sequence.emplace();
    sequence(a, *r.sequence);
  }
  list(a, r.options, [&](std::string& s) { a.field(s); });
  a.field(r.acl);
}
template <class A>
void schema(A& a, Schema& s) {
  a.field(s.oid);
  a.field(s.name);
  a.field(s.owner);
  a.field(s.acl);
}
template <class A>
void enum_type(A& a, EnumType& e) {
  a.field(e.oid);
  a.field(e.array_oid);
  a.field(e.schema);
  a.field(e.owner);
  a.field(e.name);
  list(a, e.labels, [&](EnumType::Label& l) {
    a.field(l.oid);
    a.field(l.code);
    a.field(l.text);
  });
}
template <class A>
void role(A& a, Role& r) {
  a.field(r.oid);
  a.field(r.name);
  for (bool* flag :
       {&r.superuser, &r.inherit, &r.create_role, &r.create_db, &r.login, &r.replication, &r.bypass_rls})
    a.field(*flag);
  a.field(r.connection_limit);
  a.field(r.password_verifier);
  a.field(r.valid_until);
}

template <class T, class F>
void write(const T& object, Bytes& out, F fields) {
  out.push_back(static_cast<std::byte>(kFormat));
  Writer w{out};
  T copy = object;
  fields(w, copy);
}
template <class T, class F>
bool read(ByteSpan in, T* out, F fields) {
  if (in.empty() || static_cast<std::uint8_t>(in[0]) != kFormat) return false;
  Reader r{in.subspan(1)};
  fields(r, *out);
  return r.ok();
}

template <class A>
void datums(A& a, std::vector<types::Datum>& values, const types::TypeRef& type, Arena* memory) {
  auto n = static_cast<std::uint32_t>(values.size());
  a.field(n);
  if constexpr (A::kReads) {
    values.clear();
    for (std::uint32_t i = 0; i < n && a.ok(); ++i) {
      std::string stored;
      a.field(stored);
      if (types::is_variable(type.phys)) {
        values.push_back(types::load_stored(as_bytes(memory->copy(stored)), type.phys, *memory));
      } else if (stored.size() == types::width_of(type.phys)) {
        values.push_back(types::load_datum(stored.data(), types::width_of(type.phys)));
      }
    }
  } else {
    for (const auto& v : values) {
      Bytes stored;
      if (types::is_variable(type.phys)) {
        types::append_stored(v, type.phys, stored);
      } else {
        stored.resize(types::width_of(type.phys));
        types::store_datum(stored.data(), v, types::width_of(type.phys));
      }
      a.field(std::string{as_chars(stored)});
    }
  }
}
template <class A>
void statistics(A& a, TableStatistics& s, const Relation& relation) {
  a.field(s.rows);
  a.field(s.pages);
  auto n = static_cast<std::uint32_t>(s.columns.size());
  a.field(n);
  if constexpr (A::kReads) s.columns.resize(std::min<std::size_t>(n, relation.columns.size()));
  for (std::size_t i = 0; i < s.columns.size() && i < relation.columns.size(); ++i) {
    auto& c = s.columns[i];
    const auto& type = relation.columns[i].type;
    a.field(c.null_fraction);
    a.field(c.average_width);
    a.field(c.distinct);
    a.field(c.correlation);
    datums(a, c.common_values, type, s.memory.get());
    list(a, c.common_frequencies, [&](double& d) { a.field(d); });
    datums(a, c.bounds, type, s.memory.get());
  }
}

}  // namespace

void encode(const Relation& object, Bytes& out) {
  write(object, out, [](auto& a, Relation& o) { relation(a, o); });
}
void encode(const Schema& object, Bytes& out) {
  write(object, out, [](auto& a, Schema& o) { schema(a, o); });
}
void encode(const EnumType& object, Bytes& out) {
  write(object, out, [](auto& a, EnumType& o) { enum_type(a, o); });
}
void encode(const Role& object, Bytes& out) {
  write(object, out, [](auto& a, Role& o) { role(a, o); });
}
void encode(const TableStatistics& object, const Relation& of, Bytes& out) {
  write(object, out, [&](auto& a, TableStatistics& o) { statistics(a, o, of); });
}
bool decode(ByteSpan in, Relation* out) {
  return read(in, out, [](auto& a, Relation& o) { relation(a, o); });
}
bool decode(ByteSpan in, Schema* out) {
  return read(in, out, [](auto& a, Schema& o) { schema(a, o); });
}
bool decode(ByteSpan in, EnumType* out) {
  return read(in, out, [](auto& a, EnumType& o) { enum_type(a, o); });
}
bool decode(ByteSpan in, Role* out) {
  return read(in, out, [](auto& a, Role& o) { role(a, o); });
}
bool decode(ByteSpan in, const Relation& of, TableStatistics* out) {
  out->memory = std::make_shared<Arena>();
  return read(in, out, [&](auto& a, TableStatistics& o) { statistics(a, o, of); });
}

}  // namespace rustbd::catalog
