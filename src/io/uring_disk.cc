// The io_uring backend: submission from any thread, many requests a system call; one thread reaps completions
// and fires tokens.
#include <liburing.h>
#include <pthread.h>

#include <cerrno>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "rustbd/base/assert.h"
#include "rustbd/io/put_off.h"
#include "rustbd/io/real_file.h"

namespace rustbd::io {

namespace {

constexpr unsigned kRingEntries = 512;
constexpr unsigned kInFlightMax = 512;  // at most the completion queue's size, so that it cannot overflow

struct Operation {
  enum class Kind : std::uint8_t { kRead, kWrite, kSync, kStop } kind;
  int fd;
  std::uint64_t offset;
  std::byte* data;
  std::size_t bytes;
  IoRequest* request;
};

// What threads submit gathers in waiting_; one of them at a time hands it over to the kernel, all that is
// there by one system call. A lane's thread puts that off until it has nothing else to do.
class Ring final : public PutOff, public std::enable_shared_from_this<Ring> {
 public:
  // False where io_uring is refused.
  bool open() {
    if (io_uring_queue_init(kRingEntries, &ring_, 0) != 0) return false;
    thread_ = std::thread([this] { reap(); });
    return true;
  }
  /// No operation is under way. Afterwards flush() does nothing: a lane's thread may still come with it.
  void stop() {
    if (!thread_.joinable()) return;
    add(new Operation{Operation::Kind::kStop, -1, 0, nullptr, 0, nullptr});
    flush();
    thread_.join();
    std::unique_lock lock{mutex_};
    stopped_ = true;
    idle_.wait(lock, [this] { return !submitting_; });
    io_uring_queue_exit(&ring_);
  }
  void submit(Operation* operation) {
    add(operation);
    if (!put_off(shared_from_this())) flush();
  }
  void flush() override {
    std::unique_lock lock{mutex_};
    if (submitting_ || stopped_) return;  // that thread looks again before it goes
    submitting_ = true;
    while (prepare_waiting()) {
      lock.unlock();
      while (io_uring_sq_ready(&ring_) > 0) {
        const int n = io_uring_submit(&ring_);
        RUSTBD_ASSERT(n >= 0 || n == -EINTR || n == -EAGAIN || n == -EBUSY, "io_uring_submit failed");
      }
      lock.lock();
    }
    submitting_ = false;
    if (stopped_) idle_.notify_all();
  }

 private:
  void add(Operation* operation) {
    const std::lock_guard lock{mutex_};
    waiting_.push_back(operation);
  }
  void prepare(io_uring_sqe* sqe, Operation* op) {
    switch (op->kind) {
      case Operation::Kind::kRead:
        io_uring_prep_read(sqe, op->fd, op->data, static_cast<unsigned>(chunk(op->bytes)), op->offset);
        break;
      case Operation::Kind::kWrite:
        io_uring_prep_write(sqe, op->fd, op->data, static_cast<unsigned>(chunk(op->bytes)), op->offset);
        break;
      case Operation::Kind::kSync: io_uring_prep_fsync(sqe, op->fd, IORING_FSYNC_DATASYNC); break;
      case Operation::Kind::kStop: io_uring_prep_nop(sqe); break;
    }
    io_uring_sqe_set_data(sqe, op);
  }
  static std::size_t chunk(std::size_t bytes) { return bytes < (1u << 30) ? bytes : (1u << 30); }

  // With mutex_ held and submitting_ set. False: there is nothing to submit.
  bool prepare_waiting() {
    while (!waiting_.empty() && in_flight_ < kInFlightMax) {
      io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
      if (sqe == nullptr) break;
      prepare(sqe, waiting_.front());
      waiting_.pop_front();
      ++in_flight_;
    }
    return io_uring_sq_ready(&ring_) > 0;
  }

