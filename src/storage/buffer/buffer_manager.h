// BufferManager: pages in memory. An array of entries translates page ids (page_directory.h), a pool of 16
// KiB frames holds the resident ones; clean cold pages leave, dirty ones are first written to a NEW extent
// (shadow paging).
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "rustbd/io/disk.h"
#include "rustbd/io/executor.h"
#include "rustbd/metrics/registry.h"
#include "rustbd/storage/buffer/eviction_policy.h"
#include "rustbd/storage/buffer/frame_pool.h"
#include "rustbd/storage/buffer/page_guard.h"
#include "rustbd/storage/buffer/write_strategy.h"
#include "rustbd/storage/pages/action_gate.h"
#include "rustbd/storage/pages/epoch.h"
#include "rustbd/storage/pages/extent.h"
#include "rustbd/storage/pages/extent_image.h"
#include "rustbd/storage/pages/page.h"
#include "rustbd/storage/pages/page_directory.h"
#include "rustbd/storage/pages/pending_free.h"

namespace rustbd::storage {

class DataFile;
class EntryLedger;
class ExtentAllocator;
class ImageWriter;
class Space;
struct PageImage;

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
  std::array<std::uint64_t, kEvictionPolicyKinds.size()> evictions_by{};  // by policy
  std::uint64_t hits = 0, misses = 0, evictions = 0, page_writes = 0, checksum_failures = 0;
  std::uint64_t written_blocks = 0;  // of the images of page_writes, 4 KiB each
  std::uint64_t page_moves = 0;      // images that were moved to shrink the file
  std::uint64_t read_ahead = 0;      // of misses: reads that nobody waited for yet
  std::uint64_t left_dropped = 0;    // of evictions: pages of large scans
  std::uint64_t frames = 0, free_frames = 0, dirty_pages = 0;
  std::uint64_t frame_waits = 0;  // who needed a frame had to wait until the pool had one
};

/// Threads: all public functions from any thread unless said otherwise. The waiting forms (fix_shared,
/// fix_exclusive) only from threads that may block, outside the gate, with no latch held. Resident memory:
/// the pool's `bytes`, never more, plus 32 B per frame, 32 B per page id and 2 MiB of staging.
class BufferManager {
 public:
  struct Parts {
    io::Environment environment;
    PageDirectory* directory;
    DataFile* file;
    ExtentAllocator* allocator;
    Space* space;
    EntryLedger* ledger;
    ActionGate* gate;
    Epochs* epochs;
    PendingFree* pending;
    const security::KeyRing* keys = nullptr;  // no encryption
  };
  struct Options {
    std::uint64_t bytes = 64ull << 20;  // buffer_pool_size: hard limit of the frames; at least 8 frames
    PageCompression compression = PageCompression::kLz4;
    EvictionPolicyKind policy = EvictionPolicyKind::kClock;
    WriteStrategy strategy = WriteStrategy::kWriteBack;
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
        count_hit(frame);
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
  /// Starts the read if the page is not resident. Never waits. True: it did; submit_reads() after several.
  bool prefetch(PageId id);
  void submit_reads();
  /// Who read the page in, a scan, is through with it. drop_if_left(): it goes, unless it was used since.
  void leave(PageId id);
  void drop_if_left(PageId id);
  [[nodiscard]] bool resident(PageId id) const;
  /// Of the page's last stored image; the page is not read.
  [[nodiscard]] PageKind stored_kind(PageId id) const { return directory_.entry(id.raw()).kind(); }
  /// Of a damaged page: the disk did not give its bytes, so they may be sound when it is asked again after a
  /// restart.
  [[nodiscard]] bool unread(PageId id) const {
    const std::lock_guard lock(unread_mutex_);
    return unread_.contains(id.raw());
  }
  [[nodiscard]] Extent stored_extent(PageId id) const {
    return Extent::unpack(directory_.entry(id.raw()).extent);
  }
  /// Whether the id belongs to a page that checkpoints carry (for the account of space).
  [[nodiscard]] bool stored(PageId id) const {
    return known(id) && !directory_.entry(id.raw()).has(PageEntry::kFreePage | PageEntry::kTemp);
  }

  // --- Waiting forms, for recovery, checkpoints, tools. kOk, kDamaged or kNoFrame.
  [[nodiscard]] Fix<SharedGuard> fix_shared(PageId id);
  [[nodiscard]] Fix<ExclusiveGuard> fix_exclusive(PageId id);

