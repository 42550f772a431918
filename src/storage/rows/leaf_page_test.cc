// Table leaves against a map of rows, on loose pages.
#include "rustbd/storage/rows/leaf_page.h"

#include <gtest/gtest.h>

#include <set>

#include "rustbd/base/hash.h"
#include "rustbd/storage/rows/testing/rows_model.h"

namespace rustbd::storage {
namespace {

using namespace testing;

/// One leaf and what should be in it. A full leaf is split; the half that is kept goes on.
class LeafModel {
 public:
  LeafModel(std::uint64_t seed, const TableLayout& table, std::size_t text_max)
      : random_(seed), table_(table), format_(format_of(table)), text_max_(text_max) {
    LeafPage::init(page_.span(), format_, 1, kNoHighFence, PageId{}, LeafPage::expected_heap_bytes(format_));
  }

  void step() {
    const auto choice = random_.below(100);
    if (choice < 55 || model_.empty()) {
      insert();
    } else if (choice < 80) {
      update();
    } else if (choice < 95) {
      remove();
    } else {
      flip_tombstone();
    }
  }

  void check() {
    LeafView view;
    ASSERT_TRUE(LeafView::open(page_.bytes, format_, &view));
    ASSERT_EQ(view.verify(), nullptr);
    std::map<std::uint64_t, ModelRow> expected = model_;
    for (const auto dead : tombstones_) expected.erase(dead);
    ASSERT_EQ(rows_of(view), expected);
    for (const auto& [rowid, row] : model_) ASSERT_NE(view.find(RowId{rowid}), kNoSlot);
    ASSERT_EQ(view.find(RowId{low_ + 100000}), kNoSlot);
  }
  [[nodiscard]] int splits() const { return splits_; }
  [[nodiscard]] int old_halves() const { return old_halves_; }

  /// ALTER TABLE ... ADD COLUMN, many times: the leaf and its rows stay as they are.
  void widen(std::uint32_t columns) {
    TableLayout wider = table_;
    ++wider.schema_version;
    for (std::uint32_t i = 0; i < columns; ++i) {
      ColumnLayout column;
      column.type = type_of(random_.chance(500) ? Phys::kI64 : Phys::kStr);
      column.since_version = wider.schema_version;
      const std::string missing =
          random_.chance(500) ? "~" : random_value(random_, column.type.phys, false, 60);
      column.has_missing_value = missing != "~";
      if (column.has_missing_value) {
        const auto bytes = as_bytes(missing);
        column.missing_value.assign(bytes.begin(), bytes.end());
      }
      wider.columns.push_back(column);
      if (!format_of(wider).holds_earlier_rows()) {
        wider.columns.pop_back();
        break;
      }
      for (auto& [rowid, row] : model_) row.push_back(missing);
    }
    table_ = wider;
    format_ = format_of(table_);
  }

 private:
  /// Short texts instead of those that would stand in overflow pages.
  void shorten(ModelRow& row) const {
    std::vector<ColumnNumber> move;
    ASSERT_TRUE(format_.choose_overflow(cells_of(row, table_), &move));
    for (const ColumnNumber c : move) row[c].resize(kOverflowCellBytes);
  }

  std::uint64_t some_rowid() {
    auto found = model_.lower_bound(low_ + random_.below(model_.rbegin()->first - low_ + 1));
    return found->first;
  }
  std::uint64_t fresh_rowid() {
    while (true) {
      const std::uint64_t span = random_.chance(5) ? 90000 : random_.chance(500) ? 40 : 3000;
      const std::uint64_t last = model_.empty() ? low_ : model_.rbegin()->first;
      std::uint64_t rowid = random_.chance(400) ? last + 1 : low_ + random_.below(span);
      if (high_ != kNoHighFence && rowid >= high_) rowid = low_ + random_.below(high_ - low_);
      if (!model_.contains(rowid)) return rowid;
      if (high_ != kNoHighFence && model_.size() + 50 > high_ - low_) return 0;
    }
  }

