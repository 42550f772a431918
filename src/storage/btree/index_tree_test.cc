// The index tree against a sorted set, on a simulated disk with a small pool.
#include "rustbd/storage/btree/index_tree.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <set>

#include "rustbd/storage/btree/index_page.h"
#include "rustbd/storage/pages/testing/storage_fixture.h"

namespace rustbd::storage {
namespace {

using namespace testing;
using Entry = std::pair<std::string, std::uint64_t>;

/// Prefix-free, as normalised keys are: bytes above 0, then 0.
enum class KeyStyle { kShort, kSharedPrefix, kLong, kNumbers };

class IndexModel {
 public:
  IndexModel(std::uint64_t seed, KeyStyle style, std::uint64_t frames = 64)
      : world_(seed), random_(seed + 1), style_(style), storage_(world_.open(source_, frames)) {
    PageId root;
    EXPECT_TRUE(run_blocking([&] {
      Action action(storage_->gate());
      ExclusiveGuard guard;
      Status s = IndexTree::create(storage_->buffer(), IndexId{30000}, &guard);
      if (s) root = guard.page_id();
      return s;
    }));
    tree_ = std::make_unique<IndexTree>(storage_->buffer(), IndexId{30000}, root);
  }
  ~IndexModel() {
    tree_.reset();
    (void)storage_->close(false);
  }

  IndexTree& tree() { return *tree_; }
  Storage& storage() { return *storage_; }
  io::SeededRandom& random() { return random_; }
  std::set<Entry> model;

  std::string random_key() {
    std::string key;
    const auto letters = [&](std::size_t n, std::uint64_t alphabet) {
      for (; n > 0; --n)
        key.push_back(static_cast<char>('\xF0' + static_cast<char>(random_.below(alphabet))));
    };
    switch (style_) {
      case KeyStyle::kShort: letters(random_.below(4), 3); break;
      case KeyStyle::kSharedPrefix:
        key.assign(random_.below(3) * 300, 'p');
        letters(random_.below(9), 5);
        break;
      case KeyStyle::kLong:
        key.assign(random_.chance(500) ? random_.below(3900) : random_.below(40), 'l');
        letters(random_.below(60), 4);
        break;
      case KeyStyle::kNumbers: {
        const std::uint64_t number = __builtin_bswap64(random_.below(5000));
        return std::string(reinterpret_cast<const char*>(&number), 8);
      }
    }
    key.push_back('\0');
    return key;
  }

  void insert(const Entry& entry) {
    ASSERT_TRUE(run_blocking([&] { return tree_->insert(as_bytes(entry.first), RowId{entry.second}); }));
    model.insert(entry);
  }
  void remove(const Entry& entry) {
    bool found = false;
    ASSERT_TRUE(
        run_blocking([&] { return tree_->remove(as_bytes(entry.first), RowId{entry.second}, &found); }));
    ASSERT_EQ(found, model.erase(entry) == 1);
  }
  Entry some_entry() {
    auto found = model.lower_bound({random_key(), random_.below(30)});
    return found == model.end() ? *model.begin() : *found;
  }

  void check() {
    (void)run_blocking([&] { return tree_->settle(); });
    std::vector<std::pair<Bytes, RowId>> entries;
    const TreeReport report = tree_->check(&entries);
    ASSERT_TRUE(report.problems.empty()) << report.problems[0];
    std::vector<Entry> found;
    for (const auto& [key, rowid] : entries) found.emplace_back(std::string(as_chars(key)), rowid.raw());
    ASSERT_EQ(found, std::vector<Entry>(model.begin(), model.end()));
  }

