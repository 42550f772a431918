// Blink: what table trees and index trees have in common, over the page operations of each (Ops): descent,
// walking right, splits, separators, removal of empty leaves, freeing. B-link tree of Lehman and Yao (TODS
// 1981), page removal as in Lanin and Shasha (FJCC 1986): the neighbour takes the range over, the dead page
// keeps its link. All of it is one action, so no checkpoint has a dead leaf in a tree; those that older
// versions left there go together with a leaf beside them.
//
// Latches: optimistic on the way down, exclusive on the page to change; left before right; never one of a
// higher level while one of a lower level is held. Every public function holds an Epochs::Pin, so no page id
// is reused under it.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "rustbd/storage/btree/raw_page.h"
#include "rustbd/storage/btree/status.h"
#include "rustbd/storage/buffer/buffer_manager.h"

namespace rustbd::storage {

inline constexpr std::uint8_t kPageDead = 1;  // PageHeader::flags of leaves

/// kAt: the page that covers the key. kBefore: the page that covers what comes just before the key.
enum class Side : std::uint8_t { kAt, kBefore };
enum class Route : std::uint8_t { kHere, kChild, kRight, kLeft /* the page begins above the key */, kBad };

inline void spin_pause(std::uint32_t round) {
  if (round % 64 != 63) __builtin_ia32_pause();
  else std::this_thread::yield();
}

inline Status to_status(const AllocStatus status, io::WaitToken wait) {
  switch (status) {
    case AllocStatus::kOk: return Status::ok();
    case AllocStatus::kNoSpace: return {Outcome::kNoSpace, {}, {}};
    case AllocStatus::kStopped: return {Outcome::kStopped, {}, {}};
    case AllocStatus::kNoFrame: break;
  }
  if (!wait) return {Outcome::kNoFrame, {}, {}};
  return Status::miss(std::move(wait));
}

template <class Ops>
class Blink {
 public:
  using Key = typename Ops::Key;
  using OwnedKey = typename Ops::OwnedKey;
  using Aim = typename Ops::Aim;
  using Wish = typename Ops::Wish;

  Blink(BufferManager& buffer, std::uint32_t owner, PageId root)
      : buffer_(buffer), owner_(owner), root_(root) {}

  [[nodiscard]] BufferManager& buffer() { return buffer_; }
  [[nodiscard]] PageId root() const { return root_; }

  /// From now on nothing is found in the tree: every search ends with kDamaged, page and owner as given. It
  /// can still be freed, and checked.
  void set_aside(PageId page, std::uint32_t owner) {
    std::lock_guard lock(mutex_);
    if (set_aside_.load(std::memory_order_relaxed) != 0) return;
    set_aside_for_ = owner;
    set_aside_.store(page.is_none() ? root_.raw() : page.raw(), std::memory_order_release);
  }
  [[nodiscard]] bool is_set_aside() const { return set_aside_.load(std::memory_order_acquire) != 0; }

  /// try_fix of any kind, busy ones retried for a while. The caller may hold latches that are to be taken
  /// before.
  template <class Guard>
  Status fix(PageId id, Guard* guard, std::uint32_t rounds = kSpins) {
    for (std::uint32_t round = 0; round < rounds; ++round) {
      Fix<Guard> fix;
      if constexpr (std::is_same_v<Guard, OptimisticGuard>) fix = buffer_.try_fix_optimistic(id);
      else if constexpr (std::is_same_v<Guard, SharedGuard>) fix = buffer_.try_fix_shared(id);
      else fix = buffer_.try_fix_exclusive(id);
      switch (fix.status) {
        case FixStatus::kOk: *guard = std::move(fix.guard); return Status::ok();
        case FixStatus::kMiss: return Status::miss(std::move(fix.wait));
        case FixStatus::kBusy: spin_pause(round); break;
        case FixStatus::kDamaged: return Status::damaged(id, owner_);
        case FixStatus::kNoFrame: return {Outcome::kNoFrame, {}, {}};
      }
    }
    return Status::restart();
  }

