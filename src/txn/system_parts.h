// The inside of TransactionSystem, shared by the files of `txn`. Nobody outside includes it.
#pragma once

#include <atomic>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <shared_mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "rustbd/base/error.h"
#include "rustbd/io/executor.h"
#include "rustbd/log/consumers.h"
#include "rustbd/log/log_reader.h"
#include "rustbd/log/log_writer.h"
#include "rustbd/metrics/registry.h"
#include "rustbd/storage/btree/index_tree.h"
#include "rustbd/storage/pages/storage.h"
#include "rustbd/storage/rows/overflow.h"
#include "rustbd/storage/rows/table_tree.h"
#include "rustbd/txn/backup/jobs.h"
#include "rustbd/txn/leaf_rebuild.h"
#include "rustbd/txn/row_codec.h"
#include "rustbd/txn/transaction_system.h"
#include "rustbd/txn/turn.h"
#include "rustbd/txn/txn_state.h"
#include "rustbd/txn/version_store.h"

namespace rustbd::txn {

/// The built-in table of layout rows: (database, relation, layout) under a unique index (§0 item 14).
inline constexpr TableId kLayoutTable{1};
inline constexpr IndexId kLayoutIndex{2};
inline constexpr std::uint32_t kFirstObjectId = 16384;
/// Kinds of DDL events.
inline constexpr std::uint8_t kDdlLayout = 1;  // a layout row follows; text: empty
inline constexpr std::uint8_t kDdlIndexEntries =
    2;  // entries of a built index with computed keys: n x (row, key)

/// What all Table objects of one table id share.
struct TreeState {
  TableId id;
  std::unique_ptr<storage::TableTree> tree;
  std::atomic<std::uint64_t> next_row{1};
  std::atomic<std::int64_t> live_rows{0};
  std::atomic<bool> dropped{false};  // its trees are being freed: collection skips it
  /// An index was built when this was the next transaction id: records of older transactions do not say
  /// whether they changed its key.
  std::atomic<std::uint64_t> index_built_at{0};
  std::mutex mutex;                           // protects the two below
  std::shared_ptr<const TableFormat> newest;  // of the newest layout, uncommitted ones too
  /// `newest` with the indexes that a running ALTER TABLE has taken away: they may come back, and then must
  /// not have entries of versions that have gone meanwhile.
  std::shared_ptr<const TableFormat> upkeep;

  /// The row id was given out; the next one is above it.
  void raise_next_row(RowId seen) {
    std::uint64_t next = next_row.load(std::memory_order_relaxed);
    while (next <= seen.raw() && !next_row.compare_exchange_weak(next, seen.raw() + 1)) {}
  }
  [[nodiscard]] std::shared_ptr<const TableFormat> format() {
    std::lock_guard lock(mutex);
    return newest;
  }
  /// For whoever takes entries out: collection, undo, the checkpoint's list of purges.
  [[nodiscard]] std::shared_ptr<const TableFormat> upkeep_format() {
    std::lock_guard lock(mutex);
    return upkeep;
  }
};

/// Registered snapshots, up to three of a transaction. A slot is claimed by a compare-and-swap and holds the
/// snapshot's timestamp.
class SnapshotRegistry {
 public:
  static constexpr std::uint64_t kFree = 0;
  static constexpr std::uint64_t kAcquiring = ~std::uint64_t{0};
  static constexpr std::uint32_t kSlots = 32768;
  SnapshotRegistry() : slots_(std::make_unique<Slot[]>(kSlots)) {}

  /// Registers published (or at least `at_least`... see transaction.cc); returns the slot (never 0).
  template <class Read>
  std::uint32_t acquire(std::uint32_t hint, Read&& read, std::uint64_t* ts) {
    std::uint32_t slot = claim(hint);
    *ts = read();
    slots_[slot].ts.store(*ts, std::memory_order_seq_cst);
    return slot;
  }
  void release(std::uint32_t slot) { slots_[slot].ts.store(kFree, std::memory_order_release); }
  /// The slot has a later snapshot from now on, which it kept valid so far by having an older one.
  void raise(std::uint32_t slot, std::uint64_t ts) { slots_[slot].ts.store(ts, std::memory_order_release); }
  /// Oldest registered snapshot, at most `limit`; false: one is just being acquired, the horizon must not
  /// move.
  [[nodiscard]] bool oldest(std::uint64_t limit, std::uint64_t* out) const {
    *out = limit;
    const std::uint32_t bound = bound_.load(std::memory_order_seq_cst);
    for (std::uint32_t i = 1; i < bound; ++i) {
      const std::uint64_t ts = slots_[i].ts.load(std::memory_order_seq_cst);
      if (ts == kAcquiring) return false;
      if (ts != kFree && ts < *out) *out = ts;
    }
    return true;
  }