  /// As versions before left it when a checkpoint came between the death of a leaf and the rest.
  void kill(PageId id) {
    BufferManager& buffer = storage_->buffer();
    const PageId right{buffer.fix_shared(id)->header().right_sibling};
    while (!buffer.resident(id) || !buffer.resident(right))
      for (const PageId page : {id, right}) ASSERT_TRUE(buffer.fix_shared(page));
    Action action(storage_->gate());
    auto leaf = buffer.try_fix_exclusive(id), heir = buffer.try_fix_exclusive(right);
    ASSERT_TRUE(leaf && heir && leaf->mark_dirty() && heir->mark_dirty());
    if (!IndexOps::absorb_fits(leaf->data(), heir->data())) return;
    IndexPage page(leaf->mutable_bytes());
    for (Bytes entry; page.count() > 0; page.remove(0)) {
      ASSERT_TRUE(page.key(0, &entry));
      const std::size_t bytes = entry.size() - 8;
      model.erase({std::string(as_chars(ByteSpan{entry}.first(bytes))),
                   __builtin_bswap64(load<std::uint64_t>(entry.data() + bytes))});
    }
    IndexPage(heir->mutable_bytes()).set_lower(page.lower());
    leaf->mutable_header().flags |= kPageDead;
  }

  void scan() {
    const std::string low = random_.chance(100) ? "" : random_key(),
                      high = random_.chance(100) ? "" : random_key();
    const bool backward = random_.chance(500);
    KeyRange range;
    const ByteSpan low_bytes = as_bytes(low), high_bytes = as_bytes(high);
    if (random_.chance(300)) range.low = after_prefix({low_bytes.begin(), low_bytes.end()});
    else range.low.assign(low_bytes.begin(), low_bytes.end());
    if (random_.chance(300)) range.high = after_prefix({high_bytes.begin(), high_bytes.end()});
    else range.high.assign(high_bytes.begin(), high_bytes.end());
    std::vector<Entry> expected;
    for (const Entry& e : model) {
      const std::uint64_t rowid = __builtin_bswap64(e.second);
      const std::string physical = e.first + std::string(reinterpret_cast<const char*>(&rowid), 8);
      if (physical < as_chars(range.low) || (!range.high.empty() && physical >= as_chars(range.high)))
        continue;
      expected.push_back(e);
    }
    if (backward) std::reverse(expected.begin(), expected.end());
    IndexCursor cursor(*tree_, range, backward, true);
    IndexBatch batch;
    std::vector<Entry> found;
    while (true) {
      const std::size_t limit = random_.chance(300) ? 1 + random_.below(5) : ~std::size_t{0};
      ASSERT_TRUE(run_blocking([&] { return cursor.next(&batch, limit); }));
      ASSERT_LE(batch.entries.size(), limit);
      if (batch.entries.empty()) break;
      for (const auto& e : batch.entries)
        found.emplace_back(std::string(as_chars(batch.key(e))), e.rowid.raw());
    }
    ASSERT_TRUE(cursor.at_end());
    ASSERT_EQ(found, expected) << (backward ? "backward" : "forward");
  }

  void probe() {
    const std::string key = random_.chance(500) || model.empty() ? random_key() : some_entry().first;
    const std::uint64_t rowid = random_.below(1000);
    std::vector<RowId> rowids;
    bool full = false;
    ASSERT_TRUE(run_blocking([&] {
      Action action(storage_->gate());
      rowids.clear();
      full = false;
      UniqueProbe probe;
      if (Status s = probe.start(*tree_, as_bytes(key)); !s) return s;
      if (Status s = probe.collect(&rowids); !s) return s;
      IndexInsert insert;
      Status s = probe.prepare_insert(RowId{rowid}, &insert);
      if (s.outcome == Outcome::kFull) {
        full = true;
        return Status::ok();
      }
      if (!s) return s;
      if (DirtyResult dirty = insert.mark_dirty(); !dirty) return Status::miss(std::move(dirty.retry));
      insert.apply();
      return s;
    }));
    std::vector<std::uint64_t> found, expected;
    for (const RowId r : rowids) found.push_back(r.raw());
    for (auto e = model.lower_bound({key, 0}); e != model.end() && e->first == key; ++e)
      expected.push_back(e->second);
    ASSERT_EQ(found, expected);
    if (!full) {
      model.insert({key, rowid});
      return;
    }
    ASSERT_TRUE(run_blocking([&] { return tree_->split(as_bytes(key), RowId{rowid}); }));
  }

