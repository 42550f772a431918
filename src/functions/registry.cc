#include "rustbd/functions/registry.h"

#include <algorithm>
#include <charconv>
#include <deque>
#include <unordered_map>

#include "rustbd/base/error.h"
#include "rustbd/functions/kernel_table.h"
#include "rustbd/types/type.h"

namespace rustbd::functions {

namespace {

// Rows hold plain pointers: the compiler measures a string_view of each of ten thousand literals for half a
// minute.
struct FunctionRow {
  Oid oid;
  const char *name, *key, *arguments;
  Oid result;
  const char* flags;  // s strict, i/s/v volatility follow, r set-returning
  Oid variadic;
  int defaults;
  const char* argument_names;
};
struct OperatorRow {
  Oid oid;
  const char* name;
  Oid left, right, result, function, commutator, negator;
  int can_hash, can_merge;
};
struct AggregateRow {
  Oid oid;
  const char *name, *arguments;
  Oid result;
  char kind;
};
struct CastRow {
  Oid oid, source, target, function;
  char context, method;
};

#define OPERATOR(...)
#define CAST(...)
#define AGGREGATE(...)
#define FUNCTION(...) {__VA_ARGS__},
const FunctionRow kFunctionRows[] = {
#include "rustbd/functions/postgres_rows.inc"
    // The server's own. Oids below 10000 that PostgreSQL doesn't use.
    {9010, "rustbd_rotate_keys", "rustbd_rotate_keys", "25", 2278, "sv", 0, 0, "scope"},
    {9011, "rustbd_rotate_keys", "rustbd_rotate_keys_source", "25 25", 2278, "sv", 0, 0, "scope key_source"},
    {9012, "rustbd_backup", "rustbd_backup", "25", 20, "sv", 0, 0, "target"},
    {9013, "rustbd_backup", "rustbd_backup_incremental", "25 25", 20, "sv", 0, 0, "target incremental_from"},
    {9014, "rustbd_backup", "rustbd_backup_with", "25 25 25 20", 20, "sv", 0, 0,
     "target incremental_from compression bytes_per_second"},
    {9015, "rustbd_cancel_backup", "rustbd_cancel_backup", "20", 16, "sv", 0, 0, "id"},
    {9016, "rustbd_create_restore_point", "rustbd_create_restore_point", "25", 3220, "sv", 0, 0, "name"},
    {9017, "rustbd_create_log_consumer", "rustbd_create_log_consumer", "25", 3220, "sv", 0, 0, "name"},
    {9018, "rustbd_advance_log_consumer", "rustbd_advance_log_consumer", "25 3220", 3220, "sv", 0, 0,
     "name upto_lsn"},
    {9019, "rustbd_drop_log_consumer", "rustbd_drop_log_consumer", "25", 2278, "sv", 0, 0, "name"},
};
#undef FUNCTION
#undef AGGREGATE
#define FUNCTION(...)
#define AGGREGATE(...) {__VA_ARGS__},
const AggregateRow kAggregateRows[] = {
#include "rustbd/functions/postgres_rows.inc"
    {9000, "any_value", "2283", 2283, 'n'},  // SQL:2023; PostgreSQL has it from 16 on
};
#undef AGGREGATE
#undef OPERATOR
#define AGGREGATE(...)
#define OPERATOR(...) {__VA_ARGS__},
const OperatorRow kOperatorRows[] = {
#include "rustbd/functions/postgres_rows.inc"
};
#undef OPERATOR
#undef CAST
#define OPERATOR(...)
#define CAST(...) {__VA_ARGS__},
const CastRow kCastRows[] = {
#include "rustbd/functions/postgres_rows.inc"
};
#undef CAST
#undef FUNCTION
#undef AGGREGATE
#undef OPERATOR

std::vector<Oid> parse_oids(std::string_view text) {
  std::vector<Oid> oids;
  const char* at = text.data();
  const char* end = at + text.size();
  while (at < end) {
    Oid oid = 0;
    const auto [next, status] = std::from_chars(at, end, oid);
    RUSTBD_ASSERT(status == std::errc{});
    oids.push_back(oid);
    at = next < end ? next + 1 : end;
  }
  return oids;
}

std::vector<std::string_view> parse_words(std::string_view text) {
  std::vector<std::string_view> words;
  if (text.empty()) return words;
  for (;;) {
    const auto space = text.find(' ');
    words.push_back(text.substr(0, space));
    if (space == std::string_view::npos) return words;
    text.remove_prefix(space + 1);
  }
}

std::uint64_t pair_key(Oid a, Oid b) { return (static_cast<std::uint64_t>(a) << 32) | b; }

std::uint16_t flags_of(const FunctionRow& row, bool can_error) {
  std::uint16_t flags = can_error ? kCanError : 0;
  std::string_view text = row.flags;
  if (text.size() > 1 && text[0] == 's' && text[1] != 'r') {  // "si", "ss", "sv": strict, then the volatility
    flags |= kStrict;
    text.remove_prefix(1);
  }
  flags |= text[0] == 'i' ? kImmutable : (text[0] == 's' ? kStable : kVolatile);
  if (text.ends_with('r')) flags |= kSetReturning;
  if (row.variadic != 0) flags |= kVariadic;
  if (row.defaults != 0) flags |= kDefaultsFromEnd;
  return flags;
}

}  // namespace

struct Registry::Index {
  std::vector<FunctionDeclaration> functions;
  std::vector<AggregateDeclaration> aggregates;
  std::vector<OperatorDeclaration> operators;
  std::vector<CastDeclaration> casts;
  std::unordered_map<Oid, const FunctionDeclaration*> function_by_oid;
  std::unordered_map<Oid, const AggregateDeclaration*> aggregate_by_oid;
  std::unordered_map<Oid, const OperatorDeclaration*> operator_by_oid;
  std::unordered_map<std::string_view, std::vector<const FunctionDeclaration*>> functions_by_name;
  std::unordered_map<std::string_view, std::vector<const AggregateDeclaration*>> aggregates_by_name;
  std::unordered_map<std::string_view, std::vector<const OperatorDeclaration*>> operators_by_name;
  std::unordered_map<std::uint64_t, const CastDeclaration*> cast_by_pair;
  std::deque<std::vector<Oid>> argument_lists;
  std::deque<std::vector<std::string_view>> name_lists;

