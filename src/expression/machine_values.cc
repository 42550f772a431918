// The interpreter's conversions and arrays: one value at a time.
#include <algorithm>

#include "rustbd/base/error.h"
#include "rustbd/expression/program.h"
#include "rustbd/functions/coerce.h"
#include "rustbd/types/array.h"
#include "rustbd/types/cast.h"

namespace rustbd::expression {

namespace oid = types::oid;
using functions::EvalContext;
using types::Form;
using types::Phys;
using types::Selection;
using types::Vector;

namespace {

bool is_string(Oid type) {
  return type == oid::kText || type == oid::kVarchar || type == oid::kBpchar || type == oid::kName ||
         type == oid::kUnknown || type == oid::kCstring;
}

/// Calls put(row, value, is_null) for each selected row of one strict argument.
template <class Machine, class Body>
void each_value(Machine&& put, const Vector& a, const Selection& selection, Body&& body) {
  for (std::uint32_t i = 0; i < selection.count; ++i) {
    const auto row = selection[i];
    if (!a.is_valid(row)) put(row, Datum{}, true);
    else put(row, body(a.datum(row)), false);
  }
}

}  // namespace

void Machine::physical_cast(const Instruction& in, const Selection& selection) {
  const Vector a = local_.registers[in.args[0]];
  const TypeRef& from = in.argument_types[0];
  if (from.phys == in.type.phys && from.scale == in.type.scale) return alias(in.out, in.args[0]);
  Vector& out = fresh(in.out);
  const bool constant = a.form == Form::kConst;
  const Selection rows = constant ? Selection{nullptr, 1} : selection;
  const auto put = [&](std::uint32_t row, const Datum& d, bool null) {
    if (null) set_null(out, in.out, row);
    else types::store_datum(static_cast<char*>(out.data) + std::size_t{row} * out.width, d, out.width);
  };
  if (from.phys == Phys::kD64 && in.type.phys == Phys::kD128 && from.scale == in.type.scale &&
      a.form == Form::kFlat) {
    const auto* values = a.values<std::int64_t>();
    auto* wide = out.values<types::Int128>();
    for (std::uint32_t i = 0; i < rows.count; ++i) {
      const auto v = values[rows[i]];
      wide[rows[i]] = v == types::kD64Nan ? types::kD128Nan : v;
    }
    if (a.validity != nullptr)
      std::copy_n(a.validity, types::kValidityWords, out.validity = validity(in.out));
    return;
  }
  each_value(put, a, rows,
             [&](const Datum& d) { return types::convert_decimal(d, from, in.type, local_.arena); });
  if (constant) out.form = Form::kConst;
}

void Machine::typed_input(const Instruction& in, const Selection& selection) {
  const Vector a = local_.registers[in.args[0]];
  const TypeRef& from = in.argument_types[0];
  Vector& out = fresh(in.out);
  const bool constant = a.form == Form::kConst;
  const Selection rows = constant ? Selection{nullptr, 1} : selection;
  types::IoContext own;
  own.arena = &local_.arena;
  types::IoContext& io = run_.statement == nullptr ? own : run_.statement->io();
  const auto put = [&](std::uint32_t row, const Datum& d, bool null) {
    if (null) set_null(out, in.out, row);
    else types::store_datum(static_cast<char*>(out.data) + std::size_t{row} * out.width, d, out.width);
  };
  std::string text;
  each_value(put, a, rows, [&](const Datum& d) {
    std::string_view view;
    if (is_string(from.oid)) {
      view = d.str.view();
    } else {
      text.clear();
      types::output_text(d, from, io, text);
      view = local_.arena.copy(std::string_view{text});
    }
    if (!is_string(in.type.oid))
      return types::input_text(is_string(from.oid) ? std::string_view{local_.arena.copy(view)} : view,
                               in.type, io);
    const Datum string = Datum::of(types::Str{view});
    TypeRef plain = in.type;
    plain.typmod = -1;
    return functions::coerce_length(string, plain, in.type, true, local_.arena);
  });
  if (constant) out.form = Form::kConst;
}

void Machine::coerce_length(const Instruction& in, const Selection& selection) {
  const TypeRef& from = in.argument_types[0];
  if (!functions::needs_length_coercion(from, in.type)) return alias(in.out, in.args[0]);
  const Vector a = local_.registers[in.args[0]];
  Vector& out = fresh(in.out);
  const bool constant = a.form == Form::kConst;
  const auto put = [&](std::uint32_t row, const Datum& d, bool null) {
    if (null) set_null(out, in.out, row);
    else types::store_datum(static_cast<char*>(out.data) + std::size_t{row} * out.width, d, out.width);
  };
  each_value(put, a, constant ? Selection{nullptr, 1} : selection, [&](const Datum& d) {
    return functions::coerce_length(d, from, in.type, in.index == 1, local_.arena);
  });
  if (constant) out.form = Form::kConst;
}

void Machine::array(const Instruction& in, const Selection& selection) {
  const bool constant = all_constant(in);
  Vector& out = fresh(in.out);
  const Selection rows = constant ? Selection{nullptr, 1} : selection;
  const Oid element = types::element_type_of(in.type.oid);
  const bool nested = !in.argument_types.empty() && in.argument_types[0].oid == in.type.oid;
  auto* result = out.values<types::Str>();
  for (std::uint32_t i = 0; i < rows.count; ++i) {
    const auto row = rows[i];
    types::ArrayBuilder builder{element};
    std::vector<types::Dimension> dims;
    const auto mismatch = [] {
      return error(sqlstate::kArraySubscriptError,
                   "multidimensional arrays must have array expressions with matching dimensions");
    };
    for (std::size_t a = 0; a < in.args.size(); ++a) {
      const Vector& v = local_.registers[in.args[a]];
      const bool valid = v.is_valid(row);
      if (!nested) {
        builder.add(valid ? types::to_element(v.datum(row), in.argument_types[a], local_.arena) : Datum{},
                    !valid);
        continue;
      }
      if (!valid) {
        if (dims.empty() && a == 0) continue;
        throw mismatch();
      }
      const Datum d = v.datum(row);
      const types::ArrayView view{d.str};
      if (view.ndim() == 0) {
        if (!dims.empty()) throw mismatch();
        continue;
      }
      if (dims.empty()) {
        if (a != 0) throw mismatch();
        dims.push_back({static_cast<std::int32_t>(in.args.size()), 1});
        for (const auto& dim : view.dimensions()) dims.push_back(dim);
      }
      if (!std::equal(view.dimensions().begin(), view.dimensions().end(), dims.begin() + 1, dims.end()))
        throw mismatch();
      for (types::ArrayView::Cursor c{view, local_.arena}; c.next();) builder.add(c.value(), c.is_null());
    }
    result[row] = dims.empty() ? builder.finish(local_.arena) : builder.finish(dims, local_.arena);
  }
  if (constant) out.form = Form::kConst;
}

namespace {

/// array[l1:u1, ...]: the part inside the bounds, renumbered from 1; empty where nothing is inside.
types::Str slice(const types::ArrayView& view, std::span<const std::int32_t> lower,
                 std::span<const std::int32_t> upper, Arena& arena) {
  types::ArrayBuilder builder{view.element_type()};
  const int n = view.ndim();
  std::vector<types::Dimension> dims(static_cast<std::size_t>(n));
  std::vector<std::int32_t> first(static_cast<std::size_t>(n)), last(static_cast<std::size_t>(n));
  for (int i = 0; i < n; ++i) {
    const auto& d = view.dimension(i);
    const auto u = static_cast<std::size_t>(i);
    first[u] = u < lower.size() ? std::max(lower[u], d.lower) : d.lower;
    last[u] = u < upper.size() ? std::min(upper[u], d.lower + d.length - 1) : d.lower + d.length - 1;
    if (first[u] > last[u]) return builder.finish(arena);
    dims[u] = {last[u] - first[u] + 1, 1};
  }
  std::vector<std::int32_t> at(static_cast<std::size_t>(n));
  for (int i = 0; i < n; ++i) at[static_cast<std::size_t>(i)] = view.dimension(i).lower;
  for (types::ArrayView::Cursor c{view, arena}; c.next();) {
    bool inside = true;
    for (std::size_t u = 0; u < at.size(); ++u) inside &= at[u] >= first[u] && at[u] <= last[u];
    if (inside) builder.add(c.value(), c.is_null());
    for (int i = n - 1; i >= 0; --i) {
      const auto u = static_cast<std::size_t>(i);
      if (++at[u] < view.dimension(i).lower + view.dimension(i).length) break;
      at[u] = view.dimension(i).lower;
    }
  }
  return n == 0 ? builder.finish(arena) : builder.finish(dims, arena);
}

}  // namespace

void Machine::subscript(const Instruction& in, const Selection& selection) {
  const bool constant = all_constant(in);
  Vector& out = fresh(in.out);
  const Selection rows = constant ? Selection{nullptr, 1} : selection;
  const bool slices = in.index != 0;
  std::vector<std::int32_t> numbers(in.args.size() - 1), lower, upper;
  for (std::uint32_t i = 0; i < rows.count; ++i) {
    const auto row = rows[i];
    bool null = false;
    for (std::size_t a = 0; a < in.args.size(); ++a) {
      const Vector& v = local_.registers[in.args[a]];
      null |= !v.is_valid(row);
      if (!null && a > 0) numbers[a - 1] = v.datum(row).i32;
    }
    Datum value;
    if (!null) {
      const Datum array = local_.registers[in.args[0]].datum(row);
      const types::ArrayView view{array.str};
      if (!slices) {
        null = !view.subscript(numbers, local_.arena, &value);
      } else {
        lower.clear();
        upper.clear();
        for (std::size_t k = 0; k + 1 < numbers.size(); k += 2) {
          lower.push_back(numbers[k]);
          upper.push_back(numbers[k + 1]);
        }
        if (static_cast<int>(lower.size()) > view.ndim())
          value = Datum::of(types::ArrayBuilder{view.element_type()}.finish(local_.arena));
        else value = Datum::of(slice(view, lower, upper, local_.arena));
      }
    }
    if (null) set_null(out, in.out, row);
    else types::store_datum(static_cast<char*>(out.data) + std::size_t{row} * out.width, value, out.width);
  }
  if (constant) out.form = Form::kConst;
}

void Machine::scalar_array(const Instruction& in, const Selection& selection) {
  const bool constant = all_constant(in);
  Vector& out = fresh(in.out);
  const Selection rows = constant ? Selection{nullptr, 1} : selection;
  const Vector left = local_.registers[in.args[0]], right = local_.registers[in.args[1]];
  EvalContext context = context_of(in);
  const std::vector<TypeRef>& types_of_call = in.function.arguments;
  if (types_of_call.size() == 2) context.argument_types = types_of_call;
  const auto scalar = in.function.kernels->scalar;
  const bool strict = in.function.declaration->is(functions::kStrict);
  for (std::uint32_t i = 0; i < rows.count; ++i) {
    const auto row = rows[i];
    if (!right.is_valid(row)) {
      set_null(out, in.out, row);
      continue;
    }
    const Datum array = right.datum(row);
    const types::ArrayView view{array.str};
    const bool left_null = !left.is_valid(row);
    if (view.size() != 0 && left_null && strict) {
      set_null(out, in.out, row);
      continue;
    }
    Datum pair[2] = {left_null ? Datum{} : left.datum(row), Datum{}};
    bool unknown = false, decided = false;
    for (types::ArrayView::Cursor c{view, local_.arena}; !decided && c.next();) {
      const bool nulls[2] = {left_null, c.is_null()};
      if (strict && nulls[1]) {
        unknown = true;
        continue;
      }
      pair[1] = c.value();
      if (types_of_call.size() == 2 && types_of_call[1].oid == oid::kNumeric &&
          types_of_call[1].phys != Phys::kNumeric)
        pair[1] =
            types::convert_decimal(pair[1], types::make_type(oid::kNumeric), types_of_call[1], local_.arena);
      Datum value;
      bool null = false;
      scalar(context, pair, nulls, value, &null);
      if (null) unknown = true;
      else decided = value.boolean != in.all;
    }
    if (decided) out.values<bool>()[row] = !in.all;
    else if (unknown) set_null(out, in.out, row);
    else out.values<bool>()[row] = in.all;
  }
  if (constant) out.form = Form::kConst;
}

}  // namespace rustbd::expression
