// The table tree against a map, on a simulated disk with a small pool, so that pages miss and are evicted all
// the time.
#include "rustbd/storage/rows/table_tree.h"

#include <gtest/gtest.h>

#include "rustbd/storage/pages/testing/storage_fixture.h"
#include "rustbd/storage/rows/overflow.h"
#include "rustbd/storage/rows/testing/rows_model.h"

namespace rustbd::storage {
namespace {

using namespace testing;

class TableTreeModel {
 public:
  explicit TableTreeModel(std::uint64_t seed, std::size_t text_max, std::uint64_t frames = 64)
      : world_(seed),
        random_(seed + 1),
        table_(sample_table()),
        format_(format_of(table_)),
        text_max_(text_max) {
    storage_ = world_.open(source_, frames);
    PageId root;
    EXPECT_TRUE(run_blocking([&] {
      Action action(storage_->gate());
      ExclusiveGuard guard;
      Status s = TableTree::create(buffer(), table_.table, format_, &guard);
      if (s) root = guard.page_id();
      return s;
    }));
    tree_ = std::make_unique<TableTree>(buffer(), table_.table, root);
  }
  ~TableTreeModel() {
    tree_.reset();
    if (storage_) (void)storage_->close(false);
  }

  BufferManager& buffer() { return storage_->buffer(); }
  TableTree& tree() { return *tree_; }
  const RowFormat& format() { return format_; }
  io::SeededRandom& random() { return random_; }
  Storage& storage() { return *storage_; }
  std::map<std::uint64_t, ModelRow> model;

  void insert(std::uint64_t rowid) {
    const ModelRow row = random_row(random_, table_, text_max_);
    const auto cells = cells_of(row, table_);
    ASSERT_TRUE(write(RowId{rowid}, [&](LeafPage& leaf, ExclusiveGuard& guard) {
      if (leaf.room_for_insert(RowId{rowid}, cells) == Room::kFull) return Status::full();
      if (DirtyResult dirty = guard.mark_dirty(); !dirty) return Status::miss(std::move(dirty.retry));
      leaf.insert(RowId{rowid}, cells);
      return Status::ok();
    }));
    model[rowid] = row;
  }

  void remove(std::uint64_t rowid) {
    bool empty = false;
    ASSERT_TRUE(write(RowId{rowid}, [&](LeafPage& leaf, ExclusiveGuard& guard) {
      if (DirtyResult dirty = guard.mark_dirty(); !dirty) return Status::miss(std::move(dirty.retry));
      leaf.remove(leaf.find(RowId{rowid}));
      empty = leaf.rows() == 0;
      return Status::ok();
    }));
    model.erase(rowid);
    if (!empty) return;
    ASSERT_TRUE(run_blocking([&] { return tree_->remove_empty_leaf(RowId{rowid}); }));
  }

  void check() {
    (void)run_blocking([&] { return tree_->settle(); });
    const TreeReport report = tree_->check(format_);
    ASSERT_TRUE(report.problems.empty()) << report.problems[0];
    ASSERT_EQ(report.entries, model.size());
    std::map<std::uint64_t, ModelRow> found;
    for (std::uint64_t rowid = 1; rowid != kNoHighFence;) {
      SharedGuard leaf;
      ASSERT_TRUE(run_blocking([&] { return tree_->fix_leaf(RowId{rowid}, &leaf); }));
      LeafView view;
      ASSERT_TRUE(LeafView::open(leaf.data(), format_, &view));
      found.merge(rows_of(view));
      rowid = view.high_fence();
    }
    ASSERT_EQ(found, model);
  }

  void read_one(std::uint64_t rowid) {
    OptimisticGuard leaf;
    PageId located;
    ASSERT_TRUE(run_blocking([&] { return tree_->locate(RowId{rowid}, &located); }));
    ASSERT_TRUE(run_blocking([&] { return tree_->fix_leaf(RowId{rowid}, &leaf, &hint_); }));
    LeafView view;
    ASSERT_TRUE(LeafView::open(leaf.data(), format_, &view));
    const std::uint32_t slot = view.find(RowId{rowid});
    ASSERT_EQ(slot != kNoSlot, model.contains(rowid));
    ASSERT_TRUE(leaf.check());
    if (slot == kNoSlot) return;
    ASSERT_EQ(row_of(view, slot), model[rowid]);
  }

 private:
  template <class Change>
  Status write(RowId rowid, Change&& change) {
    while (true) {
      Status s = run_blocking([&] {
        Action action(storage_->gate());
        ExclusiveGuard guard;
        if (Status fixed = tree_->fix_leaf(rowid, &guard); !fixed) return fixed;
        LeafPage leaf(std::span<std::byte>{const_cast<std::byte*>(guard.data()), kPageBytes}, format_);
        return change(leaf, guard);
      });
      if (s.outcome != Outcome::kFull) return s;
      if (s = run_blocking([&] { return tree_->split_leaf(rowid, format_); }); !s) return s;
    }
  }

