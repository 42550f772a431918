// BackupJobs: the backups of a running server, one at a time, each on a thread of its own; what
// rustbd_backup() starts and rustbd_backups shows.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "rustbd/io/executor.h"
#include "rustbd/metrics/registry.h"
#include "rustbd/txn/backup/backup.h"

namespace rustbd::txn {

struct BackupJob {
  enum class State : std::uint8_t { kRunning, kDone, kFailed, kCancelled };
  std::uint64_t id = 0;
  State state = State::kRunning;
  std::string target, parent;               // directories; parent empty: a full backup
  std::int64_t began_us = 0, ended_us = 0;  // wall clock; ended_us 0: it runs
  std::uint64_t bytes = 0;                  // written so far
  Lsn from, to;                             // it can be restored to any position from here on; none: not done
  std::string sqlstate, message;            // why it failed
};
std::string_view to_text(BackupJob::State state);

struct BackupRequest {
  std::string target;  // an absolute path; made if it is not there, else empty
  std::string parent;  // likewise, of an earlier backup; empty: a full backup
  storage::PageCompression compression = storage::PageCompression::kZstd;
  std::uint64_t bytes_per_second = 0;  // 0: as fast as it goes
};

/// Threads: any. The last few jobs are remembered until the server stops.
class BackupJobs {
 public:
  BackupJobs(TransactionSystem& system, metrics::Registry& registry);
  ~BackupJobs();  // stop()s

  /// Returns the id at once. Throws Error 55006: one runs already; 22023: a path is not absolute, or one of
  /// Options::own_paths; 55000: the server stops; 58030, 53100: the directory cannot be made.
  std::uint64_t start(BackupRequest request);
  /// False: no such job runs. It ends soon after.
  bool cancel(std::uint64_t id);
  [[nodiscard]] std::vector<BackupJob> list() const;
  /// Cancels what runs and waits for its end; nothing starts any more.
  void stop();

 private:
  struct Running;
  void run(Running& running);
  void end(Running& running, BackupJob::State state, const Error* failure, const BackupManifest* manifest);
  void reap();

  TransactionSystem& system_;
  mutable std::mutex mutex_;  // protects the ones below
  std::vector<BackupJob> jobs_;
  std::unique_ptr<Running> running_;  // the last one started; its thread may have ended
  std::uint64_t next_id_ = 1;
  bool stopped_ = false;
  std::atomic<std::int64_t> last_us_{0};
  std::atomic<std::uint64_t> last_bytes_{0}, last_duration_us_{0};
  metrics::Counter& failures_;
  std::vector<metrics::Registry::Callback> callbacks_;
};

}  // namespace rustbd::txn
