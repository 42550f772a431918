// Functions behind PostgreSQL's casts: numbers among each other, strings among each other, lengths, reg* and
// bool.
#include <cmath>

#include "rustbd/base/error.h"
#include "rustbd/functions/coerce.h"
#include "rustbd/functions/kernel_table.h"
#include "rustbd/functions/text_tools.h"
#include "rustbd/functions/vector_kernel.h"
#include "rustbd/types/cast.h"
#include "rustbd/types/datetime.h"

namespace rustbd::functions {

namespace {

namespace oid = types::oid;
using types::Numeric;

template <class From, class To>
struct Widen : NeverFails {
  using Left = From;
  using Result = To;
  static bool run(From a, To& out) {
    out = static_cast<To>(a);
    return false;
  }
};
template <class From, class To>
struct Narrow {
  using Left = From;
  using Result = To;
  static bool run(From a, To& out) {
    out = static_cast<To>(a);
    return static_cast<From>(out) != a;
  }
  [[noreturn]] static void fail(From) { types::throw_out_of_range(types::integer_name<To>()); }
};
template <class From, class To>
struct Round {
  using Left = From;
  using Result = To;
  static bool run(From a, To& out) {
    const From r = std::rint(a);
    constexpr From low = static_cast<From>(std::numeric_limits<To>::min());
    const bool fits = r >= low && r < -low;
    out = fits ? static_cast<To>(r) : To{0};
    return !fits;
  }
  [[noreturn]] static void fail(From) { types::throw_out_of_range(types::integer_name<To>()); }
};
struct ToFloat4 : NeverFails {
  using Left = double;
  using Result = float;
  static bool run(double a, float& out) {
    out = types::double_to_float(a);
    return false;
  }
};
struct ToOid : NeverFails {
  using Left = std::int64_t;
  using Result = Oid;
  static bool run(std::int64_t a, Oid& out) {
    out = types::int64_to_oid(a);
    return false;
  }
};
struct IntToBool : NeverFails {
  using Left = std::int32_t;
  using Result = bool;
  static bool run(std::int32_t a, bool& out) {
    out = a != 0;
    return false;
  }
};
struct IntToChar {
  using Left = std::int32_t;
  using Result = std::int8_t;
  static bool run(std::int32_t a, std::int8_t& out) {
    out = static_cast<std::int8_t>(a);
    return a < -128 || a > 127;
  }
  [[noreturn]] static void fail(std::int32_t) {
    throw error(sqlstate::kNumericValueOutOfRange, "\"char\" out of range");
  }
};

template <class From>
void int_numeric(EvalContext&, const Datum* a, const bool*, Datum& out, bool*) {
  out = Datum::of(types::numeric_from_int64(get<From>(a[0])));
}
void float4_numeric(EvalContext& c, const Datum* a, const bool*, Datum& out, bool*) {
  out = Datum::of(types::numeric_from_float(a[0].f32, *c.arena));
}
void float8_numeric(EvalContext& c, const Datum* a, const bool*, Datum& out, bool*) {
  out = Datum::of(types::numeric_from_double(a[0].f64, *c.arena));
}
template <auto F>
void from_numeric(EvalContext&, const Datum* a, const bool*, Datum& out, bool*) {
  out = Datum::of(F(a[0].numeric));
}
/// Static decimals arrive only where resolve_kernels has no faster way.
void numeric_float4(EvalContext&, const Datum* a, const bool*, Datum& out, bool*) {
  out = Datum::of(types::numeric_to_float(a[0].numeric));
}

void bool_text(EvalContext&, const Datum* a, const bool*, Datum& out, bool*) {
  out = text_part(a[0].boolean ? "true" : "false");
}
void char_text(EvalContext&, const Datum* a, const bool*, Datum& out, bool*) {
  const char byte = static_cast<char>(a[0].i8);
  if (byte == 0) {
    out = text_part("");
    return;
  }
  if ((byte & 0x80) != 0) {  // as charout: octal
    const auto u = static_cast<unsigned char>(byte);
    const char octal[4] = {'\\', static_cast<char>('0' + (u >> 6)), static_cast<char>('0' + ((u >> 3) & 7)),
                           static_cast<char>('0' + (u & 7))};
    out = text_part({octal, 4});
    return;
  }
  out = text_part({&byte, 1});
}
void text_char(EvalContext&, const Datum* a, const bool*, Datum& out, bool*) {
  const std::string_view text = text_of(a[0]);
  const auto octal = [&](std::size_t i) { return text[i] >= '0' && text[i] <= '7'; };
  if (text.size() == 4 && text[0] == '\\' && octal(1) && octal(2) && octal(3)) {
    out.i8 = static_cast<std::int8_t>(((text[1] - '0') << 6) + ((text[2] - '0') << 3) + (text[3] - '0'));
    return;
  }
  out.i8 = text.empty() ? 0 : static_cast<std::int8_t>(text[0]);
}
void strip(EvalContext&, const Datum* a, const bool*, Datum& out, bool*) {
  out = Datum::of(strip_blanks(a[0].str));
}
void same(EvalContext&, const Datum* a, const bool*, Datum& out, bool*) { out = a[0]; }
/// At most 63 bytes, cut between characters.
void to_name(EvalContext&, const Datum* a, const bool*, Datum& out, bool*) {
  const types::Str stripped = strip_blanks(a[0].str);
  std::string_view text = stripped.view();
  if (text.size() > 63) {
    std::size_t end = 63;
    while (end > 0 && is_continuation(text[end])) --end;
    text = text.substr(0, end);
  }
  out = text_part(text);
}
void text_name(EvalContext& c, const Datum* a, const bool* n, Datum& out, bool* is_null) {
  if (a[0].str.len <= 63) {
    out = a[0];
    return;
  }
  to_name(c, a, n, out, is_null);
}
void text_regclass(EvalContext& c, const Datum* a, const bool*, Datum& out, bool*) {
  auto* names = c.statement->io().names;
  if (names == nullptr) throw not_supported("regclass here");
  out = Datum::of(names->find(oid::kRegclass, text_of(a[0])));
}

template <Oid Type>
void length(EvalContext& c, const Datum* a, const bool*, Datum& out, bool*) {
  TypeRef from = c.argument_types[0], to = from;
  to.oid = Type;
  to.typmod = a[1].i32;
  out = coerce_length(a[0], from, to, a[2].boolean, *c.arena);
}
void time_scale(EvalContext&, const Datum* a, const bool*, Datum& out, bool*) {
  out = Datum::of(types::round_time(a[0].i64, a[1].i32));
}
void timetz_scale(EvalContext&, const Datum* a, const bool*, Datum& out, bool*) {
  out = a[0];
  out.timetz.micros = types::round_time(a[0].timetz.micros, a[1].i32);
}
void timestamp_scale(EvalContext&, const Datum* a, const bool*, Datum& out, bool*) {
  out = Datum::of(types::round_timestamp(a[0].i64, a[1].i32));
}
void interval_scale(EvalContext&, const Datum* a, const bool*, Datum& out, bool*) {
  out = Datum::of(types::apply_interval_typmod(a[0].interval, a[1].i32));
}

template <class Op>
void add(KernelTable& t, std::string_view name, bool can_error) {
  t.vector(name, &unary_vector<Op>, &unary_scalar<Op>, can_error);
}
void add_number_casts(KernelTable& t) {
  using I2 = std::int16_t;
  using I4 = std::int32_t;
  using I8 = std::int64_t;
  add<Widen<I2, I4>>(t, "i2toi4", false);
  add<Widen<I2, I8>>(t, "int28", false);
  add<Widen<I4, I8>>(t, "int48", false);
  add<Narrow<I4, I2>>(t, "i4toi2", true);
  add<Narrow<I8, I2>>(t, "int82", true);
  add<Narrow<I8, I4>>(t, "int84", true);
  add<Widen<I2, float>>(t, "i2tof", false);
  add<Widen<I4, float>>(t, "i4tof", false);
  add<Widen<I8, float>>(t, "i8tof", false);
  add<Widen<I2, double>>(t, "i2tod", false);
  add<Widen<I4, double>>(t, "i4tod", false);
  add<Widen<I8, double>>(t, "i8tod", false);
  add<Widen<float, double>>(t, "ftod", false);
  add<ToFloat4>(t, "dtof", true);
  add<Round<float, I2>>(t, "ftoi2", true);
  add<Round<float, I4>>(t, "ftoi4", true);
  add<Round<float, I8>>(t, "ftoi8", true);
  add<Round<double, I2>>(t, "dtoi2", true);
  add<Round<double, I4>>(t, "dtoi4", true);
  add<Round<double, I8>>(t, "dtoi8", true);
  add<ToOid>(t, "i8tooid", true);
  add<Widen<Oid, I8>>(t, "oidtoi8", false);
  add<IntToBool>(t, "int4_bool", false);
  add<Widen<bool, I4>>(t, "bool_int4", false);
  add<IntToChar>(t, "i4tochar", true);
  add<Widen<std::int8_t, I4>>(t, "chartoi4", false);
  t.scalar("int2_numeric", &int_numeric<I2>, false);
  t.scalar("int4_numeric", &int_numeric<I4>, false);
  t.scalar("int8_numeric", &int_numeric<I8>, false);
  t.scalar("float4_numeric", &float4_numeric);
  t.scalar("float8_numeric", &float8_numeric);
  t.scalar("numeric_int2", &from_numeric<types::numeric_to_int16>);
  t.scalar("numeric_int4", &from_numeric<types::numeric_to_int32>);
  t.scalar("numeric_int8", &from_numeric<types::numeric_to_int64>);
  t.scalar("numeric_float4", &numeric_float4);
  t.scalar("numeric_float8", &from_numeric<types::numeric_to_double>);
}

}  // namespace

void register_cast_kernels(KernelTable& t) {
  add_number_casts(t);
  t.scalar("booltext", &bool_text, false);
  t.scalar("char_text", &char_text, false);
  t.scalar("char_bpchar", &char_text, false);
  t.scalar("text_char", &text_char, false);
  t.scalar("rtrim1", &strip, false);
  t.scalar("name_text", &same, false);
  t.scalar("name_bpchar", &same, false);
  t.scalar("text_name", &text_name, false);
  t.scalar("bpchar_name", &to_name, false);
  t.scalar("text_regclass", &text_regclass);
  t.scalar("bpchar", &length<oid::kBpchar>);
  t.scalar("varchar", &length<oid::kVarchar>);
  t.scalar("time_scale", &time_scale);
  t.scalar("timetz_scale", &timetz_scale);
  t.scalar("timestamp_scale", &timestamp_scale);
  t.scalar("timestamptz_scale", &timestamp_scale);
  t.scalar("interval_scale", &interval_scale);
}

}  // namespace rustbd::functions
