#include "rustbd/txn/testing/crash_keys.h"

#include <memory>

#include "rustbd/types/type.h"

namespace rustbd::txn::testing {

namespace {

constexpr ColumnNumber kExpression = storage::IndexLayout::kExpressionColumn;

std::optional<std::int64_t> expression_of(const std::optional<std::int64_t>& value) {
  if (!value) return {};
  return *value * 3 % 97;
}

bool meets_predicate(std::int64_t id) { return id % 3 != 0; }

}  // namespace

bool is_computed(const storage::IndexLayout& index) { return index.partial || index.has_expressions(); }

bool is_member(const storage::IndexLayout& index, const Image& image) {
  return !index.partial || meets_predicate(image.id);
}

Rows members(const storage::IndexLayout& index, const Rows& rows) {
  if (!index.partial) return rows;
  Rows out;
  for (const auto& [row, image] : rows)
    if (is_member(index, image)) out.emplace(row, image);
  return out;
}

std::optional<std::int64_t> key_of(const storage::IndexLayout& index, const Image& image) {
  const ColumnNumber column = index.parts[0].column;
  if (column == kExpression) return expression_of(image.value);
  if (column == 0) return image.id;
  if (column == 1) return image.value;
  const std::size_t extra = column - kBaseColumns;
  return extra < image.extra.size() ? image.extra[extra] : missing_value(column);
}

storage::IndexLayout computed_index(IndexId id, ColumnNumber column, bool partial, bool unique) {
  storage::IndexLayout index;
  index.id = id;
  index.partial = partial;
  index.unique = unique;
  index.parts.push_back({column, types::KeyPart{types::make_type(types::oid::kInt8), false, false}});
  return index;
}

ComputedKeys::ComputedKeys(const storage::TableLayout& layout, const Image* before, const Image* after) {
  const auto vector = [this](const Image* image) {
    const auto value = image != nullptr ? expression_of(image->value) : std::nullopt;
    return types::make_constant(types::Datum::of(value.value_or(0)), !value, types::Phys::kI64, arena_);
  };
  before_ = vector(before);
  after_ = vector(after);
  for (const storage::IndexLayout& index : layout.indexes) {
    if (!is_computed(index)) continue;
    keys_.push_back({index.id, before != nullptr && is_member(index, *before),
                     after != nullptr && is_member(index, *after), &before_, &after_});
  }
}

WriteExtras ComputedKeys::extras(DeferredUnique* deferred) const {
  WriteExtras extras;
  extras.computed = keys_;
  extras.deferred = deferred;
  return extras;
}

ComputeKeys compute_keys(const storage::IndexLayout& index) {
  const bool expression = index.has_expressions(), partial = index.partial;
  return [expression, partial, buffer = std::make_shared<types::ChunkBuffer>()](
             const types::Chunk& chunk, std::vector<types::Vector>* parts, std::uint8_t* member) {
    static constexpr types::Phys kResult[1] = {types::Phys::kI64};
    buffer->reset(kResult);
    buffer->begin();
    for (std::uint32_t i = 0; i < chunk.count(); ++i) {
      const std::uint32_t row = chunk.selection[i];
      std::optional<std::int64_t> value;
      if (chunk[1].is_valid(row)) value = chunk[1].values<std::int64_t>()[chunk[1].slot(row)];
      const auto result = expression_of(value);
      buffer->put(0, row, types::Datum::of(result.value_or(0)), !result);
      member[row] = !partial || meets_predicate(chunk[0].values<std::int64_t>()[chunk[0].slot(row)]);
    }
    if (expression) parts->push_back(buffer->chunk()[0]);
  };
}

}  // namespace rustbd::txn::testing