 private:
  SimulatedWorld world_;
  FakeSource source_;
  io::SeededRandom random_;
  KeyStyle style_;
  std::unique_ptr<Storage> storage_;
  std::unique_ptr<IndexTree> tree_;
};

TEST(IndexTree, AgreesWithSortedSet) {
  for (std::uint64_t seed = 0; seed < 8; ++seed) {
    SCOPED_TRACE(seed);
    IndexModel t(seed, static_cast<KeyStyle>(seed % 4));
    for (int i = 0; i < 5000; ++i) {
      const auto choice = t.random().below(1000);
      const bool shrink = (i / 1200) % 2 == 1;
      if (choice < (shrink ? 200u : 700u) || t.model.empty()) {
        t.insert({t.random_key(), 1 + t.random().below(1000)});
      } else if (choice < 950) {
        t.remove(t.random().chance(950) ? t.some_entry() : Entry{t.random_key(), 5000});
      } else if (choice < 970) {
        t.scan();
      } else {
        t.probe();
      }
      if (HasFatalFailure()) return;
      if (i % 500 == 0) t.check();
      if (HasFatalFailure()) return;
    }
    t.check();
    while (!t.model.empty() && !HasFatalFailure()) t.remove(t.some_entry());
    t.check();
  }
}

TEST(IndexTree, EmptiedTreeLargerThanThePoolShrinks) {
  IndexModel t(5, KeyStyle::kNumbers, 24);
  std::uint64_t pages = 0;
  for (std::uint64_t cycle = 0; cycle < 3; ++cycle) {
    for (std::uint64_t i = 0; i < 4000; ++i) {
      const std::uint64_t raw = __builtin_bswap64(cycle * 4000 + i);
      t.insert({std::string(reinterpret_cast<const char*>(&raw), 8) + std::string(600, 'x'), i + 1});
    }
    ASSERT_GT(t.tree().check().leaf_pages, 100u);
    std::vector<Entry> order(t.model.begin(), t.model.end());
    for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[t.random().below(i)]);
    for (const Entry& entry : order) t.remove(entry);
    t.check();
    const TreeReport report = t.tree().check();
    EXPECT_EQ(report.dead_pages, 0u);
    EXPECT_LE(report.leaf_pages, report.inner_pages + 1);
    EXPECT_EQ(t.tree().unsettled(), 0u);
    while (t.storage().buffer().reclaim_freed(1000) > 0) {}
    if (cycle == 0) pages = t.storage().buffer().next_page_id();
  }
  EXPECT_LE(t.storage().buffer().next_page_id(), pages + 20);
}

TEST(IndexTree, DeadLeavesOfOlderVersionsGo) {
  for (std::uint64_t seed = 0; seed < 12; ++seed) {
    SCOPED_TRACE(seed);
    const bool many_parents = seed % 2 == 1;  // by separators that are long
    IndexModel t(seed, KeyStyle::kNumbers, 40);
    std::uint64_t next = 0;
    const auto grow = [&](std::uint64_t n) {
      for (const std::uint64_t end = next + n; next < end && !::testing::Test::HasFatalFailure(); ++next) {
        const std::uint64_t raw = __builtin_bswap64(t.random().next_u64());
        const std::string group = many_parents ? fmt::format("{:02}", t.random().below(50)) : "";
        std::string key;
        while (key.size() < group.size() * 500) key += group;
        key += std::string(reinterpret_cast<const char*>(&raw), 8);
        if (!many_parents) key.resize(200, 'x');
        t.insert({key, next + 1});
      }
    };
    grow(many_parents ? 1200 : 4000);
    const TreeReport before = t.tree().check();
    for (const PageId page : before.pages) {
      const PageHeader header = t.storage().buffer().fix_shared(page)->header();
      if (header.level == 0 && header.right_sibling != 0 && t.random().chance(300)) t.kill(page);
    }
    t.check();
    ASSERT_GT(t.tree().check().dead_pages, 10u);
    ASSERT_EQ(before.inner_pages > 5, many_parents);
    std::vector<Entry> order(t.model.begin(), t.model.end());
    for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[t.random().below(i)]);
    for (std::size_t i = 0; i < order.size() && !HasFatalFailure(); ++i) {
      t.remove(order[i]);
      if (i % 200 == 0) t.check();
      if (i % 50 == 0) t.storage().buffer().reclaim_freed(1000);
      if (i % 400 == 0) grow(20);
    }
    while (!t.model.empty() && !HasFatalFailure()) t.remove(t.some_entry());
    t.check();
    const TreeReport report = t.tree().check();
    EXPECT_LE(report.leaf_pages + report.dead_pages, 2 * report.inner_pages + 2);
    EXPECT_LE(report.dead_pages, many_parents ? report.inner_pages : 0);
  }
}

