// count, sum and avg of numbers and intervals.
#include <cmath>

#include "rustbd/base/error.h"
#include "rustbd/functions/aggregate_kernel.h"
#include "rustbd/functions/decimal_aggregates.h"
#include "rustbd/functions/kernel_table.h"
#include "rustbd/functions/numeric_sum.h"
#include "rustbd/functions/numeric_type.h"
#include "rustbd/types/cast.h"
#include "rustbd/types/datetime.h"

namespace rustbd::functions {

namespace {

using types::Int128;
using types::Interval;
using types::Numeric;

/// count(*) and count(x): the caller leaves out rows with a null argument.
struct Count {
  static void update_all(EvalContext&, void* state, const Vector*, const Selection& selection) {
    *static_cast<std::int64_t*>(state) += selection.count;
  }
  static void update_grouped(EvalContext&, void* const* states, const Vector*, const Selection& selection) {
    for (std::uint32_t i = 0; i < selection.count; ++i) ++*static_cast<std::int64_t*>(states[i]);
  }
  static AggregateKernels kernels() {
    AggregateKernels k;
    k.state_bytes = 8;
    k.init = [](void* state) { *static_cast<std::int64_t*>(state) = 0; };
    k.update_all = &update_all;
    k.update_grouped = &update_grouped;
    k.combine = [](EvalContext&, void* into, const void* from) {
      *static_cast<std::int64_t*>(into) += *static_cast<const std::int64_t*>(from);
    };
    k.finalize = [](EvalContext&, const void* state, Datum& out, bool*) {
      out = Datum::of(*static_cast<const std::int64_t*>(state));
    };
    return k;
  }
};

template <class Wide>
struct IntegerState {
  Wide sum;
  std::int64_t count;
};
/// 2^64 values cannot overflow 128 bits, nor 2^32 of int4 overflow 64.
template <class T, class Wide>
struct IntegerBase {
  using State = IntegerState<Wide>;
  using Value = T;
  static void add(EvalContext&, State& s, const T& v) {
    s.sum += static_cast<Wide>(v);
    ++s.count;
  }
  static void combine(EvalContext&, State& s, const State& from) {
    s.sum += from.sum;
    s.count += from.count;
  }
};
template <class T>
struct SumToInt8 : IntegerBase<T, std::int64_t> {
  static void finalize(EvalContext&, const IntegerState<std::int64_t>& s, Datum& out, bool* is_null) {
    *is_null = s.count == 0;
    out = Datum::of(s.sum);
  }
};
struct SumInt8 : IntegerBase<std::int64_t, Int128> {
  static void finalize(EvalContext& c, const State& s, Datum& out, bool* is_null) {
    *is_null = s.count == 0;
    out = Datum::of(types::numeric_from_int128(s.sum, 0, *c.arena));
  }
};
template <class T, class Wide>
struct AverageInteger : IntegerBase<T, Wide> {
  static void finalize(EvalContext& c, const IntegerState<Wide>& s, Datum& out, bool* is_null) {
    *is_null = s.count == 0;
    if (s.count != 0) out = Datum::of(types::divide_int128(s.sum, 0, s.count, *c.arena));
  }
};

struct FloatState {
  double sum;
  std::int64_t count;
};
[[noreturn]] void float_overflow() {
  throw error(sqlstate::kNumericValueOutOfRange, "value out of range: overflow");
}
template <class T>
struct FloatBase {
  using State = FloatState;
  using Value = T;
  static void add(EvalContext&, State& s, const T& v) {
    const T sum = static_cast<T>(s.sum) + v;
    if (std::isinf(sum) && !std::isinf(s.sum) && !std::isinf(v)) float_overflow();
    s.sum = sum;
    ++s.count;
  }
  static void combine(EvalContext& c, State& s, const State& from) {
    if (from.count == 0) return;
    add(c, s, static_cast<T>(from.sum));
    s.count += from.count - 1;
  }
};
template <class T>
struct SumFloat : FloatBase<T> {
  static void finalize(EvalContext&, const FloatState& s, Datum& out, bool* is_null) {
    *is_null = s.count == 0;
    out = Datum::of(static_cast<T>(s.sum));
  }
};
/// avg(float4) adds up in double, as avg(float8).
template <class T>
struct AverageFloat {
  using State = FloatState;
  using Value = T;
  static void add(EvalContext& c, State& s, const T& v) { FloatBase<double>::add(c, s, v); }
  static void combine(EvalContext& c, State& s, const State& from) { FloatBase<double>::combine(c, s, from); }
  static void finalize(EvalContext&, const State& s, Datum& out, bool* is_null) {
    *is_null = s.count == 0;
    if (s.count != 0) out = Datum::of(s.sum / static_cast<double>(s.count));
  }
};

struct NumericBase {
  using State = NumericSum;
  using Value = Numeric;
  static void add(EvalContext& c, State& s, const Numeric& v) { s.add(v, *c.arena); }
  static void combine(EvalContext& c, State& s, const State& from) { s.merge(from, *c.arena); }
  static void serialize(const State& s, Bytes& out) { s.serialize(out); }
  static void deserialize(EvalContext& c, ByteReader& in, State& s) { s.deserialize(in, *c.arena); }
};
struct SumNumeric : NumericBase {
  static void finalize(EvalContext& c, const State& s, Datum& out, bool* is_null) {
    *is_null = s.count == 0;
    if (s.count != 0) out = Datum::of(s.total(*c.arena));
  }
};
struct AverageNumeric : NumericBase {
  static void finalize(EvalContext& c, const State& s, Datum& out, bool* is_null) {
    *is_null = s.count == 0;
    if (s.count != 0)
      out = Datum::of(types::divide(s.total(*c.arena), types::numeric_from_int64(s.count), *c.arena));
  }
};

// ---- static decimals: the scale is that of the argument's type
// ---------------------------------------------------
/// A D64 sum holds 2^64 values of 18 digits. A D128 sum moves what overflows into a Numeric.
struct NarrowState {
  Int128 sum;
  std::int64_t count;
  std::int64_t nan;
};
struct NarrowBase {
  using State = NarrowState;
  using Value = std::int64_t;
  static void add(EvalContext&, State& s, const std::int64_t& v) {
    const bool nan = v == types::kD64Nan;
    s.sum += nan ? 0 : v;
    s.nan |= nan;
    ++s.count;
  }
  static void combine(EvalContext&, State& s, const State& from) {
    s.sum += from.sum;
    s.nan |= from.nan;
    s.count += from.count;
  }
};
struct SumNarrow : NarrowBase {
  static void finalize(EvalContext&, const State& s, Datum& out, bool* is_null) {
    *is_null = s.count == 0;
    out = Datum::of(s.nan != 0 ? types::kD128Nan : s.sum);
  }
};
struct SumNarrowNumeric : NarrowBase {
  static void finalize(EvalContext& c, const State& s, Datum& out, bool* is_null) {
    *is_null = s.count == 0;
    out = Datum::of(s.nan != 0 ? types::numeric_nan()
                               : types::numeric_from_int128(s.sum, c.argument_types[0].scale, *c.arena));
  }
};
struct AverageNarrow : NarrowBase {
  static void finalize(EvalContext& c, const State& s, Datum& out, bool* is_null) {
    *is_null = s.count == 0;
    if (s.count == 0) return;
    out = Datum::of(s.nan != 0 ? types::numeric_nan()
                               : types::divide_int128(s.sum, c.argument_types[0].scale, s.count, *c.arena));
  }
};
struct WideBase {
  using State = NumericSum;
  using Value = Int128;
  static void add(EvalContext& c, State& s, const Int128& v) {
    ++s.count;
    if (v == types::kD128Nan) {
      s.nan = 1;
      return;
    }
    s.raise_scale(c.argument_types[0].scale, *c.arena);
    s.add_fast(v, *c.arena);
  }
  static void combine(EvalContext& c, State& s, const State& from) { s.merge(from, *c.arena); }
  static void serialize(const State& s, Bytes& out) { s.serialize(out); }
  static void deserialize(EvalContext& c, ByteReader& in, State& s) { s.deserialize(in, *c.arena); }
};
struct SumWide : WideBase {
  static void finalize(EvalContext& c, const State& s, Datum& out, bool* n) {
    SumNumeric::finalize(c, s, out, n);
  }
};
struct AverageWide : WideBase {
  static void finalize(EvalContext& c, const State& s, Datum& out, bool* n) {
    AverageNumeric::finalize(c, s, out, n);
  }
};
template <class T, bool kLargest>
struct DecimalExtreme {
  struct State {
    T value;
    std::int64_t count;
  };
  using Value = T;
  static void add(EvalContext&, State& s, const T& v) {
    if (s.count == 0 || (kLargest ? v > s.value : v < s.value)) s.value = v;
    ++s.count;
  }
  static void combine(EvalContext& c, State& s, const State& from) {
    if (from.count == 0) return;
    add(c, s, from.value);
  }
  static void finalize(EvalContext&, const State& s, Datum& out, bool* is_null) {
    *is_null = s.count == 0;
    out = Datum::of(s.value);
  }
};

// ---- intervals
// --------------------------------------------------------------------------------------------------
struct IntervalState {
  Interval sum;
  std::int64_t count;
};
struct IntervalBase {
  using State = IntervalState;
  using Value = Interval;
  static void add(EvalContext&, State& s, const Interval& v) {
    s.sum = s.count == 0 ? v : types::interval_add(s.sum, v);
    ++s.count;
  }
  static void combine(EvalContext& c, State& s, const State& from) {
    if (from.count == 0) return;
    add(c, s, from.sum);
    s.count += from.count - 1;
  }
};
struct SumInterval : IntervalBase {
  static void finalize(EvalContext&, const State& s, Datum& out, bool* is_null) {
    *is_null = s.count == 0;
    out = Datum::of(s.sum);
  }
};
struct AverageInterval : IntervalBase {
  static void finalize(EvalContext&, const State& s, Datum& out, bool* is_null) {
    *is_null = s.count == 0;
    if (s.count != 0) out = Datum::of(types::interval_divide(s.sum, static_cast<double>(s.count)));
  }
};

template <class A>
const AggregateKernels* kernels_of() {
  static const AggregateKernels kernels = AggregateLoops<A>::kernels();
  return &kernels;
}

}  // namespace

bool resolve_decimal_aggregate(ResolvedAggregate& out, std::span<const TypeRef> actual) {
  if (actual.size() != 1 || !is_static_numeric(actual[0])) return false;
  const bool wide = actual[0].phys == types::Phys::kD128;
  const int sum_digits = precision_of(actual[0]) + 19;
  switch (out.declaration->oid) {
    case 2114:  // sum
      if (!wide && sum_digits <= 38) {
        out.kernels = kernels_of<SumNarrow>();
        out.result = static_numeric(38, actual[0].scale);
      } else {
        out.kernels = wide ? kernels_of<SumWide>() : kernels_of<SumNarrowNumeric>();
      }
      break;
    case 2103: out.kernels = wide ? kernels_of<AverageWide>() : kernels_of<AverageNarrow>(); break;
    case 2130:
      out.kernels = wide ? kernels_of<DecimalExtreme<Int128, true>>()
                         : kernels_of<DecimalExtreme<std::int64_t, true>>();
      out.result = static_numeric(precision_of(actual[0]), actual[0].scale);
      out.result.phys = actual[0].phys;
      break;
    case 2146:
      out.kernels = wide ? kernels_of<DecimalExtreme<Int128, false>>()
                         : kernels_of<DecimalExtreme<std::int64_t, false>>();
      out.result = static_numeric(precision_of(actual[0]), actual[0].scale);
      out.result.phys = actual[0].phys;
      break;
    default: return false;
  }
  out.arguments = {actual[0]};
  return true;
}

void register_number_aggregates(AggregateTable& t) {
  t.add(2803, Count::kernels(), true);
  t.add(2147, Count::kernels(), true);
  t.add(2109, AggregateLoops<SumToInt8<std::int16_t>>::kernels(), true);
  t.add(2108, AggregateLoops<SumToInt8<std::int32_t>>::kernels(), true);
  t.add(2107, AggregateLoops<SumInt8>::kernels(), true);
  t.add(2110, AggregateLoops<SumFloat<float>>::kernels(), true);
  t.add(2111, AggregateLoops<SumFloat<double>>::kernels(), true);
  t.add(2113, AggregateLoops<SumInterval>::kernels(), true);
  t.add(2114, AggregateLoops<SumNumeric>::kernels(), true, false, true);
  t.add(2102, AggregateLoops<AverageInteger<std::int16_t, std::int64_t>>::kernels(), true);
  t.add(2101, AggregateLoops<AverageInteger<std::int32_t, std::int64_t>>::kernels(), true);
  t.add(2100, AggregateLoops<AverageInteger<std::int64_t, Int128>>::kernels(), true);
  t.add(2103, AggregateLoops<AverageNumeric>::kernels(), true, false, true);
  t.add(2104, AggregateLoops<AverageFloat<float>>::kernels(), true);
  t.add(2105, AggregateLoops<AverageFloat<double>>::kernels(), true);
  t.add(2106, AggregateLoops<AverageInterval>::kernels(), true);
}

}  // namespace rustbd::functions
