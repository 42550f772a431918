// The crash simulation's surroundings, and one client of it: random transactions whose effects go to the
// model.
#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "rustbd/base/arena.h"
#include "rustbd/base/task.h"
#include "rustbd/io/simulated/simulated_disk.h"
#include "rustbd/io/simulated/simulated_executor.h"
#include "rustbd/txn/system_parts.h"
#include "rustbd/txn/tables/index.h"
#include "rustbd/txn/tables/table.h"
#include "rustbd/txn/testing/crash_model.h"
#include "rustbd/txn/testing/crash_two_phase.h"
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
  kDiskErrors = 262144,           // EIO and ENOSPC while clients work
  kLogWatch = 524288,             // consumers and the archive of the log
  kTwoPhase = 1048576,            // prepared transactions, decided by others and after restarts
  kDamage = 2097152,              // lost and misdirected writes and reads, rot, slow operations
  kEncryption = 4194304,          // sealed pages and log, rotations of the data key
  kComputedKeys = 8388608,        // indexes with expressions and predicates
  kDeferredUnique = 16777216,     // unique keys that change places, checked afterwards
  kAdvisory = 33554432,           // advisory locks
  kBackups = 67108864,            // backups while clients work, restored after a start
  kCrowds = 134217728,            // lanes that serve many at once, so that the log gathers
  kAllFeatures = 2 * kCrowds - 1  // up to the last one
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
[[nodiscard]] storage::IndexLayout index_on(const storage::TableLayout& layout, IndexId id,
                                            ColumnNumber column, bool unique);
[[nodiscard]] std::string to_text(const Image& image);
[[nodiscard]] storage::TableLayout base_layout(Oid relation, IndexId by_id, IndexId by_value);

/// How damage of the disk came to light.
struct Detections {
  std::uint64_t statements = 0;  // ended with XX001
  std::uint64_t starts = 0;      // refused
  std::uint64_t findings = 0;    // lines of checks and of the server's log
  std::uint64_t backups = 0;     // not made, not verified or not restored
  std::uint64_t rebuilt = 0;     // pages and indexes made anew
  std::uint64_t space = 0;       // findings of space lost to read errors: no damage
  [[nodiscard]] bool any() const { return statements + starts + findings + backups != 0; }
};

/// Who holds which advisory lock, as the clients were told.
struct AdvisoryHold {
  std::int32_t client;
  std::int64_t key;
  AdvisoryMode mode;
  bool session;
};

struct CrashWorld {
  CrashWorld(std::uint64_t seed, std::uint32_t feature_bits);
  io::SeededRandom random;
  std::uint32_t features;
  std::uint32_t reads_per_mille = 150;
  io::SimulatedExecutor executor;
  std::unique_ptr<io::SimulatedDisk> disk;
  std::unique_ptr<TransactionSystem> system;
  CrashModel model;
  TwoPhaseWatch two_phase;
  Oid bank = 0;
  std::int64_t bank_sum = 0;
  std::int64_t sequence_seen = 0;  // highest value shown by an acknowledged transaction
  TableId sequence;
  metrics::Counter freed_unread;  // pages, in all lives of the system
  bool disk_errors = false;  // this seed's disk fails now and then: statements may fail with 58030 and 53100
  bool damage = false;       // this seed's disk does what nobody is told of
  bool rots = false;         // of that: to what lies on it
  mutable Detections detections;
  std::vector<AdvisoryHold> advisory;
  bool fatal = false;
  bool stopping = false;
  std::uint64_t commits = 0, aborts = 0, rows_read = 0, duplicates = 0, layouts_changed = 0;
  std::vector<std::string> problems;

