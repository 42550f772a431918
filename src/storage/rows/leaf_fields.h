// Fields and small parts of a table leaf (storage.md §1.4), for leaf_view.cc and leaf_page.cc.
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

#include "rustbd/base/bytes.h"
#include "rustbd/types/numeric.h"

namespace rustbd::storage {

namespace leaf_field {  // byte offsets in the page
inline constexpr std::size_t kBase = 32, kCapacity = 40, kRows = 42, kHeapLow = 44, kGarbage = 46,
                             kHighFence = 48;
}

/// {u16 off; u16 len; u8 prefix[4]} of a variable value. len <= 4: the value is in prefix, off is 0. len
/// 0xFFFF: the heap holds an overflow reference {u64 first_pid; u64 len}.
struct Descriptor {
  std::uint16_t off = 0;
  std::uint16_t len = 0;
  char prefix[4] = {};

  static Descriptor of(std::uint64_t raw) {
    Descriptor d;
    std::memcpy(static_cast<void*>(&d), &raw, sizeof d);
    return d;
  }
  [[nodiscard]] std::uint64_t raw() const { return load<std::uint64_t>(this); }
  [[nodiscard]] std::uint32_t heap_bytes() const { return len <= 4 ? 0 : len == 0xFFFF ? 16 : len; }
};
static_assert(sizeof(Descriptor) == 8);

/// Whether the bytes are a stored numeric (u8 kind, u16 dscale, magnitude): load_stored() takes them without
/// throwing.
inline bool sound_numeric(std::string_view stored) {
  return stored.size() >= 3 && static_cast<std::uint8_t>(stored[0]) <= 4 &&
         load<std::uint16_t>(stored.data() + 1) <= types::kNumericMaxScale;
}

/// Calls visit(i) for the set bits in [first, last) of a bitmap whose start is 8-aligned.
template <class Visit>
void for_each_set_bit(const std::byte* bitmap, std::uint32_t first, std::uint32_t last, Visit&& visit) {
  for (std::uint32_t word = first / 64; word * 64 < last; ++word) {
    std::uint64_t bits = load<std::uint64_t>(bitmap + std::size_t{8} * word);
    if (word == first / 64) bits &= ~0ull << (first % 64);
    if (last - word * 64 < 64) bits &= (1ull << (last - word * 64)) - 1;
    for (; bits != 0; bits &= bits - 1) visit(word * 64 + static_cast<std::uint32_t>(__builtin_ctzll(bits)));
  }
}

inline void put_bit(std::byte* bitmap, std::uint32_t at, bool on) {
  const auto mask = static_cast<std::byte>(1u << (at % 8));
  if (on) bitmap[at / 8] |= mask;
  else bitmap[at / 8] &= ~mask;
}

/// Moves bits [at, bits) one place up; bit `at` becomes 0. The bitmap has room for bits + 1.
inline void open_bit(std::byte* bitmap, std::uint32_t at, std::uint32_t bits) {
  for (std::uint32_t word = bits / 64; word > at / 64; --word) {
    const auto low = load<std::uint64_t>(bitmap + std::size_t{8} * (word - 1));
    store(bitmap + std::size_t{8} * word,
          (load<std::uint64_t>(bitmap + std::size_t{8} * word) << 1) | (low >> 63));
  }
  std::byte* first = bitmap + std::size_t{8} * (at / 64);
  const auto bits_of_word = load<std::uint64_t>(first);
  const std::uint64_t below = (1ull << (at % 64)) - 1;
  store(first, (bits_of_word & below) | ((bits_of_word & ~below) << 1));
}

/// Takes bit `at` out; bits (at, bits) move one place down, the last becomes 0.
inline void close_bit(std::byte* bitmap, std::uint32_t at, std::uint32_t bits) {
  const std::uint32_t last_word = (bits - 1) / 64;
  for (std::uint32_t word = at / 64; word <= last_word; ++word) {
    std::byte* p = bitmap + std::size_t{8} * word;
    const auto value = load<std::uint64_t>(p);
    const std::uint64_t below = word == at / 64 ? (1ull << (at % 64)) - 1 : 0;
    std::uint64_t moved = (value & below) | ((value >> 1) & ~below);
    if (word < last_word) moved = (moved & ~(1ull << 63)) | (load<std::uint64_t>(p + 8) << 63);
    store(p, moved);
  }
}

}  // namespace rustbd::storage