  /// The page of `level` to which the parents lead with the key, by optimistic descent: it, or one to its
  /// right, covers the key. None: the tree is not that high. Pinned by the caller.
  /// `aim`: where in that page the key may stand.
  Status find(Key key, Side side, std::uint16_t level, PageId* page, Aim* aim) {
    PageId at = root_;
    std::uint32_t below = ~0u;  // the level of `at`, once its parent was seen
    for (std::uint32_t round = 0; round < kSpins; ++round) {
      OptimisticGuard guard;
      if (Status s = fix(at, &guard); !s) return s;
      prefetch(guard.data(), below, *aim, nullptr);
      const PageFacts facts = facts_of(guard.data());
      PageId next;
      const Route route = Ops::route(guard.data(), key, side, &next, aim);
      if (!guard.check()) continue;
      if (!sound(facts)) return Status::damaged(at, owner_);
      if (facts.level <= level) {
        *page = facts.level < level ? PageId{} : at;
        return Status::ok();
      }
      if ((route != Route::kChild && route != Route::kRight) || next.is_none())
        return Status::damaged(at, owner_);
      if (route == Route::kChild) {
        note_shape(at, facts.level, guard.data());
        below = facts.level - 1u;
      }
      at = next;
      if (route == Route::kChild && below == level) {
        *page = at;
        return Status::ok();
      }
    }
    return Status::restart();
  }

  /// Latches the page of `level` that covers the key; the guard is empty if the tree is not that high.
  /// `hint`: a page of level 0 to try first (with kAt), and set to the page found. `wish`: what of a leaf
  /// will be read then.
  template <class Guard>
  Status fix_page(Key key, Side side, std::uint16_t level, Guard* guard, PageId* hint = nullptr,
                  const Wish* wish = nullptr) {
    if (const std::uint64_t page = set_aside_.load(std::memory_order_acquire); page != 0) [[unlikely]]
      return Status::damaged(PageId{page}, set_aside_for_);
    if (hint != nullptr && !hint->is_none() && try_hint(key, side, *hint, guard)) return Status::ok();
    for (std::uint32_t round = 0; round < kSpins; ++round) {
      PageId at;
      Aim aim;
      if (Status s = find(key, side, level, &at, &aim); !s) return s;
      *guard = Guard();
      if (at.is_none()) return Status::ok();
      bool again = false;
      if (Status s = walk(key, side, level, {at, aim, wish}, guard, &again); !s) return s;
      if (again) continue;
      if (hint != nullptr) *hint = guard->page_id();
      return Status::ok();
    }
    return Status::restart();
  }

  /// Splits the leaf that covers the key: `plan(page bytes) -> optional<OwnedKey>` says where (none: no
  /// need), `cut(left bytes, key, right bytes, right id)` does it. Enters the gate.
  template <class Plan, class Cut>
  Status split(Key key, Plan&& plan, Cut&& cut) {
    settle_some();  // of what is left over; this split does not depend on it
    Action action(buffer_.gate());
    const auto pin = buffer_.epochs().pin();
    ExclusiveGuard page;
    if (Status s = fix_page(key, Side::kAt, 0, &page); !s) return s;
    const std::optional<OwnedKey> at = plan(page.bytes());
    if (!at) return Status::ok();
    if (page.page_id() == root_) return split_root(page, *at, cut);
    Allocated right;
    if (Status s = begin_split(page, &right, Ops::kLeafKind); !s) return s;
    const PageId right_id = right.guard.page_id();
    cut(page.mutable_bytes(), *at, right.guard.mutable_bytes(), right_id);
    right.guard.set_has_versions(page.has_versions());
    right.guard.release();
    page.release();
    post_or_keep(1, *at, right_id);
    return Status::ok();
  }

  /// Takes the leaf that covers the key out of the tree if it is empty and may go: one action for the range,
  /// the links, the separator and the page id. Enters the gate.
  Status remove_empty(Key key) {
    Action action(buffer_.gate());
    const auto pin = buffer_.epochs().pin();
    return remove_now(key);
  }
  /// For one who cannot wait just now: settle() does it. The key is one of an empty leaf.
  void remove_empty_later(OwnedKey key) { keep({Pending::kEmpty, 0, std::move(key), PageId{}}); }

  /// One action for each thing that was left open. kOk: nothing is left that can be done now. kMiss: await
  /// and call again, it goes on with the same. Enters the gate.
  Status settle() {
    for (std::size_t n = unsettled(); n > 0; --n)
      if (Status s = settle_one(false); s.outcome == Outcome::kMiss) return s;
    return Status::ok();
  }
  [[nodiscard]] std::size_t unsettled() const {
    std::lock_guard lock(mutex_);
    return pending_.size();
  }

