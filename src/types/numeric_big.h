// Numerics beyond 128 bits and the transcendental functions: the only file with big integers behind it is
// numeric_big.cc. Arguments are finite; NaN and infinities are numeric.cc's business. Internal to `types`.
#pragma once

#include <string>
#include <string_view>

#include "rustbd/types/numeric.h"

namespace rustbd::types::big {

enum class Rounding : std::uint8_t {
  kHalfAway,
  kTruncate,
  kUp
};  // kUp: towards +infinity when positive (ceil)

Numeric from_decimal(bool negative, std::string_view digits, int scale, Arena& arena);
std::string magnitude_digits(const Numeric& n);  // "0" for zero
int compare_magnitudes(const Numeric& a, const Numeric& b);
Numeric add(const Numeric& a, const Numeric& b, bool negate_b, Arena& arena);
Numeric multiply(const Numeric& a, const Numeric& b, Arena& arena);
/// b != 0; result has scale rscale.
Numeric divide(const Numeric& a, const Numeric& b, int rscale, Rounding rounding, Arena& arena);
Numeric modulo(const Numeric& a, const Numeric& b, Arena& arena);
Numeric rescale(const Numeric& n, int scale, Rounding rounding, Arena& arena);
Numeric sqrt(const Numeric& n, int rscale, Arena& arena);
Numeric exp(const Numeric& n, int rscale, Arena& arena);
Numeric ln(const Numeric& n, int rscale, Arena& arena);
Numeric log(const Numeric& base, const Numeric& n, int rscale, Arena& arena);
/// base > 0 or exponent an integer; |result| < 10^weight_max.
Numeric power(const Numeric& base, const Numeric& exponent, int rscale, int weight_max, Arena& arena);
Numeric gcd(const Numeric& a, const Numeric& b, Arena& arena);
Numeric factorial(int n, Arena& arena);

}  // namespace rustbd::types::big