 private:
  struct alignas(64) Slot {
    std::atomic<std::uint64_t> ts{kFree};
  };
  std::uint32_t claim(std::uint32_t hint);
  std::unique_ptr<Slot[]> slots_;
  std::atomic<std::uint32_t> bound_{1};  // slots in use are below it
};

struct Sequence {
  std::int64_t value = 0;  // last value handed out
  bool called = false;
  std::int64_t logged = 0;  // the log says that values up to this may have been handed out
  std::uint64_t logged_lsn = 0;
};

/// A prepared transaction. It belongs to no session; whoever decides it takes it out.
struct PreparedEntry {
  /// kPreparing: its PREPARE is not durable yet; kDeciding: somebody is about to commit or roll it back.
  enum class Stage : std::uint8_t { kPreparing, kPrepared, kDeciding };
  Stage stage = Stage::kPreparing;
  TransactionId id;
  Oid owner = 0, database = 0;
  std::int64_t prepared_us = 0;  // wall clock
  Lsn lsn;                       // of its PREPARE batch; none: it is not in the log yet
  std::unique_ptr<Transaction> transaction;
};

/// A row of which collection has left entries behind: of versions that are gone, which would count as right
/// once the page that could not be read can be, after a restart.
struct OwedRow {
  RowId row;
  IndexId index;  // whose page it was; none: it was the row's leaf, and entries may be left in any
  auto operator<=>(const OwedRow&) const = default;
};

struct SystemParts final : storage::CheckpointSource {
  SystemParts(io::Environment env, Options opts);
  ~SystemParts() override;

  // --- constant after open ---
  io::Environment environment;
  Options options;
  std::unique_ptr<metrics::Registry> own_metrics;
  metrics::Registry* registry = nullptr;
  std::unique_ptr<storage::Storage> storage;
  /// What seals the batch that is made now; empty without encryption.
  [[nodiscard]] security::KeyUse log_key() const {
    const security::KeyRing* keys = storage->keys();
    return keys != nullptr ? keys->current() : security::KeyUse{};
  }
  std::unique_ptr<log::LogConsumers> consumers;
  std::atomic<std::uint64_t> backup_hold{0};  // a running backup needs the log from there on; 0: none runs
  /// The log from there on is needed by a consumer or a backup; none: by nobody.
  [[nodiscard]] Lsn log_hold() const {
    const Lsn consumer = consumers->hold(), backup{backup_hold.load()};
    if (consumer.is_none() || backup.is_none()) return std::max(consumer, backup);
    return std::min(consumer, backup);
  }
  std::unique_ptr<log::LogWriter> log;
  std::unique_ptr<LockTable> locks;
  bool created = false;
  bool open_done = false;
  double recovery_seconds = 0;
  std::uint64_t replayed_bytes = 0;           // of log, by the last recovery
  double replay_bytes_per_second = 16 << 20;  // measured by the last recovery that was long enough
  /// A checkpoint is asked for after that much log: so that replaying it takes no longer than configured.
  [[nodiscard]] std::uint64_t checkpoint_log_limit() const;
  std::function<std::string(std::uint32_t)> tree_names;  // set before sessions come

  // --- commit order (storage.md §4.4) ---
  std::mutex commit_mutex;  // protects last_ts, committed (pushes); taken inside the gate
  std::uint64_t last_ts = 1;
  std::atomic<std::uint64_t> published_ts{1};
  std::atomic<std::uint64_t> unsynced_ts{0};  // highest commit that was acknowledged without its flush
  std::atomic<std::uint64_t> next_txid{1};
  std::atomic<std::uint64_t> index_built_at{0};  // highest of all tables
  std::atomic<std::uint32_t> next_object{kFirstObjectId};
  std::atomic<std::uint64_t> catalog_version{1};
  SnapshotRegistry snapshots;