  void add_functions(const KernelTable& table);
  void add_operators();
  void add_aggregates(const AggregateTable& table);
  void add_casts();
  void index();
};

void Registry::Index::add_functions(const KernelTable& table) {
  functions.reserve(std::size(kFunctionRows));
  for (const FunctionRow& row : kFunctionRows) {
    const KernelEntry* entry = table.find(row.key);
    if (entry == nullptr) continue;
    const auto& arguments = argument_lists.emplace_back(parse_oids(row.arguments));
    const auto& names = name_lists.emplace_back(parse_words(row.argument_names));
    FunctionDeclaration d{row.oid,
                          row.name,
                          arguments,
                          row.result,
                          flags_of(row, entry->can_error),
                          static_cast<std::uint8_t>(row.defaults),
                          static_cast<std::uint16_t>(entry->kernels.vector ? 10 : 80),
                          entry->kernels,
                          names,
                          row.variadic};
    functions.push_back(d);
  }
  for (const OperatorRow& op : kOperatorRows) {
    if (op.commutator != op.oid) continue;
    for (auto& function : functions) {
      if (function.oid == op.function) function.flags |= kCommutative;
    }
  }
}

void Registry::Index::add_operators() {
  operators.reserve(std::size(kOperatorRows));
  for (const OperatorRow& row : kOperatorRows)
    operators.push_back({row.oid, row.name, row.left, row.right, row.result, row.function, row.commutator,
                         row.negator, row.can_hash != 0, row.can_merge != 0});
}

void Registry::Index::add_aggregates(const AggregateTable& table) {
  for (const AggregateRow& row : kAggregateRows) {
    const auto* entry = table.find(row.oid);
    if (entry == nullptr && row.kind != 'w') continue;
    const auto& arguments = argument_lists.emplace_back(parse_oids(row.arguments));
    AggregateDeclaration d{row.oid,    row.name, arguments,
                           row.result, false,    false,
                           false,      {},       static_cast<std::uint8_t>(row.kind)};
    if (entry != nullptr) {
      d.strict = entry->strict;
      d.order_sensitive = entry->order_sensitive;
      d.state_needs_arena = entry->needs_arena;
      d.kernels = entry->kernels;
    }
    aggregates.push_back(d);
  }
}

void Registry::Index::add_casts() {
  for (const CastRow& row : kCastRows) {
    const auto context = row.context == 'i'
                             ? CastContext::kImplicit
                             : (row.context == 'a' ? CastContext::kAssignment : CastContext::kExplicit);
    casts.push_back({row.oid, row.source, row.target, row.function, context, row.method == 'i'});
  }
}

void Registry::Index::index() {
  for (const auto& d : functions) {
    function_by_oid[d.oid] = &d;
    functions_by_name[d.name].push_back(&d);
  }
  for (const auto& d : aggregates) {
    aggregate_by_oid[d.oid] = &d;
    aggregates_by_name[d.name].push_back(&d);
  }
  for (const auto& d : operators) {
    operator_by_oid[d.oid] = &d;
    operators_by_name[d.name].push_back(&d);
  }
  for (const auto& d : casts) cast_by_pair[pair_key(d.source, d.target)] = &d;
}

Registry::Registry() {
  KernelTable kernels;
  register_integer_kernels(kernels);
  register_float_kernels(kernels);
  register_comparison_kernels(kernels);
  register_cast_kernels(kernels);
  register_numeric_kernels(kernels);
  register_text_kernels(kernels);
  register_text_tool_kernels(kernels);
  register_pattern_kernels(kernels);
  register_regex_kernels(kernels);
  register_datetime_kernels(kernels);
  register_datetime_field_kernels(kernels);
  register_format_kernels(kernels);
  register_array_kernels(kernels);
  register_set_kernels(kernels);
  register_system_kernels(kernels);
  AggregateTable aggregates;
  register_number_aggregates(aggregates);
  register_order_aggregates(aggregates);
  register_collect_aggregates(aggregates);
  register_statistic_aggregates(aggregates);
  auto* index = new Index;  // lives as long as the process
  index->add_functions(kernels);
  index->add_operators();
  index->add_aggregates(aggregates);
  index->add_casts();
  index->index();
  index_ = index;
}

const Registry& Registry::instance() {
  static const Registry registry;
  return registry;
}

namespace {
template <class Map, class Key>
auto find_pointer(const Map& map, const Key& key) -> typename Map::mapped_type {
  const auto it = map.find(key);
  return it == map.end() ? nullptr : it->second;
}
template <class T, class Map>
std::span<const T* const> find_span(const Map& map, std::string_view name) {
  const auto it = map.find(name);
  if (it == map.end()) return {};
  return it->second;
}
}  // namespace

const FunctionDeclaration* Registry::function(Oid oid) const {
  return find_pointer(index_->function_by_oid, oid);
}
const AggregateDeclaration* Registry::aggregate(Oid oid) const {
  return find_pointer(index_->aggregate_by_oid, oid);
}
const OperatorDeclaration* Registry::op(Oid oid) const { return find_pointer(index_->operator_by_oid, oid); }
std::span<const FunctionDeclaration* const> Registry::functions(std::string_view name) const {
  return find_span<FunctionDeclaration>(index_->functions_by_name, name);
}
std::span<const AggregateDeclaration* const> Registry::aggregates(std::string_view name) const {
  return find_span<AggregateDeclaration>(index_->aggregates_by_name, name);
}
std::span<const OperatorDeclaration* const> Registry::operators(std::string_view name) const {
  return find_span<OperatorDeclaration>(index_->operators_by_name, name);
}
const CastDeclaration* Registry::cast(Oid source, Oid target) const {
  return find_pointer(index_->cast_by_pair, pair_key(source, target));
}
std::span<const FunctionDeclaration> Registry::all_functions() const { return index_->functions; }
std::span<const AggregateDeclaration> Registry::all_aggregates() const { return index_->aggregates; }
std::span<const OperatorDeclaration> Registry::all_operators() const { return index_->operators; }
std::span<const CastDeclaration> Registry::all_casts() const { return index_->casts; }

void CancelFlag::raise() const {
  switch (static_cast<CancelReason>(reason.load(std::memory_order_relaxed))) {
    case CancelReason::kStatementTimeout:
      throw error(sqlstate::kQueryCanceled, "canceling statement due to statement timeout");
    case CancelReason::kLockTimeout:
      throw error(sqlstate::kLockNotAvailable, "canceling statement due to lock timeout");
    case CancelReason::kAdmin:
      throw error(sqlstate::kAdminShutdown, "terminating connection due to administrator command");
    case CancelReason::kSerialization:
      throw error(sqlstate::kSerializationFailure, "could not serialize access due to concurrent update");
    default: throw error(sqlstate::kQueryCanceled, "canceling statement due to user request");
  }
}

}  // namespace rustbd::functions
