#include "rustbd/storage/rows/table_tree.h"

#include <algorithm>
#include <atomic>

#include "rustbd/storage/btree/check_tree.h"
#include "rustbd/storage/rows/table_pages.h"

namespace rustbd::storage {

class TableBlink : public Blink<TableOps> {
 public:
  using Blink::Blink;
  // The rightmost leaf as last seen, a hint: its page id and its base. Each may be older than the other.
  std::atomic<std::uint64_t> last_leaf{0};
  std::atomic<std::uint64_t> last_base{~0ull};
};

TableTree::TableTree(BufferManager& buffer, TableId table, PageId root)
    : buffer_(buffer),
      table_(table),
      root_(root),
      tree_(std::make_unique<TableBlink>(buffer, table.raw(), root)) {}
TableTree::~TableTree() = default;

Status TableTree::create(BufferManager& buffer, TableId table, const RowFormat& format,
                         ExclusiveGuard* root) {
  Allocated page = buffer.alloc(PageKind::kTableLeaf, table.raw());
  if (!page) return to_status(page.status, page.wait);
  LeafPage::init(page.guard.mutable_bytes(), format, 1, kNoHighFence, PageId{},
                 LeafPage::expected_heap_bytes(format));
  *root = std::move(page.guard);
  return Status::ok();
}

Status TableTree::locate(RowId rowid, PageId* leaf) {
  const auto pin = buffer_.epochs().pin();
  OptimisticGuard guard;
  if (Status s = tree_->fix_page(rowid.raw(), Side::kAt, 0, &guard); !s) return s;
  *leaf = guard.page_id();
  return Status::ok();
}

namespace {
template <class Guard>
Status fix_any(TableBlink& tree, RowId rowid, Guard* leaf, PageId* hint,
               const TableOps::Wish* wish = nullptr) {
  const auto pin = tree.buffer().epochs().pin();
  PageId mine = hint != nullptr ? *hint : PageId{};
  if (mine.is_none() && rowid.raw() >= tree.last_base.load(std::memory_order_relaxed)) {
    mine = PageId{tree.last_leaf.load(std::memory_order_relaxed)};
  }
  if (Status s = tree.fix_page(rowid.raw(), Side::kAt, 0, leaf, &mine, wish); !s) return s;
  if (hint != nullptr) *hint = mine;
  if (read_once<std::uint64_t>(leaf->data() + leaf_field::kHighFence) == kNoHighFence &&
      tree.last_leaf.load(std::memory_order_relaxed) != mine.raw()) {
    tree.last_leaf.store(mine.raw(), std::memory_order_relaxed);
    tree.last_base.store(read_once<std::uint64_t>(leaf->data() + leaf_field::kBase),
                         std::memory_order_relaxed);
  }
  return Status::ok();
}
}  // namespace

Status TableTree::fix_leaf(RowId rowid, OptimisticGuard* leaf, PageId* hint) {
  return fix_any(*tree_, rowid, leaf, hint);
}
Status TableTree::fix_leaf(RowId rowid, SharedGuard* leaf, PageId* hint) {
  return fix_any(*tree_, rowid, leaf, hint);
}
Status TableTree::fix_leaf(RowId rowid, SharedGuard* leaf, PageId* hint, const RowFormat& format,
                           std::span<const ColumnNumber> columns) {
  const TableOps::Wish wish{&format, columns};
  return fix_any(*tree_, rowid, leaf, hint, &wish);
}
Status TableTree::fix_leaf(RowId rowid, ExclusiveGuard* leaf, PageId* hint) {
  return fix_any(*tree_, rowid, leaf, hint);
}
PageId TableTree::append_hint() const { return PageId{tree_->last_leaf.load(std::memory_order_relaxed)}; }

Status TableTree::leaves_from(RowId from, std::size_t limit, std::vector<LeafRange>* leaves, RowId* next) {
  const auto pin = buffer_.epochs().pin();
  SharedGuard parent;
  if (Status s = tree_->fix_page(from.raw(), Side::kAt, 1, &parent); !s) return s;
  if (!parent.held()) {
    leaves->push_back({root_, from});
    *next = RowId{};
    return Status::ok();
  }
  const std::uint32_t count = TableOps::child_count(parent.data());
  std::uint32_t place = TableOps::child_place(parent.data(), from.raw());
  for (; place < count && limit > 0; ++place, --limit) {
    leaves->push_back({TableOps::child(parent.data(), place),
                       RowId{std::max(from.raw(), TableInner::key(parent.data(), place))}});
  }
  const std::uint64_t end =
      place < count ? TableInner::key(parent.data(), place) : TableInner::upper(parent.data());
  *next = end == kNoHighFence ? RowId{} : RowId{end};
  return Status::ok();
}

Status TableTree::place_of(RowId rowid, LeafPlace* place) {
  const auto pin = buffer_.epochs().pin();
  *place = {root_, {}, {}, 0, kNoHighFence};
  SharedGuard parent;
  Status status = tree_->fix_page(rowid.raw(), Side::kAt, 1, &parent);
  if (status.outcome == Outcome::kDamaged && status.page == root_ &&
      buffer_.stored_kind(root_) == PageKind::kTableLeaf)
    return Status::ok();  // the root is the leaf
  if (!status || !parent.held()) return status;
  const std::uint32_t count = TableOps::child_count(parent.data());
  const std::uint32_t at = TableOps::child_place(parent.data(), rowid.raw());
  const PageId right_parent{parent.header().right_sibling};
  place->page = TableOps::child(parent.data(), at);
  place->low = TableInner::key(parent.data(), at);
  place->high = at + 1 < count ? TableInner::key(parent.data(), at + 1) : TableInner::upper(parent.data());
  if (at > 0) place->left = TableOps::child(parent.data(), at - 1);
  if (at + 1 < count) place->right = TableOps::child(parent.data(), at + 1);
  parent.release();
  if (place->left.is_none() && place->low > 1) {
    if (status = tree_->fix_page(place->low, Side::kBefore, 1, &parent); !status) return status;
    place->left = TableOps::child(parent.data(), TableOps::child_count(parent.data()) - 1);
    parent.release();
  }
  if (place->right.is_none() && !right_parent.is_none()) {
    if (status = tree_->fix(right_parent, &parent); !status) return status;
    place->right = TableOps::child(parent.data(), 0);
  }
  return Status::ok();
}

void TableTree::prefetch_leaf(RowId rowid) {
  PageId leaf;
  {
    const auto pin = buffer_.epochs().pin();
    SharedGuard parent;
    if (!tree_->fix_page(rowid.raw(), Side::kAt, 1, &parent) || !parent.held()) return;
    leaf = TableOps::child(parent.data(), TableOps::child_place(parent.data(), rowid.raw()));
  }
  buffer_.prefetch(leaf);
}

Status TableTree::remake_leaf(const LeafPlace& place, std::uint64_t low, const RowFormat& format) {
  const Action action(buffer_.gate());
  Allocated page = buffer_.remake(place.page, PageKind::kTableLeaf, table_.raw());
  if (page.status == AllocStatus::kStopped) return Status::damaged(place.page, table_.raw());
  if (!page) return to_status(page.status, page.wait);
  LeafPage::init(page.guard.mutable_bytes(), format, std::max<std::uint64_t>(low, 1), place.high, place.right,
                 LeafPage::expected_heap_bytes(format));
  return Status::ok();
}

Status TableTree::split_leaf(RowId rowid, const RowFormat& format) {
  bool sound = true;
  const auto plan = [&](std::span<const std::byte> page) -> std::optional<std::uint64_t> {
    LeafView view;
    if (!LeafView::open(page.data(), format, &view)) {
      sound = false;
      return std::nullopt;
    }
    // The bytes are only read: room_for_any and split_point are const.
    const LeafPage leaf(std::span<std::byte>{const_cast<std::byte*>(page.data()), page.size()}, format);
    if (leaf.room_for_any(rowid)) return std::nullopt;
    const RowId at = leaf.split_point(rowid);
    return at.is_none() ? std::nullopt : std::optional{at.raw()};
  };
  const auto cut = [&](std::span<std::byte> left, std::uint64_t at, std::span<std::byte> right,
                       PageId right_id) { LeafPage(left, format).split(RowId{at}, rowid, right, right_id); };
  Status status = tree_->split(rowid.raw(), plan, cut);
  return sound ? status : Status::damaged(root_, table_.raw());
}

void TableTree::set_aside(PageId page, std::uint32_t owner) { tree_->set_aside(page, owner); }
bool TableTree::is_set_aside() const { return tree_->is_set_aside(); }

Status TableTree::remove_empty_leaf(RowId rowid) { return tree_->remove_empty(rowid.raw()); }
Status TableTree::settle() { return tree_->settle(); }
std::size_t TableTree::unsettled() const { return tree_->unsettled(); }

Status TableTree::downgrade_leaves(const RowFormat& from, const RowFormat& to, RowId* position) {
  while (true) {
    std::uint64_t fence = 0;
    {
      Action action(buffer_.gate());
      ExclusiveGuard leaf;
      if (Status s = fix_leaf(*position, &leaf); !s) return s;
      LeafView view;
      if (!LeafView::open(leaf.data(), from, &view)) return Status::damaged(leaf.page_id(), table_.raw());
      fence = view.high_fence();
      if (view.schema_version() > to.table().schema_version) {
        if (DirtyResult dirty = leaf.mark_dirty(); !dirty) return Status::miss(std::move(dirty.retry));
        if (!LeafPage(leaf.mutable_bytes(), from).convert(to))
          return Status::damaged(leaf.page_id(), table_.raw());
      }
    }
    if (fence == kNoHighFence) return Status::ok();
    *position = RowId{fence};
  }
}

Status TableTree::free_step(const RowFormat* format, PendingFree* pending, bool* done,
                            std::vector<OverflowRef>* chains) {
  const auto give_chains_up = [&](const ExclusiveGuard& leaf) {
    LeafView view;
    if (format == nullptr || pending == nullptr) return Status::ok();
    if (!LeafView::open(leaf.data(), *format, &view)) {
      buffer_.note_freed_unread();  // its chains stay allocated
      return Status::ok();
    }
    for (std::uint32_t c = 0; c < format->column_count(); ++c) {
      if (!types::is_variable(format->phys(c))) continue;
      for (std::uint32_t slot = 0; slot < view.rows(); ++slot) {
        Cell cell;
        if (view.cell(slot, c, &cell) && cell.kind == CellKind::kOverflow) {
          pending->add(cell.overflow_ref().first, PendingKind::kChain);
          if (chains != nullptr) chains->push_back(cell.overflow_ref());
        }
      }
    }
    return Status::ok();
  };
  return tree_->free_step(give_chains_up, done);
}

TreeReport TableTree::check(const RowFormat& format) {
  const auto summarize = [&](const SharedGuard& page) {
    PageSummary<std::uint64_t> summary;
    if (page.header().level == 0) {
      LeafView view;
      if (!LeafView::open(page.data(), format, &view)) {
        summary.problem = "no sound table leaf";
        return summary;
      }
      summary.problem = view.verify();
      summary.lower = view.base_rowid();
      summary.upper = view.high_fence();
      summary.entries = view.rows();
    } else {
      const std::uint32_t count = page.header().count;
      summary.upper = TableInner::upper(page.data());
      summary.has_lower = true;
      if (count == 0 || count > TableInner::kCapacity) {
        summary.problem = "no sound inner page";
        return summary;
      }
      summary.lower = TableInner::key(page.data(), 0);
      if (TableInner::key(page.data(), count - 1) >= summary.upper)
        summary.problem = "a key above the upper fence";
    }
    summary.no_upper = summary.upper == kNoHighFence;
    return summary;
  };
  return check_tree<TableOps>(buffer_, table_.raw(), root_, summarize);
}

}  // namespace rustbd::storage
