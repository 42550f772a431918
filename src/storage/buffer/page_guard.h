// Guards: the only way to the bytes of a page. Made by BufferManager, move-only, given back by the
// destructor.
//
// Rules (storage.md §2, §3):
//  I5  bytes change only through an ExclusiveGuard, inside the ActionGate, after mark_dirty() in the current
//  epoch. I7  optimistic code copies out, calls check(), and only then uses the copy; offsets read from a
//  page are
//      bounds-checked before they are dereferenced.
//  I19 nobody waits (lock, durability, disk, network) while holding a guard.
//  A traversal holds an Epochs::Pin from its first page id to its last guard, so that a freed page is not
//  reused under it.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>

#include "rustbd/base/assert.h"
#include "rustbd/base/ids.h"
#include "rustbd/io/wait.h"
#include "rustbd/storage/pages/page.h"
#include "rustbd/storage/pages/page_directory.h"

namespace rustbd::storage {

class BufferManager;
class ExclusiveGuard;
class OptimisticGuard;
class SharedGuard;

/// What all guards can do.
class PageGuard {
 public:
  [[nodiscard]] bool held() const { return entry_ != nullptr; }
  [[nodiscard]] PageId page_id() const { return id_; }
  [[nodiscard]] PageClass page_class() const { return 0; }
  /// page_bytes(class) bytes; the first 32 are the PageHeader.
  [[nodiscard]] const std::byte* data() const { return data_; }
  [[nodiscard]] std::span<const std::byte> bytes() const { return {data_, page_bytes(page_class())}; }
  [[nodiscard]] const PageHeader& header() const { return *reinterpret_cast<const PageHeader*>(data_); }
  /// Version of the page: strictly increasing with every exclusive latch (I18).
  [[nodiscard]] std::uint64_t version() const { return version_; }
  [[nodiscard]] bool has_versions() const { return entry_->has(PageEntry::kHasVersions); }

 protected:
  friend class BufferManager;
  friend class OptimisticGuard;  // to make an ExclusiveGuard of themselves
  friend class SharedGuard;
  PageGuard() = default;
  PageGuard(BufferManager* pool, PageEntry* entry, PageId id, std::byte* data, std::uint64_t version)
      : pool_(pool), entry_(entry), id_(id), data_(data), version_(version) {}
  PageGuard(PageGuard&& from) noexcept
      : pool_(from.pool_),
        entry_(std::exchange(from.entry_, nullptr)),
        id_(from.id_),
        data_(from.data_),
        version_(from.version_) {}
  void take(PageGuard&& from) {
    pool_ = from.pool_;
    entry_ = std::exchange(from.entry_, nullptr);
    id_ = from.id_;
    data_ = from.data_;
    version_ = from.version_;
  }

  BufferManager* pool_ = nullptr;
  PageEntry* entry_ = nullptr;  // nullptr: nothing held
  PageId id_;
  std::byte* data_ = nullptr;
  std::uint64_t version_ = 0;
};

/// No latch: a pointer and the version it was read at. Under the thread sanitizer it holds the shared latch
/// instead, and check() is always true.
class OptimisticGuard : public PageGuard {
 public:
  OptimisticGuard() = default;
  OptimisticGuard(OptimisticGuard&&) noexcept = default;
  OptimisticGuard& operator=(OptimisticGuard&& from) noexcept {
    if (this != &from) {
      release();
      take(std::move(from));
    }
    return *this;
  }
  ~OptimisticGuard() { release(); }

  /// False: the page changed (or left memory) since the guard was made; what was copied is worthless,
  /// restart.
  [[nodiscard]] bool check() const {
#if defined(RUSTBD_TSAN)
    return true;
#else
    std::atomic_thread_fence(std::memory_order_acquire);
    const std::uint64_t word = entry_->state.load(std::memory_order_relaxed);
    const std::uint64_t latch = LatchWord::latch(word);
    return LatchWord::version(word) == version_ &&
           (latch <= LatchWord::kSharedMax || latch == LatchWord::kMarked);
#endif
  }
  /// To the exclusive latch, if the page is unchanged and nobody holds a latch. On success this guard is
  /// empty.
  [[nodiscard]] std::optional<ExclusiveGuard> upgrade();
  void release();

