// TransactionSystem: one open data directory as transactions see it. Owns storage, log, version store, locks,
// recovery, checkpoints and garbage collection (storage.md §4, §6, §7).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "rustbd/base/ids.h"
#include "rustbd/base/log_line.h"
#include "rustbd/base/task.h"
#include "rustbd/io/executor.h"
#include "rustbd/metrics/registry.h"
#include "rustbd/storage/pages/choices.h"
#include "rustbd/storage/rows/table_layout.h"
#include "rustbd/txn/locks.h"
#include "rustbd/txn/outcome.h"
#include "rustbd/txn/tables/computed_keys.h"
#include "rustbd/txn/transaction.h"

namespace rustbd::log {
struct Event;
}
namespace rustbd::security {
struct KeyInfo;
class KeyRing;
}  // namespace rustbd::security

namespace rustbd::txn {

class BackupJobs;
class Table;
struct SystemParts;  // implementation, txn/system_parts.h
struct TreeState;

struct Options {
  storage::EncryptionOptions encryption;
  std::uint64_t buffer_bytes = std::uint64_t{256} << 20;
  storage::EvictionPolicyKind eviction_policy = storage::EvictionPolicyKind::kClock;
  storage::WriteStrategy write_strategy = storage::WriteStrategy::kWriteBack;
  storage::PageCompression page_compression =
      storage::PageCompression::kLz4;                             // of images written from now on
  std::uint64_t checkpoint_log_bytes = std::uint64_t{256} << 20;  // a checkpoint after that much log
  std::uint64_t checkpoint_interval_us = 300'000'000;
  std::uint64_t log_segment_bytes = std::uint64_t{64} << 20;  // of a new database; others keep theirs
  std::uint64_t log_ring_bytes = std::uint64_t{16} << 20;     // at most half a segment is taken
  std::uint32_t prepared_transactions_max = 64;               // more at once: 53400; 0: none, 55000
  std::uint64_t undo_limit_bytes = std::uint64_t{4} << 30;    // of all transactions together: beyond it 53200
  std::uint64_t undo_spill_bytes = std::uint64_t{64}
                                   << 20;  // of one transaction: beyond it payloads go to TEMP pages
  std::uint64_t log_fragment_bytes = std::uint64_t{4}
                                     << 20;  // more events than that are written as FRAGMENTs
  std::uint32_t bulk_rows_min = 512;   // of bulk_append(): fewer would leave most of a block's row ids unused
  std::uint32_t recovery_workers = 1;  // threads that replay the log
  /// A checkpoint starts early enough that replaying the log since it takes at most so long; 0: whatever it
  /// takes.
  std::uint64_t recovery_target_us = 30'000'000;
  std::uint64_t log_retention_us = 0;     // a log segment is kept for so long after its end
  std::uint64_t log_retention_bytes = 0;  // but no more than so much for that reason alone; 0: no limit
  io::Disk* archive_disk = nullptr;       // complete log segments are copied there before they are used again
  std::string archive_directory;          // an existing directory on it
  std::vector<std::string> own_paths;     // of the server, where no backup may be made
  std::uint64_t relocation_bytes_per_second = std::uint64_t{32} << 20;  // to shrink the data file; 0: never
  bool background = true;  // start the checkpoint and collection threads (off: tests and tools drive them)
  bool read_only = false;  // `rustbd check`: nothing is written to the directory
  /// `rustbd check`: damage that recovery meets is a finding of check(), and recovery goes on without what it
  /// cannot read. Never for a database that is to be used.
  bool examine = false;
  /// `rustbd check --repair`: open() looks at all pages of tables and indexes and makes anew what the log and
  /// the rows have all of (repairs() tells), not only what recovery had to change.
  bool repair = false;
  /// False (`rustbd log dump`, with an overlay disk): the tables as the last checkpoint left them; the lock
  /// is not taken.
  bool replay_log = true;
  bool direct_io = false;
  bool preallocate_log = true;           // zero-fill segments ahead (off for tests)
  std::uint64_t data_grow_bytes = 0;     // step by which the data file grows; 0: the default
  metrics::Registry* metrics = nullptr;  // nullptr: one of its own
  /// Where pages are counted that were freed unread, over several opens (simulation); nullptr: in `metrics`.
  metrics::Counter* freed_unread = nullptr;
  LogLine log_line;
  /// Called when durability can no longer be promised (fdatasync failed) or a change not be taken back. It
  /// must end the process, with all of its threads: a checkpoint after it would keep what nobody may see. The
  /// default prints why and exits with 70.
  std::function<void(std::string_view)> on_fatal;
};

struct Statistics {
  std::uint64_t committed = 0, aborted = 0, active = 0, deadlocks = 0, checkpoints = 0;
  std::uint64_t undo_bytes = 0, versions = 0;
  double recovery_seconds = 0;
  std::uint64_t replayed_bytes = 0;  // of log, by the last recovery
  Lsn log_end, durable_lsn;
};

/// What recovery has done about something that is damaged.
struct Repair {
  bool done = false;
  std::string text;  // one line, with the name of the table or index
};

/// An active transaction, for pg_stat_activity and rustbd_transactions.
struct ActiveTransaction {
  TransactionId id;
  std::int32_t process_id;
  std::int64_t began_us;  // wall clock
  std::uint64_t undo_records;
};

/// A prepared transaction, for pg_prepared_xacts.
struct PreparedTransaction {
  TransactionId id;
  std::string gid;
  std::int64_t prepared_us;  // wall clock
  Oid owner, database;
};

/// Who prepares a transaction or decides on one.
struct TwoPhaseUser {
  Oid role = 0;
  Oid database = 0;
  bool superuser = false;
};

/// Thrown Error at open: XX001 (damaged), 58030 (I/O), 55006 (another process has the directory).
/// Threads: any, once open. Destroy (or close()) after all transactions and tables.
class TransactionSystem {
 public:
  /// Opens or creates the directory that environment.disk stands for; recovers; blocks.
  static std::unique_ptr<TransactionSystem> open(io::Environment environment, Options options);
  ~TransactionSystem();
  TransactionSystem(const TransactionSystem&) = delete;
  TransactionSystem& operator=(const TransactionSystem&) = delete;
  /// Clean shutdown: final checkpoint, all closed. Blocks. No transaction may run. Without it the destructor
  /// stops as a crash would (nothing more is written).
  void close();
  /// True if open() made a new directory: the layers above then write their first catalog.
  [[nodiscard]] bool created() const;