  // --- Page ids. Inside the gate.
  /// A new page: zeroed, header set (id, kind, owner), already marked dirty, exclusively latched. Page class
  /// 0 only.
  [[nodiscard]] Allocated alloc(PageKind kind, std::uint32_t owner, PageClass page_class = 0);
  /// A page that cannot be read gets a new content under its old id: zeroed, header set, marked dirty,
  /// latched. Only while nobody else uses the page. A page that is in memory is left as it is: kStopped.
  [[nodiscard]] Allocated remake(PageId id, PageKind kind, std::uint32_t owner);
  /// Gives the page up, in the action that unlinked it. Its content stays readable until every Epochs::Pin
  /// that exists now is gone; then, in an action of the pool's own, the id and the extent become free. Until
  /// then checkpoints carry the page as pending free, so a crash leaks nothing. Needs no mark_dirty().
  void free(ExclusiveGuard&& guard);
  /// The same for a page that nothing refers to any more and that need not be read for it (recovery, dropped
  /// trees).
  void free_unread(PageId id);

  [[nodiscard]] WriteAdmission admit_write() const;

  // --- Operation.
  void set_write_strategy(WriteStrategy strategy);
  void set_eviction_policy(EvictionPolicyKind kind);
  /// Of images written from now on.
  void set_compression(PageCompression compression) {
    compression_.store(compression, std::memory_order_relaxed);
  }
  [[nodiscard]] PageCompression compression() const { return compression_.load(std::memory_order_relaxed); }
  /// Evicts up to `count` pages (clean or dirty). Blocking. Returns how many left.
  std::size_t evict(std::size_t count);
  [[nodiscard]] BufferStatistics statistics() const;
  [[nodiscard]] Epochs& epochs() { return epochs_; }
  [[nodiscard]] ActionGate& gate() { return gate_; }
  [[nodiscard]] std::uint64_t frame_count() const { return frames_.count(); }
  [[nodiscard]] std::uint64_t dirty_count() const;

  // --- For Storage, RootMap and Checkpointer.
  void start();                  // the pool thread
  void stop();                   // joins it; waits for outstanding reads. No guard may be held
  void pin_resident(PageId id);  // the frame of a resident page is never evicted (catalog root pages)
  /// Gate closed, ledger begun: returns the dirty pages (a superset, unsorted).
  std::vector<std::uint64_t> begin_checkpoint();
  /// Writes the images of those pages. Blocking.
  io::IoResult<> write_checkpoint_pages(std::vector<std::uint64_t> pages);
  /// After EntryLedger::end(). When it failed, pages that were not written are handed to the next one.
  void end_checkpoint(bool durable);
  /// Frees what is due of the pages given up. Enters the gate itself. Returns how many ids became free.
  std::size_t reclaim_freed(std::size_t limit);
  void set_next_page_id(std::uint64_t next, std::vector<std::uint64_t> free_ids);
  [[nodiscard]] std::uint64_t next_page_id() const { return next_page_id_.load(std::memory_order_acquire); }
  /// Blocks that shall be available: what a checkpoint of now could need, and room for new writes.
  [[nodiscard]] std::uint64_t room_wanted() const;
  /// Moves the image of a clean page to the lowest place that lies before block `end`. Blocking. `buffer`: at
  /// least a frame, aligned to blocks.
  enum class Relocation : std::uint8_t { kMoved, kNotNow, kNoRoom };
  Relocation relocate(std::uint64_t id, std::uint64_t end, std::span<std::byte> buffer);
  /// Marks the page dirty, so that it gets a new image. Blocking, outside the gate. False: it is damaged, of
  /// a transaction's own, or in use for long.
  bool renew_image(PageId id);
  /// `callback`: more than 20 % of the file waits for a checkpoint. Before start().
  void set_on_deferred_full(std::function<void()> callback);
  /// A page was freed that could not be read: what only it refers to stays in use until `check --repair`.
  void note_freed_unread() {
    if (freed_unread_ != nullptr) freed_unread_->inc();
  }
  /// Where these are counted; outlives the manager. Before start().
  void count_freed_unread(metrics::Counter& counter) { freed_unread_ = &counter; }
  [[nodiscard]] std::uint64_t checksum_failures() const {
    return checksum_failures_.load(std::memory_order_relaxed);
  }

 private:
  friend class OptimisticGuard;
  friend class SharedGuard;
  friend class ExclusiveGuard;

