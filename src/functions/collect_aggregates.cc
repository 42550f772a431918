// Aggregates that keep all their values: string_agg, array_agg, and the ordered-set ones (mode,
// percentile_*), whose arguments are (direct argument, value) and whose rows come sorted as WITHIN GROUP
// says.
#include <cmath>

#include "rustbd/base/error.h"
#include "rustbd/functions/aggregate_kernel.h"
#include "rustbd/functions/kernel_table.h"
#include "rustbd/types/array.h"
#include "rustbd/types/compare.h"
#include "rustbd/types/datetime.h"

namespace rustbd::functions {

namespace {

using types::Phys;
using types::Str;

/// Bytes that grow in an arena by doubling; what is left behind goes with the arena.
struct GrowingBytes {
  char* data = nullptr;
  std::uint32_t size = 0, capacity = 0;
  void append(const void* bytes, std::size_t n, Arena& arena) {
    if (size + n > Str::kMaxBytes)
      throw error(sqlstate::kProgramLimitExceeded, "out of memory")
          .with_detail(
              fmt::format("Cannot enlarge string buffer containing {} bytes by {} more bytes.", size, n));
    if (size + n > capacity) {
      capacity = static_cast<std::uint32_t>((size + n) * 2 < 64 ? 64 : (size + n) * 2);
      char* bigger = static_cast<char*>(arena.allocate(capacity, 1));
      if (size != 0) std::memcpy(bigger, data, size);
      data = bigger;
    }
    if (n != 0) std::memcpy(data + size, bytes, n);
    size += static_cast<std::uint32_t>(n);
  }
  [[nodiscard]] std::string_view view() const { return {data, size}; }
};

/// The first delimiter is kept too (its length), so that states can be combined.
struct StringAgg {
  struct State {
    GrowingBytes text;
    std::uint32_t first_delimiter, has;
  };
  static void add(EvalContext& c, State& s, const Vector* args, std::uint32_t row) {
    if (!args[0].is_valid(row)) return;
    const Datum value = args[0].datum(row);
    if (args[1].is_valid(row)) {
      const Datum delimiter = args[1].datum(row);
      if (s.has == 0) s.first_delimiter = delimiter.str.len;
      s.text.append(delimiter.str.data(), delimiter.str.len, *c.arena);
    }
    s.text.append(value.str.data(), value.str.len, *c.arena);
    s.has = 1;
  }
  static void combine(EvalContext& c, State& s, const State& from) {
    if (from.has == 0) return;
    if (s.has == 0) s.first_delimiter = from.first_delimiter;
    s.text.append(from.text.data, from.text.size, *c.arena);
    s.has = 1;
  }
  static void finalize(EvalContext&, const State& s, Datum& out, bool* is_null) {
    *is_null = s.has == 0;
    if (s.has != 0) out = Datum::of(Str{s.text.view().substr(s.first_delimiter)});
  }
  static void serialize(const State& s, Bytes& out) {
    ByteWriter w{out};
    w.fixed(s.has);
    w.fixed(s.first_delimiter);
    w.varint(s.text.size);
    w.raw(s.text.data, s.text.size);
  }
  static void deserialize(EvalContext& c, ByteReader& in, State& s) {
    s.has = in.fixed<std::uint32_t>();
    s.first_delimiter = in.fixed<std::uint32_t>();
    const ByteSpan bytes = in.raw(in.varint());
    s.text.append(bytes.data(), bytes.size(), *c.arena);
  }
};

/// Values one behind the other: null flag, length, stored form (fixed ones: 16 bytes of the datum).
struct Collected {
  GrowingBytes bytes;
  double fraction;  // direct argument of the percentiles
  std::uint32_t count, nulls;
  std::uint64_t phys;  // of the values
  Str fractions;       // direct argument that is an array
  std::uint64_t fraction_null;
};
void append_value(EvalContext& c, Collected& s, const Vector& v, std::uint32_t row, const TypeRef& type) {
  const bool valid = v.is_valid(row);
  ++s.count;
  s.phys = static_cast<std::uint64_t>(type.phys);
  s.nulls += valid ? 0 : 1;
  const char flag = valid ? 1 : 0;
  s.bytes.append(&flag, 1, *c.arena);
  if (!valid) return;
  const Datum d = v.datum(row);
  if (!types::is_variable(type.phys)) {
    s.bytes.append(&d, sizeof d, *c.arena);
    return;
  }
  Bytes stored;
  types::append_stored(d, type.phys, stored);
  const auto length = static_cast<std::uint32_t>(stored.size());
  s.bytes.append(&length, 4, *c.arena);
  s.bytes.append(stored.data(), stored.size(), *c.arena);
}
template <class F>
void for_each_value(const Collected& s, Arena& arena, F&& body) {
  ByteReader in{as_bytes(s.bytes.view())};
  const auto phys = static_cast<Phys>(s.phys);
  for (std::uint32_t i = 0; i < s.count; ++i) {
    if (in.fixed<char>() == 0) {
      body(i, Datum{}, true);
      continue;
    }
    if (!types::is_variable(phys)) {
      Datum d;
      d.i128 = in.fixed<types::Int128>();
      body(i, d, false);
      continue;
    }
    body(i, types::load_stored(in.raw(in.fixed<std::uint32_t>()), phys, arena), false);
  }
}
struct CollectedBase {
  using State = Collected;
  static void combine(EvalContext& c, State& s, const State& from) {
    if (from.count == 0) return;
    if (s.count == 0) {
      s.fraction = from.fraction;
      s.fractions = from.fractions;
      s.fraction_null = from.fraction_null;
      s.phys = from.phys;
    }
    s.bytes.append(from.bytes.data, from.bytes.size, *c.arena);
    s.count += from.count;
    s.nulls += from.nulls;
  }
  static void serialize(const State& s, Bytes& out) {
    ByteWriter w{out};
    w.fixed(s.fraction);
    w.fixed(s.count);
    w.fixed(s.nulls);
    w.fixed(s.phys);
    w.fixed(s.fraction_null);
    w.varint(s.fractions.len);
    w.raw(s.fractions.data(), s.fractions.len);
    w.varint(s.bytes.size);
    w.raw(s.bytes.data, s.bytes.size);
  }
  static void deserialize(EvalContext& c, ByteReader& in, State& s) {
    s.fraction = in.fixed<double>();
    s.count = in.fixed<std::uint32_t>();
    s.nulls = in.fixed<std::uint32_t>();
    s.phys = in.fixed<std::uint64_t>();
    s.fraction_null = in.fixed<std::uint64_t>();
    s.fractions = Str::copy(in.text(), *c.arena);
    const ByteSpan bytes = in.raw(in.varint());
    s.bytes.append(bytes.data(), bytes.size(), *c.arena);
  }
};

struct ArrayAgg : CollectedBase {
  static void add(EvalContext& c, State& s, const Vector* args, std::uint32_t row) {
    append_value(c, s, args[0], row, c.argument_types[0]);
  }
  static void finalize(EvalContext& c, const State& s, Datum& out, bool* is_null) {
    *is_null = s.count == 0;
    if (s.count == 0) return;
    types::ArrayBuilder builder{c.argument_types[0].oid};
    for_each_value(s, *c.arena, [&](std::uint32_t, const Datum& d, bool null) { builder.add(d, null); });
    out = Datum::of(builder.finish(*c.arena));
  }
};

/// array_agg(anyarray): one dimension more.
struct ArrayOfArrays : CollectedBase {
  static void add(EvalContext& c, State& s, const Vector* args, std::uint32_t row) {
    if (!args[0].is_valid(row)) throw error(sqlstate::kNullValueNotAllowed, "cannot accumulate null arrays");
    append_value(c, s, args[0], row, c.argument_types[0]);
  }
  static void finalize(EvalContext& c, const State& s, Datum& out, bool* is_null) {
    *is_null = s.count == 0;
    if (s.count == 0) return;
    types::ArrayBuilder builder{types::element_type_of(c.argument_types[0].oid)};
    std::vector<types::Dimension> dims;
    for_each_value(s, *c.arena, [&](std::uint32_t i, const Datum& d, bool) {
      const types::ArrayView view{d.str};
      if (view.ndim() == 0) throw error(sqlstate::kArraySubscriptError, "cannot accumulate empty arrays");
      if (i == 0) {
        dims.push_back({static_cast<std::int32_t>(s.count), 1});
        for (const auto& dim : view.dimensions()) dims.push_back(dim);
      }
      if (view.ndim() + 1 != static_cast<int>(dims.size()) ||
          !std::equal(view.dimensions().begin(), view.dimensions().end(), dims.begin() + 1))
        throw error(sqlstate::kArraySubscriptError, "cannot accumulate arrays of different dimensionality");
      for (types::ArrayView::Cursor cursor{view, *c.arena}; cursor.next();)
        builder.add(cursor.value(), cursor.is_null());
    });
    out = Datum::of(builder.finish(dims, *c.arena));
  }
};

struct Mode : CollectedBase {
  static void add(EvalContext& c, State& s, const Vector* args, std::uint32_t row) {
    if (args[0].is_valid(row)) append_value(c, s, args[0], row, c.argument_types[0]);
  }
  static void finalize(EvalContext& c, const State& s, Datum& out, bool* is_null) {
    *is_null = s.count == 0;
    Datum previous;
    std::uint32_t run = 0, best = 0;
    for_each_value(s, *c.arena, [&](std::uint32_t i, const Datum& d, bool) {
      run = i != 0 && types::equal(d, previous, c.argument_types[0]) ? run + 1 : 1;
      previous = d;
      if (run > best) {
        best = run;
        out = d;
      }
    });
  }
};

struct PercentileBase : CollectedBase {
  static void add(EvalContext& c, State& s, const Vector* args, std::uint32_t row) {
    if (!args[1].is_valid(row)) return;
    if (s.count == 0) {
      s.fraction_null = args[0].is_valid(row) ? 0 : 1;
      if (s.fraction_null == 0) {
        if (args[0].phys == Phys::kStr) s.fractions = Str::copy(args[0].datum(row).str.view(), *c.arena);
        else s.fraction = args[0].datum(row).f64;
      }
    }
    append_value(c, s, args[1], row, c.argument_types[1]);
  }
  static std::vector<Datum> values_of(EvalContext& c, const State& s) {
    std::vector<Datum> values;
    values.reserve(s.count);
    for_each_value(s, *c.arena, [&](std::uint32_t, const Datum& d, bool) { values.push_back(d); });
    return values;
  }
  static void check(double fraction) {
    if (!(fraction >= 0 && fraction <= 1))
      throw error(sqlstate::kNumericValueOutOfRange, "percentile value {:g} is not between 0 and 1",
                  fraction);
  }
};
struct DiscreteRule {
  static Datum at(EvalContext&, const std::vector<Datum>& values, double fraction) {
    const double position = std::ceil(fraction * static_cast<double>(values.size()));
    return values[position < 1 ? 0 : static_cast<std::size_t>(position) - 1];
  }
};
struct ContinuousRule {
  static Datum at(EvalContext& c, const std::vector<Datum>& values, double fraction) {
    const double position = fraction * static_cast<double>(values.size() - 1);
    const auto low = static_cast<std::size_t>(std::floor(position)),
               high = static_cast<std::size_t>(std::ceil(position));
    if (low == high) return values[low];
    const double part = position - static_cast<double>(low);
    if (c.argument_types[1].phys == Phys::kInterval) {
      const auto step = types::interval_multiply(
          types::interval_subtract(values[high].interval, values[low].interval), part);
      return Datum::of(types::interval_add(values[low].interval, step));
    }
    return Datum::of(values[low].f64 + part * (values[high].f64 - values[low].f64));
  }
};
template <class Rule>
struct Percentile : PercentileBase {
  static void finalize(EvalContext& c, const State& s, Datum& out, bool* is_null) {
    *is_null = s.count == 0 || s.fraction_null != 0;
    if (*is_null) return;
    check(s.fraction);
    out = Rule::at(c, values_of(c, s), s.fraction);
  }
};
template <class Rule>
struct PercentileArray : PercentileBase {
  static void finalize(EvalContext& c, const State& s, Datum& out, bool* is_null) {
    *is_null = s.count == 0 || s.fraction_null != 0;
    if (*is_null) return;
    const std::vector<Datum> values = values_of(c, s);
    const types::ArrayView fractions{s.fractions};
    types::ArrayBuilder builder{c.argument_types[1].oid};
    for (types::ArrayView::Cursor cursor{fractions, *c.arena}; cursor.next();) {
      if (cursor.is_null()) {
        builder.add_null();
        continue;
      }
      check(cursor.value().f64);
      builder.add(Rule::at(c, values, cursor.value().f64));
    }
    out = Datum::of(builder.finish(fractions.dimensions(), *c.arena));
  }
};

template <class A>
void add_collecting(AggregateTable& t, Oid oid) {
  t.add(oid, RowAggregateLoops<A>::kernels(), false, true, true);
}

}  // namespace

void register_collect_aggregates(AggregateTable& t) {
  add_collecting<StringAgg>(t, 3538);  // text
  add_collecting<StringAgg>(t, 3545);  // bytea
  add_collecting<ArrayAgg>(t, 2335);
  add_collecting<ArrayOfArrays>(t, 4053);
  add_collecting<Mode>(t, 3984);
  add_collecting<Percentile<DiscreteRule>>(t, 3972);
  add_collecting<Percentile<ContinuousRule>>(t, 3974);
  add_collecting<Percentile<ContinuousRule>>(t, 3976);
  add_collecting<PercentileArray<DiscreteRule>>(t, 3978);
  add_collecting<PercentileArray<ContinuousRule>>(t, 3980);
  add_collecting<PercentileArray<ContinuousRule>>(t, 3982);
}

}  // namespace rustbd::functions