  /// See TableTree::free_step. `before_leaf(leaf guard)` is called for each leaf before it goes.
  template <class BeforeLeaf>
  Status free_step(BeforeLeaf&& before_leaf, bool* done) {
    constexpr int kPagesPerAction = 8;
    Action action(buffer_.gate());
    const auto pin = buffer_.epochs().pin();
    *done = false;
    for (int i = 0; i < kPagesPerAction && !*done; ++i)
      if (Status s = free_one(before_leaf, done); !s) return s;
    return Status::ok();
  }

 private:
  static constexpr std::uint32_t kSpins = 4096;
  static constexpr std::uint32_t kLeafSpins = 64;  // with a parent latched, which others want
  static constexpr std::size_t kPendingMax = 1024;
  static constexpr std::size_t kSettledAtOnce = 4;  // by a statement on its way
  static constexpr unsigned kMends = 16;            // of a parent, before a leaf goes

  struct PageFacts {
    std::uint8_t kind;
    std::uint16_t level;
    std::uint32_t owner;
  };
  /// Something left open: a separator that the parent lacks, or an empty leaf that is to go.
  struct Pending {
    enum Stage : std::uint8_t { kSeparator, kEmpty } stage = kSeparator;
    std::uint16_t level = 1;  // kSeparator: of the parent
    OwnedKey key{};           // the separator; one of the leaf's
    PageId page;              // kSeparator: the child
    bool operator==(const Pending&) const = default;
  };
  /// A leaf that may go.
  struct Removal {
    PageId page;
    OwnedKey lower{};  // its separator
    PageId before;     // a living leaf to its left, near it; none: it is the leftmost
  };
  enum class Next : std::uint8_t { kStop /* the leaf stays */, kGo, kAgain /* a parent was mended */ };

  static PageFacts facts_of(const std::byte* page) {
    return {read_once<std::uint8_t>(page + offsetof(PageHeader, kind)),
            read_once<std::uint16_t>(page + offsetof(PageHeader, level)),
            read_once<std::uint32_t>(page + offsetof(PageHeader, owner))};
  }
  [[nodiscard]] bool sound(const PageFacts& f) const {
    const auto kind = static_cast<PageKind>(f.kind);
    return f.owner == owner_ && (f.level == 0 ? kind == Ops::kLeafKind : kind == Ops::kInnerKind);
  }

  /// What a search will read of the page comes from memory together with its header: where route() looks, and
  /// where the key stands if the page has the shape of others of its level.
  void prefetch(const std::byte* page, std::uint32_t level, const Aim& aim, const Wish* wish) {
    for (const std::size_t offset : Ops::kRouteReads) __builtin_prefetch(page + offset);
    if (level < shapes_.size())
      Ops::prefetch(page, level, aim, shapes_[level].load(std::memory_order_relaxed), wish);
  }
  /// Every eighth page counts, so that readers of many do not write to one cache line all the time.
  void note_shape(PageId id, std::uint32_t level, const std::byte* page) {
    if (id.raw() % 8 != 0 || level >= shapes_.size()) return;
    const std::uint64_t shape = Ops::shape_of(page);
    if (shapes_[level].load(std::memory_order_relaxed) != shape)
      shapes_[level].store(shape, std::memory_order_relaxed);
  }

  template <class Guard>
  static bool still(const Guard& guard) {
    if constexpr (std::is_same_v<Guard, OptimisticGuard>) return guard.check();
    return true;
  }

  template <class Guard>
  bool try_hint(Key key, Side side, PageId hint, Guard* guard) {
    if (!buffer_.resident(hint)) return false;
    if (!fix(hint, guard)) return false;
    PageId next;
    const PageFacts facts = facts_of(guard->data());
    const bool good = sound(facts) && facts.level == 0 &&
                      Ops::route(guard->data(), key, side, &next) == Route::kHere &&
                      Ops::begins_at_or_below(guard->data(), key);
    if (good && still(*guard)) return true;
    *guard = Guard();
    return false;
  }

  /// What find() gave.
  struct Found {
    PageId at;
    Aim aim;
    const Wish* wish;
  };

