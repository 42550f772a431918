// Damage in a data directory as clients meet it: XX001 that names table and page, everything else works, and
// what can be built anew is; and a thousand random bits, none of which gives a wrong answer.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <optional>
#include <thread>

#include "rustbd/base/bytes.h"
#include "rustbd/base/error.h"
#include "rustbd/engine/access/index_keys.h"
#include "rustbd/engine/database.h"
#include "rustbd/io/executor.h"
#include "rustbd/log/log_reader.h"
#include "rustbd/security/key_ring.h"
#include "rustbd/server/local_session.h"
#include "rustbd/server/overlay_disk.h"
#include "rustbd/storage/pages/extent_image.h"
#include "rustbd/storage/pages/page.h"
#include "rustbd/storage/pages/storage.h"
#include "rustbd/txn/system_parts.h"

namespace rustbd::server {
namespace {

namespace fs = std::filesystem;
using storage::PageKind;

/// A file system directory with a database; copies of it that are never written back.
class Corruption : public ::testing::Test {
 protected:
  Corruption() {
    std::string name = (fs::temp_directory_path() / "rustbd-test-XXXXXX").string();
    path_ = ::mkdtemp(name.data());
    disk_ = io::make_real_disk(path_);
  }
  ~Corruption() override {
    stop();
    executor_->stop();
    if (HasFailure()) fmt::print("the directory stays: {}\n", path_.string());
    else fs::remove_all(path_);
  }

  engine::DatabaseOptions options() {
    engine::DatabaseOptions o;
    o.storage.buffer_bytes = 8u << 20;
    o.storage.page_compression = compression_;
    o.storage.encryption.master_key = master_key_;
    o.storage.data_grow_bytes = 2u << 20;
    o.storage.log_segment_bytes = 1u << 20;
    o.storage.preallocate_log = false;
    o.storage.background = false;
    o.storage.log_line = [](std::string_view) {};
    return o;
  }
  void start(io::Disk& disk) {
    database_ = engine::Database::open({&disk, clock_.get(), random_.get(), executor_.get()}, options());
    session_ = std::make_unique<LocalSession>(*database_, engine::SessionOptions{});
  }
  /// As a crash: without a last checkpoint.
  void stop() {
    session_.reset();
    database_.reset();
  }
  LocalAnswer run(const std::string& sql) { return session_->run(sql); }
  std::string text(const std::string& sql) {
    const auto answer = run(sql);
    if (answer.failure) return fmt::format("{}: {}", answer.failure->state.text(), answer.failure->message);
    std::string out;
    for (const auto& result : answer.results)
      for (const auto& row : result.rows)
        for (const auto& value : row) out += value.value_or("null") + '|';
    return out;
  }
  void must(const std::string& sql) {
    const auto answer = run(sql);
    ASSERT_FALSE(answer.failure) << sql << ": " << answer.failure->message;
  }

  struct Image {
    std::uint64_t offset;
    storage::PageHeader header;
  };
  /// Every page image in the (uncompressed) data file, old ones of the same pages too.
  std::vector<Image> images(io::Disk& disk) {
    std::vector<Image> out;
    const auto file = disk.open(storage::kDataFileName, {.read_only = true});
    Bytes bytes(*(*file)->size());
    EXPECT_TRUE((*file)->read(0, bytes));
    for (std::uint64_t at = 0; at + storage::kFrameBytes <= bytes.size(); at += storage::kBlockBytes) {
      if (load<std::uint32_t>(bytes.data() + at) != storage::kExtentMagic) continue;
      out.push_back({at, load<storage::PageHeader>(bytes.data() + at + storage::kExtentHeaderBytes)});
    }
    return out;
  }
  static void flip(io::Disk& disk, const std::string& path, std::uint64_t offset, std::uint8_t mask) {
    const auto file = disk.open(path, {});
    ASSERT_TRUE(file);
    std::byte byte[1];
    ASSERT_TRUE((*file)->read(offset, byte));
    byte[0] ^= std::byte{mask};
    ASSERT_TRUE((*file)->write(offset, byte));
  }
  std::uint32_t id_of(const std::string& name) {
    return static_cast<std::uint32_t>(
        std::stoul(text("select oid from pg_class where relname = '" + name + "'")));
  }
  /// Damages the images of `count` pages of that owner and kind from the `first` one on. The first one's id.
  std::uint64_t damage(io::Disk& disk, PageKind kind, std::uint32_t owner, std::size_t first = 0,
                       std::size_t count = 1) {
    std::map<std::uint64_t, std::vector<std::uint64_t>> pages;
    for (const auto& i : images(disk))
      if (i.header.kind == kind && i.header.owner == owner) pages[i.header.page_id].push_back(i.offset);
    EXPECT_GT(pages.size(), first) << "no such page";
    std::uint64_t id = 0;
    std::size_t n = 0;
    for (const auto& [page, offsets] : pages) {
      if (n++ < first || n > first + count) continue;
      if (id == 0) id = page;
      for (const auto offset : offsets) flip(disk, storage::kDataFileName, offset + 600, 4);
    }
    return id;
  }