  void insert() {
    const std::uint64_t rowid = fresh_rowid();
    if (rowid == 0) return;
    ModelRow row = random_row(random_, table_, text_max_);
    shorten(row);
    const auto cells = cells_of(row, table_);
    for (int tries = 0; tries < 50; ++tries) {
      LeafPage leaf(page_.span(), format_);
      const auto before = hash_bytes(page_.bytes, kPageBytes);
      const Room room = leaf.room_for_insert(RowId{rowid}, cells);
      ASSERT_EQ(hash_bytes(page_.bytes, kPageBytes), before) << "a room check changes nothing";
      if (room != Room::kFull) {
        const std::uint32_t slot = leaf.insert(RowId{rowid}, cells);
        ASSERT_EQ(leaf.rowid(slot), RowId{rowid});
        model_[rowid] = row;
        return;
      }
      ASSERT_FALSE(leaf.room_for_any(RowId{rowid}));
      split(RowId{rowid});
      if (rowid < low_ || rowid >= high_) return;  // it belongs to the half that was let go
    }
    FAIL() << "splits never make room";
  }

  void update() {
    const std::uint64_t rowid = some_rowid();
    std::vector<ColumnNumber> columns;
    ModelRow row = model_[rowid];
    for (ColumnNumber c = 0; c < table_.columns.size(); ++c) {
      if (!random_.chance(400)) continue;
      columns.push_back(c);
      row[c] = random_value(random_, table_.columns[c].type.phys, table_.columns[c].nullable, text_max_);
    }
    shorten(row);
    for (ColumnNumber c = 0; c < row.size(); ++c)
      if (row[c] != model_[rowid][c] && std::ranges::find(columns, c) == columns.end()) columns.push_back(c);
    std::vector<Cell> cells;
    for (const ColumnNumber c : columns) cells.push_back(cell_of(row[c], table_.columns[c].type.phys));
    for (int tries = 0; tries < 50; ++tries) {
      LeafPage leaf(page_.span(), format_);
      const std::uint32_t slot = leaf.find(RowId{rowid});
      ASSERT_NE(slot, kNoSlot);
      if (leaf.room_for_update(slot, columns, cells) != Room::kFull) {
        leaf.update(slot, columns, cells);
        model_[rowid] = row;
        return;
      }
      split(RowId{rowid});
      if (!model_.contains(rowid)) return;  // it belongs to the half that was let go
    }
    FAIL() << "splits never make room";
  }

  void remove() {
    const std::uint64_t rowid = some_rowid();
    LeafPage leaf(page_.span(), format_);
    leaf.remove(leaf.find(RowId{rowid}));
    model_.erase(rowid);
    tombstones_.erase(rowid);
  }

  void flip_tombstone() {
    const std::uint64_t rowid = some_rowid();
    LeafPage leaf(page_.span(), format_);
    const bool on = !tombstones_.contains(rowid);
    leaf.set_tombstone(leaf.find(RowId{rowid}), on);
    if (on) tombstones_.insert(rowid);
    else tombstones_.erase(rowid);
  }

  void split(RowId rowid) {
    LeafPage leaf(page_.span(), format_);
    const RowId at = leaf.split_point(rowid);
    ASSERT_GT(at.raw(), low_);
    ASSERT_LT(at.raw(), high_);
    LoosePage right(7);
    leaf.split(at, rowid, right.span(), PageId{7});
    LeafView left_view, right_view;
    ASSERT_TRUE(LeafView::open(page_.bytes, format_, &left_view) &&
                LeafView::open(right.bytes, format_, &right_view));
    ASSERT_EQ(left_view.verify(), nullptr);
    ASSERT_EQ(right_view.verify(), nullptr);
    old_halves_ +=
        static_cast<int>(!left_view.current_version()) + static_cast<int>(!right_view.current_version());
    ASSERT_EQ(left_view.high_fence(), at.raw());
    ASSERT_EQ(right_view.high_fence(), high_);
    ASSERT_EQ(left_view.right_sibling(), PageId{7});
    auto all = rows_of(left_view);
    all.merge(rows_of(right_view));
    auto expected = model_;
    for (const auto dead : tombstones_) expected.erase(dead);
    ASSERT_EQ(all, expected);
    ++splits_;
    const bool keep_right = rowid >= at ? !random_.chance(100) : random_.chance(100);
    if (keep_right) {
      std::memcpy(page_.bytes, right.bytes, kPageBytes);
      low_ = at.raw();
    } else {
      high_ = at.raw();
    }
    std::erase_if(model_, [&](const auto& r) { return r.first < low_ || r.first >= high_; });
    std::erase_if(tombstones_, [&](auto r) { return r < low_ || r >= high_; });
    if (high_ != kNoHighFence && high_ - low_ < 200) reset();
  }