  // --- versions ---
  VersionMap versions;
  std::atomic<std::uint64_t> undo_total{0};
  std::mutex active_mutex;  // protects active; never held while entering the gate
  std::vector<TxnState*> active;
  Turn collecting;  // one collection at a time
  Turn dropping;    // one drop_step() at a time; after collecting
  std::atomic<bool> snapshot_pending{
      false};                       // set with the gate closed: no purge until the undo snapshot is written
  std::mutex queue_mutex;           // protects committed, ended; after commit_mutex
  std::deque<TxnState*> committed;  // in commit order; the collector's work
  std::deque<std::pair<std::uint64_t, TxnState*>> ended;  // epoch stamp: all unlinked, to be freed
  struct EmptiedLeaf {
    TableId table;
    IndexId index;  // none: a leaf of the table itself, with `row` in its range
    Bytes key;
    RowId row;
  };
  std::vector<EmptiedLeaf> emptied_leaves;          // by rollbacks and the collector; queue_mutex
  std::vector<storage::OverflowRef> unused_chains;  // overflow chains that no version needs; queue_mutex
  std::atomic<std::uint64_t> horizon{0};

  // --- prepared transactions (two_phase.cc) ---
  mutable std::mutex prepared_mutex;  // protects prepared; taken after commit_mutex
  /// By global id. Inside one gate action a transaction gets its place in the log and its lsn here, and with
  /// the place of its decision it goes: a checkpoint saves those that have an lsn.
  std::map<std::string, PreparedEntry> prepared;
  std::map<std::uint64_t, Lsn> undecided;  // recovery: where the PREPARE of each transaction id stands
  /// Takes it off the list, with the place of its decision.
  std::unique_ptr<Transaction> take_prepared(const std::string& gid);
  /// Replay of a decision.
  void replay_decision(log::LogReader& reader, const log::BatchView& batch,
                       const std::function<void(const log::Event&)>& replay_one);
  [[nodiscard]] double oldest_prepared_seconds() const;

  // --- tables ---
  mutable std::shared_mutex tables_mutex;  // protects the following five
  std::unordered_map<TableId, std::shared_ptr<TreeState>> trees;
  std::unordered_map<IndexId, std::shared_ptr<storage::IndexTree>> index_trees;
  std::map<std::pair<Oid, Oid>, std::shared_ptr<const storage::TableLayout>> layouts;  // committed
  std::unordered_map<TableId, std::shared_ptr<const storage::TableLayout>> by_table;   // committed
  std::map<std::pair<Oid, Oid>, std::uint64_t> layout_rows;  // row id in the built-in table, replay only
  std::shared_ptr<const storage::TableLayout> layout_table;
  struct DroppedTree {
    std::uint32_t id;
    bool is_index;
    std::shared_ptr<const TableFormat> format;  // of tables
    std::shared_ptr<TreeState> tree;
    std::shared_ptr<storage::IndexTree> index;
    bool unlinked = false;
  };
  std::mutex drop_mutex;  // protects dropped
  std::deque<DroppedTree> dropped;
  /// Formats of dropped tables, while records of their rows may be uncollected; drop_mutex.
  std::unordered_map<TableId, std::shared_ptr<const TableFormat>> dropped_formats;
  std::shared_ptr<const TableFormat> format_for_chains(TableId table);

  std::mutex sequence_mutex;  // protects sequences
  std::map<TableId, Sequence> sequences;

  // --- checkpoint in progress; checkpoint thread, capture with the gate closed ---
  struct Captured {
    TxnState* state;
    std::size_t records;
  };
  std::vector<Captured> captured_active;
  struct CapturedCommitted {
    TxnState* state;
    std::size_t from;  // its records before are collected
  };
  std::vector<CapturedCommitted> captured_committed;
  struct CapturedTable {
    std::uint64_t next_row;
    std::shared_ptr<TreeState> tree;
    std::shared_ptr<const TableFormat> upkeep;
    std::shared_ptr<const storage::TableLayout> committed;
    /// Those that recovery may find: one that goes meanwhile is there again when the log ends before that.
    [[nodiscard]] std::vector<IndexPart> indexes() const;
  };
  std::map<TableId, CapturedTable> captured_tables;
  std::map<std::uint32_t, PageId> captured_set_aside;
  std::map<TableId, std::set<OwedRow>> captured_owed;
  std::vector<std::shared_ptr<const TableFormat>> captured_dropped;
  std::uint64_t captured_ts = 0;
  std::map<TableId, Sequence> captured_sequences;
  std::vector<std::pair<TransactionId, Lsn>> captured_prepared;
  std::uint64_t captured_lsn = 0, captured_keep = 0;
  std::atomic<std::uint64_t> last_checkpoint_lsn{0};
  std::atomic<std::uint64_t> checkpoints{0};
  std::atomic<bool> checkpoint_asked{false};

