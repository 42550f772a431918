// How the functions that read the catalog or the server's state are called: one shape, tables by name.
// Internal to context.
#pragma once

#include "rustbd/engine/context/session_context.h"

namespace rustbd::engine {

/// One call. Strict functions get no nulls.
struct CatalogCall {
  SessionContext& context;
  std::string_view name;  // pg_proc.proname
  std::span<const types::Datum> args;
  std::span<const bool> nulls;
  Arena& arena;
  types::Datum* result;
  std::shared_ptr<const catalog::CatalogSnapshot> catalog;

  [[nodiscard]] Session::Parts& parts() const { return context.parts(); }
  [[nodiscard]] Oid oid(std::size_t i) const { return args[i].u32; }
  [[nodiscard]] std::int32_t int4(std::size_t i) const { return args[i].i32; }
  [[nodiscard]] std::string_view text(std::size_t i) const { return args[i].str.view(); }
  /// A last boolean argument that may be missing.
  [[nodiscard]] bool flag(std::size_t i) const { return has(i) && args[i].boolean; }
  [[nodiscard]] bool has(std::size_t i) const { return i < args.size() && !nulls[i]; }
  // Each returns true, for `return call.put(...)`.
  bool put(bool v) const {
    *result = types::Datum::of(v);
    return true;
  }
  bool put(std::int32_t v) const {
    *result = types::Datum::of(v);
    return true;
  }
  bool put(std::int64_t v) const {
    *result = types::Datum::of(v);
    return true;
  }
  bool put(std::uint64_t v) const {
    *result = types::Datum::of(v);
    return true;
  }
  bool put_oid(Oid v) const {
    *result = types::Datum::of(v);
    return true;
  }
  bool put(std::string_view v) const {
    *result = types::Datum::of(types::Str::copy(v, arena));
    return true;
  }
};

struct CatalogFunction {
  std::string_view name;
  bool (*run)(const CatalogCall&);  // false: NULL
};

std::span<const CatalogFunction>
definition_functions();  // definition_functions.cc: pg_get_*, names, comments
std::span<const CatalogFunction>
privilege_functions();  // privilege_functions.cc: has_*_privilege, pg_has_role
std::span<const CatalogFunction>
server_functions();  // server_functions.cc: sizes, backends, locks, log positions

}  // namespace rustbd::engine
