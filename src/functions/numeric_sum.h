// Exact running sum of decimals: a 128-bit integer at the largest scale seen, and what no longer fits in a
// Numeric.
#pragma once

#include "rustbd/base/bytes.h"
#include "rustbd/types/compare.h"
#include "rustbd/types/numeric.h"

namespace rustbd::functions {

/// All-zero bytes are the empty sum. `overflow` points into the arena given to add().
struct NumericSum {
  types::Int128 fast = 0;
  types::Numeric overflow{};
  std::int64_t count = 0;
  std::int32_t scale = 0;
  std::uint32_t nan = 0, infinite = 0, minus_infinite = 0;

  void add(const types::Numeric& n, Arena& arena) {
    ++count;
    if (!types::is_finite(n)) {
      const auto kind = types::kind_of(n);
      (kind == types::NumericKind::kNan
           ? nan
           : (kind == types::NumericKind::kInfinity ? infinite : minus_infinite)) = 1;
      return;
    }
    raise_scale(types::dscale_of(n), arena);
    types::Int128 value;
    if (types::to_scaled(n, scale, &value)) add_fast(value, arena);
    else overflow = types::add(overflow, n, arena);
  }
  void add_fast(types::Int128 value, Arena& arena) {
    if (!__builtin_add_overflow(fast, value, &fast)) return;
    // What was added wrapped around: take it back, put the sum aside and start again.
    __builtin_sub_overflow(fast, value, &fast);
    flush(arena);
    fast = value;
  }
  void raise_scale(std::int32_t to, Arena& arena) {
    if (to <= scale) return;
    types::Int128 raised = 0;
    const bool fits =
        to - scale <= 38 &&
        !__builtin_mul_overflow(fast, static_cast<types::Int128>(types::kPowersOfTen[to - scale]), &raised);
    if (fits) fast = raised;
    else flush(arena);
    scale = to;
  }
  void flush(Arena& arena) {
    overflow = types::add(overflow, types::numeric_from_int128(fast, scale, arena), arena);
    fast = 0;
  }
  void merge(const NumericSum& from, Arena& arena) {
    count += from.count;
    nan |= from.nan;
    infinite |= from.infinite;
    minus_infinite |= from.minus_infinite;
    const types::Numeric other = from.total(arena);
    if (types::is_finite(other)) {
      const std::int64_t keep = count;
      add(other, arena);
      count = keep;
    }
  }
  /// The sum with the largest scale seen.
  [[nodiscard]] types::Numeric total(Arena& arena) const {
    if (nan != 0 || (infinite != 0 && minus_infinite != 0)) return types::numeric_nan();
    if (infinite != 0) return types::numeric_special(types::NumericKind::kInfinity);
    if (minus_infinite != 0) return types::numeric_special(types::NumericKind::kMinusInfinity);
    return finite_total(arena);
  }
  [[nodiscard]] types::Numeric finite_total(Arena& arena) const {
    const types::Numeric rest = types::numeric_from_int128(fast, scale, arena);
    return types::sign_of(overflow) == 0 && types::dscale_of(overflow) <= scale
               ? rest
               : types::add(overflow, rest, arena);
  }
  void serialize(Bytes& out) const {
    ByteWriter w{out};
    w.fixed(fast);
    w.fixed(count);
    w.fixed(scale);
    w.fixed(nan);
    w.fixed(infinite);
    w.fixed(minus_infinite);
    Bytes stored;
    types::append_stored(types::Datum::of(overflow), types::Phys::kNumeric, stored);
    w.varint(stored.size());
    w.raw(stored);
  }
  void deserialize(ByteReader& in, Arena& arena) {
    fast = in.fixed<types::Int128>();
    count = in.fixed<std::int64_t>();
    scale = in.fixed<std::int32_t>();
    nan = in.fixed<std::uint32_t>();
    infinite = in.fixed<std::uint32_t>();
    minus_infinite = in.fixed<std::uint32_t>();
    const ByteSpan stored = in.raw(in.varint());
    const types::Datum value = types::load_stored(stored, types::Phys::kNumeric, arena);
    overflow = types::copy_numeric(value.numeric, arena);
  }
};

}  // namespace rustbd::functions
