// ReplayWorkers: replays row events on several threads. Rows of one block of 1024 always go to the same
// worker, so the order of each row's events is the log's; what changes tables waits for all of them and is
// done at once (storage.md §7 step 5).
#pragma once

#include <cstdint>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "rustbd/base/bytes.h"
#include "rustbd/io/executor.h"
#include "rustbd/log/events.h"

namespace rustbd::txn {

struct SystemParts;

/// Threads: one that may block calls. With one worker that thread does the work itself.
class ReplayWorkers {
 public:
  ReplayWorkers(SystemParts& parts, std::uint32_t workers);
  ~ReplayWorkers();  // what is not replayed yet is dropped
  ReplayWorkers(const ReplayWorkers&) = delete;
  ReplayWorkers& operator=(const ReplayWorkers&) = delete;

  /// Copies the event if it is for a worker; waits while that one is far behind. Throws what a worker met.
  void replay(const log::Event& event);
  /// Until all events given so far are in the pages. Throws what a worker met.
  void barrier();

 private:
  struct Item {
    log::EventOp op;
    TableId table;
    RowId row;
    std::size_t offset, bytes;
  };
  struct Chunk {
    Bytes bodies;
    std::vector<Item> items;
  };
  struct Worker {
    Chunk open;        // being filled by the caller
    std::mutex mutex;  // protects the following
    std::deque<Chunk> chunks;
    bool busy = false;       // replays a chunk
    io::WaitToken work;      // the worker sleeps on it
    io::WaitToken progress;  // the caller waits for a chunk to be done
    std::unique_ptr<io::BackgroundThread> thread;
  };

  void hand_over(Worker& worker);
  void wait_until(Worker& worker, std::size_t chunks_at_most, bool idle);
  void run(Worker& worker);
  void read_ahead(std::span<const Item> items);
  void replay_chunk(const Chunk& chunk);
  void throw_failure();

  SystemParts& parts_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::atomic<bool> stopping_{false};
  std::atomic<bool> failed_{false};
  std::mutex failure_mutex_;  // protects failure_
  std::exception_ptr failure_;
};

/// The worker of a row.
std::uint32_t replay_partition(TableId table, RowId row, std::uint32_t workers);

}  // namespace rustbd::txn
