// Checkpoints on a disk that crashes, tears and fails: what is opened is the state at the last durable
// checkpoint, and nothing leaks (P6, P7, P9, P14 of storage.md §10).
#include <gtest/gtest.h>

#include <cstdlib>
#include <map>

#include "rustbd/base/error.h"
#include "rustbd/storage/pages/testing/storage_fixture.h"

namespace rustbd::storage {
namespace {

using testing::FakeSource;
using testing::SimulatedWorld;

/// What should be in the pages: value by page id, and the roots.
struct Model {
  std::map<std::uint64_t, std::uint64_t> pages;
  std::map<std::uint32_t, std::uint64_t> roots;
};

/// Random page changes against a model, with a checkpoint of the model at each capture.
class Workload {
 public:
  Workload(SimulatedWorld& world, io::SeededRandom& random, FakeSource& source)
      : world_(world), random_(random), source_(source) {
    source_.on_capture = [this](Lsn lsn) { at_capture[lsn.raw()] = model; };
  }

  void use(Storage* storage) { storage_ = storage; }
  [[nodiscard]] bool alive() const { return !world_.disk.crashed() && !world_.fatal_called; }

  void step() {
    const auto choice = random_.below(100);
    if (choice < 30 || model.pages.empty()) {
      create();
    } else if (choice < 75) {
      change();
    } else if (choice < 85) {
      remove();
    } else if (choice < 90) {
      read();
    } else if (choice < 94) {
      storage_->request_checkpoint(CheckpointTrigger::kRequest);
    } else {
      world_.executor.run_for(std::chrono::microseconds(random_.below(3000)));
    }
    for (auto n = random_.below(4); n > 0 && alive(); --n) world_.executor.step();
  }

  Model model;
  std::map<std::uint64_t, Model> at_capture;

 private:
  std::uint64_t some_page() {
    auto found = model.pages.lower_bound(random_.below(model.pages.rbegin()->first + 1));
    return found->first;
  }

  void create() {
    const std::uint64_t value = random_.next_u64();
    const auto root_id = static_cast<std::uint32_t>(random_.chance(200) ? 1 + random_.below(5000) : 0);
    testing::in_action(
        *storage_, world_.executor, [this] { return alive(); },
        [&]() -> std::optional<io::WaitToken> {
          Allocated page = storage_->buffer().alloc(PageKind::kTableLeaf, 9);
          if (!page) return page.status == AllocStatus::kNoFrame ? std::optional(page.wait) : std::nullopt;
          const PageId id = page.guard.page_id();
          EXPECT_FALSE(model.pages.contains(id.raw())) << "page id in use given out again";
          if (root_id != 0 && storage_->roots().get(root_id).is_none()) {
            const RootResult set = storage_->roots().try_set(root_id, id);
            if (!set) {
              storage_->buffer().free(std::move(page.guard));
              return set.status == RootStatus::kRetry ? std::optional(set.wait) : std::nullopt;
            }
            model.roots[root_id] = id.raw();
          }
          testing::fill_page(page.guard.mutable_data(), value);
          model.pages[id.raw()] = value;
          return std::nullopt;
        });
  }

  void change() {
    const std::uint64_t id = some_page();
    const std::uint64_t value = random_.next_u64();
    testing::in_action(
        *storage_, world_.executor, [this] { return alive(); },
        [&]() -> std::optional<io::WaitToken> {
          auto fix = storage_->buffer().try_fix_exclusive(PageId{id});
          if (fix.status == FixStatus::kMiss) return fix.wait;
          if (!fix) return std::nullopt;
          EXPECT_EQ(testing::value_of_page(fix->data()), model.pages.at(id));
          DirtyResult marked = fix->mark_dirty();
          if (!marked) return marked.retry;
          testing::fill_page(fix->mutable_data(), value);
          model.pages[id] = value;
          return std::nullopt;
        });
  }

  void remove() {
    const std::uint64_t id = some_page();
    for (const auto& [root, page] : model.roots) {
      if (page == id) return;
    }
    testing::in_action(
        *storage_, world_.executor, [this] { return alive(); },
        [&]() -> std::optional<io::WaitToken> {
          auto fix = storage_->buffer().try_fix_exclusive(PageId{id});
          if (fix.status == FixStatus::kMiss) return fix.wait;
          if (!fix) return std::nullopt;
          storage_->buffer().free(std::move(*fix));
          model.pages.erase(id);
          return std::nullopt;
        });
  }

