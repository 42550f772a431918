#include <fmt/format.h>

#include "rustbd/txn/testing/crash_keys.h"
#include "rustbd/txn/testing/crash_world.h"
#include "rustbd/types/type.h"

namespace rustbd::txn::testing {

std::string to_text(const Image& image) {
  std::string out = fmt::format("({}, {}, ", image.id, image.value ? fmt::to_string(*image.value) : "null");
  out += image.note ? fmt::format("{} bytes '{}'", image.note->size(), image.note->substr(0, 12)) : "null";
  for (const auto& e : image.extra) out += ", " + (e ? fmt::to_string(*e) : std::string("null"));
  return out + ")";
}
ImageRow::ImageRow(const Image& image, const storage::TableLayout& layout) {
  using types::Datum;
  const auto number = [&](const std::optional<std::int64_t>& v) {
    columns_.push_back(types::make_constant(Datum::of(v.value_or(0)), !v, types::Phys::kI64, arena_));
  };
  number(image.id);
  number(image.value);
  const types::Str note{image.note ? std::string_view{*image.note} : std::string_view{}};
  columns_.push_back(types::make_constant(Datum::of(note), !image.note, types::Phys::kStr, arena_));
  for (std::size_t i = kBaseColumns; i < layout.columns.size(); ++i) number(image.extra.at(i - kBaseColumns));
}

Image read_image(const types::Chunk& chunk, std::uint32_t row, const storage::TableLayout& layout) {
  const auto number = [&](std::size_t c) -> std::optional<std::int64_t> {
    if (!chunk[c].is_valid(row)) return {};
    return chunk[c].values<std::int64_t>()[row];
  };
  Image image;
  image.id = number(0).value_or(-1);
  image.value = number(1);
  if (chunk[2].is_valid(row)) image.note = std::string(chunk[2].values<types::Str>()[row].view());
  for (std::size_t i = kBaseColumns; i < layout.columns.size(); ++i) image.extra.push_back(number(i));
  return image;
}

std::vector<ColumnNumber> all_columns(const storage::TableLayout& layout) {
  std::vector<ColumnNumber> out(layout.columns.size());
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = static_cast<ColumnNumber>(i);
  return out;
}

storage::IndexLayout index_on(const storage::TableLayout& layout, IndexId id, ColumnNumber column,
                              bool unique) {
  storage::IndexLayout index;
  index.id = id;
  index.unique = unique;
  index.parts.push_back({column, types::KeyPart{layout.columns[column].type, false, false}});
  return index;
}

storage::TableLayout base_layout(Oid relation, IndexId by_id, IndexId by_value) {
  storage::TableLayout layout;
  layout.table = TableId{relation};
  layout.relation = relation;
  layout.database = kCrashDatabase;
  layout.columns.resize(kBaseColumns);
  layout.columns[0].type = types::make_type(types::oid::kInt8);
  layout.columns[0].nullable = false;
  layout.columns[1].type = types::make_type(types::oid::kInt8);
  layout.columns[2].type = types::make_type(types::oid::kText);
  if (!by_id.is_none()) layout.indexes.push_back(index_on(layout, by_id, 0, true));
  if (!by_value.is_none()) layout.indexes.push_back(index_on(layout, by_value, 1, false));
  return layout;
}

void compare_rows(CrashWorld& world, const std::string& what, const Rows& expected, const Rows& found,
                  const storage::TableLayout& layout) {
  for (const auto& [row, image] : expected) {
    const auto at = found.find(row);
    const Image wanted = padded(image, layout);
    if (at == found.end()) {
      world.problem(fmt::format("{}: row {} {} is not there", what, row, to_text(wanted)));
    } else if (at->second != wanted) {
      world.problem(fmt::format("{}: row {} is {}, not {}", what, row, to_text(at->second), to_text(wanted)));
    }
  }
  for (const auto& [row, image] : found) {
    if (!expected.contains(row))
      world.problem(fmt::format("{}: row {} {} should not be there", what, row, to_text(image)));
  }
}

void RowCollector::take(const types::Chunk& chunk,
                        const std::function<void(std::uint64_t, const Image&)>& seen) {
  const std::size_t row_ids = layout_.columns.size();
  for (std::uint32_t i = 0; i < chunk.count(); ++i) {
    const std::uint32_t r = chunk.selection[i];
    const std::uint64_t row = chunk[row_ids].values<std::uint64_t>()[r];
    const auto [at, fresh] = rows.emplace(row, read_image(chunk, r, layout_));
    if (!fresh) world_.problem(fmt::format("{} gave row {} twice", what_, row));
    if (seen) seen(row, at->second);
  }
}

void OrderCheck::see(std::uint64_t row, const Image& image) {
  if (index_.parts[0].column == 2) return;
  const std::int64_t key = key_of(index_, image).value_or(INT64_MAX);  // nulls last
  if (previous_ && (backward_ ? *previous_ < key : *previous_ > key))
    world_.problem(fmt::format("a scan of index {} is out of order at row {}", index_.id.raw(), row));
  previous_ = key;
}

}  // namespace rustbd::txn::testing
