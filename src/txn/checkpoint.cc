// What a checkpoint takes from transactions: the undo of those active at the gate, the purges that committed
// ones still owe, and sequence values (storage.md §6, §6.3).
#include <fmt/format.h>

#include "rustbd/base/assert.h"
#include "rustbd/txn/system_parts.h"

namespace rustbd::txn {

storage::CheckpointPositions SystemParts::capture(std::uint64_t) {
  std::lock_guard commit(commit_mutex);
  storage::CheckpointPositions at;
  at.lsn = log->tail();
  at.commit_ts = CommitTimestamp{last_ts};
  at.next_txid = TransactionId{next_txid.load()};
  at.next_object_id = next_object.load();
  at.catalog_version = catalog_version.load();
  captured_lsn = captured_keep = at.lsn.raw();
  captured_active.clear();
  captured_committed.clear();
  {
    std::lock_guard lock(active_mutex);
    for (TxnState* state : active) {
      std::lock_guard records(state->records_mutex);
      state->holds.fetch_add(1, std::memory_order_acq_rel);
      captured_active.push_back({state, state->records.size()});
      const std::uint64_t fragment = state->first_fragment.load(std::memory_order_acquire);
      if (fragment != 0 && fragment < captured_keep) captured_keep = fragment;
    }
  }
  {
    std::lock_guard lock(prepared_mutex);
    captured_prepared.clear();
    for (const auto& [gid, entry] : prepared)
      if (!entry.lsn.is_none()) captured_prepared.push_back({entry.id, entry.lsn});
  }
  {
    std::lock_guard lock(queue_mutex);
    for (TxnState* state : committed) {
      if (!state->needs_purge && state->id >= index_built_at.load(std::memory_order_acquire)) continue;
      state->holds.fetch_add(1, std::memory_order_acq_rel);
      captured_committed.push_back({state, state->collected_records.load(std::memory_order_acquire)});
    }
  }
  snapshot_pending.store(true, std::memory_order_release);
  captured_ts = last_ts;
  captured_tables.clear();
  captured_dropped.clear();
  {
    std::lock_guard lock(damage_mutex);
    captured_set_aside = trees_set_aside;
    captured_owed = owed_rows;
  }
  {
    std::lock_guard lock(drop_mutex);
    for (const DroppedTree& tree : dropped)
      if (!tree.is_index && tree.format != nullptr) captured_dropped.push_back(tree.format);
  }
  {
    std::shared_lock lock(tables_mutex);
    for (const auto& [id, tree] : trees) {
      const auto committed_layout = by_table.find(id);
      captured_tables[id] = {tree->next_row.load(std::memory_order_relaxed), tree, tree->upkeep_format(),
                             committed_layout != by_table.end() ? committed_layout->second : nullptr};
    }
  }
  std::lock_guard lock(sequence_mutex);
  captured_sequences = sequences;
  return at;
}

std::vector<IndexPart> SystemParts::CapturedTable::indexes() const {
  std::vector<IndexPart> out;
  for (const IndexPart& part : upkeep->indexes)
    if (committed == nullptr || committed->find_index(part.layout->id) != nullptr) out.push_back(part);
  return out;
}

std::string SystemParts::write_snapshot(std::uint64_t epoch, storage::SnapshotSink& sink) {
  constexpr std::size_t kBytes = storage::kSnapshotRecordBytesMax / 2;
  Bytes body, scratch;
  // SET_ASIDE: varint tree id, varint page.
  for (const auto& [tree, page] : captured_set_aside) {
    body.clear();
    ByteWriter w(body);
    w.varint(tree);
    w.varint(page.raw());
    static_cast<void>(sink.add(storage::SnapshotRecord::kSetAside, body));
  }
  for (const Captured& c : captured_active) {
    std::size_t in_body = 0;
    const auto begin = [&] {
      body.clear();
      ByteWriter(body).varint(c.state->id);
      in_body = 0;
    };
    begin();
    for (std::size_t i = c.records; i-- > 0;) {
      UndoRec* r = nullptr;
      {
        std::lock_guard lock(c.state->records_mutex);
        r = c.state->records[i];
      }
      const std::uint64_t undone = r->undone_epoch.load(std::memory_order_acquire);
      if (undone != 0 && undone <= epoch) continue;
      ByteSpan payload;
      storage::Status loaded;
      do {
        loaded = storage::run_blocking([&]() -> storage::Status {
          storage::Status status;
          load_payload(*r, scratch, &payload, &status);
          return status;
        });
      } while (loaded.outcome == storage::Outcome::kNoFrame);
      if (!loaded)
        return fmt::format("page {} with what transaction {} has changed cannot be read", loaded.page.raw(),
                           c.state->id);
      ByteWriter w(body);
      w.varint(r->table);
      w.varint(r->row);
      w.fixed(static_cast<std::uint8_t>(r->op));
      w.text(as_chars(payload));
      ++in_body;
      if (body.size() > kBytes) {
        static_cast<void>(sink.add(storage::SnapshotRecord::kActive, body));
        begin();
      }
    }
    if (in_body > 0) static_cast<void>(sink.add(storage::SnapshotRecord::kActive, body));
  }
  // PREPARED: varint transaction id, varint position of its PREPARE, which the log keeps. Its undo is among
  // those of the active.
  for (const auto& [id, lsn] : captured_prepared) {
    body.clear();
    ByteWriter w(body);
    w.varint(id.raw());
    w.varint(lsn.raw());
    static_cast<void>(sink.add(storage::SnapshotRecord::kPrepared, body));
  }
  // OWED: varint table, varint row, varint index (0: any).
  const auto add_owed = [&](TableId table, OwedRow owed) {
    body.clear();
    ByteWriter w(body);
    w.varint(table.raw());
    w.varint(owed.row.raw());
    w.varint(owed.index.raw());
    static_cast<void>(sink.add(storage::SnapshotRecord::kOwed, body));
  };
  for (const auto& [table, rows] : captured_owed)
    for (const OwedRow& owed : rows) add_owed(table, owed);
  std::vector<IndexPart> indexes;  // of the table `indexes_of`
  std::uint32_t indexes_of = 0;
  // PURGE: varint table, varint row, varint index (0: the row itself), text key.
  for (const auto& [state, from] : captured_committed) {
    for (std::size_t i = from; i < state->records.size(); ++i) {
      const UndoRec* r = state->records[i];
      if (r->undone_epoch.load(std::memory_order_acquire) != 0) continue;
      if ((r->flags & UndoRec::kOverflowBefore) != 0) {
        std::vector<storage::OverflowRef> chains;
        old_chains(*r, &chains);
        for (const auto& c : chains) {
          body.resize(9);
          store(body.data(), c.first.raw());
          store(body.data() + 8, static_cast<std::uint8_t>(storage::PendingKind::kChain));
          static_cast<void>(sink.add(storage::SnapshotRecord::kFree, body));
        }
      }
      const bool removal = r->op == UndoOp::kDelete;
      if (!leaves_entries(*r)) continue;
      // What was there at the capture, though it may have been dropped since: recovery finds it again if the
      // log ends before that. Its trees stay until the snapshot is written.
      const auto captured = captured_tables.find(TableId{r->table});
      if (captured == captured_tables.end() || captured->second.upkeep == nullptr) continue;
      const auto& tree = captured->second.tree;
      if (indexes.empty() || indexes_of != r->table) {
        indexes = captured->second.indexes();
        indexes_of = r->table;
      }
      const auto format = tree->upkeep_format();
      std::vector<OldKey> keys;
      bool reachable = false;
      const auto status = storage::run_blocking([&]() -> storage::Status {
        const auto pin = epochs().pin();
        keys.clear();
        storage::SharedGuard leaf;
        if (auto s = tree->tree->fix_leaf(RowId{r->row}, &leaf); !s) return s;
        storage::LeafView view;
        if (!storage::LeafView::open(leaf.data(), format->rows, &view))
          return storage::Status::damaged(leaf.page_id());
        return old_keys(*format, indexes, *r, view, captured_ts, &keys, &reachable);
      });
      // ALTER TABLE has laid the leaf out anew meanwhile; or there was no frame.
      if (!status && (tree->upkeep_format() != format || status.outcome == storage::Outcome::kNoFrame)) {
        --i;
        continue;
      }
      if (!status) add_owed(TableId{r->table}, {RowId{r->row}, {}});
      if (!status || !reachable) continue;
      const auto add = [&](std::uint32_t index, ByteSpan key) {
        body.clear();
        ByteWriter w(body);
        w.varint(r->table);
        w.varint(r->row);
        w.varint(index);
        w.text(as_chars(key));
        static_cast<void>(sink.add(storage::SnapshotRecord::kPurge, body));
      };
      for (const OldKey& k : keys) add(k.index.raw(), k.key);
      if (removal) add(0, {});
    }
  }
  snapshot_pending.store(false, std::memory_order_release);
  for (const auto& format : captured_dropped) {
    body.clear();
    format->layout->serialize(body);
    static_cast<void>(sink.add(storage::SnapshotRecord::kDroppedLayout, body));
  }
  for (const auto& [id, table] : captured_tables) {
    body.clear();
    ByteWriter w(body);
    w.varint(id.raw());
    w.varint(table.next_row);
    static_cast<void>(sink.add(storage::SnapshotRecord::kRowCounter, body));
  }
  for (const auto& [id, sequence] : captured_sequences) {
    body.clear();
    ByteWriter w(body);
    w.varint(id.raw());
    w.signed_varint(sequence.logged);
    w.fixed(static_cast<std::uint8_t>(sequence.called));
    static_cast<void>(sink.add(storage::SnapshotRecord::kSequence, body));
  }
  return {};
}

std::uint64_t SystemParts::checkpoint_log_limit() const {
  if (options.recovery_target_us == 0) return options.checkpoint_log_bytes;
  const double bytes = replay_bytes_per_second * static_cast<double>(options.recovery_target_us) * 1e-6;
  return std::min(options.checkpoint_log_bytes, static_cast<std::uint64_t>(bytes));
}

bool SystemParts::wait_durable(Lsn lsn) {
  log->durable(lsn).wait_blocking();
  return log->is_durable(lsn);
}

Lsn SystemParts::log_keep_lsn() { return Lsn{captured_keep}; }

void SystemParts::finished(bool durable, Lsn log_keep, const std::string&) {
  for (const Captured& c : captured_active) c.state->holds.fetch_sub(1, std::memory_order_acq_rel);
  for (const auto& [state, from] : captured_committed) state->holds.fetch_sub(1, std::memory_order_acq_rel);
  captured_active.clear();
  captured_committed.clear();
  captured_tables.clear();
  snapshot_pending.store(false, std::memory_order_release);
  if (durable) {
    last_checkpoint_lsn.store(captured_lsn, std::memory_order_release);
    checkpoints.fetch_add(1, std::memory_order_relaxed);
    if (log != nullptr) log->set_keep_lsn(log_keep);
  }
  checkpoint_asked.store(false, std::memory_order_release);
}

}  // namespace rustbd::txn