  /// From there to the page that covers the key now. `again`: begin at the root.
  template <class Guard>
  Status walk(Key key, Side side, std::uint16_t level, const Found& found, Guard* guard, bool* again) {
    PageId at = found.at;
    while (true) {
      *guard = Guard();  // the left one goes first: nobody needs it any more
      if (Status s = fix(at, guard); !s) return s;
      prefetch(guard->data(), level, found.aim, found.wish);
      const PageFacts facts = facts_of(guard->data());
      PageId next;
      const Route route = Ops::route(guard->data(), key, side, &next);
      if constexpr (std::is_same_v<Guard, OptimisticGuard>) {
        if (!guard->check()) {
          *again = true;
          return Status::ok();
        }
      }
      if (!sound(facts)) return Status::damaged(at, owner_);
      if (facts.level != level) {  // the root has grown meanwhile
        *again = true;
        return at == root_ ? Status::ok() : Status::damaged(at, owner_);
      }
      if (route == Route::kHere || route == Route::kChild) {
        note_shape(at, level, guard->data());
        return Status::ok();
      }
      if (route != Route::kRight || next.is_none()) return Status::damaged(at, owner_);
      if constexpr (std::is_same_v<Guard, ExclusiveGuard>) note_missing(*guard, level, next);
      at = next;
    }
  }

  /// A writer had to walk right: the parent may lack the separator of `next`.
  void note_missing(const ExclusiveGuard& page, std::uint16_t level, PageId next) {
    if ((page.header().flags & kPageDead) != 0) return;
    std::lock_guard lock(mutex_);
    for (const Pending& item : pending_)
      if (item.stage == Pending::kSeparator && item.page == next) return;
    if (pending_.size() < kPendingMax / 2) {
      pending_.push_back(
          {Pending::kSeparator, static_cast<std::uint16_t>(level + 1), Ops::upper_key(page.data()), next});
    }
  }

  void keep(Pending item) {
    std::lock_guard lock(mutex_);
    if (pending_.size() < kPendingMax)
      pending_.push_back(std::move(item));  // else: a longer walk, or an empty leaf that stays
  }
  void post_or_keep(std::uint16_t level, const OwnedKey& key, PageId child) {
    if (!post(level, key, child)) keep({Pending::kSeparator, level, key, child});
  }

  /// Does the first thing. What did not succeed comes last then, what missed only if `rotate`. It stands in
  /// the list meanwhile, so that whoever frees its page finds it there. Nobody waits for a damaged page.
  Status settle_one(bool rotate) {
    Action action(buffer_.gate());
    const auto pin = buffer_.epochs().pin();  // before the look: its page is not reused meanwhile
    Pending item;
    {
      std::lock_guard lock(mutex_);
      if (pending_.empty()) return Status::ok();
      item = pending_.front();
    }
    Status s = item.stage == Pending::kSeparator ? post(item.level, item.key, item.page)
                                                 : remove_now(Ops::view(item.key));
    const bool done = s || s.outcome == Outcome::kDamaged;
    if (s.outcome == Outcome::kMiss && !rotate) return s;
    std::lock_guard lock(mutex_);
    const auto at = std::find(pending_.begin(), pending_.end(), item);
    if (at == pending_.end()) return s;
    pending_.erase(at);
    if (!done) pending_.push_back(std::move(item));
    return s;
  }
  void settle_some() {
    for (std::size_t n = std::min(unsettled(), kSettledAtOnce); n > 0; --n) (void)settle_one(true);
  }

  Status begin_split(ExclusiveGuard& page, Allocated* right, PageKind kind) {
    if (DirtyResult dirty = page.mark_dirty(); !dirty) return Status::miss(std::move(dirty.retry));
    *right = buffer_.alloc(kind, owner_);
    return to_status(right->status, right->wait);
  }

  /// The root's content moves into two new children; its page id stays.
  template <class Cut>
  Status split_root(ExclusiveGuard& root, const OwnedKey& at, Cut&& cut) {
    const PageKind kind = root.header().kind;
    const std::uint16_t level = root.header().level;
    Allocated left, right;
    if (Status s = begin_split(root, &left, kind); !s) return s;
    right = buffer_.alloc(kind, owner_);
    if (!right) {
      buffer_.free(std::move(left.guard));
      return to_status(right.status, right.wait);
    }
    const PageId left_id = left.guard.page_id(), right_id = right.guard.page_id();
    std::copy(root.data() + 8, root.data() + kPageBytes,
              left.guard.mutable_data() + 8);  // all but the page id
    cut(left.guard.mutable_bytes(), at, right.guard.mutable_bytes(), right_id);
    left.guard.set_has_versions(root.has_versions());
    right.guard.set_has_versions(root.has_versions());
    root.set_has_versions(false);
    Ops::make_root(root.mutable_bytes(), static_cast<std::uint16_t>(level + 1), left_id, Ops::view(at),
                   right_id);
    return Status::ok();
  }

