// Arrays: the payload that stands in a Str, and how to read and build it. Little-endian, bytes anywhere
// aligned.
//   u8 ndim (0..6), u8 flags (bit 0: has nulls), u16 0, u32 element oid, then per dimension i32 length, i32
//   lower bound, then the null bitmap (bit 1 = null, ceil(n/8) bytes) if flagged, then the elements in
//   row-major order: fixed ones their width, variable ones u32 length + stored form (compare.h); nulls take
//   nothing.
// int2vector and oidvector use the same payload: one dimension, lower bound 0, no nulls.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "rustbd/base/bytes.h"
#include "rustbd/types/io.h"

namespace rustbd::types {

inline constexpr int kMaxDimensions = 6;
inline constexpr std::uint32_t kMaxArrayElements = 134217727;
struct Dimension {
  std::int32_t length = 0;
  std::int32_t lower = 1;
  bool operator==(const Dimension&) const = default;
};

/// Reads a payload in place. Elements of variable length point into it (big numerics: into the arena given).
class ArrayView {
 public:
  explicit ArrayView(std::string_view payload);
  explicit ArrayView(const Str& payload) : ArrayView(payload.view()) {}  // `payload` must outlive the view
  [[nodiscard]] int ndim() const { return ndim_; }
  [[nodiscard]] Oid element_type() const { return element_; }
  [[nodiscard]] Phys element_phys() const { return phys_; }
  [[nodiscard]] const Dimension& dimension(int i) const { return dims_[i]; }
  [[nodiscard]] std::span<const Dimension> dimensions() const {
    return {dims_, static_cast<std::size_t>(ndim_)};
  }
  [[nodiscard]] std::uint32_t size() const { return size_; }
  [[nodiscard]] bool has_nulls() const { return nulls_ != nullptr; }
  [[nodiscard]] bool is_null(std::uint32_t i) const {
    return nulls_ != nullptr && ((static_cast<unsigned char>(nulls_[i >> 3]) >> (i & 7)) & 1) != 0;
  }

  /// Walks the elements in order: `for (Cursor c{view, arena}; c.next();) use(c.value(), c.is_null())`.
  class Cursor {
   public:
    Cursor(const ArrayView& view, Arena& arena) : view_(view), arena_(arena), at_(view.elements_) {}
    bool next();
    [[nodiscard]] const Datum& value() const { return value_; }
    [[nodiscard]] bool is_null() const { return null_; }
    [[nodiscard]] std::uint32_t index() const { return index_ - 1; }

   private:
    const ArrayView& view_;
    Arena& arena_;
    const char* at_;
    std::uint32_t index_ = 0;
    bool null_ = false;
    Datum value_;
  };
  /// Element by position 0..size-1 (linear time for variable elements). False: null.
  bool element(std::uint32_t i, Arena& arena, Datum* out) const;
  /// Element by subscripts; false: null or outside.
  bool subscript(std::span<const std::int32_t> subscripts, Arena& arena, Datum* out) const;

 private:
  friend class Cursor;
  int ndim_ = 0;
  Oid element_ = 0;
  Phys phys_ = Phys::kI32;
  std::uint32_t size_ = 0;
  const char* nulls_ = nullptr;
  const char* elements_ = nullptr;
  const char* end_ = nullptr;
  Dimension dims_[kMaxDimensions];
};

/// Collects elements in row-major order, then makes the payload.
class ArrayBuilder {
 public:
  explicit ArrayBuilder(Oid element_type);
  /// `element.phys` must be that of the builder, except numeric: kD64/kD128 are stored as kNumeric (see
  /// to_element).
  void add(const Datum& value) { add(value, false); }
  void add_null() { add(Datum{}, true); }
  void add(const Datum& value, bool is_null);
  [[nodiscard]] std::uint32_t size() const { return count_; }
  /// One dimension from 1; no elements gives the empty array (ndim 0).
  Str finish(Arena& arena) const;
  /// 22000-class errors of PostgreSQL where the product is too large (54000).
  Str finish(std::span<const Dimension> dimensions, Arena& arena) const;

 private:
  Oid element_;
  Phys phys_;
  std::uint32_t count_ = 0;
  std::vector<bool> nulls_;
  bool has_nulls_ = false;
  Bytes elements_;
};
/// Elements of numeric arrays are always kNumeric: converts from kD64/kD128 of a column or expression.
Datum to_element(const Datum& value, const TypeRef& type, Arena& arena);
Str make_int2vector(std::span<const std::int16_t> values, Arena& arena);
Str make_oidvector(std::span<const Oid> values, Arena& arena);

Str parse_array(std::string_view text, const TypeRef& array_type, IoContext& context);
void append_array(const Str& array, const TypeRef& array_type, IoContext& context, std::string& out);
Str receive_array(ByteSpan bytes, const TypeRef& array_type, IoContext& context);
void send_array(const Str& array, const TypeRef& array_type, IoContext& context, std::string& out);
int compare_arrays(const Str& a, const Str& b, const TypeRef& type);

}  // namespace rustbd::types
