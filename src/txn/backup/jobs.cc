#include "rustbd/txn/backup/jobs.h"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <utility>

#include "rustbd/base/error.h"
#include "rustbd/io/paths.h"

namespace rustbd::txn {
namespace {

namespace fs = std::filesystem;
constexpr std::size_t kRemembered = 100;

void require_absolute(const std::string& path) {
  if (!fs::path(path).is_absolute())
    throw error(sqlstate::kInvalidParameterValue, "\"{}\" is no absolute path", path);
}

/// Makes the directory, nobody else's to read, unless it is there. Its name is durable.
void make_target(const std::string& path) {
  std::error_code failure;
  fs::path parent = fs::path(path).lexically_normal();
  if (!parent.has_filename()) parent = parent.parent_path();  // "/a/b/"
  parent = parent.parent_path();
  if (!fs::is_directory(parent, failure))
    throw error(sqlstate::kUndefinedFile, "there is no directory \"{}\"", parent.string());
  if (fs::create_directory(path, failure)) fs::permissions(path, fs::perms::owner_all, failure);
  if (failure)
    throw error(failure == std::errc::no_space_on_device ? sqlstate::kDiskFull : sqlstate::kIoError,
                "could not make directory \"{}\": {}", path, failure.message());
  require_backup(io::make_real_disk(parent.string())->sync_directory(""), "sync", parent.string());
}

}  // namespace

std::string_view to_text(BackupJob::State state) {
  switch (state) {
    case BackupJob::State::kRunning: return "running";
    case BackupJob::State::kDone: return "done";
    case BackupJob::State::kFailed: return "failed";
    case BackupJob::State::kCancelled: return "cancelled";
  }
  return "?";
}

struct BackupJobs::Running {
  std::uint64_t id = 0;
  BackupRequest request;
  std::atomic<bool> cancelled{false}, ended{false};
  std::atomic<std::uint64_t> written{0};
  std::unique_ptr<io::BackgroundThread> thread;
};

BackupJobs::BackupJobs(TransactionSystem& system, metrics::Registry& registry)
    : system_(system),
      failures_(registry.counter("rustbd_backup_failures_total",
                                 "Backups that failed; those that were cancelled not counted")) {
  const auto gauge = [&](const char* name, const char* help, std::function<double()> read) {
    callbacks_.push_back(registry.gauge_callback(name, help, std::move(read)));
  };
  gauge("rustbd_last_backup_timestamp_seconds", "When the last good backup since the start ended; 0: none",
        [this] { return static_cast<double>(last_us_.load()) * 1e-6; });
  gauge("rustbd_last_backup_bytes", "Size of that backup",
        [this] { return static_cast<double>(last_bytes_.load()); });
  gauge("rustbd_last_backup_seconds", "How long it took",
        [this] { return static_cast<double>(last_duration_us_.load()) * 1e-6; });
}

BackupJobs::~BackupJobs() { stop(); }

std::uint64_t BackupJobs::start(BackupRequest request) {
  require_absolute(request.target);
  if (!request.parent.empty()) require_absolute(request.parent);
  for (const std::string& own : system_.options().own_paths)
    if (io::lies_in(request.target, own))
      throw error(sqlstate::kInvalidParameterValue, "\"{}\" lies in \"{}\", which is the server's own",
                  request.target, own);
  const std::lock_guard lock(mutex_);
  if (stopped_) throw error(sqlstate::kObjectNotInPrerequisiteState, "the server stops");
  if (running_ != nullptr && !running_->ended.load())
    throw error(sqlstate::kObjectInUse, "another backup is running")
        .with_hint("rustbd_backups shows it, rustbd_cancel_backup(id) ends it.");
  reap();
  make_target(request.target);
  BackupJob job;
  job.id = next_id_++;
  job.target = request.target;
  job.parent = request.parent;
  job.began_us = system_.environment().clock->wall_us();
  if (jobs_.size() == kRemembered) jobs_.erase(jobs_.begin());
  jobs_.push_back(job);
  running_ = std::make_unique<Running>();
  running_->id = job.id;
  running_->request = std::move(request);
  running_->thread = system_.environment().executor->start_background(
      "backup", [this, running = running_.get()] { run(*running); });
  return job.id;
}

// mutex_ held, the job has ended: its thread does nothing more that needs the mutex.
void BackupJobs::reap() {
  if (running_ == nullptr) return;
  running_->thread->join();
  running_.reset();
}

void BackupJobs::run(Running& running) {
  try {
    const auto to = io::make_real_disk(running.request.target);
    std::unique_ptr<io::Disk> parent;
    BackupOptions options;
    options.to = {to.get(), ""};
    if (!running.request.parent.empty()) {
      parent = io::make_real_disk(running.request.parent);
      options.parent = {parent.get(), ""};
      options.parent_path = running.request.parent;
    }
    options.compression = running.request.compression;
    options.bytes_per_second = running.request.bytes_per_second;
    options.cancelled = &running.cancelled;
    options.written = &running.written;
    const BackupManifest made = make_backup(system_, options);
    end(running, BackupJob::State::kDone, nullptr, &made);
  } catch (const Error& e) {
    const bool cancelled = e.state == sqlstate::kQueryCanceled;
    end(running, cancelled ? BackupJob::State::kCancelled : BackupJob::State::kFailed, &e, nullptr);
  } catch (const std::exception& e) {
    const Error failure{sqlstate::kInternalError, e.what()};
    end(running, BackupJob::State::kFailed, &failure, nullptr);
  }
}

void BackupJobs::end(Running& running, BackupJob::State state, const Error* failure,
                     const BackupManifest* manifest) {
  const std::int64_t now = system_.environment().clock->wall_us();
  std::string line;
  {
    const std::lock_guard lock(mutex_);
    const auto job = std::ranges::find(jobs_, running.id, &BackupJob::id);
    job->state = state;
    job->ended_us = now;
    job->bytes = manifest != nullptr ? manifest->bytes() : running.written.load();
    if (failure != nullptr) {
      job->sqlstate = failure->state.text();
      job->message = failure->message;
    } else {
      job->from = manifest->checkpoint;
      job->to = manifest->end;
      last_us_.store(now);
      last_bytes_.store(job->bytes);
      last_duration_us_.store(static_cast<std::uint64_t>(now - job->began_us));
    }
    if (state == BackupJob::State::kFailed) failures_.inc();
    line = fmt::format("backup {} to \"{}\" {}{}{}, {} bytes", job->id, job->target, to_text(state),
                       job->message.empty() ? "" : ": ", job->message, job->bytes);
    running.ended.store(true);
  }
  const bool failed = state == BackupJob::State::kFailed;
  system_.options().log_line(failed ? LogLevel::kWarning : LogLevel::kInfo, line);
}

bool BackupJobs::cancel(std::uint64_t id) {
  const std::lock_guard lock(mutex_);
  if (running_ == nullptr || running_->id != id || running_->ended.load()) return false;
  running_->cancelled.store(true);
  return true;
}

std::vector<BackupJob> BackupJobs::list() const {
  const std::lock_guard lock(mutex_);
  std::vector<BackupJob> out = jobs_;
  if (running_ != nullptr && !running_->ended.load()) out.back().bytes = running_->written.load();
  return out;
}

void BackupJobs::stop() {
  std::unique_ptr<Running> running;
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
    running = std::move(running_);
  }
  if (running == nullptr) return;
  running->cancelled.store(true);
  running->thread->join();
}

}  // namespace rustbd::txn