  // --- background ---
  std::atomic<bool> stopping{false};
  std::mutex wake_mutex;  // protects wake
  io::WaitToken wake;
  std::unique_ptr<io::BackgroundThread> collector;
  std::unique_ptr<BackupJobs> backups;
  bool closed = false;

  // --- metrics ---
  metrics::Counter* transactions_total = nullptr;
  metrics::Counter* commits_total = nullptr;
  metrics::Counter* aborts_total = nullptr;
  metrics::Gauge* active_gauge = nullptr;
  metrics::Histogram* commit_seconds = nullptr;
  std::vector<metrics::Registry::Callback> callbacks;

  // --- CheckpointSource (checkpoint.cc) ---
  storage::CheckpointPositions capture(std::uint64_t epoch) override;
  std::string write_snapshot(std::uint64_t epoch, storage::SnapshotSink& sink) override;
  bool wait_durable(Lsn lsn) override;
  Lsn log_keep_lsn() override;
  /// The archive's copies are for later: all log counts as asked for, so that no key that sealed some goes.
  /// Where there are very many, those go that are in the archive's keys.tab: all that archived log has.
  Lsn log_kept_from() override {
    const bool all = options.archive_disk != nullptr && !storage->keys()->has_many();
    return all ? Lsn{1} : log->kept_from();
  }
  void finished(bool durable, Lsn log_keep, const std::string& why) override;
  void restore(storage::SnapshotRecord kind, ByteSpan body) override;
  void restore_purge(ByteReader& in);
  void restore_active(ByteReader& in);

  // --- tables (table_state.cc) ---
  storage::BufferManager& buffer() { return storage->buffer(); }
  storage::ActionGate& gate() { return storage->gate(); }
  storage::Epochs& epochs() { return storage->epochs(); }
  /// The trees' state; made from the root map, or nullptr if the id has no root.
  std::shared_ptr<TreeState> tree_state(TableId id);
  std::shared_ptr<storage::IndexTree> index_tree(IndexId id);
  [[nodiscard]] bool is_index(std::uint32_t id) const;  // of a tree that is known by now
  /// Format of exactly this layout (the newest one's is shared).
  std::shared_ptr<const TableFormat> format_of(const std::shared_ptr<const storage::TableLayout>& layout);
  std::shared_ptr<const TableFormat> format_of(const std::shared_ptr<const storage::TableLayout>& layout,
                                               TreeState& state);
  /// The newest of every table, the built-in table of layouts first.
  [[nodiscard]] std::vector<std::shared_ptr<const storage::TableLayout>> all_layouts() const;
  /// Makes `layout` the newest of its trees (GC, undo and recovery use that). What becomes of the indexes
  /// that it lacks:
  enum class Lacking : std::uint8_t {
    kGone,       // committed, or nobody has seen them
    kMayReturn,  // a running transaction has taken them away
    kUndone,     // so has it been with those still lacking; what else the newest has is undone with it
  };
  void set_newest(const std::shared_ptr<const storage::TableLayout>& layout,
                  Lacking lacking = Lacking::kGone);
  /// Empty trees for the ids of the layout that have no root. An action each. Outside the gate.
  storage::Status make_trees(const std::shared_ptr<const storage::TableLayout>& layout);
  void forget_trees(const storage::TableLayout& layout, const storage::TableLayout* kept);
  /// One step of freeing dropped trees; false: nothing to do. Blocks for pages.
  bool drop_step();
  bool free_front_tree();  // its body
  /// The committed registry after a change.
  void publish_layout(Oid database, Oid relation, std::shared_ptr<const storage::TableLayout> layout);
  bool find_next_row(TreeState& state);