  void fill() {
    must("create table t (id int primary key, k int, tag text, body text)");
    must("create table other (id int primary key, v text)");
    must("insert into other select g, 'v' || g from generate_series(1, 500) g");
    must(
        "insert into t select g, g % 97, 'tag' || (g * 7 % 5000), repeat(md5(g::text), case when g % 100 = 0 "
        "then "
        "400 else 2 end) from generate_series(1, 5000) g");
    must("create index t_k on t (k)");
    must("create unique index t_tag on t (lower(tag))");
    database_->transactions().checkpoint_blocking();
  }

  fs::path path_;
  storage::PageCompression compression_ = storage::PageCompression::kNone;
  std::optional<security::MasterKey> master_key_;  // none: not sealed
  std::unique_ptr<io::Clock> clock_ = io::make_system_clock();
  std::unique_ptr<io::Random> random_ = io::make_system_random();
  std::unique_ptr<io::Executor> executor_ = io::make_thread_executor(2);
  std::unique_ptr<io::Disk> disk_;
  std::unique_ptr<engine::Database> database_;
  std::unique_ptr<LocalSession> session_;
};

constexpr const char* kCountAll = "select count(*), sum(k), sum(length(body)) from t";
constexpr const char* kByIndex = "select count(*), sum(id) from t where k = 13";

TEST_F(Corruption, TableLeaf) {
  start(*disk_);
  fill();
  const auto t = id_of("t");
  stop();
  const auto page = damage(*disk_, PageKind::kTableLeaf, t, 3);
  start(*disk_);
  const auto message = fmt::format("XX001: page {} of table \"public.t\" is damaged", page);
  EXPECT_EQ(text(kCountAll), message);
  EXPECT_EQ(text(kCountAll), message) << "and again";
  EXPECT_EQ(text("select count(*), max(v) from other"), "500|v99|");
  EXPECT_EQ(text("select id from t where id = 1"), "1|") << "the row lies in another page";
  must("insert into other values (501, 'new')");
  must("insert into t values (6000, 1, 'x', 'y')");
  database_->transactions().checkpoint_blocking();
  EXPECT_NE(database_->metrics().expose().find("rustbd_checksum_failures_total 1\n"), std::string::npos);
  must("truncate t");
  EXPECT_EQ(text(kCountAll), "0|null|null|");
  must("insert into t values (1, 1, 'a', 'b')");
  EXPECT_EQ(text(kCountAll), "1|1|1|");
}

TEST_F(Corruption, IndexIsBuiltAnew) {
  start(*disk_);
  fill();
  const auto index = id_of("t_k"), key = id_of("t_tag");
  const std::string expected = text(kByIndex), all = text(kCountAll);
  stop();
  for (const PageKind kind : {PageKind::kIndexLeaf, PageKind::kIndexInner}) {
    SCOPED_TRACE(static_cast<int>(kind));
    const auto copy = make_overlay_disk(*disk_);
    damage(*copy, kind, index, 0, 1000);
    damage(*copy, PageKind::kIndexLeaf, key, 2);
    start(*copy);
    EXPECT_NE(text("select sum(id) from t where k = 13").find("of index \"public.t_k\" is damaged"),
              std::string::npos);
    EXPECT_EQ(text(kCountAll), all);
    must("reindex index t_k");
    EXPECT_EQ(text(kByIndex), expected);
    must("reindex table t");
    database_->transactions().collect_garbage();
    for (int id = 1; id < 5000; id += 111)
      EXPECT_EQ(text(fmt::format("select id from t where lower(tag) = 'tag{}'", id * 7 % 5000)),
                fmt::format("{}|", id));
    must("drop index t_k");
    database_->transactions().checkpoint_blocking();
    EXPECT_EQ(text(kByIndex), expected);
    stop();
  }
}

TEST_F(Corruption, RecoveryBuildsAnIndexAnewThatItCannotWrite) {
  start(*disk_);
  fill();
  const auto index = id_of("t_k");
  must("update t set k = k + 1 where id % 3 = 0");
  must("delete from t where id % 7 = 0");
  must("insert into t select g, g % 97, 'late' || g, '' from generate_series(7000, 7500) g");
  const std::string expected = text(kByIndex), all = text(kCountAll);
  stop();
  damage(*disk_, PageKind::kIndexLeaf, index, 2);
  start(*disk_);
  EXPECT_EQ(text(kByIndex), expected);
  EXPECT_EQ(text(kCountAll), all);
  EXPECT_EQ(database_->transactions().check(), std::vector<std::string>{});
  database_->transactions().checkpoint_blocking();
  stop();
  start(*disk_);
  EXPECT_EQ(text(kByIndex), expected);
  EXPECT_EQ(database_->transactions().check(), std::vector<std::string>{});
}

TEST_F(Corruption, LongValue) {
  start(*disk_);
  fill();
  const auto t = id_of("t");
  stop();
  const auto page = damage(*disk_, PageKind::kOverflow, t);
  start(*disk_);
  EXPECT_EQ(text("select sum(length(body || '')) from t"),
            fmt::format("XX001: page {} of table \"public.t\" is damaged", page));
  EXPECT_EQ(text("select count(*), sum(k) from t"), "5000|238887|") << "the value is not read";
  must("drop table t");
  database_->transactions().collect_garbage();
  EXPECT_EQ(text("select count(*) from other"), "500|");
}

TEST_F(Corruption, DropOfDamagedTable) {
  start(*disk_);
  fill();
  const auto t = id_of("t");
  stop();
  for (const PageKind kind : {PageKind::kTableLeaf, PageKind::kTableInner}) {
    const auto copy = make_overlay_disk(*disk_);
    damage(*copy, kind, t, 0);
    start(*copy);
    EXPECT_TRUE(text(kCountAll).starts_with("XX001"));
    must("drop table t");
    for (int i = 0; i < 100 && database_->transactions().collect_garbage() > 0; ++i) {}
    database_->transactions().checkpoint_blocking();
    EXPECT_EQ(text("select count(*) from other"), "500|");
    must("create table t (a int)");
    stop();
    start(*copy);
    EXPECT_EQ(text("select count(*) from t"), "0|");
    stop();
  }
}

TEST_F(Corruption, DeepCheckNamesWhatIsHurt) {
  start(*disk_);
  fill();
  must("create table third (id int primary key, body text)");
  must("insert into third select g, repeat('z', 9000) from generate_series(1, 50) g");
  database_->transactions().checkpoint_blocking();
  EXPECT_EQ(database_->transactions().check(), std::vector<std::string>{});
  const auto t = id_of("t"), index = id_of("t_k"), third = id_of("third");
  stop();
  const auto leaf = damage(*disk_, PageKind::kTableLeaf, t, 1);
  const auto entry = damage(*disk_, PageKind::kIndexLeaf, index, 1);
  const auto chain = damage(*disk_, PageKind::kOverflow, third, 0);
  start(*disk_);
  std::string all;
  for (const auto& f : database_->transactions().check()) all += f + '\n';
  EXPECT_NE(all.find(fmt::format("table \"public.t\": page {}: cannot be read", leaf)), std::string::npos)
      << all;
  EXPECT_NE(all.find(fmt::format("index \"public.t_k\": page {}: cannot be read", entry)), std::string::npos)
      << all;
  EXPECT_NE(all.find(fmt::format("table \"public.third\": page {} of a long value", chain)),
            std::string::npos)
      << all;
  EXPECT_EQ(all.find("other"), std::string::npos) << all;
}

/// Entries of indexes whose keys only a session computes.
class ComputedIndexes : public Corruption {
 protected:
  ComputedIndexes() {
    start(*disk_);
    must("create table e (id int primary key, name text, v int)");
    must("insert into e select g, 'Name' || g, nullif(g % 400, 0) from generate_series(1, 399) g");
    must("insert into e select 1000 + g, null, null from generate_series(1, 20) g");
    must("create index e_low on e (lower(name), id)");
    must("create unique index e_abs on e (abs(v))");
    must("create unique index e_part on e (v) where v > 200");
    must("create type mood as enum ('sad', 'ok')");
    must("alter table e add column m mood default 'ok'");
    must("create index e_mood on e (id) where m = 'ok'");
    must("update e set name = upper(name) where id < 50");
    must("delete from e where id between 60 and 70");
    while (database_->transactions().collect_garbage() > 0) {}
    EXPECT_EQ(check(), "");
  }
  std::string check() {
    std::string all;
    const auto session = database_->connect({});  // as the tool's: no statement has run in it
    const auto keys = engine::index_keys(*session);
    for (const auto& f : database_->transactions().check(false, keys)) all += f + '\n';
    return all;
  }
  static void expect_says(const std::string& found, const std::string& text) {
    EXPECT_NE(found.find(text), std::string::npos) << found;
  }
  storage::IndexTree& tree(const std::string& index) {
    return *database_->transactions().parts().index_tree(IndexId{id_of(index)});
  }
  struct Entry {
    Bytes key;
    RowId row;
  };
  Entry entry(storage::IndexTree& tree, std::size_t n) {
    std::vector<Entry> all;
    EXPECT_TRUE(storage::for_each_entry(tree, [&](ByteSpan key, RowId row) {
      all.push_back({Bytes(key.begin(), key.end()), row});
    }));
    return all.at(n);
  }
};

TEST_F(ComputedIndexes, KeyOfAnotherRow) {
  auto& low = tree("e_low");
  const auto one = entry(low, 100), other = entry(low, 101);
  ASSERT_TRUE(storage::run_blocking([&] { return low.remove(one.key, one.row); }));
  ASSERT_TRUE(storage::run_blocking([&] { return low.insert(other.key, one.row); }));
  const std::string found = check();
  expect_says(found, fmt::format("index \"public.e_low\": row {} has no entry", one.row.raw()));
  expect_says(found, fmt::format("an entry of row {} is not that of the row", one.row.raw()));
  must("reindex index e_low");
  EXPECT_EQ(check(), "");
}

TEST_F(ComputedIndexes, MembersOnly) {
  auto& part = tree("e_part");
  const auto member = entry(part, 50);
  const auto stranger = entry(tree("e_abs"), 20);  // v = 21: not above 200
  ASSERT_TRUE(storage::run_blocking([&] { return part.remove(member.key, member.row); }));
  ASSERT_TRUE(storage::run_blocking([&] { return part.insert(stranger.key, stranger.row); }));
  const std::string found = check();
  expect_says(found, fmt::format("index \"public.e_part\": row {} has no entry", member.row.raw()));
  expect_says(found, fmt::format("an entry of row {} is not that of the row", stranger.row.raw()));
}

TEST_F(ComputedIndexes, NullsBesideADamagedLeafAreNoDoubleKeys) {
  database_->transactions().checkpoint_blocking();
  const auto e = id_of("e");
  stop();
  damage(*disk_, PageKind::kTableLeaf, e);
  start(*disk_);
  const std::string found = check();
  expect_says(found, "cannot be read");
  EXPECT_EQ(found.find("the same key"), std::string::npos) << found;
}

TEST_F(ComputedIndexes, AnIndexWhoseTextSaysNothingAnyMoreIsNamedAndTheCheckGoesOn) {
  must("alter type mood rename value 'ok' to 'fine'");
  auto& primary = tree("e_pkey");
  const auto one = entry(primary, 100);
  ASSERT_TRUE(storage::run_blocking([&] { return primary.remove(one.key, one.row); }));
  const std::string found = check();
  expect_says(found, "index \"public.e_mood\": its keys cannot be computed");
  expect_says(found, fmt::format("index \"public.e_pkey\": row {} has no entry", one.row.raw()));
}

TEST_F(ComputedIndexes, KeyThatIsThereTwice) {
  auto& abs = tree("e_abs");
  const auto one = entry(abs, 30), other = entry(abs, 31);
  ASSERT_TRUE(storage::run_blocking([&] { return abs.insert(one.key, other.row); }));
  expect_says(check(), fmt::format("rows {} and {} have the same key", one.row.raw(), other.row.raw()));
}

// --- A thousand random bits ---

int flips() {
  if (const char* n = std::getenv("RUSTBD_TEST_FLIPS")) return std::atoi(n);
#if defined(__OPTIMIZE__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  return 1000;
#else
  return 60;
#endif
}

/// Questions whose answers are known; together they read every table, index and long value.
const char* const kQuestions[] = {
    "select count(*), sum(id), sum(k), md5(string_agg(md5(body), '' order by id)) from t",
    "select sum(id), count(*) from t where k between 10 and 60 and k <> 11",
    "select count(*), sum(k) from t where id in (1, 77, 500, 1203, 2999, 4000, 4999, 5100, 7000, 7040)",
    "select count(*), sum(id) from t where lower(tag) in ('tag7', 'tag777', 'tag4900', 'late7001', "
    "'late7049')",
    "select count(*), md5(string_agg(v, ',' order by id)) from other",
    "select count(*), min(id), max(id) from other where id > 100",
    "select nextval('numbers') > 50",  // a crash skips values, and gives none out twice
    "select gid from pg_prepared_xacts order by gid",
    "select slot_name from pg_replication_slots order by slot_name",
};

/// Any bit of any file may flip: each is reported or harmless.
class RandomBits : public Corruption {
 protected:
  /// Where a bit flips. Those that hang together on few bytes are hit more often than their size says.
  struct Region {
    std::string file;
    std::uint64_t begin = 0, bytes = 0;
    int flips = 0, reported = 0, refused = 0;
  };

