#include "rustbd/storage/buffer/buffer_manager.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "rustbd/storage/pages/testing/storage_fixture.h"

namespace rustbd::storage {
namespace {

using testing::FakeSource;
using testing::SimulatedWorld;

class BufferManagerTest : public ::testing::Test {
 protected:
  void open(std::uint64_t frames) { storage = world.open(source, frames); }
  BufferManager& buffer() { return storage->buffer(); }

  PageId make_page(std::uint64_t value) {
    PageId id;
    testing::in_action(
        *storage, world.executor, [] { return true; },
        [&]() -> std::optional<io::WaitToken> {
          Allocated page = buffer().alloc(PageKind::kTableLeaf, 3);
          if (!page) {
            EXPECT_EQ(page.status, AllocStatus::kNoFrame);
            return page.wait;
          }
          testing::fill_page(page.guard.mutable_data(), value);
          id = page.guard.page_id();
          return std::nullopt;
        });
    return id;
  }
  void change(PageId id, std::uint64_t value) {
    testing::in_action(
        *storage, world.executor, [] { return true; },
        [&]() -> std::optional<io::WaitToken> {
          auto fix = buffer().try_fix_exclusive(id);
          if (fix.status == FixStatus::kMiss) return fix.wait;
          EXPECT_TRUE(fix);
          DirtyResult marked = fix->mark_dirty();
          if (!marked) return marked.retry;
          testing::fill_page(fix->mutable_data(), value);
          return std::nullopt;
        });
  }
  std::optional<std::uint64_t> value(PageId id) {
    auto fix = buffer().fix_shared(id);
    return fix ? testing::value_of_page(fix->data()) : std::nullopt;
  }
  void evict_all() {
    ASSERT_TRUE(storage->checkpoint(CheckpointTrigger::kRequest).durable);
    buffer().evict(100000);
  }

