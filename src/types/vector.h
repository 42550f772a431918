// Vectors and chunks: what operators, kernels, storage and the wire exchange (query.md §5). There are no row
// objects.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "rustbd/base/arena.h"
#include "rustbd/base/assert.h"
#include "rustbd/types/value.h"

namespace rustbd::types {

/// Capacity of a vector in values; one build has one. A chunk may hold fewer (`rustbd.test_chunk_rows`).
inline constexpr std::uint32_t kVectorSize = 1024;
inline constexpr std::uint32_t kValidityWords = kVectorSize / 64;

enum class Form : std::uint8_t {
  kFlat,   // data[row]
  kConst,  // data[0] for every row; validity bit 0 for all
  kDict,   // data[codes[row]], codes < dict_size; validity is per row
  kSeq,    // kI64 only: start + row * step, where data = {start, step}; no nulls
};

/// One column of a chunk. Plain data, copied freely; it owns nothing. Bytes behind null positions are
/// readable, any.
struct Vector {
  Phys phys = Phys::kI32;
  Form form = Form::kFlat;
  std::uint8_t flags = 0;  // kMayBeNan, ...
  std::uint32_t width = 4;
  void* data = nullptr;                  // 64-byte aligned when flat
  std::uint64_t* validity = nullptr;     // bit 1 = not null; nullptr = no nulls at all
  const std::uint32_t* codes = nullptr;  // kDict
  std::uint32_t dict_size = 0;
  std::uint64_t dict_id = 0;            // != 0: names a segment dictionary
  const std::int64_t* range = nullptr;  // optional proven {lo, hi} of all valid values (integer forms)
  const std::shared_ptr<void>* keep = nullptr;  // pins what data points into

  template <class T>
  [[nodiscard]] T* values() {
    return static_cast<T*>(data);
  }
  template <class T>
  [[nodiscard]] const T* values() const {
    return static_cast<const T*>(data);
  }
  /// Index into data for a row.
  [[nodiscard]] std::uint32_t slot(std::uint32_t row) const {
    return form == Form::kFlat ? row : (form == Form::kConst ? 0 : codes[row]);
  }
  [[nodiscard]] bool is_valid(std::uint32_t row) const {
    if (validity == nullptr) return true;
    const std::uint32_t bit = form == Form::kConst ? 0 : row;
    return (validity[bit >> 6] >> (bit & 63)) & 1;
  }
  /// Any form but kSeq is a plain load.
  [[nodiscard]] Datum datum(std::uint32_t row) const {
    if (form == Form::kSeq) {
      const auto* s = values<std::int64_t>();
      return Datum::of(s[0] + static_cast<std::int64_t>(row) * s[1]);
    }
    return load_datum(static_cast<const char*>(data) + std::size_t{slot(row)} * width, width);
  }
};

/// The rows of a chunk that count, ascending. indexes == nullptr: 0..count-1.
struct Selection {
  const std::uint16_t* indexes = nullptr;
  std::uint32_t count = 0;
  [[nodiscard]] std::uint32_t operator[](std::uint32_t i) const {
    return indexes == nullptr ? i : indexes[i];
  }
};

/// A batch of rows, column by column. `rows` positions exist in each vector; `selection` says which count.
/// Lifetime: valid until the stage that produced it is called again; whoever keeps data longer copies it.
struct Chunk {
  Vector* columns = nullptr;
  std::uint32_t column_count = 0;
  std::uint32_t rows = 0;
  Selection selection{};
  [[nodiscard]] std::uint32_t count() const { return selection.count; }
  void select_all(std::uint32_t n) {
    rows = n;
    selection = {nullptr, n};
  }
  Vector& operator[](std::size_t i) { return columns[i]; }
  const Vector& operator[](std::size_t i) const { return columns[i]; }
};

/// Owned memory for one flat vector of kVectorSize values, with validity words. Reused chunk after chunk.
/// Blocks that threads give back serve their next buffers (vector_memory.h).
class VectorBuffer {
 public:
  VectorBuffer() = default;
  explicit VectorBuffer(Phys phys) { reset(phys); }
  /// For values of `phys`. Strings, numerics and booleans that nobody stores may be looked at by kernels that
  /// run over all rows: the first `rows` are made empty, unless they were before. 0: whoever fills it stores
  /// every row that it counts.
  void reset(Phys phys, std::uint32_t rows = kVectorSize);
  /// Gives the values' memory back; reset() takes it again.
  void release() { data_.reset(); }
  /// A flat vector over this memory, all valid, validity == nullptr.
  [[nodiscard]] Vector flat();
  /// The validity words, set to all ones; attach to a vector before the first null is cleared.
  [[nodiscard]] std::uint64_t* fresh_validity();
  [[nodiscard]] void* data() { return data_.get(); }

 private:
  struct Free {
    void operator()(void* p) const;
  };
  Phys phys_ = Phys::kI32;
  std::uint32_t defined_ = 0;  // leading positions that hold some value of phys_
  std::unique_ptr<void, Free> data_;
  std::unique_ptr<std::uint64_t[]> validity_;
};

/// A chunk with its memory: flat vectors that a stage fills, an arena for string bytes that is reset each
/// time. The stage stores a value or a null in every column of each row below chunk().rows.
class ChunkBuffer {
 public:
  ChunkBuffer() = default;
  explicit ChunkBuffer(std::span<const Phys> columns) { reset(columns); }
  void reset(std::span<const Phys> columns);
  /// Empty chunk of flat vectors without nulls; forgets strings of the round before.
  Chunk& begin();
  /// Nobody reads the chunk any more: gives the memory of its vectors back until the next begin(). False: it
  /// still has more than a little of it.
  bool rest();
  [[nodiscard]] Chunk& chunk() { return chunk_; }
  [[nodiscard]] Arena& arena() { return arena_; }
  void set_null(std::uint32_t column, std::uint32_t row);
  /// Appends the selected rows of `from` (same columns), copying what they point to. Returns how many fitted.
  std::uint32_t append(const Chunk& from, std::uint32_t first = 0);
  /// Stores one value; is_null clears the validity bit. Long strings are copied into the arena when `copy` is
  /// set.
  void put(std::uint32_t column, std::uint32_t row, const Datum& value, bool is_null, bool copy = true);

 private:
  std::vector<VectorBuffer> buffers_;
  std::vector<Vector> vectors_;
  Chunk chunk_;
  Arena arena_;
};

/// Makes `to` a flat copy of the selected rows of `from`, at positions 0..n-1; strings still point where they
/// pointed.
void gather(const Vector& from, const Selection& selection, VectorBuffer& to_memory, Vector& to);
/// A kConst vector of one value in `memory`.
Vector make_constant(const Datum& value, bool is_null, Phys phys, Arena& memory);

}  // namespace rustbd::types