  void fill_more() {
    start(*disk_);
    fill();
    database_->transactions().create_log_consumer("replica");
    must("create sequence numbers");
    must("update t set k = k + 1, body = repeat(md5(id::text), 300) where id % 250 = 0");
    must("select nextval('numbers') from generate_series(1, 50)");
    must("begin");
    must("insert into other values (9000, 'prepared early')");
    must("prepare transaction 'early'");
    database_->transactions().checkpoint_blocking();
    must("delete from t where id % 11 = 0");
    must("insert into t select g, g % 97, 'late' || g, repeat('y', g) from generate_series(7000, 7050) g");
    must("update other set v = v || '+' where id % 5 = 0");
    must("create table young (id int primary key)");
    must("insert into young select generate_series(1, 300)");
    must("update t set body = repeat(md5(id::text), 300) where id % 60 = 0");  // over a segment's end
    must("begin");
    must("insert into other values (9001, 'prepared late')");
    must("prepare transaction 'late'");
    for (const char* q : kQuestions) answers_.push_back(text(q));
    wait_for_proof();
    stop();
  }

  /// The idle log says by a PAD that all of it had been durable: only then is no damage taken for a torn
  /// tail.
  void wait_for_proof() {
    const log::Geometry geometry(options().storage.log_segment_bytes);
    const auto keys = stored_keys(*disk_);
    for (Lsn durable; log_end_.is_none() || durable < log_end_;) {
      log::LogReader reader(*disk_, "wal", geometry, keys.get());
      reader.seek(storage::read_database_state(*disk_)->positions.lsn);
      while (reader.next() == log::ReadOutcome::kBatch) log_end_ = reader.batch().end;
      durable = reader.end().durable;
      std::this_thread::yield();
    }
    EXPECT_GT(geometry.segment_of(log_end_),
              geometry.segment_of(storage::read_database_state(*disk_)->positions.lsn));
  }
  std::unique_ptr<security::KeyRing> stored_keys(io::Disk& disk) {
    if (!master_key_) return nullptr;
    return security::KeyRing::open_read_only({&disk, clock_.get(), random_.get(), executor_.get()},
                                             *master_key_);
  }