  /// Enters the separator in the page of `level` that covers it, splitting where needed. In the gate, no
  /// latch held.
  Status post(std::uint16_t level, const OwnedKey& key, PageId child) {
    const auto cut = [](std::span<std::byte> left, const OwnedKey& at, std::span<std::byte> right,
                        PageId id) { Ops::inner_cut(left, Ops::view(at), right, id); };
    for (std::uint32_t round = 0; round < kSpins; ++round) {
      ExclusiveGuard page;
      if (Status s = fix_page(Ops::view(key), Side::kAt, level, &page); !s) return s;
      if (!page.held()) return Status::ok();  // the root itself was split: it knows both
      const std::uint32_t place = Ops::child_place(page.data(), Ops::view(key));
      if (Ops::child(page.data(), place) == child) return Status::ok();
      if (Ops::is_separator(page.data(), place, Ops::view(key))) return Status::ok();
      bool alive = false;
      if (Status s = is_alive(child, static_cast<std::uint16_t>(level - 1), &alive); !s) return s;
      if (!alive) return Status::ok();
      // It has taken the range before the key over, and was split since.
      for (std::uint32_t i = 0; i < Ops::child_count(page.data()); ++i)
        if (Ops::child(page.data(), i) == child) return Status::ok();
      if (Ops::inner_room(page.data(), Ops::view(key))) {
        if (DirtyResult dirty = page.mark_dirty(); !dirty) return Status::miss(std::move(dirty.retry));
        Ops::inner_insert(page.mutable_bytes(), Ops::view(key), child);
        return Status::ok();
      }
      const OwnedKey at = Ops::inner_split_key(page.data());
      if (page.page_id() == root_) {
        if (Status s = split_root(page, at, cut); !s) return s;
        continue;
      }
      Allocated right;
      if (Status s = begin_split(page, &right, Ops::kInnerKind); !s) return s;
      const PageId right_id = right.guard.page_id();
      cut(page.mutable_bytes(), at, right.guard.mutable_bytes(), right_id);
      right.guard.release();
      page.release();
      post_or_keep(static_cast<std::uint16_t>(level + 1), at, right_id);
    }
    return Status::restart();
  }

  /// Whether the page still takes part in the tree at that level. Its parent's latch may be held: nobody
  /// waits upward.
  Status is_alive(PageId id, std::uint16_t level, bool* alive) {
    for (std::uint32_t round = 0; round < kSpins; ++round) {
      OptimisticGuard guard;
      if (Status s = fix(id, &guard); !s) return s;
      const PageFacts facts = facts_of(guard.data());
      const auto flags = read_once<std::uint8_t>(guard.data() + offsetof(PageHeader, flags));
      if (!guard.check()) continue;
      *alive = sound(facts) && facts.level == level && (level != 0 || (flags & kPageDead) == 0);
      return Status::ok();
    }
    return Status::restart();
  }

  [[nodiscard]] static bool is_dead(const PageGuard& leaf) { return (leaf.header().flags & kPageDead) != 0; }
  [[nodiscard]] bool may_go(const PageGuard& leaf) const {
    return leaf.page_id() != root_ && Ops::leaf_empty(leaf.data()) && !leaf.has_versions() &&
           leaf.header().right_sibling != 0;
  }

  /// In the gate, no latch held.
  Status remove_now(Key key) {
    for (unsigned round = 0; round < kMends; ++round) {
      Removal removal;
      Next next = Next::kStop;
      if (Status s = plan_removal(key, &removal, &next); !s) return s;
      if (next == Next::kStop) return Status::ok();
      if (next == Next::kGo) return take_out(removal);
    }
    return Status::ok();
  }

