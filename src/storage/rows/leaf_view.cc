// Reading table leaves: any bytes are safe, nothing outside the page is touched.
#include <algorithm>
#include <cstring>

#include "rustbd/storage/btree/raw_page.h"
#include "rustbd/storage/rows/leaf_fields.h"
#include "rustbd/storage/rows/leaf_page.h"
#include "rustbd/types/compare.h"

namespace rustbd::storage {

using types::Phys;
using types::Str;

bool LeafView::open(const std::byte* page, const RowFormat& format, LeafView* view) {
  LeafView v;
  v.page_ = page;
  v.format_ = &format;
  if (read_once<std::uint8_t>(page + offsetof(PageHeader, kind)) !=
      static_cast<std::uint8_t>(PageKind::kTableLeaf))
    return false;
  v.dead_ = (read_once<std::uint8_t>(page + offsetof(PageHeader, flags)) & kLeafDead) != 0;
  v.right_ = PageId{read_once<std::uint64_t>(page + offsetof(PageHeader, right_sibling))};
  v.version_ = read_once<std::uint32_t>(page + offsetof(PageHeader, schema_version));
  v.base_ = read_once<std::uint64_t>(page + leaf_field::kBase);
  v.capacity_ = read_once<std::uint16_t>(page + leaf_field::kCapacity);
  v.rows_ = read_once<std::uint16_t>(page + leaf_field::kRows);
  v.heap_lo_ = read_once<std::uint16_t>(page + leaf_field::kHeapLow);
  v.garbage_ = read_once<std::uint16_t>(page + leaf_field::kGarbage);
  v.high_fence_ = read_once<std::uint64_t>(page + leaf_field::kHighFence);
  v.layout_ = format.find(v.version_);
  if (v.layout_ == nullptr || v.capacity_ == 0 || v.rows_ > v.capacity_ || v.heap_lo_ > kPageBytes)
    return false;
  if (v.capacity_ > v.layout_->capacity_max() || v.layout_->arrays_end(v.capacity_) > v.heap_lo_)
    return false;
  *view = v;
  return true;
}

std::uint32_t LeafView::delta(std::uint32_t slot) const {
  return read_once<std::uint16_t>(page_ + LeafLayout::delta_offset() + 2 * slot);
}

void LeafView::prefetch(RowId rowid, std::span<const ColumnNumber> columns) const {
  const std::uint64_t slot = rowid.raw() - base_;
  if (rowid.raw() < base_ || slot >= rows_) return;
  prefetch(page_, *layout_, capacity_, 0, static_cast<std::uint32_t>(slot), columns);
}

void LeafView::prefetch(const std::byte* page, const LeafLayout& layout, std::uint32_t capacity,
                        std::uint32_t heap_per_row, std::uint32_t slot,
                        std::span<const ColumnNumber> columns) {
  __builtin_prefetch(page + LeafLayout::delta_offset() + 2 * slot);
  __builtin_prefetch(page + LeafLayout::flags_offset(capacity) + slot);
  bool heap = false;
  for (const ColumnNumber column : columns) {
    const LeafLayout::Place& place = layout.place(column);
    if (!place.stored) continue;
    heap |= place.variable;
    __builtin_prefetch(page + layout.array_offset(capacity, place) + std::uint64_t{place.width} * slot);
    if (place.bitmap >= 0) {
      __builtin_prefetch(page + layout.bitmap_offset(capacity, static_cast<std::uint32_t>(place.bitmap)) +
                         slot / 8);
    }
  }
  if (!heap || heap_per_row == 0) return;
  // The heap grows downwards: in a leaf that was filled in order the rows' values stand in it in order.
  const std::uint32_t end = kPageBytes - heap_per_row * slot;
  for (std::uint32_t back = 0; back < std::min<std::uint32_t>(heap_per_row + 64, 4 * 64); back += 64)
    __builtin_prefetch(page + end - std::min(back, heap_per_row));
}

std::uint32_t LeafView::find(RowId rowid) const {
  const std::uint64_t wanted = rowid.raw() - base_;
  if (rowid.raw() < base_ || wanted > 0xFFFF) return kNoSlot;
  if (wanted < rows_ && delta(static_cast<std::uint32_t>(wanted)) == wanted) {
    return static_cast<std::uint32_t>(wanted);  // dense
  }
  const std::uint32_t slot = lower_bound(rowid);
  return slot < rows_ && delta(slot) == wanted ? slot : kNoSlot;
}

std::uint32_t LeafView::lower_bound(RowId rowid) const {
  if (rowid.raw() <= base_) return 0;
  const std::uint64_t wanted = rowid.raw() - base_;
  if (wanted > 0xFFFF) return rows_;
  std::uint32_t low = 0;
  // Deltas ascend strictly, so slot i holds at least i.
  std::uint32_t high = std::min<std::uint32_t>(rows_, static_cast<std::uint32_t>(wanted) + 1);
  while (low < high) {
    const std::uint32_t middle = (low + high) / 2;
    if (delta(middle) < wanted) low = middle + 1;
    else high = middle;
  }
  return low;
}

bool LeafView::is_null(std::uint32_t slot, const LeafLayout::Place& place) const {
  if (place.bitmap < 0) return false;
  const std::uint32_t at =
      layout_->bitmap_offset(capacity_, static_cast<std::uint32_t>(place.bitmap)) + slot / 8;
  return (static_cast<std::uint8_t>(page_[at]) >> (slot % 8)) & 1;
}

bool LeafView::variable_cell(std::uint32_t slot, const LeafLayout::Place& place, Cell* out) const {
  const Descriptor d = Descriptor::of(
      read_once<std::uint64_t>(page_ + layout_->array_offset(capacity_, place) + std::size_t{8} * slot));
  if (d.len <= 4) {
    *out = Cell::stored({d.prefix, d.len});
    return true;
  }
  const std::uint32_t bytes = d.heap_bytes();
  if (d.off < kLeafHeaderBytes || d.off + bytes > kPageBytes) return false;
  if (d.len == kOverflowLength) {
    *out =
        Cell::overflow({PageId{load<std::uint64_t>(page_ + d.off)}, load<std::uint64_t>(page_ + d.off + 8)});
  } else {
    *out = Cell::stored({reinterpret_cast<const char*>(page_ + d.off), bytes});
  }
  return true;
}

bool LeafView::cell(std::uint32_t slot, std::uint32_t column, Cell* out) const {
  const LeafLayout::Place& place = layout_->place(column);
  if (!place.stored) {
    *out = format_->missing(column);
    return true;
  }
  if (is_null(slot, place)) {
    *out = Cell::null();
    return true;
  }
  if (place.variable) return variable_cell(slot, place, out);
  const std::byte* at = page_ + layout_->array_offset(capacity_, place) + std::size_t{place.width} * slot;
  *out = Cell::fixed(types::load_datum(at, place.width));
  return true;
}

bool LeafView::row(std::uint32_t slot, std::span<Cell> out) const {
  for (std::uint32_t c = 0; c < out.size(); ++c)
    if (!cell(slot, c, &out[c])) return false;
  return true;
}

LeafView::Read LeafView::value(std::uint32_t slot, std::uint32_t column, Arena& arena, types::Datum* out,
                               bool* is_null, OverflowRef* overflow) const {
  Cell c;
  if (!cell(slot, column, &c)) return Read::kDamaged;
  *is_null = c.is_null();
  if (c.is_null()) return Read::kOk;
  if (c.kind == CellKind::kOverflow) {
    *overflow = c.overflow_ref();
    return Read::kOverflow;
  }
  const Phys phys = format_->phys(column);
  if (phys == Phys::kNumeric && !sound_numeric(c.value.str.view())) return Read::kDamaged;
  *out = load_cell(copy_cell(c, phys, arena), phys, arena);
  return Read::kOk;
}

void LeafView::copy_rowids(std::uint32_t first, std::uint32_t last, std::uint64_t* out) const {
  for (std::uint32_t slot = first; slot < last; ++slot) *out++ = base_ + delta(slot);
}

bool LeafView::any_tombstone(std::uint32_t first, std::uint32_t last) const {
  const std::byte* flags = page_ + LeafLayout::flags_offset(capacity_);
  std::uint8_t any = 0;
  for (std::uint32_t slot = first; slot < last; ++slot) any |= static_cast<std::uint8_t>(flags[slot]);
  return (any & kRowTombstone) != 0;
}

bool LeafView::copy_columns(std::uint32_t first, std::uint32_t last, std::span<const ColumnNumber> columns,
                            types::ChunkBuffer& out, std::uint32_t at_row,
                            std::vector<OverflowValue>* overflow) const {
  RUSTBD_DEBUG_ASSERT(first <= last && last <= rows_ && at_row + (last - first) <= types::kVectorSize);
  for (std::uint32_t i = 0; i < columns.size(); ++i) {
    const LeafLayout::Place& place = layout_->place(columns[i]);
    if (!place.stored) {
      const Cell& missing = format_->missing(columns[i]);
      types::Datum value{};
      if (!missing.is_null()) value = load_cell(missing, place.phys, out.arena());
      for (std::uint32_t row = at_row; row < at_row + (last - first); ++row)
        out.put(i, row, value, missing.is_null());
      continue;
    }
    if (place.variable) {
      if (!copy_variable(first, last, place, out, i, at_row, overflow)) return false;
    } else {
      const std::byte* from =
          page_ + layout_->array_offset(capacity_, place) + std::size_t{place.width} * first;
      std::memcpy(out.chunk()[i].values<char>() + std::size_t{place.width} * at_row, from,
                  std::size_t{place.width} * (last - first));
    }
    if (place.bitmap < 0) continue;
    const std::byte* bitmap =
        page_ + layout_->bitmap_offset(capacity_, static_cast<std::uint32_t>(place.bitmap));
    for_each_set_bit(bitmap, first, last,
                     [&](std::uint32_t slot) { out.set_null(i, at_row + (slot - first)); });
  }
  return true;
}

bool LeafView::copy_variable(std::uint32_t first, std::uint32_t last, const LeafLayout::Place& place,
                             types::ChunkBuffer& out, std::uint32_t chunk_column, std::uint32_t at_row,
                             std::vector<OverflowValue>* overflow) const {
  const std::byte* descriptors = page_ + layout_->array_offset(capacity_, place);
  const bool numeric = place.phys == Phys::kNumeric;
  types::Vector& vector = out.chunk()[chunk_column];
  for (std::uint32_t slot = first; slot < last; ++slot) {
    const std::uint32_t row = at_row + (slot - first);
    const Descriptor d = Descriptor::of(read_once<std::uint64_t>(descriptors + std::size_t{8} * slot));
    if (d.len > 4 && (d.off < kLeafHeaderBytes || d.off + d.heap_bytes() > kPageBytes)) return false;
    if (d.len == kOverflowLength) {
      const std::byte* at = page_ + d.off;
      overflow->push_back(
          {chunk_column, row, {PageId{load<std::uint64_t>(at)}, load<std::uint64_t>(at + 8)}});
      if (numeric) vector.values<types::Numeric>()[row] = {};
      else vector.values<Str>()[row] = Str{};
      continue;
    }
    const std::string_view bytes =
        d.len <= 4 ? std::string_view{d.prefix, d.len}
                   : std::string_view{reinterpret_cast<const char*>(page_ + d.off), d.len};
    if (!numeric) {
      vector.values<Str>()[row] = Str::copy(bytes, out.arena());
    } else if (bytes.empty()) {  // null
      vector.values<types::Numeric>()[row] = {};
    } else {
      const std::string_view copy =
          out.arena().copy(bytes);  // checked after the copy: the page may change meanwhile
      if (!sound_numeric(copy)) return false;
      vector.values<types::Numeric>()[row] =
          types::load_stored(as_bytes(copy), Phys::kNumeric, out.arena()).numeric;
    }
  }
  return true;
}

const char* LeafView::verify() const {
  if (dead_ && rows_ != 0) return "a dead leaf has rows";
  if (load<std::uint32_t>(page_ + offsetof(PageHeader, count)) != rows_)
    return "count differs from the row count";
  std::uint32_t heap = 0;
  for (std::uint32_t slot = 0; slot < rows_; ++slot) {
    if (slot > 0 && delta(slot) <= delta(slot - 1)) return "rowids do not ascend";
    if (rowid(slot).raw() >= high_fence_ || rowid(slot).is_none()) return "a rowid is outside the fences";
    for (std::uint32_t c = 0; c < layout_->column_count(); ++c) {
      const LeafLayout::Place& place = layout_->place(c);
      if (!place.stored || !place.variable) continue;
      Cell value;
      if (!variable_cell(slot, place, &value)) return "a value is outside the page";
      const Descriptor d = Descriptor::of(
          load<std::uint64_t>(page_ + layout_->array_offset(capacity_, place) + std::size_t{8} * slot));
      if (d.heap_bytes() != 0 && d.off < heap_lo_) return "a value is outside the heap";
      if (is_null(slot, place) && d.len != 0) return "a null has a value";
      heap += d.heap_bytes();
    }
  }
  if (heap + garbage_ != kPageBytes - heap_lo_) return "heap bytes do not add up";
  return nullptr;
}

}  // namespace rustbd::storage
