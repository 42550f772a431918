// float4 and float8: arithmetic with PostgreSQL's overflow and underflow errors, and the mathematical
// functions.
#include <cmath>
#include <numbers>

#include "rustbd/base/error.h"
#include "rustbd/functions/kernel_table.h"
#include "rustbd/functions/vector_kernel.h"

namespace rustbd::functions {

namespace {

[[noreturn, gnu::cold]] void overflow() {
  throw error(sqlstate::kNumericValueOutOfRange, "value out of range: overflow");
}
[[noreturn, gnu::cold]] void underflow() {
  throw error(sqlstate::kNumericValueOutOfRange, "value out of range: underflow");
}
[[noreturn, gnu::cold]] void divide_by_zero() { throw error(sqlstate::kDivisionByZero, "division by zero"); }
[[noreturn, gnu::cold]] void out_of_range() {
  throw error(sqlstate::kNumericValueOutOfRange, "input is out of range");
}

template <class L, class R>
struct Floats {
  using Left = L;
  using Right = R;
  using Result = std::common_type_t<L, R>;
};
template <class L, class R>
struct Add : Floats<L, R> {
  using T = std::common_type_t<L, R>;
  static bool run(L a, R b, T& out) {
    out = static_cast<T>(a) + static_cast<T>(b);
    return std::isinf(out) && !std::isinf(a) && !std::isinf(b);
  }
  [[noreturn]] static void fail(L, R) { overflow(); }
};
template <class L, class R>
struct Subtract : Floats<L, R> {
  using T = std::common_type_t<L, R>;
  static bool run(L a, R b, T& out) {
    out = static_cast<T>(a) - static_cast<T>(b);
    return std::isinf(out) && !std::isinf(a) && !std::isinf(b);
  }
  [[noreturn]] static void fail(L, R) { overflow(); }
};
template <class L, class R>
struct Multiply : Floats<L, R> {
  using T = std::common_type_t<L, R>;
  static bool run(L a, R b, T& out) {
    out = static_cast<T>(a) * static_cast<T>(b);
    return (std::isinf(out) && !std::isinf(a) && !std::isinf(b)) || (out == 0 && a != 0 && b != 0);
  }
  [[noreturn]] static void fail(L a, R b) {
    if (std::isinf(static_cast<T>(a) * static_cast<T>(b))) overflow();
    underflow();
  }
};
template <class L, class R>
struct Divide : Floats<L, R> {
  using T = std::common_type_t<L, R>;
  static bool run(L a, R b, T& out) {
    out = static_cast<T>(a) / static_cast<T>(b);
    return (b == 0 && !std::isnan(a)) || (std::isinf(out) && !std::isinf(a)) ||
           (out == 0 && a != 0 && !std::isinf(b));
  }
  [[noreturn]] static void fail(L a, R b) {
    if (b == 0) divide_by_zero();
    if (std::isinf(static_cast<T>(a) / static_cast<T>(b))) overflow();
    underflow();
  }
};
template <class T>
struct Minus : NeverFails {
  using Left = T;
  using Result = T;
  static bool run(T a, T& out) {
    out = -a;
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
    out = std::fabs(a);
    return false;
  }
};
template <class T>
bool float_less(T a, T b) {
  return std::isnan(a) ? false : (std::isnan(b) || a < b);
}
template <class T>
struct Larger : NeverFails {
  using Left = T;
  using Right = T;
  using Result = T;
  static bool run(T a, T b, T& out) {
    out = float_less(b, a) ? a : b;
    return false;
  }
};
template <class T>
struct Smaller : NeverFails {
  using Left = T;
  using Right = T;
  using Result = T;
  static bool run(T a, T b, T& out) {
    out = float_less(a, b) ? a : b;
    return false;
  }
};
template <double (*F)(double)>
struct Plain : NeverFails {
  using Left = double;
  using Result = double;
  static bool run(double a, double& out) {
    out = F(a);
    return false;
  }
};
/// Functions that check their own argument.
template <double (*F)(double)>
void one(EvalContext&, const Datum* a, const bool*, Datum& out, bool*) {
  out = Datum::of(F(a[0].f64));
}
template <double (*F)(double, double)>
void two(EvalContext&, const Datum* a, const bool*, Datum& out, bool*) {
  out = Datum::of(F(a[0].f64, a[1].f64));
}

double rint_of(double x) { return std::rint(x); }
double trunc_of(double x) { return std::trunc(x); }
double ceil_of(double x) { return std::ceil(x); }
double floor_of(double x) { return std::floor(x); }
double sign_of(double x) { return x > 0 ? 1 : (x < 0 ? -1 : 0); }
double cbrt_of(double x) { return std::cbrt(x); }
double sqrt_of(double x) {
  if (x < 0) throw error(sqlstate::kInvalidArgumentForPower, "cannot take square root of a negative number");
  return std::sqrt(x);
}
double exp_of(double x) {
  const double r = std::exp(x);
  if (std::isinf(r) && !std::isinf(x)) overflow();
  if (r == 0 && !std::isinf(x)) underflow();
  return r;
}
void check_logarithm(double x) {
  if (x == 0) throw error(sqlstate::kInvalidArgumentForLogarithm, "cannot take logarithm of zero");
  if (x < 0)
    throw error(sqlstate::kInvalidArgumentForLogarithm, "cannot take logarithm of a negative number");
}
double ln_of(double x) {
  check_logarithm(x);
  return std::log(x);
}
double log10_of(double x) {
  check_logarithm(x);
  return std::log10(x);
}
double power_of(double x, double y) {
  if (std::isnan(x)) return y == 0 ? 1 : x;
  if (std::isnan(y)) return x == 1 ? 1 : y;
  if (x == 0 && y < 0)
    throw error(sqlstate::kInvalidArgumentForPower, "zero raised to a negative power is undefined");
  if (x < 0 && std::floor(y) != y)
    throw error(sqlstate::kInvalidArgumentForPower,
                "a negative number raised to a non-integer power yields a complex result");
  const double r = std::pow(x, y);
  if (std::isinf(x) || std::isinf(y)) return r;
  if (std::isinf(r)) overflow();
  if (r == 0 && x != 0) underflow();
  return r;
}
double finite(double x) {
  if (std::isinf(x)) out_of_range();
  return x;
}
double sin_of(double x) { return std::sin(finite(x)); }
double cos_of(double x) { return std::cos(finite(x)); }
double tan_of(double x) { return std::tan(finite(x)); }
double cot_of(double x) { return 1 / std::tan(finite(x)); }
double within_one(double x) {
  if (x < -1 || x > 1) out_of_range();
  return x;
}
double asin_of(double x) { return std::asin(within_one(x)); }
double acos_of(double x) { return std::acos(within_one(x)); }
double atan_of(double x) { return std::atan(x); }
double atan2_of(double y, double x) { return std::atan2(y, x); }
double sinh_of(double x) { return std::sinh(x); }
double cosh_of(double x) { return std::cosh(x); }
double tanh_of(double x) { return std::tanh(x); }
double asinh_of(double x) { return std::asinh(x); }
double acosh_of(double x) {
  if (x < 1) out_of_range();
  return std::acosh(x);
}
double atanh_of(double x) { return std::atanh(within_one(x)); }
double degrees_of(double x) {
  const double r = x / (std::numbers::pi / 180);
  if (std::isinf(r) && !std::isinf(x)) overflow();
  return r;
}
double radians_of(double x) { return x * (std::numbers::pi / 180); }

// Functions in degrees are exact where the mathematical result is: scaled so that 30, 45 and 60 degrees come
// out right.
const double kSin30 = std::sin(30 * (std::numbers::pi / 180)),
             kOneMinusCos60 = 1 - std::cos(60 * (std::numbers::pi / 180));
double sine_to_30(double x) { return std::sin(x * (std::numbers::pi / 180)) / kSin30 / 2; }
double cosine_to_60(double x) {
  return 1 - (1 - std::cos(x * (std::numbers::pi / 180))) / kOneMinusCos60 / 2;
}
double sine_to_90(double x) { return x <= 30 ? sine_to_30(x) : cosine_to_60(90 - x); }
double cosine_to_90(double x) { return x <= 60 ? cosine_to_60(x) : sine_to_30(90 - x); }
const double kTan45 = sine_to_90(45) / cosine_to_90(45), kCot45 = cosine_to_90(45) / sine_to_90(45);
double sind_of(double x) {
  if (std::isnan(x)) return x;
  x = std::fmod(finite(x), 360);
  double sign = 1;
  if (x < 0) {
    x = -x;
    sign = -1;
  }
  if (x > 180) {
    x = 360 - x;
    sign = -sign;
  }
  if (x > 90) x = 180 - x;
  return sign * sine_to_90(x);
}
double cosd_of(double x) {
  if (std::isnan(x)) return x;
  x = std::fabs(std::fmod(finite(x), 360));
  double sign = 1;
  if (x > 180) x = 360 - x;
  if (x > 90) {
    x = 180 - x;
    sign = -1;
  }
  return sign * cosine_to_90(x);
}
double tand_of(double x) {
  if (std::isnan(x)) return x;
  x = std::fmod(finite(x), 360);
  double sign = 1;
  if (x < 0) {
    x = -x;
    sign = -1;
  }
  if (x > 180) {
    x = 360 - x;
    sign = -sign;
  }
  if (x > 90) {
    x = 180 - x;
    sign = -sign;
  }
  const double r = sign * ((sine_to_90(x) / cosine_to_90(x)) / kTan45);
  return r == 0 ? 0 : r;
}
double cotd_of(double x) {
  if (std::isnan(x)) return x;
  x = std::fmod(finite(x), 360);
  double sign = 1;
  if (x < 0) {
    x = -x;
    sign = -1;
  }
  if (x > 180) {
    x = 360 - x;
    sign = -sign;
  }
  if (x > 90) {
    x = 180 - x;
    sign = -sign;
  }
  const double r = sign * ((cosine_to_90(x) / sine_to_90(x)) / kCot45);
  return r == 0 ? 0 : r;
}
const double kAsinHalf = std::asin(0.5), kAcosHalf = std::acos(0.5), kAtanOne = std::atan(1.0);
double acosd_quarter(double x) {
  return x <= 0.5 ? 90 - std::asin(x) / kAsinHalf * 30 : std::acos(x) / kAcosHalf * 60;
}
double asind_quarter(double x) {
  return x <= 0.5 ? std::asin(x) / kAsinHalf * 30 : 90 - std::acos(x) / kAcosHalf * 60;
}
double asind_of(double x) {
  within_one(x);
  return x >= 0 ? asind_quarter(x) : -asind_quarter(-x);
}
double acosd_of(double x) {
  within_one(x);
  return x >= 0 ? acosd_quarter(x) : 90 + asind_quarter(-x);
}
double atand_of(double x) { return std::atan(x) / kAtanOne * 45; }
double atan2d_of(double y, double x) { return std::atan2(y, x) / kAtanOne * 45; }

void pi(EvalContext&, const Datum*, const bool*, Datum& out, bool*) { out = Datum::of(std::numbers::pi); }
void random_of(EvalContext& c, const Datum*, const bool*, Datum& out, bool*) {
  out = Datum::of(static_cast<double>(c.statement->random_u64() >> 11) * 0x1p-53);
}
void setseed(EvalContext& c, const Datum* a, const bool*, Datum& out, bool*) {
  if (!(a[0].f64 >= -1 && a[0].f64 <= 1))
    throw error(sqlstate::kInvalidParameterValue, "setseed parameter {:g} is out of allowed range [-1,1]",
                a[0].f64);
  c.statement->set_random_seed(a[0].f64);
  out = Datum{};
}
void width_bucket(EvalContext&, const Datum* a, const bool*, Datum& out, bool*) {
  const double x = a[0].f64, low = a[1].f64, high = a[2].f64;
  const std::int32_t count = a[3].i32;
  if (count <= 0) throw error(sqlstate::kInvalidArgumentForWidthBucket, "count must be greater than zero");
  if (std::isnan(x) || std::isnan(low) || std::isnan(high))
    throw error(sqlstate::kInvalidArgumentForWidthBucket,
                "operand, lower bound, and upper bound cannot be NaN");
  if (std::isinf(low) || std::isinf(high))
    throw error(sqlstate::kInvalidArgumentForWidthBucket, "lower and upper bounds must be finite");
  if (low == high)
    throw error(sqlstate::kInvalidArgumentForWidthBucket, "lower bound cannot equal upper bound");
  const bool ascending = low < high;
  std::int64_t bucket;
  if (ascending ? x < low : x > low) {
    bucket = 0;
  } else if (ascending ? x >= high : x <= high) {
    bucket = static_cast<std::int64_t>(count) + 1;
  } else {
    const double part =
        ascending
            ? (std::isinf(high - low) ? (x / 2 - low / 2) / (high / 2 - low / 2) : (x - low) / (high - low))
            : (std::isinf(low - high) ? (low / 2 - x / 2) / (low / 2 - high / 2) : (low - x) / (low - high));
    bucket = static_cast<std::int64_t>(part * count);
    if (bucket >= count) bucket = count - 1;
    ++bucket;
  }
  if (bucket > INT32_MAX) throw error(sqlstate::kNumericValueOutOfRange, "integer out of range");
  out = Datum::of(static_cast<std::int32_t>(bucket));
}

template <class Op>
void add_binary(KernelTable& t, std::string_view name, bool can_error) {
  t.vector(name, &binary_vector<Op>, &binary_scalar<Op>, can_error);
}
template <class Op>
void add_unary(KernelTable& t, std::string_view name) {
  t.vector(name, &unary_vector<Op>, &unary_scalar<Op>, false);
}
struct Names {
  std::string_view add, subtract, multiply, divide;
};
template <class L, class R>
void add_pair(KernelTable& t, const Names& n) {
  add_binary<Add<L, R>>(t, n.add, true);
  add_binary<Subtract<L, R>>(t, n.subtract, true);
  add_binary<Multiply<L, R>>(t, n.multiply, true);
  add_binary<Divide<L, R>>(t, n.divide, true);
}

void add_trigonometry(KernelTable& t) {
  t.scalar("dsin", &one<sin_of>);
  t.scalar("dcos", &one<cos_of>);
  t.scalar("dtan", &one<tan_of>);
  t.scalar("dcot", &one<cot_of>);
  t.scalar("dasin", &one<asin_of>);
  t.scalar("dacos", &one<acos_of>);
  t.scalar("datan", &one<atan_of>, false);
  t.scalar("datan2", &two<atan2_of>, false);
  t.scalar("dsinh", &one<sinh_of>, false);
  t.scalar("dcosh", &one<cosh_of>, false);
  t.scalar("dtanh", &one<tanh_of>, false);
  t.scalar("dasinh", &one<asinh_of>, false);
  t.scalar("dacosh", &one<acosh_of>);
  t.scalar("datanh", &one<atanh_of>);
  t.scalar("dsind", &one<sind_of>);
  t.scalar("dcosd", &one<cosd_of>);
  t.scalar("dtand", &one<tand_of>);
  t.scalar("dcotd", &one<cotd_of>);
  t.scalar("dasind", &one<asind_of>);
  t.scalar("dacosd", &one<acosd_of>);
  t.scalar("datand", &one<atand_of>, false);
  t.scalar("datan2d", &two<atan2d_of>, false);
  t.scalar("degrees", &one<degrees_of>);
  t.scalar("radians", &one<radians_of>, false);
}

}  // namespace

void register_float_kernels(KernelTable& t) {
  add_pair<float, float>(t, {"float4pl", "float4mi", "float4mul", "float4div"});
  add_pair<double, double>(t, {"float8pl", "float8mi", "float8mul", "float8div"});
  add_pair<float, double>(t, {"float48pl", "float48mi", "float48mul", "float48div"});
  add_pair<double, float>(t, {"float84pl", "float84mi", "float84mul", "float84div"});
  add_unary<Minus<float>>(t, "float4um");
  add_unary<Minus<double>>(t, "float8um");
  add_unary<Plus<float>>(t, "float4up");
  add_unary<Plus<double>>(t, "float8up");
  add_unary<Absolute<float>>(t, "float4abs");
  add_unary<Absolute<double>>(t, "float8abs");
  add_binary<Larger<float>>(t, "float4larger", false);
  add_binary<Larger<double>>(t, "float8larger", false);
  add_binary<Smaller<float>>(t, "float4smaller", false);
  add_binary<Smaller<double>>(t, "float8smaller", false);
  add_unary<Plain<rint_of>>(t, "dround");
  add_unary<Plain<trunc_of>>(t, "dtrunc");
  add_unary<Plain<ceil_of>>(t, "dceil");
  add_unary<Plain<floor_of>>(t, "dfloor");
  add_unary<Plain<sign_of>>(t, "dsign");
  add_unary<Plain<cbrt_of>>(t, "dcbrt");
  t.scalar("dsqrt", &one<sqrt_of>);
  t.scalar("dexp", &one<exp_of>);
  t.scalar("dlog1", &one<ln_of>);
  t.scalar("dlog10", &one<log10_of>);
  t.scalar("dpow", &two<power_of>);
  t.scalar("dpi", &pi, false);
  t.scalar("drandom", &random_of, false);
  t.scalar("setseed", &setseed);
  t.scalar("width_bucket_float8", &width_bucket);
  add_trigonometry(t);
}

}  // namespace rustbd::functions
