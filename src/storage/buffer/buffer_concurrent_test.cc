// Real threads, a real file: fixes, changes, evictions, frees and checkpoints at the same time. Run under
// TSan too.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <thread>

#include "rustbd/storage/pages/testing/storage_fixture.h"

namespace rustbd::storage {
namespace {

using testing::FakeSource;

struct RealWorld {
  RealWorld() {
    char name[] = "/tmp/rustbd_buffer_XXXXXX";
    root = mkdtemp(name);
    disk = io::make_real_disk(root, io::DiskBackend::kThreads);
    clock = io::make_system_clock();
    random = io::make_system_random();
    executor = io::make_thread_executor(2);
  }
  ~RealWorld() {
    executor->stop();
    std::filesystem::remove_all(root);
  }
  std::unique_ptr<Storage> open(FakeSource& source, std::uint64_t frames) {
    StorageOptions options;
    options.buffer_bytes = frames * kFrameBytes;
    options.grow_bytes = 4u << 20;
    auto storage = Storage::open({disk.get(), clock.get(), random.get(), executor.get()}, options, source);
    storage->deliver_undo_snapshot();
    return storage;
  }
  std::string root;
  std::unique_ptr<io::Disk> disk;
  std::unique_ptr<io::Clock> clock;
  std::unique_ptr<io::Random> random;
  std::unique_ptr<io::Executor> executor;
};

constexpr std::uint64_t kPages = 200;
constexpr int kThreads = 4;

/// A page counts its changes: the sum over all pages is the number of changes made.
class Stress {
 public:
  Stress(RealWorld& world, Storage& storage) : world_(world), storage_(storage) {
    for (std::uint64_t i = 0; i < kPages; ++i) ids_.push_back(make());
  }

  void run(int thread, int steps) {
    io::SeededRandom random(static_cast<std::uint64_t>(thread) + 100);
    for (int step = 0; step < steps; ++step) {
      const PageId id = ids_[random.below(kPages)];
      const auto choice = random.below(10);
      if (choice < 4) {
        increment(id);
      } else if (choice < 6) {
        read_shared(id);
      } else if (choice < 9) {
        read_optimistic(id);
      } else {
        drop(make());
      }
    }
  }

  std::uint64_t sum() {
    std::uint64_t total = 0;
    for (const PageId id : ids_) {
      auto fix = storage_.buffer().fix_shared(id);
      EXPECT_TRUE(fix);
      const auto value = testing::value_of_page(fix->data());
      EXPECT_TRUE(value);
      total += value.value_or(0);
    }
    return total;
  }
  std::atomic<std::uint64_t> changes{0};

 private:
  PageId make() {
    PageId id;
    testing::in_action(
        storage_, *world_.executor, [] { return true; },
        [&]() -> std::optional<io::WaitToken> {
          Allocated page = storage_.buffer().alloc(PageKind::kTableLeaf, 1);
          if (!page) return page.wait;
          testing::fill_page(page.guard.mutable_data(), 0);
          id = page.guard.page_id();
          return std::nullopt;
        });
    return id;
  }
  void drop(PageId id) {
    testing::in_action(
        storage_, *world_.executor, [] { return true; },
        [&]() -> std::optional<io::WaitToken> {
          auto fix = storage_.buffer().try_fix_exclusive(id);
          if (!fix) return fix.wait;
          storage_.buffer().free(std::move(*fix));
          return std::nullopt;
        });
  }
  void increment(PageId id) {
    testing::in_action(
        storage_, *world_.executor, [] { return true; },
        [&]() -> std::optional<io::WaitToken> {
          auto fix = storage_.buffer().try_fix_exclusive(id);
          if (!fix) return fix.wait;  // busy: an empty token, at once again
          const auto value = testing::value_of_page(fix->data());
          EXPECT_TRUE(value);
          DirtyResult marked = fix->mark_dirty();
          if (!marked) return marked.retry;
          testing::fill_page(fix->mutable_data(), *value + 1);
          changes.fetch_add(1);
          return std::nullopt;
        });
  }
  void read_shared(PageId id) {
    auto fix = storage_.buffer().fix_shared(id);
    ASSERT_TRUE(fix);
    EXPECT_TRUE(testing::value_of_page(fix->data()));
  }
  void read_optimistic(PageId id) {
    thread_local std::vector<std::byte> copy(kPageBytes);
    const Epochs::Pin pin = storage_.epochs().pin();
    auto fix = storage_.buffer().try_fix_optimistic(id);
    if (!fix) return;
    std::memcpy(copy.data(), fix->data(), kPageBytes);
    if (!fix->check()) return;
    EXPECT_TRUE(testing::value_of_page(copy.data()))
        << "a copy that passed the check is one version of the page";
  }