TEST(IndexTree, SortedBuildFillsPages) {
  IndexModel t(1, KeyStyle::kNumbers, 256);
  IndexBuilder builder(t.tree());
  std::size_t bytes = 0;
  for (std::uint64_t i = 0; i < 20000; ++i) {
    const std::uint64_t raw = __builtin_bswap64(i * 7);
    const std::string key(reinterpret_cast<const char*>(&raw), 8);
    Status s = builder.add(as_bytes(key), RowId{i + 1});
    while (!s) {
      ASSERT_TRUE(s.outcome == Outcome::kMiss || s.outcome == Outcome::kRestart);
      s.wait.wait_blocking();
      s = builder.flush();
    }
    t.model.insert({key, i + 1});
    bytes += 16 + 8;
  }
  ASSERT_TRUE(run_blocking([&] { return builder.flush(); }));
  t.check();
  const TreeReport report = t.tree().check();
  EXPECT_LE(report.leaf_pages, bytes / kPageBytes + 2);
  for (int i = 0; i < 30; ++i) t.scan();
  bool done = false;
  while (!done) ASSERT_TRUE(run_blocking([&] { return t.tree().free_step(&done); }));
  while (t.storage().buffer().reclaim_freed(1000) > 0) {}
  for (const PageId page : report.pages)
    EXPECT_EQ(t.storage().buffer().fix_shared(page).status, FixStatus::kDamaged);
}

TEST(IndexTree, KeysOverTheLimitAreRefused) {
  IndexModel t(2, KeyStyle::kShort);
  const std::string key(kIndexKeyBytesMax + 1, 'x');
  EXPECT_EQ(t.tree().insert(as_bytes(key), RowId{1}).outcome, Outcome::kTooLarge);
  for (std::uint64_t i = 1; i < 40; ++i)
    t.insert({std::string(kIndexKeyBytesMax - 1, 'x') + static_cast<char>(i), i});
  t.check();
}

TEST(IndexTree, CheckSeesDamage) {
  IndexModel t(3, KeyStyle::kNumbers, 256);
  for (int i = 0; i < 3000; ++i) t.insert({t.random_key(), 1 + t.random().below(1000)});
  const TreeReport before = t.tree().check();
  ASSERT_TRUE(before.problems.empty());
  int seen = 0;
  for (int round = 0; round < 20; ++round) {
    const PageId page = before.pages[t.random().below(before.pages.size())];
    const std::size_t at = index_field::kSlots + t.random().below(300) * 8 + t.random().below(8);
    const auto flip = [&] {
      Action action(t.storage().gate());
      auto fix = t.storage().buffer().try_fix_exclusive(page);
      ASSERT_TRUE(fix && fix->mark_dirty());
      fix->mutable_data()[at] ^= std::byte{0x55};
    };
    const std::uint32_t count = t.storage().buffer().fix_shared(page)->header().count;
    if (at >= index_field::kSlots + std::size_t{8} * count) continue;
    flip();
    EXPECT_FALSE(t.tree().check().problems.empty()) << "page " << page.raw() << " byte " << at;
    flip();
    ++seen;
  }
  EXPECT_GT(seen, 5);
  t.check();
}

