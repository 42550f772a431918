// What the two real backends share: files by descriptor, errno, paths. Private to io.
#pragma once

#include <string>

#include "rustbd/io/disk.h"

namespace rustbd::io {

IoFailure failure_of(int error_number);

/// A file by descriptor. Blocking forms call the kernel on the caller's thread; the async ones belong to the
/// backend.
class RealFile : public File {
 public:
  /// `direct`: of an aligned one, whether the file system granted O_DIRECT.
  RealFile(int fd, bool aligned, bool direct) : fd_(fd), aligned_(aligned), direct_(direct) {}
  ~RealFile() override;
  RealFile(const RealFile&) = delete;
  RealFile& operator=(const RealFile&) = delete;

  IoResult<> read(std::uint64_t offset, std::span<std::byte> into) override;
  IoResult<> write(std::uint64_t offset, std::span<const std::byte> from) override;
  IoResult<> datasync() override;
  IoResult<> write_durable(std::uint64_t offset, std::span<const std::byte> from) override;
  IoResult<> allocate(std::uint64_t offset, std::uint64_t bytes) override;
  IoResult<> truncate(std::uint64_t bytes) override;
  IoResult<std::uint64_t> size() override;
  [[nodiscard]] bool direct() const override { return direct_; }
  [[nodiscard]] int descriptor() const { return fd_; }

 protected:
  /// Callers that asked for direct I/O keep to its rules even where the file system did not grant it.
  void check_alignment(std::uint64_t offset, std::span<const std::byte> bytes) const;

 private:
  const int fd_;
  const bool aligned_;
  const bool direct_;
};

/// Path operations on a root directory; a backend adds make_file().
class RealDisk : public Disk {
 public:
  explicit RealDisk(std::string root) : root_(std::move(root)) {}
  IoResult<std::unique_ptr<File>> open(const std::string& path, OpenOptions options) override;
  IoResult<> remove(const std::string& path) override;
  IoResult<> rename(const std::string& from, const std::string& to) override;
  IoResult<> sync_directory(const std::string& path) override;
  IoResult<> make_directory(const std::string& path) override;
  IoResult<std::vector<std::string>> list(const std::string& path) override;
  bool exists(const std::string& path) override;
  IoResult<std::unique_ptr<FileLock>> lock(const std::string& path) override;
  std::uint64_t free_bytes() override;

 protected:
  virtual std::unique_ptr<File> make_file(int fd, bool aligned, bool direct) = 0;

 private:
  [[nodiscard]] std::string absolute(const std::string& path) const;
  const std::string root_;
};

std::unique_ptr<Disk> make_thread_disk(std::string root);
/// nullptr where the kernel (or a container's policy) refuses io_uring.
std::unique_ptr<Disk> make_uring_disk(std::string root);

}  // namespace rustbd::io
