#include "rustbd/txn/backup/backup.h"

#include <gtest/gtest.h>

#include "rustbd/base/error.h"
#include "rustbd/log/segments.h"
#include "rustbd/txn/backup/reader.h"
#include "rustbd/txn/backup/restore.h"
#include "rustbd/txn/backup/restore_point.h"
#include "rustbd/txn/cut_log.h"
#include "rustbd/txn/system_parts.h"
#include "rustbd/txn/testing/test_database.h"

namespace rustbd::txn {
namespace {

using testing::AccountIds;
using testing::Row;
using testing::Seen;
using testing::TestDatabase;

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

TEST(BackupStream, GivesBackWhatWasWrittenAndNoticesEveryChangedByte) {
  for (std::uint64_t seed = 0; seed < 12; ++seed) {
    SCOPED_TRACE(seed);
    io::SeededRandom random(seed);
    io::SimulatedDisk disk(seed);
    Bytes content(random.below(seed % 3 == 0 ? 5'000'000 : 3'000));
    for (std::byte& b : content) b = static_cast<std::byte>(random.below(seed % 2 == 0 ? 3 : 256));
    StreamWriter out(disk, "s", static_cast<storage::PageCompression>(seed % 3), {});
    for (ByteSpan rest{content}; !rest.empty();) {
      const std::size_t now = std::min<std::size_t>(rest.size(), 1 + random.below(2'000'000));
      out.add(rest.first(now));
      rest = rest.subspan(now);
    }
    const BackupFile file = out.finish("s");
    ASSERT_EQ(disk.content("s").size(), file.bytes);
    const auto read = [&] {
      StreamReader in(disk, "s");
      Bytes back(content.size());
      in.read(back);
      if (!in.at_end()) throw in.damaged("longer");
      in.verify(file);
      return back;
    };
    ASSERT_EQ(read(), content);
    for (int i = 0; i < 300; ++i) {
      const std::uint64_t at =
          file.bytes < 300 ? static_cast<std::uint64_t>(i) % file.bytes : random.below(file.bytes);
      const auto mask = static_cast<std::uint8_t>(1u << random.below(8));
      disk.corrupt("s", at, mask);
      EXPECT_EQ(state_of(read), "XX001") << "byte " << at;
      disk.corrupt("s", at, mask);
    }
    const auto opened = disk.open("s", {});
    for (int i = 0; i < 20; ++i) {
      ASSERT_TRUE((*opened)->truncate(random.below(file.bytes)));
      EXPECT_EQ(state_of(read), "XX001");
      ASSERT_TRUE((*opened)->truncate(0));
      StreamWriter again(disk, "s", static_cast<storage::PageCompression>(seed % 3), {});
      again.add(content);
      ASSERT_EQ(again.finish("s").bytes, file.bytes);
    }
  }
}

TEST(BackupManifest, IsReadBackAndNoticesEveryChangedByte) {
  BackupManifest m;
  m.id = 0xFEDCBA9876543210;
  m.parent = 7;
  m.parent_path = "/b/\"old\"\xFF";
  m.database = "00112233445566778899aabbccddeeff";
  m.checkpoint = Lsn{0x1'0000'2000};
  m.end = Lsn{0x1'0000'3000};
  m.ended_us = 1'700'000'000'000'000;
  m.files = {{"pages", 123, 0xFFFFFFFFFFFFFFFF}, {"log", 5, 6}};
  const std::string text = encode_manifest(m);
  const BackupManifest back = decode_manifest(text, "m");
  EXPECT_EQ(back.id, m.id);
  EXPECT_EQ(back.parent, m.parent);
  EXPECT_EQ(back.checkpoint, m.checkpoint);
  EXPECT_EQ(back.end, m.end);
  EXPECT_EQ(back.ended_us, m.ended_us);
  EXPECT_EQ(back.files, m.files);
  for (std::size_t i = 0; i < text.size(); ++i) {
    for (const char bit : {1, 4}) {
      std::string changed = text;
      changed[i] = static_cast<char>(changed[i] ^ bit);
      // White space between values means nothing.
      if (std::isspace(static_cast<unsigned char>(text[i])) != 0) continue;
      EXPECT_NE(state_of([&] { (void)decode_manifest(changed, "m"); }), "") << "byte " << i;
    }
  }
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
    Table table(system, system.layout_of(testing::kDatabase, ids_.relation));
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
      EXPECT_TRUE(testing::run([&] { return table.insert(*txn, row.ref(), {}, &id); }).ok());
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
    ASSERT_TRUE((*file)->write(0, db_.disk().content(from)));
  }
  /// The log's segments in another directory, as an archive has them; without the one that begins at
  /// `missing`.
  void copy_log(const std::string& to, std::optional<Lsn> missing = {}) {
    place(to);
    const auto all = log::list_segments(db_.disk(), "wal");
    for (const Lsn first : *all)
      if (first != missing) copy_file("wal/" + log::segment_name(first), to + "/" + log::segment_name(first));
  }
  RestoreResult restore(const std::vector<std::string>& chain, RestoreTarget target = {},
                        const std::vector<std::string>& archives = {}) {
    restored_.reset();
    to_ = std::make_unique<io::SimulatedDisk>(99, io::SimulatedFaults{}, &db_.executor());
    RestoreOptions options;
    for (const auto& name : chain) options.chain.push_back({&db_.disk(), name});
    for (const auto& name : archives) options.archives.push_back({&db_.disk(), name});
    options.target = std::move(target);
    options.to = to_.get();
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

TEST_F(BackupTest, RestoresToItsEnd) {
  for (const bool sealed : {false, true}) {
    SCOPED_TRACE(sealed);
    if (!sealed) {
      open();
    } else {  // switched on for the database that exists
      db_.crash();
      db_.options.encryption.master_key = security::MasterKey{security::KeyBytes{std::byte{1}, std::byte{2}}};
      db_.open();
    }
    insert(500);
    const std::string name = sealed ? "sealed" : "plain";
    const BackupManifest made = backup(name);
    EXPECT_EQ(made.encrypted, sealed);
    const auto expected = rows(db_.system());
    insert(10);
    BackupReader(db_.disk(), name).verify();
    EXPECT_EQ(restore({name}).end, made.end);
    EXPECT_EQ(rows(open_restored()), expected);
    restored_->close();
    restored_.reset();
  }
}

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
  cut_at(at);
  insert(4000, 1000);
  db_.executor().run_for(std::chrono::seconds(1));
  ASSERT_GE(log::list_segments(db_.disk(), "archive")->size(), 3u);
  EXPECT_EQ(state_of([&] { restore({"b"}, {}, {"archive"}); }), "55000");
  backup("new");
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

TEST_F(BackupTest, EveryMomentSinceTheCheckpointCanBeRestored) {
  open();
  insert(100);
  backup("b");
  std::vector<std::pair<Lsn, std::vector<Seen>>> moments;
  std::vector<std::int64_t> times;
  for (int i = 0; i < 5; ++i) {
    const Lsn at = insert(200, 1000);
    moments.emplace_back(at, rows(db_.system()));
    db_.executor().run_for(std::chrono::milliseconds(20));
    times.push_back(db_.executor().clock().wall_us());
    db_.executor().run_for(std::chrono::milliseconds(20));
  }
  insert(1);
  for (std::size_t i = 0; i < moments.size(); ++i) {
    SCOPED_TRACE(i);
    EXPECT_EQ(restore({"b"}, {.lsn = moments[i].first}, {"wal"}).end, moments[i].first);
    EXPECT_EQ(rows(open_restored()), moments[i].second);
    restore({"b"}, {.time_us = times[i]}, {"wal"});
    EXPECT_EQ(rows(open_restored()), moments[i].second);
  }
  const Lsn point = create_restore_point(db_.system(), "here");
  const auto expected = rows(db_.system());
  insert(5);
  EXPECT_EQ(restore({"b"}, {.name = "here"}, {"wal"}).end, point);
  EXPECT_EQ(rows(open_restored()), expected);
}

TEST_F(BackupTest, ARestoredDatabaseGoesOnAsAnotherOne) {
  open();
  insert(10);
  backup("b");
  const Lsn at = insert(10);
  insert(10);
  restore({"b"}, {.lsn = at}, {"wal"});
  open_restored();
  const auto before = db_.system().parts().storage->state().wal_uuid;
  EXPECT_NE(restored_->parts().storage->state().wal_uuid, before);
  const auto expected = rows(*restored_);
  restored_->checkpoint_blocking();
  (void)to_->make_directory("again");
  BackupOptions options;
  options.to = {to_.get(), "again"};
  EXPECT_NE(make_backup(*restored_, options).wal_uuid, before);
  restored_.reset();
  to_->crash();
  to_->restart();
  EXPECT_EQ(rows(open_restored()), expected);
}

TEST_F(BackupTest, AnIncrementalOneHasWhatChanged) {
  open();
  insert(3000, 200);
  const BackupManifest full = backup("full");
  insert(20);
  const BackupManifest second = backup("second", "full");
  insert(20);
  db_.system().checkpoint_blocking();
  db_.system().checkpoint_blocking();
  const BackupManifest third = backup("third", "second");
  const auto expected = rows(db_.system());
  EXPECT_LT(second.extents_stored * 4, full.extents_stored);
  EXPECT_LT(third.extents_stored * 4, full.extents_stored);
  restore({"full", "second", "third"});
  EXPECT_EQ(rows(open_restored()), expected);
  EXPECT_EQ(state_of([&] { restore({"second", "third"}); }), "58P01");
  EXPECT_EQ(state_of([&] { restore({"full", "third"}); }), "58P01");
}

TEST_F(BackupTest, WhatCannotBeRestoredIsRefused) {
  open();
  insert(10);
  const Lsn early = db_.system().durable_lsn();
  insert(10);
  db_.system().checkpoint_blocking();
  const BackupManifest made = backup("b");
  const Lsn late = insert(2000, 1000);
  EXPECT_EQ(state_of([&] { restore({"b"}, {.lsn = early}, {"wal"}); }), "22023");
  EXPECT_EQ(state_of([&] { restore({"b"}, {.time_us = made.began_us - 1'000'000}, {"wal"}); }), "22023");
  EXPECT_EQ(state_of([&] { restore({"b"}, {.lsn = late}); }), "58P01") << "no archive";
  EXPECT_EQ(state_of([&] { restore({"b"}, {.lsn = Lsn{late.raw() + 2048}}, {"wal"}); }), "55000");
  EXPECT_EQ(state_of([&] { restore({"b"}, {.time_us = made.ended_us + 1'000'000'000}, {"wal"}); }), "55000");
  EXPECT_EQ(state_of([&] { restore({"b"}, {.name = "nowhere"}, {"wal"}); }), "55000");
  EXPECT_EQ(state_of([&] { backup("b"); }), "22023") << "not empty";
  (void)db_.disk().make_directory("empty");
  EXPECT_EQ(state_of([&] { restore({"empty"}); }), "58P01");
  restore({"b"});
  RestoreOptions onto;
  onto.chain = {{&db_.disk(), "b"}};
  onto.to = to_.get();
  onto.random = &db_.executor().random();
  EXPECT_EQ(state_of([&] { restore_backup(onto); }), "22023") << "not empty";
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
    RestoreOptions look;
    look.chain = {{&db_.disk(), "b"}};
    look.archives = {{&db_.disk(), archive}};
    for (const bool to_position : {false, true}) {
      if (to_position) look.target.lsn = late;
      try {
        restore_backup(look);
        FAIL() << "the gap was not seen";
      } catch (const Error& e) {
        EXPECT_EQ(e.state, sqlstate::kUndefinedFile) << e.message;
        EXPECT_NE(e.message.find(log::segment_name(first)), std::string::npos) << e.message;
      }
      EXPECT_EQ(state_of([&] { restore({"b"}, look.target, {archive}); }), "58P01");
      EXPECT_TRUE(to_->list("")->empty());
    }
    EXPECT_EQ(restore({"b"}, {.lsn = made.end}, {archive}).end, made.end);
  }
}

TEST_F(BackupTest, DamageInAnyFileIsFoundByVerifyAndRestore) {
  open();
  insert(300);
  const BackupManifest made = backup("b");
  io::SeededRandom random(5);
  for (const BackupFile& file : made.files) {
    SCOPED_TRACE(file.name);
    for (int i = 0; i < 25; ++i) {
      const std::uint64_t at = random.below(file.bytes);
      db_.disk().corrupt("b/" + file.name, at, 16);
      EXPECT_EQ(state_of([&] { BackupReader(db_.disk(), "b").verify(); }), "XX001");
      if (i < 3) EXPECT_EQ(state_of([&] { restore({"b"}); }), "XX001");
      db_.disk().corrupt("b/" + file.name, at, 16);
    }
  }
  restore({"b"});
  EXPECT_EQ(rows(open_restored()), rows(db_.system()));
}

TEST_F(BackupTest, AFailedOneLeavesNothingAndHoldsNothing) {
  open();
  insert(300);
  db_.disk().fail_writes("b/pages", 1);
  EXPECT_EQ(state_of([&] { backup("b"); }), "58030");
  EXPECT_TRUE(db_.disk().list("b")->empty());
  std::atomic<bool> cancelled{true};
  BackupOptions options;
  options.to = place("c");
  options.cancelled = &cancelled;
  EXPECT_EQ(state_of([&] { make_backup(db_.system(), options); }), "57014");
  EXPECT_TRUE(db_.disk().list("c")->empty());
  io::SimulatedFaults full;
  full.no_space = 1'000'000;
  full.applies_to = [](std::string_view path) { return path.starts_with("d/"); };
  db_.disk().set_faults(full);
  EXPECT_EQ(state_of([&] { backup("d"); }), "53100");
  db_.disk().set_faults({});
  EXPECT_EQ(db_.system().parts().backup_hold.load(), 0u);
  insert(10);
  backup("b");
  restore({"b"});
  EXPECT_EQ(rows(open_restored()), rows(db_.system()));
}

}  // namespace
}  // namespace rustbd::txn
