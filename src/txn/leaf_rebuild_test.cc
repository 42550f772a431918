// Table leaves that cannot be read are made anew from the log where it has all of their rows, and only there.
#include <gtest/gtest.h>

#include <map>

#include "rustbd/base/error.h"
#include "rustbd/txn/system_parts.h"
#include "rustbd/txn/testing/test_database.h"

namespace rustbd::txn {
namespace {

using testing::AccountIds;
using testing::Row;
using testing::run;
using testing::Seen;
using testing::TestDatabase;

constexpr ColumnNumber kChanged[2] = {1, 2};
constexpr TwoPhaseUser kUser{10, testing::kDatabase, true};

/// Accounts whose rows are known, on a disk that is damaged between two starts.
class LeafRebuildTest : public ::testing::Test {
 protected:
  void start(std::uint64_t seed, bool second_index = true) {
    db_.emplace(seed);
    random_.emplace(seed);
    rows_.clear();
    db_->options.background = false;
    db_->open();
    db_->system().create_log_consumer("reader");  // all log is kept
    ids_ = db_->make_accounts(second_index);
  }
  template <class Work>
  void transaction(Work&& work, bool commits = true) {
    const auto locker = db_->system().make_locker(1);
    const auto txn = db_->system().begin(*locker);
    txn->begin_statement();
    Table table = db_->table(ids_);
    work(*txn, table);
    if (commits) ASSERT_TRUE(db_->commit(*txn).ok());
    else db_->abort(*txn);
  }
  template <class Work>
  void prepare(Work&& work) {
    const auto locker = db_->system().make_locker(1);
    auto txn = db_->system().begin(*locker);
    txn->begin_statement();
    work(*txn);
    const auto prepared = [&]() -> Task<Outcome> {
      co_return co_await db_->system().prepare(txn, "beside", kUser);
    };
    ASSERT_TRUE(testing::run_task(db_->executor(), prepared()).ok());
  }
  /// What prepare() has prepared.
  void decide(bool commits) {
    auto& system = db_->system();
    ASSERT_TRUE(testing::run_task(db_->executor(), commits ? system.commit_prepared("beside", kUser)
                                                           : system.rollback_prepared("beside", kUser))
                    .ok());
    collect();
  }
  Seen random_row(std::int64_t id) {
    Seen row;
    row.id = id;
    if (random_->below(10) != 0) row.value = static_cast<std::int64_t>(random_->below(1000));
    if (random_->below(4) != 0)
      row.note =
          std::string(random_->below(60) == 0 ? 9000 : random_->below(80), static_cast<char>('a' + id % 26));
    return row;
  }
  void insert(int count, bool commits = true) {
    transaction(
        [&](Transaction& txn, Table& table) {
          for (int i = 0; i < count; ++i) {
            Seen seen = random_row(next_id_++);
            const Row row(seen.id, seen.value, seen.note);
            RowId id;
            ASSERT_TRUE(run([&] { return table.insert(txn, row.ref(), {}, &id); }).ok());
            seen.row = id.raw();
            if (commits) rows_[id.raw()] = seen;
          }
        },
        commits);
  }
  void change(int count, bool commits = true) {
    transaction(
        [&](Transaction& txn, Table& table) {
          for (int i = 0; i < count && !rows_.empty(); ++i) {
            txn.begin_statement();
            auto at = rows_.lower_bound(random_->below(rows_.rbegin()->first + 1));
            if (random_->below(4) == 0) {
              ASSERT_TRUE(run([&] { return table.remove(txn, RowId{at->first}, {}); }).ok());
              if (commits) rows_.erase(at);
              else break;  // not twice
              continue;
            }
            const Seen seen = random_row(at->second.id);
            const Row row(seen.id, seen.value, seen.note);
            ASSERT_TRUE(
                run([&] { return table.update(txn, RowId{at->first}, kChanged, row.ref(1), {}); }).ok());
            if (!commits) break;
            at->second.value = seen.value;
            at->second.note = seen.note;
          }
        },
        commits);
  }
  /// Page ids of the leaves, in order.
  std::vector<PageId> leaves() {
    std::vector<storage::LeafRange> found;
    for (RowId from{1}; !from.is_none();) {
      EXPECT_TRUE(storage::run_blocking([&] {
        return db_->system().parts().tree_state(ids_.table)->tree->leaves_from(from, 1000, &found, &from);
      }));
    }
    std::vector<PageId> pages;
    for (const auto& leaf : found) pages.push_back(leaf.page);
    return pages;
  }
  /// Changes a byte of the page's image on the disk of a closed or crashed database.
  void spoil(PageId page, const storage::Extent& extent) {
    ASSERT_FALSE(page.is_none());
    db_->disk().corrupt(storage::kDataFileName, extent.offset() + 100 + random_->below(extent.bytes() - 100),
                        0x40);
  }
  void collect() {
    while (db_->system().collect_garbage() != 0) {}
  }
  void expect_rows() {
    const auto locker = db_->system().make_locker(1);
    const auto txn = db_->system().begin(*locker);
    txn->begin_statement();
    Table table = db_->table(ids_);
    // Of a row that moved to a new leaf, chains of long values may be left that nothing refers to.
    EXPECT_EQ(db_->system().check(true), std::vector<std::string>{});
    EXPECT_EQ(db_->system().check(), std::vector<std::string>{});
    const auto found = TestDatabase::scan(table, txn->view());
    EXPECT_EQ(found.size(), rows_.size());
    for (const Seen& seen : found) {
      const auto expected = rows_.find(seen.row);
      ASSERT_TRUE(expected != rows_.end()) << "row " << seen.row;
      ASSERT_TRUE(seen == expected->second) << "row " << seen.row;
    }
    const auto by_id = TestDatabase::index_scan(table, ids_.by_id, txn->view(), KeyRange::all());
    EXPECT_EQ(by_id.size(), rows_.size());
  }
  /// Nothing of the table is found by any way, also after the next start; the others work, and it can be
  /// dropped.
  void expect_set_aside() {
    const AccountIds other = db_->make_accounts();
    expect_no_answer(other);
    db_->options.repair = false;
    db_->close();
    db_->open();
    expect_no_answer(other);
    transaction([&](Transaction& txn, Table&) {
      ASSERT_TRUE(run([&] { return db_->system().drop_table(txn, testing::kDatabase, ids_.relation); }).ok());
    });
    while (db_->system().collect_garbage() != 0 || db_->system().parts().drop_step()) {}
    EXPECT_EQ(db_->system().check(true), std::vector<std::string>{});
    EXPECT_TRUE(db_->system().parts().trees_set_aside.empty());
    db_->close();
  }
  void expect_no_answer(const AccountIds& other) {
    EXPECT_FALSE(db_->fatal);
    const auto repairs = db_->system().repairs();
    EXPECT_TRUE(
        std::ranges::any_of(repairs, [](const Repair& r) { return r.text.ends_with("it is set aside"); }));
    EXPECT_FALSE(db_->system().check(true).empty());
    const Row row(next_id_++, 1, {});
    transaction(
        [&](Transaction& txn, Table& table) {
          types::ChunkBuffer out;
          TableScan scan(table, txn.view(), testing::kAllColumns);
          EXPECT_EQ(run([&] { return scan.next(out); }).status, Status::kDamaged);
          for (const Seen& seen : {rows_.begin()->second, rows_.rbegin()->second}) {
            IndexScan by_id(table, ids_.by_id, txn.view(),
                            KeyRange::equal(TestDatabase::key(table, ids_.by_id, seen.id)),
                            ScanDirection::kForward, testing::kAllColumns);
            EXPECT_EQ(run([&] { return by_id.next(out); }).status, Status::kDamaged);
          }
          EXPECT_EQ(run([&] { return table.insert(txn, row.ref(), {}, nullptr); }).status, Status::kDamaged);
        },
        false);
    transaction([&](Transaction& txn, Table&) {
      Table sound = db_->table(other);
      EXPECT_TRUE(run([&] { return sound.insert(txn, row.ref(), {}, nullptr); }).ok());
    });
  }
  std::optional<TestDatabase> db_;
  std::optional<io::SeededRandom> random_;
  AccountIds ids_;
  std::int64_t next_id_ = 1;
  std::map<std::uint64_t, Seen> rows_;
};

// Any page, after any history: a start, or the repair, gives the rows back.
TEST_F(LeafRebuildTest, WhatTheLogHasWholeIsThereAgain) {
  int needed = 0;
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    SCOPED_TRACE(seed);
    start(seed, seed % 3 != 0);
    for (int round = 0; round < 4; ++round) {
      insert(static_cast<int>(1 + random_->below(seed % 5 == 0 ? 20 : 600)));
      change(static_cast<int>(random_->below(200)));
      if (random_->below(3) == 0) insert(30, false);
      if (random_->below(3) == 0) change(1, false);
      if (random_->below(2) == 0) collect();
      if (random_->below(3) == 0) db_->system().checkpoint_blocking();
    }
    collect();
    db_->system().checkpoint_blocking();
    const auto pages = leaves();
    std::map<PageId, storage::Extent> bad;
    for (std::uint64_t n = 1 + random_->below(3); n > 0; --n) {
      const PageId page = pages[random_->below(pages.size())];
      bad[page] = db_->system().parts().buffer().stored_extent(page);
    }
    const bool changes = random_->below(2) == 0;
    if (changes) {
      change(50);
      insert(100);
      db_->crash();
    } else {
      db_->close();
    }
    for (const auto& [page, extent] : bad) spoil(page, extent);
    db_->options.repair = !changes || random_->below(2) == 0;
    db_->open();
    const auto repairs = db_->system().repairs();
    if (db_->options.repair) EXPECT_GT(repairs.size(), bad.size());  // indexes too
    for (const Repair& repair : repairs) EXPECT_TRUE(repair.done) << repair.text;
    // Without `repair` a page that recovery had no need of is as it was.
    const auto made = std::ranges::count_if(repairs, [](const Repair& repair) {
      return repair.text.find("rows were made anew") != std::string::npos;
    });
    const bool whole = static_cast<std::size_t>(made) == bad.size();
    EXPECT_TRUE(whole || !db_->options.repair);
    needed += whole && !db_->options.repair;
    if (whole) expect_rows();
    // What was made anew is as durable as anything.
    db_->options.repair = false;
    db_->close();
    db_->open();
    if (whole) {
      EXPECT_TRUE(db_->system().repairs().empty());
      expect_rows();
    }
    db_->close();
  }
  EXPECT_GT(needed, 0) << "a start never needed a damaged leaf";
}

// The next start may be luckier with a disk that gives an error; the repair does not wait for that.
TEST_F(LeafRebuildTest, AStartRefusesWhatTheDiskDoesNotGiveAndARepairMakesItAnew) {
  start(3);
  insert(400);
  collect();
  db_->system().checkpoint_blocking();
  const PageId page = leaves()[0];
  const auto extent = db_->system().parts().buffer().stored_extent(page);
  change(200);
  db_->crash();
  db_->disk().lose_sectors(storage::kDataFileName, extent.offset() + io::kSectorBytes, 1);
  try {
    db_->open();
    FAIL() << "it was opened";
  } catch (const Error& e) {
    EXPECT_EQ(e.state, sqlstate::kIoError);
    EXPECT_NE(e.message.find(fmt::format("page {} of table", page.raw())), std::string::npos) << e.message;
    EXPECT_NE(e.hint.find("check --repair"), std::string::npos) << e.hint;
  }
  db_->options.repair = true;
  db_->open();
  expect_rows();
  db_->options.repair = false;
  db_->close();
  db_->open();
  expect_rows();
  EXPECT_TRUE(db_->system().repairs().empty());
  // `rustbd check` goes on.
  const auto again = db_->system().parts().buffer().stored_extent(page);
  change(200);
  db_->crash();
  db_->disk().lose_sectors(storage::kDataFileName, again.offset() + io::kSectorBytes, 1);
  db_->options.examine = db_->options.read_only = true;
  db_->open();
  EXPECT_FALSE(db_->system().recovery_findings().empty());
  db_->drop();
}

TEST_F(LeafRebuildTest, RowsFromBeforeAColumnCameHaveItsMissingValue) {
  start(1);
  insert(400);
  transaction([&](Transaction& txn, Table& table) {
    storage::TableLayout layout = table.layout();
    ++layout.schema_version;
    layout.columns.emplace_back(layout.columns[2]);
    layout.columns[3].since_version = layout.columns[3].bitmap_since = layout.schema_version;
    layout.columns[3].has_missing_value = true;
    for (const char c : std::string_view("missing")) layout.columns[3].missing_value.push_back(std::byte(c));
    ASSERT_TRUE(run([&] { return db_->system().alter_table(txn, layout); }).ok());
  });
  collect();
  db_->system().checkpoint_blocking();
  const PageId page = leaves()[1];
  const auto extent = db_->system().parts().buffer().stored_extent(page);
  db_->close();
  spoil(page, extent);
  db_->options.repair = true;
  db_->open();
  ASSERT_EQ(db_->system().repairs().size(), 3u) << "a leaf and its indexes";
  expect_rows();
  const auto locker = db_->system().make_locker(1);
  const auto txn = db_->system().begin(*locker);
  txn->begin_statement();
  Table table = db_->table(ids_);
  static constexpr ColumnNumber kColumns[] = {0, 3};
  TableScan scan(table, txn->view(), kColumns);
  types::ChunkBuffer out;
  std::size_t seen = 0;
  while (run([&] { return scan.next(out); }).ok()) {
    for (std::uint32_t i = 0; i < out.chunk().count(); ++i, ++seen)
      EXPECT_EQ(out.chunk()[1].values<types::Str>()[out.chunk().selection[i]].view(), "missing");
  }
  EXPECT_EQ(seen, rows_.size());
}

// A row that is older than the kept log: the page stays what it is, the other pages are not affected.
TEST_F(LeafRebuildTest, AnOlderRowKeepsThePageFromBeingMadeAnew) {
  for (const bool changes : {false, true}) {
    SCOPED_TRACE(changes);
    start(2);
    insert(600);
    collect();
    db_->system().advance_log_consumer("reader", db_->system().durable_lsn());
    insert(600);  // some go to the last of the leaves that were there
    const auto pages = leaves();
    ASSERT_GE(pages.size(), 3u);
    for (int i = 0; i < 4; ++i) {  // the log's segments are used again
      transaction([&](Transaction& txn, Table& table) {
        for (int n = 0; n < 20; ++n) {
          const Row row(next_id_++, 0, std::string(40'000, 'z'));
          ASSERT_TRUE(run([&] { return table.insert(txn, row.ref(), {}, nullptr); }).ok());
        }
      });
      collect();
      db_->system().advance_log_consumer("reader", db_->system().durable_lsn());
      db_->system().checkpoint_blocking();
      db_->executor().run_for(std::chrono::milliseconds(50));
    }
    const auto extent = db_->system().parts().buffer().stored_extent(pages[0]);
    if (changes) {
      transaction([&](Transaction& txn, Table& table) {
        const Row row(0, 7, "x");
        ASSERT_TRUE(run([&] {
                      return table.update(txn, RowId{rows_.begin()->first}, kChanged, row.ref(1), {});
                    }).ok());
      });
      db_->crash();
    } else {
      db_->close();
    }
    spoil(pages[0], extent);
    db_->options.repair = true;
    if (changes) {  // recovery has to leave out the change, so the whole table is of no use
      db_->open();
      expect_set_aside();
      continue;
    }
    db_->open();
    ASSERT_EQ(db_->system().repairs().size(), 1u);
    const Repair repair = db_->system().repairs()[0];
    EXPECT_FALSE(repair.done);
    EXPECT_NE(repair.text.find("is older than the log that is kept"), std::string::npos) << repair.text;
    const auto findings = db_->system().check();
    ASSERT_FALSE(findings.empty());
    EXPECT_NE(findings[0].find(fmt::format("page {}", pages[0].raw())), std::string::npos) << findings[0];
    db_->close();
  }
}

// The log is whole only behind the rows' INSERTs, which recovery itself has read and had to leave out:
// neither the leaf nor the indexes have these rows. `running`: their transaction was running at the
// checkpoint, so that they were to be taken out first.
TEST_F(LeafRebuildTest, RowsThatRecoveryLeftOutAreNotTakenForGone) {
  for (const bool running : {false, true}) {
    SCOPED_TRACE(running);
    start(5);
    const Lsn bad = db_->system().durable_lsn();  // of the batch that will not be readable
    const AccountIds filler = db_->make_accounts();
    collect();
    db_->system().checkpoint_blocking();
    transaction([&](Transaction& txn, Table& table) {
      for (int i = 0; i < 10; ++i) {
        Seen seen = random_row(next_id_++);
        const Row row(seen.id, seen.value, seen.note);
        RowId id;
        ASSERT_TRUE(run([&] { return table.insert(txn, row.ref(), {}, &id); }).ok());
        seen.row = id.raw();
        rows_[id.raw()] = seen;
      }
      if (running) db_->system().checkpoint_blocking();
    });
    const auto pages = leaves();
    ASSERT_EQ(pages.size(), 1u);
    const auto extent = db_->system().parts().buffer().stored_extent(pages[0]);
    const log::Geometry geometry(db_->options.log_segment_bytes);
    const auto segment = geometry.segment_of(db_->system().durable_lsn());
    for (int behind = 0; behind < 3;) {
      if (geometry.segment_of(db_->system().durable_lsn()) != segment) ++behind;
      transaction([&](Transaction& txn, Table&) {
        Table other = db_->table(filler);
        const Row row(next_id_++, 0, std::string(40'000, 'z'));
        ASSERT_TRUE(run([&] { return other.insert(txn, row.ref(), {}, nullptr); }).ok());
      });
    }
    db_->crash();
    const Lsn file = geometry.first_lsn(segment);
    db_->disk().corrupt("wal/" + log::segment_name(file), bad.raw() - file.raw() + 16, 0x40);
    spoil(pages[0], extent);
    db_->open();
    expect_set_aside();
  }
}

// A checkpoint in the middle of a DROP, which is undone by the next start.
TEST_F(LeafRebuildTest, ARunningDropDoesNotBringATableBack) {
  start(4);
  insert(600);
  collect();
  db_->system().checkpoint_blocking();
  const PageId page = leaves()[0];
  db_->system().parts().set_table_aside(ids_.table, page);
  {
    const auto locker = db_->system().make_locker(5);
    const auto txn = db_->system().begin(*locker);
    txn->begin_statement();
    ASSERT_TRUE(run([&] { return db_->system().drop_table(*txn, testing::kDatabase, ids_.relation); }).ok());
    db_->system().checkpoint_blocking();
    txn->abandon();
  }
  db_->crash();
  db_->open();
  const auto locker = db_->system().make_locker(1);
  const auto txn = db_->system().begin(*locker);
  txn->begin_statement();
  Table table = db_->table(ids_);
  types::ChunkBuffer out;
  TableScan scan(table, txn->view(), testing::kAllColumns);
  EXPECT_EQ(run([&] { return scan.next(out); }).status, Status::kDamaged);
  IndexScan by_id(table, ids_.by_id, txn->view(), KeyRange::all(), ScanDirection::kForward,
                  testing::kAllColumns);
  EXPECT_EQ(run([&] { return by_id.next(out); }).status, Status::kDamaged);
}

// A change on a page that has become unreadable since cannot be taken back; the server lives.
TEST_F(LeafRebuildTest, ARollbackThatCannotReadItsPageSetsTheTableAside) {
  start(3);
  insert(600);
  collect();
  {
    const auto locker = db_->system().make_locker(5);
    const auto txn = db_->system().begin(*locker);
    txn->begin_statement();
    const Row row(0, 7, "x");
    {
      Table table = db_->table(ids_);
      for (int i = 0; i < 3; ++i) {
        txn->begin_statement();
        ASSERT_TRUE(run([&] {
                      return table.update(*txn, RowId{rows_.begin()->first + i}, kChanged, row.ref(1), {});
                    }).ok());
      }
    }
    db_->system().checkpoint_blocking();
    auto& buffer = db_->system().parts().buffer();
    const PageId page = leaves()[0];
    const auto extent = buffer.stored_extent(page);
    for (int i = 0; i < 100 && buffer.resident(page); ++i) buffer.evict(1000);
    ASSERT_FALSE(buffer.resident(page));
    spoil(page, extent);
    db_->abort(*txn);
  }
  collect();
  expect_set_aside();
}

// A layout that was not committed would be the table's after the next start: the server ends instead, and the
// log does not have it.
TEST_F(LeafRebuildTest, ALayoutThatCannotBeTakenBackEndsTheServer) {
  start(3);
  insert(100);
  collect();
  const auto version = db_->table(ids_).layout().schema_version;
  std::vector<std::uint64_t> places;
  const auto flip = [&] {
    for (const auto at : places) db_->disk().corrupt(storage::kDataFileName, at, 0x40);
  };
  {
    const auto locker = db_->system().make_locker(5);
    const auto txn = db_->system().begin(*locker);
    txn->begin_statement();
    storage::TableLayout layout = db_->table(ids_).layout();
    ++layout.schema_version;
    layout.columns.emplace_back(layout.columns[2]);
    layout.columns[3].since_version = layout.columns[3].bitmap_since = layout.schema_version;
    ASSERT_TRUE(run([&] { return db_->system().alter_table(*txn, layout); }).ok());
    db_->system().checkpoint_blocking();
    auto& parts = db_->system().parts();
    std::vector<storage::LeafRange> found;
    RowId from{1};
    ASSERT_TRUE(storage::run_blocking(
        [&] { return parts.tree_state(kLayoutTable)->tree->leaves_from(from, 1000, &found, &from); }));
    for (const auto& leaf : found) {
      places.push_back(parts.buffer().stored_extent(leaf.page).offset() + 200);
      for (int i = 0; i < 100 && parts.buffer().resident(leaf.page); ++i) parts.buffer().evict(1000);
      ASSERT_FALSE(parts.buffer().resident(leaf.page));
    }
    flip();
    db_->abort(*txn);
    EXPECT_TRUE(db_->fatal);
  }
  db_->crash();
  flip();  // the disk gives it again
  db_->open();
  EXPECT_EQ(db_->table(ids_).layout().schema_version, version);
  expect_rows();
  db_->close();
}

// Collection leaves index entries behind when a page cannot be read. A disk may give the page again: then
// they must not count.
TEST_F(LeafRebuildTest, EntriesThatCollectionCouldNotTakeOutGoWithAStart) {
  for (const bool index_page : {false, true}) {
    SCOPED_TRACE(index_page);
    start(4);
    insert(200);
    collect();
    transaction([&](Transaction& txn, Table& table) {
      for (int i = 0; i < 3; ++i) {
        txn.begin_statement();
        Seen& seen = std::next(rows_.begin(), 10 + i)->second;
        seen.value = 5000 + i;
        const Row row(seen.id, seen.value, seen.note);
        ASSERT_TRUE(run([&] { return table.update(txn, RowId{seen.row}, kChanged, row.ref(1), {}); }).ok());
      }
      const RowId removed{rows_.begin()->first};
      ASSERT_TRUE(run([&] { return table.remove(txn, removed, {}); }).ok());
      rows_.erase(rows_.begin());
    });
    db_->system().checkpoint_blocking();
    auto& parts = db_->system().parts();
    const PageId page = index_page ? parts.index_tree(ids_.by_value)->root() : leaves()[0];
    const auto extent = parts.buffer().stored_extent(page);
    for (int i = 0; i < 100 && parts.buffer().resident(page); ++i) parts.buffer().evict(1000);
    ASSERT_FALSE(parts.buffer().resident(page));
    const auto flip = [&] { db_->disk().corrupt(storage::kDataFileName, extent.offset() + 200, 0x40); };
    flip();
    collect();
    EXPECT_EQ(parts.owed_rows[ids_.table].size(), 4u);
    db_->system().checkpoint_blocking();
    db_->crash();
    db_->open();  // it cannot be read yet
    // An index is built anew at once: what stands behind its bad page would count as right.
    EXPECT_EQ(db_->system().parts().owed_rows[ids_.table].size(), index_page ? 0u : 4u);
    db_->system().checkpoint_blocking();
    db_->crash();
    flip();
    db_->open();
    EXPECT_TRUE(db_->system().parts().owed_rows.empty());
    expect_rows();
    db_->close();
  }
}

// What is owed of an index is bounded, for checkpoints copy it with the gate closed.
TEST_F(LeafRebuildTest, AnIndexOfWhichTooMuchIsOwedIsSetAside) {
  start(5);
  insert(50);
  auto& parts = db_->system().parts();
  const PageId page = parts.index_tree(ids_.by_value)->root();
  for (std::uint64_t row = 1; row <= 20'000; ++row)
    parts.owe_row(ids_.table, {RowId{row}, ids_.by_value}, page);
  EXPECT_TRUE(parts.trees_set_aside.empty());
  parts.owe_row(ids_.table, {RowId{20'001}, ids_.by_value}, page);
  EXPECT_EQ(parts.owed_rows[ids_.table].size(), 20'000u);
  ASSERT_EQ(parts.trees_set_aside.size(), 1u);
  EXPECT_TRUE(parts.index_tree(ids_.by_value)->is_set_aside());
  EXPECT_FALSE(parts.index_tree(ids_.by_id)->is_set_aside());
  db_->system().checkpoint_blocking();
  db_->crash();
  db_->open();  // what could not be noted any more is not known: the index is built anew
  EXPECT_TRUE(db_->system().parts().owed_rows.empty());
  EXPECT_TRUE(db_->system().parts().trees_set_aside.empty());
  expect_rows();
  db_->close();
}

// Its changes of a table that is set aside are left out as all others; those of other tables stay, and it can
// be decided.
TEST_F(LeafRebuildTest, APreparedTransactionLivesOnBesideATableThatIsSetAside) {
  for (const bool commits : {true, false}) {
    SCOPED_TRACE(commits);
    start(7);
    insert(50);
    collect();
    const AccountIds lost = ids_, kept = db_->make_accounts(false);
    prepare([&](Transaction& txn) {
      for (const AccountIds& ids : {lost, kept}) {
        Table table = db_->table(ids);
        const Row row(1'000'000, 1, "prepared");
        RowId id;
        ASSERT_TRUE(run([&] { return table.insert(txn, row.ref(), {}, &id); }).ok());
      }
    });
    db_->system().parts().set_table_aside(lost.table, leaves()[0]);
    db_->system().checkpoint_blocking();
    db_->crash();
    db_->open();
    EXPECT_TRUE(db_->system().parts().tree_state(lost.table)->tree->is_set_aside());
    decide(commits);
    const auto rows = [&] {
      const auto locker = db_->system().make_locker(1);
      const auto txn = db_->system().begin(*locker);
      txn->begin_statement();
      Table table = db_->table(kept);
      return TestDatabase::scan(table, txn->view()).size();
    };
    EXPECT_EQ(rows(), commits ? 1u : 0u);
    db_->close();
    db_->open();
    EXPECT_EQ(rows(), commits ? 1u : 0u);
    EXPECT_FALSE(db_->fatal);
    db_->close();
  }
}

// A prepared transaction that changed an index which is of no use any more ends as it should, and the index
// has its entries when it is built anew.
TEST_F(LeafRebuildTest, APreparedTransactionLivesOnBesideAnIndexThatIsSetAside) {
  for (const bool commits : {true, false}) {
    SCOPED_TRACE(commits);
    start(6);
    insert(50);
    collect();
    prepare([&](Transaction& txn) {
      Table table = db_->table(ids_);
      Seen& changed = rows_.begin()->second;
      const Row update(changed.id, 4242, "prepared"), added(next_id_, 4343, "added");
      ASSERT_TRUE(
          run([&] { return table.update(txn, RowId{changed.row}, kChanged, update.ref(1), {}); }).ok());
      RowId id;
      ASSERT_TRUE(run([&] { return table.insert(txn, added.ref(), {}, &id); }).ok());
      if (!commits) return;
      changed.value = 4242, changed.note = "prepared";
      Seen& row = rows_[id.raw()];
      row.id = next_id_++, row.row = id.raw(), row.value = 4343, row.note = "added";
    });
    auto& parts = db_->system().parts();
    parts.set_index_aside(ids_.by_value, parts.index_tree(ids_.by_value)->root());
    db_->system().checkpoint_blocking();
    db_->crash();
    db_->open();
    EXPECT_FALSE(db_->system().parts().index_tree(ids_.by_value)->is_set_aside()) << "it is built anew";
    decide(commits);
    expect_rows();
    db_->close();
  }
}

}  // namespace
}  // namespace rustbd::txn
