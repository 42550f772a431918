// The one registry: a function, operator, cast or aggregate is declared once, here's its shape. pg_proc,
// pg_operator, pg_cast and pg_aggregate rows, the binder's resolution and the kernels all come from these
// declarations (query.md §6).
#pragma once

#include <atomic>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "rustbd/types/io.h"
#include "rustbd/types/vector.h"

namespace rustbd::functions {

using types::Chunk;
using types::Datum;
using types::Selection;
using types::TypeRef;
using types::Vector;

/// What functions need from the session, the catalog and sequences; `engine` implements it. Members throw
/// Error.
class StatementContext {
 public:
  virtual ~StatementContext() = default;
  virtual types::IoContext& io() = 0;                   // settings, names; arena is set by the evaluator
  virtual std::int64_t transaction_timestamp_us() = 0;  // µs from 2000-01-01 UTC
  virtual std::int64_t statement_timestamp_us() = 0;
  virtual std::int64_t clock_timestamp_us() = 0;
  virtual std::uint64_t random_u64() = 0;
  virtual void set_random_seed(double seed) = 0;
  virtual std::string_view current_user() = 0;
  virtual std::string_view session_user() = 0;
  virtual std::string_view current_database() = 0;
  virtual std::string_view current_schema() = 0;  // empty: none
  virtual std::vector<std::string> current_schemas(bool with_implicit) = 0;
  virtual std::int64_t nextval(Oid sequence) = 0;
  virtual std::int64_t currval(Oid sequence) = 0;
  virtual std::int64_t lastval() = 0;
  virtual void setval(Oid sequence, std::int64_t value, bool is_called) = 0;
  virtual std::string get_setting(std::string_view name, bool missing_ok, bool* found) = 0;
  virtual std::string set_setting(std::string_view name, std::string_view value, bool is_local) = 0;
  /// Everything that reads the catalog or the server's state, by name: pg_get_viewdef, pg_table_is_visible,
  /// format_type, pg_relation_size, pg_cancel_backend... Returns false for SQL NULL. One seam instead of
  /// fifty members.
  virtual bool catalog_function(std::string_view name, std::span<const Datum> args,
                                std::span<const bool> nulls, Arena& arena, Datum* result) = 0;
};

/// Tested by long loops; set from any thread. Value: 0, or why.
enum class CancelReason : std::uint32_t {
  kNone,
  kUser,
  kStatementTimeout,
  kLockTimeout,
  kAdmin,
  kSerialization
};
struct CancelFlag {
  std::atomic<std::uint32_t> reason{0};
  void check() const {
    if (reason.load(std::memory_order_relaxed) != 0) [[unlikely]]
      raise();
  }
  [[noreturn]] void raise() const;  // 57014 "canceling statement due to user request", ...
};

struct FunctionDeclaration;

/// Passed to every kernel. Results that point to memory point into `arena`, which lives until the chunk is
/// dropped.
struct EvalContext {
  Arena* arena = nullptr;
  StatementContext* statement = nullptr;
  const CancelFlag* cancel = nullptr;
  Oid input_collation = 0;
  TypeRef result_type{};  // resolved result, with scale
  std::span<const TypeRef> argument_types{};
  const FunctionDeclaration* function =
      nullptr;  // what is running: kernels shared by name (catalog functions) look here
};

enum Flags : std::uint16_t {
  kStrict = 1,
  kImmutable = 2,
  kStable = 4,
  kVolatile = 8,
  kCanError = 16,
  kVariadic = 32,
  kSetReturning = 64,
  kCommutative = 128,
  kDefaultsFromEnd = 256,  // `default_count` trailing arguments may be left out
};

/// Vectorised: fills out[row] for the selected rows. Arguments may be of any Form. `out` is flat with memory
/// for kVectorSize values; the kernel sets out.validity when it makes nulls. Nulls of arguments of strict
/// functions are handled outside: behind a null any readable bytes may stand, and a kernel that can fail gets
/// only non-null rows.
using VectorKernel = void (*)(EvalContext&, const Vector* args, std::uint32_t arg_count, const Selection&,
                              std::uint32_t rows, Vector& out, std::uint64_t* validity_memory);
/// One row. Returns through `out`, sets *is_null. Strict functions never see a null argument.
using ScalarKernel = void (*)(EvalContext&, const Datum* args, const bool* nulls, Datum& out, bool* is_null);
/// Set-returning: called until it returns false; state made by init in the arena. Fills out columns.
struct SetKernel {
  void* (*init)(EvalContext&, const Datum* args, const bool* nulls) = nullptr;
  std::uint32_t (*next)(EvalContext&, void* state,
                        types::ChunkBuffer& out) = nullptr;  // rows produced; 0 = end
};

/// A kernel set for one combination of physical argument forms. Numeric functions have several: on kNumeric
/// always, on kD64/kD128 where a fast one exists.
struct Kernels {
  VectorKernel vector = nullptr;  // nullptr: the generic loop over `scalar`
  ScalarKernel scalar = nullptr;
  SetKernel set{};
};

struct FunctionDeclaration {
  Oid oid;
  std::string_view name;  // pg_proc.proname
  std::span<const Oid> arguments;
  Oid result;  // may be polymorphic
  std::uint16_t flags;
  std::uint8_t default_count;
  std::uint16_t cost_ns_x10;
  Kernels kernels;
  std::span<const std::string_view> argument_names{};  // OUT columns of set-returning functions: after '>'
  Oid variadic_element = 0;                            // element type of a VARIADIC last argument
  [[nodiscard]] bool is(Flags flag) const { return (flags & flag) != 0; }
};

struct OperatorDeclaration {
  Oid oid;
  std::string_view name;  // "+"
  Oid left;               // 0: prefix operator
  Oid right;
  Oid result;
  Oid function;  // FunctionDeclaration::oid
  Oid commutator = 0, negator = 0;
  bool can_hash = false, can_merge = false;
};

enum class CastContext : std::uint8_t { kImplicit, kAssignment, kExplicit };
struct CastDeclaration {
  Oid oid;
  Oid source, target;
  Oid function;  // 0: binary coercible, or by text I/O when by_io
  CastContext context;
  bool by_io = false;
};

/// Aggregates (query.md §6.1): raw state bytes inside a row of a hash table.
struct AggregateKernels {
  std::uint32_t state_bytes = 0, state_alignment = 8;
  void (*init)(void* state) = nullptr;
  /// One state for all selected rows. Arguments: only non-null rows for strict aggregates.
  void (*update_all)(EvalContext&, void* state, const Vector* args, const Selection&) = nullptr;
  /// states[i] belongs to the i-th selected row.
  void (*update_grouped)(EvalContext&, void* const* states, const Vector* args, const Selection&) = nullptr;
  void (*combine)(EvalContext&, void* into, const void* from) = nullptr;
  void (*finalize)(EvalContext&, const void* state, Datum& out, bool* is_null) = nullptr;
  void (*serialize)(const void* state, Bytes& out) = nullptr;  // mandatory where the state points to memory
  void (*deserialize)(EvalContext&, ByteReader& in, void* state) = nullptr;
};
struct AggregateDeclaration {
  Oid oid;
  std::string_view name;
  std::span<const Oid> arguments;  // empty for count(*)
  Oid result;
  bool strict;  // skips rows with a null argument
  bool order_sensitive;
  bool state_needs_arena;    // EvalContext::arena of updates must live as long as the state
  AggregateKernels kernels;  // the general ones; variants by resolve_aggregate
  std::uint8_t kind = 'n';   // n normal, o ordered-set, h hypothetical
};

/// The outcome of choosing kernels for actual argument types: arguments must first be converted to
/// `arguments` (only between kD64, kD128 and kNumeric), and the result has type `result`.
struct ResolvedFunction {
  const FunctionDeclaration* declaration = nullptr;
  const Kernels* kernels = nullptr;
  std::vector<TypeRef> arguments;
  TypeRef result;
};
struct ResolvedAggregate {
  const AggregateDeclaration* declaration = nullptr;
  const AggregateKernels* kernels = nullptr;
  std::vector<TypeRef> arguments;
  TypeRef result;
};
/// `actual` are SQL-level exact for the declaration (after implicit casts); polymorphic results are resolved
/// here.
ResolvedFunction resolve_kernels(const FunctionDeclaration&, std::span<const TypeRef> actual);
ResolvedAggregate resolve_kernels(const AggregateDeclaration&, std::span<const TypeRef> actual);

class Registry {
 public:
  static const Registry& instance();  // immutable after first use
  [[nodiscard]] const FunctionDeclaration* function(Oid oid) const;
  [[nodiscard]] const AggregateDeclaration* aggregate(Oid oid) const;
  [[nodiscard]] const OperatorDeclaration* op(Oid oid) const;
  [[nodiscard]] std::span<const FunctionDeclaration* const> functions(std::string_view name) const;
  [[nodiscard]] std::span<const AggregateDeclaration* const> aggregates(std::string_view name) const;
  [[nodiscard]] std::span<const OperatorDeclaration* const> operators(std::string_view name) const;
  [[nodiscard]] const CastDeclaration* cast(Oid source, Oid target) const;
  [[nodiscard]] std::span<const FunctionDeclaration> all_functions() const;
  [[nodiscard]] std::span<const AggregateDeclaration> all_aggregates() const;
  [[nodiscard]] std::span<const OperatorDeclaration> all_operators() const;
  [[nodiscard]] std::span<const CastDeclaration> all_casts() const;

 private:
  Registry();
  struct Index;
  const Index* index_;
};

}  // namespace rustbd::functions