  RealWorld& world_;
  Storage& storage_;
  std::vector<PageId> ids_;
};

TEST(BufferConcurrent, FixChangeEvictCheckpoint) {
  RealWorld world;
  FakeSource source;
  auto storage = world.open(source, 64);
  Stress stress(world, *storage);
  std::atomic<bool> over{false};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) threads.emplace_back([&, t] { stress.run(t, 2000); });
  std::thread checkpoints([&] {  // and every policy and write strategy in turn, changed while all work
    for (std::size_t i = 0; !over; ++i) {
      storage->buffer().set_eviction_policy(kEvictionPolicyKinds[i % kEvictionPolicyKinds.size()]);
      storage->buffer().set_write_strategy(kWriteStrategies[i / 3 % kWriteStrategies.size()]);
      storage->buffer().set_compression(static_cast<PageCompression>(i / 2 % 3));
      EXPECT_TRUE(storage->checkpoint(CheckpointTrigger::kRequest).durable);
    }
  });
  for (std::thread& thread : threads) thread.join();
  over = true;
  checkpoints.join();
  EXPECT_EQ(stress.sum(), stress.changes.load());
  EXPECT_GT(storage->buffer().statistics().evictions, 100u);
  // A page that was given up stays pending while its image is on its way to disk.
  while (storage->pending().size() > 0)
    if (storage->buffer().reclaim_freed(1000) == 0) std::this_thread::yield();
  ASSERT_TRUE(storage->close().durable);
  storage.reset();
  const VerifyReport report = verify_pages(*world.disk);
  for (const std::string& problem : report.problems) ADD_FAILURE() << problem;
  EXPECT_EQ(report.pages, kPages + 1) << "no page leaks";
}

TEST(EpochsConcurrent, NothingIsReclaimedUnderAPin) {
  Epochs epochs;
  struct Node {
    std::atomic<bool> dead{false};
    std::uint64_t value = 42;
  };
  std::atomic<Node*> shared{new Node};
  std::atomic<bool> over{false};
  std::vector<std::thread> readers;
  for (int t = 0; t < 3; ++t) {
    readers.emplace_back([&] {
      while (!over) {
        const Epochs::Pin pin = epochs.pin();
        Node* node = shared.load();
        for (int i = 0; i < 20; ++i) EXPECT_FALSE(node->dead.load(std::memory_order_relaxed));
        EXPECT_EQ(node->value, 42u);
      }
    });
  }
  for (int i = 0; i < 5000; ++i) {
    Node* old = shared.exchange(new Node);
    epochs.retire([old] {
      old->dead.store(true, std::memory_order_relaxed);
      delete old;
    });
    epochs.collect(10);
  }
  over = true;
  for (std::thread& reader : readers) reader.join();
  delete shared.load();
}

TEST(ActionGateConcurrent, NobodyIsInsideWhileItIsClosed) {
  ActionGate gate;
  std::atomic<int> inside{0};
  std::atomic<bool> over{false};
  std::uint64_t plain = 0;  // written only while closed: a race would show under TSan
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      while (!over) {
        const Action action(gate);
        inside.fetch_add(1);
        const std::uint64_t epoch = gate.epoch();
        const std::uint64_t seen = plain;
        std::this_thread::yield();
        EXPECT_EQ(gate.epoch(), epoch);
        EXPECT_EQ(plain, seen);
        inside.fetch_sub(1);
      }
    });
  }
  for (int i = 0; i < 500; ++i) {
    gate.close();
    EXPECT_EQ(inside.load(), 0);
    ++plain;
    gate.set_epoch(gate.epoch() + 1);
    gate.open();
    std::this_thread::yield();
  }
  over = true;
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace rustbd::storage