 private:
  friend class BufferManager;
  using PageGuard::PageGuard;
};

class SharedGuard : public PageGuard {
 public:
  SharedGuard() = default;
  SharedGuard(SharedGuard&&) noexcept = default;
  SharedGuard& operator=(SharedGuard&& from) noexcept {
    if (this != &from) {
      release();
      take(std::move(from));
    }
    return *this;
  }
  ~SharedGuard() { release(); }

  /// To the exclusive latch, if this is the only holder. On success this guard is empty; else it stays held.
  [[nodiscard]] std::optional<ExclusiveGuard> upgrade();
  void release() {
    if (entry_ != nullptr)
      std::exchange(entry_, nullptr)->state.fetch_sub(1ull << 56, std::memory_order_release);
  }

 private:
  friend class BufferManager;
  using PageGuard::PageGuard;
};

/// Outcome of mark_dirty(). Refused only while a checkpoint runs and there is no frame for the copy that it
/// needs: the caller releases all, leaves the gate, awaits `retry`, and restarts.
struct [[nodiscard]] DirtyResult {
  bool ok = true;
  io::WaitToken retry;
  explicit operator bool() const { return ok; }
};

class ExclusiveGuard : public PageGuard {
 public:
  ExclusiveGuard() = default;
  ExclusiveGuard(ExclusiveGuard&&) noexcept = default;
  ExclusiveGuard& operator=(ExclusiveGuard&& from) noexcept {
    if (this != &from) {
      release();
      take(std::move(from));
    }
    return *this;
  }
  ~ExclusiveGuard() { release(); }

  /// MUST precede the first changed byte, inside the gate (I5). An action marks ALL its pages first and only
  /// then changes bytes, so that a refusal takes nothing back (a page marked and not changed is harmless).
  /// Idempotent and cheap. Never refused during recovery (no checkpoint runs).
  DirtyResult mark_dirty();
  [[nodiscard]] std::byte* mutable_data() {
    RUSTBD_DEBUG_ASSERT(entry_->has(PageEntry::kDirty), "I5: mark_dirty() precedes the first changed byte");
    return data_;
  }
  [[nodiscard]] std::span<std::byte> mutable_bytes() { return {mutable_data(), page_bytes(page_class())}; }
  [[nodiscard]] PageHeader& mutable_header() { return *reinterpret_cast<PageHeader*>(mutable_data()); }
  /// Not a change of the page: needs no mark_dirty(), is never persisted.
  void set_has_versions(bool on) {
    on ? entry_->set(PageEntry::kHasVersions) : entry_->clear(PageEntry::kHasVersions);
  }
  /// Gives the latch back; the version goes up by one.
  void release() {
    if (entry_ != nullptr) {
      std::exchange(entry_, nullptr)
          ->state.store(LatchWord::make(LatchWord::kFree, version_ + 1), std::memory_order_release);
    }
  }

 private:
  friend class BufferManager;
  using PageGuard::PageGuard;
};

inline void OptimisticGuard::release() {
#if defined(RUSTBD_TSAN)
  if (entry_ != nullptr) entry_->state.fetch_sub(1ull << 56, std::memory_order_release);
#endif
  entry_ = nullptr;
}

enum class FixStatus : std::uint8_t {
  kOk,
  kMiss,  // not resident: `wait` fires when the read has ended (or a frame is free); release all, await,
          // restart
  kBusy,  // latched by somebody: spin briefly and retry; if you hold other latches against the order, restart
  kDamaged,  // XX001: the page cannot be read, or the id is not in use. All other pages stay usable
  kNoFrame,  // 53200: every frame is pinned, or dirty and cannot be written; or the kernel had no memory to
             // read the page: it may work later
};

/// Outcome of a try_fix: a guard, or why not.
template <class Guard>
struct [[nodiscard]] Fix {
  FixStatus status = FixStatus::kOk;
  Guard guard{};
  io::WaitToken wait{};  // with kMiss
  explicit operator bool() const { return status == FixStatus::kOk; }
  Guard& operator*() { return guard; }
  Guard* operator->() { return &guard; }
};

}  // namespace rustbd::storage