  [[nodiscard]] std::unique_ptr<Locker> make_locker(std::int32_t process_id);
  [[nodiscard]] std::unique_ptr<Transaction> begin(Locker& locker, const TransactionOptions& options = {});

  [[nodiscard]] LockTable& locks();
  [[nodiscard]] io::Environment& environment();
  [[nodiscard]] metrics::Registry& metrics();
  [[nodiscard]] const Options& options() const;

  // --- layouts and ids ---
  /// The committed layout of a table; nullptr: none (any more).
  [[nodiscard]] std::shared_ptr<const storage::TableLayout> layout(TableId table) const;
  /// By SQL object.
  [[nodiscard]] std::shared_ptr<const storage::TableLayout> layout_of(Oid database, Oid relation) const;
  [[nodiscard]] std::vector<std::shared_ptr<const storage::TableLayout>> layouts() const;
  /// A new oid, table id or index id: one counter (§0.16). Throws 54000 at its end.
  Oid new_object_id();
  /// The counter goes on behind it: an id in use that stands in no layout. For whoever loads such objects.
  void raise_object_id(Oid used);
  TableId new_table_id() { return TableId{new_object_id()}; }
  IndexId new_index_id() { return IndexId{new_object_id()}; }

  // --- DDL: transactional through rows of the built-in table. Callers hold the table locks. All try-forms.
  // ---
  /// A new table (empty trees for it and its indexes).
  Outcome create_table(Transaction& txn, const storage::TableLayout& layout);
  /// Replaces the layout of the same relation: columns added or dropped (schema_version raised), indexes
  /// added (their empty trees are made; then build_index) or dropped, or another table id (TRUNCATE, rewrite:
  /// the old trees go at commit, the new ones start empty).
  Outcome alter_table(Transaction& txn, const storage::TableLayout& layout);
  Outcome drop_table(Transaction& txn, Oid database, Oid relation);
  /// The layout as this transaction sees it (own uncommitted DDL included).
  [[nodiscard]] std::shared_ptr<const storage::TableLayout> layout_for(Transaction& txn, Oid database,
                                                                       Oid relation);