  /// All files but the lock, which is empty. The superblock's slots once more by themselves.
  std::vector<Region> regions() {
    const log::Geometry geometry(options().storage.log_segment_bytes);
    std::vector<Region> out{{storage::kDataFileName, 0, 8192}, {storage::kDataFileName, 1u << 20, 8192}};
    for (const auto& entry : fs::recursive_directory_iterator(path_)) {
      const std::string name = fs::relative(entry.path(), path_).string();
      if (!entry.is_regular_file() || name == storage::kLockFileName) continue;
      Region region{name, 0, entry.file_size()};
      EXPECT_GT(region.bytes, 0u) << name;
      if (name == "wal/" + log::segment_name(geometry.first_lsn(geometry.segment_of(log_end_))))
        region.bytes = log_end_.raw() % geometry.segment_bytes() + 256;
      out.push_back(std::move(region));
    }
    return out;
  }

  /// Starts, asks, goes on. `*damaged`: somebody was told of damage; `*refused`: it was the start.
  void ask(io::Disk& disk, bool* damaged, bool* refused) {
    const auto is_right = [&](const std::string& answer, const std::string& right) {
      *damaged = *damaged || answer.starts_with("XX001: ");
      return answer == right || answer.starts_with("XX001: ");
    };
    try {
      start(disk);
      for (std::size_t i = 0; i < std::size(kQuestions); ++i) {
        const std::string answer = text(kQuestions[i]);
        ASSERT_TRUE(is_right(answer, answers_[i])) << kQuestions[i] << ": " << answer;
      }
      for (const char* statement :
           {"create table made (id int)", "rollback prepared 'early'", "commit prepared 'late'"}) {
        const std::string done = text(statement);  // life goes on
        ASSERT_TRUE(is_right(done, "")) << statement << ": " << done;
      }
      const std::string last = text("select id, v from other where id >= 9000");
      ASSERT_TRUE(is_right(last, "9001|prepared late|") || (*damaged && last.empty())) << last;
    } catch (const Error& e) {
      ASSERT_EQ(e.state.text(), "XX001") << e.message;
      ASSERT_FALSE(e.message.empty());
      *damaged = *refused = true;
    }
  }

