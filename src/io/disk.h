// Disk and File: every byte to and from disk passes here. Real: io_uring, or pread/pwrite on threads where
// io_uring is refused. Simulated: crashes, torn and lost writes, EIO, ENOSPC, all from a seed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "rustbd/io/wait.h"

namespace rustbd::io {

enum class IoFailure : std::uint8_t {
  kNoSpace,
  kDevice,
  kNotFound,
  kExists,
  kBusy,
  kDenied,
  kChecksum,
  kShort,
  kNoResources,  // of the process or the kernel, not of the disk: it may work later
};
std::string_view to_text(IoFailure failure);
template <class T = void>
using IoResult = std::expected<T, IoFailure>;

/// One asynchronous operation. The owner keeps it and its buffers alive until `done` has fired.
/// `status` is written before `done` fires and read only after.
struct IoRequest {
  IoResult<> status{};
  WaitToken done;
};

struct OpenOptions {
  bool create = false;  // make it if absent (not durable until Disk::sync_directory)
  bool direct =
      false;  // bypass the OS cache where the file system allows; offsets and buffers are 4096-aligned then
  bool read_only = false;
};

/// Threads: any. Reads past the end give kShort. A failed datasync is final: the caller must never retry it.
class File {
 public:
  virtual ~File() = default;
  /// Starts the operation and returns at once. `request->done` must hold a fresh token.
  virtual void read_async(std::uint64_t offset, std::span<std::byte> into, IoRequest* request) = 0;
  virtual void write_async(std::uint64_t offset, std::span<const std::byte> from, IoRequest* request) = 0;
  virtual void datasync_async(IoRequest* request) = 0;
  /// Blocking forms for start-up, tools and background threads.
  virtual IoResult<> read(std::uint64_t offset, std::span<std::byte> into) = 0;
  virtual IoResult<> write(std::uint64_t offset, std::span<const std::byte> from) = 0;
  virtual IoResult<> datasync() = 0;
  /// write(), and these bytes (with what is needed to read them) are durable when it returns: one device
  /// operation where the hardware has forced writes. Of earlier writes it says nothing. A failure is as final
  /// as that of datasync.
  virtual IoResult<> write_durable(std::uint64_t offset, std::span<const std::byte> from) {
    if (auto written = write(offset, from); !written) return written;
    return datasync();
  }
  /// Reserves the range (fallocate): a later write there does not fail for lack of room. Extends the file
  /// with zeros.
  virtual IoResult<> allocate(std::uint64_t offset, std::uint64_t bytes) = 0;
  virtual IoResult<> truncate(std::uint64_t bytes) = 0;
  virtual IoResult<std::uint64_t> size() = 0;
  /// Whether it passes by the kernel's page cache, as OpenOptions::direct asked for.
  [[nodiscard]] virtual bool direct() const { return false; }
};

/// Holds an exclusive lock on a file for as long as it lives.
class FileLock {
 public:
  virtual ~FileLock() = default;
};

/// Paths are relative to the data directory, with '/' between parts.
class Disk {
 public:
  virtual ~Disk() = default;
  virtual IoResult<std::unique_ptr<File>> open(const std::string& path, OpenOptions options) = 0;
  virtual IoResult<> remove(const std::string& path) = 0;
  virtual IoResult<> rename(const std::string& from, const std::string& to) = 0;
  /// Makes creations, removals and renames in the directory durable.
  virtual IoResult<> sync_directory(const std::string& path) = 0;
  virtual IoResult<> make_directory(const std::string& path) = 0;
  /// Names (not paths) in the directory, sorted.
  virtual IoResult<std::vector<std::string>> list(const std::string& path) = 0;
  virtual bool exists(const std::string& path) = 0;  // true too if that cannot be told: open() says why
  /// kBusy when another process (or another lock of this one) holds it.
  virtual IoResult<std::unique_ptr<FileLock>> lock(const std::string& path) = 0;
  /// "io_uring", "threads", "simulated": for the log.
  [[nodiscard]] virtual std::string_view name() const = 0;
  /// What the calling thread has asked of files of this disk goes to the device now. Without it that happens
  /// when the thread next waits or idles: for requests that it will not wait for soon.
  virtual void submit() {}
  /// What files may still grow by, as the file system says it; others may take it first. 0: full, or not
  /// known.
  virtual std::uint64_t free_bytes() { return 0; }
};

enum class DiskBackend : std::uint8_t { kAutomatic, kUring, kThreads };
/// `root` must exist. kAutomatic probes io_uring and falls back to threads; Disk::name() tells which it is.
std::unique_ptr<Disk> make_real_disk(std::string root, DiskBackend backend = DiskBackend::kAutomatic);

}  // namespace rustbd::io
