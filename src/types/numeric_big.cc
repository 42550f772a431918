#include "rustbd/types/numeric_big.h"

#include <algorithm>
#include <boost/multiprecision/cpp_int.hpp>
#include <cmath>
#include <vector>

#include "rustbd/base/assert.h"
#include "rustbd/base/error.h"

namespace rustbd::types::big {

namespace {
using boost::multiprecision::cpp_int;

cpp_int power_of_ten(int n) {
  return n <= 38 ? cpp_int(kPowersOfTen[n])
                 : cpp_int(boost::multiprecision::pow(cpp_int(10), static_cast<unsigned>(n)));
}

cpp_int magnitude(const Numeric& n) {
  std::uint64_t scratch[2];
  const auto limbs = limbs_of(n, scratch);
  cpp_int v;
  if (!limbs.empty()) boost::multiprecision::import_bits(v, limbs.begin(), limbs.end(), 64, false);
  return v;
}
bool negative(const Numeric& n) { return sign_of(n) < 0; }
cpp_int signed_value(const Numeric& n, int scale) {
  cpp_int v = magnitude(n) * power_of_ten(scale - dscale_of(n));
  if (negative(n)) v = -v;
  return v;
}

Numeric pack(bool is_negative, const cpp_int& magnitude, int scale, Arena& arena) {
  std::vector<std::uint64_t> limbs;
  if (magnitude != 0) boost::multiprecision::export_bits(magnitude, std::back_inserter(limbs), 64, false);
  return numeric_from_limbs(is_negative, limbs, scale, arena);
}
Numeric pack(const cpp_int& value, int scale, Arena& arena) {
  return pack(value < 0, boost::multiprecision::abs(value), scale, arena);
}

/// |a| / b rounded; both positive.
cpp_int divide_rounded(const cpp_int& a, const cpp_int& b, Rounding rounding) {
  switch (rounding) {
    case Rounding::kHalfAway: return (2 * a + b) / (2 * b);
    case Rounding::kTruncate: return a / b;
    case Rounding::kUp: return (a + b - 1) / b;
  }
  RUSTBD_UNREACHABLE();
}

// Fixed-point reals: value = v / 2^bits.
/// numeric -> fixed point.
cpp_int to_fixed(const Numeric& n, unsigned bits) {
  cpp_int v = (magnitude(n) << bits) / power_of_ten(dscale_of(n));
  return negative(n) ? cpp_int(-v) : v;
}
/// fixed point -> decimal of `rscale`, rounded half away from zero.
Numeric from_fixed(const cpp_int& value, unsigned bits, int rscale, Arena& arena) {
  const bool is_negative = value < 0;
  cpp_int v = boost::multiprecision::abs(value) * power_of_ten(rscale);
  if (bits > 0) v = (v + (cpp_int(1) << (bits - 1))) >> bits;
  return pack(is_negative, v, rscale, arena);
}

/// 2 * atanh(numerator / denominator) by its series; |ratio| <= 1/3.
cpp_int twice_atanh(const cpp_int& numerator, const cpp_int& denominator, unsigned bits) {
  const cpp_int z = (numerator << bits) / denominator;
  const cpp_int square = (z * z) >> bits;
  cpp_int term = z, sum = z;
  for (unsigned k = 3;; k += 2) {
    term = (term * square) >> bits;
    if (term == 0 || term == -1) break;
    sum += term / k;
  }
  return 2 * sum;
}
cpp_int fixed_ln2(unsigned bits) { return twice_atanh(1, 3, bits); }

/// ln of a positive ratio a/b: scaled by a power of two into [2/3, 4/3], then the series.
cpp_int fixed_ln(cpp_int a, cpp_int b, unsigned bits) {
  const unsigned guard = 32;
  const unsigned work = bits + guard;
  long k = static_cast<long>(msb(a)) - static_cast<long>(msb(b));
  if (k > 0) b <<= static_cast<unsigned>(k);
  if (k < 0) a <<= static_cast<unsigned>(-k);
  if (3 * a > 4 * b) {  // ratio in (1/2, 2): bring it under 4/3
    b <<= 1;
    ++k;
  }
  cpp_int result = twice_atanh(a - b, a + b, work);
  if (k != 0) result += fixed_ln2(work) * k;
  return result >> guard;
}
cpp_int fixed_ln(const Numeric& n, unsigned bits) {
  return fixed_ln(magnitude(n), power_of_ten(dscale_of(n)), bits);
}

/// e^x: x = n ln 2 + r; Taylor on r / 2^8. Returns mantissa with `bits` of relative precision and the binary
/// exponent in *exponent: e^x = mantissa / 2^bits * 2^exponent.
cpp_int fixed_exp(const cpp_int& x, unsigned bits, long* exponent) {
  const cpp_int ln2 = fixed_ln2(bits);
  cpp_int n = x / ln2;
  if (x < 0) n -= 1;
  const cpp_int r = (x - n * ln2) >> 8;  // 0 <= r < ln2 / 256
  cpp_int term = cpp_int(1) << bits, sum = term;
  for (unsigned k = 1; term != 0; ++k) {
    term = ((term * r) >> bits) / k;
    sum += term;
  }
  for (int i = 0; i < 8; ++i) sum = (sum * sum) >> bits;
  *exponent = static_cast<long>(n);
  return sum;
}
Numeric exp_of_fixed(const cpp_int& x, unsigned bits, int rscale, bool negate, Arena& arena) {
  long exponent = 0;
  cpp_int mantissa = fixed_exp(x, bits, &exponent);
  long shift = static_cast<long>(bits) - exponent;
  if (shift < 0) {
    mantissa <<= static_cast<unsigned>(-shift);
    shift = 0;
  }
  if (negate) mantissa = -mantissa;
  return from_fixed(mantissa, static_cast<unsigned>(shift), rscale, arena);
}

unsigned bits_for(int decimal_digits) {
  return static_cast<unsigned>(std::max(decimal_digits, 16) * 3.33) + 64;
}
/// Decimal exponent of the leading digit, roughly (off by one at most).
int rough_exponent(const Numeric& n) {
  const cpp_int m = magnitude(n);
  if (m == 0) return 0;
  return static_cast<int>(static_cast<double>(msb(m)) * 0.30103) - dscale_of(n);
}
}  // namespace

Numeric from_decimal(bool is_negative, std::string_view digits, int scale, Arena& arena) {
  cpp_int v = 0;
  while (!digits.empty()) {
    const std::size_t n = std::min<std::size_t>(18, digits.size());
    std::uint64_t part = 0;
    for (const char c : digits.substr(0, n)) part = part * 10 + static_cast<std::uint64_t>(c - '0');
    v *= static_cast<std::uint64_t>(kPowersOfTen[n]);
    v += part;
    digits.remove_prefix(n);
  }
  return pack(is_negative, v, scale, arena);
}

std::string magnitude_digits(const Numeric& n) { return magnitude(n).str(); }

int compare_magnitudes(const Numeric& a, const Numeric& b) {
  const int scale = std::max(dscale_of(a), dscale_of(b));
  const cpp_int x = magnitude(a) * power_of_ten(scale - dscale_of(a));
  return x.compare(magnitude(b) * power_of_ten(scale - dscale_of(b)));
}

Numeric add(const Numeric& a, const Numeric& b, bool negate_b, Arena& arena) {
  const int scale = std::max(dscale_of(a), dscale_of(b));
  const cpp_int y = signed_value(b, scale);
  return pack(negate_b ? cpp_int(signed_value(a, scale) - y) : cpp_int(signed_value(a, scale) + y), scale,
              arena);
}

Numeric multiply(const Numeric& a, const Numeric& b, Arena& arena) {
  const bool is_negative = negative(a) != negative(b);
  cpp_int v = magnitude(a) * magnitude(b);
  int scale = dscale_of(a) + dscale_of(b);
  if (scale > kNumericMaxScale) {
    v = divide_rounded(v, power_of_ten(scale - kNumericMaxScale), Rounding::kHalfAway);
    scale = kNumericMaxScale;
  }
  return pack(is_negative, v, scale, arena);
}

Numeric divide(const Numeric& a, const Numeric& b, int rscale, Rounding rounding, Arena& arena) {
  cpp_int x = magnitude(a), y = magnitude(b);
  const int shift = rscale + dscale_of(b) - dscale_of(a);
  if (shift >= 0) x *= power_of_ten(shift);
  else y *= power_of_ten(-shift);
  return pack(negative(a) != negative(b), divide_rounded(x, y, rounding), rscale, arena);
}

Numeric modulo(const Numeric& a, const Numeric& b, Arena& arena) {
  const int scale = std::max(dscale_of(a), dscale_of(b));
  return pack(cpp_int(signed_value(a, scale) % signed_value(b, scale)), scale, arena);
}

Numeric rescale(const Numeric& n, int scale, Rounding rounding, Arena& arena) {
  const int by = scale - dscale_of(n);
  cpp_int v = magnitude(n);
  if (by >= 0) v *= power_of_ten(by);
  else v = divide_rounded(v, power_of_ten(-by), rounding);
  if (scale < 0) {
    v *= power_of_ten(-scale);
    scale = 0;
  }
  return pack(negative(n), v, scale, arena);
}

Numeric sqrt(const Numeric& n, int rscale, Arena& arena) {
  // sqrt(m / 10^s) at 10^-(r): isqrt(m * 10^(2r - s)), one more digit to round.
  const int r = rscale + 1;
  cpp_int v = magnitude(n);
  const int shift = 2 * r - dscale_of(n);
  if (shift >= 0) v *= power_of_ten(shift);
  else v /= power_of_ten(-shift);
  const cpp_int root = boost::multiprecision::sqrt(v);
  return pack(false, divide_rounded(root, 10, Rounding::kHalfAway), rscale, arena);
}

Numeric exp(const Numeric& n, int rscale, Arena& arena) {
  const int weight = std::max(0, static_cast<int>(numeric_to_double(n) * 0.4343) + 1);
  const unsigned bits = bits_for(rscale + weight + 8);
  return exp_of_fixed(to_fixed(n, bits), bits, rscale, false, arena);
}

Numeric ln(const Numeric& n, int rscale, Arena& arena) {
  const unsigned bits = bits_for(rscale + 8);
  return from_fixed(fixed_ln(n, bits), bits, rscale, arena);
}

Numeric log(const Numeric& base, const Numeric& n, int rscale, Arena& arena) {
  // A base near 1 has a small logarithm: as many digits more.
  const unsigned bits =
      2 * bits_for(rscale + 24) + 64 + static_cast<unsigned>(4 * (dscale_of(base) + dscale_of(n)));
  const cpp_int divisor = fixed_ln(base, bits), dividend = fixed_ln(n, bits);
  if (divisor == 0) throw error(sqlstate::kDivisionByZero, "division by zero");
  const bool is_negative = (divisor < 0) != (dividend < 0) && dividend != 0;
  const cpp_int v = divide_rounded(boost::multiprecision::abs(dividend) * power_of_ten(rscale),
                                   boost::multiprecision::abs(divisor), Rounding::kHalfAway);
  return pack(is_negative, v, rscale, arena);
}

Numeric power(const Numeric& base, const Numeric& exponent, int rscale, int weight_max, Arena& arena) {
  const cpp_int b = magnitude(base);
  const cpp_int denominator = power_of_ten(dscale_of(exponent));
  const cpp_int e = magnitude(exponent);
  const bool whole = e % denominator == 0;
  const cpp_int times = e / denominator;
  const bool is_negative = negative(base) && whole && times % 2 != 0;
  const bool inverse = negative(exponent);
  constexpr unsigned kExactBits = 1'500'000;
  if (whole && times * (msb(b) + 1) <= kExactBits && times * dscale_of(base) <= 200'000) {
    const auto k = static_cast<unsigned>(times);
    const cpp_int numerator = boost::multiprecision::pow(b, k);
    const cpp_int scale = power_of_ten(static_cast<int>(k) * dscale_of(base));
    const cpp_int v = inverse ? divide_rounded(scale * power_of_ten(rscale), numerator, Rounding::kHalfAway)
                              : divide_rounded(numerator * power_of_ten(rscale), scale, Rounding::kHalfAway);
    return pack(is_negative, v, rscale, arena);
  }
  const int exponent_digits = std::max(0, rough_exponent(exponent)) + 2;
  const unsigned bits = bits_for(rscale + std::max(0, weight_max) + exponent_digits + 16);
  cpp_int x = fixed_ln(b, power_of_ten(dscale_of(base)), bits) * e;
  x = x / denominator;
  if (inverse) x = -x;
  return exp_of_fixed(x, bits, rscale, is_negative, arena);
}

Numeric gcd(const Numeric& a, const Numeric& b, Arena& arena) {
  const int scale = std::max(dscale_of(a), dscale_of(b));
  return pack(false,
              boost::multiprecision::gcd(magnitude(a) * power_of_ten(scale - dscale_of(a)),
                                         magnitude(b) * power_of_ten(scale - dscale_of(b))),
              scale, arena);
}

Numeric factorial(int n, Arena& arena) {
  cpp_int v = 1;
  for (int i = 2; i <= n; ++i) v *= i;
  return pack(false, v, 0, arena);
}

}  // namespace rustbd::types::big
