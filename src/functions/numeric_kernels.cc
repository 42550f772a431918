// numeric without static scale; the arithmetic is types/numeric.h.
#include <algorithm>

#include "rustbd/base/error.h"
#include "rustbd/functions/kernel_table.h"
#include "rustbd/functions/vector_kernel.h"
#include "rustbd/types/cast.h"
#include "rustbd/types/numeric.h"

namespace rustbd::functions {

namespace {

using types::Numeric;

enum class Order : std::uint8_t { kEq, kNe, kLt, kLe, kGt, kGe };
template <Order O>
struct Compare : NeverFails {
  using Left = Numeric;
  using Right = Numeric;
  using Result = bool;
  static bool run(const Numeric& a, const Numeric& b, bool& out) {
    const int c = types::compare(a, b);
    switch (O) {
      case Order::kEq: out = c == 0; break;
      case Order::kNe: out = c != 0; break;
      case Order::kLt: out = c < 0; break;
      case Order::kLe: out = c <= 0; break;
      case Order::kGt: out = c > 0; break;
      case Order::kGe: out = c >= 0; break;
    }
    return false;
  }
};

template <Numeric (*F)(const Numeric&, const Numeric&, Arena&)>
void two(EvalContext& c, const Datum* a, const bool*, Datum& out, bool*) {
  out = Datum::of(F(a[0].numeric, a[1].numeric, *c.arena));
}
template <Numeric (*F)(const Numeric&, Arena&)>
void one(EvalContext& c, const Datum* a, const bool*, Datum& out, bool*) {
  out = Datum::of(F(a[0].numeric, *c.arena));
}
template <Numeric (*F)(const Numeric&)>
void plain(EvalContext&, const Datum* a, const bool*, Datum& out, bool*) {
  out = Datum::of(F(a[0].numeric));
}
template <Numeric (*F)(const Numeric&, int, Arena&)>
void scaled(EvalContext& c, const Datum* a, const bool*, Datum& out, bool*) {
  constexpr std::int32_t kLargestScale = types::kNumericMaxScale;
  out = Datum::of(F(a[0].numeric, std::clamp(a[1].i32, -kLargestScale, kLargestScale), *c.arena));
}
template <Numeric (*F)(const Numeric&, int, Arena&)>
void whole(EvalContext& c, const Datum* a, const bool*, Datum& out, bool*) {
  out = Datum::of(F(a[0].numeric, 0, *c.arena));
}

void same(EvalContext&, const Datum* a, const bool*, Datum& out, bool*) { out = a[0]; }
void larger(EvalContext&, const Datum* a, const bool*, Datum& out, bool*) {
  out = types::compare(a[0].numeric, a[1].numeric) > 0 ? a[0] : a[1];
}
void smaller(EvalContext&, const Datum* a, const bool*, Datum& out, bool*) {
  out = types::compare(a[0].numeric, a[1].numeric) < 0 ? a[0] : a[1];
}
void order(EvalContext&, const Datum* a, const bool*, Datum& out, bool*) {
  out = Datum::of(std::int32_t{types::compare(a[0].numeric, a[1].numeric)});
}
void log10_of(EvalContext& c, const Datum* a, const bool*, Datum& out, bool*) {
  out = Datum::of(types::log(types::numeric_from_int64(10), a[0].numeric, *c.arena));
}
void factorial(EvalContext& c, const Datum* a, const bool*, Datum& out, bool*) {
  out = Datum::of(types::factorial(a[0].i64, *c.arena));
}
void increment(EvalContext& c, const Datum* a, const bool*, Datum& out, bool*) {
  out = Datum::of(types::add(a[0].numeric, types::numeric_from_int64(1), *c.arena));
}
void scale_of(EvalContext&, const Datum* a, const bool*, Datum& out, bool* is_null) {
  if (!types::is_finite(a[0].numeric)) {
    *is_null = true;
    return;
  }
  out = Datum::of(std::int32_t{types::dscale_of(a[0].numeric)});
}
void min_scale_of(EvalContext&, const Datum* a, const bool*, Datum& out, bool* is_null) {
  if (!types::is_finite(a[0].numeric)) {
    *is_null = true;
    return;
  }
  out = Datum::of(std::int32_t{types::min_scale(a[0].numeric)});
}
void apply_modifier(EvalContext& c, const Datum* a, const bool*, Datum& out, bool*) {
  out = a[1].i32 < 4 ? a[0] : Datum::of(types::apply_numeric_typmod(a[0].numeric, a[1].i32, *c.arena));
}
void width_bucket(EvalContext& c, const Datum* a, const bool*, Datum& out, bool*) {
  const Numeric &x = a[0].numeric, &low = a[1].numeric, &high = a[2].numeric;
  const std::int32_t count = a[3].i32;
  const auto fail = [](const char* why) {
    return error(sqlstate::kInvalidArgumentForWidthBucket, "{}", why);
  };
  if (count <= 0) throw fail("count must be greater than zero");
  if (types::is_nan(x) || types::is_nan(low) || types::is_nan(high))
    throw fail("operand, lower bound, and upper bound cannot be NaN");
  if (types::is_infinite(low) || types::is_infinite(high))
    throw fail("lower and upper bounds must be finite");
  const int direction = types::compare(low, high);
  if (direction == 0) throw fail("lower bound cannot equal upper bound");
  const bool before = direction < 0 ? types::compare(x, low) < 0 : types::compare(x, low) > 0;
  const bool after = direction < 0 ? types::compare(x, high) >= 0 : types::compare(x, high) <= 0;
  if (before) {
    out = Datum::of(std::int32_t{0});
    return;
  }
  if (after) {
    std::int32_t result;
    if (__builtin_add_overflow(count, 1, &result)) types::throw_out_of_range("integer");
    out = Datum::of(result);
    return;
  }
  Arena& arena = *c.arena;
  const Numeric part =
      types::multiply(types::subtract(x, low, arena), types::numeric_from_int64(count), arena);
  const Numeric bucket =
      types::floor(types::divide_truncated(part, types::subtract(high, low, arena), arena), arena);
  const std::int64_t number = types::numeric_to_int64(bucket) + 1;
  out = Datum::of(static_cast<std::int32_t>(number > count ? count : number));
}

/// Bytes between two positions in the log.
void lsn_difference(EvalContext& c, const Datum* a, const bool*, Datum& out, bool*) {
  const auto bytes = static_cast<types::Int128>(a[0].u64) - static_cast<types::Int128>(a[1].u64);
  out = Datum::of(types::numeric_from_int128(bytes, 0, *c.arena));
}

template <Order O>
void add_comparison(KernelTable& t, std::string_view name) {
  t.vector(name, &binary_vector<Compare<O>>, &binary_scalar<Compare<O>>, false);
}

}  // namespace

void register_numeric_kernels(KernelTable& t) {
  add_comparison<Order::kEq>(t, "numeric_eq");
  add_comparison<Order::kNe>(t, "numeric_ne");
  add_comparison<Order::kLt>(t, "numeric_lt");
  add_comparison<Order::kLe>(t, "numeric_le");
  add_comparison<Order::kGt>(t, "numeric_gt");
  add_comparison<Order::kGe>(t, "numeric_ge");
  t.scalar("numeric_cmp", &order, false);
  t.scalar("pg_lsn_mi", &lsn_difference, false);
  t.scalar("pg_wal_lsn_diff", &lsn_difference, false);
  t.scalar("numeric_add", &two<types::add>);
  t.scalar("numeric_sub", &two<types::subtract>);
  t.scalar("numeric_mul", &two<types::multiply>);
  t.scalar("numeric_div", &two<types::divide>);
  t.scalar("numeric_div_trunc", &two<types::divide_truncated>);
  t.scalar("numeric_mod", &two<types::modulo>);
  t.scalar("numeric_power", &two<types::power>);
  t.scalar("numeric_log", &two<types::log>);
  t.scalar("numeric_gcd", &two<types::gcd>);
  t.scalar("numeric_lcm", &two<types::lcm>);
  t.scalar("numeric_uminus", &plain<types::negate>, false);
  t.scalar("numeric_uplus", &same, false);
  t.scalar("numeric_abs", &plain<types::absolute>, false);
  t.scalar("numeric_sign", &plain<types::sign>, false);
  t.scalar("numeric_round", &scaled<types::round>);
  t.scalar("numeric_trunc", &scaled<types::trunc>);
  t.scalar("round_1708", &whole<types::round>);
  t.scalar("trunc_1710", &whole<types::trunc>);
  t.scalar("numeric_ceil", &one<types::ceil>);
  t.scalar("numeric_floor", &one<types::floor>);
  t.scalar("numeric_sqrt", &one<types::sqrt>);
  t.scalar("numeric_exp", &one<types::exp>);
  t.scalar("numeric_ln", &one<types::ln>);
  t.scalar("log10_1481", &log10_of);
  t.scalar("log_1741", &log10_of);
  t.scalar("numeric_fac", &factorial);
  t.scalar("numeric_inc", &increment);
  t.scalar("numeric_scale", &scale_of, false);
  t.scalar("numeric_min_scale", &min_scale_of, false);
  t.scalar("numeric_trim_scale", &one<types::trim_scale>, false);
  t.scalar("numeric_larger", &larger, false);
  t.scalar("numeric_smaller", &smaller, false);
  t.scalar("width_bucket_numeric", &width_bucket);
  t.scalar("numeric", &apply_modifier);
}

}  // namespace rustbd::functions