  /// Whether the leaf that covers the key may go, and where it stands. What its parent lacks, and dead leaves
  /// that an older version left beside it, are put right first. The last child of a parent stays.
  Status plan_removal(Key key, Removal* removal, Next* next) {
    OwnedKey upper{};
    PageId right;
    {
      SharedGuard leaf;
      if (Status s = fix_page(key, Side::kAt, 0, &leaf); !s) return s;
      if (!may_go(leaf)) return Status::ok();
      removal->page = leaf.page_id();
      upper = Ops::upper_key(leaf.data());
      right = PageId{leaf.header().right_sibling};
    }
    SharedGuard parent;
    if (Status s = fix_page(key, Side::kAt, 1, &parent); !s || !parent.held()) return s;
    const std::uint32_t place = Ops::child_place(parent.data(), key);
    const std::uint32_t count = Ops::child_count(parent.data());
    const std::uint32_t first = place > 0 ? place - 1 : 0, last = std::min(place + 1, count - 1);
    for (std::uint32_t i = first; i <= last; ++i) {
      bool alive = false;
      if (Status s = is_alive(Ops::child(parent.data(), i), 0, &alive); !s) return s;
      if (alive) continue;
      const OwnedKey dead = Ops::separator(parent.data(), i);
      parent.release();
      *next = Next::kAgain;
      return drop_dead_child(Ops::view(dead));
    }
    const PageId child = Ops::child(parent.data(), place);
    if (child != removal->page) {
      if (last > place && Ops::child(parent.data(), last) == removal->page) return Status::ok();
      parent.release();
      *next = Next::kAgain;
      return post_missing(key, child);
    }
    if (last == place) {
      PageId in_parent;
      if (Ops::route(parent.data(), Ops::view(upper), Side::kAt, &in_parent) != Route::kChild)
        return Status::ok();
      parent.release();
      *next = Next::kAgain;
      if (Status s = heir_of(&right); !s) return s;
      return post(1, upper, right);
    }
    *next = Next::kGo;
    removal->lower = Ops::separator(parent.data(), place);
    if (Ops::is_lowest(Ops::view(removal->lower))) return Status::ok();
    if (place > 0) {
      removal->before = Ops::child(parent.data(), place - 1);
      return Status::ok();
    }
    parent.release();
    if (Status s = living_before(removal->lower, &removal->before); !s) return s;
    if (removal->before.is_none()) *next = Next::kStop;
    return Status::ok();
  }

  /// Enters the separators that the parents lack from the leaf on, as far as the one that covers the key.
  Status post_missing(Key key, PageId from) {
    OwnedKey lower{};
    for (PageId at = from; !at.is_none();) {
      PageId next;
      Route route;
      bool dead;
      OwnedKey upper{};
      {
        SharedGuard leaf;
        if (Status s = fix(at, &leaf); !s) return s;
        if (const PageFacts facts = facts_of(leaf.data()); !sound(facts) || facts.level != 0)
          return Status::damaged(at, owner_);
        route = Ops::route(leaf.data(), key, Side::kAt, &next);
        dead = is_dead(leaf);
        if (!dead) upper = Ops::upper_key(leaf.data());
      }
      if (!dead && !Ops::is_lowest(Ops::view(lower)))
        if (Status s = post(1, lower, at); !s) return s;
      if (route != Route::kRight) return Status::ok();
      if (!dead) lower = std::move(upper);
      at = next;
    }
    return Status::ok();
  }

  /// From a leaf that may be dead to the living one that took its range.
  Status heir_of(PageId* leaf) {
    for (bool alive = false;;) {
      if (Status s = is_alive(*leaf, 0, &alive); !s || alive) return s;
      OptimisticGuard dead;
      if (Status s = fix(*leaf, &dead); !s) return s;
      const PageId next{read_once<std::uint64_t>(dead.data() + offsetof(PageHeader, right_sibling))};
      if (!dead.check()) return Status::restart();
      if (next.is_none()) return Status::damaged(*leaf, owner_);
      *leaf = next;
    }
  }

  /// Parents lead to the living leaf instead of the dead one that covers the key there. If that is the last
  /// child of its parent it stays.
  Status drop_dead_child(Key key) {
    ExclusiveGuard parent;
    if (Status s = fix_page(key, Side::kAt, 1, &parent); !s || !parent.held()) return s;
    std::uint32_t place = Ops::child_place(parent.data(), key);
    for (; place + 1 < Ops::child_count(parent.data()); ++place) {  // the neighbour may be dead, too
      bool alive = false;
      if (Status s = is_alive(Ops::child(parent.data(), place + 1), 0, &alive); !s) return s;
      if (alive) break;
    }
    if (place + 1 == Ops::child_count(parent.data())) return Status::ok();
    PageId heir = Ops::child(parent.data(), place);
    if (Status s = heir_of(&heir); !s) return s;
    if (heir == Ops::child(parent.data(), place)) return Status::ok();
    if (DirtyResult dirty = parent.mark_dirty(); !dirty) return Status::miss(std::move(dirty.retry));
    lead_to(parent, place, heir);
    return Status::ok();
  }

  static void lead_to(ExclusiveGuard& parent, std::uint32_t place, PageId heir) {
    Ops::set_child(parent.mutable_bytes(), place, heir);
    if (Ops::child(parent.data(), place + 1) == heir) Ops::remove_child(parent.mutable_bytes(), place + 1);
  }

