#include "rustbd/io/real_file.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include "rustbd/base/assert.h"

namespace rustbd::io {

std::string_view to_text(IoFailure failure) {
  switch (failure) {
    case IoFailure::kNoSpace: return "no space left on device";
    case IoFailure::kDevice: return "input/output error";
    case IoFailure::kNotFound: return "no such file or directory";
    case IoFailure::kExists: return "file exists";
    case IoFailure::kBusy: return "locked by another process";
    case IoFailure::kDenied: return "permission denied";
    case IoFailure::kChecksum: return "checksum mismatch";
    case IoFailure::kShort: return "unexpected end of file";
    case IoFailure::kNoResources: return "too many open files, or no memory in the kernel";
  }
  return "unknown failure";
}

IoFailure failure_of(int error_number) {
  switch (error_number) {
    case ENOSPC:
    case EDQUOT: return IoFailure::kNoSpace;
    case ENOENT:
    case ENOTDIR: return IoFailure::kNotFound;
    case EEXIST:
    case ENOTEMPTY: return IoFailure::kExists;
    case EACCES:
    case EPERM:
    case EROFS: return IoFailure::kDenied;
    case EWOULDBLOCK:
    case EBUSY: return IoFailure::kBusy;
    case EMFILE:
    case ENFILE:
    case ENOMEM: return IoFailure::kNoResources;
    default: return IoFailure::kDevice;
  }
}

namespace {
std::unexpected<IoFailure> last_failure() { return std::unexpected{failure_of(errno)}; }
// What was to become durable may be lost, whatever the reason: nothing that may work later.
std::unexpected<IoFailure> sync_failure(int error_number) {
  const IoFailure why = failure_of(error_number);
  return std::unexpected{why == IoFailure::kNoResources ? IoFailure::kDevice : why};
}

class FlockLock final : public FileLock {
 public:
  explicit FlockLock(int fd) : fd_(fd) {}
  ~FlockLock() override { ::close(fd_); }

