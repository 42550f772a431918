#include "rustbd/txn/backup/backup.h"

#include <gtest/gtest.h>

#include "rustbd/txn/backup/reader.h"
#include "rustbd/txn/backup/restore_point.h"
#include "rustbd/txn/system_parts.h"
#include "rustbd/txn/testing/backup_fixture.h"

namespace rustbd::txn {
namespace {

using testing::BackupTest;
using testing::Seen;
using testing::state_of;

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
