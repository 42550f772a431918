// How chunks are laid out, and expressions compiled against a layout.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "rustbd/base/rest.h"
#include "rustbd/exec/run_state.h"

namespace rustbd::exec {

/// Position -> column, with its type.
struct Layout {
  std::vector<ColumnId> ids;
  std::vector<TypeRef> types;
  static Layout of(const RunState& run, std::span<const ColumnId> columns);
  static Layout of(const RunState& run, std::span<const plan::TargetColumn> columns);
  [[nodiscard]] std::size_t size() const { return ids.size(); }
  [[nodiscard]] int find(ColumnId id) const;                // -1: not there
  [[nodiscard]] std::uint32_t position(ColumnId id) const;  // must be there
  [[nodiscard]] expression::ColumnMap map() const;
  [[nodiscard]] std::vector<types::Phys> phys() const;
  void add(ColumnId id, const TypeRef& type) {
    ids.push_back(id);
    types.push_back(type);
  }
};
/// left's columns, then right's.
Layout join_layouts(const Layout& left, const Layout& right);

/// A list of expressions over one layout. Plain columns pass through without cost.
class Evaluator {
 public:
  Evaluator() = default;
  Evaluator(std::vector<const expression::Expression*> expressions, const Layout& in);
  struct Local {
    expression::Program::LocalPtr program;
    std::vector<Vector> computed;
    /// See Stage::renew.
    [[nodiscard]] bool renew() const { return program == nullptr || expression::Program::renew(*program); }
  };
  [[nodiscard]] Local make_local() const;
  [[nodiscard]] std::size_t size() const { return from_.size(); }
  [[nodiscard]] const std::vector<TypeRef>& types() const { return types_; }
  /// Position in the input of expression i when it is a plain column, else -1.
  [[nodiscard]] int passed_through(std::size_t i) const {
    return from_[i].computed ? -1 : static_cast<int>(from_[i].index);
  }
  /// out[i]: valid for the selected rows of `in` until the next call with this Local.
  void evaluate(Local& local, const expression::RunContext& run, const Chunk& in, Vector* out) const;

 private:
  struct From {
    bool computed;
    std::uint32_t index;
  };
  std::vector<From> from_;
  std::vector<TypeRef> types_;
  std::unique_ptr<expression::Program> program_;
  std::size_t computed_count_ = 0;
};

/// A condition; without one every row passes.
class Predicate {
 public:
  Predicate() = default;
  Predicate(const expression::Expression* condition, const Layout& in);
  using Local = expression::Program::LocalPtr;
  [[nodiscard]] bool empty() const { return program_ == nullptr; }
  [[nodiscard]] Local make_local() const { return program_ ? program_->make_local() : Local{}; }
  /// See Stage::renew.
  static bool renew(Local& local) { return local == nullptr || expression::Program::renew(*local); }
  [[nodiscard]] Selection filter(Local& local, const expression::RunContext& run, const Chunk& in) const {
    return program_ ? program_->filter(*local, run, in) : in.selection;
  }
  /// The boolean itself, with nulls.
  void evaluate(Local& local, const expression::RunContext& run, const Chunk& in, Vector* out) const {
    program_->evaluate(*local, run, in, {out, 1});
  }

 private:
  std::unique_ptr<expression::Program> program_;
};

/// Whether a state that waits for its next execution may keep the arena's memory.
inline bool is_small(const Arena& arena) { return arena.bytes_reserved() <= kRestBytesMax; }

/// 0, 1, 2, ...: selections of ranges point into it.
extern const std::uint16_t* const kRowNumbers;
/// The part [first, first + count) of a selection.
inline Selection slice(const Selection& s, std::uint32_t first, std::uint32_t count) {
  return {(s.indexes == nullptr ? kRowNumbers : s.indexes) + first, count};
}

/// Gives out a chunk piece by piece, at most `rows` each.
class Slicer {
 public:
  void start(const Chunk& chunk) {
    chunk_ = chunk;
    at_ = 0;
  }
  [[nodiscard]] bool empty() const { return at_ >= chunk_.selection.count; }
  [[nodiscard]] std::uint32_t left() const { return chunk_.selection.count - at_; }
  void take(std::uint32_t rows, Chunk& out) {
    out = chunk_;
    const auto n = std::min(rows, left());
    if (at_ != 0 || n != chunk_.selection.count) out.selection = slice(chunk_.selection, at_, n);
    at_ += n;
  }
  void clear() {
    chunk_.selection.count = 0;
    at_ = 0;
  }

 private:
  Chunk chunk_{};
  std::uint32_t at_ = 0;
};

/// Vectors and their memory for output that a stage puts together column by column.
class OutputColumns {
 public:
  void reset(std::size_t columns) {
    buffers_.resize(columns);
    vectors_.resize(columns);
  }
  [[nodiscard]] std::size_t size() const { return vectors_.size(); }
  Vector& operator[](std::size_t i) { return vectors_[i]; }
  Vector* data() { return vectors_.data(); }
  VectorBuffer& buffer(std::size_t i) { return buffers_[i]; }
  /// Gives the memory of the vectors back; false: more than a little is left.
  bool rest() {
    for (auto& buffer : buffers_) buffer.release();
    if (!is_small(arena)) return false;
    arena.reset();
    return true;
  }
  void deliver(Chunk& out, std::uint32_t rows) {
    out.columns = vectors_.data();
    out.column_count = static_cast<std::uint32_t>(vectors_.size());
    out.select_all(rows);
  }
  Arena arena;

 private:
  std::vector<VectorBuffer> buffers_;
  std::vector<Vector> vectors_;
};

/// Copies one value into another place of a flat vector.
inline void set_null_bit(Vector& v, VectorBuffer& memory, std::uint32_t row) {
  if (v.validity == nullptr) v.validity = memory.fresh_validity();
  v.validity[row >> 6] &= ~(1ull << (row & 63));
}

}  // namespace rustbd::exec
