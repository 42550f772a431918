// Loops that make AggregateKernels from one accumulator:
//   struct State {...};                      trivially copyable, valid when all-zero bytes
//   using Value                              C++ type of the argument
//   static void add(EvalContext&, State&, const Value&)
//   static void combine(EvalContext&, State&, const State&)
//   static void finalize(EvalContext&, const State&, Datum&, bool* is_null)
#pragma once

#include "rustbd/base/bytes.h"
#include "rustbd/functions/vector_kernel.h"

namespace rustbd::functions {

template <class A>
struct AggregateLoops {
  using State = typename A::State;
  using Value = typename A::Value;
  static void init(void* state) { std::memset(state, 0, sizeof(State)); }
  static void update_all(EvalContext& c, void* state, const Vector* args, const Selection& selection) {
    const Operand<Value> values(c, args[0], selection);
    State s;
    std::memcpy(static_cast<void*>(&s), state, sizeof(State));
    if (values.constant) {
      for_each_row(selection, [&](std::uint32_t) { A::add(c, s, values.data[0]); });
    } else {
      for_each_row(selection, [&](std::uint32_t row) { A::add(c, s, values.data[row]); });
    }
    std::memcpy(state, static_cast<const void*>(&s), sizeof(State));
  }
  static void update_grouped(EvalContext& c, void* const* states, const Vector* args,
                             const Selection& selection) {
    const Operand<Value> values(c, args[0], selection);
    for (std::uint32_t i = 0; i < selection.count; ++i)
      A::add(c, *static_cast<State*>(states[i]), values[selection[i]]);
  }
  static void combine(EvalContext& c, void* into, const void* from) {
    A::combine(c, *static_cast<State*>(into), *static_cast<const State*>(from));
  }
  static void finalize(EvalContext& c, const void* state, Datum& out, bool* is_null) {
    A::finalize(c, *static_cast<const State*>(state), out, is_null);
  }
  static AggregateKernels kernels() {
    AggregateKernels k;
    k.state_bytes = sizeof(State);
    k.state_alignment = alignof(State) < 8 ? 8 : alignof(State);
    k.init = &init;
    k.update_all = &update_all;
    k.update_grouped = &update_grouped;
    k.combine = &combine;
    k.finalize = &finalize;
    if constexpr (requires(const State& s, Bytes& out) { A::serialize(s, out); }) {
      k.serialize = [](const void* state, Bytes& out) {
        A::serialize(*static_cast<const State*>(state), out);
      };
      k.deserialize = [](EvalContext& c, ByteReader& in, void* state) {
        init(state);
        A::deserialize(c, in, *static_cast<State*>(state));
      };
    }
    return k;
  }
};

/// Aggregates that look at several arguments or at nulls: A::add(context, state, const Vector* args, row).
template <class A>
struct RowAggregateLoops {
  using State = typename A::State;
  static void update_all(EvalContext& c, void* state, const Vector* args, const Selection& selection) {
    for_each_row(selection, [&](std::uint32_t row) { A::add(c, *static_cast<State*>(state), args, row); });
  }
  static void update_grouped(EvalContext& c, void* const* states, const Vector* args,
                             const Selection& selection) {
    for (std::uint32_t i = 0; i < selection.count; ++i)
      A::add(c, *static_cast<State*>(states[i]), args, selection[i]);
  }
  static AggregateKernels kernels() {
    AggregateKernels k;
    k.state_bytes = sizeof(State);
    k.state_alignment = alignof(State) < 8 ? 8 : alignof(State);
    k.init = [](void* state) { std::memset(state, 0, sizeof(State)); };
    k.update_all = &update_all;
    k.update_grouped = &update_grouped;
    k.combine = [](EvalContext& c, void* into, const void* from) {
      A::combine(c, *static_cast<State*>(into), *static_cast<const State*>(from));
    };
    k.finalize = [](EvalContext& c, const void* state, Datum& out, bool* is_null) {
      A::finalize(c, *static_cast<const State*>(state), out, is_null);
    };
    if constexpr (requires(const State& s, Bytes& out) { A::serialize(s, out); }) {
      k.serialize = [](const void* state, Bytes& out) {
        A::serialize(*static_cast<const State*>(state), out);
      };
      k.deserialize = [](EvalContext& c, ByteReader& in, void* state) {
        std::memset(state, 0, sizeof(State));
        A::deserialize(c, in, *static_cast<State*>(state));
      };
    }
    return k;
  }
};

}  // namespace rustbd::functions