  void reap() {
    pthread_setname_np(pthread_self(), "uring");
    struct Completion {
      Operation* op;
      int result;
    };
    std::vector<Completion> completions;
    for (bool stop = false; !stop;) {
      io_uring_cqe* cqe = nullptr;
      const int waited = io_uring_wait_cqe(&ring_, &cqe);
      if (waited == -EINTR || waited == -EAGAIN) continue;
      RUSTBD_ASSERT(waited == 0, "io_uring_wait_cqe failed");
      completions.clear();
      unsigned head = 0;
      io_uring_for_each_cqe(&ring_, head, cqe) {
        completions.push_back({static_cast<Operation*>(io_uring_cqe_get_data(cqe)), cqe->res});
      }
      io_uring_cq_advance(&ring_, static_cast<unsigned>(completions.size()));
      bool more = false;
      {
        // Before an operation is looked at: the submitter wrote it under this mutex, and what passes through
        // the kernel is no synchronisation that the memory model (or the thread sanitizer) knows.
        const std::lock_guard lock{mutex_};
        in_flight_ -= static_cast<unsigned>(completions.size());
        more = !waiting_.empty();
      }
      for (const auto& [op, result] : completions) {
        if (op->kind == Operation::Kind::kStop) {
          delete op;
          stop = true;
        } else if (!complete(op, result)) {
          add(op);
          more = true;
        }
      }
      if (more) flush();
    }
  }

  // False: the operation goes on (interrupted, or only a part was done).
  static bool complete(Operation* op, int result) {
    const bool sync = op->kind == Operation::Kind::kSync;
    // Cancelled: the thread that handed it over to the kernel has ended meanwhile. A sync that failed is
    // final.
    if ((result == -EINTR || result == -EAGAIN || result == -ECANCELED) && !sync) return false;
    if (result < 0) return finish(op, std::unexpected{failure_of(-result)});
    if (sync) return finish(op, {});
    if (result == 0 && op->bytes > 0) {
      return finish(
          op, std::unexpected{op->kind == Operation::Kind::kRead ? IoFailure::kShort : IoFailure::kNoSpace});
    }
    op->data += result;
    op->offset += static_cast<std::uint64_t>(result);
    op->bytes -= static_cast<std::size_t>(result);
    return op->bytes > 0 ? false : finish(op, {});
  }
  static bool finish(Operation* op, IoResult<> status) {
    op->request->status = status;
    const WaitToken done = op->request->done;  // the request may be gone once it has fired
    delete op;
    done.fire();
    return true;
  }

  io_uring ring_{};
  std::mutex mutex_;  // protects the four below; the submission side of ring_ is whose thread set submitting_
  std::deque<Operation*> waiting_;
  unsigned in_flight_ = 0;
  bool submitting_ = false;
  bool stopped_ = false;
  std::condition_variable idle_;  // submitting_ is false, after stopped_
  std::thread thread_;
};

class UringFile final : public RealFile {
 public:
  UringFile(int fd, bool aligned, bool direct, Ring& ring) : RealFile(fd, aligned, direct), ring_(ring) {}
  void read_async(std::uint64_t offset, std::span<std::byte> into, IoRequest* request) override {
    check_alignment(offset, into);
    start(Operation::Kind::kRead, offset, into.data(), into.size(), request);
  }
  void write_async(std::uint64_t offset, std::span<const std::byte> from, IoRequest* request) override {
    check_alignment(offset, from);
    start(Operation::Kind::kWrite, offset, const_cast<std::byte*>(from.data()), from.size(), request);
  }
  void datasync_async(IoRequest* request) override { start(Operation::Kind::kSync, 0, nullptr, 0, request); }

 private:
  void start(Operation::Kind kind, std::uint64_t offset, std::byte* data, std::size_t bytes,
             IoRequest* request) {
    ring_.submit(new Operation{kind, descriptor(), offset, data, bytes, request});
  }
  Ring& ring_;
};

class UringDisk final : public RealDisk {
 public:
  using RealDisk::RealDisk;
  ~UringDisk() override { ring_->stop(); }
  bool open_ring() { return ring_->open(); }
  void submit() override { ring_->flush(); }
  [[nodiscard]] std::string_view name() const override { return "io_uring"; }

 protected:
  std::unique_ptr<File> make_file(int fd, bool aligned, bool direct) override {
    return std::make_unique<UringFile>(fd, aligned, direct, *ring_);
  }

 private:
  std::shared_ptr<Ring> ring_ = std::make_shared<Ring>();  // a lane's thread may still come to flush it
};

}  // namespace

std::unique_ptr<Disk> make_uring_disk(std::string root) {
  auto disk = std::make_unique<UringDisk>(std::move(root));
  if (!disk->open_ring()) return nullptr;
  return disk;
}

}  // namespace rustbd::io
