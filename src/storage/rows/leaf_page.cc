// Changing table leaves: every change is checked by a room_ function before, and cannot fail.
#include "rustbd/storage/rows/leaf_page.h"

#include <algorithm>
#include <cstring>

#include "rustbd/base/assert.h"

namespace rustbd::storage {

namespace {

constexpr std::uint64_t kSpanMax = 0xFFFF;  // largest delta

std::uint32_t mean_heap(const LeafPage::Fit& fit) {
  return fit.rows == 0 ? 0 : (fit.heap + fit.rows - 1) / fit.rows;
}

/// Capacity of a leaf laid out anew: as the mean row has it, but all its rows at least.
std::uint32_t capacity_of(const LeafLayout& layout, const LeafPage::Fit& fit) {
  return std::max(fit.rows, layout.capacity_for(mean_heap(fit)));
}

/// `slack_rows`: further rows of the mean size that must fit, so that a page is not laid out anew for every
/// row.
bool fits(const LeafLayout& layout, const LeafPage::Fit& fit, std::uint32_t slack_rows) {
  if (fit.rows > layout.capacity_max() || layout.arrays_end(fit.rows) + fit.heap > kPageBytes) return false;
  return capacity_of(layout, fit) >= fit.rows + slack_rows;
}

// A page is compacted only where it then has room for more changes, else a nearly full one would be compacted
// each time.
constexpr std::uint32_t kManyRows = 32, kUpdateSlackBytes = 256;
std::uint32_t insert_slack_rows(const LeafPage::Fit& fit) { return fit.rows / kManyRows; }

}  // namespace

/// Copies rows from one page to another, column by column.
struct LeafWriter {
  static void lay_out(const LeafView& from, std::uint32_t first, std::uint32_t last, LeafPage& to) {
    for (std::uint32_t slot = first; slot < last; ++slot) {
      store(to.mutable_ + LeafLayout::delta_offset() + std::size_t{2} * (slot - first),
            static_cast<std::uint16_t>(from.rowid(slot).raw() - to.base_));
    }
    std::memcpy(to.mutable_ + LeafLayout::flags_offset(to.capacity_),
                from.page_ + LeafLayout::flags_offset(from.capacity_) + first, last - first);
    to.rows_ = last - first;
    for (std::uint32_t c = 0; c < to.layout_->column_count(); ++c) copy_column(from, first, last, c, to);
    to.require_apart();
    to.store_header();
  }

