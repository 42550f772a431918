// Replay on real threads: whatever the number of workers, the state is that before the server ended.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "rustbd/io/run_task.h"
#include "rustbd/txn/testing/test_database.h"

namespace rustbd::txn {
namespace {

using testing::Row;
using testing::Seen;
using testing::TestDatabase;

#if defined(RUSTBD_TSAN)
constexpr std::int64_t kRows = 3000;
#else
constexpr std::int64_t kRows = 6000;
#endif

class Replay : public ::testing::Test {
 protected:
  Replay() {
    std::string pattern = (std::filesystem::temp_directory_path() / "rustbd-replay-XXXXXX").string();
    path_ = mkdtemp(pattern.data());
    disk_ = io::make_real_disk(path_);
  }
  ~Replay() override {
    system_.reset();
    executor_->stop();
    std::filesystem::remove_all(path_);
  }
  void open(std::uint32_t workers) {
    Options options;
    options.buffer_bytes = 4 << 20;
    options.log_segment_bytes = 1 << 20;
    options.log_ring_bytes = 256 << 10;
    options.preallocate_log = false;
    options.background = false;
    options.recovery_workers = workers;
    options.log_line = [this](std::string_view line) { lines_.emplace_back(line); };
    system_ = TransactionSystem::open({disk_.get(), clock_.get(), random_.get(), executor_.get()}, options);
  }
  template <class Body>
  void in_transaction(Body body) {
    const auto locker = system_->make_locker(1);
    const auto txn = system_->begin(*locker);
    txn->begin_statement();
    body(*txn);
    ASSERT_TRUE(io::run_blocking(*executor_, txn->commit()).ok());
  }
  std::vector<Seen> rows(const testing::AccountIds& ids) {
    const auto locker = system_->make_locker(2);
    const auto txn = system_->begin(*locker);
    txn->begin_statement();
    Table table(*system_, system_->layout_of(testing::kDatabase, ids.relation));
    return TestDatabase::scan(table, txn->view());
  }
  testing::AccountIds make_table() {
    testing::AccountIds ids;
    ids.relation = system_->new_object_id();
    ids.table = TableId{ids.relation};
    ids.by_id = system_->new_index_id();
    ids.by_value = system_->new_index_id();
    in_transaction([&](Transaction& txn) {
      ASSERT_TRUE(
          testing::run([&] { return system_->create_table(txn, testing::account_layout(ids)); }).ok());
    });
    return ids;
  }
  /// Rows come, change (some of them to values of another length) and go, in transactions of 100.
  void work(const testing::AccountIds& ids) {
    touched_.clear();
    Table table(*system_, system_->layout_of(testing::kDatabase, ids.relation));
    for (std::int64_t first = 0; first < kRows; first += 100) {
      in_transaction([&](Transaction& txn) {
        for (std::int64_t id = first; id < first + 100; ++id) {
          const Row row(id, id % 97, std::string(static_cast<std::size_t>(id % 60), 'n'));
          RowId at;
          ASSERT_TRUE(testing::run([&] { return table.insert(txn, row.ref(), {}, &at); }).ok());
          if (id % 3 == 0) touched_.push_back(at);
        }
      });
      if (first % 300 != 0) continue;
      in_transaction([&](Transaction& txn) {
        for (std::size_t i = 0; i < touched_.size(); ++i) {
          static constexpr ColumnNumber kValue[1] = {1};
          const Row row(0, first + static_cast<std::int64_t>(i), {});
          if (i % 5 == 0) {
            ASSERT_TRUE(testing::run([&] { return table.remove(txn, touched_[i], {}); }).ok());
          } else {
            ASSERT_TRUE(
                testing::run([&] { return table.update(txn, touched_[i], kValue, row.ref(1), {}); }).ok());
          }
        }
      });
      touched_.clear();
    }
  }

  std::string path_;
  std::unique_ptr<io::Disk> disk_;
  std::unique_ptr<io::Clock> clock_ = io::make_system_clock();
  std::unique_ptr<io::Random> random_ = io::make_system_random();
  std::unique_ptr<io::Executor> executor_ = io::make_thread_executor(2);
  std::unique_ptr<TransactionSystem> system_;
  std::vector<std::string> lines_;
  std::vector<RowId> touched_;
};

TEST_F(Replay, GivesTheSameStateWithAnyNumberOfWorkers) {
  open(1);
  const auto first = make_table();
  work(first);
  const auto second = make_table();  // DDL in the middle of the log
  work(second);
  const auto before = std::pair{rows(first), rows(second)};
  ASSERT_GT(before.first.size(), static_cast<std::size_t>(kRows) / 2);
  for (const std::uint32_t workers : {4u, 1u, 3u}) {
    system_.reset();  // without close(): the log is all there is
    lines_.clear();
    open(workers);
    EXPECT_GT(system_->statistics().replayed_bytes, static_cast<std::uint64_t>(kRows) * 20) << workers;
    EXPECT_EQ(rows(first), before.first) << workers;
    EXPECT_EQ(rows(second), before.second) << workers;
    EXPECT_EQ(system_->check(), std::vector<std::string>{}) << workers;
    ASSERT_FALSE(lines_.empty());
    EXPECT_NE(lines_.back().find("replayed in"), std::string::npos) << lines_.back();
  }
}

}  // namespace
}  // namespace rustbd::txn
