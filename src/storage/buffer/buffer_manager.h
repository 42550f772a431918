// BufferManager: pages in memory. An array of entries translates page ids (page_directory.h), a pool of 16 KiB frames
// holds the resident ones; clean cold pages leave, dirty ones are first written to a NEW extent (shadow paging).
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "rustbd/io/disk.h"
#include "rustbd/io/executor.h"
#include "rustbd/storage/buffer/frame_pool.h"
#include "rustbd/storage/buffer/page_guard.h"
#include "rustbd/storage/pages/action_gate.h"
#include "rustbd/storage/pages/epoch.h"
#include "rustbd/storage/pages/extent.h"
#include "rustbd/storage/pages/page.h"
#include "rustbd/storage/pages/page_directory.h"
#include "rustbd/storage/pages/pending_free.h"

namespace rustbd::storage {

class DataFile;
class ExtentAllocator;
class ImageWriter;

/// When the shadow copy of a dirty page is written. Durability is the log's business in all three. Only kWriteBack
/// (by eviction or checkpoint) is implemented; set_write_strategy() throws 0A000 for the others.
enum class WriteStrategy : std::uint8_t { kWriteBack, kWriteThrough, kWriteBehind };

enum class AllocStatus : std::uint8_t {
  kOk,
  kNoSpace,  // 53100
  kNoFrame,  // release all, leave the gate, await `wait`, restart; an empty token: 53200
  kStopped,  // 58030: a page could not be written, writes have stopped
};
struct [[nodiscard]] Allocated {
  AllocStatus status = AllocStatus::kOk;
  ExclusiveGuard guard{};
  io::WaitToken wait{};
  explicit operator bool() const { return status == AllocStatus::kOk; }
};

/// Whether a statement may begin to change pages now. Ask before the gate; costs a few relaxed loads.
enum class WriteAdmission : std::uint8_t { kOk, kNoSpace /*53100*/, kStopped /*58030*/ };

struct BufferStatistics {
  std::uint64_t hits = 0, misses = 0, evictions = 0, page_writes = 0, checksum_failures = 0;
  std::uint64_t frames = 0, free_frames = 0, dirty_pages = 0;
};

/// Threads: all public functions from any thread unless said otherwise. The waiting forms (fix_shared, fix_exclusive) only
/// from threads that may block, outside the gate, with no latch held. Resident memory: the pool's `bytes`, never more,
/// plus 32 B per frame, 32 B per page id and 2 MiB of staging.
class BufferManager {
 public:
  struct Parts {
    io::Environment environment;
    PageDirectory* directory;
    DataFile* file;
    ExtentAllocator* allocator;
    ActionGate* gate;
    Epochs* epochs;
    PendingFree* pending;
  };
  struct Options {
    std::uint64_t bytes = 64ull << 20;  // buffer_pool_size: hard limit of the frames; at least 8 frames
  };
  BufferManager(Parts parts, Options options);
  ~BufferManager();  // after stop()
  BufferManager(const BufferManager&) = delete;
  BufferManager& operator=(const BufferManager&) = delete;

  // --- Fixing pages: never waits, never reads the disk itself.
  [[nodiscard]] Fix<OptimisticGuard> try_fix_optimistic(PageId id) {
#if !defined(RUSTBD_TSAN)
    if (__builtin_expect(id.raw() - 1 < directory_.limit() - 1, 1)) {
      PageEntry& entry = directory_.entry(id.raw());
      const std::uint64_t word = entry.state.load(std::memory_order_acquire);
      const std::uint32_t frame = entry.frame.load(std::memory_order_acquire);
      if (__builtin_expect(LatchWord::latch(word) <= LatchWord::kSharedMax && frame < frames_.count(), 1) &&
          entry.state.load(std::memory_order_acquire) == word) {
        count_hit();
        Fix<OptimisticGuard> fix;
        fix.guard = OptimisticGuard(this, &entry, id, frames_.memory(frame), LatchWord::version(word));
        return fix;
      }
    }
#endif
    return fix_optimistic_slow(id);
  }
  [[nodiscard]] Fix<SharedGuard> try_fix_shared(PageId id);
  [[nodiscard]] Fix<ExclusiveGuard> try_fix_exclusive(PageId id);
  /// Starts the read if the page is not resident. Never waits.
  void prefetch(PageId id);
  [[nodiscard]] bool resident(PageId id) const;

  // --- Waiting forms, for recovery, checkpoints, tools. kOk, kDamaged or kNoFrame.
  [[nodiscard]] Fix<SharedGuard> fix_shared(PageId id);
  [[nodiscard]] Fix<ExclusiveGuard> fix_exclusive(PageId id);

  // --- Page ids. Inside the gate.
  /// A new page: zeroed, header set (id, kind, owner), already marked dirty, exclusively latched. Page class 0 only.
  [[nodiscard]] Allocated alloc(PageKind kind, std::uint32_t owner, PageClass page_class = 0);
  /// Gives the page up, in the action that unlinked it. Its content stays readable until every Epochs::Pin that exists now
  /// is gone; then, in an action of the pool's own, the id and the extent become free. Until then checkpoints carry the
  /// page as pending free, so a crash leaks nothing. Needs no mark_dirty().
  void free(ExclusiveGuard&& guard);

  [[nodiscard]] WriteAdmission admit_write() const;

  // --- Operation.
  void set_write_strategy(WriteStrategy strategy);
  /// Evicts up to `count` pages (clean or dirty). Blocking. Returns how many left.
  std::size_t evict(std::size_t count);
  [[nodiscard]] BufferStatistics statistics() const;
  [[nodiscard]] Epochs& epochs() { return epochs_; }
  [[nodiscard]] ActionGate& gate() { return gate_; }
  [[nodiscard]] std::uint64_t frame_count() const { return frames_.count(); }
  [[nodiscard]] std::uint64_t dirty_count() const;

