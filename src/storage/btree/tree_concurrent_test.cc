// Writers and readers of both trees at once: what stays is always seen once and in order, nothing is lost,
// the trees are sound at the end. Run under the thread sanitizer too.
#include <gtest/gtest.h>

#include <atomic>
#include <set>

#include "rustbd/io/simulated/simulated_disk.h"
#include "rustbd/storage/btree/index_tree.h"
#include "rustbd/storage/pages/testing/storage_fixture.h"
#include "rustbd/storage/rows/table_tree.h"
#include "rustbd/storage/rows/testing/rows_model.h"

namespace rustbd::storage {
namespace {

using namespace testing;

#if defined(RUSTBD_TSAN) || defined(RUSTBD_ASAN)
constexpr std::uint64_t kRows = 1500;
#else
constexpr std::uint64_t kRows = 4000;
#endif
constexpr int kWriters = 3;

/// A storage on real threads; the disk is in memory.
struct RealWorld {
  io::SimulatedDisk disk{1};
  std::unique_ptr<io::Clock> clock = io::make_system_clock();
  std::unique_ptr<io::Random> random = io::make_system_random();
  std::unique_ptr<io::Executor> executor = io::make_thread_executor(2);
  FakeSource source;
  std::unique_ptr<Storage> storage;

  explicit RealWorld(std::uint64_t frames) {
    StorageOptions options;
    options.buffer_bytes = frames * kFrameBytes;
    options.grow_bytes = 2u << 20;
    storage = Storage::open({&disk, clock.get(), random.get(), executor.get()}, options, source);
    storage->deliver_undo_snapshot();
  }
  ~RealWorld() {
    (void)storage->close(false);
    storage.reset();
    executor->stop();
  }
  void run(std::vector<std::function<void()>> bodies) {
    std::vector<std::unique_ptr<io::BackgroundThread>> threads;
    for (auto& body : bodies) threads.push_back(executor->start_background("test", std::move(body)));
    for (auto& thread : threads) thread->join();
  }
};

std::string key_of(std::uint64_t number) {
  const std::uint64_t raw = __builtin_bswap64(number);
  return std::string(reinterpret_cast<const char*>(&raw), 8);
}

TEST(IndexTreeConcurrent, ReadersSeeWhatStaysOnceAndInOrder) {
  RealWorld world(512);
  PageId root;
  {
    Action action(world.storage->gate());
    ExclusiveGuard guard;
    ASSERT_TRUE(IndexTree::create(world.storage->buffer(), IndexId{30000}, &guard));
    root = guard.page_id();
  }
  IndexTree tree(world.storage->buffer(), IndexId{30000}, root);
  const auto insert = [&](std::uint64_t number) {
    return static_cast<bool>(
        run_blocking([&] { return tree.insert(as_bytes(key_of(number)), RowId{number + 1}); }));
  };
  // Numbers divisible by 8 stay; the writers add and take away the others.
  for (std::uint64_t i = 0; i < kRows; i += 8) ASSERT_TRUE(insert(i));
  std::atomic<int> writing{kWriters};
  std::atomic<int> failures{0};
  std::vector<std::function<void()>> bodies;
  for (int w = 0; w < kWriters; ++w) {
    bodies.push_back([&, w] {
      io::SeededRandom random(static_cast<std::uint64_t>(w));
      for (int round = 0; round < 2; ++round) {
        for (std::uint64_t n = 0; n < kRows; ++n) {
          const std::uint64_t i = round == 0 ? n : random.below(kRows);
          if (i % 8 != static_cast<std::uint64_t>(w) + 1) continue;
          if (!insert(i)) ++failures;
          if (round == 0 && random.chance(300)) continue;
          bool found = false;
          const Status s =
              run_blocking([&] { return tree.remove(as_bytes(key_of(i)), RowId{i + 1}, &found); });
          if (!s || !found) ++failures;
          if (round == 1 && !insert(i)) ++failures;
        }
      }
      --writing;
    });
  }
  for (const bool backward : {false, true}) {
    bodies.push_back([&, backward] {
      while (writing > 0) {
        IndexCursor cursor(tree, {}, backward, true);
        IndexBatch batch;
        std::uint64_t stayed = 0;
        std::string before;
        while (true) {
          if (!run_blocking([&] { return cursor.next(&batch); })) ++failures;
          if (batch.entries.empty()) break;
          for (const auto& e : batch.entries) {
            const std::string key(as_chars(batch.key(e)));
            if (!before.empty() && (backward ? key >= before : key <= before)) ++failures;
            before = key;
            stayed += (e.rowid.raw() - 1) % 8 == 0;
          }
        }
        if (stayed != (kRows + 7) / 8) ++failures;
      }
    });
  }
  world.run(std::move(bodies));
  EXPECT_EQ(failures, 0);
  (void)run_blocking([&] { return tree.settle(); });
  const TreeReport report = tree.check();
  EXPECT_TRUE(report.problems.empty()) << report.problems[0];
}

TEST(TableTreeConcurrent, WritersKeepTheirRows) {
  RealWorld world(512);
  TableLayout table = sample_table();
  const RowFormat format = format_of(table);
  PageId root;
  {
    Action action(world.storage->gate());
    ExclusiveGuard guard;
    ASSERT_TRUE(TableTree::create(world.storage->buffer(), table.table, format, &guard));
    root = guard.page_id();
  }
  TableTree tree(world.storage->buffer(), table.table, root);
  std::atomic<std::uint64_t> next_rowid{1};
  std::atomic<int> failures{0}, writing{kWriters};
  const auto write = [&](RowId rowid, auto&& change) {
    while (true) {
      Status s = run_blocking([&] {
        Action action(world.storage->gate());
        ExclusiveGuard guard;
        if (Status fixed = tree.fix_leaf(rowid, &guard); !fixed) return fixed;
        LeafPage leaf(std::span<std::byte>{const_cast<std::byte*>(guard.data()), kPageBytes}, format);
        return change(leaf, guard);
      });
      if (s.outcome == Outcome::kFull) s = run_blocking([&] { return tree.split_leaf(rowid, format); });
      else return s;
      if (!s) return s;
    }
  };
  std::vector<std::map<std::uint64_t, ModelRow>> models(kWriters);
  std::vector<std::function<void()>> bodies;
  for (int w = 0; w < kWriters; ++w) {
    bodies.push_back([&, w] {
      auto& model = models[static_cast<std::size_t>(w)];
      io::SeededRandom random(static_cast<std::uint64_t>(w) + 50);
      for (std::uint64_t i = 0; i < kRows / 2; ++i) {
        const std::uint64_t rowid = next_rowid++;
        const ModelRow row = random_row(random, table, 100);
        const auto cells = cells_of(row, table);
        const Status s = write(RowId{rowid}, [&](LeafPage& leaf, ExclusiveGuard& guard) {
          if (leaf.room_for_insert(RowId{rowid}, cells) == Room::kFull) return Status::full();
          if (DirtyResult dirty = guard.mark_dirty(); !dirty) return Status::miss(std::move(dirty.retry));
          leaf.insert(RowId{rowid}, cells);
          return Status::ok();
        });
        if (!s) ++failures;
        model[rowid] = row;
        if (!random.chance(500)) continue;
        const std::uint64_t gone = model.lower_bound(random.below(model.rbegin()->first + 1))->first;
        bool empty = false;
        const Status removed = write(RowId{gone}, [&](LeafPage& leaf, ExclusiveGuard& guard) {
          if (DirtyResult dirty = guard.mark_dirty(); !dirty) return Status::miss(std::move(dirty.retry));
          const std::uint32_t slot = leaf.find(RowId{gone});
          if (slot == kNoSlot) return Status::damaged(guard.page_id());
          leaf.remove(slot);
          empty = leaf.rows() == 0;
          return Status::ok();
        });
        if (!removed) ++failures;
        model.erase(gone);
        if (empty) (void)run_blocking([&] { return tree.remove_empty_leaf(RowId{gone}); });
      }
      --writing;
    });
  }
  bodies.push_back([&] {
    io::SeededRandom random(99);
    while (writing > 0) {
      const RowId rowid{1 + random.below(next_rowid)};
      const Status s = run_blocking([&] {
        OptimisticGuard leaf;
        if (Status fixed = tree.fix_leaf(rowid, &leaf); !fixed) return fixed;
        LeafView view;
        const bool sound = LeafView::open(leaf.data(), format, &view);
        const std::uint32_t slot = sound ? view.find(rowid) : kNoSlot;
        if (slot != kNoSlot) (void)row_of(view, slot);
        if (!leaf.check()) return Status::restart();
        if (!sound || view.dead() || rowid.raw() >= view.high_fence()) return Status::damaged(leaf.page_id());
        return Status::ok();
      });
      if (!s) ++failures;
    }
  });
  world.run(std::move(bodies));
  EXPECT_EQ(failures, 0);
  (void)run_blocking([&] { return tree.settle(); });
  const TreeReport report = tree.check(format);
  ASSERT_TRUE(report.problems.empty()) << report.problems[0];
  std::map<std::uint64_t, ModelRow> expected, found;
  for (const auto& model : models) expected.insert(model.begin(), model.end());
  for (std::uint64_t rowid = 1; rowid != kNoHighFence;) {
    SharedGuard leaf;
    ASSERT_TRUE(run_blocking([&] { return tree.fix_leaf(RowId{rowid}, &leaf); }));
    LeafView view;
    ASSERT_TRUE(LeafView::open(leaf.data(), format, &view));
    found.merge(rows_of(view));
    rowid = view.high_fence();
  }
  EXPECT_EQ(found, expected);
}

}  // namespace
}  // namespace rustbd::storage
