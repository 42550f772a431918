// Arithmetic and bit operations of int2, int4, int8 and their mixed pairs: the result has the wider type.
#include <numeric>

#include "rustbd/base/error.h"
#include "rustbd/functions/kernel_table.h"
#include "rustbd/functions/vector_kernel.h"
#include "rustbd/types/cast.h"

namespace rustbd::functions {

namespace {

[[noreturn, gnu::cold]] void divide_by_zero() { throw error(sqlstate::kDivisionByZero, "division by zero"); }

template <class L, class R>
struct Integers {
  using Left = L;
  using Right = R;
  using Result = std::common_type_t<L, R>;
  using Wide = std::conditional_t<sizeof(L) >= sizeof(R), L, R>;
  [[noreturn]] static void fail(L, R) { types::throw_out_of_range(types::integer_name<Wide>()); }
};
// common_type of two shorts is int: the SQL result is the wider of the two argument types.
template <class L, class R>
using WideOf = typename Integers<L, R>::Wide;

template <class L, class R>
struct Add : Integers<L, R> {
  using Result = WideOf<L, R>;
  static bool run(L a, R b, Result& out) { return __builtin_add_overflow(a, b, &out); }
};
template <class L, class R>
struct Subtract : Integers<L, R> {
  using Result = WideOf<L, R>;
  static bool run(L a, R b, Result& out) { return __builtin_sub_overflow(a, b, &out); }
};
template <class L, class R>
struct Multiply : Integers<L, R> {
  using Result = WideOf<L, R>;
  static bool run(L a, R b, Result& out) { return __builtin_mul_overflow(a, b, &out); }
};
template <class L, class R>
struct Divide : Integers<L, R> {
  using Result = WideOf<L, R>;
  static bool run(L a, R b, Result& out) {
    if (b == 0) divide_by_zero();
    if (b == -1) return __builtin_sub_overflow(Result{0}, static_cast<Result>(a), &out);
    out = static_cast<Result>(static_cast<Result>(a) / static_cast<Result>(b));
    return false;
  }
};
template <class L, class R>
struct Modulo : Integers<L, R> {
  using Result = WideOf<L, R>;
  static bool run(L a, R b, Result& out) {
    if (b == 0) divide_by_zero();
    out = b == -1 ? Result{0} : static_cast<Result>(static_cast<Result>(a) % static_cast<Result>(b));
    return false;
  }
};
template <class T>
struct And : NeverFails {
  using Left = T;
  using Right = T;
  using Result = T;
  static bool run(T a, T b, T& out) {
    out = static_cast<T>(a & b);
    return false;
  }
};
template <class T>
struct Or : NeverFails {
  using Left = T;
  using Right = T;
  using Result = T;
  static bool run(T a, T b, T& out) {
    out = static_cast<T>(a | b);
    return false;
  }
};
template <class T>
struct Xor : NeverFails {
  using Left = T;
  using Right = T;
  using Result = T;
  static bool run(T a, T b, T& out) {
    out = static_cast<T>(a ^ b);
    return false;
  }
};
// Shift distances are taken modulo the width of the machine operation (32 or 64), as PostgreSQL's C code does
// on x86.
template <class T>
struct ShiftLeft : NeverFails {
  using Left = T;
  using Right = std::int32_t;
  using Result = T;
  using Machine = std::conditional_t<sizeof(T) == 8, std::uint64_t, std::uint32_t>;
  static bool run(T a, std::int32_t b, T& out) {
    out = static_cast<T>(static_cast<Machine>(a)
                         << (static_cast<std::uint32_t>(b) & (sizeof(Machine) * 8 - 1)));
    return false;
  }
};
template <class T>
struct ShiftRight : NeverFails {
  using Left = T;
  using Right = std::int32_t;
  using Result = T;
  using Machine = std::conditional_t<sizeof(T) == 8, std::int64_t, std::int32_t>;
  static bool run(T a, std::int32_t b, T& out) {
    out = static_cast<T>(static_cast<Machine>(a) >>
                         (static_cast<std::uint32_t>(b) & (sizeof(Machine) * 8 - 1)));
    return false;
  }
};
template <class T>
struct Not : NeverFails {
  using Left = T;
  using Result = T;
  static bool run(T a, T& out) {
    out = static_cast<T>(~a);
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
struct Minus {
  using Left = T;
  using Result = T;
  static bool run(T a, T& out) { return __builtin_sub_overflow(T{0}, a, &out); }
  [[noreturn]] static void fail(T) { types::throw_out_of_range(types::integer_name<T>()); }
};
template <class T>
struct Absolute {
  using Left = T;
  using Result = T;
  static bool run(T a, T& out) {
    if (a < 0) return __builtin_sub_overflow(T{0}, a, &out);
    out = a;
    return false;
  }
  [[noreturn]] static void fail(T) { types::throw_out_of_range(types::integer_name<T>()); }
};
template <class T>
struct Larger : NeverFails {
  using Left = T;
  using Right = T;
  using Result = T;
  static bool run(T a, T b, T& out) {
    out = a > b ? a : b;
    return false;
  }
};
template <class T>
struct Smaller : NeverFails {
  using Left = T;
  using Right = T;
  using Result = T;
  static bool run(T a, T b, T& out) {
    out = a < b ? a : b;
    return false;
  }
};
template <class T>
struct Increment {
  using Left = T;
  using Result = T;
  static bool run(T a, T& out) { return __builtin_add_overflow(a, T{1}, &out); }
  [[noreturn]] static void fail(T) { types::throw_out_of_range(types::integer_name<T>()); }
};

template <class T>
void gcd_of(EvalContext&, const Datum* a, const bool*, Datum& out, bool*) {
  using U = std::make_unsigned_t<T>;
  const T x = get<T>(a[0]), y = get<T>(a[1]);
  const U g = std::gcd(x < 0 ? U{0} - static_cast<U>(x) : static_cast<U>(x),
                       y < 0 ? U{0} - static_cast<U>(y) : static_cast<U>(y));
  if (g > static_cast<U>(std::numeric_limits<T>::max())) types::throw_out_of_range(types::integer_name<T>());
  put(out, static_cast<T>(g));
}
template <class T>
void lcm_of(EvalContext& c, const Datum* a, const bool* n, Datum& out, bool* is_null) {
  const T x = get<T>(a[0]), y = get<T>(a[1]);
  if (x == 0 || y == 0) {
    put(out, T{0});
    return;
  }
  Datum g;
  gcd_of<T>(c, a, n, g, is_null);
  T result;
  if (__builtin_mul_overflow(static_cast<T>(x / get<T>(g)), y, &result) ||
      result == std::numeric_limits<T>::min())
    types::throw_out_of_range(types::integer_name<T>());
  put(out, static_cast<T>(result < 0 ? -result : result));
}

template <class Op>
void add_binary(KernelTable& t, std::string_view name, bool can_error) {
  t.vector(name, &binary_vector<Op>, &binary_scalar<Op>, can_error);
}
template <class Op>
void add_unary(KernelTable& t, std::string_view name, bool can_error) {
  t.vector(name, &unary_vector<Op>, &unary_scalar<Op>, can_error);
}

struct PairNames {
  std::string_view add, subtract, multiply, divide;
};
template <class L, class R>
void add_pair(KernelTable& t, const PairNames& names) {
  add_binary<Add<L, R>>(t, names.add, true);
  add_binary<Subtract<L, R>>(t, names.subtract, true);
  add_binary<Multiply<L, R>>(t, names.multiply, true);
  add_binary<Divide<L, R>>(t, names.divide, true);
}

struct TypeNames {
  std::string_view modulo, bit_and, bit_or, bit_xor, bit_not, shift_left, shift_right, plus, minus, absolute,
      larger, smaller;
};
template <class T>
void add_type(KernelTable& t, const TypeNames& n) {
  add_binary<Modulo<T, T>>(t, n.modulo, true);
  add_binary<And<T>>(t, n.bit_and, false);
  add_binary<Or<T>>(t, n.bit_or, false);
  add_binary<Xor<T>>(t, n.bit_xor, false);
  add_unary<Not<T>>(t, n.bit_not, false);
  add_binary<ShiftLeft<T>>(t, n.shift_left, false);
  add_binary<ShiftRight<T>>(t, n.shift_right, false);
  add_unary<Plus<T>>(t, n.plus, false);
  add_unary<Minus<T>>(t, n.minus, true);
  add_unary<Absolute<T>>(t, n.absolute, true);
  add_binary<Larger<T>>(t, n.larger, false);
  add_binary<Smaller<T>>(t, n.smaller, false);
}

}  // namespace

void register_integer_kernels(KernelTable& t) {
  using I2 = std::int16_t;
  using I4 = std::int32_t;
  using I8 = std::int64_t;
  add_pair<I2, I2>(t, {"int2pl", "int2mi", "int2mul", "int2div"});
  add_pair<I4, I4>(t, {"int4pl", "int4mi", "int4mul", "int4div"});
  add_pair<I8, I8>(t, {"int8pl", "int8mi", "int8mul", "int8div"});
  add_pair<I2, I4>(t, {"int24pl", "int24mi", "int24mul", "int24div"});
  add_pair<I4, I2>(t, {"int42pl", "int42mi", "int42mul", "int42div"});
  add_pair<I2, I8>(t, {"int28pl", "int28mi", "int28mul", "int28div"});
  add_pair<I8, I2>(t, {"int82pl", "int82mi", "int82mul", "int82div"});
  add_pair<I4, I8>(t, {"int48pl", "int48mi", "int48mul", "int48div"});
  add_pair<I8, I4>(t, {"int84pl", "int84mi", "int84mul", "int84div"});
  add_type<I2>(t, {"int2mod", "int2and", "int2or", "int2xor", "int2not", "int2shl", "int2shr", "int2up",
                   "int2um", "int2abs", "int2larger", "int2smaller"});
  add_type<I4>(t, {"int4mod", "int4and", "int4or", "int4xor", "int4not", "int4shl", "int4shr", "int4up",
                   "int4um", "int4abs", "int4larger", "int4smaller"});
  add_type<I8>(t, {"int8mod", "int8and", "int8or", "int8xor", "int8not", "int8shl", "int8shr", "int8up",
                   "int8um", "int8abs", "int8larger", "int8smaller"});
  add_unary<Increment<I4>>(t, "int4inc", true);
  add_unary<Increment<I8>>(t, "int8inc", true);
  t.scalar("int4gcd", &gcd_of<I4>);
  t.scalar("int8gcd", &gcd_of<I8>);
  t.scalar("int4lcm", &lcm_of<I4>);
  t.scalar("int8lcm", &lcm_of<I8>);
  add_binary<Larger<Oid>>(t, "oidlarger", false);
  add_binary<Smaller<Oid>>(t, "oidsmaller", false);
}

}  // namespace rustbd::functions
