// Hashes of values in memory (not stored) and XXH3-64, the checksum of pages.
#pragma once

#include <cstddef>
#include <cstdint>

namespace rustbd {

/// 64×64→128 multiply folded to 64 bits (as in wyhash, Wang Yi).
inline std::uint64_t fold_multiply(std::uint64_t a, std::uint64_t b) {
  const auto wide = static_cast<unsigned __int128>(a) * b;
  return static_cast<std::uint64_t>(wide) ^ static_cast<std::uint64_t>(wide >> 64);
}
inline std::uint64_t hash_u64(std::uint64_t x) {
  return fold_multiply(x ^ 0xA0761D6478BD642Full, 0xE7037ED1A0B428DBull);
}
inline std::uint64_t hash_combine(std::uint64_t h1, std::uint64_t h2) {
  return fold_multiply(h1 ^ ((h2 << 31) | (h2 >> 33)), 0x8EBC6AF09C88C6E3ull);
}
std::uint64_t hash_bytes(const void* data, std::size_t size);
/// XXH3-64: the checksum of page images.
std::uint64_t xxh3_64(const void* data, std::size_t size);

}  // namespace rustbd
