#include "rustbd/storage/btree/index_page.h"

#include <algorithm>
#include <cstring>

#include "rustbd/storage/btree/interpolation.h"

namespace rustbd::storage {

namespace {

constexpr std::uint32_t kSlots = index_field::kSlots;
constexpr std::uint32_t kRoom = kPageBytes - kSlots;  // for slots, entries and fences
constexpr std::uint32_t kFenceBytesMax = 4008;        // a key and its rowid

PageHeader& header_of(std::byte* page) { return *reinterpret_cast<PageHeader*>(page); }

/// First four bytes, big-endian, zeros behind.
std::uint32_t head_of(ByteSpan suffix) {
  std::uint32_t raw = 0;
  if (!suffix.empty()) std::memcpy(&raw, suffix.data(), std::min<std::size_t>(4, suffix.size()));
  return __builtin_bswap32(raw);
}

}  // namespace

int compare_keys(ByteSpan a, ByteSpan b) {
  const std::size_t n = std::min(a.size(), b.size());
  if (n != 0)
    if (const int c = std::memcmp(a.data(), b.data(), n); c != 0) return c;
  return a.size() < b.size() ? -1 : a.size() > b.size() ? 1 : 0;
}

std::uint32_t common_prefix(ByteSpan a, ByteSpan b) {
  const auto [at, other] = std::mismatch(a.begin(), a.end(), b.begin(), b.end());
  return static_cast<std::uint32_t>(at - a.begin());
}

ByteSpan shortest_separator(ByteSpan a, ByteSpan b) {
  const std::uint32_t same = common_prefix(a, b);
  RUSTBD_ASSERT(same < b.size(), "the keys of a page ascend");
  return b.first(same + 1);
}

bool IndexView::open(const std::byte* page, IndexView* view) {
  IndexView v;
  v.page_ = page;
  const auto kind = static_cast<PageKind>(read_once<std::uint8_t>(page + offsetof(PageHeader, kind)));
  if (kind != PageKind::kIndexInner && kind != PageKind::kIndexLeaf) return false;
  v.inner_ = kind == PageKind::kIndexInner;
  v.dead_ = (read_once<std::uint8_t>(page + offsetof(PageHeader, flags)) & kPageDead) != 0;
  v.right_ = PageId{read_once<std::uint64_t>(page + offsetof(PageHeader, right_sibling))};
  v.count_ = read_once<std::uint32_t>(page + offsetof(PageHeader, count));
  v.prefix_ = read_once<std::uint16_t>(page + index_field::kPrefix);
  v.heap_lo_ = read_once<std::uint16_t>(page + index_field::kHeapLow);
  v.garbage_ = read_once<std::uint16_t>(page + index_field::kGarbage);
  const std::uint32_t lower_off = read_once<std::uint16_t>(page + index_field::kLowerOff);
  const std::uint32_t upper_off = read_once<std::uint16_t>(page + index_field::kUpperOff);
  const std::uint32_t lower_len = read_once<std::uint16_t>(page + index_field::kLowerLen);
  const std::uint32_t upper_len = read_once<std::uint16_t>(page + index_field::kUpperLen);
  if (v.count_ > kRoom / 8 || v.heap_lo_ > kPageBytes || kSlots + 8 * v.count_ > v.heap_lo_) return false;
  if (lower_off + lower_len > kPageBytes || upper_off + upper_len > kPageBytes) return false;
  if (v.prefix_ > lower_len || v.prefix_ > upper_len) return false;
  v.lower_ = {page + lower_off, lower_len};
  v.upper_ = {page + upper_off, upper_len};
  *view = v;
  return true;
}

bool IndexView::suffix(std::uint32_t i, ByteSpan* out) const {
  const Slot s = slot(i);
  if (!entry_bytes(s)) return false;
  *out = {page_ + s.off, s.len};
  return true;
}

bool IndexView::child(std::uint32_t i, PageId* out) const {
  const Slot s = slot(i);
  if (!inner_ || !entry_bytes(s)) return false;
  *out = PageId{load<std::uint64_t>(page_ + s.off + s.len)};
  return true;
}

bool IndexView::key(std::uint32_t i, Bytes* out) const {
  ByteSpan rest;
  if (!suffix(i, &rest)) return false;
  if (inner_ && i == 0) {
    out->assign(lower_.begin(), lower_.end());
    return true;
  }
  out->assign(lower_.begin(), lower_.begin() + prefix_);
  out->insert(out->end(), rest.begin(), rest.end());
  return true;
}

/// Asks for the memory that a search for an entry near `guess` will read.
static void prefetch_entry(const std::byte* page, std::uint32_t guess, std::uint32_t count,
                           std::uint32_t heap_low, std::uint32_t heap_end) {
  const std::byte* slots = page + kSlots + std::size_t{8} * guess;
  for (const std::size_t away : {0u, 8 * kGuessStep}) {
    __builtin_prefetch(slots - away);
    __builtin_prefetch(slots + away);
  }
  // The heap grows downwards: in a page that was filled in order the entries stand in it in order.
  const std::uint32_t heap = heap_end - std::min(heap_low, heap_end);
  __builtin_prefetch(page + heap_end - heap * (guess + 1) / count);
}

std::uint32_t IndexView::guess_entry(std::uint32_t head, std::uint32_t low, std::uint32_t high) const {
  const std::uint32_t first = lower_.empty() ? slot(low).head : head_of(lower_.subspan(prefix_));
  const std::uint32_t last = upper_.empty() ? slot(high - 1).head : head_of(upper_.subspan(prefix_));
  const std::uint32_t guess = guess_place(head, first, last, low, high);
  prefetch_entry(page_, guess, count_, heap_lo_, static_cast<std::uint32_t>(upper_.data() - page_));
  return guess;
}

float IndexView::aim(std::uint32_t place, ByteSpan key) const {
  const std::uint32_t first = place > 0 ? slot(place).head : head_of(lower_.subspan(prefix_));
  const std::uint32_t last = place + 1 < count_ ? slot(place + 1).head : head_of(upper_.subspan(prefix_));
  const std::uint32_t head = head_of(key.subspan(std::min<std::size_t>(prefix_, key.size())));
  if (head <= first || last <= first) return 0;
  return std::min(1.0F, static_cast<float>(head - first) / static_cast<float>(last - first));
}

bool IndexView::search(ByteSpan wanted, std::uint32_t low, std::uint32_t high, std::uint32_t* place) const {
  const std::uint32_t head = head_of(wanted);
  while (low < high) {
    const std::uint32_t middle = (low + high) / 2;
    bool below = false;
    if (!is_below(middle, head, wanted, &below)) return false;
    if (below) low = middle + 1;
    else high = middle;
  }
  *place = low;
  return true;
}

bool IndexView::is_below(std::uint32_t i, std::uint32_t head, ByteSpan wanted, bool* below) const {
  const Slot s = slot(i);
  *below = s.head < head;
  if (s.head != head) return true;
  if (!entry_bytes(s)) return false;
  *below = compare_keys({page_ + s.off, s.len}, wanted) < 0;
  return true;
}

bool IndexView::lower_bound(ByteSpan key, std::uint32_t* place) const {
  const ByteSpan wanted = key.subspan(std::min<std::size_t>(prefix_, key.size()));
  std::uint32_t low = inner_ ? 1 : 0, high = std::max(count_, low);
  if (high >= low + kNarrowMin) {
    const std::uint32_t head = head_of(wanted);
    narrow(
        head, guess_entry(head, low, high), [this](std::uint32_t i) { return slot(i).head; }, &low, &high);
  }
  return search(wanted, low, high, place);
}

bool IndexView::lower_bound_near(std::uint32_t from, ByteSpan key, std::uint32_t* place) const {
  const ByteSpan wanted = key.subspan(std::min<std::size_t>(prefix_, key.size()));
  const std::uint32_t head = head_of(wanted);
  std::uint32_t low = from, high = from;
  for (std::uint32_t step = 1; high < count_; step *= 2) {
    bool below = false;
    if (!is_below(high, head, wanted, &below)) return false;
    if (!below) break;
    low = high + 1;
    high = low + step;
  }
  return search(wanted, low, std::max(low, std::min(high, count_)), place);
}

bool IndexView::child_place(ByteSpan key, Side side, std::uint32_t* place) const {
  if (!inner_ || count_ == 0) return false;
  std::uint32_t at = 0;
  if (!lower_bound(key, &at)) return false;  // entries before `at` are below the key
  if (side == Side::kAt && at < count_) {
    ByteSpan here;
    if (!suffix(at, &here)) return false;
    const ByteSpan wanted = key.subspan(std::min<std::size_t>(prefix_, key.size()));
    if (compare_keys(here, wanted) == 0) ++at;
  }
  *place = at - 1;
  return true;
}

const char* IndexView::verify() const {
  if (!upper_.empty() && compare_keys(lower_, upper_) >= 0) return "the fences do not ascend";
  if (prefix_ != common_prefix(lower_, upper_)) return "prefix_len is not that of the fences";
  if (right_.is_none() != upper_.empty())
    return "an upper fence without a right sibling, or the other way round";
  if (inner_ && count_ == 0) return "an inner page has no children";
  if (dead_ && count_ != 0) return "a dead leaf has entries";
  std::uint32_t bytes = static_cast<std::uint32_t>(lower_.size() + upper_.size());
  Bytes before, key;
  for (std::uint32_t i = 0; i < count_; ++i) {
    const Slot s = slot(i);
    ByteSpan rest;
    if (!suffix(i, &rest)) return "an entry is outside the page";
    if (s.head != head_of(rest)) return "a head is not that of its key";
    if (s.off < heap_lo_) return "an entry is outside the heap";
    bytes += s.len + (inner_ ? 8 : 0);
    if (inner_ && i == 0) continue;
    (void)this->key(i, &key);
    if (i > (inner_ ? 1u : 0u) && compare_keys(before, key) >= 0) return "keys do not ascend";
    if (compare_keys(key, lower_) < 0 || (!upper_.empty() && compare_keys(key, upper_) >= 0)) {
      return "a key is outside the fences";
    }
    before = key;
  }
  if (bytes + garbage_ != kPageBytes - heap_lo_) return "heap bytes do not add up";
  return nullptr;
}

IndexPage::IndexPage(std::span<std::byte> page) : mutable_(page.data()) {
  RUSTBD_ASSERT(page.size() >= kPageBytes);
  reload();
}

void IndexPage::reload() { RUSTBD_ASSERT(IndexView::open(mutable_, this), "a latched index page is sound"); }

void IndexPage::init(std::span<std::byte> page, std::uint16_t level, ByteSpan lower, ByteSpan upper,
                     PageId right) {
  std::byte* p = page.data();
  RUSTBD_ASSERT(lower.size() <= kFenceBytesMax && upper.size() <= kFenceBytesMax);
  std::memset(p + kPageHeaderBytes, 0, kPageBytes - kPageHeaderBytes);
  PageHeader& header = header_of(p);
  header.kind = level == 0 ? PageKind::kIndexLeaf : PageKind::kIndexInner;
  header.flags = 0;
  header.level = level;
  header.right_sibling = right.raw();
  header.count = 0;
  header.schema_version = 0;
  std::size_t heap = kPageBytes;
  const auto put_fence = [&](ByteSpan fence, std::size_t off_field, std::size_t len_field) {
    heap -= fence.size();
    if (!fence.empty()) std::memcpy(p + heap, fence.data(), fence.size());
    store(p + off_field, static_cast<std::uint16_t>(heap));
    store(p + len_field, static_cast<std::uint16_t>(fence.size()));
  };
  put_fence(lower, index_field::kLowerOff, index_field::kLowerLen);
  put_fence(upper, index_field::kUpperOff, index_field::kUpperLen);
  store(p + index_field::kPrefix, static_cast<std::uint16_t>(common_prefix(lower, upper)));
  store(p + index_field::kHeapLow, static_cast<std::uint16_t>(heap));
}

bool IndexPage::room(ByteSpan key) const {
  return 8 + (key.size() - prefix_) + (inner_ ? 8 : 0) <= gap() + garbage_;
}

void IndexPage::put(std::uint32_t place, ByteSpan head_part, ByteSpan rest, PageId child) {
  const auto bytes = static_cast<std::uint32_t>(head_part.size() + rest.size());
  RUSTBD_ASSERT(8 + bytes + (inner_ ? 8 : 0) <= gap(), "room is checked before a change");
  std::byte* slots = mutable_ + kSlots;
  std::memmove(slots + std::size_t{8} * (place + 1), slots + std::size_t{8} * place,
               std::size_t{8} * (count_ - place));
  heap_lo_ -= bytes + (inner_ ? 8 : 0);
  std::byte* entry = mutable_ + heap_lo_;
  if (!head_part.empty()) std::memcpy(entry, head_part.data(), head_part.size());
  if (!rest.empty()) std::memcpy(entry + head_part.size(), rest.data(), rest.size());
  if (inner_) store(entry + bytes, child.raw());
  const std::uint64_t raw =
      heap_lo_ | std::uint64_t{bytes} << 16 | std::uint64_t{head_of({entry, bytes})} << 32;
  store(slots + std::size_t{8} * place, raw);
  ++count_;
  header_of(mutable_).count = count_;
  store(mutable_ + index_field::kHeapLow, static_cast<std::uint16_t>(heap_lo_));
}

void IndexPage::fill(const IndexView& from, std::uint32_t first, std::uint32_t last) {
  const std::uint32_t before = static_cast<std::uint32_t>(from.prefix().size());
  for (std::uint32_t i = first; i < last; ++i) {
    ByteSpan rest;
    RUSTBD_ASSERT(from.suffix(i, &rest), "a latched index page is sound");
    PageId child;
    if (inner_) RUSTBD_ASSERT(from.child(i, &child));
    if (inner_ && i == first) {
      put(0, {}, {}, child);
    } else if (prefix_ >= before) {
      put(count_, {}, rest.subspan(prefix_ - before), child);
    } else {
      put(count_, from.prefix().subspan(prefix_), rest, child);
    }
  }
}

void IndexPage::rebuild(ByteSpan lower, ByteSpan upper, std::uint32_t first, std::uint32_t last,
                        PageId right) {
  alignas(16) std::byte copy[kPageBytes];
  std::memcpy(copy, mutable_, kPageBytes);
  IndexView from;
  RUSTBD_ASSERT(IndexView::open(copy, &from));
  const auto moved = [&](ByteSpan fence) {  // fences of this page now stand in the copy
    const bool mine = fence.data() >= mutable_ && fence.data() < mutable_ + kPageBytes;
    return mine ? ByteSpan{copy + (fence.data() - mutable_), fence.size()} : fence;
  };
  init({mutable_, kPageBytes}, header_of(copy).level, moved(lower), moved(upper), right);
  reload();
  fill(from, first, last);
}

void IndexPage::insert(std::uint32_t place, ByteSpan key, PageId child) {
  const ByteSpan rest = key.subspan(prefix_);
  if (8 + rest.size() + (inner_ ? 8 : 0) > gap()) rebuild(lower_, upper_, 0, count_, right_);
  put(place, {}, rest, child);
}

void IndexPage::remove(std::uint32_t place) {
  const Slot s = slot(place);
  std::byte* slots = mutable_ + kSlots;
  std::memmove(slots + std::size_t{8} * place, slots + std::size_t{8} * (place + 1),
               std::size_t{8} * (count_ - place - 1));
  --count_;
  store(slots + std::size_t{8} * count_, std::uint64_t{0});
  garbage_ += s.len + (inner_ ? 8 : 0);
  header_of(mutable_).count = count_;
  store(mutable_ + index_field::kGarbage, static_cast<std::uint16_t>(garbage_));
}

void IndexPage::set_child(std::uint32_t place, PageId child) {
  const Slot s = slot(place);
  store(mutable_ + s.off + s.len, child.raw());
}

/// What divides the entries below `place` from those at it and above (or, at the end, from the key to be
/// inserted).
Bytes IndexPage::separator_before(std::uint32_t place, ByteSpan inserting) const {
  Bytes below, above;
  if (place < count_) {
    RUSTBD_ASSERT(key(place, &above));
    if (inner_) return above;
  } else {
    above.assign(inserting.begin(), inserting.end());
  }
  RUSTBD_ASSERT(key(place - 1, &below));
  const ByteSpan at = shortest_separator(below, above);
  return {at.begin(), at.end()};
}

bool IndexPage::split_key(ByteSpan inserting, Bytes* at) const {
  if (count_ < 2) return false;
  std::uint32_t place = middle_place();
  if (no_upper()) {  // keys that only ever grow leave full pages behind
    Bytes last;
    RUSTBD_ASSERT(key(count_ - 1, &last));
    if (inner_) {
      place = count_ - 1;
    } else if (compare_keys(inserting, last) > 0) {
      std::uint32_t bytes = static_cast<std::uint32_t>(lower_.size());
      for (std::uint32_t i = 0; i < count_; ++i) bytes += 8 + slot(i).len;
      place = count_;  // or a little before, if the new fence finds no room
      while (place > 1 && bytes + separator_before(place, inserting).size() > kRoom)
        bytes -= 8 + slot(--place).len;
    }
  }
  *at = separator_before(place, inserting);
  return true;
}

std::uint32_t IndexPage::middle_place() const {
  // Both halves must take their entries and, at worst, a new fence of the greatest length; the entries' bytes
  // up to the cut then lie in [low, high], which is wider than any entry.
  const auto bytes_of = [&](std::uint32_t i) { return 8 + slot(i).len + (inner_ ? 8u : 0u); };
  std::uint32_t total = 0;
  for (std::uint32_t i = 0; i < count_; ++i) total += bytes_of(i);
  constexpr std::uint32_t kHalf = kRoom - kFenceBytesMax;
  const auto used_above = total + static_cast<std::uint32_t>(upper_.size());
  const std::uint32_t low = used_above > kHalf ? used_above - kHalf : 0;
  const std::uint32_t high = kHalf - static_cast<std::uint32_t>(lower_.size());
  std::uint32_t best = 1, best_distance = ~0u, sum = 0;
  for (std::uint32_t place = 1; place < count_; ++place) {
    sum += bytes_of(place - 1);
    const std::uint32_t distance = sum > total / 2 ? sum - total / 2 : total / 2 - sum;
    if (sum < low || sum > high || distance >= best_distance) continue;
    best = place;
    best_distance = distance;
  }
  return best;
}

void IndexPage::cut(ByteSpan at, std::span<std::byte> right, PageId right_id) {
  std::uint32_t place = 0;
  RUSTBD_ASSERT(lower_bound(at, &place), "a latched index page is sound");
  init(right, header_of(mutable_).level, at, upper_, right_);
  IndexPage(right).fill(*this, place, count_);
  rebuild(lower_, at, 0, place, right_id);
}

bool IndexPage::lower_fits(ByteSpan lower) const {
  const std::uint32_t prefix = common_prefix(lower, upper_);
  std::uint32_t bytes = static_cast<std::uint32_t>(lower.size() + upper_.size());
  for (std::uint32_t i = 0; i < count_; ++i) bytes += 8 + slot(i).len + (inner_ ? 8 : 0) + prefix_ - prefix;
  return bytes <= kRoom;
}

void IndexPage::set_lower(ByteSpan lower) { rebuild(lower, upper_, 0, count_, right_); }

Route IndexOps::route(const std::byte* page, Key key, Side side, PageId* next, Aim* aim) {
  IndexView view;
  if (!IndexView::open(page, &view)) return Route::kBad;
  *next = view.right_sibling();
  if (view.dead()) return Route::kRight;
  if (side == Side::kAt) {
    if (!view.no_upper() && compare_keys(key, view.upper()) >= 0) return Route::kRight;
    if (compare_keys(key, view.lower()) < 0) return Route::kLeft;
  } else {
    if (!view.no_upper() && compare_keys(key, view.upper()) > 0) return Route::kRight;
    if (compare_keys(key, view.lower()) <= 0) return Route::kLeft;
  }
  if (!view.inner()) return Route::kHere;
  std::uint32_t place = 0;
  if (!view.child_place(key, side, &place) || !view.child(place, next)) return Route::kBad;
  if (aim != nullptr) aim->part = view.aim(place, key);
  return Route::kChild;
}

std::uint64_t IndexOps::shape_of(const std::byte* page) {
  IndexView view;
  if (!IndexView::open(page, &view)) return 0;
  const auto heap_end = static_cast<std::uint64_t>(view.upper().data() - page);
  return view.count() | std::uint64_t{view.heap_low()} << 16 | heap_end << 32;
}

void IndexOps::prefetch(const std::byte* page, std::uint32_t, Aim aim, std::uint64_t shape, const Wish*) {
  const auto count = static_cast<std::uint16_t>(shape);
  if (count < kNarrowMin) return;
  const auto guess = static_cast<std::uint32_t>(aim.part * static_cast<float>(count - 1));
  prefetch_entry(page, guess, count, static_cast<std::uint16_t>(shape >> 16),
                 static_cast<std::uint16_t>(shape >> 32));
}

namespace {
IndexView view_of(const std::byte* page) {
  IndexView view;
  RUSTBD_ASSERT(IndexView::open(page, &view), "a latched index page is sound");
  return view;
}
}  // namespace

PageId IndexOps::child(const std::byte* page, std::uint32_t place) {
  PageId child;
  RUSTBD_ASSERT(view_of(page).child(place, &child));
  return child;
}
IndexOps::OwnedKey IndexOps::separator(const std::byte* page, std::uint32_t place) {
  Bytes key;
  RUSTBD_ASSERT(view_of(page).key(place, &key));
  return key;
}
std::uint32_t IndexOps::child_place(const std::byte* page, Key key) {
  std::uint32_t place = 0;
  RUSTBD_ASSERT(view_of(page).child_place(key, Side::kAt, &place));
  return place;
}
bool IndexOps::is_separator(const std::byte* page, std::uint32_t place, Key key) {
  return compare_keys(separator(page, place), key) == 0;
}
IndexOps::OwnedKey IndexOps::upper_key(const std::byte* page) {
  const ByteSpan upper = view_of(page).upper();
  return {upper.begin(), upper.end()};
}
bool IndexOps::inner_room(const std::byte* page, Key key) {
  return IndexPage({const_cast<std::byte*>(page), kPageBytes}).room(key);
}
void IndexOps::inner_insert(std::span<std::byte> page, Key key, PageId child) {
  IndexPage(page).insert(child_place(page.data(), key) + 1, key, child);
}
void IndexOps::set_child(std::span<std::byte> page, std::uint32_t place, PageId child) {
  IndexPage(page).set_child(place, child);
}
void IndexOps::remove_child(std::span<std::byte> page, std::uint32_t place) { IndexPage(page).remove(place); }
IndexOps::OwnedKey IndexOps::inner_split_key(const std::byte* page) {
  Bytes at;
  RUSTBD_ASSERT(IndexPage({const_cast<std::byte*>(page), kPageBytes}).split_key({}, &at),
                "a full inner page has several children");
  return at;
}
void IndexOps::inner_cut(std::span<std::byte> left, Key at, std::span<std::byte> right, PageId right_id) {
  IndexPage(left).cut(at, right, right_id);
}
void IndexOps::make_root(std::span<std::byte> page, std::uint16_t level, PageId left, Key at, PageId right) {
  IndexPage::init(page, level, {}, {}, PageId{});
  IndexPage root(page);
  root.put(0, {}, {}, left);
  root.put(1, {}, at, right);
}
bool IndexOps::absorb_fits(const std::byte* dead, const std::byte* right) {
  return IndexPage({const_cast<std::byte*>(right), kPageBytes}).lower_fits(view_of(dead).lower());
}
void IndexOps::absorb(std::span<std::byte> dead, std::span<std::byte> right) {
  IndexPage(right).set_lower(view_of(dead.data()).lower());
}

}  // namespace rustbd::storage
