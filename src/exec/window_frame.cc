#include "rustbd/exec/window_frame.h"

#include <algorithm>
#include <cmath>

#include "rustbd/base/statement_assert.h"
#include "rustbd/types/numeric.h"

namespace rustbd::exec {

using plan::PlanNode;
using types::Phys;
using Bound = plan::LogicalNode::Frame::Bound;
using Unit = plan::LogicalNode::Frame::Unit;

namespace {

bool is_integer(Phys phys) { return phys == Phys::kI16 || phys == Phys::kI32 || phys == Phys::kI64; }
types::Int128 integer_of(const Value& v) {
  return v.type.phys == Phys::kI16 ? v.datum.i16 : (v.type.phys == Phys::kI32 ? v.datum.i32 : v.datum.i64);
}
bool is_float(Phys phys) { return phys == Phys::kF32 || phys == Phys::kF64; }
double float_of(const Value& v) {
  return v.type.phys == Phys::kF32 ? static_cast<double>(v.datum.f32) : v.datum.f64;
}
bool is_decimal(Phys phys) { return phys == Phys::kD64 || phys == Phys::kD128 || phys == Phys::kNumeric; }
types::Numeric numeric_of(const Value& v, Arena& arena) {
  if (v.type.phys == Phys::kNumeric) return v.datum.numeric;
  if (is_integer(v.type.phys)) return types::numeric_from_int128(integer_of(v), 0, arena);
  if (v.type.phys == Phys::kD64)
    return v.datum.i64 == INT64_MAX ? types::numeric_nan()
                                    : types::numeric_from_int128(v.datum.i64, v.type.scale, arena);
  constexpr auto kNan = static_cast<types::Int128>(~static_cast<types::UInt128>(0) >> 1);
  return v.datum.i128 == kNan ? types::numeric_nan()
                              : types::numeric_from_int128(v.datum.i128, v.type.scale, arena);
}

bool is_negative(const Value& v) {
  if (is_integer(v.type.phys)) return integer_of(v) < 0;
  if (is_float(v.type.phys)) return float_of(v) < 0 || std::isnan(float_of(v));
  if (v.type.phys == Phys::kInterval) return types::compare(v.datum, Datum{}, v.type) < 0;
  Arena arena(256);
  return is_decimal(v.type.phys) && types::sign_of(numeric_of(v, arena)) < 0;
}

std::optional<Value> evaluate_offset(const plan::Expression* e, const char* which, bool range,
                                     TaskContext& context, Arena& arena) {
  if (e == nullptr) return std::nullopt;
  const auto value = expression::evaluate_constant(*e, context.expressions, arena);
  if (value.is_null) throw error(sqlstate::kNullValueNotAllowed, "frame {} offset must not be null", which);
  if (is_negative(value)) {
    if (range)
      throw error(sqlstate::kInvalidPrecedingOrFollowingSize,
                  "invalid preceding or following size in window function");
    throw error(sqlstate::kInvalidPrecedingOrFollowingSize, "frame {} offset must not be negative", which);
  }
  return value;
}

constexpr std::int64_t kDayMicros = 86400ll * 1000000;
}  // namespace

FrameOffsets evaluate_offsets(const PlanNode& node, TaskContext& context, Arena& arena) {
  const bool range = node.frame.unit == Unit::kRange;
  return {evaluate_offset(node.frame_start.get(), "starting", range, context, arena),
          evaluate_offset(node.frame_end.get(), "ending", range, context, arena)};
}

Partition::Partition(const PlanNode& node, const FrameOffsets& offsets, const SortedRows& rows,
                     std::size_t first, std::size_t size, int order_column)
    : node_(node),
      offsets_(offsets),
      rows_(rows),
      first_(first),
      size_(size),
      order_column_(order_column),
      group_of_(size) {
  const auto& entries = rows.entries();
  for (std::size_t i = 0; i < size; ++i) {
    if (i == 0 || !same_key(entries[first + i], entries[first + i - 1])) groups_.push_back(i);
    group_of_[i] = groups_.size() - 1;
  }
  groups_.push_back(size);
  if (order_column_ < 0) return;
  const auto is_null = [&](std::size_t i) {
    return rows_.layout().is_null(row(i), static_cast<std::size_t>(order_column_));
  };
  not_null_end_ = size;
  while (not_null_begin_ < size && is_null(not_null_begin_)) ++not_null_begin_;
  while (not_null_end_ > not_null_begin_ && is_null(not_null_end_ - 1)) --not_null_end_;
}

Partition::Frame Partition::frame(TaskContext& context, std::size_t i) {
  const auto begin = bound_begin(context, i);
  const auto end = bound_end(context, i);
  return {begin, std::max(begin, end)};
}

std::size_t Partition::bound_begin(TaskContext& context, std::size_t i) {
  const auto bound = node_.frame.start;
  const auto unit = node_.frame.unit;
  if (bound == Bound::kUnboundedPreceding) return 0;
  if (bound == Bound::kUnboundedFollowing) return size_;
  if (bound == Bound::kCurrentRow) return unit == Unit::kRows ? i : peers_begin(i);
  const bool preceding = bound == Bound::kPreceding;
  if (unit == Unit::kRange) return range_bound(context, i, *offsets_.start, preceding, false);
  const auto n =
      static_cast<std::size_t>(std::min<types::Int128>(integer_of(*offsets_.start), INT64_MAX / 4));
  if (unit == Unit::kRows) return preceding ? (n > i ? 0 : i - n) : std::min(size_, i + n);
  const auto g = group(i);
  if (preceding) return n > g ? 0 : groups_[g - n];
  return groups_[std::min(groups_.size() - 1, g + n)];
}

std::size_t Partition::bound_end(TaskContext& context, std::size_t i) {
  const auto bound = node_.frame.end;
  const auto unit = node_.frame.unit;
  if (bound == Bound::kUnboundedFollowing) return size_;
  if (bound == Bound::kUnboundedPreceding) return 0;
  if (bound == Bound::kCurrentRow) return unit == Unit::kRows ? i + 1 : peers_end(i);
  const bool preceding = bound == Bound::kPreceding;
  if (unit == Unit::kRange) return range_bound(context, i, *offsets_.end, preceding, true);
  const auto n = static_cast<std::size_t>(std::min<types::Int128>(integer_of(*offsets_.end), INT64_MAX / 4));
  if (unit == Unit::kRows) return preceding ? (n > i ? 0 : i + 1 - n) : std::min(size_, i + n + 1);
  const auto g = group(i);
  if (preceding) return n > g ? 0 : groups_[g - n + 1];
  return groups_[std::min(groups_.size() - 1, g + n + 1)];
}

/// First row of the frame (or one past its last) by value: order key ± offset.
std::size_t Partition::range_bound(TaskContext& context, std::size_t i, const Value& offset, bool preceding,
                                   bool is_end) {
  RUSTBD_STATEMENT_ASSERT(order_column_ >= 0 && node_.sort_keys.size() == 1,
                          "RANGE with an offset has one order key");
  if (rows_.layout().is_null(row(i), static_cast<std::size_t>(order_column_)))
    return is_end ? peers_end(i) : peers_begin(i);
  const bool descending = node_.sort_keys[0].descending;
  arena_.reset();
  bool past_low = false, past_high = false;
  const Value target = shifted(context, i, offset, preceding != descending, &past_low, &past_high);
  if (past_low || past_high) return (past_low != descending) ? not_null_begin_ : not_null_end_;
  // Binary search in the rows whose key is not null.
  std::size_t low = not_null_begin_, high = not_null_end_;
  while (low < high) {
    const auto middle = (low + high) / 2;
    int c = compare_key(middle, target);
    if (descending) c = -c;
    if (c < 0 || (is_end && c == 0)) low = middle + 1;
    else high = middle;
  }
  return low;
}

Value Partition::shifted(TaskContext& context, std::size_t i, const Value& offset, bool subtract,
                         bool* past_low, bool* past_high) {
  const auto column = static_cast<std::size_t>(order_column_);
  Value key{rows_.layout().type(column), false, rows_.layout().datum(row(i), column)};
  Value result;
  result.is_null = false;
  if (is_integer(key.type.phys) && is_integer(offset.type.phys)) {
    const auto sum = subtract ? integer_of(key) - integer_of(offset) : integer_of(key) + integer_of(offset);
    result.type = types::make_type(types::oid::kInt8);
    result.datum.i64 = static_cast<std::int64_t>(std::clamp<types::Int128>(sum, INT64_MIN, INT64_MAX));
    *past_low = sum < INT64_MIN;
    *past_high = sum > INT64_MAX;
    return result;
  }
  if (is_float(key.type.phys)) {
    const double k = float_of(key), o = is_float(offset.type.phys)
                                            ? float_of(offset)
                                            : types::numeric_to_double(numeric_of(offset, arena_));
    result.type = types::make_type(types::oid::kFloat8);
    // An infinite key keeps its peers in the frame: inf - inf is no number.
    result.datum.f64 = std::isinf(k) && std::isinf(o) ? k : (subtract ? k - o : k + o);
    return result;
  }
  if (is_decimal(key.type.phys)) {
    const auto k = numeric_of(key, arena_), o = numeric_of(offset, arena_);
    result.type = types::make_type(types::oid::kNumeric);
    result.datum.numeric = subtract ? types::subtract(k, o, arena_) : types::add(k, o, arena_);
    return result;
  }
  const auto& registry = functions::Registry::instance();
  for (const auto* op : registry.operators(subtract ? "-" : "+")) {
    if (op->left != key.type.oid || op->right != offset.type.oid) continue;
    const auto* function = registry.function(op->function);
    if (function == nullptr) break;
    const TypeRef arguments[] = {key.type, offset.type};
    const auto resolved = functions::resolve_kernels(*function, arguments);
    auto call = context.eval_context(arena_);
    call.argument_types = resolved.arguments;
    call.result_type = resolved.result;
    call.function = function;
    const Datum args[] = {key.datum, offset.datum};
    const bool nulls[] = {false, false};
    result.type = resolved.result;
    try {
      resolved.kernels->scalar(call, args, nulls, result.datum, &result.is_null);
    } catch (const Error& e) {
      if (e.state != sqlstate::kDatetimeFieldOverflow && e.state != sqlstate::kNumericValueOutOfRange) throw;
      (subtract ? *past_low : *past_high) = true;  // beyond every value
    }
    return result;
  }
  throw not_supported("RANGE with offset PRECEDING/FOLLOWING for column type {} and offset type {}",
                      types::format_type(key.type.oid), types::format_type(offset.type.oid));
}

int Partition::compare_key(std::size_t j, const Value& target) {
  const auto column = static_cast<std::size_t>(order_column_);
  Value key{rows_.layout().type(column), false, rows_.layout().datum(row(j), column)};
  if (target.type.oid == key.type.oid && target.type.phys == key.type.phys)
    return types::compare(key.datum, target.datum, key.type);
  if (is_integer(key.type.phys)) {
    const auto k = integer_of(key), t = integer_of(target);
    return k < t ? -1 : (k > t ? 1 : 0);
  }
  if (is_float(key.type.phys)) {
    const Datum k = Datum::of(float_of(key));
    return types::compare(k, target.datum, target.type);
  }
  if (is_decimal(key.type.phys)) return types::compare(numeric_of(key, arena_), target.datum.numeric);
  if (key.type.oid == types::oid::kDate) {
    // date + interval is a timestamp.
    const auto d = key.datum.i32;
    const std::int64_t us = d == INT32_MAX ? INT64_MAX : (d == INT32_MIN ? INT64_MIN : d * kDayMicros);
    return us < target.datum.i64 ? -1 : (us > target.datum.i64 ? 1 : 0);
  }
  return types::compare(key.datum, target.datum, target.type);
}

}  // namespace rustbd::exec
