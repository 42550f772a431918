#include "rustbd/txn/replay_workers.h"

#include <algorithm>
#include <utility>

#include "rustbd/base/hash.h"
#include "rustbd/txn/system_parts.h"

namespace rustbd::txn {
namespace {
constexpr std::size_t kChunkBytes = 64 << 10;  // of bodies: then the chunk goes to its worker
constexpr std::size_t kChunkItems = 1024;
constexpr std::size_t kChunksAhead = 8;  // of one worker
constexpr std::size_t kReadAhead = 64;   // items whose leaves are asked for together
}  // namespace

std::uint32_t replay_partition(TableId table, RowId row, std::uint32_t workers) {
  return static_cast<std::uint32_t>(hash_combine(hash_u64(table.raw()), row.raw() >> 10) % workers);
}

ReplayWorkers::ReplayWorkers(SystemParts& parts, std::uint32_t workers) : parts_(parts) {
  if (workers <= 1) return;
  for (std::uint32_t i = 0; i < workers; ++i) {
    Worker& worker = *workers_.emplace_back(std::make_unique<Worker>());
    worker.thread = parts.environment.executor->start_background("replay", [this, &worker] { run(worker); });
  }
}

ReplayWorkers::~ReplayWorkers() {
  stopping_.store(true, std::memory_order_seq_cst);
  for (const auto& worker : workers_) {
    io::WaitToken work;
    {
      const std::lock_guard lock(worker->mutex);
      work = std::exchange(worker->work, {});
    }
    work.fire();
    worker->thread->join();
  }
}

void ReplayWorkers::replay(const log::Event& event) {
  if (workers_.empty() || !SystemParts::is_row_event(event)) {
    if (SystemParts::needs_all_before(event)) barrier();
    parts_.examined([&] { parts_.replay_event(event); });
    return;
  }
  Worker& worker =
      *workers_[replay_partition(event.table, event.row, static_cast<std::uint32_t>(workers_.size()))];
  Chunk& chunk = worker.open;
  chunk.items.push_back({event.op, event.table, event.row, chunk.bodies.size(), event.body.size()});
  chunk.bodies.insert(chunk.bodies.end(), event.body.begin(), event.body.end());
  if (chunk.bodies.size() >= kChunkBytes || chunk.items.size() >= kChunkItems) hand_over(worker);
}

void ReplayWorkers::hand_over(Worker& worker) {
  wait_until(worker, kChunksAhead, false);
  throw_failure();
  io::WaitToken work;
  {
    const std::lock_guard lock(worker.mutex);
    worker.chunks.push_back(std::exchange(worker.open, {}));
    work = std::exchange(worker.work, {});
  }
  work.fire();
}

void ReplayWorkers::barrier() {
  for (const auto& worker : workers_)
    if (!worker->open.items.empty()) hand_over(*worker);
  for (const auto& worker : workers_) wait_until(*worker, 0, true);
  throw_failure();
}

void ReplayWorkers::wait_until(Worker& worker, std::size_t chunks_at_most, bool idle) {
  for (;;) {
    io::WaitToken progress;
    {
      const std::lock_guard lock(worker.mutex);
      if (worker.chunks.size() <= chunks_at_most && !(idle && worker.busy)) return;
      progress = worker.progress = io::WaitToken::make(io::WaitReason::kTask);
    }
    parts_.environment.executor->block_on(progress);
  }
}

void ReplayWorkers::throw_failure() {
  if (!failed_.load(std::memory_order_acquire)) return;
  const std::lock_guard lock(failure_mutex_);
  std::rethrow_exception(failure_);
}

void ReplayWorkers::run(Worker& worker) {
  for (;;) {
    Chunk chunk;
    io::WaitToken work, progress;
    {
      const std::lock_guard lock(worker.mutex);
      worker.busy = false;
      progress = std::exchange(worker.progress, {});
      if (stopping_.load(std::memory_order_relaxed)) worker.chunks.clear();
      if (!worker.chunks.empty()) {
        chunk = std::move(worker.chunks.front());
        worker.chunks.pop_front();
        worker.busy = true;
      } else {
        work = worker.work = io::WaitToken::make(io::WaitReason::kTask);
      }
    }
    progress.fire();
    if (stopping_.load(std::memory_order_seq_cst)) return;
    if (work) parts_.environment.executor->block_on(work);
    else if (!failed_.load(std::memory_order_acquire)) replay_chunk(chunk);
  }
}

/// The next of them ask for their pages before the first one waits for its own.
void ReplayWorkers::read_ahead(std::span<const Item> items) {
  for (const Item& item : items) {
    if (item.op == log::EventOp::kInsert) continue;  // mostly at the end, where the page has just been
    if (const auto tree = parts_.tree_state(item.table)) tree->tree->prefetch_leaf(item.row);
  }
  parts_.buffer().submit_reads();
}

void ReplayWorkers::replay_chunk(const Chunk& chunk) {
  const std::size_t ahead = std::min<std::size_t>(kReadAhead, parts_.buffer().frame_count() / 16);
  std::size_t asked = 0;
  try {
    for (std::size_t i = 0; i < chunk.items.size(); ++i) {
      const Item& item = chunk.items[i];
      if (i == asked && ahead > 0) {
        asked = std::min(i + ahead, chunk.items.size());
        read_ahead(std::span(chunk.items).subspan(i, asked - i));
      }
      if (stopping_.load(std::memory_order_relaxed) || failed_.load(std::memory_order_relaxed)) return;
      log::Event event;
      event.op = item.op;
      event.table = item.table;
      event.row = item.row;
      event.body = ByteSpan(chunk.bodies).subspan(item.offset, item.bytes);
      parts_.examined([&] { parts_.replay_event(event); });
    }
  } catch (...) {
    const std::lock_guard lock(failure_mutex_);
    if (!failure_) failure_ = std::current_exception();
    failed_.store(true, std::memory_order_release);
  }
}

}  // namespace rustbd::txn
