// Resealer: after a rotation of the data key, and after encryption was switched on, seals anew what older
// keys (or none) have sealed, at a limited rate, and has the keys destroyed that nothing needs any more.
//
// A page is sealed anew by being marked dirty: the next image of it, written by eviction or a checkpoint as
// always, has the current key. A key goes when three things hold: no entry of the directory and no image on
// its way had it before a checkpoint began, that checkpoint is durable, and the log that it has sealed is not
// kept. Nothing of this is stored but the keys' states in keys.tab: a restart begins where the images say.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string_view>
#include <vector>

#include "rustbd/base/log_line.h"
#include "rustbd/io/executor.h"
#include "rustbd/security/key_ring.h"
#include "rustbd/storage/buffer/buffer_manager.h"
#include "rustbd/storage/pages/entry_ledger.h"

namespace rustbd::storage {

/// Threads: checkpoint_done() by the checkpoint thread; all else any.
class Resealer {
 public:
  struct Parts {
    io::Environment environment;
    security::KeyRing* keys;
    EntryLedger* ledger;
    BufferManager* buffer;
    std::function<void()> request_checkpoint;
    LogLine log;
  };
  Resealer(Parts parts, std::uint64_t bytes_per_second);
  ~Resealer();  // stop()s

  /// Counts what the last run has left: O(pages). Before anything changes pages.
  void start();
  void stop();
  /// Keys retire: begins a round.
  void keys_retire();
  /// A checkpoint is durable, and nobody asks for the log before `log_kept`. The first one begins
  /// a round for what the last run has left: recovery is over. Blocks while keys.tab is written.
  void checkpoint_done(Lsn log_kept);

  struct Progress {
    std::uint64_t pages = 0;  // that the rounds since the last rotation (or the start) had to seal anew
    std::uint64_t left = 0;
    bool counted = false;   // these two, since the last rotation
    bool unsealed = false;  // on disk are pages that no key has sealed
  };
  [[nodiscard]] Progress progress() const;

 private:
  void run();
  void wake();
  [[nodiscard]] std::vector<std::uint64_t> stale_pages() const;
  [[nodiscard]] bool has_unsealed() const;
  [[nodiscard]] bool stale(std::uint16_t key_index) const;
  /// How many pages were marked.
  std::uint64_t round();
  void wait_for_work();
  void pause(std::chrono::microseconds span);

  const Parts parts_;
  const std::uint64_t bytes_per_second_;
  std::vector<std::uint32_t> unused_;  // checkpoint thread: keys that nothing had when the last one ended
  bool recovered_ = false;             // checkpoint thread
  bool all_sealed_ = false;            // checkpoint thread: found so when the last one ended
  std::atomic<std::uint64_t> pages_{0}, left_{0};
  std::atomic<std::uint64_t> rotations_{0}, counted_{0};  // pages_ and left_ are of this rotation
  std::atomic<bool> unsealed_{false};                     // never again once false

  std::mutex mutex_;     // protects the following
  bool wanted_ = false;  // a round
  io::WaitToken wake_;   // the thread sleeps on it
  std::atomic<bool> stopping_{false};
  std::unique_ptr<io::BackgroundThread> thread_;
};

}  // namespace rustbd::storage