struct alignas(64) LoosePage {
  std::byte bytes[kPageBytes] = {};
  std::span<std::byte> span() { return bytes; }
};

// Whatever stands in a page, reading it stays inside (run under the address sanitizer).
TEST(IndexPage, DamagedBytesAreReadInBounds) {
  io::SeededRandom random(17);
  int opened = 0;
  for (int round = 0; round < 1500; ++round) {
    auto page = std::make_unique<LoosePage>();
    const std::string low = "commonA", high = "commonZ";
    const auto level = static_cast<std::uint16_t>(random.below(2));
    IndexPage::init(page->span(), level, as_bytes(low), as_bytes(high), PageId{5});
    for (std::uint32_t i = 0; i < 100; ++i) {
      const std::string key = "common" + std::string(1, static_cast<char>('B' + i / 10)) + std::to_string(i);
      IndexPage(page->span()).insert(i, as_bytes(key), PageId{i});
    }
    for (auto n = random.below(300); n > 0; --n) {
      const std::size_t at = random.chance(20) ? 24 + random.below(40) : 64 + random.below(kPageBytes - 64);
      page->bytes[at] = static_cast<std::byte>(random.next_u64());
    }
    IndexView view;
    if (!IndexView::open(page->bytes, &view)) continue;
    ++opened;
    (void)view.verify();
    PageId next;
    for (const char* key : {"", "com", "commonB5", "commonZ", "zzzz"}) {
      (void)IndexOps::route(page->bytes, as_bytes(key), Side::kAt, &next);
      (void)IndexOps::route(page->bytes, as_bytes(key), Side::kBefore, &next);
      std::uint32_t place = 0;
      (void)view.lower_bound(as_bytes(key), &place);
      (void)view.lower_bound_near(static_cast<std::uint32_t>(random.below(view.count() + 1)), as_bytes(key),
                                  &place);
      EXPECT_LE(place, std::max(view.count(), 1u));
    }
  }
  EXPECT_GT(opened, 200);
}

// The bytes of §1.5.
TEST(IndexPage, GoldenBytes) {
  LoosePage page;
  IndexPage::init(page.span(), 0, as_bytes("keyA"), as_bytes("keyZ"), PageId{77});
  IndexPage(page.span()).insert(0, as_bytes("keyMore"));
  IndexPage(page.span()).insert(0, as_bytes("keyB"));
  const std::byte* p = page.bytes;
  const auto word = [&](std::size_t at) { return load<std::uint16_t>(p + at); };
  EXPECT_EQ(p[8], std::byte{4});
  EXPECT_EQ(load<std::uint64_t>(p + 16), 77u);
  EXPECT_EQ(load<std::uint32_t>(p + 24), 2u);
  EXPECT_EQ(word(32), 3u);               // prefix "key"
  EXPECT_EQ(word(34), kPageBytes - 13);  // two fences of 4, "More", "B"
  EXPECT_EQ(word(36), 0u);
  EXPECT_EQ(word(38), kPageBytes - 4);
  EXPECT_EQ(word(40), kPageBytes - 8);
  EXPECT_EQ(word(42), 4u);
  EXPECT_EQ(word(44), 4u);
  EXPECT_EQ(word(64), kPageBytes - 13);
  EXPECT_EQ(word(66), 1u);
  EXPECT_EQ(load<std::uint32_t>(p + 68), 0x42000000u);
  EXPECT_EQ(word(72), kPageBytes - 12);
  EXPECT_EQ(word(74), 4u);
  EXPECT_EQ(load<std::uint32_t>(p + 76), 0x4D6F7265u);
  EXPECT_EQ(as_chars({p + kPageBytes - 13, 13}), "BMorekeyZkeyA");
}

}  // namespace
}  // namespace rustbd::storage
