// For tests: a checkpoint source without transactions, page contents that tell what they are, and a Storage
// on a simulated disk with everything in one thread.
#pragma once

#include <cstdint>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "rustbd/base/bytes.h"
#include "rustbd/base/hash.h"
#include "rustbd/io/simulated/simulated_disk.h"
#include "rustbd/io/simulated/simulated_executor.h"
#include "rustbd/storage/pages/storage.h"

namespace rustbd::storage::testing {

/// Every capture has the next lsn, so that a test knows which state it opened.
class FakeSource final : public CheckpointSource {
 public:
  std::function<void(Lsn)> on_capture = [](Lsn) {};
  std::vector<std::pair<SnapshotRecord, std::string>> to_write;
  std::vector<std::pair<SnapshotRecord, std::string>> restored;
  std::uint64_t next_lsn = 100;
  std::uint64_t durable_lsn = 0;
  int finished_count = 0, failed_count = 0;
  bool log_works = true;

  CheckpointPositions capture(std::uint64_t) override {
    CheckpointPositions positions;
    positions.lsn = captured_ = Lsn{next_lsn++};
    positions.commit_ts = CommitTimestamp{captured_.raw() * 2};
    positions.next_txid = TransactionId{7};
    on_capture(captured_);
    return positions;
  }
  std::string write_snapshot(std::uint64_t, SnapshotSink& sink) override {
    for (const auto& [kind, body] : to_write) (void)sink.add(kind, as_bytes(body));
    return {};
  }
  bool wait_durable(Lsn) override { return log_works; }
  Lsn log_keep_lsn() override { return captured_; }
  Lsn log_kept_from() override { return captured_; }
  void finished(bool durable, Lsn, const std::string&) override {
    ++(durable ? finished_count : failed_count);
    if (durable) durable_lsn = captured_.raw();
  }
  void restore(SnapshotRecord kind, ByteSpan body) override {
    restored.emplace_back(kind, std::string(as_chars(body)));
  }

 private:
  Lsn captured_;
};

/// Contents of a page as a function of one number: any mix of two versions shows.
inline void fill_page(std::byte* page, std::uint64_t value) {
  for (std::size_t at = kPageHeaderBytes; at + 8 <= kPageBytes; at += 8) store(page + at, value + at);
}
inline std::optional<std::uint64_t> value_of_page(const std::byte* page) {
  const std::uint64_t value = load<std::uint64_t>(page + kPageHeaderBytes) - kPageHeaderBytes;
  for (std::size_t at = kPageHeaderBytes; at + 8 <= kPageBytes; at += 8) {
    if (load<std::uint64_t>(page + at) != value + at) return std::nullopt;
  }
  return value;
}

/// One engine room: executor, disk, clock and chance from one seed. Storages are opened and thrown away on
/// it.
struct SimulatedWorld {
  explicit SimulatedWorld(std::uint64_t seed, io::SimulatedFaults faults = {})
      : executor(seed), disk(seed, std::move(faults), &executor), random(seed) {}
  ~SimulatedWorld() { executor.stop(); }

  io::Environment environment() { return {&disk, &executor.clock(), &random, &executor}; }
  std::unique_ptr<Storage> open(FakeSource& source, std::uint64_t frames = 64, StorageOptions options = {}) {
    options.buffer_bytes = frames * kFrameBytes;
    options.grow_bytes = 2u << 20;
    options.fatal = [this](std::string_view) { fatal_called = true; };
    options.log = [](std::string_view) {};
    auto storage = Storage::open(environment(), options, source);
    storage->deliver_undo_snapshot();
    return storage;
  }

  io::SimulatedExecutor executor;
  io::SimulatedDisk disk;
  io::SeededRandom random;
  bool fatal_called = false;
};

/// Repeats `attempt` in actions of its own until it gives no token to wait for; the disk may end it
/// (`false`).
inline bool in_action(Storage& storage, io::Executor& executor, const std::function<bool()>& alive,
                      const std::function<std::optional<io::WaitToken>()>& attempt) {
  while (alive()) {
    std::optional<io::WaitToken> wait;
    {
      const Action action(storage.gate());
      wait = attempt();
    }
    if (!wait) return true;
    executor.block_on(*wait);
  }
  return false;
}

}  // namespace rustbd::storage::testing
