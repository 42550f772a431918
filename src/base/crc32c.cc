#include "rustbd/base/crc32c.h"

#include <nmmintrin.h>

#include <array>
#include <cstring>

namespace rustbd {

std::uint32_t crc32c(std::uint32_t crc, const void* data, std::size_t size) {
  const auto* p = static_cast<const unsigned char*>(data);
  std::uint64_t state = ~crc;
  while (size >= 8) {
    std::uint64_t word;
    std::memcpy(&word, p, 8);
    state = _mm_crc32_u64(state, word);
    p += 8;
    size -= 8;
  }
  auto narrow = static_cast<std::uint32_t>(state);
  while (size-- > 0) narrow = _mm_crc32_u8(narrow, *p++);
  return ~narrow;
}

namespace {
constexpr std::uint32_t kPolynomial = 0x82F63B78u;  // reflected
using Matrix = std::array<std::uint32_t, 32>;       // a linear map of GF(2)^32, one column a bit

std::uint32_t apply(const Matrix& m, std::uint32_t v) {
  std::uint32_t sum = 0;
  for (int i = 0; v != 0; v >>= 1, ++i)
    if (v & 1) sum ^= m[i];
  return sum;
}
Matrix square(const Matrix& m) {
  Matrix out{};
  for (int i = 0; i < 32; ++i) out[i] = apply(m, m[i]);
  return out;
}
}  // namespace

std::uint32_t crc32c_combine(std::uint32_t crc_a, std::uint32_t crc_b, std::size_t size_b) {
  static const std::array<Matrix, 64> powers = [] {  // powers[k] advances by 2^k zero bytes
    Matrix bit{};
    bit[0] = kPolynomial;
    for (int i = 1; i < 32; ++i) bit[i] = 1u << (i - 1);
    Matrix byte = square(square(square(bit)));
    std::array<Matrix, 64> all{};
    for (auto& m : all) {
      m = byte;
      byte = square(byte);
    }
    return all;
  }();
  for (int k = 0; size_b != 0; size_b >>= 1, ++k)
    if (size_b & 1) crc_a = apply(powers[k], crc_a);
  return crc_a ^ crc_b;
}

}  // namespace rustbd
