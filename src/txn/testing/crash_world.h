// The crash simulation's surroundings, and one client of it: random transactions whose effects go to the
// model.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "rustbd/base/arena.h"
#include "rustbd/base/task.h"
#include "rustbd/io/simulated/simulated_disk.h"
#include "rustbd/io/simulated/simulated_executor.h"
#include "rustbd/txn/tables/index.h"
#include "rustbd/txn/tables/table.h"
#include "rustbd/txn/testing/crash_model.h"
#include "rustbd/txn/transaction_system.h"

namespace rustbd::txn::testing {

inline constexpr Oid kCrashDatabase = 5;

/// Parts of the workload, to narrow a failure down.
enum Feature : std::uint32_t {
  kTransfers = 1,
  kRows = 2,
  kKeys = 4,
  kSavepoints = 8,
  kCheckpoints = 16,
  kCollection = 32,
  kLong = 64,
  kLarge = 128,
  kOverflow = 256,
  kTables = 512,
  kColumns = 1024,
  kIndexes = 2048,
  kTruncate = 4096,
  kSequences = 8192,
  kBackground = 16384,
  kCrashInRecovery = 32768,
  kTimeouts = 65536,
  kBulk = 131072,
  kDiskErrors = 262144,               // EIO and ENOSPC while clients work
  kLogWatch = 524288,                 // consumers and the archive of the log
  kEncryption = 4194304,              // sealed pages and log, rotations of the data key
  kAllFeatures = 2 * kEncryption - 1  // up to the last one
};

/// Values of one row as constant vectors.
class ImageRow {
 public:
  ImageRow(const Image& image, const storage::TableLayout& layout);
  [[nodiscard]] RowRef ref(std::size_t first = 0) const { return {columns_.data() + first, 0}; }
  /// The row alone, as a chunk over this memory.
  [[nodiscard]] types::Chunk chunk() {
    return {columns_.data(), static_cast<std::uint32_t>(columns_.size()), 1, {nullptr, 1}};
  }
  [[nodiscard]] const types::Vector& column(std::size_t i) const { return columns_[i]; }

 private:
  Arena arena_{512};
  std::vector<types::Vector> columns_;
};

[[nodiscard]] Image read_image(const types::Chunk& chunk, std::uint32_t row,
                               const storage::TableLayout& layout);
[[nodiscard]] std::vector<ColumnNumber> all_columns(const storage::TableLayout& layout);
[[nodiscard]] storage::TableLayout base_layout(Oid relation, IndexId by_id, IndexId by_value);

struct CrashWorld {
  CrashWorld(std::uint64_t seed, std::uint32_t feature_bits);
  io::SeededRandom random;
  std::uint32_t features;
  std::uint32_t reads_per_mille = 150;
  io::SimulatedExecutor executor;
  std::unique_ptr<io::SimulatedDisk> disk;
  std::unique_ptr<TransactionSystem> system;
  CrashModel model;
  Oid bank = 0;
  std::int64_t bank_sum = 0;
  std::int64_t sequence_seen = 0;  // highest value shown by an acknowledged transaction
  TableId sequence;
  bool disk_errors = false;  // this seed's disk fails now and then: statements may fail with 58030 and 53100
  bool fatal = false;
  bool stopping = false;
  std::uint64_t commits = 0, aborts = 0, rows_read = 0, duplicates = 0, layouts_changed = 0;
  std::vector<std::string> problems;

  [[nodiscard]] bool has(Feature f) const { return (features & f) != 0; }
  [[nodiscard]] bool dead() const { return fatal || disk->crashed(); }
  [[nodiscard]] bool chance(std::uint32_t per_mille) { return random.chance(per_mille); }
  void problem(std::string text) {
    if (problems.size() < 20) problems.push_back(std::move(text));
  }
};

/// What a whole read of a table must give; problems go to the world. `view_name` is for the text.
void compare_rows(CrashWorld& world, const std::string& what, const Rows& expected, const Rows& found,
                  const storage::TableLayout& layout);

class CrashClient {
 public:
  CrashClient(CrashWorld& world, std::int32_t number);
  /// Runs that many transactions, or until the world is dead.
  Task<> run(int transactions);
  Locker& locker() { return *locker_; }

 private:
  // By reference from named variables: g++ 12 copies temporaries of a co_await expression bit by bit.
  using Change = std::function<std::vector<ColumnNumber>(Image&)>;
  enum class Next : std::uint8_t { kGo, kSkip, kAbort, kDead };

  Task<> transaction();
  Task<Next> operation();
  Task<Next> transfer();
  Task<Next> insert();
  Task<Next> insert_one(const LayoutPtr& layout, bool bulk);
  Task<Next> update();
  Task<Next> remove();
  Task<Next> read_table();
  Task<Next> read_index();
  Task<Next> change_layout();
  Task<Next> create_relation();
  Task<Next> advance_sequence();
  Task<Next> pause();
  Task<Next> use(Oid relation, TableLockMode mode, LayoutPtr* layout);
  /// Reads the newest image and changes it; `change` gives the changed columns.
  Task<Next> update_row(const LayoutPtr& layout, std::uint64_t row, const Change& change);
  Next judge(const Outcome& outcome, const char* what);
  Task<Next> finish_transaction(Next next);

  [[nodiscard]] Oid pick_relation();
  [[nodiscard]] Rows expected_rows(TableId table, const ReadView& view) const;
  [[nodiscard]] const Effect* own_effect(TableId table, std::uint64_t row) const;
  [[nodiscard]] Image random_image(const storage::TableLayout& layout);
  [[nodiscard]] std::optional<std::string> random_note();
  void note_layout(Oid relation, LayoutPtr layout);

  CrashWorld& world_;
  const std::int32_t number_;
  std::unique_ptr<Locker> locker_;
  std::unique_ptr<Transaction> txn_;
  std::vector<Effect> effects_;
  std::int64_t sequence_seen_ = 0;
  bool changed_layout_ = false;
};

}  // namespace rustbd::txn::testing