  // --- For Storage, RootMap and Checkpointer.
  void start();  // the pool thread
  void stop();   // joins it; waits for outstanding reads. No guard may be held
  void pin_resident(PageId id);  // the frame of a resident page is never evicted (catalog root pages)
  /// Gate closed: begins the images of checkpoint `epoch`; returns its dirty pages (superset, unsorted).
  std::vector<std::uint64_t> begin_checkpoint(std::uint64_t epoch);
  /// Writes the images of those pages. Blocking.
  io::IoResult<> write_checkpoint_pages(std::vector<std::uint64_t> pages);
  /// Ends the checkpoint. When it failed, pages that were not written are handed to the next one.
  void end_checkpoint(bool durable);
  /// Frees what is due of the pages given up. Enters the gate itself. Returns how many ids became free.
  std::size_t reclaim_freed(std::size_t limit);
  void set_next_page_id(std::uint64_t next, std::vector<std::uint64_t> free_ids);
  [[nodiscard]] std::uint64_t next_page_id() const { return next_page_id_.load(std::memory_order_acquire); }
  void set_on_deferred_full(std::function<void()> callback);  // > 20 % of the file waits for a checkpoint
  [[nodiscard]] std::uint64_t checksum_failures() const { return checksum_failures_.load(std::memory_order_relaxed); }

 private:
  friend class OptimisticGuard;
  friend class SharedGuard;
  friend class ExclusiveGuard;
  friend class ImageWriter;

  struct ReadOperation;
  struct alignas(64) Counters {
    std::atomic<std::uint64_t> hits{0};
  };
  struct InFlight {
    std::mutex mutex;
    std::unordered_map<std::uint64_t, io::WaitToken> reads;
  };
  static constexpr std::size_t kInFlightShards = 16;
  static constexpr std::size_t kDirtyShards = 16;
  struct alignas(64) DirtyShard {
    std::mutex mutex;
    std::vector<std::uint64_t> pages;
  };

  void count_hit() {
    auto& hits = counters_[thread_slot()].hits;
    hits.store(hits.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }
  Fix<OptimisticGuard> fix_optimistic_slow(PageId id);
  template <class Guard>
  Fix<Guard> not_resident(PageId id, PageEntry& entry, std::uint64_t word);
  Fix<SharedGuard> miss(PageId id, PageEntry& entry, std::uint64_t word);

  // reader.cc
  void start_read(std::uint64_t id, PageEntry& entry, std::uint32_t frame, io::WaitToken wait);
  void submit_read(const std::shared_ptr<ReadOperation>& read);
  void finish_read(const std::shared_ptr<ReadOperation>& read);
  bool verify_image(const ReadOperation& read) const;
  io::WaitToken token_of_read(std::uint64_t id);

  // eviction.cc
  std::uint32_t take_frame();                   // kNoFrame when none is free and no clean page can go
  bool take_frame_or_token(std::uint32_t& frame, io::WaitToken& wait);  // false and no token: none will come
  std::size_t evict_round(std::size_t wanted, bool write_dirty);
  bool drop_clean(std::uint32_t frame);
  void give_frame(std::uint32_t frame);
  void wake_pool();
  void pool_loop();

  // dirty.cc
  DirtyResult mark_dirty(PageEntry& entry, std::uint64_t id, std::uint32_t frame);
  bool copy_for_checkpoint(std::uint32_t frame);
  void note_dirty(std::uint64_t id);
  bool reclaim_one(std::uint64_t id);
  std::uint64_t take_page_id();

  const io::Environment environment_;
  PageDirectory& directory_;
  DataFile& file_;
  ExtentAllocator& allocator_;
  ActionGate& gate_;
  Epochs& epochs_;
  PendingFree& pending_;
  FramePool frames_;
  std::unique_ptr<ImageWriter> writer_;
  std::unique_ptr<Counters[]> counters_;  // one per thread slot, written by its thread only

  InFlight in_flight_[kInFlightShards];
  std::atomic<std::uint64_t> reads_outstanding_{0};
  std::mutex frame_mutex_;                     // protects frame_wait_, pool_wake_
  io::WaitToken frame_wait_;                   // fires when frames become free
  io::WaitToken pool_wake_;
  std::atomic<bool> frames_exhausted_{false};  // the pool thread found nothing that can go
  std::atomic<bool> stopping_{false};
  std::unique_ptr<io::BackgroundThread> pool_thread_;

  DirtyShard dirty_[kDirtyShards];
  std::atomic<std::int64_t> dirty_count_{0};
  std::atomic<std::uint64_t> checkpoint_epoch_{0};  // 0: none runs. Changes with the gate closed, or to 0 at the end
  std::mutex copy_mutex_;                           // protects copy_wanted_, copy_wait_
  std::vector<std::uint64_t> copy_wanted_;          // pages that the checkpoint shall write next
  io::WaitToken copy_wait_;

  std::mutex id_mutex_;  // protects free_ids_ and growth of next_page_id_
  std::vector<std::uint64_t> free_ids_;
  std::atomic<std::uint64_t> next_page_id_{1};

  std::atomic<bool> writes_stopped_{false};
  std::atomic<std::uint64_t> misses_{0}, evictions_{0}, page_writes_{0}, checksum_failures_{0};
  std::function<void()> on_deferred_full_;
};

}  // namespace rustbd::storage
