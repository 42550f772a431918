#include <map>

#include "rustbd/base/assert.h"
#include "rustbd/catalog/pg_catalog/fills.h"
#include "rustbd/catalog/pg_catalog/io_functions.h"
#include "rustbd/catalog/pg_catalog/operator_classes.h"
#include "rustbd/functions/registry.h"

namespace rustbd::catalog {

namespace {

#include "rustbd/catalog/pg_catalog/rows.inc"

struct OperatorClass {
  Oid oid, method, type;
  std::string_view name;
  bool is_default;
};
/// From pg_opclass: oid, method, name, schema, owner, family, type, default, key type.
const std::vector<OperatorClass>& operator_classes() {
  static const std::vector<OperatorClass> all = [] {
    std::vector<OperatorClass> out;
    for_each_line(kRowsOf_pg_opclass, [&](std::string_view line) {
      const auto v = split_line(line);
      out.push_back({number_of(v[0]), number_of(v[1]), number_of(v[6]), v[2], v[7] == "t" || v[7] == "true"});
    });
    return out;
  }();
  return all;
}

}  // namespace

std::string_view builtin_rows(std::string_view relation) {
  static const std::map<std::string_view, std::string_view> all{{"pg_am", kRowsOf_pg_am},
                                                                {"pg_opfamily", kRowsOf_pg_opfamily},
                                                                {"pg_opclass", kRowsOf_pg_opclass},
                                                                {"pg_amop", kRowsOf_pg_amop},
                                                                {"pg_amproc", kRowsOf_pg_amproc},
                                                                {"pg_collation", kRowsOf_pg_collation},
                                                                {"pg_type", kRowsOf_pg_type},
                                                                {"pg_language", kRowsOf_pg_language},
                                                                {"pg_tablespace", kRowsOf_pg_tablespace}};
  const auto it = all.find(relation);
  RUSTBD_ASSERT(it != all.end(), "a relation with built-in rows");
  return it->second;
}
std::string_view time_zone_names() { return kTimeZoneNames; }

std::span<const IoFunction> io_functions() {
  static const std::vector<IoFunction> all = [] {
    std::vector<IoFunction> out;
    for_each_line(kIoFunctions, [&](std::string_view line) {
      const auto v = split_line(line);
      IoFunction f{number_of(v[0]), v[1], number_of(v[2]), {}, v[4].empty() ? 'i' : v[4][0]};
      bool known =
          types::find_type(f.result) != nullptr && functions::Registry::instance().function(f.oid) == nullptr;
      for (std::string_view rest = v[3]; !rest.empty();) {
        f.arguments.push_back(number_of(rest));
        known = known && types::find_type(f.arguments.back()) != nullptr;
        const auto space = rest.find(' ');
        rest.remove_prefix(space == std::string_view::npos ? rest.size() : space + 1);
      }
      if (known) out.push_back(std::move(f));
    });
    return out;
  }();
  return all;
}

Oid default_operator_class(Oid type, Oid access_method) {
  const auto exact = [&](Oid t) -> Oid {
    for (const auto& c : operator_classes())
      if (c.type == t && c.method == access_method && c.is_default) return c.oid;
    return 0;
  };
  if (const Oid found = exact(type); found != 0) return found;
  if (type == types::oid::kVarchar) return exact(types::oid::kText);
  if (types::element_type_of(type) != 0) return exact(types::oid::kAnyarray);
  return types::find_type(type) == nullptr ? exact(types::oid::kAnyenum) : 0;
}
std::string_view operator_class_name(Oid operator_class) {
  for (const auto& c : operator_classes())
    if (c.oid == operator_class) return c.name;
  return {};
}

}  // namespace rustbd::catalog
