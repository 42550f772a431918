#include "rustbd/storage/rows/table_pages.h"

namespace rustbd::storage {

namespace {
PageHeader& header_of(std::span<std::byte> page) { return *reinterpret_cast<PageHeader*>(page.data()); }
std::byte* key_at(std::span<std::byte> page, std::uint32_t i) {
  return page.data() + TableInner::kKeys + std::size_t{8} * i;
}
std::byte* child_at(std::span<std::byte> page, std::uint32_t i) {
  return page.data() + TableInner::kChildren + std::size_t{8} * i;
}
}  // namespace

/// Of an inner page: its count.
std::uint64_t TableOps::shape_of(const std::byte* page) {
  if (read_once<std::uint16_t>(page + offsetof(PageHeader, level)) > 0)
    return read_once<std::uint32_t>(page + offsetof(PageHeader, count));
  const std::uint64_t capacity = read_once<std::uint16_t>(page + leaf_field::kCapacity);
  const std::uint32_t rows = read_once<std::uint16_t>(page + leaf_field::kRows);
  const std::uint32_t heap = kPageBytes - read_once<std::uint16_t>(page + leaf_field::kHeapLow);
  const std::uint64_t version = read_once<std::uint32_t>(page + offsetof(PageHeader, schema_version));
  return rows == 0 ? 0 : capacity | std::uint64_t{heap / rows & 0xFFFF} << 16 | version << 32;
}

void TableOps::prefetch(const std::byte* page, std::uint32_t level, Aim aim, std::uint64_t shape,
                        const Wish* wish) {
  if (level > 0) {
    if (aim.offset >= aim.range || shape > TableInner::kCapacity) return;
    const double part = static_cast<double>(aim.offset) / static_cast<double>(aim.range);
    const std::byte* key =
        page + TableInner::kKeys + std::size_t{8} * static_cast<std::uint32_t>(part * shape);
    __builtin_prefetch(key);
    __builtin_prefetch(key + 8 * kGuessStep);
    __builtin_prefetch(key + (TableInner::kChildren - TableInner::kKeys));
    return;
  }
  const auto capacity = static_cast<std::uint16_t>(shape);
  if (wish == nullptr || aim.offset >= capacity) return;
  const LeafLayout* layout = wish->format->find(static_cast<std::uint32_t>(shape >> 32));
  if (layout == nullptr) return;
  LeafView::prefetch(page, *layout, capacity, static_cast<std::uint16_t>(shape >> 16),
                     static_cast<std::uint32_t>(aim.offset), wish->columns);
}

void TableOps::inner_insert(std::span<std::byte> page, Key key, PageId child) {
  PageHeader& header = header_of(page);
  const std::uint32_t at = child_place(page.data(), key) + 1;
  const std::size_t tail = std::size_t{8} * (header.count - at);
  std::memmove(key_at(page, at + 1), key_at(page, at), tail);
  std::memmove(child_at(page, at + 1), child_at(page, at), tail);
  store(key_at(page, at), key);
  store(child_at(page, at), child.raw());
  ++header.count;
}

void TableOps::remove_child(std::span<std::byte> page, std::uint32_t place) {
  PageHeader& header = header_of(page);
  const std::size_t tail = std::size_t{8} * (header.count - place - 1);
  std::memmove(key_at(page, place), key_at(page, place + 1), tail);
  std::memmove(child_at(page, place), child_at(page, place + 1), tail);
  --header.count;
  store(key_at(page, header.count), std::uint64_t{0});
  store(child_at(page, header.count), std::uint64_t{0});
}

TableOps::OwnedKey TableOps::inner_split_key(const std::byte* page) {
  const std::uint32_t count = child_count(page);
  return TableInner::key(page, TableInner::upper(page) == kNoHighFence ? count - 1 : count / 2);
}

void TableOps::inner_cut(std::span<std::byte> left, Key at, std::span<std::byte> right, PageId right_id) {
  PageHeader& from = header_of(left);
  PageHeader& to = header_of(right);
  const std::uint32_t cut = child_place(left.data(), at);
  const std::uint32_t moved = from.count - cut;
  RUSTBD_ASSERT(cut > 0 && TableInner::key(left.data(), cut) == at,
                "an inner page is cut at one of its keys");
  to.level = from.level;
  to.right_sibling = from.right_sibling;
  to.count = moved;
  store(right.data() + TableInner::kUpper, TableInner::upper(left.data()));
  std::memcpy(key_at(right, 0), key_at(left, cut), std::size_t{8} * moved);
  std::memcpy(child_at(right, 0), child_at(left, cut), std::size_t{8} * moved);
  std::memset(key_at(left, cut), 0, std::size_t{8} * moved);
  std::memset(child_at(left, cut), 0, std::size_t{8} * moved);
  from.count = cut;
  from.right_sibling = right_id.raw();
  store(left.data() + TableInner::kUpper, at);
}

void TableOps::make_root(std::span<std::byte> page, std::uint16_t level, PageId left, Key at, PageId right) {
  PageHeader& header = header_of(page);
  std::memset(page.data() + kPageHeaderBytes, 0, kPageBytes - kPageHeaderBytes);
  header.kind = PageKind::kTableInner;
  header.flags = 0;
  header.level = level;
  header.right_sibling = 0;
  header.count = 2;
  header.schema_version = 0;
  store(page.data() + TableInner::kUpper, kNoHighFence);
  store(key_at(page, 0), std::uint64_t{0});
  store(key_at(page, 1), at);
  store(child_at(page, 0), left.raw());
  store(child_at(page, 1), right.raw());
}

}  // namespace rustbd::storage