  SimulatedWorld world{1};
  FakeSource source;
  std::unique_ptr<Storage> storage;
};

TEST_F(BufferManagerTest, NewPageHasItsHeader) {
  open(32);
  const Action action(storage->gate());
  Allocated page = buffer().alloc(PageKind::kIndexLeaf, 77);
  ASSERT_TRUE(page);
  const PageHeader& header = page.guard.header();
  EXPECT_EQ(header.page_id, page.guard.page_id().raw());
  EXPECT_EQ(header.kind, PageKind::kIndexLeaf);
  EXPECT_EQ(header.owner, 77u);
  EXPECT_EQ(header.count, 0u);
  EXPECT_EQ(page.guard.bytes().size(), 16312u);
}

TEST_F(BufferManagerTest, LatchesExcludeAndVersionsGrow) {
  open(32);
  const PageId id = make_page(1);
  auto first = buffer().try_fix_shared(id);
  auto second = buffer().try_fix_shared(id);
  ASSERT_TRUE(first && second);
  EXPECT_EQ(buffer().try_fix_exclusive(id).status, FixStatus::kBusy);
  EXPECT_FALSE(first->upgrade());
  second->release();
  auto exclusive = first->upgrade();
  ASSERT_TRUE(exclusive);
  EXPECT_FALSE(first->held());
  EXPECT_EQ(buffer().try_fix_shared(id).status, FixStatus::kBusy);
  EXPECT_EQ(buffer().try_fix_optimistic(id).status, FixStatus::kBusy);
  const std::uint64_t version = exclusive->version();
  exclusive->release();
  auto after = buffer().try_fix_shared(id);
  EXPECT_EQ(after->version(), version + 1);
}

TEST_F(BufferManagerTest, OptimisticGuardSeesChanges) {
  open(32);
  const PageId id = make_page(1);
  auto fix = buffer().try_fix_optimistic(id);
  ASSERT_TRUE(fix);
  EXPECT_TRUE(fix->check());
  fix->release();
  fix = buffer().try_fix_optimistic(id);
  auto exclusive = fix->upgrade();
  ASSERT_TRUE(exclusive);
  exclusive->release();
#if !defined(RUSTBD_TSAN)
  fix = buffer().try_fix_optimistic(id);
  change(id, 2);
  EXPECT_FALSE(fix->check());
  EXPECT_FALSE(fix->upgrade());
  fix = buffer().try_fix_optimistic(id);
  evict_all();
  EXPECT_FALSE(fix->check());
  EXPECT_EQ(value(id), 2u);
  EXPECT_FALSE(fix->check()) << "read again: another version";
#endif
}

TEST_F(BufferManagerTest, UnknownAndFreePagesAreDamaged) {
  open(32);
  for (const std::uint64_t id : {0ull, 400ull, 512ull, 1ull << 30, ~0ull}) {
    EXPECT_EQ(buffer().try_fix_optimistic(PageId{id}).status, FixStatus::kDamaged) << id;
    EXPECT_EQ(buffer().try_fix_shared(PageId{id}).status, FixStatus::kDamaged) << id;
    EXPECT_EQ(buffer().try_fix_exclusive(PageId{id}).status, FixStatus::kDamaged) << id;
  }
}

// The common case: who needs a frame takes one of a clean page, and waits for nobody.
TEST_F(BufferManagerTest, ReadsPastThePoolWaitForNoFrame) {
  open(16);
  std::vector<PageId> pages;
  for (std::uint64_t i = 0; i < 64; ++i) pages.push_back(make_page(i));
  ASSERT_TRUE(storage->checkpoint(CheckpointTrigger::kRequest).durable);
  const BufferStatistics before = buffer().statistics();
  for (std::uint64_t i = 0; i < 300; ++i) ASSERT_EQ(value(pages[i % 64]), i % 64);
  const BufferStatistics after = buffer().statistics();
  EXPECT_GE(after.evictions - before.evictions, 250u);
  EXPECT_EQ(after.frame_waits, before.frame_waits);
}

TEST_F(BufferManagerTest, WaitsForAFrameAreCounted) {
  open(8);
  std::vector<Fix<SharedGuard>> held;
  std::vector<PageId> pages;
  for (std::uint64_t i = 0; i < 16; ++i) pages.push_back(make_page(i));
  evict_all();
  const std::uint64_t before = buffer().statistics().frame_waits;
  for (const PageId page : pages) {
    auto fix = buffer().try_fix_shared(page);
    if (fix.status == FixStatus::kMiss && buffer().statistics().frame_waits == before)
      fix = buffer().fix_shared(page);
    if (!fix) break;
    held.push_back(std::move(fix));
  }
  EXPECT_LT(held.size(), pages.size());
  EXPECT_GT(buffer().statistics().frame_waits, before);
}

TEST_F(BufferManagerTest, OneReadPerPage) {
  open(32);
  const PageId id = make_page(9);
  evict_all();
  ASSERT_FALSE(buffer().resident(id));
  const std::uint64_t misses = buffer().statistics().misses;
  auto first = buffer().try_fix_shared(id);
  auto second = buffer().try_fix_exclusive(id);
  auto third = buffer().try_fix_optimistic(id);
  buffer().prefetch(id);
  EXPECT_EQ(first.status, FixStatus::kMiss);
  EXPECT_EQ(second.status, FixStatus::kMiss);
  EXPECT_EQ(third.status, FixStatus::kMiss);
  EXPECT_EQ(buffer().statistics().misses, misses + 1);
  world.executor.block_on(third.wait);
  EXPECT_TRUE(first.wait.fired() && second.wait.fired());
  EXPECT_TRUE(buffer().try_fix_optimistic(id));
}

TEST_F(BufferManagerTest, ReadErrorIsTriedOnceMore) {
  open(32);
  const PageId good = make_page(1);
  const PageId bad = make_page(2);
  evict_all();
  world.disk.fail_reads(kDataFileName, 1);
  EXPECT_EQ(value(good), 1u);
  world.disk.fail_reads(kDataFileName, 2);
  EXPECT_EQ(buffer().fix_shared(bad).status, FixStatus::kDamaged);
  EXPECT_EQ(buffer().statistics().checksum_failures, 1u);
  EXPECT_EQ(buffer().try_fix_optimistic(bad).status, FixStatus::kDamaged) << "it stays so";
  EXPECT_EQ(value(good), 1u) << "all others stay usable";
}

// The kernel had no memory for it: nothing is wrong with the page.
TEST_F(BufferManagerTest, AReadThatTheKernelRefusesIsAStatusAndNoDamage) {
  open(32);
  const PageId id = make_page(7);
  evict_all();
  world.disk.refuse_reads(kDataFileName, 1);
  EXPECT_EQ(value(id), 7u) << "tried once more";
  evict_all();
  world.disk.refuse_reads(kDataFileName, 4);
  EXPECT_EQ(buffer().fix_shared(id).status, FixStatus::kNoFrame);
  EXPECT_EQ(buffer().fix_exclusive(id).status, FixStatus::kNoFrame) << "another read, refused like the first";
  EXPECT_EQ(buffer().statistics().checksum_failures, 0u);
  EXPECT_FALSE(buffer().unread(id));
  EXPECT_EQ(value(id), 7u);
  // Nobody waited for this one, and it is long ago when the page is wanted.
  evict_all();
  world.disk.refuse_reads(kDataFileName, 2);
  ASSERT_TRUE(buffer().prefetch(id));
  world.executor.block_on(world.executor.after(std::chrono::seconds(2)));
  EXPECT_EQ(value(id), 7u);
}

TEST_F(BufferManagerTest, VersionsGrowAcrossReuseOfAnId) {
  open(32);
  std::map<std::uint64_t, std::uint64_t> last;
  for (int round = 0; round < 200; ++round) {
    const Action action(storage->gate());
    Allocated page = buffer().alloc(PageKind::kTableLeaf, 1);
    ASSERT_TRUE(page);
    const std::uint64_t id = page.guard.page_id().raw();
    EXPECT_GT(page.guard.version() + 1, last[id]);
    last[id] = page.guard.version() + 1;
    buffer().free(std::move(page.guard));
    if (round % 3 == 0) {
      storage->gate().exit();
      buffer().reclaim_freed(1000);
      storage->gate().enter();
    }
  }
  EXPECT_LT(last.size(), 100u) << "ids are used again";
}

TEST_F(BufferManagerTest, FreedPageStaysReadableForThoseWhoWereThere) {
  open(32);
  const PageId id = make_page(5);
  {
    const Epochs::Pin pin = storage->epochs().pin();
    {
      const Action action(storage->gate());
      auto fix = buffer().try_fix_exclusive(id);
      ASSERT_TRUE(fix);
      buffer().free(std::move(*fix));
    }
    EXPECT_EQ(buffer().reclaim_freed(10), 0u);
    EXPECT_EQ(value(id), 5u);
    EXPECT_EQ(storage->pending().size(), 1u);
  }
  EXPECT_EQ(buffer().reclaim_freed(10), 1u);
  EXPECT_EQ(buffer().try_fix_shared(id).status, FixStatus::kDamaged);
  EXPECT_EQ(storage->pending().size(), 0u);
  EXPECT_EQ(make_page(6), id) << "the id is used again";
}

TEST_F(BufferManagerTest, PendingPagesAreFreedAfterARestart) {
  open(32);
  const PageId page = make_page(1);
  const PageId chain[] = {make_page(2), make_page(3)};
  const PageId tree = make_page(4);
  {
    const Epochs::Pin pin = storage->epochs().pin();
    const Action action(storage->gate());
    auto link = buffer().try_fix_exclusive(chain[0]);
    ASSERT_TRUE(link->mark_dirty());
    link->mutable_header().right_sibling = chain[1].raw();
    link->release();
    auto fix = buffer().try_fix_exclusive(page);
    buffer().free(std::move(*fix));
    storage->pending().add(chain[0], PendingKind::kChain);
    storage->pending().add(tree, PendingKind::kTableTree);
  }
  ASSERT_TRUE(storage->close().durable);
  storage.reset();
  open(32);
  const auto pending = storage->pending().list();
  EXPECT_TRUE(std::ranges::any_of(pending, [&](const PendingEntry& e) { return e.first_page == tree; }));
  buffer().reclaim_freed(100);
  EXPECT_EQ(storage->pending().size(), 1u) << "the tree is its owner's";
  for (const PageId id : {page, chain[0], chain[1]}) {
    EXPECT_EQ(buffer().try_fix_shared(id).status, FixStatus::kDamaged);
  }
  EXPECT_EQ(value(tree), 4u);
}

TEST_F(BufferManagerTest, AllFramesHeldIsAStatus) {
  open(8);
  std::vector<PageId> ids;
  for (std::uint64_t i = 0; i < 20; ++i) ids.push_back(make_page(i));
  std::vector<SharedGuard> held;
  FixStatus last = FixStatus::kOk;
  for (const PageId id : ids) {
    auto fix = buffer().fix_shared(id);
    last = fix.status;
    if (!fix) break;
    held.push_back(std::move(*fix));
  }
  EXPECT_EQ(last, FixStatus::kNoFrame);
  EXPECT_GE(held.size(), 4u);
  held.clear();
  for (std::uint64_t i = 0; i < 20; ++i) EXPECT_EQ(value(ids[i]), i);
}

// Nor is a shortage that is over told to those who come later.
TEST_F(BufferManagerTest, AShortageThatIsOverIsForgotten) {
  open(8);
  std::vector<PageId> ids;
  for (std::uint64_t i = 0; i < 20; ++i) ids.push_back(make_page(i));
  std::vector<SharedGuard> held;
  auto next = ids.begin();
  for (;; ++next) {  // until none is left
    auto fix = buffer().fix_shared(*next);
    if (!fix) break;
    held.push_back(std::move(*fix));
  }
  const auto wait_for_frame = [&] {
    const auto fix = buffer().try_fix_shared(*next);
    EXPECT_EQ(fix.status, FixStatus::kMiss);
    EXPECT_EQ(fix.wait.reason(), io::WaitReason::kMemory);
    return fix.wait;
  };
  world.executor.block_on(wait_for_frame());  // the pool finds nothing that can go
  held.pop_back();
  ASSERT_EQ(buffer().evict(1), 1u);
  auto fix = buffer().fix_shared(*next++);
  ASSERT_TRUE(fix);
  held.push_back(std::move(*fix));
  (void)wait_for_frame();
  held.clear();
  for (std::uint64_t i = 0; i < 20; ++i) EXPECT_EQ(value(ids[i]), i);
}

TEST_F(BufferManagerTest, TemporaryPagesAreEvictedAndDoNotSurvive) {
  open(16);
  std::vector<PageId> ids;
  for (std::uint64_t i = 0; i < 60; ++i) {
    testing::in_action(
        *storage, world.executor, [] { return true; },
        [&]() -> std::optional<io::WaitToken> {
          Allocated page = buffer().alloc(PageKind::kTemp, 0);
          if (!page) return page.wait;
          testing::fill_page(page.guard.mutable_data(), i);
          ids.push_back(page.guard.page_id());
          return std::nullopt;
        });
  }
  ASSERT_TRUE(storage->checkpoint(CheckpointTrigger::kRequest).durable);
  for (std::uint64_t i = 0; i < 60; ++i) EXPECT_EQ(value(ids[i]), i);
  ASSERT_TRUE(storage->close().durable);
  storage.reset();
  EXPECT_EQ(verify_pages(world.disk).pages, 1u) << "the catalog root alone";
}

// Everything at random in a pool far smaller than the pages, against a map.
TEST_F(BufferManagerTest, AgreesWithAMapInASmallPool) {
  for (const std::uint64_t frames : {8ull, 12ull, 40ull}) {
    storage.reset();
    open(frames);
    io::SeededRandom random(frames);
    std::map<std::uint64_t, std::uint64_t> model;
    for (int step = 0; step < 3000; ++step) {
      const auto choice = random.below(10);
      if (model.size() < 100 && choice < 3) {
        const std::uint64_t v = random.next_u64();
        model[make_page(v).raw()] = v;
        continue;
      }
      if (model.empty()) continue;
      auto at = model.lower_bound(random.below(model.rbegin()->first + 1));
      const PageId id{at->first};
      if (choice < 6) {
        at->second = random.next_u64();
        change(id, at->second);
      } else if (choice < 9) {
        ASSERT_EQ(value(id), at->second);
      } else if (step % 50 == 0) {
        storage->request_checkpoint(CheckpointTrigger::kRequest);
      } else {
        auto fix = buffer().try_fix_optimistic(id);
        if (fix) {
          ASSERT_EQ(testing::value_of_page(fix->data()), at->second);
          ASSERT_TRUE(fix->check());
        } else if (fix.status == FixStatus::kMiss) {
          world.executor.block_on(fix.wait);
        }
      }
    }
    for (const auto& [id, v] : model) ASSERT_EQ(value(PageId{id}), v);
    EXPECT_EQ(buffer().statistics().frames, frames);
    EXPECT_GT(buffer().statistics().evictions, 100u);
    storage->close();
    storage.reset();
    EXPECT_TRUE(verify_pages(world.disk).problems.empty());
    open(frames);
    for (const auto& [id, v] : model) ASSERT_EQ(value(PageId{id}), v);
  }
}

TEST_F(BufferManagerTest, LruGivesUpTheOldest) {
  open(64);
  buffer().set_eviction_policy(EvictionPolicyKind::kLru);
  std::vector<PageId> pages;
  for (std::uint64_t i = 0; i < 12; ++i) pages.push_back(make_page(i));
  ASSERT_TRUE(storage->checkpoint(CheckpointTrigger::kRequest).durable);
  std::vector<std::size_t> order{7, 3, 11, 0, 5, 9, 1, 10, 2, 8, 4, 6};
  for (const std::size_t i : order) EXPECT_EQ(value(pages[i]), i);
  EXPECT_EQ(buffer().evict(4), 4u);
  for (std::size_t i = 0; i < order.size(); ++i)
    EXPECT_EQ(buffer().resident(pages[order[i]]), i >= 4) << "number " << i << " of the order";
  EXPECT_EQ(buffer().statistics().evictions_by[static_cast<std::size_t>(EvictionPolicyKind::kLru)], 4u);
}

TEST_F(BufferManagerTest, EveryPolicyAndStrategyKeepsTheValues) {
  open(32);
  std::map<std::uint64_t, std::uint64_t> model;
  std::vector<PageId> pages;
  io::SeededRandom random(5);
  std::uint64_t next = 1;
  for (unsigned round = 0; round < 9; ++round) {
    const auto policy = kEvictionPolicyKinds[round % 3];
    buffer().set_eviction_policy(policy);
    buffer().set_write_strategy(kWriteStrategies[round / 3]);
    const auto before = buffer().statistics();
    for (unsigned i = 0; i < 300; ++i) {
      if (pages.size() < 100) {
        pages.push_back(make_page(next));
        model[pages.back().raw()] = next++;
      }
      const PageId at = pages[random.below(pages.size())];
      if (random.chance(300)) {
        change(at, next);
        model[at.raw()] = next++;
      } else {
        ASSERT_EQ(value(at), model[at.raw()]);
      }
      if (random.chance(10)) ASSERT_TRUE(storage->checkpoint(CheckpointTrigger::kRequest).durable);
    }
    const auto after = buffer().statistics();
    for (const auto kind : kEvictionPolicyKinds) {
      const auto at = static_cast<std::size_t>(kind);
      EXPECT_EQ(after.evictions_by[at] > before.evictions_by[at], kind == policy) << to_text(policy);
    }
  }
  for (const PageId id : pages) EXPECT_EQ(value(id), model[id.raw()]);
}

TEST_F(BufferManagerTest, WriteStrategiesDecideWhenADirtyPageIsWritten) {
  open(64);
  const PageId id = make_page(1);
  ASSERT_TRUE(storage->checkpoint(CheckpointTrigger::kRequest).durable);
  change(id, 2);
  world.executor.run_for(std::chrono::seconds(2));
  EXPECT_EQ(buffer().dirty_count(), 1u) << "write-back leaves it to eviction and checkpoints";
  buffer().set_write_strategy(WriteStrategy::kWriteThrough);
  change(id, 3);  // was dirty already: nothing new to write through
  ASSERT_TRUE(storage->checkpoint(CheckpointTrigger::kRequest).durable);
  change(id, 4);
  world.executor.run_for(std::chrono::milliseconds(20));
  EXPECT_EQ(buffer().dirty_count(), 0u);
  buffer().set_write_strategy(WriteStrategy::kWriteBehind);
  change(id, 5);
  world.executor.run_for(std::chrono::milliseconds(20));
  EXPECT_EQ(buffer().dirty_count(), 1u);
  world.executor.run_for(std::chrono::seconds(1));
  EXPECT_EQ(buffer().dirty_count(), 0u);
  EXPECT_TRUE(buffer().resident(id));
  EXPECT_EQ(value(id), 5u);
  buffer().evict(1000);
  EXPECT_EQ(value(id), 5u) << "the image that was written is the page";
}

/// A page that changes while its image is on the way to disk is written once more.
TEST_F(BufferManagerTest, WriteThroughFollowsAPageThatKeepsChanging) {
  open(64);
  const PageId id = make_page(1);
  ASSERT_TRUE(storage->checkpoint(CheckpointTrigger::kRequest).durable);
  world.disk.set_faults({.latency_us_max = 300});
  buffer().set_write_strategy(WriteStrategy::kWriteThrough);
  for (std::uint64_t i = 2; i < 60; ++i) {
    change(id, i);
    world.executor.run_for(std::chrono::microseconds(world.random.below(400)));
  }
  world.executor.run_for(std::chrono::milliseconds(50));
  EXPECT_EQ(buffer().dirty_count(), 0u);
  buffer().evict(1000);
  EXPECT_EQ(value(id), 59u);
}

/// Many changed pages do not wait for their half second.
TEST_F(BufferManagerTest, WriteBehindStartsWhenAThirdOfThePoolIsDirty) {
  open(64);
  buffer().set_write_strategy(WriteStrategy::kWriteBehind);
  for (std::uint64_t i = 0; i < 30; ++i) make_page(i);
  world.executor.run_for(std::chrono::milliseconds(20));
  EXPECT_LT(buffer().dirty_count(), 64u * 30 / 100 + 1);
}

TEST_F(BufferManagerTest, RootMapHoldsManyRoots) {
  open(64);
  std::map<std::uint32_t, std::uint64_t> roots;
  io::SeededRandom random(3);
  for (int i = 0; i < 3000; ++i) {
    const auto id = static_cast<std::uint32_t>(1 + random.below(100000));
    testing::in_action(
        *storage, world.executor, [] { return true; },
        [&]() -> std::optional<io::WaitToken> {
          const bool known = roots.contains(id);
          RootResult done =
              known ? storage->roots().try_erase(id) : storage->roots().try_set(id, PageId{id + 7ull});
          if (!done) return done.wait;
          if (known) {
            roots.erase(id);
          } else {
            roots[id] = id + 7ull;
          }
          return std::nullopt;
        });
  }
  const auto check = [&] {
    std::map<std::uint32_t, std::uint64_t> found;
    for (const RootEntry& entry : storage->roots().list()) found[entry.id] = entry.root_page;
    EXPECT_EQ(found, roots);
  };
  check();
  ASSERT_TRUE(storage->close().durable);
  storage.reset();
  open(64);
  check();
  EXPECT_TRUE(storage->roots().get(200000).is_none());
}

}  // namespace
}  // namespace rustbd::storage