  struct ReadOperation;
  struct alignas(64) Counters {
    std::atomic<std::uint64_t> hits{0};
  };
  struct alignas(64) InFlight {
    std::mutex mutex;
    std::unordered_map<std::uint64_t, io::WaitToken> reads;   // page id -> fires when its read has ended
    std::unordered_map<std::uint64_t, std::int64_t> refused;  // page id -> when; see take_refusal()
  };
  struct alignas(64) DirtyShard {
    std::mutex mutex;
    std::vector<std::uint64_t> pages;  // marked dirty since the last checkpoint began; some more than once
  };
  struct GivenUp {
    std::uint64_t page;
    std::uint64_t stamp;  // Epochs::retire_stamp()
  };
  struct Outcome {
    FixStatus status;
    io::WaitToken wait;
    bool reading = false;  // this very call began to read the page
  };
  static constexpr std::size_t kInFlightShards = 16;
  static constexpr std::size_t kDirtyShards = 16;

  void count_hit(std::uint32_t frame) {
    if (__builtin_expect(follows_accesses_.load(std::memory_order_relaxed), 0)) note_access(frame);
    auto& hits = counters_[thread_slot()].hits;
    hits.store(hits.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }
  [[nodiscard]] bool known(PageId id) const { return id.raw() - 1 < directory_.limit() - 1; }
  PageEntry& entry_of(PageId id) { return directory_.entry(id.raw()); }
  Fix<OptimisticGuard> fix_optimistic_slow(PageId id);
  Fix<SharedGuard> shared_guard(PageEntry& entry, PageId id, std::uint64_t version);
  /// The latch word as it was when the latch was taken; or why not.
  std::optional<std::uint64_t> latch_shared(PageEntry& entry, std::uint64_t id, Outcome& otherwise);
  std::optional<std::uint64_t> latch_exclusive(PageEntry& entry, std::uint64_t id, Outcome& otherwise);
  static void unlatch_shared(PageEntry& entry) {
    entry.state.fetch_sub(1ull << 56, std::memory_order_release);
  }
  static void unlatch_exclusive(PageEntry& entry, std::uint64_t version) {
    entry.state.store(LatchWord::make(LatchWord::kFree, version + 1), std::memory_order_release);
  }
  template <class Guard, class Try>
  Fix<Guard> fix_waiting(PageId id, Try attempt);

  // page_reader.cc
  Outcome read_page(std::uint64_t id, PageEntry& entry, std::uint64_t word);
  void submit_read(const std::shared_ptr<ReadOperation>& read);
  void finish_read(const std::shared_ptr<ReadOperation>& read);
  void end_read(const ReadOperation& read);
  io::WaitToken token_of_read(std::uint64_t id);
  bool take_refusal(std::uint64_t id);

  // eviction.cc
  /// A frame, or a token that fires when one may be free, or neither: none will come.
  std::uint32_t take_frame(io::WaitToken& wait);
  std::size_t evict_round(std::size_t wanted, std::size_t scan, ImageWriter* writer);
  std::uint32_t drop_frame(PageEntry& entry, std::uint32_t frame, std::uint64_t version);
  bool drop_clean(PageEntry& entry, std::uint32_t frame);
  bool stage_for_eviction(PageEntry& entry, std::uint64_t id, ImageWriter& writer);
  bool stage_image(PageEntry& entry, std::uint64_t id, std::uint64_t version, ImageWriter& writer);
  enum class AfterWrite : std::uint8_t { kDrop, kKeep };
  std::size_t finish_images(ImageWriter& writer, AfterWrite after);
  bool finish_image(const PageImage& image, AfterWrite after);
  [[nodiscard]] std::uint64_t image_epoch(std::uint32_t dirty_epoch) const;
  bool try_evict(std::uint32_t frame, const EvictionPolicy& policy, ImageWriter* writer);
  void note_access(std::uint32_t frame);
  void count_eviction() {
    evictions_[static_cast<std::size_t>(policy_kind_.load(std::memory_order_relaxed))]++;
  }
  void give_frame(std::uint32_t frame);
  void fire_frame_wait();
  void wake_pool();
  void pool_loop();
  void pool_work(ImageWriter& writer);
  void note_write_failure(io::IoFailure failure);
  [[nodiscard]] std::uint64_t reserved_blocks() const;
  [[nodiscard]] std::uint64_t write_margin() const;
  void wake_for_room(const io::WaitToken& wake);

  // write_strategy.cc
  void note_for_strategy(std::uint64_t id);
  std::vector<std::uint64_t> pages_to_flush();
  bool flush_pages(ImageWriter& writer);
  void wake_for_sweep(const io::WaitToken& wake);
  [[nodiscard]] bool many_dirty() const;
  void want_flush(std::uint64_t id);

  // checkpoint_pages.cc
  DirtyResult mark_dirty(PageEntry& entry, std::uint64_t id);
  DirtyResult copy_for_checkpoint(FrameMeta& meta, std::uint32_t frame, std::uint64_t id);
  void note_dirty(std::uint64_t id);
  enum class Staging : std::uint8_t { kStaged, kNothingToDo, kLater };
  Staging stage_for_checkpoint(std::uint64_t id, ImageWriter& writer);
  void finish_checkpoint_image(const PageImage& image);
  std::vector<std::uint64_t> take_wanted();
  void fire_copy_wait();

  // page_ids.cc
  std::uint64_t take_page_id();
  bool reclaim_one(std::uint64_t id);

  const io::Environment environment_;
  PageDirectory& directory_;
  DataFile& file_;
  ExtentAllocator& allocator_;
  Space& space_;
  EntryLedger& ledger_;
  const security::KeyRing* const keys_;
  ActionGate& gate_;
  Epochs& epochs_;
  PendingFree& pending_;
  FramePool frames_;
  std::unique_ptr<Counters[]> counters_;  // one per thread slot, written by its thread only

  InFlight in_flight_[kInFlightShards];
  std::atomic<std::uint32_t> refused_reads_{0};  // entries of their `refused`
  std::array<std::unique_ptr<EvictionPolicy>, kEvictionPolicyKinds.size()> policies_;
  std::atomic<EvictionPolicyKind> policy_kind_;
  std::atomic<bool> follows_accesses_{false};  // of the present policy
  std::atomic<WriteStrategy> write_strategy_;
  std::mutex flush_mutex_;                     // protects flush_wanted_
  std::vector<std::uint64_t> flush_wanted_;    // write-through: pages that became dirty
  std::atomic<bool> sweep_wanted_{false};      // write-behind: a page is dirty, or was at the last sweep
  io::WaitToken sweep_timer_;                  // fires when the next sweep is due; pool thread only
  io::WaitToken room_timer_;                   // fires when the file system is asked again; pool thread only
  std::mutex frame_mutex_;                     // protects frame_wait_, pool_wake_
  io::WaitToken frame_wait_;                   // fires when frames become free; empty: nobody waits
  io::WaitToken pool_wake_;                    // the pool thread sleeps on it; empty: it is awake
  std::atomic<bool> frame_wanted_{false};      // frame_wait_ is set
  std::atomic<bool> pool_wanted_{false};       // the pool thread shall look again
  std::atomic<bool> frames_exhausted_{false};  // the pool thread found nothing that can go
  std::atomic<bool> stopping_{false};
  std::unique_ptr<io::BackgroundThread> pool_thread_;

  DirtyShard dirty_[kDirtyShards];
  std::atomic<std::int64_t> dirty_count_{0};
  std::vector<std::uint64_t>
      checkpoint_left_;    // the checkpoint thread only: pages not written when it failed
  std::mutex copy_mutex_;  // protects copy_wanted_, copy_wait_
  std::vector<std::uint64_t>
      copy_wanted_;  // pages that the checkpoint shall write next: a writer waits for them
  io::WaitToken copy_wait_;

  std::mutex id_mutex_;  // protects free_ids_, given_up_ and growth of next_page_id_
  std::vector<std::uint64_t> free_ids_;
  std::deque<GivenUp> given_up_;
  std::atomic<std::uint64_t> next_page_id_{1};
  std::atomic<std::uint64_t> given_up_count_{0};

  std::atomic<PageCompression> compression_;
  std::atomic<bool> writes_stopped_{false};
  std::atomic<std::uint64_t> misses_{0}, page_writes_{0}, written_blocks_{0}, checksum_failures_{0};
  metrics::Counter* freed_unread_ = nullptr;
  std::atomic<std::uint64_t> page_moves_{0}, read_ahead_{0}, left_dropped_{0}, frame_waits_{0};
  std::array<std::atomic<std::uint64_t>, kEvictionPolicyKinds.size()> evictions_{};
  std::function<void()> on_deferred_full_;
  mutable std::mutex unread_mutex_;  // protects unread_
  std::set<std::uint64_t> unread_;   // pages whose read ended with an error of the disk
};

}  // namespace rustbd::storage