 private:
  const int fd_;
};
}  // namespace

RealFile::~RealFile() { ::close(fd_); }

void RealFile::check_alignment(std::uint64_t offset, std::span<const std::byte> bytes) const {
  if (!aligned_) return;
  RUSTBD_ASSERT(offset % 4096 == 0 && bytes.size() % 4096 == 0, "direct I/O in whole blocks");
  RUSTBD_ASSERT(reinterpret_cast<std::uintptr_t>(bytes.data()) % 4096 == 0,
                "direct I/O from aligned buffers");
}

IoResult<> RealFile::read(std::uint64_t offset, std::span<std::byte> into) {
  check_alignment(offset, into);
  while (!into.empty()) {
    const ssize_t n = ::pread(fd_, into.data(), into.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return last_failure();
    if (n == 0) return std::unexpected{IoFailure::kShort};
    into = into.subspan(static_cast<std::size_t>(n));
    offset += static_cast<std::uint64_t>(n);
  }
  return {};
}

IoResult<> RealFile::write(std::uint64_t offset, std::span<const std::byte> from) {
  check_alignment(offset, from);
  while (!from.empty()) {
    const ssize_t n = ::pwrite(fd_, from.data(), from.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return last_failure();
    if (n == 0) return std::unexpected{IoFailure::kNoSpace};
    from = from.subspan(static_cast<std::size_t>(n));
    offset += static_cast<std::uint64_t>(n);
  }
  return {};
}

IoResult<> RealFile::datasync() {
  if (::fdatasync(fd_) != 0)
    return sync_failure(errno);  // EINTR included: nothing is known then, and it is never retried
  return {};
}

IoResult<> RealFile::write_durable(std::uint64_t offset, std::span<const std::byte> from) {
  check_alignment(offset, from);
  while (!from.empty()) {
    const iovec part{const_cast<std::byte*>(from.data()), from.size()};
    const ssize_t n = ::pwritev2(fd_, &part, 1, static_cast<off_t>(offset), RWF_DSYNC);
    if (n < 0 && errno == EOPNOTSUPP)
      return File::write_durable(offset, from);  // an old kernel or file system
    if (n < 0) return sync_failure(errno);       // EINTR included, as for datasync
    if (n == 0) return std::unexpected{IoFailure::kNoSpace};
    from = from.subspan(static_cast<std::size_t>(n));
    offset += static_cast<std::uint64_t>(n);
  }
  return {};
}

IoResult<> RealFile::allocate(std::uint64_t offset, std::uint64_t bytes) {
  if (bytes == 0) return {};
  int error_number = 0;
  do {
    error_number = ::posix_fallocate(fd_, static_cast<off_t>(offset), static_cast<off_t>(bytes));
  } while (error_number == EINTR);
  if (error_number != 0) return std::unexpected{failure_of(error_number)};
  return {};
}

IoResult<> RealFile::truncate(std::uint64_t bytes) {
  while (::ftruncate(fd_, static_cast<off_t>(bytes)) != 0)
    if (errno != EINTR) return last_failure();
  return {};
}

IoResult<std::uint64_t> RealFile::size() {
  struct stat info {};
  if (::fstat(fd_, &info) != 0) return last_failure();
  return static_cast<std::uint64_t>(info.st_size);
}

std::string RealDisk::absolute(const std::string& path) const {
  return path.empty() || path == "." ? root_ : root_ + "/" + path;
}

IoResult<std::unique_ptr<File>> RealDisk::open(const std::string& path, OpenOptions options) {
  int flags = (options.read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC;
  if (options.create) flags |= O_CREAT;
  const std::string name = absolute(path);
  bool direct = options.direct;
  int fd = ::open(name.c_str(), flags | (direct ? O_DIRECT : 0), 0600);
  if (fd < 0 && direct && errno == EINVAL) {  // tmpfs, some overlays
    direct = false;
    fd = ::open(name.c_str(), flags, 0600);
  }
  if (fd < 0) return last_failure();
  return make_file(fd, options.direct, direct);
}

IoResult<> RealDisk::remove(const std::string& path) {
  if (std::remove(absolute(path).c_str()) != 0) return last_failure();
  return {};
}

IoResult<> RealDisk::rename(const std::string& from, const std::string& to) {
  if (::rename(absolute(from).c_str(), absolute(to).c_str()) != 0) return last_failure();
  return {};
}

IoResult<> RealDisk::sync_directory(const std::string& path) {
  const int fd = ::open(absolute(path).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return last_failure();
  const int result = ::fsync(fd);
  const int error_number = errno;
  ::close(fd);
  if (result != 0) return sync_failure(error_number);
  return {};
}

IoResult<> RealDisk::make_directory(const std::string& path) {
  if (::mkdir(absolute(path).c_str(), 0700) != 0) return last_failure();
  return {};
}

IoResult<std::vector<std::string>> RealDisk::list(const std::string& path) {
  DIR* directory = ::opendir(absolute(path).c_str());
  if (directory == nullptr) return last_failure();
  std::vector<std::string> names;
  for (;;) {
    errno = 0;
    const dirent* entry = ::readdir(directory);
    if (entry == nullptr) break;
    const std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(name);
  }
  const int error_number = errno;  // 0: the end
  ::closedir(directory);
  if (error_number != 0) return std::unexpected{failure_of(error_number)};
  std::sort(names.begin(), names.end());
  return names;
}

bool RealDisk::exists(const std::string& path) {
  return ::access(absolute(path).c_str(), F_OK) == 0 || failure_of(errno) != IoFailure::kNotFound;
}

IoResult<std::unique_ptr<FileLock>> RealDisk::lock(const std::string& path) {
  int fd = ::open(absolute(path).c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0 && errno == EROFS) fd = ::open(absolute(path).c_str(), O_RDONLY | O_CLOEXEC);  // tools only read
  if (fd < 0) return last_failure();
  while (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
    if (errno == EINTR) continue;
    const int error_number = errno;
    ::close(fd);
    return std::unexpected{failure_of(error_number)};
  }
  return std::make_unique<FlockLock>(fd);
}

std::uint64_t RealDisk::free_bytes() {
  struct statvfs room {};
  if (::statvfs(root_.c_str(), &room) != 0) return 0;
  return std::uint64_t{room.f_bavail} * room.f_frsize;
}

std::unique_ptr<Disk> make_real_disk(std::string root, DiskBackend backend) {
  if (backend != DiskBackend::kThreads) {
    if (auto disk = make_uring_disk(root)) return disk;
  }
  return make_thread_disk(std::move(root));
}

}  // namespace rustbd::io