  void read() {
    const std::uint64_t id = some_page();
    auto fix = storage_->buffer().fix_shared(PageId{id});
    if (fix) {
      EXPECT_EQ(testing::value_of_page(fix->data()), model.pages.at(id));
    }
  }

  SimulatedWorld& world_;
  io::SeededRandom& random_;
  FakeSource& source_;
  Storage* storage_ = nullptr;
};

void expect_state(Storage& storage, const Model& model, bool tolerate_damage = false) {
  for (const auto& [id, value] : model.pages) {
    auto fix = storage.buffer().fix_shared(PageId{id});
    if (!fix && tolerate_damage) continue;
    ASSERT_TRUE(fix) << "page " << id << " status " << static_cast<int>(fix.status);
    ASSERT_EQ(testing::value_of_page(fix->data()), value) << "page " << id;
    ASSERT_EQ(fix->header().page_id, id);
  }
  std::map<std::uint32_t, std::uint64_t> roots;
  for (const RootEntry& entry : storage.roots().list()) roots[entry.id] = entry.root_page;
  ASSERT_EQ(roots, model.roots);
}

/// P6, P7 and P14 on what is durable: no problem, and every page is one of the model's or of the root map, or
/// (`pending`) given up while its image was on its way to disk.
void expect_verified(SimulatedWorld& world, const Model& model, std::uint64_t pending = 0) {
  const VerifyReport report = verify_pages(world.disk);
  for (const std::string& problem : report.problems) ADD_FAILURE() << problem;
  const std::uint64_t root_pages = report.pages - model.pages.size();
  EXPECT_GE(root_pages, 1u);
  EXPECT_LE(root_pages, 1 + model.roots.size() / 500 + pending) << "pages leak";
  const std::uint64_t chunks = (report.state.next_page_id + 511) / 512;
  EXPECT_LE(report.blocks_used, report.pages * 4 + chunks * 3 + 1 + chunks * 16 / 4096 + 1 + pending)
      << "blocks leak";
}

void run_seed(std::uint64_t seed, io::SimulatedFaults faults, int cycles, std::uint64_t ops) {
  SCOPED_TRACE(::testing::Message() << "seed " << seed);
  io::SeededRandom random(seed * 7919 + 1);
  SimulatedWorld world(seed);
  FakeSource source;
  Workload workload(world, random, source);
  std::uint64_t acknowledged = 0;
  workload.at_capture[0] = {};
  for (int cycle = 0; cycle < cycles; ++cycle) {
    SCOPED_TRACE(::testing::Message() << "cycle " << cycle);
    const std::uint64_t frames = 12 + random.below(100);
    std::unique_ptr<Storage> storage;
    world.fatal_called = false;
    if (random.chance(200)) world.disk.crash_at(1 + random.below(12));  // a crash while it opens
    try {
      storage = world.open(source, frames);
    } catch (const Error& failed) {
      ASSERT_TRUE(world.disk.crashed()) << failed.message;
    }
    if (storage) {
      const std::uint64_t lsn = storage->state().positions.lsn.raw();
      ASSERT_GE(lsn, acknowledged) << "a durable checkpoint is lost";
      ASSERT_TRUE(workload.at_capture.contains(lsn));
      const Model opened = workload.at_capture.at(lsn);
      workload.at_capture.clear();
      workload.at_capture[lsn] = opened;
      workload.model = opened;
      if (!world.disk.crashed()) expect_state(*storage, opened);
      if (::testing::Test::HasFatalFailure()) return;
      workload.use(storage.get());
      world.disk.set_faults(faults);
      world.disk.crash_at(1 + random.below(ops));
      for (std::uint64_t op = 0; op < ops && workload.alive(); ++op) workload.step();
      world.disk.set_faults({});
      if (workload.alive() && random.chance(300)) {
        const CheckpointResult last = storage->close();
        if (last.durable) expect_verified(world, workload.model, 64);
      }
      acknowledged = std::max(source.durable_lsn, lsn);
    }
    world.disk.crash();
    storage.reset();
    world.disk.restart();
    if (acknowledged > 0) {
      const VerifyReport report = verify_pages(world.disk);
      for (const std::string& problem : report.problems) ADD_FAILURE() << problem;
    }
    if (::testing::Test::HasFailure()) return;
  }
  // At rest: one more open, all garbage collected, nothing leaks.
  auto storage = world.open(source, 64);
  const Model opened = workload.at_capture.at(storage->state().positions.lsn.raw());
  workload.model = opened;
  expect_state(*storage, opened);
  ASSERT_TRUE(storage->checkpoint(CheckpointTrigger::kRequest).durable);
  ASSERT_TRUE(storage->close().durable);
  expect_verified(world, opened);
}

/// RUSTBD_SEEDS=n runs n times as many seeds (nightly).
std::uint64_t seeds(std::uint64_t count) {
  const char* factor = std::getenv("RUSTBD_SEEDS");
  return factor == nullptr ? count : count * std::strtoull(factor, nullptr, 10);
}

TEST(CheckpointCrash, OpensTheLastDurableCheckpoint) {
  for (std::uint64_t seed = 0; seed < seeds(60) && !HasFailure(); ++seed) run_seed(seed, {}, 4, 300);
}

TEST(CheckpointCrash, WithTornSectorsLatencyAndWriteErrors) {
  for (std::uint64_t seed = 10000; seed < 10000 + seeds(48) && !HasFailure(); ++seed) {
    io::SimulatedFaults faults;
    faults.torn_sector_per_mille = 200;
    faults.latency_us_max = 300;
    faults.write_error = seed % 2 == 0 ? 20000 : 0;
    faults.no_space = seed % 4 == 1 ? 20000 : 0;
    run_seed(seed, faults, 3, 300);
  }
}

TEST(CheckpointCrash, WithSyncErrors) {
  for (std::uint64_t seed = 20000; seed < 20000 + seeds(20) && !HasFailure(); ++seed) {
    io::SimulatedFaults faults;
    faults.sync_error = 200000;
    run_seed(seed, faults, 3, 300);
  }
}

// P9: opening again and again, with crashes while it opens, changes nothing.
TEST(CheckpointCrash, OpeningIsIdempotent) {
  SimulatedWorld world(5);
  FakeSource source;
  io::SeededRandom random(5);
  Workload workload(world, random, source);
  auto storage = world.open(source);
  workload.use(storage.get());
  for (int i = 0; i < 300; ++i) workload.step();
  source.to_write = {{SnapshotRecord::kActive, "undo"}};
  ASSERT_TRUE(storage->close().durable);
  const Model model = workload.model;
  const std::uint64_t lsn = source.durable_lsn;
  storage.reset();
  for (std::uint64_t crash = 1; crash < 8; ++crash) {
    world.disk.crash_at(crash);
    source.restored.clear();
    try {
      storage = world.open(source);
      expect_state(*storage, model);
      EXPECT_EQ(storage->state().positions.lsn.raw(), lsn);
      EXPECT_EQ(source.restored, source.to_write);
    } catch (const Error&) {
      EXPECT_TRUE(world.disk.crashed());
    }
    world.disk.crash();
    storage.reset();
    world.disk.restart();
  }
  storage = world.open(source);
  expect_state(*storage, model);
}

TEST(Checkpoint, FailedSyncIsFatalAndFinal) {
  SimulatedWorld world(6);
  FakeSource source;
  auto storage = world.open(source);
  world.disk.fail_syncs(kDataFileName, 1);
  EXPECT_FALSE(storage->checkpoint(CheckpointTrigger::kRequest).durable);
  EXPECT_TRUE(world.fatal_called);
  EXPECT_FALSE(storage->checkpoint(CheckpointTrigger::kRequest).durable) << "I20: no later success";
}

TEST(Checkpoint, LogThatCannotBecomeDurableFailsIt) {
  SimulatedWorld world(7);
  FakeSource source;
  auto storage = world.open(source);
  const std::uint64_t generation = storage->state().generation;
  source.log_works = false;
  EXPECT_FALSE(storage->checkpoint(CheckpointTrigger::kRequest).durable);
  EXPECT_EQ(storage->state().generation, generation);
  source.log_works = true;
  EXPECT_TRUE(storage->checkpoint(CheckpointTrigger::kRequest).durable);
  EXPECT_EQ(storage->state().generation, generation + 1);
  EXPECT_EQ(source.failed_count, 1);
}

TEST(Checkpoint, CarriesRecordsOfAnySize) {
  SimulatedWorld world(8);
  FakeSource source;
  auto storage = world.open(source);
  io::SeededRandom random(8);
  for (const std::size_t size : {0ul, 1ul, 100ul, 5000ul, 1048576ul - 48, 1048576ul, 3000000ul, 17ul}) {
    std::string body(size, 'x');
    for (char& c : body) c = static_cast<char>(random.below(256));
    source.to_write.emplace_back(SnapshotRecord::kPurge, std::move(body));
  }
  for (int round = 0; round < 3; ++round) {
    ASSERT_TRUE(storage->close().durable);
    storage.reset();
    source.restored.clear();
    storage = world.open(source);
    ASSERT_EQ(source.restored, source.to_write);
  }
  ASSERT_TRUE(storage->close().durable);
  EXPECT_TRUE(verify_pages(world.disk).problems.empty());
}

TEST(Checkpoint, DiskFullRefusesWritesAndThenWorksAgain) {
  io::SimulatedFaults faults;
  faults.capacity_bytes = 6u << 20;
  SimulatedWorld world(9, faults);
  FakeSource source;
  auto storage = world.open(source, 256);
  std::map<std::uint64_t, std::uint64_t> pages;
  AllocStatus status = AllocStatus::kOk;
  const auto fill = [&] {
    for (int i = 0; i < 5000 && status == AllocStatus::kOk; ++i) {
      testing::in_action(
          *storage, world.executor, [] { return true; },
          [&]() -> std::optional<io::WaitToken> {
            Allocated page = storage->buffer().alloc(PageKind::kTableLeaf, 1);
            if (page.status == AllocStatus::kNoFrame) return page.wait;
            status = page.status;
            if (!page) return std::nullopt;
            testing::fill_page(page.guard.mutable_data(), static_cast<std::uint64_t>(i));
            pages[page.guard.page_id().raw()] = static_cast<std::uint64_t>(i);
            return std::nullopt;
          });
      if (i % 8 == 0) world.executor.run_for(std::chrono::microseconds(200));
    }
  };
  fill();
  ASSERT_EQ(status, AllocStatus::kNoSpace);
  EXPECT_EQ(storage->buffer().admit_write(), WriteAdmission::kNoSpace);
  for (const auto& [id, value] : pages) {
    auto fix = storage->buffer().fix_shared(PageId{id});
    ASSERT_TRUE(fix) << "reads go on";
    ASSERT_EQ(testing::value_of_page(fix->data()), value);
  }
  EXPECT_TRUE(storage->checkpoint(CheckpointTrigger::kRequest).durable) << "the reserve is for this";
  const std::size_t before = pages.size();
  faults.capacity_bytes = 20u << 20;
  world.disk.set_faults(faults);
  (void)storage->buffer().admit_write();
  world.executor.run_for(std::chrono::milliseconds(10));
  EXPECT_EQ(storage->buffer().admit_write(), WriteAdmission::kOk);
  status = AllocStatus::kOk;
  fill();
  EXPECT_GT(pages.size(), before);
}

TEST(Open, RefusesASecondServerAndAMissingDatabase) {
  SimulatedWorld world(10);
  FakeSource source;
  StorageOptions options;
  options.create = false;
  const auto state_of = [&](const StorageOptions& with) -> std::string {
    try {
      (void)Storage::open(world.environment(), with, source);
      return "opened";
    } catch (const Error& failed) {
      return std::string(failed.state.text());
    }
  };
  EXPECT_EQ(state_of(options), "58P01");
  auto storage = world.open(source);
  EXPECT_TRUE(storage->created());
  EXPECT_EQ(state_of({}), "55006");
  storage->close();
  storage.reset();
  storage = world.open(source);
  EXPECT_FALSE(storage->created());
  EXPECT_EQ(storage->state().boot_count, 2u);
}

}  // namespace
}  // namespace rustbd::storage