  [[nodiscard]] bool has(Feature f) const { return (features & f) != 0; }
  [[nodiscard]] bool dead() const { return fatal || disk->crashed(); }
  /// Something may be damaged by now; or a read error has made keys of old versions unknown, and indexes (no
  /// table) are set aside for it (docs/decisions/047).
  [[nodiscard]] bool wounded() const {
    return (damage && disk->damage().total() != 0) || (disk_errors && system != nullptr && keys_unknown());
  }
  /// A finding of the deep check that a read error explains: what a page refers to that the disk did not give
  /// when its tree or chain was freed stays in use, until `check --repair`. Counts it.
  [[nodiscard]] bool explains_loss(const std::string& finding) const {
    const bool explained = loses_space() && finding.find("that nothing refers to") != std::string::npos;
    if (explained) ++detections.space;
    return explained;
  }
  [[nodiscard]] bool loses_space() const {
    return disk_errors && disk->lasting_read_errors() != 0 && freed_unread.value() != 0;
  }
  [[nodiscard]] bool has_lost_sectors() const {
    return disk->damage().injected[static_cast<std::size_t>(io::DamageKind::kLostSectors)] != 0;
  }
  [[nodiscard]] bool keys_unknown() const {
    const auto& aside = system->parts().trees_set_aside;
    const auto index = [&](const auto& tree) { return system->parts().is_index(tree.first); };
    return !aside.empty() && std::ranges::all_of(aside, index);
  }
  /// An outcome that damage explains: XX001 where the disk has done some. Counts it.
  [[nodiscard]] bool tolerates(Status status) const {
    const bool damaged = status == Status::kDamaged && wounded();
    if (damaged) ++detections.statements;
    return damaged;
  }
  [[nodiscard]] bool chance(std::uint32_t per_mille) { return random.chance(per_mille); }
  void problem(std::string text) {
    if (problems.size() < 20) problems.push_back(std::move(text));
  }
};

/// What a whole read of a table must give; problems go to the world. `view_name` is for the text.
void compare_rows(CrashWorld& world, const std::string& what, const Rows& expected, const Rows& found,
                  const storage::TableLayout& layout);

/// Takes rows of scans; a row that comes twice is a problem.
class RowCollector {
 public:
  RowCollector(CrashWorld& world, std::string what, const storage::TableLayout& layout)
      : world_(world), what_(std::move(what)), layout_(layout) {}
  /// `chunk`: all columns of the layout and the row id. `seen` (optional) gets each row.
  void take(const types::Chunk& chunk, const std::function<void(std::uint64_t, const Image&)>& seen = {});
  Rows rows;

 private:
  CrashWorld& world_;
  const std::string what_;
  const storage::TableLayout& layout_;
};

/// Notices rows of an index scan that are out of order; not of text columns.
class OrderCheck {
 public:
  OrderCheck(CrashWorld& world, const storage::IndexLayout& index, bool backward)
      : world_(world), index_(index), backward_(backward) {}
  void see(std::uint64_t row, const Image& image);

 private:
  CrashWorld& world_;
  const storage::IndexLayout& index_;
  const bool backward_;
  std::optional<std::int64_t> previous_;
};

class CrashClient {
 public:
  CrashClient(CrashWorld& world, std::int32_t number);
  /// Runs that many transactions, or until the world is dead.
  Task<> run(int transactions);
  Locker& locker() { return *locker_; }
  /// What it does and what it waits for, for somebody who finds it stuck.
  [[nodiscard]] std::string describe() const;

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
  Task<Next> update_row(const LayoutPtr& layout, std::uint64_t row, const Change& change,
                        DeferredUnique* deferred = nullptr);
  /// Some rows of a table pass their unique keys on to one another.
  Task<Next> rotate_keys();
  Task<Next> check_deferred(const LayoutPtr& layout, const DeferredUnique& list);
  /// The checks that were put off until the commit.
  Task<Next> check_all_deferred();
  Task<Next> lock_advisory();
  Task<Next> unlock_advisory();
  /// The result of a read is sent to a client, once it may be (P13).
  Task<Next> show();
  void note_read(TableId table, const ReadView& view);
  void forget_advisory(std::size_t kept);  // locks of transaction scope beyond the first so many
  [[nodiscard]] std::size_t advisory_count() const;
  Next judge(const Outcome& outcome, const char* what);
  /// Repeats the attempt until it is over or the world is dead.
  template <class Attempt>
  Task<Outcome> finish(const char* what, Attempt attempt) {
    doing_ = what;
    for (;;) {
      Outcome outcome = attempt();
      if (!outcome.blocked()) {
        waits_for_ = {};
        co_return outcome;
      }
      waits_for_ = outcome.token;
      co_await outcome.token;
      if (world_.dead() || world_.stopping) co_return outcome;
    }
  }
  Task<Next> finish_transaction(Next next);
  Task<Next> prepare();

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
  std::map<Oid, DeferredUnique> deferred_;  // by relation: to be checked at the commit
  std::int64_t sequence_seen_ = 0;
  std::uint64_t shown_ = 0;  // the newest commit whose effect this transaction has read
  bool changed_layout_ = false;
  const char* doing_ = "begin";
  io::WaitToken waits_for_;
};

/// Inside an operation of CrashClient: goes on only after kGo.
#define RUSTBD_GO(expression) \
  if (const Next next_ = (expression); next_ != Next::kGo) co_return next_

}  // namespace rustbd::txn::testing
