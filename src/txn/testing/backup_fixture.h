// A database whose backups are restored beside it. Only tests include this.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "rustbd/base/error.h"
#include "rustbd/log/segments.h"
#include "rustbd/txn/backup/backup.h"
#include "rustbd/txn/backup/restore.h"
#include "rustbd/txn/cut_log.h"
#include "rustbd/txn/testing/test_database.h"

namespace rustbd::txn::testing {

/// The SQLSTATE that `step` throws; empty: none.
template <class Step>
std::string state_of(Step&& step) {
  try {
    step();
  } catch (const Error& e) {
    return std::string(e.state.text());
  }
  return {};
}

/// A database with one table, and a disk beside it for a restored one.
class BackupTest : public ::testing::Test {
 protected:
  ~BackupTest() override { restored_.reset(); }

  void open() {
    db_.open();
    ids_ = db_.make_accounts();
  }
  std::vector<Seen> rows(TransactionSystem& system) {
    const auto locker = system.make_locker(7);
    const auto txn = system.begin(*locker);
    txn->begin_statement();
    Table table(system, system.layout_of(kDatabase, ids_.relation));
    return TestDatabase::scan(table, txn->view());
  }
  /// Inserts `count` rows in one transaction; the log's durable end then.
  Lsn insert(int count, std::size_t note_bytes = 20) {
    const auto locker = db_.system().make_locker(1);
    const auto txn = db_.system().begin(*locker);
    txn->begin_statement();
    Table table = db_.table(ids_);
    for (int i = 0; i < count; ++i, ++next_id_) {
      const Row row(next_id_, next_id_ * 3, std::string(note_bytes, static_cast<char>('a' + next_id_ % 26)));
      RowId id;
      EXPECT_TRUE(run([&] { return table.insert(*txn, row.ref(), {}, &id); }).ok());
    }
    EXPECT_TRUE(db_.commit(*txn).ok());
    return db_.system().durable_lsn();
  }
  BackupPlace place(const std::string& name) {
    (void)db_.disk().make_directory(name);
    return {&db_.disk(), name};
  }
  BackupManifest backup(const std::string& name, const std::string& parent = {}) {
    BackupOptions options;
    options.to = place(name);
    if (!parent.empty()) options.parent = {&db_.disk(), parent};
    return make_backup(db_.system(), options);
  }
  void copy_file(const std::string& from, const std::string& to) {
    const auto file = db_.disk().open(to, {.create = true});
    ASSERT_TRUE((*file)->write(0, db_.disk().content(from)) && (*file)->datasync());
  }
  /// The log's segments in another directory, as an archive has them; without the one that begins at
  /// `missing`.
  void copy_log(const std::string& to, std::optional<Lsn> missing = {}) {
    place(to);
    const auto all = log::list_segments(db_.disk(), "wal");
    for (const Lsn first : *all)
      if (first != missing) copy_file("wal/" + log::segment_name(first), to + "/" + log::segment_name(first));
    ASSERT_TRUE(db_.disk().sync_directory(to) && db_.disk().sync_directory(""));
  }
  RestoreResult restore(const std::vector<std::string>& chain, RestoreTarget target = {},
                        const std::vector<std::string>& archives = {}) {
    restored_.reset();
    to_ = std::make_unique<io::SimulatedDisk>(99, io::SimulatedFaults{}, &db_.executor());
    return restore_to(to_.get(), chain, std::move(target), archives);
  }
  /// As `restore --dry-run`.
  RestoreResult look(const std::vector<std::string>& chain, RestoreTarget target,
                     const std::vector<std::string>& archives) {
    return restore_to(nullptr, chain, std::move(target), archives);
  }
  RestoreResult restore_to(io::Disk* to, const std::vector<std::string>& chain, RestoreTarget target,
                           const std::vector<std::string>& archives) {
    RestoreOptions options;
    for (const auto& name : chain) options.chain.push_back({&db_.disk(), name});
    for (const auto& name : archives) options.archives.push_back({&db_.disk(), name});
    options.target = std::move(target);
    options.to = to;
    options.random = &db_.executor().random();
    options.master_key = db_.options.encryption.master_key;
    return restore_backup(options);
  }
  void archive_to(const std::string& name) {
    db_.options.archive_disk = &db_.disk();
    db_.options.archive_directory = place(name).directory;
  }
  /// The power fails, and the end of the log is given up.
  void cut_at(Lsn at) {
    db_.crash();
    const LogPlace place(db_.disk());
    require_position(db_.disk(), place, at);
    cut_log(db_.disk(), db_.executor().random(), place, at);
    db_.open();
  }
  TransactionSystem& open_restored() {
    Options options = db_.options;
    options.archive_disk = nullptr;
    restored_ = TransactionSystem::open(
        {to_.get(), &db_.executor().clock(), &db_.executor().random(), &db_.executor()}, options);
    EXPECT_EQ(restored_->check(), std::vector<std::string>{});
    return *restored_;
  }

  TestDatabase db_{11};
  AccountIds ids_;
  std::int64_t next_id_ = 1;
  std::unique_ptr<io::SimulatedDisk> to_;
  std::unique_ptr<TransactionSystem> restored_;
};

}  // namespace rustbd::txn::testing
