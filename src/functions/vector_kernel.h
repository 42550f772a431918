// Loops that make vector and scalar kernels from one operation on values. The operation is a struct:
//   using Left, Right, Result;            (unary ones: Left, Result)
//   static bool run(Left, Right, Result&)  true: failed. It may also throw itself.
//   [[noreturn]] static void fail(Left, Right)
// Failures are gathered without a branch and found by a second pass (query.md §6.2).
#pragma once

#include <type_traits>

#include "rustbd/functions/registry.h"

namespace rustbd::functions {

template <class T>
T get(const Datum& d) {
  T value;
  std::memcpy(static_cast<void*>(&value), static_cast<const void*>(&d), sizeof(T));
  return value;
}
template <class T>
void put(Datum& d, const T& value) {
  std::memcpy(static_cast<void*>(&d), static_cast<const void*>(&value), sizeof(T));
}

/// An argument as an array (stride 1) or one value (stride 0). Dictionaries and sequences are unpacked into
/// the arena.
template <class T>
struct Operand {
  const T* data;
  bool constant;
  Operand(EvalContext& context, const Vector& v, const Selection& selection)
      : constant(v.form == types::Form::kConst) {
    if (v.form == types::Form::kFlat || constant) {
      data = static_cast<const T*>(v.data);
      return;
    }
    T* flat = static_cast<T*>(context.arena->allocate(sizeof(T) * types::kVectorSize, 16));
    for (std::uint32_t i = 0; i < selection.count; ++i) {
      const auto row = selection[i];
      flat[row] = get<T>(v.datum(row));
    }
    data = flat;
  }
  const T& operator[](std::uint32_t row) const { return data[constant ? 0 : row]; }
};

template <class Loop>
void for_each_row(const Selection& selection, Loop&& body) {
  if (selection.indexes == nullptr) {
    for (std::uint32_t row = 0; row < selection.count; ++row) body(row);
  } else {
    for (std::uint32_t i = 0; i < selection.count; ++i) body(selection.indexes[i]);
  }
}

template <class Op>
void binary_vector(EvalContext& context, const Vector* args, std::uint32_t, const Selection& selection,
                   std::uint32_t, Vector& out, std::uint64_t*) {
  using L = typename Op::Left;
  using R = typename Op::Right;
  const Operand<L> left(context, args[0], selection);
  const Operand<R> right(context, args[1], selection);
  auto* result = out.values<typename Op::Result>();
  bool failed = false;
  if (left.constant && right.constant) {
    for_each_row(selection,
                 [&](std::uint32_t row) { failed |= Op::run(left.data[0], right.data[0], result[row]); });
  } else if (left.constant) {
    const L value = left.data[0];
    for_each_row(selection,
                 [&](std::uint32_t row) { failed |= Op::run(value, right.data[row], result[row]); });
  } else if (right.constant) {
    const R value = right.data[0];
    for_each_row(selection,
                 [&](std::uint32_t row) { failed |= Op::run(left.data[row], value, result[row]); });
  } else {
    for_each_row(selection,
                 [&](std::uint32_t row) { failed |= Op::run(left.data[row], right.data[row], result[row]); });
  }
  if (!failed) [[likely]]
    return;
  for_each_row(selection, [&](std::uint32_t row) {
    typename Op::Result ignored;
    if (Op::run(left[row], right[row], ignored)) Op::fail(left[row], right[row]);
  });
}

template <class Op>
void binary_scalar(EvalContext&, const Datum* args, const bool*, Datum& out, bool*) {
  const auto left = get<typename Op::Left>(args[0]);
  const auto right = get<typename Op::Right>(args[1]);
  typename Op::Result result{};
  if (Op::run(left, right, result)) Op::fail(left, right);
  put(out, result);
}

template <class Op>
void unary_vector(EvalContext& context, const Vector* args, std::uint32_t, const Selection& selection,
                  std::uint32_t, Vector& out, std::uint64_t*) {
  const Operand<typename Op::Left> operand(context, args[0], selection);
  auto* result = out.values<typename Op::Result>();
  bool failed = false;
  if (operand.constant) {
    for_each_row(selection, [&](std::uint32_t row) { failed |= Op::run(operand.data[0], result[row]); });
  } else {
    for_each_row(selection, [&](std::uint32_t row) { failed |= Op::run(operand.data[row], result[row]); });
  }
  if (!failed) [[likely]]
    return;
  for_each_row(selection, [&](std::uint32_t row) {
    typename Op::Result ignored;
    if (Op::run(operand[row], ignored)) Op::fail(operand[row]);
  });
}

template <class Op>
void unary_scalar(EvalContext&, const Datum* args, const bool*, Datum& out, bool*) {
  const auto value = get<typename Op::Left>(args[0]);
  typename Op::Result result{};
  if (Op::run(value, result)) Op::fail(value);
  put(out, result);
}

/// For operations that cannot fail: gives run() a fail() that is never called.
struct NeverFails {
  template <class... Args>
  [[noreturn]] static void fail(const Args&...) {
    RUSTBD_UNREACHABLE("an operation that cannot fail");
  }
};

template <class Op>
Kernels binary_kernels() {
  return {&binary_vector<Op>, &binary_scalar<Op>, {}};
}
template <class Op>
Kernels unary_kernels() {
  return {&unary_vector<Op>, &unary_scalar<Op>, {}};
}

}  // namespace rustbd::functions
