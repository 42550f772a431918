#include "rustbd/storage/btree/index_tree.h"

#include <algorithm>
#include <atomic>

#include "rustbd/storage/btree/check_tree.h"
#include "rustbd/storage/btree/index_page.h"

namespace rustbd::storage {

class IndexBlink : public Blink<IndexOps> {
 public:
  using Blink::Blink;
  std::atomic<std::uint64_t> last_leaf{0};  // where the builder appended last: a hint
};

namespace {

constexpr std::size_t kRowidBytes = 8;
constexpr std::uint32_t kTries = 1024;

/// key ‖ rowid, big-endian.
Bytes entry_of(ByteSpan key, std::uint64_t rowid) {
  Bytes entry(key.size() + kRowidBytes);
  std::copy(key.begin(), key.end(), entry.begin());
  store(entry.data() + key.size(), __builtin_bswap64(rowid));
  return entry;
}

bool has_entry(const IndexView& view, ByteSpan entry, std::uint32_t* place) {
  RUSTBD_ASSERT(view.lower_bound(entry, place), "a latched index page is sound");
  ByteSpan rest;
  return *place < view.count() && view.suffix(*place, &rest) &&
         compare_keys(rest, entry.subspan(view.prefix().size())) == 0;
}

Status open_latched(const ExclusiveGuard& guard, IndexView* view) {
  return IndexView::open(guard.data(), view) ? Status::ok()
                                             : Status::damaged(guard.page_id(), guard.header().owner);
}

/// Last 8 bytes of prefix ‖ rest as a rowid.
bool rowid_of(ByteSpan prefix, ByteSpan rest, RowId* out) {
  std::byte raw[kRowidBytes];
  if (rest.size() >= kRowidBytes) {
    std::memcpy(raw, rest.data() + rest.size() - kRowidBytes, kRowidBytes);
  } else {
    const std::size_t wanted = kRowidBytes - rest.size();
    if (prefix.size() < wanted) return false;
    std::memcpy(raw, prefix.data() + prefix.size() - wanted, wanted);
    if (!rest.empty()) std::memcpy(raw + wanted, rest.data(), rest.size());
  }
  *out = RowId{__builtin_bswap64(load<std::uint64_t>(raw))};
  return true;
}

/// Copies one entry out; false: torn.
bool copy_entry(const IndexView& view, std::uint32_t place, bool with_key, IndexBatch* batch) {
  ByteSpan rest;
  IndexBatch::Entry entry;
  if (!view.suffix(place, &rest) || !rowid_of(view.prefix(), rest, &entry.rowid)) return false;
  if (with_key) {
    const std::size_t bytes = view.prefix().size() + rest.size() - kRowidBytes;
    entry.key_offset = static_cast<std::uint32_t>(batch->keys.size());
    entry.key_bytes = static_cast<std::uint32_t>(bytes);
    batch->keys.resize(entry.key_offset + bytes + kRowidBytes);
    std::byte* to = batch->keys.data() + entry.key_offset;
    to = std::copy(view.prefix().begin(), view.prefix().end(), to);
    std::copy(rest.begin(), rest.end(), to);
    batch->keys.resize(entry.key_offset + bytes);
  }
  batch->entries.push_back(entry);
  return true;
}

Bytes copy_of(ByteSpan bytes) { return {bytes.begin(), bytes.end()}; }

}  // namespace

Bytes after_prefix(Bytes prefix) {
  while (!prefix.empty() && prefix.back() == std::byte{0xFF}) prefix.pop_back();
  if (!prefix.empty()) prefix.back() = static_cast<std::byte>(static_cast<std::uint8_t>(prefix.back()) + 1);
  return prefix;
}

IndexTree::IndexTree(BufferManager& buffer, IndexId index, PageId root)
    : buffer_(buffer),
      index_(index),
      root_(root),
      tree_(std::make_unique<IndexBlink>(buffer, index.raw(), root)) {}
IndexTree::~IndexTree() = default;

Status IndexTree::create(BufferManager& buffer, IndexId index, ExclusiveGuard* root) {
  Allocated page = buffer.alloc(PageKind::kIndexLeaf, index.raw());
  if (!page) return to_status(page.status, page.wait);
  IndexPage::init(page.guard.mutable_bytes(), 0, {}, {}, PageId{});
  *root = std::move(page.guard);
  return Status::ok();
}

Status IndexTree::prepare_insert(ByteSpan key, RowId rowid, IndexInsert* insert) {
  if (key.size() > kIndexKeyBytesMax) return Status::too_large();
  const auto pin = buffer_.epochs().pin();
  insert->entry_ = entry_of(key, rowid.raw());
  if (Status s = tree_->fix_page(insert->entry_, Side::kAt, 0, &insert->leaf_); !s) return s;
  return insert->inspect();
}

Status IndexInsert::inspect() {
  IndexView view;
  if (Status s = open_latched(leaf_, &view); !s) return s;
  std::uint32_t place = 0;
  exists_ = has_entry(view, entry_, &place);
  if (exists_) return Status::ok();
  const IndexPage page({const_cast<std::byte*>(leaf_.data()), kPageBytes});  // room() is const
  return page.room(entry_) ? Status::ok() : Status::full();
}

void IndexInsert::apply() {
  if (exists_) return;
  IndexPage page(leaf_.mutable_bytes());
  std::uint32_t place = 0;
  RUSTBD_ASSERT(!has_entry(page, entry_, &place) && page.room(entry_),
                "the leaf was latched since it was inspected");
  page.insert(place, entry_);
}

Status IndexTree::prepare_remove(ByteSpan key, RowId rowid, IndexRemove* remove) {
  const auto pin = buffer_.epochs().pin();
  remove->tree_ = this;
  remove->entry_ = entry_of(key, rowid.raw());
  if (Status s = tree_->fix_page(remove->entry_, Side::kAt, 0, &remove->leaf_); !s) return s;
  IndexView view;
  if (Status s = open_latched(remove->leaf_, &view); !s) return s;
  std::uint32_t place = 0;
  remove->found_ = has_entry(view, remove->entry_, &place);
  return Status::ok();
}

bool IndexRemove::apply() {
  if (!found_) return false;
  tree_->removals_.fetch_add(1, std::memory_order_acq_rel);
  IndexPage page(leaf_.mutable_bytes());
  std::uint32_t place = 0;
  RUSTBD_ASSERT(has_entry(page, entry_, &place), "the leaf was latched since it was inspected");
  page.remove(place);
  return page.count() == 0;
}

Status IndexTree::insert(ByteSpan key, RowId rowid) {
  while (true) {
    {
      Action action(buffer_.gate());
      IndexInsert insert;
      Status s = prepare_insert(key, rowid, &insert);
      if (s) {
        if (DirtyResult dirty = insert.mark_dirty(); !dirty) return Status::miss(std::move(dirty.retry));
        insert.apply();
        return s;
      }
      if (s.outcome != Outcome::kFull) return s;
    }
    if (Status s = split(key, rowid); !s) return s;
  }
}

Status IndexTree::remove(ByteSpan key, RowId rowid, bool* found) {
  bool empty = false;
  {
    Action action(buffer_.gate());
    IndexRemove remove;
    if (Status s = prepare_remove(key, rowid, &remove); !s) return s;
    if (DirtyResult dirty = remove.mark_dirty(); !dirty) return Status::miss(std::move(dirty.retry));
    if (found != nullptr) *found = remove.found();
    empty = remove.apply();
  }
  if (empty && !remove_empty_leaf(key, rowid)) tree_->remove_empty_later(entry_of(key, rowid.raw()));
  return Status::ok();
}

Status IndexTree::contains(ByteSpan key, RowId rowid, bool* found) {
  const auto pin = buffer_.epochs().pin();
  const Bytes entry = entry_of(key, rowid.raw());
  for (std::uint32_t round = 0; round < kTries; ++round) {
    OptimisticGuard leaf;
    if (Status s = tree_->fix_page(ByteSpan{entry}, Side::kAt, 0, &leaf); !s) return s;
    IndexView view;
    std::uint32_t place = 0;
    ByteSpan rest;
    const bool sound = IndexView::open(leaf.data(), &view) && view.lower_bound(entry, &place);
    *found = sound && place < view.count() && view.suffix(place, &rest) &&
             compare_keys(rest, ByteSpan{entry}.subspan(std::min(view.prefix().size(), entry.size()))) == 0;
    if (!leaf.check()) continue;
    return sound ? Status::ok() : Status::damaged(leaf.page_id(), index_.raw());
  }
  return Status::restart();
}

Status IndexTree::split(ByteSpan key, RowId rowid) {
  const Bytes entry = entry_of(key, rowid.raw());
  const auto plan = [&](std::span<const std::byte> bytes) -> std::optional<Bytes> {
    const IndexPage page(std::span<std::byte>{const_cast<std::byte*>(bytes.data()), bytes.size()});  // const
    Bytes at;
    if (page.room(entry) || !page.split_key(entry, &at)) return std::nullopt;
    return at;
  };
  const auto cut = [](std::span<std::byte> left, const Bytes& at, std::span<std::byte> right,
                      PageId right_id) { IndexPage(left).cut(at, right, right_id); };
  return tree_->split(ByteSpan{entry}, plan, cut);
}

Status IndexTree::remove_empty_leaf(ByteSpan key, RowId rowid) {
  const Bytes entry = entry_of(key, rowid.raw());
  return tree_->remove_empty(ByteSpan{entry});
}
Status IndexTree::settle() { return tree_->settle(); }
void IndexTree::set_aside(PageId page, std::uint32_t owner) { tree_->set_aside(page, owner); }
bool IndexTree::is_set_aside() const { return tree_->is_set_aside(); }
std::size_t IndexTree::unsettled() const { return tree_->unsettled(); }
Status IndexTree::free_step(bool* done) {
  return tree_->free_step([](const ExclusiveGuard&) { return Status::ok(); }, done);
}

TreeReport IndexTree::check(std::vector<std::pair<Bytes, RowId>>* entries) {
  const auto summarize = [&](const SharedGuard& page) {
    PageSummary<Bytes> summary;
    IndexView view;
    if (!IndexView::open(page.data(), &view)) {
      summary.problem = "no sound index page";
      return summary;
    }
    summary.problem = view.verify();
    summary.has_lower = true;
    summary.lower = copy_of(view.lower());
    summary.upper = copy_of(view.upper());
    summary.no_upper = view.no_upper();
    summary.entries = view.count();
    if (view.inner() || summary.problem != nullptr) return summary;
    for (std::uint32_t i = 0; i < view.count(); ++i) {
      Bytes entry;
      if (!view.key(i, &entry) || entry.size() < kRowidBytes) {
        summary.problem = "an entry without a rowid";
        return summary;
      }
      if (entries == nullptr) continue;
      const RowId rowid{__builtin_bswap64(load<std::uint64_t>(entry.data() + entry.size() - kRowidBytes))};
      entry.resize(entry.size() - kRowidBytes);
      entries->emplace_back(std::move(entry), rowid);
    }
    return summary;
  };
  return check_tree<IndexOps>(buffer_, index_.raw(), root_, summarize);
}

IndexCursor::IndexCursor(IndexTree& tree, const KeyRange& range, bool backward, bool with_keys)
    : tree_(&tree), backward_(backward), with_keys_(with_keys) {
  restart(range);
}

void IndexCursor::restart(const KeyRange& range) {
  low_ = range.low;
  high_ = range.high;
  high_open_ = high_.empty();
  hint_ = {};
  done_ = false;
  if (!high_open_ && compare_keys(low_, high_) >= 0) done_ = true;
  if (backward_ && high_open_) {  // above every entry
    high_.assign(kIndexKeyBytesMax + kRowidBytes + 1, std::byte{0xFF});
    high_open_ = false;
  }
}

Status IndexCursor::next(IndexBatch* batch, std::size_t limit) {
  batch->clear();
  const auto pin = tree_->buffer_.epochs().pin();
  batch->removals = tree_->removals();
  for (std::uint32_t round = 0; round < kTries; ++round) {
    if (done_ || !batch->entries.empty()) return Status::ok();
    Status s =
        backward_ ? tree_->read_backward(*this, batch, limit) : tree_->read_forward(*this, batch, limit);
    if (!s) {
      batch->clear();
      return s;
    }
  }
  return done_ || !batch->entries.empty() ? Status::ok() : Status::restart();
}

/// One leaf, or none if it changed under the reader (the cursor then stands where it stood).
Status IndexTree::read_forward(IndexCursor& cursor, IndexBatch* batch, std::size_t limit) {
  OptimisticGuard leaf;
  if (Status s = tree_->fix_page(ByteSpan{cursor.low_}, Side::kAt, 0, &leaf, &cursor.hint_); !s) return s;
  IndexView view;
  std::uint32_t first = 0, end = 0;
  bool sound = IndexView::open(leaf.data(), &view) && view.lower_bound(cursor.low_, &first);
  bool last = sound && view.no_upper();
  if (sound) {
    end = view.count();
    if (!cursor.high_open_ && (view.no_upper() || compare_keys(cursor.high_, view.upper()) <= 0)) {
      last = true;
      if (view.no_upper() || compare_keys(cursor.high_, view.upper()) < 0)
        sound = view.lower_bound_near(first, cursor.high_, &end);
    }
  }
  const std::uint32_t stop =
      first + static_cast<std::uint32_t>(std::min<std::size_t>(end - std::min(first, end), limit));
  for (std::uint32_t i = first; sound && i < stop; ++i) sound = copy_entry(view, i, cursor.with_keys_, batch);
  Bytes position;
  PageId hint = leaf.page_id();
  const bool limited = sound && stop < end;
  if (limited) {
    sound = view.key(stop - 1, &position);
    position.push_back(std::byte{0});  // just above the last one taken
  } else if (sound && !last) {
    position = copy_of(view.upper());
    hint = view.right_sibling();
  }
  if (!leaf.check()) {
    batch->clear();
    return Status::ok();
  }
  if (!sound) return Status::damaged(leaf.page_id(), index_.raw());
  cursor.done_ = last && !limited;
  if (!cursor.done_) cursor.low_ = std::move(position);
  cursor.hint_ = hint;
  return Status::ok();
}

Status IndexTree::read_backward(IndexCursor& cursor, IndexBatch* batch, std::size_t limit) {
  OptimisticGuard leaf;
  if (Status s = tree_->fix_page(ByteSpan{cursor.high_}, Side::kBefore, 0, &leaf); !s) return s;
  IndexView view;
  std::uint32_t first = 0, end = 0;
  bool sound = IndexView::open(leaf.data(), &view);
  bool last = false;
  if (sound) {
    end = view.count();
    if (view.no_upper() || compare_keys(cursor.high_, view.upper()) < 0)
      sound = view.lower_bound(cursor.high_, &end);
    last = view.lower().empty() || compare_keys(cursor.low_, view.lower()) >= 0;
    if (sound && compare_keys(cursor.low_, view.lower()) > 0) sound = view.lower_bound(cursor.low_, &first);
  }
  const std::uint32_t have = end > first ? end - first : 0;
  const std::uint32_t stop = end - static_cast<std::uint32_t>(std::min<std::size_t>(have, limit));
  for (std::uint32_t i = end; sound && i > stop; --i)
    sound = copy_entry(view, i - 1, cursor.with_keys_, batch);
  Bytes position;
  const bool limited = sound && stop > first && have > 0;
  if (limited) {
    sound = view.key(stop, &position);
  } else if (sound) {
    position = copy_of(view.lower());
  }
  if (!leaf.check()) {
    batch->clear();
    return Status::ok();
  }
  if (!sound) return Status::damaged(leaf.page_id(), index_.raw());
  cursor.done_ = last && !limited;
  cursor.high_ = std::move(position);
  return Status::ok();
}

Status UniqueProbe::start(IndexTree& tree, ByteSpan key) {
  if (key.size() > kIndexKeyBytesMax) return Status::too_large();
  tree_ = &tree;
  key_ = copy_of(key);
  leaves_.clear();
  const auto pin = tree.buffer_.epochs().pin();
  ExclusiveGuard leaf;
  const Bytes lowest = entry_of(key, 0);
  if (Status s = tree.tree_->fix_page(ByteSpan{lowest}, Side::kAt, 0, &leaf); !s) return s;
  leaves_.push_back(std::move(leaf));
  return Status::ok();
}

/// Latches the next living leaf to the right of the last one.
Status UniqueProbe::step_right() {
  PageId next{leaves_.back().header().right_sibling};
  while (true) {
    ExclusiveGuard leaf;
    if (Status s = tree_->tree_->fix(next, &leaf); !s) return s;
    if ((leaf.header().flags & kPageDead) == 0) {
      leaves_.push_back(std::move(leaf));
      return Status::ok();
    }
    next = PageId{leaf.header().right_sibling};
  }
}

Status UniqueProbe::collect(std::vector<RowId>* rowids) {
  const auto pin = tree_->buffer_.epochs().pin();
  const Bytes lowest = entry_of(key_, 0), highest = entry_of(key_, ~0ull);
  std::size_t leaf = 0;
  while (true) {
    IndexView view;
    if (Status s = open_latched(leaves_[leaf], &view); !s) return s;
    std::uint32_t place = 0;
    if (compare_keys(lowest, view.lower()) >= 0) (void)view.lower_bound(lowest, &place);
    for (; place < view.count(); ++place) {
      Bytes entry;
      if (!view.key(place, &entry) || entry.size() < kRowidBytes)
        return Status::damaged(leaves_[leaf].page_id(), tree_->index_.raw());
      if (compare_keys(entry, highest) > 0) return Status::ok();
      if (entry.size() != highest.size())
        continue;  // normalised keys are prefix-free; others cannot stand between
      rowids->push_back(RowId{__builtin_bswap64(load<std::uint64_t>(entry.data() + key_.size()))});
    }
    if (view.no_upper() || compare_keys(view.upper(), highest) > 0) return Status::ok();
    if (++leaf == leaves_.size())
      if (Status s = step_right(); !s) return s;
  }
}

Status UniqueProbe::prepare_insert(RowId rowid, IndexInsert* insert) {
  const auto pin = tree_->buffer_.epochs().pin();
  insert->entry_ = entry_of(key_, rowid.raw());
  for (std::size_t leaf = 0;; ++leaf) {
    if (leaf == leaves_.size())
      if (Status s = step_right(); !s) return s;
    IndexView view;
    if (Status s = open_latched(leaves_[leaf], &view); !s) return s;
    if (!view.no_upper() && compare_keys(insert->entry_, view.upper()) >= 0) continue;
    insert->leaf_ = std::move(leaves_[leaf]);
    leaves_.erase(leaves_.begin() + static_cast<std::ptrdiff_t>(leaf));
    return insert->inspect();
  }
}

Status IndexBuilder::add(ByteSpan key, RowId rowid) {
  if (key.size() > kIndexKeyBytesMax) return Status::too_large();
  items_.push_back({static_cast<std::uint32_t>(keys_.size()), static_cast<std::uint32_t>(key.size()), rowid});
  keys_.insert(keys_.end(), key.begin(), key.end());
  return items_.size() < kItems ? Status::ok() : flush();
}

Status IndexBuilder::flush() {
  const auto key_of = [&](const Item& item) { return ByteSpan{keys_}.subspan(item.offset, item.bytes); };
  while (done_ < items_.size()) {
    Status s = append(key_of(items_[done_]));
    if (s.outcome == Outcome::kFull) s = tree_.split(key_of(items_[done_]), items_[done_].rowid);
    if (!s) return s;
  }
  items_.clear();
  keys_.clear();
  done_ = 0;
  return Status::ok();
}

/// Puts items into the leaf of the first one as long as they belong there and fit: one action. kFull: not
/// even one did.
Status IndexBuilder::append(ByteSpan first_key) {
  Action action(tree_.buffer_.gate());
  const auto pin = tree_.buffer_.epochs().pin();
  ExclusiveGuard leaf;
  PageId hint{tree_.tree_->last_leaf.load(std::memory_order_relaxed)};
  const Bytes first = entry_of(first_key, items_[done_].rowid.raw());
  if (Status s = tree_.tree_->fix_page(ByteSpan{first}, Side::kAt, 0, &leaf, &hint); !s) return s;
  tree_.tree_->last_leaf.store(hint.raw(), std::memory_order_relaxed);
  if (DirtyResult dirty = leaf.mark_dirty(); !dirty) return Status::miss(std::move(dirty.retry));
  IndexPage page(leaf.mutable_bytes());
  for (std::size_t begin = done_; done_ < items_.size(); ++done_) {
    const Item& item = items_[done_];
    const Bytes entry = entry_of(ByteSpan{keys_}.subspan(item.offset, item.bytes), item.rowid.raw());
    if (compare_keys(entry, page.lower()) < 0 || (!page.no_upper() && compare_keys(entry, page.upper()) >= 0))
      break;
    std::uint32_t place = 0;
    if (has_entry(page, entry, &place)) continue;
    if (!page.room(entry)) return done_ == begin ? Status::full() : Status::ok();
    page.insert(place, entry);
  }
  return Status::ok();
}

}  // namespace rustbd::storage
