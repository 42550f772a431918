// Arrays: shape, building, searching, containment.
#include <algorithm>

#include "rustbd/base/error.h"
#include "rustbd/functions/kernel_table.h"
#include "rustbd/functions/text_tools.h"
#include "rustbd/types/array.h"
#include "rustbd/types/compare.h"

namespace rustbd::functions {

namespace {

using types::ArrayBuilder;
using types::ArrayView;
using types::Dimension;
using Args = const Datum*;

/// Polymorphic numeric arguments arrive as kNumeric, which is what elements are.
TypeRef element_of(const ArrayView& view) { return types::make_type(view.element_type()); }
Oid element_oid(EvalContext& c, std::size_t array_argument) {
  const Oid element = types::element_type_of(c.argument_types[array_argument].oid);
  return element != 0 ? element : types::element_type_of(c.result_type.oid);
}
void add_all(ArrayBuilder& builder, const ArrayView& view, Arena& arena) {
  for (ArrayView::Cursor cursor{view, arena}; cursor.next();) builder.add(cursor.value(), cursor.is_null());
}

void dims(EvalContext& c, Args a, const bool*, Datum& out, bool* is_null) {
  const ArrayView view{a[0].str};
  *is_null = view.ndim() == 0;
  std::string text;
  for (const Dimension& d : view.dimensions())
    text += fmt::format("[{}:{}]", d.lower, d.lower + d.length - 1);
  out = text_result(c, text);
}
void ndims(EvalContext&, Args a, const bool*, Datum& out, bool* is_null) {
  const ArrayView view{a[0].str};
  *is_null = view.ndim() == 0;
  out = Datum::of(std::int32_t{view.ndim()});
}
enum class Bound : std::uint8_t { kLower, kUpper, kLength };
template <Bound B>
void bound(EvalContext&, Args a, const bool*, Datum& out, bool* is_null) {
  const ArrayView view{a[0].str};
  *is_null = a[1].i32 < 1 || a[1].i32 > view.ndim();
  if (*is_null) return;
  const Dimension& d = view.dimension(a[1].i32 - 1);
  out = Datum::of(
      std::int32_t{B == Bound::kLower ? d.lower : (B == Bound::kUpper ? d.lower + d.length - 1 : d.length)});
}
void cardinality(EvalContext&, Args a, const bool*, Datum& out, bool*) {
  out = Datum::of(static_cast<std::int32_t>(ArrayView{a[0].str}.size()));
}

void extend(EvalContext& c, Args a, const bool* nulls, Datum& out, std::size_t array, std::size_t element,
            bool at_end) {
  ArrayBuilder builder{element_oid(c, array)};
  std::vector<Dimension> shape;
  if (nulls[array] || ArrayView{a[array].str}.ndim() == 0) {
    builder.add(nulls[element] ? Datum{} : a[element], nulls[element]);
    shape.push_back({1, 1});
  } else {
    const ArrayView view{a[array].str};
    if (view.ndim() != 1) throw error(SqlState{"22000"}, "argument must be empty or one-dimensional array");
    if (!at_end) builder.add(nulls[element] ? Datum{} : a[element], nulls[element]);
    add_all(builder, view, *c.arena);
    if (at_end) builder.add(nulls[element] ? Datum{} : a[element], nulls[element]);
    shape.push_back({view.dimension(0).length + 1, view.dimension(0).lower});
  }
  out = Datum::of(builder.finish(shape, *c.arena));
}
void append(EvalContext& c, Args a, const bool* nulls, Datum& out, bool*) {
  extend(c, a, nulls, out, 0, 1, true);
}
void prepend(EvalContext& c, Args a, const bool* nulls, Datum& out, bool*) {
  extend(c, a, nulls, out, 1, 0, false);
}

[[noreturn]] void incompatible(std::string detail) {
  throw error(sqlstate::kArraySubscriptError, "cannot concatenate incompatible arrays")
      .with_detail(std::move(detail));
}
void cat(EvalContext& c, Args a, const bool* nulls, Datum& out, bool* is_null) {
  if (nulls[0] || nulls[1]) {
    *is_null = nulls[0] && nulls[1];
    out = nulls[0] ? a[1] : a[0];
    return;
  }
  const ArrayView x{a[0].str}, y{a[1].str};
  if (x.ndim() == 0) {
    out = a[1];
    return;
  }
  if (y.ndim() == 0) {
    out = a[0];
    return;
  }
  std::vector<Dimension> shape{x.dimensions().begin(), x.dimensions().end()};
  const auto tail_equal = [](std::span<const Dimension> p, std::span<const Dimension> q) {
    return std::ranges::equal(p, q, [](const Dimension& m, const Dimension& n) { return m == n; });
  };
  if (x.ndim() == y.ndim()) {
    if (!tail_equal(x.dimensions().subspan(1), y.dimensions().subspan(1)))
      incompatible("Arrays with differing element dimensions are not compatible for concatenation.");
    shape[0].length += y.dimension(0).length;
  } else if (x.ndim() == y.ndim() - 1) {
    if (!tail_equal(x.dimensions(), y.dimensions().subspan(1)))
      incompatible("Arrays with differing dimensions are not compatible for concatenation.");
    shape.assign(y.dimensions().begin(), y.dimensions().end());
    ++shape[0].length;
  } else if (x.ndim() == y.ndim() + 1) {
    if (!tail_equal(x.dimensions().subspan(1), y.dimensions()))
      incompatible("Arrays with differing dimensions are not compatible for concatenation.");
    ++shape[0].length;
  } else {
    incompatible(fmt::format("Arrays of {} and {} dimensions are not compatible for concatenation.", x.ndim(),
                             y.ndim()));
  }
  ArrayBuilder builder{x.element_type()};
  add_all(builder, x, *c.arena);
  add_all(builder, y, *c.arena);
  out = Datum::of(builder.finish(shape, *c.arena));
}

bool same_element(const Datum& a, bool a_null, const Datum& b, bool b_null, const TypeRef& type) {
  return a_null || b_null ? a_null && b_null : types::equal(a, b, type);
}
void one_dimensional(const ArrayView& view, std::string_view what) {
  if (view.ndim() > 1) throw not_supported("{}", what);
}
void position_from(EvalContext& c, Args a, const bool* nulls, std::int32_t start, Datum& out, bool* is_null) {
  const ArrayView view{a[0].str};
  if (view.ndim() > 1)
    throw error(sqlstate::kFeatureNotSupported,
                "searching for elements in multidimensional arrays is not supported");
  const TypeRef type = element_of(view);
  *is_null = true;
  std::int32_t at = view.ndim() == 0 ? 1 : view.dimension(0).lower;
  for (ArrayView::Cursor cursor{view, *c.arena}; cursor.next(); ++at) {
    if (at < start || !same_element(cursor.value(), cursor.is_null(), a[1], nulls[1], type)) continue;
    *is_null = false;
    out = Datum::of(at);
    return;
  }
}
void position(EvalContext& c, Args a, const bool* nulls, Datum& out, bool* is_null) {
  if (nulls[0]) {
    *is_null = true;
    return;
  }
  position_from(c, a, nulls, INT32_MIN, out, is_null);
}
void position_start(EvalContext& c, Args a, const bool* nulls, Datum& out, bool* is_null) {
  if (nulls[0]) {
    *is_null = true;
    return;
  }
  if (nulls[2]) throw error(sqlstate::kNullValueNotAllowed, "initial position must not be null");
  position_from(c, a, nulls, a[2].i32, out, is_null);
}
void positions(EvalContext& c, Args a, const bool* nulls, Datum& out, bool* is_null) {
  if (nulls[0]) {
    *is_null = true;
    return;
  }
  const ArrayView view{a[0].str};
  if (view.ndim() > 1)
    throw error(sqlstate::kFeatureNotSupported,
                "searching for elements in multidimensional arrays is not supported");
  const TypeRef type = element_of(view);
  ArrayBuilder builder{types::oid::kInt4};
  std::int32_t at = view.ndim() == 0 ? 1 : view.dimension(0).lower;
  for (ArrayView::Cursor cursor{view, *c.arena}; cursor.next(); ++at)
    if (same_element(cursor.value(), cursor.is_null(), a[1], nulls[1], type)) builder.add(Datum::of(at));
  out = Datum::of(builder.finish(*c.arena));
}
void remove(EvalContext& c, Args a, const bool* nulls, Datum& out, bool* is_null) {
  if (nulls[0]) {
    *is_null = true;
    return;
  }
  const ArrayView view{a[0].str};
  if (view.ndim() > 1)
    throw error(sqlstate::kFeatureNotSupported,
                "removing elements from multidimensional arrays is not supported");
  const TypeRef type = element_of(view);
  ArrayBuilder builder{view.element_type()};
  for (ArrayView::Cursor cursor{view, *c.arena}; cursor.next();)
    if (!same_element(cursor.value(), cursor.is_null(), a[1], nulls[1], type))
      builder.add(cursor.value(), cursor.is_null());
  if (builder.size() == view.size()) {
    out = a[0];
    return;
  }
  const Dimension shape[] = {{static_cast<std::int32_t>(builder.size()), view.dimension(0).lower}};
  out = Datum::of(builder.size() == 0 ? builder.finish(*c.arena) : builder.finish(shape, *c.arena));
}
void replace(EvalContext& c, Args a, const bool* nulls, Datum& out, bool* is_null) {
  if (nulls[0]) {
    *is_null = true;
    return;
  }
  const ArrayView view{a[0].str};
  if (view.ndim() == 0) {
    out = a[0];
    return;
  }
  const TypeRef type = element_of(view);
  ArrayBuilder builder{view.element_type()};
  for (ArrayView::Cursor cursor{view, *c.arena}; cursor.next();) {
    if (same_element(cursor.value(), cursor.is_null(), a[1], nulls[1], type))
      builder.add(nulls[2] ? Datum{} : a[2], nulls[2]);
    else builder.add(cursor.value(), cursor.is_null());
  }
  out = Datum::of(builder.finish(view.dimensions(), *c.arena));
}
void trim(EvalContext& c, Args a, const bool*, Datum& out, bool*) {
  const ArrayView view{a[0].str};
  const std::int32_t length = view.ndim() == 0 ? 0 : view.dimension(0).length, n = a[1].i32;
  if (n < 0 || n > length)
    throw error(sqlstate::kArraySubscriptError, "number of elements to trim must be between 0 and {}",
                length);
  ArrayBuilder builder{view.element_type()};
  if (length == 0 || n == length) {
    out = Datum::of(builder.finish(*c.arena));
    return;
  }
  std::vector<Dimension> shape{view.dimensions().begin(), view.dimensions().end()};
  shape[0].length -= n;
  for (Dimension& d : shape) d.lower = 1;
  const std::uint32_t keep =
      view.size() / static_cast<std::uint32_t>(length) * static_cast<std::uint32_t>(length - n);
  for (ArrayView::Cursor cursor{view, *c.arena}; builder.size() < keep && cursor.next();)
    builder.add(cursor.value(), cursor.is_null());
  out = Datum::of(builder.finish(shape, *c.arena));
}
void fill(EvalContext& c, Args a, const bool* nulls, Datum& out, bool*) {
  const std::size_t n = c.argument_types.size();
  if (nulls[1] || (n > 2 && nulls[2]))
    throw error(sqlstate::kNullValueNotAllowed, "dimension array or low bound array cannot be null");
  const ArrayView lengths{a[1].str};
  std::vector<Dimension> shape;
  std::uint64_t total = 1;
  for (ArrayView::Cursor cursor{lengths, *c.arena}; cursor.next();) {
    if (cursor.is_null()) throw error(sqlstate::kNullValueNotAllowed, "dimension values cannot be null");
    if (cursor.value().i32 < 0)
      throw error(SqlState{"22023"}, "array size exceeds the maximum allowed ({})", types::kMaxArrayElements);
    shape.push_back({cursor.value().i32, 1});
    total *= static_cast<std::uint64_t>(cursor.value().i32);
    if (total > types::kMaxArrayElements)
      throw error(sqlstate::kProgramLimitExceeded, "array size exceeds the maximum allowed ({})",
                  types::kMaxArrayElements);
  }
  if (n > 2) {
    std::size_t i = 0;
    const ArrayView lowers{a[2].str};
    if (lowers.size() != shape.size())
      throw error(sqlstate::kArraySubscriptError, "wrong number of array subscripts")
          .with_detail("Low bound array has different size than dimensions array.");
    for (ArrayView::Cursor cursor{lowers, *c.arena}; cursor.next(); ++i) shape[i].lower = cursor.value().i32;
  }
  ArrayBuilder builder{c.argument_types[0].oid};
  if (shape.empty() || total == 0) {
    out = Datum::of(builder.finish(*c.arena));
    return;
  }
  for (std::uint64_t i = 0; i < total; ++i) builder.add(nulls[0] ? Datum{} : a[0], nulls[0]);
  out = Datum::of(builder.finish(shape, *c.arena));
}

bool contains_element(const ArrayView& view, const Datum& value, const TypeRef& type, Arena& arena) {
  for (ArrayView::Cursor cursor{view, arena}; cursor.next();)
    if (!cursor.is_null() && types::equal(cursor.value(), value, type)) return true;
  return false;
}
/// All elements of `part` are in `whole`; a null is in nothing.
bool contained(const ArrayView& part, const ArrayView& whole, Arena& arena) {
  const TypeRef type = element_of(part);
  for (ArrayView::Cursor cursor{part, arena}; cursor.next();)
    if (cursor.is_null() || !contains_element(whole, cursor.value(), type, arena)) return false;
  return true;
}
void contains(EvalContext& c, Args a, const bool*, Datum& out, bool*) {
  out = Datum::of(contained(ArrayView{a[1].str}, ArrayView{a[0].str}, *c.arena));
}
void is_contained(EvalContext& c, Args a, const bool*, Datum& out, bool*) {
  out = Datum::of(contained(ArrayView{a[0].str}, ArrayView{a[1].str}, *c.arena));
}
void overlap(EvalContext& c, Args a, const bool*, Datum& out, bool*) {
  const ArrayView x{a[0].str}, y{a[1].str};
  const TypeRef type = element_of(x);
  bool found = false;
  for (ArrayView::Cursor cursor{x, *c.arena}; !found && cursor.next();)
    found = !cursor.is_null() && contains_element(y, cursor.value(), type, *c.arena);
  out = Datum::of(found);
}
/// Thresholds ascend; the number of them that are <= the operand.
void width_bucket(EvalContext& c, Args a, const bool*, Datum& out, bool*) {
  const ArrayView view{a[1].str};
  one_dimensional(view, "thresholds in a multidimensional array");
  const TypeRef type = element_of(view);
  std::int32_t n = 0;
  for (ArrayView::Cursor cursor{view, *c.arena}; cursor.next();) {
    if (cursor.is_null())
      throw error(sqlstate::kNullValueNotAllowed, "thresholds array must not contain NULLs");
    if (types::compare(a[0], cursor.value(), type) >= 0) ++n;
  }
  out = Datum::of(n);
}

}  // namespace

void register_array_kernels(KernelTable& t) {
  t.scalar("array_dims", &dims);
  t.scalar("array_ndims", &ndims, false);
  t.scalar("array_lower", &bound<Bound::kLower>, false);
  t.scalar("array_upper", &bound<Bound::kUpper>, false);
  t.scalar("array_length", &bound<Bound::kLength>, false);
  t.scalar("array_cardinality", &cardinality, false);
  t.scalar("array_append", &append);
  t.scalar("array_prepend", &prepend);
  t.scalar("array_cat", &cat);
  t.scalar("array_position", &position);
  t.scalar("array_position_start", &position_start);
  t.scalar("array_positions", &positions);
  t.scalar("array_remove", &remove);
  t.scalar("array_replace", &replace);
  t.scalar("trim_array", &trim);
  t.scalar("array_fill", &fill);
  t.scalar("array_fill_with_lower_bounds", &fill);
  t.scalar("arraycontains", &contains, false);
  t.scalar("arraycontained", &is_contained, false);
  t.scalar("arrayoverlap", &overlap, false);
  t.scalar("width_bucket_array", &width_bucket);
}

}  // namespace rustbd::functions