  SimulatedWorld world_;
  FakeSource source_;
  io::SeededRandom random_;
  TableLayout table_;
  RowFormat format_;
  std::size_t text_max_;
  std::unique_ptr<Storage> storage_;
  std::unique_ptr<TableTree> tree_;
  PageId hint_;
};

TEST(TableTree, AgreesWithMap) {
  for (std::uint64_t seed = 0; seed < 6; ++seed) {
    SCOPED_TRACE(seed);
    TableTreeModel t(seed, seed % 2 == 0 ? 40 : 1500);
    const std::uint64_t span = seed % 3 == 0 ? 3000 : 2'000'000;  // dense, or far apart
    for (int i = 0; i < 2500; ++i) {
      const auto choice = t.random().below(100);
      const bool shrink = (i / 800) % 2 == 1;
      if (choice < (shrink ? 15u : 60u) || t.model.empty()) {
        const std::uint64_t rowid = t.random().chance(400) && !t.model.empty() ? t.model.rbegin()->first + 1
                                                                               : 1 + t.random().below(span);
        if (!t.model.contains(rowid)) t.insert(rowid);
      } else if (choice < 90) {
        t.remove(t.model.lower_bound(t.random().below(t.model.rbegin()->first + 1))->first);
      } else {
        t.read_one(1 + t.random().below(span));
      }
      if (HasFatalFailure()) return;
      if (i % 250 == 0) t.check();
      if (HasFatalFailure()) return;
    }
    t.check();
  }
}

TEST(TableTree, AppendsLeaveFullLeavesAndLeavesAreListed) {
  TableTreeModel t(1, 10, 256);
  for (std::uint64_t rowid = 1; rowid <= 6000; ++rowid) t.insert(rowid);
  t.check();
  const TreeReport report = t.tree().check(t.format());
  EXPECT_EQ(report.dead_pages, 0u);
  EXPECT_GT(report.leaf_pages, 10u);
  std::vector<LeafRange> leaves;
  RowId from{1};
  while (!from.is_none())
    ASSERT_TRUE(run_blocking([&] { return t.tree().leaves_from(from, 7, &leaves, &from); }));
  EXPECT_EQ(leaves.size(), report.leaf_pages);
  for (std::size_t i = 1; i < leaves.size(); ++i) EXPECT_LT(leaves[i - 1].first_rowid, leaves[i].first_rowid);
}

TEST(TableTree, EmptiedTreeShrinksAndFreesItsPages) {
  TableTreeModel t(3, 30, 256);
  for (std::uint64_t rowid = 1; rowid <= 5000; ++rowid) t.insert(rowid);
  const std::uint64_t before = t.tree().check(t.format()).leaf_pages;
  for (std::uint64_t rowid = 1; rowid <= 5000; ++rowid) t.remove(rowid);
  t.check();
  const TreeReport report = t.tree().check(t.format());
  EXPECT_LT(report.leaf_pages + report.dead_pages, before / 3);
  bool done = false;
  while (!done)
    ASSERT_TRUE(run_blocking([&] { return t.tree().free_step(&t.format(), &t.storage().pending(), &done); }));
  while (t.buffer().reclaim_freed(1000) > 0) {}
  for (const PageId page : report.pages) EXPECT_EQ(t.buffer().fix_shared(page).status, FixStatus::kDamaged);
}

TEST(TableTree, EmptiedTreeLargerThanThePoolShrinks) {
  TableTreeModel t(6, 1500, 24);
  std::uint64_t pages = 0;
  for (std::uint64_t cycle = 0; cycle < 3; ++cycle) {
    std::vector<std::uint64_t> order;
    for (std::uint64_t i = 1; i <= 3000; ++i) order.push_back(cycle * 3000 + i);
    for (const std::uint64_t rowid : order) t.insert(rowid);
    ASSERT_GT(t.tree().check(t.format()).leaf_pages, 60u);
    for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[t.random().below(i)]);
    for (const std::uint64_t rowid : order) t.remove(rowid);
    t.check();
    const TreeReport report = t.tree().check(t.format());
    EXPECT_EQ(report.dead_pages, 0u);
    EXPECT_LE(report.leaf_pages, 2u);
    EXPECT_EQ(t.tree().unsettled(), 0u);
    while (t.buffer().reclaim_freed(1000) > 0) {}
    if (cycle == 0) pages = t.buffer().next_page_id();
  }
  EXPECT_LE(t.buffer().next_page_id(), pages + 20);
}

TEST(TableTree, WholeTreeIsFreed) {
  TableTreeModel t(4, 600, 256);
  for (std::uint64_t i = 0; i < 3000; ++i) {
    const std::uint64_t rowid = 1 + t.random().below(1'000'000);
    if (!t.model.contains(rowid)) t.insert(rowid);
  }
  const TreeReport report = t.tree().check(t.format());
  ASSERT_TRUE(report.problems.empty());
  bool done = false;
  while (!done) ASSERT_TRUE(run_blocking([&] { return t.tree().free_step(nullptr, nullptr, &done); }));
  while (t.buffer().reclaim_freed(1000) > 0) {}
  for (const PageId page : report.pages) EXPECT_EQ(t.buffer().fix_shared(page).status, FixStatus::kDamaged);
}

TEST(Overflow, ChainsAreWrittenReadAndFreed) {
  TableTreeModel t(5, 10);
  for (const std::size_t bytes :
       {std::size_t{1}, std::size_t{kOverflowDataBytes}, std::size_t{100000}, std::size_t{2'000'000}}) {
    const std::string value =
        random_text(t.random(), 10) + std::string(bytes, 'q') + random_text(t.random(), 10);
    OverflowWrite write(value, 20000, t.storage().pending());
    ASSERT_TRUE(run_blocking([&] { return write.run(t.buffer()); }));
    EXPECT_EQ(t.storage().pending().size(), 1u);
    std::string read(value.size(), ' ');
    OverflowRead reader(write.ref(), read.data());
    ASSERT_TRUE(run_blocking([&] { return reader.run(t.buffer()); }));
    EXPECT_EQ(read, value);
    OverflowFree gone(write.ref());
    ASSERT_TRUE(run_blocking([&] { return gone.run(t.buffer(), t.storage().pending()); }));
    while (t.buffer().reclaim_freed(1000) > 0) {}
    EXPECT_EQ(t.storage().pending().size(), 0u);
    EXPECT_EQ(t.buffer().fix_shared(write.ref().first).status, FixStatus::kDamaged);
  }
}

}  // namespace
}  // namespace rustbd::storage