  /// A living leaf before the key, near it; none: the parents know none.
  Status living_before(OwnedKey key, PageId* before) {
    while (!Ops::is_lowest(Ops::view(key))) {
      SharedGuard parent;
      if (Status s = fix_page(Ops::view(key), Side::kBefore, 1, &parent); !s) return s;
      PageId child;
      if (!parent.held() || Ops::route(parent.data(), Ops::view(key), Side::kBefore, &child) != Route::kChild)
        return Status::restart();
      bool alive = false;
      if (Status s = is_alive(child, 0, &alive); !s) return s;
      if (alive) {
        *before = child;
        return Status::ok();
      }
      std::uint32_t place = Ops::child_count(parent.data()) - 1;
      while (place > 0 && Ops::child(parent.data(), place) != child) --place;
      key = Ops::separator(parent.data(), place);
    }
    return Status::ok();
  }

  /// Latches the leaf that comes before the page, and the dead ones between the two.
  Status latch_before(const Removal& removal, ExclusiveGuard* left, std::vector<ExclusiveGuard>* dead) {
    PageId at = removal.before;
    while (at != removal.page) {
      if (at.is_none()) return Status::restart();
      ExclusiveGuard leaf;
      if (Status s = fix(at, &leaf, kLeafSpins); !s) return s;
      if (const PageFacts facts = facts_of(leaf.data()); !sound(facts) || facts.level != 0)
        return Status::damaged(at, owner_);
      at = PageId{leaf.header().right_sibling};
      if (!is_dead(leaf)) {
        dead->clear();
        *left = std::move(leaf);
      } else if (left->held()) {
        dead->push_back(std::move(leaf));
      } else {
        return Status::restart();
      }
    }
    return left->held() ? Status::ok() : Status::restart();
  }
  /// Latches the living leaf at or after `at`, and the dead ones before that.
  Status latch_after(PageId at, ExclusiveGuard* right, std::vector<ExclusiveGuard>* dead) {
    while (true) {
      if (Status s = fix(at, right, kLeafSpins); !s) return s;
      if (const PageFacts facts = facts_of(right->data()); !sound(facts) || facts.level != 0)
        return Status::damaged(at, owner_);
      if (!is_dead(*right)) return Status::ok();
      at = PageId{right->header().right_sibling};
      if (at.is_none()) return Status::damaged(right->page_id(), owner_);
      dead->push_back(std::move(*right));
    }
  }

  /// The removal itself: the right neighbour takes the range, the parent and the left one lead there. With
  /// the page go the dead leaves beside it that no parent leads to: those between living children of one.
  Status take_out(const Removal& removal) {
    ExclusiveGuard parent, left, page, right;
    std::vector<ExclusiveGuard> dead_left, dead_right;
    if (Status s = fix_page(Ops::view(removal.lower), Side::kAt, 1, &parent); !s) return s;
    if (!parent.held()) return Status::restart();
    const std::uint32_t place = Ops::child_place(parent.data(), Ops::view(removal.lower));
    if (Ops::child(parent.data(), place) != removal.page || place + 1 == Ops::child_count(parent.data()) ||
        !Ops::is_separator(parent.data(), place, Ops::view(removal.lower)))
      return Status::restart();
    if (!removal.before.is_none())
      if (Status s = latch_before(removal, &left, &dead_left); !s) return s;
    if (Status s = fix(removal.page, &page, kLeafSpins); !s) return s;
    if (!may_go(page)) return Status::ok();
    if (Status s = latch_after(PageId{page.header().right_sibling}, &right, &dead_right); !s) return s;
    if (!Ops::absorb_fits(page.data(), right.data())) return Status::ok();
    for (std::uint32_t i = place > 0 ? place - 1 : 0; i <= place + 1; ++i) {
      const PageId child = Ops::child(parent.data(), i);
      bool alive = i == place || child == right.page_id() || (left.held() && child == left.page_id());
      if (!alive)
        if (Status s = is_alive(child, 0, &alive); !s) return s;
      if (!alive) return Status::restart();
    }
    // The last child of the parent to the left may be a dead leaf: it keeps its place in the chain.
    const bool left_stay = place == 0;
    ExclusiveGuard& before = left_stay && !dead_left.empty() ? dead_left.back() : left;
    for (ExclusiveGuard* guard : {&parent, &before, &page, &right})
      if (guard->held())
        if (DirtyResult dirty = guard->mark_dirty(); !dirty) return Status::miss(std::move(dirty.retry));
    Ops::absorb(page.mutable_bytes(), right.mutable_bytes());
    page.mutable_header().flags |= kPageDead;
    page.mutable_header().right_sibling = right.page_id().raw();
    if (before.held()) before.mutable_header().right_sibling = right.page_id().raw();
    lead_to(parent, place, right.page_id());
    forget_separators(right.page_id());  // its range begins elsewhere now
    right.release();
    left.release();
    parent.release();
    if (!left_stay)
      for (ExclusiveGuard& dead : dead_left) give_up(std::move(dead));
    for (ExclusiveGuard& dead : dead_right) give_up(std::move(dead));
    give_up(std::move(page));
    return Status::ok();
  }