 private:
  static void copy_column(const LeafView& from, std::uint32_t first, std::uint32_t last, std::uint32_t column,
                          LeafPage& to) {
    const LeafLayout::Place& target = to.layout_->place(column);
    if (!target.stored) return;
    const LeafLayout::Place* source = &from.layout_->place(column);
    if (!source->stored || target.variable) {
      for (std::uint32_t slot = first; slot < last; ++slot) {
        Cell cell;
        RUSTBD_ASSERT(from.cell(slot, column, &cell), "a latched leaf is sound");
        to.put_cell(slot - first, target, cell);
      }
      return;
    }
    std::memcpy(
        to.mutable_ + to.layout_->array_offset(to.capacity_, target),
        from.page_ + from.layout_->array_offset(from.capacity_, *source) + std::size_t{source->width} * first,
        std::size_t{source->width} * (last - first));
    if (target.bitmap < 0 || source->bitmap < 0) return;
    std::byte* bits =
        to.mutable_ + to.layout_->bitmap_offset(to.capacity_, static_cast<std::uint32_t>(target.bitmap));
    for_each_set_bit(
        from.page_ + from.layout_->bitmap_offset(from.capacity_, static_cast<std::uint32_t>(source->bitmap)),
        first, last, [&](std::uint32_t slot) { put_bit(bits, slot - first, true); });
  }
};

LeafPage::LeafPage(std::span<std::byte> bytes, const RowFormat& format) : mutable_(bytes.data()) {
  RUSTBD_ASSERT(bytes.size() >= kPageBytes && LeafView::open(bytes.data(), format, this),
                "a latched leaf is sound");
}

void LeafPage::require_apart() const {
  RUSTBD_ASSERT(layout_->arrays_end(capacity_) <= heap_lo_, "arrays and heap of a leaf stay apart");
}

void LeafPage::store_header() {
  auto& header = *reinterpret_cast<PageHeader*>(mutable_);
  header.kind = PageKind::kTableLeaf;
  header.flags = dead_ ? kLeafDead : 0;
  header.level = 0;
  header.right_sibling = right_.raw();
  header.count = rows_;
  header.schema_version = version_;
  store(mutable_ + leaf_field::kBase, base_);
  store(mutable_ + leaf_field::kCapacity, static_cast<std::uint16_t>(capacity_));
  store(mutable_ + leaf_field::kRows, static_cast<std::uint16_t>(rows_));
  store(mutable_ + leaf_field::kHeapLow, static_cast<std::uint16_t>(heap_lo_));
  store(mutable_ + leaf_field::kGarbage, static_cast<std::uint16_t>(garbage_));
  store(mutable_ + leaf_field::kHighFence, high_fence_);
}

void LeafPage::init(std::span<std::byte> page, const RowFormat& format, std::uint64_t base_rowid,
                    std::uint64_t high_fence, PageId right_sibling, std::uint32_t heap_bytes_per_row) {
  init(page, format.current(), format.table().schema_version, base_rowid, high_fence, right_sibling,
       heap_bytes_per_row);
}

void LeafPage::init(std::span<std::byte> page, const LeafLayout& layout, std::uint32_t version,
                    std::uint64_t base_rowid, std::uint64_t high_fence, PageId right_sibling,
                    std::uint32_t heap_bytes_per_row) {
  auto& header = *reinterpret_cast<PageHeader*>(page.data());
  std::memset(page.data() + kPageHeaderBytes, 0, kPageBytes - kPageHeaderBytes);
  header.kind = PageKind::kTableLeaf;
  header.flags = 0;
  header.level = 0;
  header.right_sibling = right_sibling.raw();
  header.count = 0;
  header.schema_version = version;
  store(page.data() + leaf_field::kBase, base_rowid);
  store(page.data() + leaf_field::kCapacity,
        static_cast<std::uint16_t>(layout.capacity_for(heap_bytes_per_row)));
  store(page.data() + leaf_field::kHeapLow, static_cast<std::uint16_t>(kPageBytes));
  store(page.data() + leaf_field::kHighFence, high_fence);
}

std::uint32_t LeafPage::expected_heap_bytes(const RowFormat& format) {
  constexpr std::uint32_t kGuessPerValue = 12;
  return std::min(kRowInLeafBytesMax, format.current().variable_count() * kGuessPerValue);
}

Descriptor LeafPage::descriptor(std::uint32_t slot, const LeafLayout::Place& place) const {
  return Descriptor::of(
      load<std::uint64_t>(page_ + layout_->array_offset(capacity_, place) + std::size_t{8} * slot));
}
void LeafPage::store_descriptor(std::uint32_t slot, const LeafLayout::Place& place, const Descriptor& d) {
  store(mutable_ + layout_->array_offset(capacity_, place) + std::size_t{8} * slot, d.raw());
}
std::uint32_t LeafPage::variable_bytes(std::uint32_t slot, const LeafLayout::Place& place) const {
  return place.stored ? descriptor(slot, place).heap_bytes() : 0;
}

LeafPage::Fit LeafPage::live(const RowFormat& target, const LeafLayout& layout, std::uint32_t first,
                             std::uint32_t last) const {
  Fit fit{last - first, 0};
  if (first == 0 && last == rows_ && &layout == layout_) {
    fit.heap = static_cast<std::uint32_t>(kPageBytes) - heap_lo_ - garbage_;
    return fit;
  }
  for (std::uint32_t c = 0; c < layout.column_count(); ++c) {
    if (!layout.place(c).stored || !layout.place(c).variable) continue;
    if (!layout_->place(c).stored) {
      fit.heap += heap_bytes(target.missing(c)) * fit.rows;
      continue;
    }
    for (std::uint32_t slot = first; slot < last; ++slot) fit.heap += variable_bytes(slot, layout_->place(c));
  }
  return fit;
}

bool LeafPage::insert_change(RowId rowid, std::span<const Cell> row, Change* change) const {
  const std::uint64_t id = rowid.raw();
  change->base = base_;
  if (rows_ == 0) {
    if (id < base_ || id - base_ > kSpanMax) change->base = id;
  } else if (id < base_) {
    if (this->rowid(rows_ - 1).raw() - id > kSpanMax) return false;
    change->base = id;
  } else if (id - base_ > kSpanMax) {
    change->base = this->rowid(0).raw();
    if (id - change->base > kSpanMax) return false;
  }
  change->fit = live(*format_, format_->current(), 0, rows_);
  ++change->fit.rows;
  for (std::uint32_t c = 0; c < row.size(); ++c)
    if (format_->current().place(c).variable) change->fit.heap += heap_bytes(row[c]);
  return true;
}

Room LeafPage::room_for_insert(RowId rowid, std::span<const Cell> row) const {
  RUSTBD_DEBUG_ASSERT(row.size() == format_->column_count() && !dead_ && rowid.raw() < high_fence_);
  Change change;
  if (!insert_change(rowid, row, &change)) return Room::kFull;
  const Fit before = live(*format_, format_->current(), 0, rows_);
  if (current_version() && change.base == base_ && rows_ < capacity_ &&
      heap_lo_ - layout_->arrays_end(capacity_) >= change.fit.heap - before.heap) {
    return Room::kFits;
  }
  return fits(format_->current(), change.fit, insert_slack_rows(change.fit)) ? Room::kRebuild : Room::kFull;
}

bool LeafPage::room_for_any(RowId rowid) const {
  Change change;
  if (!insert_change(rowid, {}, &change)) return false;
  change.fit.heap += kRowInLeafBytesMax + kUpdateSlackBytes;
  return fits(format_->current(), change.fit, insert_slack_rows(change.fit));
}

void LeafPage::rebuild(const RowFormat& target, const LeafLayout& layout, std::uint32_t version,
                       std::uint64_t base, const Fit& fit) {
  alignas(16) std::byte copy[kPageBytes];
  std::memcpy(copy, mutable_, kPageBytes);
  LeafView from = *this;
  from.page_ = copy;
  std::memset(mutable_ + kLeafHeaderBytes, 0, kPageBytes - kLeafHeaderBytes);
  format_ = &target;
  layout_ = &layout;
  version_ = version;
  base_ = base;
  capacity_ = capacity_of(*layout_, fit);
  heap_lo_ = kPageBytes;
  garbage_ = 0;
  LeafWriter::lay_out(from, 0, from.rows_, *this);
}

std::uint32_t LeafPage::insert(RowId rowid, std::span<const Cell> row) {
  const Room room = room_for_insert(rowid, row);
  RUSTBD_ASSERT(room != Room::kFull && find(rowid) == kNoSlot, "room is checked before a change");
  if (room == Room::kRebuild) {
    Change change;
    RUSTBD_ASSERT(insert_change(rowid, row, &change));
    rebuild(*format_, format_->current(), format_->table().schema_version, change.base, change.fit);
  }
  const std::uint32_t slot = lower_bound(rowid);
  open_row(slot);
  store(mutable_ + LeafLayout::delta_offset() + std::size_t{2} * slot,
        static_cast<std::uint16_t>(rowid.raw() - base_));
  for (std::uint32_t c = 0; c < row.size(); ++c) put_cell(slot, layout_->place(c), row[c]);
  require_apart();
  store_header();
  return slot;
}

Room LeafPage::room_for_update(std::uint32_t slot, std::span<const ColumnNumber> columns,
                               std::span<const Cell> cells) const {
  std::uint32_t grown = 0, taken = 0, given = 0;
  for (std::size_t i = 0; i < columns.size(); ++i) {
    const LeafLayout::Place& place = layout_->place(columns[i]);
    if (!place.variable) continue;
    const std::uint32_t before =
        variable_bytes(slot, place);  // a missing value first goes to the heap all the same
    const std::uint32_t after = heap_bytes(cells[i]);
    if (after > before) grown += after;
    taken += after;
    given += before;
  }
  if (current_version() && heap_lo_ - layout_->arrays_end(capacity_) >= grown) return Room::kFits;
  Fit fit = live(*format_, format_->current(), 0, rows_);
  fit.heap = fit.heap + taken - given;
  if (rows_ >= kManyRows && grown > 0) {
    return fits(format_->current(), {fit.rows, fit.heap + kUpdateSlackBytes}, 0) ? Room::kRebuild
                                                                                 : Room::kFull;
  }
  return fits(format_->current(), fit, 0) ? Room::kRebuild : Room::kFull;
}

void LeafPage::update(std::uint32_t slot, std::span<const ColumnNumber> columns,
                      std::span<const Cell> cells) {
  const Room room = room_for_update(slot, columns, cells);
  RUSTBD_ASSERT(room != Room::kFull, "room is checked before a change");
  if (room == Room::kRebuild) {
    for (const ColumnNumber c : columns) {
      const LeafLayout::Place& place = layout_->place(c);
      if (place.stored && place.variable) release_variable(slot, place);
    }
    // The capacity follows from what the rows need with the new values in.
    Fit fit = live(*format_, format_->current(), 0, rows_);
    for (std::size_t i = 0; i < columns.size(); ++i) {
      const LeafLayout::Place& place = layout_->place(columns[i]);
      if (!place.variable) continue;
      fit.heap += heap_bytes(cells[i]);
    }
    rebuild(*format_, format_->current(), format_->table().schema_version, base_, fit);
  }
  for (std::size_t i = 0; i < columns.size(); ++i) put_cell(slot, layout_->place(columns[i]), cells[i]);
  require_apart();
  store_header();
}

void LeafPage::put_cell(std::uint32_t slot, const LeafLayout::Place& place, const Cell& cell) {
  if (!place.stored) return;
  if (place.bitmap >= 0) {
    put_bit(mutable_ + layout_->bitmap_offset(capacity_, static_cast<std::uint32_t>(place.bitmap)), slot,
            cell.is_null());
  }
  if (place.variable) {
    put_variable(slot, place, cell);
    return;
  }
  const types::Datum value = cell.is_null() ? types::Datum{} : cell.value;
  types::store_datum(mutable_ + layout_->array_offset(capacity_, place) + std::size_t{place.width} * slot,
                     value, place.width);
}

void LeafPage::put_variable(std::uint32_t slot, const LeafLayout::Place& place, const Cell& cell) {
  const Descriptor old = descriptor(slot, place);
  const std::uint32_t bytes = heap_bytes(cell);
  Descriptor d;
  if (bytes != 0 && bytes <= old.heap_bytes()) {
    d.off = old.off;  // in place
    garbage_ += old.heap_bytes() - bytes;
  } else {
    release_variable(slot, place);
    if (bytes != 0) {
      RUSTBD_ASSERT(heap_lo_ >= kLeafHeaderBytes + bytes, "a value stays in its leaf");
      heap_lo_ -= bytes;
      d.off = static_cast<std::uint16_t>(heap_lo_);
    }
  }
  if (cell.kind == CellKind::kOverflow) {
    d.len = kOverflowLength;
    store(mutable_ + d.off, cell.overflow_ref().first.raw());
    store(mutable_ + d.off + 8, cell.overflow_ref().bytes);
  } else if (cell.kind == CellKind::kValue) {
    const std::string_view text = cell.value.str.view();
    d.len = static_cast<std::uint16_t>(text.size());
    std::memcpy(d.prefix, text.data(), std::min<std::size_t>(4, text.size()));
    if (bytes != 0) std::memcpy(mutable_ + d.off, text.data(), bytes);
  }
  store_descriptor(slot, place, d);
}

void LeafPage::release_variable(std::uint32_t slot, const LeafLayout::Place& place) {
  const Descriptor old = descriptor(slot, place);
  const std::uint32_t bytes = old.heap_bytes();
  if (bytes != 0) {
    if (old.off == heap_lo_) heap_lo_ += bytes;
    else garbage_ += bytes;
  }
  store_descriptor(slot, place, {});
}

void LeafPage::open_row(std::uint32_t slot) {
  const std::uint32_t tail = rows_ - slot;
  const auto open = [&](std::uint32_t array, std::uint32_t width) {
    std::byte* at = mutable_ + array + std::size_t{width} * slot;
    std::memmove(at + width, at, std::size_t{width} * tail);
    std::memset(at, 0, width);
  };
  open(LeafLayout::delta_offset(), 2);
  open(LeafLayout::flags_offset(capacity_), 1);
  for (std::uint32_t c = 0; c < layout_->column_count(); ++c) {
    const LeafLayout::Place& place = layout_->place(c);
    if (!place.stored) continue;
    open(layout_->array_offset(capacity_, place), place.width);
    if (place.bitmap >= 0) {
      open_bit(mutable_ + layout_->bitmap_offset(capacity_, static_cast<std::uint32_t>(place.bitmap)), slot,
               rows_);
    }
  }
  ++rows_;
}

void LeafPage::close_row(std::uint32_t slot) {
  const std::uint32_t tail = rows_ - slot - 1;
  const auto close = [&](std::uint32_t array, std::uint32_t width) {
    std::byte* at = mutable_ + array + std::size_t{width} * slot;
    std::memmove(at, at + width, std::size_t{width} * tail);
    std::memset(at + std::size_t{width} * tail, 0, width);
  };
  close(LeafLayout::delta_offset(), 2);
  close(LeafLayout::flags_offset(capacity_), 1);
  for (std::uint32_t c = 0; c < layout_->column_count(); ++c) {
    const LeafLayout::Place& place = layout_->place(c);
    if (!place.stored) continue;
    close(layout_->array_offset(capacity_, place), place.width);
    if (place.bitmap >= 0) {
      close_bit(mutable_ + layout_->bitmap_offset(capacity_, static_cast<std::uint32_t>(place.bitmap)), slot,
                rows_);
    }
  }
  --rows_;
}

void LeafPage::set_tombstone(std::uint32_t slot, bool on) {
  std::byte& flags = mutable_[LeafLayout::flags_offset(capacity_) + slot];
  flags = on ? flags | std::byte{kRowTombstone} : flags & ~std::byte{kRowTombstone};
}

void LeafPage::remove(std::uint32_t slot) {
  RUSTBD_ASSERT(slot < rows_);
  for (std::uint32_t c = 0; c < layout_->column_count(); ++c) {
    const LeafLayout::Place& place = layout_->place(c);
    if (place.stored && place.variable) release_variable(slot, place);
  }
  close_row(slot);
  if (rows_ == 0) {
    heap_lo_ = kPageBytes;
    garbage_ = 0;
  }
  store_header();
}

void LeafPage::set_right_sibling(PageId page) {
  right_ = page;
  store_header();
}
void LeafPage::mark_dead() {
  RUSTBD_ASSERT(rows_ == 0);
  dead_ = true;
  store_header();
}
void LeafPage::set_fence(std::uint64_t high_fence, PageId right_sibling) {
  high_fence_ = high_fence;
  right_ = right_sibling;
  store_header();
}

RowId LeafPage::split_point(RowId rowid) const {
  if (rows_ == 0) return RowId{};
  const std::uint32_t place = lower_bound(rowid);
  const RowId first = this->rowid(0), last = this->rowid(rows_ - 1);
  if (place == rows_) {
    const bool appends = high_fence_ == kNoHighFence || rowid.raw() - first.raw() > kSpanMax || rows_ == 1;
    if (appends) return RowId{last.raw() + 1};
  } else if (place == 0 && (last.raw() - rowid.raw() > kSpanMax || rows_ == 1)) {
    return first;
  }
  return this->rowid(rows_ / 2);
}

// Rows in the newest version can be larger than they are here, and half of them need not fit in a page: such
// a half keeps this leaf's version, in which it does.
LeafPage::Half LeafPage::half(std::uint32_t first, std::uint32_t last) const {
  const Fit newest = live(*format_, format_->current(), first, last);
  if (first == last || fits(format_->current(), newest, 0))
    return {&format_->current(), format_->table().schema_version, newest};
  return {layout_, version_, live(*format_, *layout_, first, last)};
}

void LeafPage::split(RowId at, RowId inserting, std::span<std::byte> right, PageId right_id) {
  const std::uint32_t cut = lower_bound(at);
  const Half right_half = half(cut, rows_);
  constexpr std::uint64_t kFarAway = 60000;  // the first row of an empty leaf: leave it room for further ones
  const bool far = cut == rows_ && inserting > at && inserting.raw() - at.raw() > kFarAway;
  init(right, *right_half.layout, right_half.version, far ? inserting.raw() : at.raw(), high_fence_, right_,
       cut < rows_  ? mean_heap(right_half.fit)
       : rows_ != 0 ? mean_heap(live(*format_, format_->current(), 0, rows_))
                    : expected_heap_bytes(*format_));
  if (cut < rows_) {
    LeafPage target(right, *format_);
    target.capacity_ = capacity_of(*target.layout_, right_half.fit);
    LeafWriter::lay_out(*this, cut, rows_, target);
    const Half left_half = half(0, cut);
    rows_ = cut;  // rows behind it are left out of what follows
    rebuild(*format_, *left_half.layout, left_half.version, base_, left_half.fit);
  }
  set_fence(at.raw(), right_id);
}

bool LeafPage::convert(const RowFormat& other) {
  const Fit fit = live(other, other.current(), 0, rows_);
  if (!fits(other.current(), fit, 0)) return false;
  rebuild(other, other.current(), other.table().schema_version, base_, fit);
  return true;
}

}  // namespace rustbd::storage
