#include "rustbd/txn/backup/restore_log.h"

#include <gtest/gtest.h>

#include "rustbd/txn/backup/reader.h"
#include "rustbd/txn/backup/restore_point.h"
#include "rustbd/txn/system_parts.h"
#include "rustbd/txn/testing/backup_fixture.h"

namespace rustbd::txn {
namespace {

using testing::BackupTest;
using testing::kDatabase;
using testing::Row;
using testing::run;
using testing::Seen;
using testing::state_of;

// The newest log is in the data directory alone, and so is the key that seals it.
TEST_F(BackupTest, LogThatALaterKeySealedIsRestoredFromTheDataDirectory) {
  db_.options.encryption.master_key = security::MasterKey{security::KeyBytes{std::byte{1}, std::byte{2}}};
  open();
  insert(50);
  backup("b");
  db_.system().rotate_data_key();
  insert(50);
  const auto expected = rows(db_.system());
  restore({"b"}, {}, {"wal"});
  EXPECT_EQ(rows(open_restored()), expected);
}

// Also its name is in a batch that a later key has sealed, behind others.
TEST_F(BackupTest, ARestorePointIsFoundBehindARotation) {
  db_.options.encryption.master_key = security::MasterKey{security::KeyBytes{std::byte{1}, std::byte{2}}};
  open();
  insert(50);
  backup("b");
  db_.system().rotate_data_key();
  insert(50);
  const Lsn point = create_restore_point(db_.system(), "here");
  const auto expected = rows(db_.system());
  insert(50);
  EXPECT_EQ(restore({"b"}, {.name = "here"}, {"wal"}).end, point);
  EXPECT_EQ(rows(open_restored()), expected);
  // Segments without the table of keys.
  copy_log("logs");
  EXPECT_EQ(state_of([&] { restore({"b"}, {.name = "here"}, {"logs"}); }), "55000");
  EXPECT_EQ(state_of([&] { restore({"b"}, {.lsn = point}, {"logs"}); }), "55000");
  db_.options.encryption.master_key.reset();
  EXPECT_EQ(state_of([&] { restore({"b"}, {.name = "here"}, {"wal"}); }), "55000");
}

TEST_F(BackupTest, ARestorePointIsFoundWithTheMasterKeyOfBeforeAndAfter) {
  const security::MasterKey old_key{security::KeyBytes{std::byte{1}, std::byte{2}}};
  const security::MasterKey new_key{security::KeyBytes{std::byte{7}}};
  db_.options.encryption.master_key = old_key;
  db_.options.background = false;  // no key goes
  open();
  insert(50);
  backup("b");
  const Lsn early = create_restore_point(db_.system(), "early");
  db_.system().change_master_key(new_key);
  db_.crash();
  db_.options.encryption.master_key = new_key;
  db_.open();
  const Lsn late = create_restore_point(db_.system(), "late");
  const auto expected = rows(db_.system());
  EXPECT_EQ(restore({"b"}, {.name = "early"}, {"wal"}).end, early);
  EXPECT_EQ(restore({"b"}, {.name = "late"}, {"wal"}).end, late);
  EXPECT_EQ(rows(open_restored()), expected);
  db_.options.encryption.master_key = old_key;
  EXPECT_EQ(restore({"b"}, {.name = "early"}, {"wal"}).end, early);
  EXPECT_EQ(state_of([&] { restore({"b"}, {.name = "late"}, {"wal"}); }), "55000");
  db_.options.encryption.master_key = security::MasterKey{security::KeyBytes{std::byte{9}}};
  EXPECT_EQ(state_of([&] { restore({"b"}, {.name = "early"}, {"wal"}); }), "28000");
}

TEST_F(BackupTest, EncryptionThatCameAfterItIsRestoredToo) {
  open();
  insert(50);
  backup("b");
  db_.crash();
  db_.options.encryption.master_key = security::MasterKey{security::KeyBytes{std::byte{1}}};
  db_.open();
  insert(50);
  const auto expected = rows(db_.system());
  restore({"b"}, {}, {"wal"});
  EXPECT_EQ(rows(open_restored()), expected);
}

// Two databases that were one have different keys of the same number.
TEST_F(BackupTest, AnArchiveWithAnotherDatabasesKeysIsRefused) {
  db_.options.encryption.master_key = security::MasterKey{security::KeyBytes{std::byte{1}, std::byte{2}}};
  open();
  insert(50);
  backup("b");
  restore({"b"});
  db_.system().rotate_data_key();
  insert(50);
  copy_log("logs");
  db_.executor().run_for(std::chrono::milliseconds(1));
  open_restored();
  {
    const auto file = db_.disk().open("logs/keys.tab", {.create = true});
    ASSERT_TRUE((*file)->write(0, to_->content("keys.tab")));
  }
  EXPECT_EQ(state_of([&] { restore({"b"}, {}, {"logs", "wal"}); }), "55000");
  restore({"b"}, {}, {"wal"});
  EXPECT_EQ(rows(open_restored()), rows(db_.system()));
}

// A directory that has been started very often, and the archive that keeps all the keys.
TEST_F(BackupTest, VeryManyKeysGoAndTheArchiveHasThem) {
  db_.options.encryption.master_key = security::MasterKey{security::KeyBytes{std::byte{1}, std::byte{2}}};
  archive_to("archive");
  open();
  insert(50);
  backup("b");
  db_.close();
  {
    const auto ring = security::KeyRing::open(
        {&db_.disk(), &db_.executor().clock(), &db_.executor().random(), &db_.executor()},
        *db_.options.encryption.master_key, security::Cipher::kNone, false);
    while (!ring->has_many()) ring->rotate(security::Cipher::kNone);
  }
  for (int start = 0; start < 3; ++start) {
    db_.open();
    insert(50);
    db_.executor().run_for(std::chrono::seconds(5));
    db_.close();
  }
  EXPECT_LT(security::key_ids(db_.disk().content("keys.tab")).size(), 10u);
  EXPECT_GT(security::key_ids(db_.disk().content("archive/keys.tab")).size(), security::kKeysMany);
  db_.open();
  const auto expected = rows(db_.system());
  restore({"b"}, {}, {"archive", "wal"});
  EXPECT_LT(security::key_ids(to_->content("keys.tab")).size(), 20u);
  EXPECT_EQ(rows(open_restored()), expected);
}

TEST_F(BackupTest, ACutLogGoesOnAsAnotherOneThatNobodyTakesForTheOld) {
  archive_to("archive");
  open();
  insert(10);
  backup("b");
  const Lsn at = insert(10, 1000);
  const auto kept = rows(db_.system());
  insert(4000, 1000);  // the segment of the cut and others are archived
  db_.executor().run_for(std::chrono::seconds(1));
  const auto archived = *log::list_segments(db_.disk(), "archive");
  ASSERT_GE(archived.size(), 3u);
  const auto before = db_.system().parts().storage->state().wal_uuid;
  std::vector<std::string> lines;
  db_.options.log_line = [&](std::string_view line) { lines.emplace_back(line); };
  cut_at(at);
  EXPECT_NE(db_.system().parts().storage->state().wal_uuid, before);
  EXPECT_EQ(rows(db_.system()), kept);
  insert(4000, 1000);
  db_.executor().run_for(std::chrono::seconds(3));
  EXPECT_EQ(*log::list_segments(db_.disk(), "archive"), archived) << "neither mixed nor written over";
  EXPECT_TRUE(std::ranges::any_of(
      lines, [](const std::string& line) { return line.find("another log's file") != std::string::npos; }));
  EXPECT_EQ(state_of([&] { restore({"b"}, {}, {"archive", "wal"}); }), "55000");
  EXPECT_EQ(restore({"b"}, {.lsn = at}, {"archive"}).end, at);
  EXPECT_EQ(rows(open_restored()), kept);
  restored_.reset();
  // With a new archive and a new backup everything is as before.
  db_.crash();
  archive_to("new archive");
  db_.open();
  backup("new");
  insert(4000, 1000);
  db_.executor().run_for(std::chrono::seconds(1));
  ASSERT_GE(log::list_segments(db_.disk(), "new archive")->size(), 3u);
  restore({"new"}, {}, {"new archive", "wal"});
  EXPECT_EQ(rows(open_restored()), rows(db_.system()));
}

// The segment of the cut is not archived yet: the archive has both logs then, one after the other.
TEST_F(BackupTest, WhatCameAfterACutIsNotRestoredFromABackupBeforeIt) {
  archive_to("archive");
  open();
  insert(10);
  backup("b");
  const Lsn at = insert(10);
  insert(10);
  copy_log("old");
  cut_at(at);
  insert(4000, 1000);
  db_.executor().run_for(std::chrono::seconds(1));
  ASSERT_GE(log::list_segments(db_.disk(), "archive")->size(), 3u);
  EXPECT_EQ(state_of([&] { restore({"b"}, {}, {"archive"}); }), "55000");
  EXPECT_EQ(state_of([&] { look({"b"}, {}, {"archive"}); }), "55000") << "that it can be restored";
  backup("new");
  EXPECT_EQ(state_of([&] { restore({"new"}, {}, {"old"}); }), "55000")
      << "all of it is older, and another log's";
  insert(2000, 1000);
  restore({"new"}, {}, {"archive", "wal"});
  EXPECT_EQ(rows(open_restored()), rows(db_.system()));
}

TEST_F(BackupTest, ACutThatIsCutShortCanBeRepeated) {
  open();
  insert(10);
  db_.system().checkpoint_blocking();
  std::vector<std::vector<Seen>> states{rows(db_.system())};
  insert(10);
  db_.executor().run_for(std::chrono::milliseconds(50));  // an idle log writes a PAD
  const Lsn at = db_.system().statistics().log_end;
  const auto kept = rows(db_.system());
  for (int i = 0; i < 12; ++i) {
    states.push_back(rows(db_.system()));
    insert(300, 1000);
  }
  states.push_back(rows(db_.system()));
  db_.crash();
  const auto open_copy = [&](const std::string& what) {
    restored_ = TransactionSystem::open(
        {to_.get(), &db_.executor().clock(), &db_.executor().random(), &db_.executor()}, db_.options);
    EXPECT_EQ(restored_->check(), std::vector<std::string>{}) << what;
    return rows(*restored_);
  };
  int crashes = 0;
  for (std::uint64_t step = 1;; ++step) {
    SCOPED_TRACE(step);
    to_ = db_.disk().clone(step);
    to_->crash_at(step);
    const LogPlace place(*to_);
    require_position(*to_, place, at);
    (void)state_of([&] { cut_log(*to_, db_.executor().random(), place, at); });
    if (!to_->crashed()) break;
    ++crashes;
    to_->restart();
    const auto crashed = to_->clone(step + 100);
    try {
      const auto found = open_copy("as it is");
      EXPECT_TRUE(std::ranges::find(states, found) != states.end()) << found.size() << " rows";
    } catch (const Error& e) {
      EXPECT_EQ(e.state, sqlstate::kDataCorrupted) << e.message;
    }
    restored_.reset();
    to_ = crashed->clone(step + 200);
    const LogPlace again(*to_);
    require_position(*to_, again, at);
    EXPECT_EQ(state_of([&] { cut_log(*to_, db_.executor().random(), again, at); }), "");
    EXPECT_EQ(open_copy("repeated"), kept);
    restored_.reset();
  }
  EXPECT_GT(crashes, 8);
  to_->crash();
  to_->restart();
  EXPECT_EQ(open_copy("durable"), kept);
  restored_.reset();
  to_.reset();
}

// Of the segment in which a backup ends it has the beginning.
TEST_F(BackupTest, AMissingSegmentIsNamedAndNoDamage) {
  open();
  insert(10);
  const BackupManifest made = backup("b");
  const Lsn late = insert(3000, 1000);
  const log::Geometry geometry(db_.options.log_segment_bytes);
  const std::uint64_t own = geometry.segment_of(made.end);
  ASSERT_GT(geometry.segment_of(late), own + 1);
  for (const std::uint64_t gone : {own, own + 1}) {
    SCOPED_TRACE(gone - own);
    const Lsn first = geometry.first_lsn(gone);
    const std::string archive = gone == own ? "without-own" : "without-next";
    copy_log(archive, first);
    RestoreTarget target;
    for (const bool to_position : {false, true}) {
      if (to_position) target.lsn = late;
      try {
        look({"b"}, target, {archive});
        FAIL() << "the gap was not seen";
      } catch (const Error& e) {
        EXPECT_EQ(e.state, sqlstate::kUndefinedFile) << e.message;
        EXPECT_NE(e.message.find(log::segment_name(first)), std::string::npos) << e.message;
      }
      EXPECT_EQ(state_of([&] { restore({"b"}, target, {archive}); }), "58P01");
      EXPECT_TRUE(to_->list("")->empty());
    }
    EXPECT_EQ(restore({"b"}, {.lsn = made.end}, {archive}).end, made.end);
    EXPECT_GE(restore({"b"}, {.time_us = made.ended_us}, {archive}).end, made.end)
        << "the backup has all of it";
  }
}

/// A segment of the log, with zeros from `end` on: as a database closes it that was restored to there, but
/// for its header.
class SharedArchive : public BackupTest {
 protected:
  void copy_cut(const std::string& to, Lsn end) {
    place(to);
    const log::Geometry geometry(db_.options.log_segment_bytes);
    const Lsn first = geometry.first_lsn(geometry.segment_of(end));
    Bytes content = db_.disk().content("wal/" + log::segment_name(first));
    std::fill(content.begin() + static_cast<std::ptrdiff_t>(end.raw() - first.raw()), content.end(),
              std::byte{0});
    const auto file = db_.disk().open(to + "/" + log::segment_name(first), {.create = true});
    ASSERT_TRUE((*file)->write(0, content));
  }
  std::uint64_t log_of(const std::string& path) {
    Bytes content = db_.disk().content(path);
    content.resize(log::kSegmentHeaderBytes);
    return log::decode_segment_header(std::span<const std::byte, log::kSegmentHeaderBytes>{content})
        ->wal_uuid;
  }
};

TEST_F(SharedArchive, ACopyThatArchivesWhereTheOriginalDoesIsAnotherLog) {
  std::vector<std::string> lines;
  db_.options.log_line = [&](std::string_view line) { lines.emplace_back(line); };
  archive_to("archive");
  open();
  insert(10);
  backup("b");
  const Lsn at = insert(10);
  insert(10);
  const BackupManifest later = backup("later");
  insert(10);
  restore({"b"}, {.lsn = at}, {"wal"});
  {
    Options options = db_.options;
    restored_ = TransactionSystem::open(
        {to_.get(), &db_.executor().clock(), &db_.executor().random(), &db_.executor()}, options);
    db_.executor().run_for(std::chrono::seconds(3));
  }
  const std::string segment = log::segment_name(Lsn{0});
  ASSERT_TRUE(db_.disk().exists("archive/" + segment)) << "its start has ended the segment of the cut";
  EXPECT_EQ(log_of("archive/" + segment), restored_->parts().storage->state().wal_uuid);
  EXPECT_NE(log_of("archive/" + segment), log_of("wal/" + segment));
  restored_.reset();
  lines.clear();
  // The original keeps its own until somebody looks.
  insert(4000, 1000);
  db_.executor().run_for(std::chrono::seconds(3));
  EXPECT_EQ(log::list_segments(db_.disk(), "archive")->size(), 1u);
  EXPECT_TRUE(std::ranges::any_of(
      lines, [](const std::string& line) { return line.find("another log's file") != std::string::npos; }));
  const auto expected = rows(db_.system());
  const Lsn end = db_.system().durable_lsn();
  for (const char* from : {"b", "later"}) {
    SCOPED_TRACE(from);
    EXPECT_EQ(state_of([&] { look({from}, {}, {"archive"}); }), "55000");
    EXPECT_EQ(state_of([&] { restore({from}, {}, {"archive"}); }), "55000");
    restore({from}, {.lsn = end}, {"archive", "wal"});
    EXPECT_EQ(rows(open_restored()), expected);
    restore({from}, {}, {"wal"});
    EXPECT_EQ(rows(open_restored()), expected);
  }
  EXPECT_EQ(restore({"later"}, {.lsn = later.end}, {"archive"}).end, later.end);
}

// As copies of earlier versions left it: under the old log's name.
TEST_F(SharedArchive, OfSeveralCopiesOfASegmentTheOneThatReachesFarthestIsTaken) {
  open();
  insert(10);
  backup("b");
  const Lsn at = insert(10);
  insert(10);
  copy_cut("cut", at);
  for (const bool complete : {false, true}) {
    SCOPED_TRACE(complete);
    if (complete) insert(4000, 1000);
    const auto expected = rows(db_.system());
    restore({"b"}, {}, {"cut", "wal"});
    EXPECT_EQ(rows(open_restored()), expected);
    restore({"b"}, {}, {"wal", "cut"});
    EXPECT_EQ(rows(open_restored()), expected);
    EXPECT_EQ(restore({"b"}, {.lsn = at}, {"cut"}).end, at);
  }
}

TEST_F(SharedArchive, ASegmentThatDiffersFromTheBackupDoesNotReplaceWhatThatHas) {
  open();
  insert(10);
  const Lsn at = insert(10);
  insert(10);
  const BackupManifest made = backup("b");
  copy_cut("cut", at);
  const auto then = rows(db_.system());
  insert(4000, 1000);
  EXPECT_EQ(state_of([&] { look({"b"}, {}, {"cut"}); }), "55000");
  EXPECT_EQ(state_of([&] { restore({"b"}, {}, {"cut"}); }), "55000");
  EXPECT_TRUE(to_->list("")->empty()) << "that is known before anything is written";
  restore({"b"}, {.lsn = made.end}, {"cut"});
  EXPECT_EQ(rows(open_restored()), then) << "the backup has all of it";
  restore({"b"}, {}, {"cut", "wal"});
  EXPECT_EQ(rows(open_restored()), rows(db_.system()));
}

// Whoever copies a directory and starts both has two logs of one name.
TEST_F(SharedArchive, ArchivesOfTwoDatabasesThatWereOneAreNotMixed) {
  open();
  insert(10);
  backup("b");
  insert(10);
  db_.crash();
  const auto disk = db_.disk().clone(77, &db_.executor());
  db_.open();
  insert(10);
  const auto expected = rows(db_.system());
  const auto twin = TransactionSystem::open(
      {disk.get(), &db_.executor().clock(), &db_.executor().random(), &db_.executor()}, db_.options);
  const auto locker = twin->make_locker(1);
  const auto txn = twin->begin(*locker);
  txn->begin_statement();
  Table table(*twin, twin->layout_of(kDatabase, ids_.relation));
  const Row row(1000, 1, "of the twin");
  RowId id;
  ASSERT_TRUE(run([&] { return table.insert(*txn, row.ref(), {}, &id); }).ok());
  ASSERT_TRUE(db_.commit(*txn).ok());
  RestoreOptions options;
  options.chain = {{&db_.disk(), "b"}};
  options.archives = {{&db_.disk(), "wal"}, {disk.get(), "wal"}};
  options.random = &db_.executor().random();
  io::SimulatedDisk to(98, {}, &db_.executor());
  options.to = &to;
  EXPECT_EQ(state_of([&] { restore_backup(options); }), "55000");
  restore({"b"}, {}, {"wal"});
  EXPECT_EQ(rows(open_restored()), expected);
}

}  // namespace
}  // namespace rustbd::txn