  void forget_separators(PageId page) {
    std::lock_guard lock(mutex_);
    std::erase_if(pending_,
                  [&](const Pending& p) { return p.stage == Pending::kSeparator && p.page == page; });
  }
  void give_up(ExclusiveGuard&& page) {
    forget_separators(page.page_id());
    buffer_.free(std::move(page));
  }

  /// Frees the leftmost page that has no children; the root at the end. A page that cannot be read goes
  /// unread: what only it led to stays allocated.
  template <class BeforeLeaf>
  Status free_one(BeforeLeaf&& before_leaf, bool* done) {
    ExclusiveGuard parent, page;
    if (Status s = fix(root_, &page); !s) {
      if (s.outcome != Outcome::kDamaged) return s;
      buffer_.note_freed_unread();
      buffer_.free_unread(root_);
      *done = true;
      return Status::ok();
    }
    while (page.header().level > 0 && page.header().count > 0) {
      const PageId first = Ops::child(page.data(), 0);
      parent = std::move(page);
      Status s = fix(first, &page);
      if (s && !sound(facts_of(page.data()))) return Status::damaged(first, owner_);
      if (s.outcome == Outcome::kDamaged) return free_damaged(parent, first);
      if (!s) return s;
    }
    if (parent.held()) {
      const PageId right{page.header().right_sibling};
      PageId next;
      if (Status s = child_after(parent, right, &next); !s) return s;
      if (DirtyResult dirty = parent.mark_dirty(); !dirty) return Status::miss(std::move(dirty.retry));
      if (page.header().level == 0)
        if (Status s = before_leaf(page); !s) return s;
      if (!right.is_none() && right != next) {
        Ops::set_child(parent.mutable_bytes(), 0, right);  // a leaf that its parent does not know
      } else {
        Ops::remove_child(parent.mutable_bytes(), 0);
      }
    } else {
      if (page.header().level == 0)
        if (Status s = before_leaf(page); !s) return s;
      *done = true;
    }
    buffer_.free(std::move(page));
    return Status::ok();
  }

  Status free_damaged(ExclusiveGuard& parent, PageId child) {
    if (DirtyResult dirty = parent.mark_dirty(); !dirty) return Status::miss(std::move(dirty.retry));
    Ops::remove_child(parent.mutable_bytes(), 0);
    buffer_.note_freed_unread();
    buffer_.free_unread(child);
    return Status::ok();
  }

  /// `right`: the first child's right neighbour; taken for the next child where that cannot be known.
  Status child_after(const ExclusiveGuard& parent, PageId right, PageId* next) {
    if (parent.header().count > 1) {
      *next = Ops::child(parent.data(), 1);
      return Status::ok();
    }
    const PageId neighbour_id{parent.header().right_sibling};
    if (neighbour_id.is_none()) return Status::ok();
    ExclusiveGuard neighbour;
    if (Status s = fix(neighbour_id, &neighbour); !s) {
      if (s.outcome != Outcome::kDamaged) return s;
      buffer_.note_freed_unread();  // a leaf between the two stays
      *next = right;
      return Status::ok();
    }
    if (neighbour.header().count > 0) *next = Ops::child(neighbour.data(), 0);
    return Status::ok();
  }

  BufferManager& buffer_;
  const std::uint32_t owner_;
  const PageId root_;
  /// By level, of a page met lately, as Ops packs it; 0: of none. Pages of a level are much alike.
  std::array<std::atomic<std::uint64_t>, 2> shapes_{};
  std::atomic<std::uint64_t> set_aside_{0};  // page id; 0: the tree is in use
  std::uint32_t set_aside_for_ = 0;          // written once, before set_aside_
  mutable std::mutex mutex_;  // protects pending_; taken with a page latch held, never the other way round
  std::deque<Pending> pending_;
};

}  // namespace rustbd::storage
