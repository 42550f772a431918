// Set-returning functions: generate_series, generate_subscripts, unnest, string_to_table.
#include "rustbd/base/error.h"
#include "rustbd/functions/kernel_table.h"
#include "rustbd/functions/text_tools.h"
#include "rustbd/functions/vector_kernel.h"
#include "rustbd/types/array.h"
#include "rustbd/types/compare.h"
#include "rustbd/types/datetime.h"
#include "rustbd/types/numeric.h"

namespace rustbd::functions {

namespace {

using Args = const Datum*;
using types::kVectorSize;

[[noreturn]] void zero_step() {
  throw error(sqlstate::kInvalidParameterValue, "step size cannot equal zero");
}

template <class T>
struct IntegerSeries {
  T next, last, step;
  bool done;
};
template <class T>
void* start_integers(EvalContext& c, Args a, const bool*) {
  const T step = c.argument_types.size() > 2 ? get<T>(a[2]) : T{1};
  if (step == 0) zero_step();
  return c.arena->make<IntegerSeries<T>>(IntegerSeries<T>{get<T>(a[0]), get<T>(a[1]), step, false});
}
template <class T>
std::uint32_t next_integers(EvalContext& c, void* state, types::ChunkBuffer& out) {
  auto& s = *static_cast<IntegerSeries<T>*>(state);
  if (c.cancel != nullptr) c.cancel->check();
  types::Chunk& chunk = out.begin();
  T* values = chunk[0].template values<T>();
  std::uint32_t n = 0;
  while (!s.done && n < kVectorSize && (s.step > 0 ? s.next <= s.last : s.next >= s.last)) {
    values[n++] = s.next;
    s.done = __builtin_add_overflow(s.next, s.step, &s.next);
  }
  chunk.select_all(n);
  return n;
}

struct NumericSeries {
  types::Numeric next, last, step;
  bool up;
};
void* start_numerics(EvalContext& c, Args a, const bool*) {
  const std::size_t n = c.argument_types.size();
  static constexpr std::string_view names[] = {"start", "stop", "step"};
  for (std::size_t i = 0; i < n; ++i) {
    if (types::is_nan(a[i].numeric))
      throw error(sqlstate::kInvalidParameterValue, "{}{} cannot be NaN", names[i],
                  i == 2 ? " size" : " value");
    if (types::is_infinite(a[i].numeric))
      throw error(sqlstate::kInvalidParameterValue, "{}{} cannot be infinity", names[i],
                  i == 2 ? " size" : " value");
  }
  NumericSeries s;
  s.next = types::copy_numeric(a[0].numeric, *c.arena);
  s.last = types::copy_numeric(a[1].numeric, *c.arena);
  s.step = n > 2 ? types::copy_numeric(a[2].numeric, *c.arena) : types::numeric_from_int64(1);
  if (types::sign_of(s.step) == 0) zero_step();
  s.up = types::sign_of(s.step) > 0;
  return c.arena->make<NumericSeries>(s);
}
std::uint32_t next_numerics(EvalContext& c, void* state, types::ChunkBuffer& out) {
  auto& s = *static_cast<NumericSeries*>(state);
  if (c.cancel != nullptr) c.cancel->check();
  types::Chunk& chunk = out.begin();
  std::uint32_t n = 0;
  for (; n < kVectorSize; ++n) {
    const int order = types::compare(s.next, s.last);
    if (s.up ? order > 0 : order < 0) break;
    out.put(0, n, Datum::of(s.next), false);
    s.next = types::add(s.next, s.step, *c.arena);
  }
  chunk.select_all(n);
  return n;
}

struct TimeSeries {
  std::int64_t next, last;
  types::Interval step;
  bool up, with_zone;
};
template <bool kWithZone>
void* start_times(EvalContext& c, Args a, const bool*) {
  const types::Interval zero{};
  const int sign = types::compare_intervals(a[2].interval, zero);
  if (sign == 0) zero_step();
  return c.arena->make<TimeSeries>(TimeSeries{a[0].i64, a[1].i64, a[2].interval, sign > 0, kWithZone});
}
std::uint32_t next_times(EvalContext& c, void* state, types::ChunkBuffer& out) {
  auto& s = *static_cast<TimeSeries*>(state);
  if (c.cancel != nullptr) c.cancel->check();
  types::Chunk& chunk = out.begin();
  auto* values = chunk[0].values<std::int64_t>();
  std::uint32_t n = 0;
  while (n < kVectorSize && (s.up ? s.next <= s.last : s.next >= s.last)) {
    values[n++] = s.next;
    s.next = s.with_zone ? types::timestamptz_add(s.next, s.step, types::zone_of(c.statement->io().settings))
                         : types::timestamp_add(s.next, s.step);
  }
  chunk.select_all(n);
  return n;
}

void* start_subscripts(EvalContext& c, Args a, const bool*) {
  const types::ArrayView view{a[0].str};
  const bool reverse = c.argument_types.size() > 2 && a[2].boolean;
  IntegerSeries<std::int32_t> s{1, 0, 1, false};
  if (a[1].i32 >= 1 && a[1].i32 <= view.ndim()) {
    const auto& d = view.dimension(a[1].i32 - 1);
    s = {d.lower, d.lower + d.length - 1, 1, d.length == 0};
    if (reverse) s = {s.last, d.lower, -1, d.length == 0};
  }
  return c.arena->make<IntegerSeries<std::int32_t>>(s);
}

struct Unnesting {
  types::ArrayView view;
  types::ArrayView::Cursor cursor;
  Unnesting(std::string_view payload, Arena& arena) : view(payload), cursor(view, arena) {}
};
void* start_unnest(EvalContext& c, Args a, const bool*) {
  return c.arena->own<Unnesting>(c.arena->copy(text_of(a[0])), *c.arena);
}
std::uint32_t next_unnest(EvalContext&, void* state, types::ChunkBuffer& out) {
  auto& s = *static_cast<Unnesting*>(state);
  types::Chunk& chunk = out.begin();
  std::uint32_t n = 0;
  while (n < kVectorSize && s.cursor.next()) {
    if (s.cursor.is_null()) out.set_null(0, n);
    else out.put(0, n, s.cursor.value(), false);
    ++n;
  }
  chunk.select_all(n);
  return n;
}

struct Fields {
  std::string_view rest, delimiter, null_text;
  bool done, has_null, by_characters;
};
void* start_fields(EvalContext& c, Args a, const bool* nulls) {
  Fields f{};
  f.done = nulls[0] || a[0].str.len == 0;
  if (!f.done) f.rest = c.arena->copy(text_of(a[0]));
  f.by_characters = nulls[1];
  if (!nulls[1]) f.delimiter = c.arena->copy(text_of(a[1]));
  f.has_null = c.argument_types.size() > 2 && !nulls[2];
  if (f.has_null) f.null_text = c.arena->copy(text_of(a[2]));
  return c.arena->make<Fields>(f);
}
std::uint32_t next_fields(EvalContext&, void* state, types::ChunkBuffer& out) {
  auto& f = *static_cast<Fields*>(state);
  types::Chunk& chunk = out.begin();
  std::uint32_t n = 0;
  while (!f.done && n < kVectorSize) {
    std::size_t end = std::string_view::npos, skip = 0;
    if (f.by_characters) {
      end = char_bytes(f.rest[0]);
    } else if (!f.delimiter.empty()) {
      end = f.rest.find(f.delimiter);
      skip = f.delimiter.size();
    }
    const std::string_view field = f.rest.substr(0, end);
    f.done = end == std::string_view::npos || (f.by_characters && end >= f.rest.size());
    if (!f.done) f.rest.remove_prefix(end + skip);
    out.put(0, n++, text_part(field), f.has_null && field == f.null_text);
  }
  chunk.select_all(n);
  return n;
}

// ---- catalog ----
/// Partitions do not exist: no table has ancestors.
void* start_nothing(EvalContext&, Args, const bool*) { return nullptr; }
std::uint32_t next_nothing(EvalContext&, void*, types::ChunkBuffer& out) {
  out.begin().select_all(0);
  return 0;
}
/// {name=value, name}: option_name, option_value.
std::uint32_t next_options(EvalContext&, void* state, types::ChunkBuffer& out) {
  auto& s = *static_cast<Unnesting*>(state);
  types::Chunk& chunk = out.begin();
  std::uint32_t n = 0;
  while (n < kVectorSize && s.cursor.next()) {
    if (s.cursor.is_null()) continue;
    const std::string_view option = text_of(s.cursor.value());
    const auto equals = option.find('=');
    out.put(0, n, text_part(option.substr(0, equals)), false);
    const bool has_value = equals != std::string_view::npos;
    out.put(1, n++, text_part(has_value ? option.substr(equals + 1) : std::string_view{}), !has_value);
  }
  chunk.select_all(n);
  return n;
}

}  // namespace

void register_set_kernels(KernelTable& t) {
  t.set("pg_partition_ancestors", {&start_nothing, &next_nothing});
  t.set("pg_options_to_table", {&start_unnest, &next_options});
  t.set("generate_series_int4", {&start_integers<std::int32_t>, &next_integers<std::int32_t>});
  t.set("generate_series_step_int4", {&start_integers<std::int32_t>, &next_integers<std::int32_t>});
  t.set("generate_series_int8", {&start_integers<std::int64_t>, &next_integers<std::int64_t>});
  t.set("generate_series_step_int8", {&start_integers<std::int64_t>, &next_integers<std::int64_t>});
  t.set("generate_series_numeric", {&start_numerics, &next_numerics});
  t.set("generate_series_step_numeric", {&start_numerics, &next_numerics});
  t.set("generate_series_timestamp", {&start_times<false>, &next_times});
  t.set("generate_series_timestamptz", {&start_times<true>, &next_times});
  t.set("generate_subscripts", {&start_subscripts, &next_integers<std::int32_t>});
  t.set("generate_subscripts_nodir", {&start_subscripts, &next_integers<std::int32_t>});
  t.set("array_unnest", {&start_unnest, &next_unnest});
  t.set("text_to_table", {&start_fields, &next_fields});
  t.set("text_to_table_null", {&start_fields, &next_fields});
}

}  // namespace rustbd::functions
