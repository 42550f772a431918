// Index pages (kinds 3 and 4; storage.md §1.5): sorted slots over a heap, keys cut by the common prefix of
// the fences.
//
//   32 u16 prefix_len  34 u16 heap_lo  36 u16 garbage  38 u16 lower_fence_off  40 u16 upper_fence_off  42 u16
//    fl_len
//   44 u16 fu_len  46..63 0   64 slot[count]: {u16 off; u16 len; u32 head}   heap: suffix [inner: u64 child]
// Keys are physical keys (normalised key ‖ rowid big-endian) or, as separators and fences, the shortest byte
// strings that divide them. An empty lower fence is below all keys; an empty upper fence means no limit.
// Entry 0 of an inner page has an empty suffix and counts as the lower fence.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <span>

#include "rustbd/base/assert.h"
#include "rustbd/base/bytes.h"
#include "rustbd/storage/btree/blink.h"

namespace rustbd::storage {

namespace index_field {
inline constexpr std::size_t kPrefix = 32, kHeapLow = 34, kGarbage = 36, kLowerOff = 38, kUpperOff = 40,
                             kLowerLen = 42, kUpperLen = 44, kSlots = 64;
}

/// Byte order of keys: memcmp, the shorter one first.
int compare_keys(ByteSpan a, ByteSpan b);
/// The shortest s with a < s <= b; a < b.
ByteSpan shortest_separator(ByteSpan a, ByteSpan b);
std::uint32_t common_prefix(ByteSpan a, ByteSpan b);

/// Reads an index page under any guard. open() takes the header once and checks it; every access stays inside
/// the page.
class IndexView {
 public:
  struct Slot {
    std::uint16_t off, len;
    std::uint32_t head;
  };
  /// False: not an index page, or torn.
  static bool open(const std::byte* page, IndexView* view);

  [[nodiscard]] bool inner() const { return inner_; }
  [[nodiscard]] bool dead() const { return dead_; }
  [[nodiscard]] std::uint32_t count() const { return count_; }
  [[nodiscard]] PageId right_sibling() const { return right_; }
  [[nodiscard]] ByteSpan lower() const { return lower_; }  // of the page's bytes, as all spans
  [[nodiscard]] ByteSpan upper() const { return upper_; }
  [[nodiscard]] bool no_upper() const { return upper_.empty(); }
  [[nodiscard]] ByteSpan prefix() const { return lower_.first(prefix_); }
  /// False: outside the page.
  [[nodiscard]] bool suffix(std::uint32_t i, ByteSpan* out) const;
  [[nodiscard]] bool child(std::uint32_t i, PageId* out) const;
  /// Whole key of entry i.
  [[nodiscard]] bool key(std::uint32_t i, Bytes* out) const;
  /// First entry that is not below the key, which lies within the fences (else: by its bytes after the prefix
  /// length).
  [[nodiscard]] bool lower_bound(ByteSpan key, std::uint32_t* place) const;
  /// The same of a key whose place is not before `from`, and near it: it looks at 1, 2, 4 ... entries further
  /// on (Bentley and Yao, 1976).
  [[nodiscard]] bool lower_bound_near(std::uint32_t from, ByteSpan key, std::uint32_t* place) const;
  /// Last entry of an inner page that is not above (kAt) or is below (kBefore) the key.
  [[nodiscard]] bool child_place(ByteSpan key, Side side, std::uint32_t* place) const;
  /// Where in that child the key may stand: 0 at its begin, 1 at its end.
  [[nodiscard]] float aim(std::uint32_t place, ByteSpan key) const;
  [[nodiscard]] std::uint32_t gap() const {
    return heap_lo_ - static_cast<std::uint32_t>(index_field::kSlots) - 8 * count_;
  }
  [[nodiscard]] std::uint32_t garbage() const { return garbage_; }
  [[nodiscard]] std::uint32_t heap_low() const { return heap_lo_; }
  /// nullptr if sound, else what is wrong.
  [[nodiscard]] const char* verify() const;

 protected:
  [[nodiscard]] Slot slot(std::uint32_t i) const {
    const auto raw = read_once<std::uint64_t>(page_ + index_field::kSlots + std::size_t{8} * i);
    return {static_cast<std::uint16_t>(raw), static_cast<std::uint16_t>(raw >> 16),
            static_cast<std::uint32_t>(raw >> 32)};
  }
  /// Where to begin the search for a head among entries [low, high), by the fences. Asks for the memory that
  /// the search will read there, all of it at once.
  [[nodiscard]] std::uint32_t guess_entry(std::uint32_t head, std::uint32_t low, std::uint32_t high) const;
  /// Whether entry i is below the key, whose bytes after the prefix are `wanted` and begin with `head`.
  /// False: outside the page. search(): the first of [low, high) that is not.
  [[nodiscard]] bool is_below(std::uint32_t i, std::uint32_t head, ByteSpan wanted, bool* below) const;
  [[nodiscard]] bool search(ByteSpan wanted, std::uint32_t low, std::uint32_t high,
                            std::uint32_t* place) const;
  [[nodiscard]] bool entry_bytes(const Slot& s) const {
    return s.off >= index_field::kSlots && s.off + s.len + (inner_ ? 8u : 0u) <= kPageBytes;
  }

