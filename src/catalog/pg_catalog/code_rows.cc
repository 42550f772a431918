// pg_proc, pg_operator, pg_cast, pg_aggregate as the function registry declares them; access methods and
// their kin.
#include "rustbd/catalog/pg_catalog/fills.h"
#include "rustbd/catalog/pg_catalog/io_functions.h"
#include "rustbd/functions/registry.h"

namespace rustbd::catalog {

namespace {

using functions::Registry;
constexpr Oid kLanguageInternal = 12;

struct ProcRow {
  Oid oid = 0;
  std::string_view name;
  std::span<const Oid> arguments{};
  Oid result = 0, variadic = 0;
  char kind = 'f', volatility = 'i';
  bool strict = true, set = false;
  std::uint8_t defaults = 0;
  std::span<const std::string_view> names{};
};

/// OUT columns of a set-returning function follow ">" in the declared names.
void put_names(const ProcRow& p, RowCollector& r) {
  std::vector<std::string> names;
  for (const auto n : p.names)
    if (n != ">") names.emplace_back(n);
  if (names.size() != p.arguments.size()) r.null();
  else if (names.empty()) r.null();
  else r.array(names);
}
void put_proc(const ProcRow& p, RowCollector& r) {
  r.oid(p.oid)
      .text(p.name)
      .oid(oid::kPgCatalog)
      .oid(oid::kBootstrapRole)
      .oid(kLanguageInternal)
      .float4(1)
      .float4(p.set ? 1000 : 0);
  r.oid(p.variadic)
      .oid(0)
      .character(p.kind)
      .boolean(false)
      .boolean(false)
      .boolean(p.strict)
      .boolean(p.set)
      .character(p.volatility);
  r.character('s')
      .int2(static_cast<std::int16_t>(p.arguments.size()))
      .int2(p.defaults)
      .oid(p.result)
      .array(p.arguments);
  r.null().null();
  put_names(p, r);
  r.null().null().text(p.name).null().null().null().null().end_row();
}

void fill_proc(VirtualContext&, RowCollector& r) {
  const auto& registry = Registry::instance();
  for (const auto& f : registry.all_functions()) {
    ProcRow p;
    p.oid = f.oid, p.name = f.name, p.arguments = f.arguments, p.result = f.result,
    p.variadic = f.variadic_element;
    p.volatility = f.is(functions::kVolatile) ? 'v' : (f.is(functions::kStable) ? 's' : 'i');
    p.strict = f.is(functions::kStrict), p.set = f.is(functions::kSetReturning), p.defaults = f.default_count,
    p.names = f.argument_names;
    put_proc(p, r);
  }
  for (const auto& a : registry.all_aggregates()) {
    ProcRow p;
    p.oid = a.oid, p.name = a.name, p.arguments = a.arguments, p.result = a.result, p.strict = false;
    p.kind = a.kind == 'w' ? 'w' : 'a';  // window functions are declared beside the aggregates
    put_proc(p, r);
  }
  for (const auto& f : io_functions()) {
    ProcRow p;
    p.oid = f.oid, p.name = f.name, p.arguments = f.arguments, p.result = f.result,
    p.volatility = f.volatility;
    put_proc(p, r);
  }
}

void fill_operator(VirtualContext&, RowCollector& r) {
  for (const auto& o : Registry::instance().all_operators()) {
    r.oid(o.oid)
        .text(o.name)
        .oid(oid::kPgCatalog)
        .oid(oid::kBootstrapRole)
        .character(o.left == 0 ? 'l' : 'b')
        .boolean(o.can_merge);
    r.boolean(o.can_hash)
        .oid(o.left)
        .oid(o.right)
        .oid(o.result)
        .oid(o.commutator)
        .oid(o.negator)
        .oid(o.function)
        .oid(0)
        .oid(0)
        .end_row();
  }
}
void fill_cast(VirtualContext&, RowCollector& r) {
  static constexpr char kContexts[] = {'i', 'a', 'e'};
  for (const auto& c : Registry::instance().all_casts()) {
    r.oid(c.oid)
        .oid(c.source)
        .oid(c.target)
        .oid(c.function)
        .character(kContexts[static_cast<std::size_t>(c.context)]);
    r.character(c.by_io ? 'i' : (c.function == 0 ? 'b' : 'f')).end_row();
  }
}
/// The functions of an aggregate are kernels, not SQL functions: aggtransfn names the aggregate itself.
void fill_aggregate(VirtualContext&, RowCollector& r) {
  for (const auto& a : Registry::instance().all_aggregates()) {
    if (a.kind == 'w') continue;
    r.oid(a.oid)
        .character(static_cast<char>(a.kind))
        .int2(0)
        .oid(a.oid)
        .oid(0)
        .oid(0)
        .oid(0)
        .oid(0)
        .oid(0)
        .oid(0)
        .oid(0);
    r.boolean(false)
        .boolean(false)
        .character('r')
        .character('r')
        .oid(0)
        .oid(types::oid::kInternal)
        .int4(0)
        .oid(0)
        .int4(0)
        .null()
        .null()
        .end_row();
  }
}

template <char const* Relation>
void fill_builtin(VirtualContext&, RowCollector& r) {
  fill_from_text(builtin_rows(Relation), r);
}
constexpr char kAm[] = "pg_am", kOpfamily[] = "pg_opfamily", kOpclass[] = "pg_opclass", kAmop[] = "pg_amop",
               kAmproc[] = "pg_amproc", kCollation[] = "pg_collation", kLanguage[] = "pg_language",
               kTablespace[] = "pg_tablespace";

constexpr NamedFill kFills[] = {
    {"pg_proc", &fill_proc},
    {"pg_operator", &fill_operator},
    {"pg_cast", &fill_cast},
    {"pg_aggregate", &fill_aggregate},
    {kAm, &fill_builtin<kAm>},
    {kOpfamily, &fill_builtin<kOpfamily>},
    {kOpclass, &fill_builtin<kOpclass>},
    {kAmop, &fill_builtin<kAmop>},
    {kAmproc, &fill_builtin<kAmproc>},
    {kCollation, &fill_builtin<kCollation>},
    {kLanguage, &fill_builtin<kLanguage>},
    {kTablespace, &fill_builtin<kTablespace>},
};

}  // namespace

std::span<const NamedFill> code_fills() { return kFills; }

}  // namespace rustbd::catalog
