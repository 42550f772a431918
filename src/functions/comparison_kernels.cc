// = <> < <= > >= of every type but numeric (numeric_kernels.cc), hot ones as loops over plain values.
#include <cmath>

#include "rustbd/functions/kernel_table.h"
#include "rustbd/functions/text_tools.h"
#include "rustbd/functions/vector_kernel.h"
#include "rustbd/types/array.h"
#include "rustbd/types/compare.h"
#include "rustbd/types/datetime.h"

namespace rustbd::functions {

namespace {

using types::Interval;
using types::Str;
using types::TimeTz;
using types::Uuid;

enum class Order : std::uint8_t { kEq, kNe, kLt, kLe, kGt, kGe };

template <Order O>
constexpr bool holds(int c) {
  switch (O) {
    case Order::kEq: return c == 0;
    case Order::kNe: return c != 0;
    case Order::kLt: return c < 0;
    case Order::kLe: return c <= 0;
    case Order::kGt: return c > 0;
    case Order::kGe: return c >= 0;
  }
}
template <Order O, class T>
constexpr bool plain(const T& a, const T& b) {
  switch (O) {
    case Order::kEq: return a == b;
    case Order::kNe: return a != b;
    case Order::kLt: return a < b;
    case Order::kLe: return a <= b;
    case Order::kGt: return a > b;
    case Order::kGe: return a >= b;
  }
}

template <class T>
int float_order(T a, T b) {
  if (std::isnan(a)) return std::isnan(b) ? 0 : 1;
  if (std::isnan(b)) return -1;
  return a < b ? -1 : (a > b ? 1 : 0);
}

/// Numbers of possibly different widths.
template <Order O, class L, class R>
struct Numbers : NeverFails {
  using Left = L;
  using Right = R;
  using Result = bool;
  static bool run(L a, R b, bool& out) {
    using T = std::common_type_t<L, R>;
    if constexpr (std::is_floating_point_v<T>) {
      // The first test decides unless one is NaN, so the loop stays a vector loop.
      if constexpr (O == Order::kEq) out = a == b || (std::isnan(a) && std::isnan(b));
      else if constexpr (O == Order::kNe) out = a != b && !(std::isnan(a) && std::isnan(b));
      else out = holds<O>(float_order<T>(a, b));
    } else {
      out = plain<O, T>(a, b);
    }
    return false;
  }
};
template <Order O>
struct Texts : NeverFails {
  using Left = Str;
  using Right = Str;
  using Result = bool;
  static bool run(const Str& a, const Str& b, bool& out) {
    if constexpr (O == Order::kEq) out = a == b;
    else if constexpr (O == Order::kNe) out = !(a == b);
    else out = holds<O>(a.compare(b));
    return false;
  }
};
template <Order O>
struct Blanked : NeverFails {
  using Left = Str;
  using Right = Str;
  using Result = bool;
  static bool run(const Str& a, const Str& b, bool& out) {
    out = holds<O>(strip_blanks(a).compare(strip_blanks(b)));
    return false;
  }
};
template <Order O>
struct Uuids : NeverFails {
  using Left = Uuid;
  using Right = Uuid;
  using Result = bool;
  static bool run(const Uuid& a, const Uuid& b, bool& out) {
    out = plain<O>(a, b);
    return false;
  }
};
template <Order O>
struct Intervals : NeverFails {
  using Left = Interval;
  using Right = Interval;
  using Result = bool;
  static bool run(const Interval& a, const Interval& b, bool& out) {
    out = holds<O>(types::compare_intervals(a, b));
    return false;
  }
};
template <Order O>
struct TimeTzs : NeverFails {
  using Left = TimeTz;
  using Right = TimeTz;
  using Result = bool;
  static bool run(const TimeTz& a, const TimeTz& b, bool& out) {
    out = holds<O>(types::compare_timetz(a, b));
    return false;
  }
};

struct SixNames {
  std::string_view eq, ne, lt, le, gt, ge;
};

template <template <Order> class Op>
void add_six(KernelTable& t, const SixNames& n) {
  t.vector(n.eq, &binary_vector<Op<Order::kEq>>, &binary_scalar<Op<Order::kEq>>, false);
  t.vector(n.ne, &binary_vector<Op<Order::kNe>>, &binary_scalar<Op<Order::kNe>>, false);
  t.vector(n.lt, &binary_vector<Op<Order::kLt>>, &binary_scalar<Op<Order::kLt>>, false);
  t.vector(n.le, &binary_vector<Op<Order::kLe>>, &binary_scalar<Op<Order::kLe>>, false);
  t.vector(n.gt, &binary_vector<Op<Order::kGt>>, &binary_scalar<Op<Order::kGt>>, false);
  t.vector(n.ge, &binary_vector<Op<Order::kGe>>, &binary_scalar<Op<Order::kGe>>, false);
}
template <class L, class R>
struct NumberPair {
  template <Order O>
  using Op = Numbers<O, L, R>;
};
template <class L, class R = L>
void add_numbers(KernelTable& t, const SixNames& n) {
  add_six<NumberPair<L, R>::template Op>(t, n);
}

/// Boxed: any order given by a function of two datums.
using Comparer = int (*)(EvalContext&, const Datum&, const Datum&);
template <Comparer C, Order O>
void boxed(EvalContext& c, const Datum* a, const bool*, Datum& out, bool*) {
  out = Datum::of(holds<O>(C(c, a[0], a[1])));
}
template <Comparer C>
void add_boxed(KernelTable& t, const SixNames& n, bool can_error) {
  t.scalar(n.eq, &boxed<C, Order::kEq>, can_error);
  t.scalar(n.ne, &boxed<C, Order::kNe>, can_error);
  t.scalar(n.lt, &boxed<C, Order::kLt>, can_error);
  t.scalar(n.le, &boxed<C, Order::kLe>, can_error);
  t.scalar(n.gt, &boxed<C, Order::kGt>, can_error);
  t.scalar(n.ge, &boxed<C, Order::kGe>, can_error);
}

int by_type(EvalContext& c, const Datum& a, const Datum& b) {
  return types::compare(a, b, c.argument_types[0]);
}

template <class T>
int three_way(T a, T b) {
  return a < b ? -1 : (a > b ? 1 : 0);
}
/// Never fails: a date beyond the range of timestamps is later than all finite ones.
types::Int128 date_as_timestamp(std::int32_t date) {
  if (date == types::kDateInfinity) return types::kTimestampInfinity;
  if (date == types::kDateMinusInfinity) return types::kTimestampMinusInfinity;
  return static_cast<types::Int128>(date) * types::kUsPerDay;
}
int date_timestamp(EvalContext&, const Datum& a, const Datum& b) {
  if (b.i64 == types::kTimestampInfinity) return a.i32 == types::kDateInfinity ? 0 : -1;
  return three_way<types::Int128>(date_as_timestamp(a.i32), b.i64);
}
int timestamp_date(EvalContext& c, const Datum& a, const Datum& b) { return -date_timestamp(c, b, a); }
const types::TimeZone& session_zone(EvalContext& c) { return types::zone_of(c.statement->io().settings); }
int date_timestamptz(EvalContext& c, const Datum& a, const Datum& b) {
  if (!types::is_finite_date(a.i32) || a.i32 > 106751991 - 10957) return date_timestamp(c, a, b);
  return three_way(types::date_to_timestamptz(a.i32, session_zone(c)), b.i64);
}
int timestamptz_date(EvalContext& c, const Datum& a, const Datum& b) { return -date_timestamptz(c, b, a); }
int timestamp_timestamptz(EvalContext& c, const Datum& a, const Datum& b) {
  return three_way(types::timestamp_to_timestamptz(a.i64, session_zone(c)), b.i64);
}
int timestamptz_timestamp(EvalContext& c, const Datum& a, const Datum& b) {
  return -timestamp_timestamptz(c, b, a);
}

template <class T>
void number_order(EvalContext&, const Datum* a, const bool*, Datum& out, bool*) {
  out = Datum::of(std::int32_t{three_way(get<T>(a[0]), get<T>(a[1]))});
}
void type_order(EvalContext& c, const Datum* a, const bool*, Datum& out, bool*) {
  out = Datum::of(std::int32_t{by_type(c, a[0], a[1])});
}
void larger(EvalContext& c, const Datum* a, const bool*, Datum& out, bool*) {
  out = by_type(c, a[0], a[1]) >= 0 ? a[0] : a[1];
}
void smaller(EvalContext& c, const Datum* a, const bool*, Datum& out, bool*) {
  out = by_type(c, a[0], a[1]) <= 0 ? a[0] : a[1];
}

void add_integers(KernelTable& t) {
  using I2 = std::int16_t;
  using I4 = std::int32_t;
  using I8 = std::int64_t;
  add_numbers<I2>(t, {"int2eq", "int2ne", "int2lt", "int2le", "int2gt", "int2ge"});
  add_numbers<I4>(t, {"int4eq", "int4ne", "int4lt", "int4le", "int4gt", "int4ge"});
  add_numbers<I8>(t, {"int8eq", "int8ne", "int8lt", "int8le", "int8gt", "int8ge"});
  add_numbers<I2, I4>(t, {"int24eq", "int24ne", "int24lt", "int24le", "int24gt", "int24ge"});
  add_numbers<I4, I2>(t, {"int42eq", "int42ne", "int42lt", "int42le", "int42gt", "int42ge"});
  add_numbers<I2, I8>(t, {"int28eq", "int28ne", "int28lt", "int28le", "int28gt", "int28ge"});
  add_numbers<I8, I2>(t, {"int82eq", "int82ne", "int82lt", "int82le", "int82gt", "int82ge"});
  add_numbers<I4, I8>(t, {"int48eq", "int48ne", "int48lt", "int48le", "int48gt", "int48ge"});
  add_numbers<I8, I4>(t, {"int84eq", "int84ne", "int84lt", "int84le", "int84gt", "int84ge"});
  add_numbers<Oid>(t, {"oideq", "oidne", "oidlt", "oidle", "oidgt", "oidge"});
  add_numbers<bool>(t, {"booleq", "boolne", "boollt", "boolle", "boolgt", "boolge"});
  add_numbers<unsigned char>(t, {"chareq", "charne", "charlt", "charle", "chargt", "charge"});
  add_numbers<std::uint64_t>(t, {"enum_eq", "enum_ne", "enum_lt", "enum_le", "enum_gt", "enum_ge"});
  add_numbers<std::uint64_t>(t, {"xid8eq", "xid8ne", "xid8lt", "xid8le", "xid8gt", "xid8ge"});
  add_numbers<std::uint64_t>(t,
                             {"pg_lsn_eq", "pg_lsn_ne", "pg_lsn_lt", "pg_lsn_le", "pg_lsn_gt", "pg_lsn_ge"});
  add_numbers<I4>(t, {"date_eq", "date_ne", "date_lt", "date_le", "date_gt", "date_ge"});
  add_numbers<I8>(t, {"time_eq", "time_ne", "time_lt", "time_le", "time_gt", "time_ge"});
  add_numbers<I8>(
      t, {"timestamp_eq", "timestamp_ne", "timestamp_lt", "timestamp_le", "timestamp_gt", "timestamp_ge"});
  using EqualOids = Numbers<Order::kEq, Oid, Oid>;
  using DifferentOids = Numbers<Order::kNe, Oid, Oid>;
  t.vector("xideq", &binary_vector<EqualOids>, &binary_scalar<EqualOids>, false);
  t.vector("xidneq", &binary_vector<DifferentOids>, &binary_scalar<DifferentOids>, false);
  t.vector("cideq", &binary_vector<EqualOids>, &binary_scalar<EqualOids>, false);
}

void add_others(KernelTable& t) {
  add_numbers<float>(t, {"float4eq", "float4ne", "float4lt", "float4le", "float4gt", "float4ge"});
  add_numbers<double>(t, {"float8eq", "float8ne", "float8lt", "float8le", "float8gt", "float8ge"});
  add_numbers<float, double>(t,
                             {"float48eq", "float48ne", "float48lt", "float48le", "float48gt", "float48ge"});
  add_numbers<double, float>(t,
                             {"float84eq", "float84ne", "float84lt", "float84le", "float84gt", "float84ge"});
  add_six<Texts>(t, {"texteq", "textne", "text_lt", "text_le", "text_gt", "text_ge"});
  add_six<Texts>(t, {"nameeq", "namene", "namelt", "namele", "namegt", "namege"});
  add_six<Texts>(t, {"nameeqtext", "namenetext", "namelttext", "nameletext", "namegttext", "namegetext"});
  add_six<Texts>(t, {"texteqname", "textnename", "textltname", "textlename", "textgtname", "textgename"});
  add_six<Texts>(t, {"byteaeq", "byteane", "bytealt", "byteale", "byteagt", "byteage"});
  add_six<Texts>(
      t, {"texteq", "textne", "text_pattern_lt", "text_pattern_le", "text_pattern_gt", "text_pattern_ge"});
  add_six<Blanked>(t, {"bpchareq", "bpcharne", "bpcharlt", "bpcharle", "bpchargt", "bpcharge"});
  add_six<Blanked>(t, {"bpchareq", "bpcharne", "bpchar_pattern_lt", "bpchar_pattern_le", "bpchar_pattern_gt",
                       "bpchar_pattern_ge"});
  add_six<Uuids>(t, {"uuid_eq", "uuid_ne", "uuid_lt", "uuid_le", "uuid_gt", "uuid_ge"});
  add_six<Intervals>(
      t, {"interval_eq", "interval_ne", "interval_lt", "interval_le", "interval_gt", "interval_ge"});
  add_six<TimeTzs>(t, {"timetz_eq", "timetz_ne", "timetz_lt", "timetz_le", "timetz_gt", "timetz_ge"});
  add_boxed<by_type>(t, {"array_eq", "array_ne", "array_lt", "array_le", "array_gt", "array_ge"}, false);
  add_boxed<by_type>(
      t, {"oidvectoreq", "oidvectorne", "oidvectorlt", "oidvectorle", "oidvectorgt", "oidvectorge"}, false);
}

void add_mixed_dates(KernelTable& t) {
  add_boxed<date_timestamp>(t,
                            {"date_eq_timestamp", "date_ne_timestamp", "date_lt_timestamp",
                             "date_le_timestamp", "date_gt_timestamp", "date_ge_timestamp"},
                            false);
  add_boxed<timestamp_date>(t,
                            {"timestamp_eq_date", "timestamp_ne_date", "timestamp_lt_date",
                             "timestamp_le_date", "timestamp_gt_date", "timestamp_ge_date"},
                            false);
  add_boxed<date_timestamptz>(t,
                              {"date_eq_timestamptz", "date_ne_timestamptz", "date_lt_timestamptz",
                               "date_le_timestamptz", "date_gt_timestamptz", "date_ge_timestamptz"},
                              true);
  add_boxed<timestamptz_date>(t,
                              {"timestamptz_eq_date", "timestamptz_ne_date", "timestamptz_lt_date",
                               "timestamptz_le_date", "timestamptz_gt_date", "timestamptz_ge_date"},
                              true);
  add_boxed<timestamp_timestamptz>(
      t,
      {"timestamp_eq_timestamptz", "timestamp_ne_timestamptz", "timestamp_lt_timestamptz",
       "timestamp_le_timestamptz", "timestamp_gt_timestamptz", "timestamp_ge_timestamptz"},
      true);
  add_boxed<timestamptz_timestamp>(
      t,
      {"timestamptz_eq_timestamp", "timestamptz_ne_timestamp", "timestamptz_lt_timestamp",
       "timestamptz_le_timestamp", "timestamptz_gt_timestamp", "timestamptz_ge_timestamp"},
      true);
}

}  // namespace

void register_comparison_kernels(KernelTable& t) {
  add_integers(t);
  add_others(t);
  add_mixed_dates(t);
  t.scalar("btint2cmp", &number_order<std::int16_t>, false);
  t.scalar("btint4cmp", &number_order<std::int32_t>, false);
  t.scalar("btint8cmp", &number_order<std::int64_t>, false);
  t.scalar("btoidcmp", &number_order<Oid>, false);
  t.scalar("date_cmp", &number_order<std::int32_t>, false);
  t.scalar("time_cmp", &number_order<std::int64_t>, false);
  t.scalar("timestamp_cmp", &number_order<std::int64_t>, false);
  for (const std::string_view name :
       {"bttextcmp", "btnamecmp", "bpcharcmp", "byteacmp", "btfloat4cmp", "btfloat8cmp", "btboolcmp",
        "interval_cmp", "timetz_cmp", "uuid_cmp", "btarraycmp", "enum_cmp"})
    t.scalar(name, &type_order, false);
  for (const std::string_view name :
       {"text_larger", "bpchar_larger", "date_larger", "time_larger", "timetz_larger", "timestamp_larger",
        "interval_larger", "array_larger", "enum_larger"})
    t.scalar(name, &larger, false);
  for (const std::string_view name :
       {"text_smaller", "bpchar_smaller", "date_smaller", "time_smaller", "timetz_smaller",
        "timestamp_smaller", "interval_smaller", "array_smaller", "enum_smaller"})
    t.scalar(name, &smaller, false);
}

}  // namespace rustbd::functions
