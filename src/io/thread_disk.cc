// The fallback backend: asynchronous operations run as blocking calls on a few I/O threads. Also the one that
// the thread sanitizer understands.
#include <pthread.h>

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "rustbd/io/real_file.h"

namespace rustbd::io {

namespace {

constexpr std::size_t kIoThreads = 4;

class IoThreads {
 public:
  IoThreads() {
    for (std::size_t i = 0; i < kIoThreads; ++i) threads_.emplace_back([this] { run(); });
  }
  ~IoThreads() {
    {
      std::lock_guard lock{mutex_};
      stopping_ = true;
    }
    work_.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }
  void submit(Job job) {
    std::lock_guard lock{mutex_};
    jobs_.push_back(std::move(job));
    work_.notify_one();  // under the mutex: once the job is done, the disk may be destroyed, which takes it
                         // first
  }

 private:
  void run() {
    pthread_setname_np(pthread_self(), "disk");
    std::unique_lock lock{mutex_};
    for (;;) {
      work_.wait(lock, [&] { return stopping_ || !jobs_.empty(); });
      if (jobs_.empty()) return;
      Job job = std::move(jobs_.front());
      jobs_.pop_front();
      lock.unlock();
      job();
      job = {};
      lock.lock();
    }
  }

  std::mutex mutex_;  // protects jobs_, stopping_
  std::condition_variable work_;
  std::deque<Job> jobs_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

class ThreadFile final : public RealFile {
 public:
  ThreadFile(int fd, bool aligned, bool direct, IoThreads& threads)
      : RealFile(fd, aligned, direct), threads_(threads) {}
  void read_async(std::uint64_t offset, std::span<std::byte> into, IoRequest* request) override {
    submit(request, [this, offset, into] { return read(offset, into); });
  }
  void write_async(std::uint64_t offset, std::span<const std::byte> from, IoRequest* request) override {
    submit(request, [this, offset, from] { return write(offset, from); });
  }
  void datasync_async(IoRequest* request) override {
    submit(request, [this] { return datasync(); });
  }

 private:
  template <class Operation>
  void submit(IoRequest* request, Operation operation) {
    threads_.submit([request, operation] {
      request->status = operation();
      const WaitToken done = request->done;  // the request may be gone once it has fired
      done.fire();
    });
  }
  IoThreads& threads_;
};

class ThreadDisk final : public RealDisk {
 public:
  using RealDisk::RealDisk;
  [[nodiscard]] std::string_view name() const override { return "threads"; }

 protected:
  std::unique_ptr<File> make_file(int fd, bool aligned, bool direct) override {
    return std::make_unique<ThreadFile>(fd, aligned, direct, threads_);
  }

 private:
  IoThreads threads_;
};

}  // namespace

std::unique_ptr<Disk> make_thread_disk(std::string root) {
  return std::make_unique<ThreadDisk>(std::move(root));
}

}  // namespace rustbd::io
