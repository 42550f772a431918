// variance, stddev, covariance, correlation and regression. Floats by the updating formulas of Youngs and
// Cramer (Some results relevant to choice of sum and sum-of-product algorithms, 1971); integers and numeric
// exactly.
#include <cmath>

#include "rustbd/base/error.h"
#include "rustbd/functions/aggregate_kernel.h"
#include "rustbd/functions/kernel_table.h"
#include "rustbd/functions/numeric_sum.h"
#include "rustbd/types/cast.h"

namespace rustbd::functions {

namespace {

using types::Numeric;

[[noreturn]] void float_overflow() {
  throw error(sqlstate::kNumericValueOutOfRange, "value out of range: overflow");
}

enum class Spread : std::uint8_t { kVarPop, kVarSamp, kStddevPop, kStddevSamp };
constexpr bool is_sample(Spread s) { return s == Spread::kVarSamp || s == Spread::kStddevSamp; }
constexpr bool is_root(Spread s) { return s == Spread::kStddevPop || s == Spread::kStddevSamp; }

struct Moments {
  double n, sx, sxx;
};
template <class T, Spread S>
struct FloatSpread {
  using State = Moments;
  using Value = T;
  static void add(EvalContext&, State& s, const T& value) {
    const double x = value, n = s.n + 1, sx = s.sx + x;
    double sxx = s.sxx;
    if (s.n > 0) {
      const double d = x * n - sx;
      sxx += d * d / (n * s.n);
      if (std::isinf(sx) || std::isinf(sxx)) {
        if (!std::isinf(s.sx) && !std::isinf(x)) float_overflow();
        sxx = std::numeric_limits<double>::quiet_NaN();
      }
    } else if (std::isnan(x) || std::isinf(x)) {
      sxx = std::numeric_limits<double>::quiet_NaN();
    }
    s = {n, sx, sxx};
  }
  static void combine(EvalContext&, State& s, const State& from) {
    if (from.n == 0) return;
    if (s.n == 0) {
      s = from;
      return;
    }
    const double n = s.n + from.n, d = s.sx / s.n - from.sx / from.n;
    s = {n, s.sx + from.sx, s.sxx + from.sxx + s.n * from.n * d * d / n};
    if (std::isinf(s.sxx)) float_overflow();
  }
  static void finalize(EvalContext&, const State& s, Datum& out, bool* is_null) {
    *is_null = s.n < (is_sample(S) ? 2 : 1);
    if (*is_null) return;
    const double variance = s.sxx / (is_sample(S) ? s.n - 1 : s.n);
    out = Datum::of(is_root(S) ? std::sqrt(variance) : variance);
  }
};

struct ExactMoments {
  NumericSum x, xx;
};
template <class T, Spread S>
struct ExactSpread {
  using State = ExactMoments;
  using Value = T;
  static void add(EvalContext& c, State& s, const T& value) {
    Numeric x;
    if constexpr (std::is_same_v<T, Numeric>) x = value;
    else x = types::numeric_from_int64(value);
    s.x.add(x, *c.arena);
    s.xx.add(types::multiply(x, x, *c.arena), *c.arena);
  }
  static void combine(EvalContext& c, State& s, const State& from) {
    s.x.merge(from.x, *c.arena);
    s.xx.merge(from.xx, *c.arena);
  }
  static void finalize(EvalContext& c, const State& s, Datum& out, bool* is_null) {
    const std::int64_t n = s.x.count;
    *is_null = n < (is_sample(S) ? 2 : 1);
    if (*is_null) return;
    if (s.x.nan != 0 || s.x.infinite != 0 || s.x.minus_infinite != 0) {
      out = Datum::of(types::numeric_nan());
      return;
    }
    Arena& arena = *c.arena;
    const Numeric count = types::numeric_from_int64(n), sum = s.x.total(arena);
    const Numeric over = types::subtract(types::multiply(count, s.xx.total(arena), arena),
                                         types::multiply(sum, sum, arena), arena);
    if (types::sign_of(over) <= 0) {
      out = Datum::of(types::numeric_from_int64(0));
      return;
    }
    const Numeric under = types::multiply(count, types::numeric_from_int64(is_sample(S) ? n - 1 : n), arena);
    const Numeric variance = types::divide(over, under, arena);
    if (!is_root(S)) {
      out = Datum::of(variance);
      return;
    }
    out = Datum::of(types::round(types::sqrt(variance, arena), types::dscale_of(variance), arena));
  }
  static void serialize(const State& s, Bytes& out) {
    s.x.serialize(out);
    s.xx.serialize(out);
  }
  static void deserialize(EvalContext& c, ByteReader& in, State& s) {
    s.x.deserialize(in, *c.arena);
    s.xx.deserialize(in, *c.arena);
  }
};

struct PairMoments {
  double n, sx, sxx, sy, syy, sxy;
};
enum class Regression : std::uint8_t {
  kCount,
  kSxx,
  kSyy,
  kSxy,
  kAvgX,
  kAvgY,
  kR2,
  kSlope,
  kIntercept,
  kCovarPop,
  kCovarSamp,
  kCorr
};
/// Arguments are (Y, X).
template <Regression R>
struct Pairs {
  using State = PairMoments;
  static void add(EvalContext&, State& s, const Vector* args, std::uint32_t row) {
    const double y = args[0].datum(row).f64, x = args[1].datum(row).f64;
    const double n = s.n + 1, sx = s.sx + x, sy = s.sy + y;
    double sxx = s.sxx, syy = s.syy, sxy = s.sxy;
    constexpr double nan = std::numeric_limits<double>::quiet_NaN();
    if (s.n > 0) {
      const double dx = x * n - sx, dy = y * n - sy, scale = 1 / (n * s.n);
      sxx += dx * dx * scale;
      syy += dy * dy * scale;
      sxy += dx * dy * scale;
      if (std::isinf(sx) || std::isinf(sxx) || std::isinf(sy) || std::isinf(syy) || std::isinf(sxy)) {
        const bool given = std::isinf(s.sx) || std::isinf(x) || std::isinf(s.sy) || std::isinf(y);
        if (!given) float_overflow();
        if (std::isinf(sxx)) sxx = nan;
        if (std::isinf(syy)) syy = nan;
        if (std::isinf(sxy)) sxy = nan;
      }
    } else {
      if (!std::isfinite(x)) sxx = sxy = nan;
      if (!std::isfinite(y)) syy = sxy = nan;
    }
    s = {n, sx, sxx, sy, syy, sxy};
  }
  static void combine(EvalContext&, State& s, const State& from) {
    if (from.n == 0) return;
    if (s.n == 0) {
      s = from;
      return;
    }
    const double n = s.n + from.n, dx = s.sx / s.n - from.sx / from.n, dy = s.sy / s.n - from.sy / from.n,
                 weight = s.n * from.n / n;
    s = {n,
         s.sx + from.sx,
         s.sxx + from.sxx + weight * dx * dx,
         s.sy + from.sy,
         s.syy + from.syy + weight * dy * dy,
         s.sxy + from.sxy + weight * dx * dy};
  }
  static void finalize(EvalContext&, const State& s, Datum& out, bool* is_null) {
    if (R == Regression::kCount) {
      out = Datum::of(static_cast<std::int64_t>(s.n));
      return;
    }
    *is_null = s.n < (R == Regression::kCovarSamp ? 2 : 1);
    if (!*is_null) out = Datum::of(value_of(s, is_null));
  }
  static double value_of(const State& s, bool* is_null) {
    switch (R) {
      case Regression::kSxx: return s.sxx;
      case Regression::kSyy: return s.syy;
      case Regression::kSxy: return s.sxy;
      case Regression::kAvgX: return s.sx / s.n;
      case Regression::kAvgY: return s.sy / s.n;
      case Regression::kCovarPop: return s.sxy / s.n;
      case Regression::kCovarSamp: return s.sxy / (s.n - 1);
      case Regression::kCorr: *is_null = s.sxx == 0 || s.syy == 0; return s.sxy / std::sqrt(s.sxx * s.syy);
      case Regression::kR2: *is_null = s.sxx == 0; return s.syy == 0 ? 1.0 : s.sxy * s.sxy / (s.sxx * s.syy);
      case Regression::kSlope: *is_null = s.sxx == 0; return s.sxy / s.sxx;
      case Regression::kIntercept: *is_null = s.sxx == 0; return (s.sy - s.sx * s.sxy / s.sxx) / s.n;
      default: return 0;
    }
  }
};

/// Oids in the order int8, int4, int2, float4, float8, numeric.
template <Spread S>
void add_spread(AggregateTable& t, std::initializer_list<Oid> oids) {
  const Oid* o = oids.begin();
  t.add(o[0], AggregateLoops<ExactSpread<std::int64_t, S>>::kernels(), true, false, true);
  t.add(o[1], AggregateLoops<ExactSpread<std::int32_t, S>>::kernels(), true, false, true);
  t.add(o[2], AggregateLoops<ExactSpread<std::int16_t, S>>::kernels(), true, false, true);
  t.add(o[3], AggregateLoops<FloatSpread<float, S>>::kernels(), true);
  t.add(o[4], AggregateLoops<FloatSpread<double, S>>::kernels(), true);
  t.add(o[5], AggregateLoops<ExactSpread<Numeric, S>>::kernels(), true, false, true);
}
template <Regression R>
void add_pairs(AggregateTable& t, Oid oid) {
  t.add(oid, RowAggregateLoops<Pairs<R>>::kernels(), true);
}

}  // namespace

void register_statistic_aggregates(AggregateTable& t) {
  add_spread<Spread::kVarSamp>(t, {2148, 2149, 2150, 2151, 2152, 2153});     // variance
  add_spread<Spread::kStddevSamp>(t, {2154, 2155, 2156, 2157, 2158, 2159});  // stddev
  add_spread<Spread::kVarSamp>(t, {2641, 2642, 2643, 2644, 2645, 2646});
  add_spread<Spread::kStddevSamp>(t, {2712, 2713, 2714, 2715, 2716, 2717});
  add_spread<Spread::kVarPop>(t, {2718, 2719, 2720, 2721, 2722, 2723});
  add_spread<Spread::kStddevPop>(t, {2724, 2725, 2726, 2727, 2728, 2729});
  add_pairs<Regression::kCount>(t, 2818);
  add_pairs<Regression::kSxx>(t, 2819);
  add_pairs<Regression::kSyy>(t, 2820);
  add_pairs<Regression::kSxy>(t, 2821);
  add_pairs<Regression::kAvgX>(t, 2822);
  add_pairs<Regression::kAvgY>(t, 2823);
  add_pairs<Regression::kR2>(t, 2824);
  add_pairs<Regression::kSlope>(t, 2825);
  add_pairs<Regression::kIntercept>(t, 2826);
  add_pairs<Regression::kCovarPop>(t, 2827);
  add_pairs<Regression::kCovarSamp>(t, 2828);
  add_pairs<Regression::kCorr>(t, 2829);
}

}  // namespace rustbd::functions
