// Inner pages of a table tree (kind 1; storage.md §1.5) and the page operations that Blink wants.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <span>

#include "rustbd/base/assert.h"
#include "rustbd/storage/btree/blink.h"
#include "rustbd/storage/btree/interpolation.h"
#include "rustbd/storage/rows/leaf_page.h"

namespace rustbd::storage {

/// header, u64 upper_fence, u64 key[1017], u64 child[1017]. key[i] is the lowest rowid of child i; key[0] is
/// the page's lower fence; count (header) is the number of children.
struct TableInner {
  static constexpr std::uint32_t kCapacity = 1017;
  static constexpr std::size_t kUpper = 32, kKeys = 40, kChildren = kKeys + 8 * kCapacity;
  static_assert(kChildren + 8 * kCapacity == kPageBytes);

  static std::uint64_t upper(const std::byte* page) { return read_once<std::uint64_t>(page + kUpper); }
  static std::uint64_t key(const std::byte* page, std::uint32_t i) {
    return read_once<std::uint64_t>(page + kKeys + std::size_t{8} * i);
  }
  static PageId child(const std::byte* page, std::uint32_t i) {
    return PageId{read_once<std::uint64_t>(page + kChildren + std::size_t{8} * i)};
  }
  /// Position of the last key that is not above; `count` > 0. ~0: all are above.
  static std::uint32_t place(const std::byte* page, std::uint32_t count, std::uint64_t key_wanted) {
    std::uint32_t low = 0, high = count;  // first key above
    if (count >= kNarrowMin) {
      const std::uint64_t limit = upper(page), last = limit != kNoHighFence ? limit : key(page, count - 1);
      const std::uint32_t guess = guess_place(key_wanted, key(page, 0), last, low, high);
      __builtin_prefetch(page + kChildren + std::size_t{8} * guess);
      narrow(
          key_wanted, guess, [page](std::uint32_t i) { return key(page, i); }, &low, &high);
    }
    while (low < high) {
      const std::uint32_t middle = (low + high) / 2;
      if (key(page, middle) <= key_wanted) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }
};

struct TableOps {
  using Key = std::uint64_t;
  using OwnedKey = std::uint64_t;
  static constexpr PageKind kInnerKind = PageKind::kTableInner;
  static constexpr PageKind kLeafKind = PageKind::kTableLeaf;
  static constexpr std::array<std::size_t, 0> kRouteReads = {};

  static Key view(OwnedKey key) { return key; }
  static bool is_lowest(Key key) { return key == 0; }

  /// Where in the child the row may stand: so many rowids after the lowest of so many.
  struct Aim {
    std::uint64_t offset = 0, range = 0;
  };
  struct Wish {
    const RowFormat* format;
    std::span<const ColumnNumber> columns;
  };
  static std::uint64_t shape_of(const std::byte* page);
  static void prefetch(const std::byte* page, std::uint32_t level, Aim aim, std::uint64_t shape,
                       const Wish* wish);

  static Route route(const std::byte* page, Key key, Side side, PageId* next, Aim* aim = nullptr) {
    const Key target = side == Side::kAt ? key : key - 1;
    const auto kind = static_cast<PageKind>(read_once<std::uint8_t>(page + offsetof(PageHeader, kind)));
    *next = PageId{read_once<std::uint64_t>(page + offsetof(PageHeader, right_sibling))};
    if (kind == PageKind::kTableLeaf) {
      const auto flags = read_once<std::uint8_t>(page + offsetof(PageHeader, flags));
      if ((flags & kPageDead) != 0) return Route::kRight;
      return target >= read_once<std::uint64_t>(page + leaf_field::kHighFence) ? Route::kRight : Route::kHere;
    }
    if (kind != PageKind::kTableInner) return Route::kBad;
    if (target >= TableInner::upper(page)) return Route::kRight;
    const auto count = read_once<std::uint32_t>(page + offsetof(PageHeader, count));
    if (count == 0 || count > TableInner::kCapacity) return Route::kBad;
    const std::uint32_t place = TableInner::place(page, count, target);
    if (place == ~0u) return Route::kLeft;
    *next = TableInner::child(page, place);
    if (aim != nullptr) {
      const Key low = TableInner::key(page, place);
      const Key high = place + 1 < count ? TableInner::key(page, place + 1) : TableInner::upper(page);
      *aim = {target - low, high - low};
    }
    return Route::kChild;
  }
  /// A leaf's hint is good when it begins at or below the key; its lower fence is not stored, its base is
  /// above that.
  static bool begins_at_or_below(const std::byte* page, Key key) {
    return read_once<std::uint64_t>(page + leaf_field::kBase) <= key;
  }

  static std::uint32_t child_count(const std::byte* page) { return load<PageHeader>(page).count; }
  static PageId child(const std::byte* page, std::uint32_t place) { return TableInner::child(page, place); }
  static OwnedKey separator(const std::byte* page, std::uint32_t place) {
    return TableInner::key(page, place);
  }
  static std::uint32_t child_place(const std::byte* page, Key key) {
    const std::uint32_t place = TableInner::place(page, child_count(page), key);
    RUSTBD_ASSERT(place != ~0u, "the page covers the key");
    return place;
  }
  static bool is_separator(const std::byte* page, std::uint32_t place, Key key) {
    return TableInner::key(page, place) == key;
  }
  static OwnedKey upper_key(const std::byte* page) {
    return load<PageHeader>(page).level == 0 ? load<std::uint64_t>(page + leaf_field::kHighFence)
                                             : TableInner::upper(page);
  }

  static bool inner_room(const std::byte* page, Key) { return child_count(page) < TableInner::kCapacity; }
  static void inner_insert(std::span<std::byte> page, Key key, PageId child);
  static void set_child(std::span<std::byte> page, std::uint32_t place, PageId child) {
    store(page.data() + TableInner::kChildren + std::size_t{8} * place, child.raw());
  }
  static void remove_child(std::span<std::byte> page, std::uint32_t place);
  /// In the middle; at the end for the last page of its level, which grows by appends.
  static OwnedKey inner_split_key(const std::byte* page);
  static void inner_cut(std::span<std::byte> left, Key at, std::span<std::byte> right, PageId right_id);
  static void make_root(std::span<std::byte> page, std::uint16_t level, PageId left, Key at, PageId right);

  static bool leaf_empty(const std::byte* page) { return load<std::uint16_t>(page + leaf_field::kRows) == 0; }
  static bool absorb_fits(const std::byte*, const std::byte*) {
    return true;
  }  // the lower fence is not stored
  static void absorb(std::span<std::byte>, std::span<std::byte>) {}
};

}  // namespace rustbd::storage
