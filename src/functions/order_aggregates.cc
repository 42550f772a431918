// min, max, any_value, bool_and/or, bit_and/or/xor.
#include <cmath>

#include "rustbd/functions/aggregate_kernel.h"
#include "rustbd/functions/kernel_table.h"
#include "rustbd/types/compare.h"

namespace rustbd::functions {

namespace {

using types::Phys;

template <class T, bool kLargest>
struct Extreme {
  struct State {
    T value;
    std::int64_t count;
  };
  using Value = T;
  static bool before(const T& a, const T& b) {
    if constexpr (std::is_floating_point_v<T>) {
      if (std::isnan(a)) return false;
      return std::isnan(b) || a < b;
    } else {
      return a < b;
    }
  }
  static void add(EvalContext&, State& s, const T& v) {
    if (s.count == 0 || (kLargest ? before(s.value, v) : before(v, s.value))) s.value = v;
    ++s.count;
  }
  static void combine(EvalContext& c, State& s, const State& from) {
    if (from.count != 0) add(c, s, from.value);
  }
  static void finalize(EvalContext&, const State& s, Datum& out, bool* is_null) {
    *is_null = s.count == 0;
    put(out, s.value);
  }
};

/// Types whose order is types::compare; the value is copied into the state's arena, and its memory used
/// again.
template <Phys P, int kDirection>
struct Boxed {
  using Value = types::CppTypeOf<P>;
  struct State {
    Value value;
    char* buffer;
    std::uint32_t capacity;
    std::uint32_t has;
  };
  static Datum keep(EvalContext& c, State& s, const Datum& d) {
    if constexpr (P == Phys::kStr) {
      const auto text = d.str.view();
      if (text.size() <= types::Str::kInlineMax) return d;
      if (text.size() > s.capacity) {
        s.capacity = static_cast<std::uint32_t>(text.size() + text.size() / 2);
        s.buffer = static_cast<char*>(c.arena->allocate(s.capacity, 1));
      }
      std::memmove(s.buffer, text.data(), text.size());
      return Datum::of(types::Str{std::string_view{s.buffer, text.size()}});
    } else {
      return types::copy_datum(d, P, *c.arena);
    }
  }
  static void add(EvalContext& c, State& s, const Value& v) {
    Datum candidate, current;
    put(candidate, v);
    if (s.has != 0) {
      if constexpr (kDirection == 0) return;  // any_value: the first
      put(current, s.value);
      const int order = types::compare(candidate, current, c.argument_types[0]);
      if (kDirection > 0 ? order <= 0 : order >= 0) return;
    }
    s.value = get<Value>(keep(c, s, candidate));
    s.has = 1;
  }
  static void combine(EvalContext& c, State& s, const State& from) {
    if (from.has != 0) add(c, s, from.value);
  }
  static void finalize(EvalContext&, const State& s, Datum& out, bool* is_null) {
    *is_null = s.has == 0;
    put(out, s.value);
  }
  static void serialize(const State& s, Bytes& out) {
    ByteWriter w{out};
    w.fixed(s.has);
    if (s.has == 0) return;
    Datum d;
    put(d, s.value);
    Bytes stored;
    types::append_stored(d, P, stored);
    w.varint(stored.size());
    w.raw(stored);
  }
  static void deserialize(EvalContext& c, ByteReader& in, State& s) {
    if (in.fixed<std::uint32_t>() == 0) return;
    const ByteSpan stored = in.raw(in.varint());
    s.value = get<Value>(keep(c, s, types::load_stored(stored, P, *c.arena)));
    s.has = 1;
  }
};

/// Any type: the width comes from the argument's type.
struct AnyValue {
  struct State {
    Datum value;
    std::uint64_t has;
    std::uint64_t phys;
  };
  static void add(EvalContext& c, State& s, const Vector* args, std::uint32_t row) {
    if (s.has != 0) return;
    const Phys phys = c.argument_types[0].phys;
    s.value = types::copy_datum(args[0].datum(row), phys, *c.arena);
    s.has = 1;
    s.phys = static_cast<std::uint64_t>(phys);
  }
  static void combine(EvalContext& c, State& s, const State& from) {
    if (s.has != 0 || from.has == 0) return;
    s = from;
    s.value = types::copy_datum(from.value, static_cast<Phys>(from.phys), *c.arena);
  }
  static void finalize(EvalContext&, const State& s, Datum& out, bool* is_null) {
    *is_null = s.has == 0;
    out = s.value;
  }
  static void serialize(const State& s, Bytes& out) {
    ByteWriter w{out};
    w.fixed(s.has);
    w.fixed(s.phys);
    const auto phys = static_cast<Phys>(s.phys);
    if (s.has == 0) return;
    if (!types::is_variable(phys)) {
      w.fixed(s.value.i128);
      return;
    }
    Bytes stored;
    types::append_stored(s.value, phys, stored);
    w.varint(stored.size());
    w.raw(stored);
  }
  static void deserialize(EvalContext& c, ByteReader& in, State& s) {
    s.has = in.fixed<std::uint64_t>();
    s.phys = in.fixed<std::uint64_t>();
    if (s.has == 0) return;
    const auto phys = static_cast<Phys>(s.phys);
    if (!types::is_variable(phys)) {
      s.value.i128 = in.fixed<types::Int128>();
      return;
    }
    s.value = types::copy_datum(types::load_stored(in.raw(in.varint()), phys, *c.arena), phys, *c.arena);
  }
};

enum class Bits : std::uint8_t { kAnd, kOr, kXor };
template <class T, Bits O>
struct BitAggregate {
  struct State {
    T value;
    std::int64_t count;
  };
  using Value = T;
  static void add(EvalContext&, State& s, const T& v) {
    if (s.count == 0) s.value = v;
    else if constexpr (O == Bits::kAnd) s.value = static_cast<T>(s.value & v);
    else if constexpr (O == Bits::kOr) s.value = static_cast<T>(s.value | v);
    else s.value = static_cast<T>(s.value ^ v);
    ++s.count;
  }
  static void combine(EvalContext& c, State& s, const State& from) {
    if (from.count != 0) add(c, s, from.value);
  }
  static void finalize(EvalContext&, const State& s, Datum& out, bool* is_null) {
    *is_null = s.count == 0;
    put(out, s.value);
  }
};

template <class T>
void add_extremes(AggregateTable& t, Oid max, Oid min) {
  t.add(max, AggregateLoops<Extreme<T, true>>::kernels(), true);
  t.add(min, AggregateLoops<Extreme<T, false>>::kernels(), true);
}
template <Phys P>
void add_boxed(AggregateTable& t, Oid max, Oid min) {
  t.add(max, AggregateLoops<Boxed<P, 1>>::kernels(), true, false, types::is_variable(P));
  t.add(min, AggregateLoops<Boxed<P, -1>>::kernels(), true, false, types::is_variable(P));
}
template <class T>
void add_bits(AggregateTable& t, Oid bit_and, Oid bit_or, Oid bit_xor) {
  t.add(bit_and, AggregateLoops<BitAggregate<T, Bits::kAnd>>::kernels(), true);
  t.add(bit_or, AggregateLoops<BitAggregate<T, Bits::kOr>>::kernels(), true);
  t.add(bit_xor, AggregateLoops<BitAggregate<T, Bits::kXor>>::kernels(), true);
}

}  // namespace

void register_order_aggregates(AggregateTable& t) {
  add_extremes<std::int64_t>(t, 2115, 2131);  // int8
  add_extremes<std::int32_t>(t, 2116, 2132);  // int4
  add_extremes<std::int16_t>(t, 2117, 2133);  // int2
  add_extremes<Oid>(t, 2118, 2134);
  add_extremes<float>(t, 2119, 2135);
  add_extremes<double>(t, 2120, 2136);
  add_extremes<std::int32_t>(t, 2122, 2138);   // date
  add_extremes<std::int64_t>(t, 2123, 2139);   // time
  add_extremes<std::int64_t>(t, 2126, 2142);   // timestamp
  add_extremes<std::int64_t>(t, 2127, 2143);   // timestamptz
  add_extremes<std::uint64_t>(t, 3526, 3527);  // enums
  add_boxed<Phys::kTimeTz>(t, 2124, 2140);
  add_boxed<Phys::kInterval>(t, 2128, 2144);
  add_boxed<Phys::kStr>(t, 2129, 2145);  // text
  add_boxed<Phys::kNumeric>(t, 2130, 2146);
  add_boxed<Phys::kStr>(t, 2244, 2245);  // bpchar
  add_boxed<Phys::kStr>(t, 2050, 2051);  // arrays
  t.add(9000, RowAggregateLoops<AnyValue>::kernels(), true, false, true);
  add_bits<std::int16_t>(t, 2236, 2237, 6164);
  add_bits<std::int32_t>(t, 2238, 2239, 6165);
  add_bits<std::int64_t>(t, 2240, 2241, 6166);
  t.add(2517, AggregateLoops<BitAggregate<bool, Bits::kAnd>>::kernels(), true);
  t.add(2519, AggregateLoops<BitAggregate<bool, Bits::kAnd>>::kernels(), true);  // every
  t.add(2518, AggregateLoops<BitAggregate<bool, Bits::kOr>>::kernels(), true);
}

}  // namespace rustbd::functions