  // --- undo (undo.cc) ---
  /// Takes one record back; an action. Not kOk: nothing happened, call again after `wait`.
  storage::Status undo_record(UndoRec& record);
  storage::Status undo_row(UndoRec& record, RowId row);
  storage::Status undo_bulk(UndoRec& record);
  /// The full payload (spilled ones are read from their pages). False: `*status` says why.
  bool load_payload(const UndoRec& record, Bytes& scratch, ByteSpan* out, storage::Status* status);
  void raise_object_id(std::uint32_t seen);

  // --- collection (collector.cc) ---
  /// A look at the log's volume comes after at most so many records, however many there are.
  static constexpr std::size_t kRecordsBetweenLooks = 64;
  std::size_t collect_garbage(const std::function<void()>& look = {});
  /// Asks for a checkpoint if so much log has been written since the last one.
  void look_at_log_volume();
  /// False: a checkpoint is about to note what is to be purged; later.
  bool purge_record(UndoRec& record);
  void remove_emptied_leaves(const std::function<void()>& look);
  bool collect_record(TxnState& state, std::size_t position);
  /// Whether the version before the record may have an index entry that no later one has, or a row to take
  /// away.
  bool leaves_entries(const UndoRec& record);
  void old_chains(const UndoRec& record, std::vector<storage::OverflowRef>* out);
  /// Keys of the version that the record replaced, for those of `indexes` in which it had another key than
  /// any version since (that was committed at or before `until`). `*reachable`: the record is still in its
  /// chain. The row's leaf is latched.
  struct OldKey {
    IndexId index;
    std::shared_ptr<storage::IndexTree> tree;
    Bytes key;
  };
  storage::Status old_keys(const TableFormat& format, const std::vector<IndexPart>& indexes,
                           const UndoRec& record, const storage::LeafView& leaf, std::uint64_t until,
                           std::vector<OldKey>* out, bool* reachable);
  void run_collector();
  void wake_collector();
  void retire_state(TxnState* state);
  std::size_t free_ended(bool all);
  void free_state(TxnState* state);