  const std::byte* page_ = nullptr;
  ByteSpan lower_, upper_;
  PageId right_;
  std::uint32_t count_ = 0, prefix_ = 0, heap_lo_ = 0, garbage_ = 0;
  bool inner_ = false, dead_ = false;
};

/// Changes an index page under its exclusive latch, after mark_dirty().
class IndexPage : public IndexView {
 public:
  explicit IndexPage(std::span<std::byte> page);
  /// Empties the page (id, kind and owner stay) and sets its fences.
  static void init(std::span<std::byte> page, std::uint16_t level, ByteSpan lower, ByteSpan upper,
                   PageId right);

  /// Room for an entry with this key, after compaction if need be.
  [[nodiscard]] bool room(ByteSpan key) const;
  /// Room was checked; the key lies within the fences and, but for entry 0 of an inner page, above the
  /// prefix.
  void insert(std::uint32_t place, ByteSpan key, PageId child = {});
  void remove(std::uint32_t place);
  void set_child(std::uint32_t place, PageId child);
  /// Where a split divides, for the sake of the key: in the middle; at the end for appends to the last page.
  /// The halves take their entries and the new fence. False: fewer than two entries.
  [[nodiscard]] bool split_key(ByteSpan inserting, Bytes* at) const;
  /// Cuts at a separator: entries not below it go to `right` (header set), which becomes the right sibling.
  void cut(ByteSpan at, std::span<std::byte> right, PageId right_id);
  /// Whether the page could take `lower` as its lower fence; does it.
  [[nodiscard]] bool lower_fits(ByteSpan lower) const;
  void set_lower(ByteSpan lower);

 private:
  friend struct IndexOps;
  [[nodiscard]] std::uint32_t middle_place() const;
  [[nodiscard]] Bytes separator_before(std::uint32_t place, ByteSpan inserting) const;
  void put(std::uint32_t place, ByteSpan head_part, ByteSpan rest, PageId child);
  void fill(const IndexView& from, std::uint32_t first, std::uint32_t last);
  void rebuild(ByteSpan lower, ByteSpan upper, std::uint32_t first, std::uint32_t last, PageId right);
  void reload();
  std::byte* mutable_;
};

struct IndexOps {
  using Key = ByteSpan;
  using OwnedKey = Bytes;
  static constexpr PageKind kInnerKind = PageKind::kIndexInner;
  static constexpr PageKind kLeafKind = PageKind::kIndexLeaf;
  static constexpr std::array<std::size_t, 1> kRouteReads = {kPageBytes - 64};  // fences

  static Key view(const OwnedKey& key) { return key; }
  static bool is_lowest(Key key) { return key.empty(); }
  /// Where in the child the key may stand, by the keys beside it in the parent: 0 at its begin, 1 at its end.
  struct Aim {
    float part = 0;
  };
  struct Wish {};
  static Route route(const std::byte* page, Key key, Side side, PageId* next, Aim* aim = nullptr);
  static std::uint64_t shape_of(const std::byte* page);
  static void prefetch(const std::byte* page, std::uint32_t level, Aim aim, std::uint64_t shape, const Wish*);
  static bool begins_at_or_below(const std::byte*, Key) {
    return true;
  }  // route() has compared the lower fence

  static std::uint32_t child_count(const std::byte* page) { return load<PageHeader>(page).count; }
  static PageId child(const std::byte* page, std::uint32_t place);
  static OwnedKey separator(const std::byte* page, std::uint32_t place);
  static std::uint32_t child_place(const std::byte* page, Key key);
  static bool is_separator(const std::byte* page, std::uint32_t place, Key key);
  static OwnedKey upper_key(const std::byte* page);
  static bool inner_room(const std::byte* page, Key key);
  static void inner_insert(std::span<std::byte> page, Key key, PageId child);
  static void set_child(std::span<std::byte> page, std::uint32_t place, PageId child);
  static void remove_child(std::span<std::byte> page, std::uint32_t place);
  static OwnedKey inner_split_key(const std::byte* page);
  static void inner_cut(std::span<std::byte> left, Key at, std::span<std::byte> right, PageId right_id);
  static void make_root(std::span<std::byte> page, std::uint16_t level, PageId left, Key at, PageId right);
  static bool leaf_empty(const std::byte* page) { return load<PageHeader>(page).count == 0; }
  static bool absorb_fits(const std::byte* dead, const std::byte* right);
  static void absorb(std::span<std::byte> dead, std::span<std::byte> right);
};

}  // namespace rustbd::storage