  // --- sequences. `sequence` is the table id of a layout with is_sequence. ---
  struct SequenceDefinition {
    std::int64_t start = 1, increment = 1, minimum = 1, maximum = INT64_MAX;
    bool cycle = false;
  };
  /// The next `count` values; the first one into `*out`. Logged in blocks of 32. Not transactional. Throws
  /// 2200H at the limit (caller names the sequence: message "nextval: reached maximum value of sequence").
  /// What a result that shows the value must wait for: note_seen() does it when `txn` is given. kGone: the
  /// sequence was dropped, or restarted under another table id.
  Outcome sequence_advance(Transaction* txn, TableId sequence, const SequenceDefinition& definition,
                           std::uint32_t count, std::int64_t* out);
  /// setval. `called`: the next one is value + increment. kGone as above.
  Outcome sequence_set(Transaction* txn, TableId sequence, std::int64_t value, bool called);
  struct SequenceState {
    std::int64_t last_value = 0;
    bool is_called = false;
    bool exists = false;  // false: never advanced; the definition's start counts
  };
  [[nodiscard]] SequenceState sequence_state(TableId sequence) const;

  // --- two-phase commit (two_phase.cc) ---
  /// The transaction is durable, keeps its locks, belongs to the system (`txn` is null) and waits for its
  /// decision, over restarts. Throws 22023, 42710, 53400, 55000, 0A000 (of what cannot be kept over a
  /// restart); after that and after an outcome that is not kOk the caller rolls it back, if `txn` is not
  /// null.
  Task<Outcome> prepare(std::unique_ptr<Transaction>& txn, const std::string& gid, TwoPhaseUser user);
  /// Decides. kOk: durable. kNoSpace: it is still prepared. Throws 42704, 55000 (somebody else decides just
  /// now), 42501, 0A000 (of another database). `*on_commit` runs at the commit's place in the order.
  /// The arguments live until it has ended.
  Task<Outcome> commit_prepared(const std::string& gid, TwoPhaseUser user,
                                std::move_only_function<void(CommitTimestamp)>* on_commit = nullptr);
  Task<Outcome> rollback_prepared(const std::string& gid, TwoPhaseUser user);
  [[nodiscard]] std::vector<PreparedTransaction> prepared_transactions() const;

  // --- durability ---
  [[nodiscard]] Lsn durable_lsn() const;
  [[nodiscard]] CommitTimestamp durable_timestamp() const;
  [[nodiscard]] CommitTimestamp last_timestamp() const;
  /// Token that fires when the log is durable up to `lsn` (empty if it is).
  [[nodiscard]] io::WaitToken when_durable(Lsn lsn);
  /// Makes a checkpoint and waits for it. Throws 58030 or 53100 if it failed.
  Task<> checkpoint();
  void checkpoint_blocking();
  /// One round of collection; how many undo records went. The collection thread does it; tests may.
  std::size_t collect_garbage();
  /// True after an I/O error of a page write: reads go on, writes answer kReadOnly.
  [[nodiscard]] bool read_only() const;

  // --- who needs the log (I12), by name; the base of replicas and subscriptions ---
  struct LogConsumer {
    std::string name;
    Lsn position;  // it has all before
  };
  /// The log from now on is kept for it; returns that position. Durable. Throws 42602 (name), 42710, 58030.
  Lsn create_log_consumer(const std::string& name);
  /// It has all before `position`; never goes back. Throws 42704, 58030.
  void advance_log_consumer(const std::string& name, Lsn position);
  /// Durable. Throws 42704, 58030.
  void drop_log_consumer(const std::string& name);
  [[nodiscard]] std::vector<LogConsumer> log_consumers() const;