  /// `rustbd check` on the stopped directory.
  bool check_finds_something(io::Disk& disk) {
    try {
      const auto keys = stored_keys(disk);
      std::string position;
      return !txn::TransactionSystem::check_stored_pages(disk, keys.get()).empty() ||
             !txn::TransactionSystem::check_log(disk, keys.get(), &position).empty();
    } catch (const Error& e) {
      return e.state == sqlstate::kDataCorrupted;
    }
  }

  void flip_bits() {
    fill_more();
    auto all = regions();
    io::SeededRandom random(7);
    int reported = 0;
    for (int n = 0; n < flips(); ++n) {
      const std::size_t data =
          std::ranges::find(all.begin() + 2, all.end(), storage::kDataFileName, &Region::file) - all.begin();
      Region& region = all[n % 2 == 0 ? data : n / 2 % all.size()];
      const std::uint64_t offset = region.begin + random.below(region.bytes);
      const auto mask = static_cast<std::uint8_t>(1u << random.below(8));
      const auto where = fmt::format("flip {}: {} byte {} mask {}", n, region.file, offset, mask);
      SCOPED_TRACE(where);
      fmt::print("{}\n", where);  // of a crash it is the last line
      std::fflush(stdout);
      const auto copy = make_overlay_disk(*disk_);
      flip(*copy, region.file, offset, mask);
      bool damaged = false, refused = false;
      ask(*copy, &damaged, &refused);
      stop();
      if (HasFatalFailure()) return;
      ++region.flips;
      region.refused += refused ? 1 : 0;
      if (!damaged) continue;
      ++region.reported, ++reported;
      const auto fresh = make_overlay_disk(*disk_);
      flip(*fresh, region.file, offset, mask);
      ASSERT_TRUE(check_finds_something(*fresh)) << "check must see what a statement sees";
    }
    for (const Region& r : all) {
      fmt::print("{} from {}: {} flips, {} reported, {} of them by refusing to start\n", r.file, r.begin,
                 r.flips, r.reported, r.refused);
      EXPECT_GT(r.flips, 0) << r.file;
    }
    EXPECT_GT(reported, flips() / 10) << "the test must hit something";
  }

  std::vector<std::string> answers_;
  Lsn log_end_;  // of the last batch
};

TEST_F(RandomBits, AreReportedOrHarmless) {
  compression_ = storage::PageCompression::kLz4;
  flip_bits();
}

TEST_F(RandomBits, AreReportedOrHarmlessInASealedDatabase) {
  master_key_.emplace(security::KeyBytes{std::byte{1}, std::byte{2}});
  flip_bits();
}

}  // namespace
}  // namespace rustbd::server
