// Shrinker: gives room back after mass deletion. A free tail of the data file is cut off when a checkpoint
// has become durable; what lies behind the place where the file could end is moved to its beginning, at a
// limited rate, so that the next checkpoint leaves a free tail.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>

#include "rustbd/io/executor.h"
#include "rustbd/storage/buffer/buffer_manager.h"
#include "rustbd/storage/pages/entry_ledger.h"
#include "rustbd/storage/pages/space.h"

namespace rustbd::storage {

/// A moved image is one more change of its page's entry: the rules of shadow paging are EntryLedger's (I1,
/// I9). Threads: checkpoint_done() by the checkpoint thread; start() and stop() by the owner.
class Shrinker {
 public:
  struct Parts {
    io::Environment environment;
    Space* space;
    ExtentAllocator* allocator;
    EntryLedger* ledger;
    ActionGate* gate;
    BufferManager* buffer;
    std::function<void()> request_checkpoint;
  };
  /// `bytes_per_second`: of images moved; 0: nothing is moved, only cut.
  Shrinker(Parts parts, std::uint64_t bytes_per_second);
  ~Shrinker();  // stop()s

  void start();
  void stop();  // joins the thread; a round that runs ends after the image that it moves
  /// A checkpoint is durable: cuts the tail that is free now, and begins a round if much of the file is free.
  void checkpoint_done();

 private:
  static constexpr std::uint64_t kNever = ~std::uint64_t{0};

  void run();
  /// Moves what lies behind block `end`. Returns whether the next checkpoint may free blocks there.
  bool move_behind(std::uint64_t end);
  void pause(std::chrono::microseconds span);
  void judge_round(std::uint64_t size, std::uint64_t inside);

  const Parts parts_;
  const std::uint64_t bytes_per_second_;
  std::uint64_t written_before_ = 0;  // checkpoint thread: blocks of images written until the last checkpoint

  std::mutex mutex_;          // protects the following
  std::uint64_t end_ = 0;     // where the round that runs wants the file to end; 0: none runs
  std::uint64_t size_ = 0;    // of the file when the last round began
  int checkpoints_left_ = 0;  // that may still show the last round's effect
  std::uint64_t fruitless_ =
      kNever;           // blocks that were free after a round without effect; kNever: it had one
  io::WaitToken wake_;  // the thread sleeps on it
  std::atomic<bool> stopping_{false};
  std::unique_ptr<io::BackgroundThread> thread_;
};

}  // namespace rustbd::storage
