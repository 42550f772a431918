#include "rustbd/functions/decimal_kernels.h"

#include "rustbd/functions/vector_kernel.h"
#include "rustbd/types/cast.h"

namespace rustbd::functions {

namespace {

using types::Int128;

template <class T>
constexpr T kNan = T{};
template <>
constexpr std::int64_t kNan<std::int64_t> = types::kD64Nan;
template <>
constexpr Int128 kNan<Int128> = types::kD128Nan;

// NaN is the largest number of the representation, so comparisons need nothing special.
template <class T, DecimalOp O>
struct Compare : NeverFails {
  using Left = T;
  using Right = T;
  using Result = bool;
  static bool run(T a, T b, bool& out) {
    if constexpr (O == DecimalOp::kEq) out = a == b;
    if constexpr (O == DecimalOp::kNe) out = a != b;
    if constexpr (O == DecimalOp::kLt) out = a < b;
    if constexpr (O == DecimalOp::kLe) out = a <= b;
    if constexpr (O == DecimalOp::kGt) out = a > b;
    if constexpr (O == DecimalOp::kGe) out = a >= b;
    return false;
  }
};
// The result's precision was chosen so that no overflow can happen; unsigned arithmetic only for NaN
// operands.
template <class T>
struct Add : NeverFails {
  using Left = T;
  using Right = T;
  using Result = T;
  static bool run(T a, T b, T& out) {
    T sum;
    static_cast<void>(__builtin_add_overflow(a, b, &sum));
    out = (a == kNan<T>) | (b == kNan<T>) ? kNan<T> : sum;
    return false;
  }
};
template <class T>
struct Subtract : NeverFails {
  using Left = T;
  using Right = T;
  using Result = T;
  static bool run(T a, T b, T& out) {
    T difference;
    static_cast<void>(__builtin_sub_overflow(a, b, &difference));
    out = (a == kNan<T>) | (b == kNan<T>) ? kNan<T> : difference;
    return false;
  }
};
template <class T, class R>
struct Multiply : NeverFails {
  using Left = T;
  using Right = T;
  using Result = R;
  static bool run(T a, T b, R& out) {
    R product;
    static_cast<void>(__builtin_mul_overflow(static_cast<R>(a), static_cast<R>(b), &product));
    out = (a == kNan<T>) | (b == kNan<T>) ? kNan<R> : product;
    return false;
  }
};
template <class T>
struct Negate : NeverFails {
  using Left = T;
  using Result = T;
  static bool run(T a, T& out) {
    out = a == kNan<T> ? a : static_cast<T>(-a);
    return false;
  }
};
template <class T>
struct Plus : NeverFails {
  using Left = T;
  using Result = T;
  static bool run(T a, T& out) {
    out = a;
    return false;
  }
};
template <class T>
struct Absolute : NeverFails {
  using Left = T;
  using Result = T;
  static bool run(T a, T& out) {
    out = a < 0 ? static_cast<T>(-a) : a;
    return false;
  }
};
template <class From, class T>
struct FromInteger : NeverFails {
  using Left = From;
  using Result = T;
  static bool run(From a, T& out) {
    out = static_cast<T>(a);
    return false;
  }
};

template <class T>
std::int64_t to_int64(EvalContext& c, const Datum& value) {
  const int scale = c.argument_types[0].scale;
  if constexpr (sizeof(T) == 8) return types::d64_to_int64(value.i64, scale);
  else return types::d128_to_int64(value.i128, scale);
}
template <class T, class To>
void to_integer(EvalContext& c, const Datum* a, const bool*, Datum& out, bool*) {
  if (get<T>(a[0]) == kNan<T>)
    throw error(sqlstate::kFeatureNotSupported, "cannot convert NaN to {}", types::integer_name<To>());
  // Too large for int8 is reported under the name of the target type.
  std::int64_t value;
  try {
    value = to_int64<T>(c, a[0]);
  } catch (const Error&) {
    types::throw_out_of_range(types::integer_name<To>());
  }
  put(out, types::narrow_integer<To>(value));
}
template <class T>
void to_float8(EvalContext& c, const Datum* a, const bool*, Datum& out, bool*) {
  const int scale = c.argument_types[0].scale;
  if constexpr (sizeof(T) == 8) out = Datum::of(types::d64_to_double(a[0].i64, scale));
  else out = Datum::of(types::d128_to_double(a[0].i128, scale));
}

template <class T>
const Kernels* find(DecimalOp op) {
  static const Kernels eq = binary_kernels<Compare<T, DecimalOp::kEq>>(),
                       ne = binary_kernels<Compare<T, DecimalOp::kNe>>(),
                       lt = binary_kernels<Compare<T, DecimalOp::kLt>>(),
                       le = binary_kernels<Compare<T, DecimalOp::kLe>>(),
                       gt = binary_kernels<Compare<T, DecimalOp::kGt>>(),
                       ge = binary_kernels<Compare<T, DecimalOp::kGe>>();
  static const Kernels add = binary_kernels<Add<T>>(), subtract = binary_kernels<Subtract<T>>(),
                       multiply = binary_kernels<Multiply<T, T>>(),
                       wide = binary_kernels<Multiply<std::int64_t, Int128>>();
  static const Kernels negate = unary_kernels<Negate<T>>(), plus = unary_kernels<Plus<T>>(),
                       absolute = unary_kernels<Absolute<T>>();
  static const Kernels from2 = unary_kernels<FromInteger<std::int16_t, T>>(),
                       from4 = unary_kernels<FromInteger<std::int32_t, T>>(),
                       from8 = unary_kernels<FromInteger<std::int64_t, T>>();
  static const Kernels to2{nullptr, &to_integer<T, std::int16_t>, {}},
      to4{nullptr, &to_integer<T, std::int32_t>, {}}, to8{nullptr, &to_integer<T, std::int64_t>, {}},
      float8{nullptr, &to_float8<T>, {}};
  switch (op) {
    case DecimalOp::kEq: return &eq;
    case DecimalOp::kNe: return &ne;
    case DecimalOp::kLt: return &lt;
    case DecimalOp::kLe: return &le;
    case DecimalOp::kGt: return &gt;
    case DecimalOp::kGe: return &ge;
    case DecimalOp::kAdd: return &add;
    case DecimalOp::kSubtract: return &subtract;
    case DecimalOp::kMultiply: return &multiply;
    case DecimalOp::kMultiplyWide: return sizeof(T) == 8 ? &wide : nullptr;
    case DecimalOp::kNegate: return &negate;
    case DecimalOp::kPlus: return &plus;
    case DecimalOp::kAbsolute: return &absolute;
    case DecimalOp::kFromInt2: return &from2;
    case DecimalOp::kFromInt4: return &from4;
    case DecimalOp::kFromInt8: return &from8;
    case DecimalOp::kToInt2: return &to2;
    case DecimalOp::kToInt4: return &to4;
    case DecimalOp::kToInt8: return &to8;
    case DecimalOp::kToFloat8: return &float8;
  }
  RUSTBD_UNREACHABLE();
}

}  // namespace

const Kernels* decimal_kernels(DecimalOp op, bool wide) {
  return wide ? find<Int128>(op) : find<std::int64_t>(op);
}

}  // namespace rustbd::functions
