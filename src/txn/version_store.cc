#include "rustbd/txn/version_store.h"

#include <algorithm>
#include <thread>

#include "rustbd/base/assert.h"
#include "rustbd/base/hash.h"

namespace rustbd::txn {

class VersionMap::Latched {
 public:
  explicit Latched(const Bucket& bucket) : bucket_(bucket) {
    for (unsigned spins = 0; bucket_.latch.exchange(true, std::memory_order_acquire); ++spins) {
      while (bucket_.latch.load(std::memory_order_relaxed)) {
        if (++spins % 256 == 0) std::this_thread::yield();
        __builtin_ia32_pause();
      }
    }
  }
  ~Latched() { bucket_.latch.store(false, std::memory_order_release); }
  Latched(const Latched&) = delete;
  Latched& operator=(const Latched&) = delete;

 private:
  const Bucket& bucket_;
};

VersionMap::VersionMap() : buckets_(std::make_unique<Bucket[]>(kBuckets)) {}
VersionMap::~VersionMap() = default;

std::size_t VersionMap::bucket_of(std::uint32_t table, std::uint64_t block) {
  return hash_combine(hash_u64(table), block) % kBuckets;
}

VersionMap::Block* VersionMap::find(const Bucket& bucket, std::uint32_t table, std::uint64_t block) const {
  for (Block* b = bucket.first.get(); b != nullptr; b = b->next.get())
    if (b->number == block && b->table == table) return b;
  return nullptr;
}

VersionMap::Block& VersionMap::find_or_make(Bucket& bucket, std::uint32_t table, std::uint64_t block) {
  if (Block* b = find(bucket, table, block)) return *b;
  auto made = std::make_unique<Block>();
  made->table = table;
  made->number = block;
  made->next = std::move(bucket.first);
  bucket.first = std::move(made);
  return *bucket.first;
}

void VersionMap::drop_if_empty(Bucket& bucket, Block& block) {
  if (!block.entries.empty() || block.bulk != nullptr) return;
  for (auto* at = &bucket.first; *at != nullptr; at = &(*at)->next) {
    if (at->get() != &block) continue;
    auto rest = std::move(block.next);
    *at = std::move(rest);
    return;
  }
}

namespace {
constexpr auto kByLow = [](const auto& entry, std::uint16_t low) { return entry.low < low; };
std::uint16_t low_of(std::uint64_t row) { return static_cast<std::uint16_t>(row & 1023); }
}  // namespace

ChainHead VersionMap::head(TableId table, RowId row) const {
  const std::uint64_t block = row.raw() >> 10;
  const Bucket& bucket = buckets_[bucket_of(table.raw(), block)];
  const Latched latched(bucket);
  const Block* b = find(bucket, table.raw(), block);
  if (b == nullptr) return {};
  const auto at = std::lower_bound(b->entries.begin(), b->entries.end(), low_of(row.raw()), kByLow);
  const bool found = at != b->entries.end() && at->low == low_of(row.raw());
  return {found ? at->head : nullptr, b->bulk};
}

void VersionMap::set_head(Bucket& bucket, Block& block, std::uint16_t low, UndoRec* head) {
  const auto at = std::lower_bound(block.entries.begin(), block.entries.end(), low, kByLow);
  const bool found = at != block.entries.end() && at->low == low;
  if (head != nullptr) {
    if (found) {
      at->head = head;
      return;
    }
    block.entries.insert(at, {low, head});
    heads_.fetch_add(1, std::memory_order_relaxed);
  } else if (found) {
    block.entries.erase(at);
    heads_.fetch_sub(1, std::memory_order_relaxed);
    drop_if_empty(bucket, block);
  }
}

void VersionMap::push(UndoRec* record) {
  const std::uint64_t number = record->row >> 10;
  Bucket& bucket = buckets_[bucket_of(record->table, number)];
  const Latched latched(bucket);
  Block& block = find_or_make(bucket, record->table, number);
  const auto at = std::lower_bound(block.entries.begin(), block.entries.end(), low_of(record->row), kByLow);
  const bool found = at != block.entries.end() && at->low == low_of(record->row);
  record->older.store(found ? at->head : nullptr, std::memory_order_release);
  set_head(bucket, block, low_of(record->row), record);
}

void VersionMap::pop(UndoRec* record) {
  const std::uint64_t number = record->row >> 10;
  Bucket& bucket = buckets_[bucket_of(record->table, number)];
  const Latched latched(bucket);
  Block* block = find(bucket, record->table, number);
  RUSTBD_ASSERT(block != nullptr, "a running transaction's record is in its chain");
  const auto at = std::lower_bound(block->entries.begin(), block->entries.end(), low_of(record->row), kByLow);
  RUSTBD_ASSERT(at != block->entries.end() && at->low == low_of(record->row) && at->head == record,
                "I21: a running transaction's own record is its row's head");
  set_head(bucket, *block, low_of(record->row), record->older.load(std::memory_order_acquire));
}

void VersionMap::cut(UndoRec* record) {
  const std::uint64_t number = record->row >> 10;
  Bucket& bucket = buckets_[bucket_of(record->table, number)];
  const Latched latched(bucket);
  Block* block = find(bucket, record->table, number);
  if (block == nullptr) return;
  const auto at = std::lower_bound(block->entries.begin(), block->entries.end(), low_of(record->row), kByLow);
  if (at == block->entries.end() || at->low != low_of(record->row)) return;
  if (at->head == record) {
    set_head(bucket, *block, low_of(record->row), nullptr);
    return;
  }
  for (UndoRec* r = at->head; r != nullptr;) {
    UndoRec* older = r->older.load(std::memory_order_acquire);
    if (older == record) {
      r->older.store(nullptr, std::memory_order_release);
      return;
    }
    r = older;
  }
}

void VersionMap::collect(TableId table, std::uint64_t first, std::uint64_t last,
                         std::vector<RowChain>* chains, std::vector<BulkRange>* bulk) const {
  for (std::uint64_t number = first >> 10; number <= last >> 10; ++number) {
    const Bucket& bucket = buckets_[bucket_of(table.raw(), number)];
    const Latched latched(bucket);
    const Block* block = find(bucket, table.raw(), number);
    if (block == nullptr) continue;
    if (block->bulk != nullptr && bulk != nullptr)
      bulk->push_back({number << 10, (number << 10) + 1023, block->bulk});
    for (const Entry& e : block->entries) {
      const std::uint64_t row = (number << 10) + e.low;
      if (row >= first && row <= last) chains->push_back({row, e.head});
    }
  }
}

void VersionMap::set_bulk(UndoRec* record) {
  const std::uint64_t block = record->row >> 10;
  Bucket& bucket = buckets_[bucket_of(record->table, block)];
  const Latched latched(bucket);
  find_or_make(bucket, record->table, block).bulk = record;
}

void VersionMap::clear_bulk(UndoRec* record) {
  const std::uint64_t block = record->row >> 10;
  Bucket& bucket = buckets_[bucket_of(record->table, block)];
  const Latched latched(bucket);
  Block* b = find(bucket, record->table, block);
  if (b == nullptr || b->bulk != record) return;
  b->bulk = nullptr;
  drop_if_empty(bucket, *b);
}

}  // namespace rustbd::txn