  void reset() {
    model_.clear();
    tombstones_.clear();
    low_ = 1;
    high_ = kNoHighFence;
    page_ = LoosePage(3);
    LeafPage::init(page_.span(), format_, 1, kNoHighFence, PageId{}, LeafPage::expected_heap_bytes(format_));
  }

  io::SeededRandom random_;
  TableLayout table_;
  RowFormat format_;
  std::size_t text_max_;
  LoosePage page_{3};
  std::uint64_t low_ = 1, high_ = kNoHighFence;
  std::map<std::uint64_t, ModelRow> model_;
  std::set<std::uint64_t> tombstones_;
  int splits_ = 0, old_halves_ = 0;
};

TEST(LeafPage, AgreesWithModel) {
  int splits = 0;
  for (std::uint64_t seed = 0; seed < 24; ++seed) {
    SCOPED_TRACE(seed);
    constexpr std::size_t kTextMax[] = {3, 20, 200, 1900};
    LeafModel model(seed, sample_table(), kTextMax[seed % 4]);
    for (int i = 0; i < 1500; ++i) {
      model.step();
      if (HasFatalFailure()) return;
      if (i % 25 == 0) model.check();
      if (HasFatalFailure()) return;
    }
    model.check();
    splits += model.splits();
  }
  EXPECT_GT(splits, 100);
}

/// Rows of a full leaf can be much larger in the newest version: neither half of it need fit there.
TEST(LeafPage, AgreesWithModelWhenRowsGetWider) {
  int old_halves = 0;
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    SCOPED_TRACE(seed);
    constexpr std::size_t kTextMax[] = {3, 20, 200, 1900};
    LeafModel model(seed, sample_table(), kTextMax[seed % 4]);
    for (int i = 0; i < 900; ++i) {
      if (i % 300 == 299) model.widen(1 + static_cast<std::uint32_t>(seed * 7 + i) % 120);
      model.step();
      if (HasFatalFailure()) return;
      if (i % 25 == 0) model.check();
      if (HasFatalFailure()) return;
    }
    old_halves += model.old_halves();
  }
  EXPECT_GT(old_halves, 20);
}

TEST(RowFormat, WhatChooseOverflowAcceptsFitsInALeafAlone) {
  for (const std::uint32_t columns : {10u, 250u, 450u, 700u, 740u, 1000u}) {
    TableLayout table;
    table.columns.resize(columns);
    for (auto& column : table.columns) column.type = type_of(Phys::kStr);
    const RowFormat format = format_of(table);
    ASSERT_LE(format.fixed_part_bytes(), kFixedPartBytesMax);
    int accepted = 0, refused = 0;
    for (std::size_t bytes = 0; bytes <= 30; ++bytes) {
      const std::string text(bytes, 'x');
      std::vector<Cell> row(columns, Cell::stored(text));
      std::vector<ColumnNumber> move;
      const bool fits = format.choose_overflow(row, &move);
      ++(fits ? accepted : refused);
      if (!fits) continue;
      for (const ColumnNumber c : move) row[c] = Cell::overflow({PageId{9}, bytes});
      LoosePage page(3);
      LeafPage::init(page.span(), format, 1, kNoHighFence, PageId{}, LeafPage::expected_heap_bytes(format));
      LeafPage leaf(page.span(), format);
      ASSERT_NE(leaf.room_for_insert(RowId{1}, row), Room::kFull) << columns << " columns of " << bytes;
      leaf.insert(RowId{1}, row);
      ASSERT_EQ(leaf.verify(), nullptr);
    }
    EXPECT_GE(accepted, 4);
    EXPECT_EQ(refused > 0, columns >= 700) << columns;
  }
}

TEST(LeafPage, NarrowTableFillsThePage) {
  TableLayout table;
  table.columns.resize(1);
  table.columns[0].type = type_of(Phys::kI32);
  table.columns[0].bitmap_since = ColumnLayout::kNoBitmap;
  const RowFormat format = format_of(table);
  LoosePage page(3);
  LeafPage::init(page.span(), format, 1, kNoHighFence, PageId{}, 0);
  std::uint32_t rows = 0;
  while (true) {
    LeafPage leaf(page.span(), format);
    const Cell cell = Cell::fixed(types::Datum::of(static_cast<std::int32_t>(rows)));
    if (leaf.room_for_insert(RowId{rows + 1ull}, {&cell, 1}) == Room::kFull) break;
    EXPECT_EQ(leaf.insert(RowId{rows + 1ull}, {&cell, 1}), rows);
    ++rows;
  }
  EXPECT_EQ(rows, 2320u);  // 2 + 1 + 4 bytes a row, each array 8-aligned
}

/// A writer that finds the leaf full splits it, which is not done where any row would find room: the two must
/// agree, or the writer tries for ever.
TEST(LeafPage, AFullLeafHasNoRoomForAny) {
  TableLayout table;
  table.columns.resize(1);
  table.columns[0].type = type_of(Phys::kStr);
  table.columns[0].bitmap_since = ColumnLayout::kNoBitmap;
  const RowFormat format = format_of(table);
  LoosePage page(3);
  LeafPage::init(page.span(), format, 1, kNoHighFence, PageId{}, 0);
  const std::string text(kRowInLeafBytesMax - 64, 'x');
  const auto cell_of_bytes = [&](std::size_t bytes) { return Cell::stored({text.data(), bytes}); };
  int full = 0;
  for (std::uint64_t row = 1;; ++row) {
    LeafPage leaf(page.span(), format);
    for (std::size_t bytes = 0; bytes <= text.size(); bytes += 5) {
      const Cell cell = cell_of_bytes(bytes);
      const ColumnNumber column = 0;
      const bool insert_full = leaf.room_for_insert(RowId{row}, {&cell, 1}) == Room::kFull;
      const bool update_full = row > 1 && leaf.room_for_update(0, {&column, 1}, {&cell, 1}) == Room::kFull;
      if (!insert_full && !update_full) continue;
      ++full;
      ASSERT_FALSE(leaf.room_for_any(RowId{row})) << row << " rows, " << bytes << " bytes";
    }
    const Cell small = cell_of_bytes(8);
    if (leaf.room_for_insert(RowId{row}, {&small, 1}) == Room::kFull) break;
    leaf.insert(RowId{row}, {&small, 1});
  }
  EXPECT_GT(full, 1000);
}

TEST(LeafPage, AddedColumnsAreMissingInOldLeavesAndStoredAfterTheFirstWrite) {
  TableLayout before = sample_table();
  TableLayout after = before;
  after.schema_version = 2;
  ColumnLayout number, text;
  number.type = type_of(Phys::kI32);
  number.since_version = 2;
  number.has_missing_value = true;
  const std::int32_t fallback = 77;
  number.missing_value.assign(reinterpret_cast<const std::byte*>(&fallback),
                              reinterpret_cast<const std::byte*>(&fallback) + 4);
  text.type = type_of(Phys::kStr);
  text.since_version = 2;
  text.has_missing_value = true;
  text.missing_value = Bytes(6, std::byte{'x'});
  after.columns.push_back(number);
  after.columns.push_back(text);
  after.columns[0].bitmap_since = 2;  // DROP NOT NULL

  io::SeededRandom random(5);
  const RowFormat old_format = format_of(before), new_format = format_of(after);
  LoosePage page(3);
  LeafPage::init(page.span(), old_format, 1, kNoHighFence, PageId{}, 10);
  std::map<std::uint64_t, ModelRow> model;
  for (std::uint64_t rowid = 1; rowid <= 40; ++rowid) {
    model[rowid] = random_row(random, before, 15);
    (void)LeafPage(page.span(), old_format).insert(RowId{rowid}, cells_of(model[rowid], before));
  }
  LeafView view;
  ASSERT_TRUE(LeafView::open(page.bytes, new_format, &view));
  EXPECT_FALSE(view.current_version());
  for (auto& [rowid, row] : model) {
    row.push_back(std::string(reinterpret_cast<const char*>(&fallback), 4));
    row.push_back("xxxxxx");
  }
  EXPECT_EQ(rows_of(view), model);

  LeafPage leaf(page.span(), new_format);
  const ColumnNumber first = 0;
  const Cell null = Cell::null();
  ASSERT_EQ(leaf.room_for_update(3, {&first, 1}, {&null, 1}), Room::kRebuild);
  leaf.update(3, {&first, 1}, {&null, 1});
  model[4][0] = "~";
  ASSERT_TRUE(LeafView::open(page.bytes, new_format, &view));
  EXPECT_TRUE(view.current_version());
  EXPECT_EQ(view.verify(), nullptr);
  EXPECT_EQ(rows_of(view), model);

  // The undo of ALTER TABLE brings the leaf back.
  ASSERT_TRUE(LeafPage(page.span(), new_format).convert(old_format));
  ASSERT_FALSE(LeafView::open(page.bytes, old_format, &view) && view.schema_version() != 1);
  for (auto& [rowid, row] : model) row.resize(before.columns.size());
  model[4][0] = std::string(4, '\0');
  EXPECT_EQ(rows_of(view), model);
}

TEST(LeafPage, CopyColumnsGivesTheCells) {
  io::SeededRandom random(9);
  const TableLayout table = sample_table();
  const RowFormat format = format_of(table);
  LoosePage page(3);
  LeafPage::init(page.span(), format, 1, kNoHighFence, PageId{}, 30);
  std::uint64_t rowid = 0;
  while (true) {
    const ModelRow row = random_row(random, table, 60);
    LeafPage leaf(page.span(), format);
    rowid += 1 + random.below(3);
    if (leaf.room_for_insert(RowId{rowid}, cells_of(row, table)) == Room::kFull) break;
    leaf.insert(RowId{rowid}, cells_of(row, table));
  }
  LeafView view;
  ASSERT_TRUE(LeafView::open(page.bytes, format, &view));
  const std::vector<ColumnNumber> columns{3, 0, 7, 1, 5, 2, 6, 4};
  std::vector<Phys> phys;
  for (const auto c : columns) phys.push_back(format.phys(c));
  types::ChunkBuffer buffer(phys);
  std::vector<OverflowValue> overflow;
  for (int round = 0; round < 200; ++round) {
    buffer.begin();
    const auto first = static_cast<std::uint32_t>(random.below(view.rows()));
    const auto last = first + static_cast<std::uint32_t>(random.below(view.rows() - first + 1));
    const auto at = static_cast<std::uint32_t>(random.below(100));
    ASSERT_TRUE(view.copy_columns(first, last, columns, buffer, at, &overflow));
    for (std::uint32_t slot = first; slot < last; ++slot) {
      const ModelRow row = row_of(view, slot);
      for (std::uint32_t i = 0; i < columns.size(); ++i) {
        const types::Vector& vector = buffer.chunk()[i];
        const std::uint32_t position = at + slot - first;
        const Cell cell = vector.is_valid(position) ? Cell::fixed(vector.datum(position)) : Cell::null();
        ASSERT_EQ(text_of(cell, vector.phys), row[columns[i]]) << "slot " << slot << " column " << columns[i];
      }
    }
  }
  EXPECT_TRUE(overflow.empty());
}

TEST(LeafPage, OverflowReferencesAreKept) {
  const TableLayout table = sample_table();
  const RowFormat format = format_of(table);
  LoosePage page(3);
  LeafPage::init(page.span(), format, 1, kNoHighFence, PageId{}, 30);
  std::vector<Cell> row(table.columns.size());
  row[0] = Cell::fixed(types::Datum::of(1));
  const std::string large(9000, 'y'), middle(3000, 'z');
  row[3] = Cell::stored(large);
  row[5] = Cell::stored(middle);
  std::vector<ColumnNumber> move;
  ASSERT_TRUE(format.choose_overflow(row, &move));
  ASSERT_EQ(move, std::vector<ColumnNumber>{3});
  row[3] = Cell::overflow({PageId{4711}, large.size()});
  LeafPage leaf(page.span(), format);
  leaf.insert(RowId{5}, row);
  Cell read;
  ASSERT_TRUE(leaf.cell(0, 3, &read));
  EXPECT_EQ(read.kind, CellKind::kOverflow);
  EXPECT_EQ(read.overflow_ref().first, PageId{4711});
  EXPECT_EQ(read.overflow_ref().bytes, large.size());
  EXPECT_EQ(leaf.verify(), nullptr);
  const std::vector<Phys> phys{Phys::kStr};
  types::ChunkBuffer buffer(phys);
  std::vector<OverflowValue> overflow;
  const ColumnNumber column = 3;
  ASSERT_TRUE(leaf.copy_columns(0, 1, {&column, 1}, buffer, 8, &overflow));
  ASSERT_EQ(overflow.size(), 1u);
  EXPECT_EQ(overflow[0].row, 8u);
  EXPECT_EQ(overflow[0].ref.first, PageId{4711});
}

// Whatever stands in a page, reading it stays inside (run under the address sanitizer).
TEST(LeafPage, DamagedBytesAreReadInBounds) {
  const TableLayout table = sample_table();
  const RowFormat format = format_of(table);
  io::SeededRandom random(13);
  const std::vector<ColumnNumber> columns{0, 1, 2, 3, 4, 5, 6, 7};
  std::vector<Phys> phys;
  for (const auto c : columns) phys.push_back(format.phys(c));
  types::ChunkBuffer buffer(phys);
  std::vector<OverflowValue> overflow;
  std::uint32_t opened = 0;
  for (int round = 0; round < 600; ++round) {
    auto page = std::make_unique<LoosePage>(3);  // of its own, so that its ends are guarded
    LeafPage::init(page->span(), format, 1, kNoHighFence, PageId{}, 30);
    for (std::uint64_t rowid = 1; rowid < 60; ++rowid) {
      const ModelRow row = random_row(random, table, 40);
      LeafPage(page->span(), format).insert(RowId{rowid}, cells_of(row, table));
    }
    for (auto n = random.below(200); n > 0; --n) {
      const std::size_t at = random.chance(10) ? 28 + random.below(40) : random.below(kPageBytes);
      page->bytes[at] = static_cast<std::byte>(random.next_u64());
    }
    LeafView view;
    if (!LeafView::open(page->bytes, format, &view)) continue;
    ++opened;
    for (std::uint32_t slot = 0; slot < view.rows(); ++slot) (void)row_of(view, slot);
    (void)view.verify();
    (void)view.find(RowId{random.below(100)});
    buffer.begin();
    (void)view.copy_columns(0, std::min(view.rows(), types::kVectorSize), columns, buffer, 0, &overflow);
  }
  EXPECT_GT(opened, 100u);
}

// The bytes of §1.4: a change of them is a change of the format of every database.
TEST(LeafPage, GoldenBytes) {
  TableLayout table;
  table.columns.resize(3);
  table.columns[0].type = type_of(Phys::kI32);
  table.columns[0].bitmap_since = ColumnLayout::kNoBitmap;
  table.columns[1].type = type_of(Phys::kStr);
  table.columns[2].type = type_of(Phys::kI64);
  const RowFormat format = format_of(table);
  LoosePage page(9);
  LeafPage::init(page.span(), format, 100, 500, PageId{8}, 40);
  const std::vector<Cell> a{Cell::fixed(types::Datum::of(7)), Cell::stored("hello world"), Cell::null()};
  const std::vector<Cell> b{Cell::fixed(types::Datum::of(8)), Cell::stored("abcd"),
                            Cell::fixed(types::Datum::of(std::int64_t{9}))};
  LeafPage leaf(page.span(), format);
  leaf.insert(RowId{103}, a);
  leaf.insert(RowId{101}, b);
  leaf.set_tombstone(1, true);
  const std::uint32_t capacity = leaf.capacity();
  ASSERT_EQ(capacity, 256u);
  const std::byte* p = page.bytes;
  const auto word = [&](std::size_t at) { return load<std::uint16_t>(p + at); };
  EXPECT_EQ(load<std::uint64_t>(p), 9u);
  EXPECT_EQ(p[8], std::byte{2});
  EXPECT_EQ(load<std::uint64_t>(p + 16), 8u);
  EXPECT_EQ(load<std::uint32_t>(p + 24), 2u);
  EXPECT_EQ(load<std::uint32_t>(p + 28), 1u);
  EXPECT_EQ(load<std::uint64_t>(p + 32), 100u);
  EXPECT_EQ(word(40), capacity);
  EXPECT_EQ(word(42), 2u);
  EXPECT_EQ(word(44), kPageBytes - 11);
  EXPECT_EQ(word(46), 0u);
  EXPECT_EQ(load<std::uint64_t>(p + 48), 500u);
  EXPECT_EQ(word(64), 1u);  // delta
  EXPECT_EQ(word(66), 3u);
  const std::size_t flags = 64 + 512;
  EXPECT_EQ(p[flags], std::byte{0});
  EXPECT_EQ(p[flags + 1], std::byte{1});
  const std::size_t bitmap = flags + 256;  // text, then int8: 32 bytes each
  EXPECT_EQ(p[bitmap], std::byte{0});
  EXPECT_EQ(p[bitmap + 32], std::byte{2});
  const std::size_t int4 = bitmap + 64, int8 = int4 + 1024, text = int8 + 2048;
  EXPECT_EQ(load<std::int32_t>(p + int4), 8);
  EXPECT_EQ(load<std::int32_t>(p + int4 + 4), 7);
  EXPECT_EQ(load<std::int64_t>(p + int8), 9);
  EXPECT_EQ(word(text), 0u);  // "abcd" stands in the prefix
  EXPECT_EQ(word(text + 2), 4u);
  EXPECT_EQ(as_chars({p + text + 4, 4}), "abcd");
  EXPECT_EQ(word(text + 8), kPageBytes - 11);
  EXPECT_EQ(word(text + 10), 11u);
  EXPECT_EQ(as_chars({p + text + 12, 4}), "hell");
  EXPECT_EQ(as_chars({p + kPageBytes - 11, 11}), "hello world");
}

TEST(TableLayout, SerializesAndRefusesOtherBytes) {
  TableLayout table = sample_table();
  table.schema_version = 3;
  table.columns[2].has_missing_value = true;
  table.columns[2].missing_value = Bytes(1, std::byte{1});
  table.columns[4].dropped = true;
  IndexLayout index;
  index.id = IndexId{20001};
  index.unique = true;
  index.parts.push_back({1, {type_of(Phys::kI64), true, false}});
  index.parts.push_back({IndexLayout::kExpressionColumn, {type_of(Phys::kStr), false, true}});
  index.included = {3, 5};
  table.indexes.push_back(index);
  Bytes bytes;
  table.serialize(bytes);
  TableLayout read;
  ASSERT_TRUE(TableLayout::deserialize(bytes, &read));
  Bytes again;
  read.serialize(again);
  EXPECT_EQ(bytes, again);
  EXPECT_EQ(read.columns[0].bitmap_since, ColumnLayout::kNoBitmap);
  EXPECT_TRUE(read.indexes[0].parts[0].key.descending);
  for (std::size_t n = 0; n < bytes.size(); ++n)
    EXPECT_FALSE(TableLayout::deserialize(ByteSpan{bytes}.first(n), &read)) << n;
  bytes.push_back(std::byte{0});
  EXPECT_FALSE(TableLayout::deserialize(bytes, &read));
}

}  // namespace
}  // namespace rustbd::storage