  // --- recovery (recovery.cc) ---
  void open_all();
  void bootstrap();
  void load_layouts();
  void replay();
  void finish_recovery();
  /// Index entries in recovery. An index that has a damaged page is left alone from then on and built anew at
  /// the end.
  void recover_entry(const IndexPart& part, ByteSpan key, RowId row, bool present);
  void rebuild_damaged_indexes();
  std::mutex damage_mutex;            // protects the following while recovery runs on several threads
  std::set<IndexId> damaged_indexes;  // recovery
  std::atomic<bool> any_damaged_index{false};
  std::set<IndexId> partly_built_indexes;  // of damaged_indexes: made in this recovery, and not from all rows
  std::vector<DamagedLeaf> damaged_leaves;
  std::vector<LeafRepair> leaf_repairs;
  std::vector<IndexId> rebuilt_indexes;
  std::vector<std::string> findings;  // recovery with Options::examine
  /// What recovery leaves out: kNoRow: nothing of the row itself.
  enum class LeftOut : std::uint8_t { kNoRow, kWrite, kRemoval };
  /// Whether the status says that a page of the table cannot be read: then recovery leaves the change out. A
  /// leaf is made anew at the end of the log; where that is not possible the table is set aside.
  bool set_aside(const storage::Status& status, TableId table, RowId row, LeftOut what);
  bool leaves_are_final = false;  // what cannot be read now will not be made anew
  /// Tables and indexes of which something had to be left out because of a page that cannot be read (tree id
  /// -> page): their trees say XX001 to everybody, also after a restart, until they are dropped.
  /// damage_mutex.
  std::map<std::uint32_t, PageId> trees_set_aside;
  /// What collection could not purge because of a page that cannot be read. damage_mutex.
  std::map<TableId, std::set<OwedRow>> owed_rows;
  void owe_row(TableId table, OwedRow owed, PageId page);
  /// After the undo snapshot, when rows have one version: takes out what was left of those that can be read.
  void settle_owed_rows();
  void settle_owed_rows(TreeState& state, std::set<OwedRow>* rows);
  void set_table_aside(TableId table, PageId page);
  bool set_index_aside(IndexId index, PageId page);  // false: it was before
  void keep_set_aside(const storage::TableLayout& layout);
  void apply_set_aside(TreeState& state, PageId page);
  void restore_set_aside(std::uint32_t tree, PageId page);
  /// Instead of undo_record() where a page of `status` cannot be read: what the record changed is set aside.
  /// False: without it nothing may go on.
  bool give_up_undo(UndoRec& record, const storage::Status& status);
  bool find_damaged_leaves(TreeState& state);
  void find_damaged_indexes(const std::set<TableId>& unreadable);
  void renew_indexes(TableId table, PageId page);
  /// At the log's end, before indexes are built anew.
  void rebuild_damaged_leaves(Lsn end);
  /// The disk gave an error for it, so the next start may find it sound. With Options::repair nobody waits
  /// for that, and with Options::examine it is a finding.
  [[nodiscard]] bool may_be_sound(PageId page) {
    return !options.repair && !options.examine && buffer().unread(page);
  }
  /// Runs `step`; with Options::examine its XX001 becomes a finding.
  template <class Step>
  void examined(Step&& step);
  void start_background();
  void stop_background();
  // Rows in place, without versions; for threads that may block, one at a time for each row, while no
  // transaction runs. Throw XX001.
  void recover_insert(TableId table, RowId row, std::vector<Cell> cells,
                      const std::vector<ComputedEntry>& computed);
  void recover_update(TableId table, RowId row, const std::vector<ColumnNumber>& columns,
                      std::vector<Cell> cells, const std::vector<ComputedEntry>& computed, bool backwards);
  void recover_remove(TableId table, RowId row, const std::vector<ComputedEntry>& computed);
  void recover_tombstone(TableId table, RowId row);
  /// Index entries that the writer had computed, of a change whose row is in a leaf that was set aside.
  void recover_computed(const TableFormat& format, RowId row, const std::vector<ComputedEntry>& computed,
                        bool backwards);
  /// Into its leaf, which is split where there is no room. Values that are too long go to pages of their own.
  storage::Status place_row(TreeState& tree, const TableFormat& format, RowId row, std::vector<Cell> cells);
  /// A change of the row's leaf, as one action: `change(LeafPage&)`, with the leaf latched and dirty.
  template <class Change>
  storage::Status change_leaf(TreeState& tree, const TableFormat& format, RowId row, Change&& change);
  storage::Status find_row(TreeState& tree, const TableFormat& format, RowId row, std::vector<Cell>* cells,
                           Arena& arena, bool* found, bool* tombstone);
  /// Reads the key columns that stand in overflow pages, into the arena. Not kOk: call again with the same
  /// row.
  storage::Status load_key_cells(const TableFormat& format, std::vector<Cell>* row, Arena& arena);
  void give_up_chain(const storage::OverflowRef& ref);
  void layout_row_changed(RowId row);
  void layout_changed(Oid database, Oid relation, std::shared_ptr<const storage::TableLayout> layout);
  /// `anew`: it was there before, so it is set aside where a row cannot be read.
  void recover_build_index(const TableFormat& format, const IndexPart& part, bool anew);
  storage::Status entries_of_leaf(const TableFormat& format, const IndexPart& part, RowId* next, bool* end,
                                  std::vector<std::pair<Bytes, RowId>>* entries);
  void open_log(const log::Geometry& geometry, const log::LogEnd& end, bool damaged);
  void replay_event(const log::Event& event);
  /// Of a row whose place among other rows' events does not matter: workers may replay it (replay_workers.h).
  static bool is_row_event(const log::Event& event);
  /// Of none of them, but it changes what rows' events find: all before it must be in the pages.
  static bool needs_all_before(const log::Event& event);
  void check_recovery(const storage::Status& status, const char* what, TableId table = {});
};

template <class Step>
void SystemParts::examined(Step&& step) {
  if (!options.examine) return step();
  try {
    step();
  } catch (const Error& e) {
    if (e.state != sqlstate::kDataCorrupted) throw;
    std::lock_guard lock(damage_mutex);
    findings.push_back(e.message);
  }
}

/// Maps a storage status to the caller's. `*restart`: nothing to report, try again at once. `table`: whose
/// page it is if the status does not say (overflow chains).
Outcome to_outcome(const storage::Status& status, bool* restart, TableId table = {});

}  // namespace rustbd::txn
