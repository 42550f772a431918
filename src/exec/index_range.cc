#include "rustbd/exec/index_range.h"

#include <algorithm>

#include "rustbd/types/compare.h"

namespace rustbd::exec {

RangeValues::RangeValues(const plan::IndexRange& range) : range_(range) {
  for (const auto& e : range.equal)
    if (e != nullptr) expressions_.push_back(e.get());
  for (const auto& e : range.in_list) expressions_.push_back(e.get());
  if (range.lower != nullptr) expressions_.push_back(range.lower.get());
  if (range.upper != nullptr) expressions_.push_back(range.upper.get());
}

void RangeValues::make_bounds(const Value* values, const catalog::Index& index, bool backward,
                              std::vector<IndexBounds>& out) const {
  IndexBounds bounds;
  for (std::size_t i = 0; i < range_.equal.size(); ++i) {
    const bool null_safe = i < range_.null_safe.size() && range_.null_safe[i];
    if (range_.equal[i] == nullptr) {
      bounds.equal.push_back(Value{});
    } else {
      if (values->is_null && !null_safe) return;
      bounds.equal.push_back(*values++);
    }
  }
  std::vector<Value> list;
  for (std::size_t i = 0; i < range_.in_list.size(); ++i, ++values)
    if (!values->is_null) list.push_back(*values);
  if (range_.lower != nullptr) {
    if (values->is_null) return;
    bounds.has_lower = true;
    bounds.lower = *values++;
    bounds.lower_inclusive = range_.lower_inclusive;
  }
  if (range_.upper != nullptr) {
    if (values->is_null) return;
    bounds.has_upper = true;
    bounds.upper = *values++;
    bounds.upper_inclusive = range_.upper_inclusive;
  }
  if (range_.in_list.empty()) {
    out.push_back(std::move(bounds));
    return;
  }
  const auto part = range_.equal.size();
  const bool descending = (part < index.columns.size() && index.columns[part].descending) != backward;
  std::ranges::sort(list, [&](const Value& a, const Value& b) {
    const int c = types::compare(a.datum, b.datum, a.type);
    return descending ? c > 0 : c < 0;
  });
  list.erase(
      std::unique(list.begin(), list.end(),
                  [](const Value& a, const Value& b) { return types::equal(a.datum, b.datum, a.type); }),
      list.end());
  for (const auto& value : list) {
    out.push_back(bounds);
    out.back().equal.push_back(value);
  }
}

}  // namespace rustbd::exec
