#include "rustbd/storage/buffer/buffer_manager.h"

#include <thread>

#include "rustbd/base/error.h"
#include "rustbd/storage/buffer/image_writer.h"
#include "rustbd/storage/pages/entry_ledger.h"
#include "rustbd/storage/pages/extent_allocator.h"

namespace rustbd::storage {
namespace {
constexpr unsigned kLatchSpins = 100;
}

BufferManager::BufferManager(Parts parts, Options options)
    : environment_(parts.environment),
      directory_(*parts.directory),
      file_(*parts.file),
      allocator_(*parts.allocator),
      space_(*parts.space),
      ledger_(*parts.ledger),
      keys_(parts.keys),
      gate_(*parts.gate),
      epochs_(*parts.epochs),
      pending_(*parts.pending),
      frames_(options.bytes),
      counters_(std::make_unique<Counters[]>(kThreadSlots)),
      policy_kind_(options.policy),
      write_strategy_(options.strategy),
      compression_(options.compression) {
  for (const auto kind : kEvictionPolicyKinds)
    policies_[static_cast<std::size_t>(kind)] = make_eviction_policy(kind, frames_);
  set_eviction_policy(options.policy);
}

BufferManager::~BufferManager() { RUSTBD_ASSERT(!pool_thread_, "stop() comes first"); }

std::optional<std::uint64_t> BufferManager::latch_shared(PageEntry& entry, std::uint64_t id,
                                                         Outcome& otherwise) {
  for (unsigned spins = 0; spins < kLatchSpins; ++spins) {
    std::uint64_t word = entry.state.load(std::memory_order_acquire);
    const std::uint64_t latch = LatchWord::latch(word);
    if (latch < LatchWord::kSharedMax || latch == LatchWord::kMarked) {
      const std::uint64_t holders = latch == LatchWord::kMarked ? 1 : latch + 1;
      if (entry.state.compare_exchange_weak(word, LatchWord::make(holders, LatchWord::version(word)),
                                            std::memory_order_acq_rel)) {
        return word;
      }
      continue;
    }
    if (latch == LatchWord::kEvicted) {
      otherwise = read_page(id, entry, word);
      if (otherwise.status == FixStatus::kBusy) continue;  // somebody else was faster
      return std::nullopt;
    }
    if (latch == LatchWord::kLoading) {
      if (io::WaitToken wait = token_of_read(id)) {
        otherwise = {FixStatus::kMiss, std::move(wait)};
        return std::nullopt;
      }
    }
    __builtin_ia32_pause();
  }
  otherwise = {FixStatus::kBusy, {}};
  return std::nullopt;
}

std::optional<std::uint64_t> BufferManager::latch_exclusive(PageEntry& entry, std::uint64_t id,
                                                            Outcome& otherwise) {
  for (unsigned spins = 0; spins < kLatchSpins; ++spins) {
    std::uint64_t word = entry.state.load(std::memory_order_acquire);
    const std::uint64_t latch = LatchWord::latch(word);
    if (latch == LatchWord::kFree || latch == LatchWord::kMarked) {
      if (entry.state.compare_exchange_weak(word,
                                            LatchWord::make(LatchWord::kExclusive, LatchWord::version(word)),
                                            std::memory_order_acq_rel)) {
        return word;
      }
      continue;
    }
    if (latch == LatchWord::kEvicted) {
      otherwise = read_page(id, entry, word);
      if (otherwise.status == FixStatus::kBusy) continue;
      return std::nullopt;
    }
    if (latch == LatchWord::kLoading) {
      if (io::WaitToken wait = token_of_read(id)) {
        otherwise = {FixStatus::kMiss, std::move(wait)};
        return std::nullopt;
      }
    }
    __builtin_ia32_pause();
  }
  otherwise = {FixStatus::kBusy, {}};
  return std::nullopt;
}

Fix<SharedGuard> BufferManager::try_fix_shared(PageId id) {
  Fix<SharedGuard> fix;
  if (!known(id)) return {FixStatus::kDamaged, {}, {}};
  PageEntry& entry = entry_of(id);
  Outcome otherwise{};
  const auto word = latch_shared(entry, id.raw(), otherwise);
  if (!word) return {otherwise.status, {}, std::move(otherwise.wait)};
  const std::uint32_t frame = entry.frame.load(std::memory_order_acquire);
  count_hit(frame);
  fix.guard = SharedGuard(this, &entry, id, frames_.memory(frame), LatchWord::version(*word));
  return fix;
}

Fix<ExclusiveGuard> BufferManager::try_fix_exclusive(PageId id) {
  Fix<ExclusiveGuard> fix;
  if (!known(id)) return {FixStatus::kDamaged, {}, {}};
  PageEntry& entry = entry_of(id);
  Outcome otherwise{};
  const auto word = latch_exclusive(entry, id.raw(), otherwise);
  if (!word) return {otherwise.status, {}, std::move(otherwise.wait)};
  const std::uint32_t frame = entry.frame.load(std::memory_order_acquire);
  count_hit(frame);
  fix.guard = ExclusiveGuard(this, &entry, id, frames_.memory(frame), LatchWord::version(*word));
  return fix;
}

Fix<OptimisticGuard> BufferManager::fix_optimistic_slow(PageId id) {
  if (!known(id)) return {FixStatus::kDamaged, {}, {}};
  PageEntry& entry = entry_of(id);
  Fix<OptimisticGuard> fix;
#if defined(RUSTBD_TSAN)
  Outcome otherwise{};
  const auto word = latch_shared(entry, id.raw(), otherwise);
  if (!word) return {otherwise.status, {}, std::move(otherwise.wait)};
  const std::uint32_t frame = entry.frame.load(std::memory_order_acquire);
  count_hit(frame);
  fix.guard = OptimisticGuard(this, &entry, id, frames_.memory(frame), LatchWord::version(*word));
  return fix;
#else
  for (unsigned spins = 0; spins < kLatchSpins; ++spins) {
    std::uint64_t word = entry.state.load(std::memory_order_acquire);
    const std::uint64_t latch = LatchWord::latch(word);
    if (latch <= LatchWord::kSharedMax || latch == LatchWord::kMarked) {
      const std::uint64_t plain =
          latch == LatchWord::kMarked ? LatchWord::make(0, LatchWord::version(word)) : word;
      if (latch == LatchWord::kMarked &&
          !entry.state.compare_exchange_weak(word, plain, std::memory_order_acq_rel)) {
        continue;
      }
      const std::uint32_t frame = entry.frame.load(std::memory_order_acquire);
      const std::uint64_t again = entry.state.load(std::memory_order_acquire);
      const std::uint64_t latch_again = LatchWord::latch(again);
      if (LatchWord::version(again) != LatchWord::version(word) || frame >= frames_.count() ||
          (latch_again > LatchWord::kSharedMax && latch_again != LatchWord::kMarked)) {
        continue;
      }
      count_hit(frame);
      fix.guard = OptimisticGuard(this, &entry, id, frames_.memory(frame), LatchWord::version(word));
      return fix;
    }
    if (latch == LatchWord::kEvicted) {
      Outcome outcome = read_page(id.raw(), entry, word);
      if (outcome.status == FixStatus::kBusy) continue;
      return {outcome.status, {}, std::move(outcome.wait)};
    }
    if (latch == LatchWord::kLoading) {
      if (io::WaitToken wait = token_of_read(id.raw())) return {FixStatus::kMiss, {}, std::move(wait)};
    }
    __builtin_ia32_pause();
  }
  return {FixStatus::kBusy, {}, {}};
#endif
}

bool BufferManager::prefetch(PageId id) {
  if (!known(id)) return false;
  PageEntry& entry = entry_of(id);
  const std::uint64_t word = entry.state.load(std::memory_order_acquire);
  if (LatchWord::latch(word) != LatchWord::kEvicted) return false;
  if (!read_page(id.raw(), entry, word).reading) return false;
  read_ahead_.fetch_add(1, std::memory_order_relaxed);
  return true;
}

void BufferManager::submit_reads() { environment_.disk->submit(); }

bool BufferManager::resident(PageId id) const {
  return known(id) && LatchWord::latch(directory_.entry(id.raw()).state.load(std::memory_order_acquire)) !=
                          LatchWord::kEvicted;
}

template <class Guard, class Try>
Fix<Guard> BufferManager::fix_waiting(PageId id, Try attempt) {
  RUSTBD_DEBUG_ASSERT(!gate_.inside(), "nobody reads the disk inside the gate");
  for (unsigned tries = 0;; ++tries) {
    Fix<Guard> fix = attempt(id);
    if (fix.status == FixStatus::kMiss) {
      environment_.executor->block_on(fix.wait);
    } else if (fix.status == FixStatus::kBusy) {
      std::this_thread::yield();
    } else {
      return fix;
    }
  }
}

Fix<SharedGuard> BufferManager::fix_shared(PageId id) {
  return fix_waiting<SharedGuard>(id, [this](PageId page) { return try_fix_shared(page); });
}

Fix<ExclusiveGuard> BufferManager::fix_exclusive(PageId id) {
  return fix_waiting<ExclusiveGuard>(id, [this](PageId page) { return try_fix_exclusive(page); });
}

std::optional<ExclusiveGuard> OptimisticGuard::upgrade() {
#if defined(RUSTBD_TSAN)
  const std::uint64_t allowed[] = {LatchWord::make(1, version_)};
#else
  const std::uint64_t allowed[] = {LatchWord::make(LatchWord::kFree, version_),
                                   LatchWord::make(LatchWord::kMarked, version_)};
#endif
  for (std::uint64_t expected : allowed) {
    if (entry_->state.compare_exchange_strong(expected, LatchWord::make(LatchWord::kExclusive, version_),
                                              std::memory_order_acq_rel)) {
      return ExclusiveGuard(pool_, std::exchange(entry_, nullptr), id_, data_, version_);
    }
  }
  return std::nullopt;
}

std::optional<ExclusiveGuard> SharedGuard::upgrade() {
  std::uint64_t expected = LatchWord::make(1, version_);
  if (!entry_->state.compare_exchange_strong(expected, LatchWord::make(LatchWord::kExclusive, version_),
                                             std::memory_order_acq_rel)) {
    return std::nullopt;
  }
  return ExclusiveGuard(pool_, std::exchange(entry_, nullptr), id_, data_, version_);
}

DirtyResult ExclusiveGuard::mark_dirty() { return pool_->mark_dirty(*entry_, id_.raw()); }

void BufferManager::set_eviction_policy(EvictionPolicyKind kind) {
  policy_kind_.store(kind, std::memory_order_relaxed);
  follows_accesses_.store(policies_[static_cast<std::size_t>(kind)]->follows_accesses(),
                          std::memory_order_relaxed);
}

void BufferManager::note_access(std::uint32_t frame) {
  policies_[static_cast<std::size_t>(policy_kind_.load(std::memory_order_relaxed))]->on_access(
      frames_.meta(frame));
}

BufferStatistics BufferManager::statistics() const {
  BufferStatistics out;
  for (std::uint32_t slot = 0; slot < thread_slot_bound(); ++slot) {
    out.hits += counters_[slot].hits.load(std::memory_order_relaxed);
  }
  out.misses = misses_.load(std::memory_order_relaxed);
  for (std::size_t i = 0; i < evictions_.size(); ++i) {
    out.evictions_by[i] = evictions_[i].load(std::memory_order_relaxed);
    out.evictions += out.evictions_by[i];
  }
  out.page_writes = page_writes_.load(std::memory_order_relaxed);
  out.written_blocks = written_blocks_.load(std::memory_order_relaxed);
  out.page_moves = page_moves_.load(std::memory_order_relaxed);
  out.read_ahead = read_ahead_.load(std::memory_order_relaxed);
  out.frame_waits = frame_waits_.load(std::memory_order_relaxed);
  out.left_dropped = left_dropped_.load(std::memory_order_relaxed);
  out.checksum_failures = checksum_failures();
  out.frames = frames_.count();
  out.free_frames = frames_.free_count();
  out.dirty_pages = dirty_count();
  return out;
}

std::uint64_t BufferManager::dirty_count() const {
  return static_cast<std::uint64_t>(std::max<std::int64_t>(0, dirty_count_.load(std::memory_order_relaxed)));
}

void BufferManager::pin_resident(PageId id) {
  const std::uint32_t frame = entry_of(id).frame.load(std::memory_order_acquire);
  RUSTBD_ASSERT(frame != PageEntry::kNoFrame);
  frames_.meta(frame).pins.fetch_add(1, std::memory_order_relaxed);
}

void BufferManager::set_on_deferred_full(std::function<void()> callback) {
  on_deferred_full_ = std::move(callback);
}

void BufferManager::start() {
  pool_thread_ = environment_.executor->start_background("pool", [this] { pool_loop(); });
}

void BufferManager::stop() {
  stopping_.store(true, std::memory_order_seq_cst);
  if (pool_thread_) {
    wake_pool();
    pool_thread_->join();
    pool_thread_.reset();
  }
  for (InFlight& shard : in_flight_) {
    for (;;) {
      io::WaitToken wait;
      {
        const std::lock_guard lock(shard.mutex);
        if (shard.reads.empty()) break;
        wait = shard.reads.begin()->second;
      }
      environment_.executor->block_on(wait);
    }
  }
}

}  // namespace rustbd::storage