  /// Of the running server (backup/jobs.h); the functions of backup/ do without.
  [[nodiscard]] BackupJobs& backups();

  // --- encryption ---
  /// A new data key seals from now on; what older ones have sealed is sealed anew in the background. Blocks.
  /// Throws Error 55000 without encryption, 58030, 53100.
  void rotate_data_key();
  /// Wraps the data keys with another master key. Blocks. Errors as above.
  void change_master_key(const security::MasterKey& master);
  [[nodiscard]] std::vector<security::KeyInfo> keys() const;
  [[nodiscard]] storage::KeyRotation key_rotation() const;

  /// From now on. Threads: any, at any time.
  void set_buffer_behaviour(storage::EvictionPolicyKind policy, storage::WriteStrategy strategy,
                            storage::PageCompression compression);

  // --- information ---
  [[nodiscard]] Statistics statistics() const;
  [[nodiscard]] std::vector<ActiveTransaction> active_transactions() const;
  [[nodiscard]] std::string log_position_text() const;
  /// What the open with Options::examine met.
  [[nodiscard]] const std::vector<std::string>& recovery_findings() const;
  /// Pages and indexes that this open has made anew, and those that it could not.
  [[nodiscard]] std::vector<Repair> repairs() const;
  /// Indexes of no use whose tables are: a session can build them anew.
  [[nodiscard]] std::vector<IndexId> indexes_set_aside() const;
  /// Deep check: every page, every table against its indexes both ways, orders, fences, counts. Blocks;
  /// nothing else may run. Returns the findings (empty: all is well). `free_lost`: pages that nothing refers
  /// to become free, if all that could refer to them was read; it returns what else was found.
  /// `keys_of`: without it, an index with expressions or a predicate is compared by row ids alone.
  std::vector<std::string> check(bool free_lost = false, const KeysOf& keys_of = {});
  /// Reads the log that the last checkpoint keeps, as recovery would, every batch and event, and the list of
  /// consumers. Returns the findings; `*end`: where the log ends. `sealed`: what it found is added there.
  static std::vector<std::string> check_log(io::Disk& disk, const security::KeyRing* keys, std::string* end,
                                            storage::SealedByKeys* sealed = nullptr);
  /// The file of a stopped database as the last checkpoint left it: superblock, directory, undo snapshot, the
  /// image of every page. Reads only. Returns the findings.
  /// `keys`: nullptr without encryption.
  static std::vector<std::string> check_stored_pages(io::Disk& disk, const security::KeyRing* keys,
                                                     std::vector<std::string>* warnings = nullptr,
                                                     storage::SealedByKeys* sealed = nullptr);
  /// How messages call a tree of a table or index id; empty: its number is shown. Set once, before sessions
  /// come.
  void name_trees_by(std::function<std::string(std::uint32_t)> names);
  /// `table "public.t"`, or `table or index 16500` where nobody knows a name.
  [[nodiscard]] std::string tree_name(std::uint32_t id) const;
  /// Throws the Error (PostgreSQL's text) that a failed outcome stands for; kDuplicate, kConflict, kGone,
  /// kSelfModified and kEnd are the caller's and give XX000.
  [[noreturn]] void throw_outcome(const Outcome& outcome, const Locker* locker = nullptr) const;

  [[nodiscard]] SystemParts& parts() { return *parts_; }

 private:
  friend class Transaction;
  friend class Table;
  TransactionSystem();
  Task<Outcome> decide(const std::string& gid, TwoPhaseUser user, bool commit,
                       std::move_only_function<void(CommitTimestamp)>* on_commit);
  void recreate_prepared();
  void redo(Transaction& txn, const log::Event& event);
  std::unique_ptr<SystemParts> parts_;
};

}  // namespace rustbd::txn
