// The real executor: a worker pool over one queue, a timer thread, serial lanes and background threads.
#include <pthread.h>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <thread>

#include "rustbd/base/assert.h"
#include "rustbd/io/executor.h"
#include "rustbd/io/put_off.h"

namespace rustbd::io {

namespace {

using SteadyTime = std::chrono::steady_clock::time_point;

void name_this_thread(const std::string& name) {
  pthread_setname_np(pthread_self(), name.substr(0, 15).c_str());
}

// A queue of jobs and the threads that run them: the pool (n threads) and a serial lane (one thread) alike.
class QueueLane final : public Lane {
 public:
  QueueLane(std::size_t threads, const std::string& name) {
    for (std::size_t i = 0; i < threads; ++i) {
      const std::string own = threads > 1 ? name + "-" + std::to_string(i) : name;
      threads_.emplace_back([this, own] { run(own); });
    }
  }
  ~QueueLane() override { stop(); }

  void post(Job job) override {
    std::lock_guard lock{mutex_};
    if (stopping_) return;
    jobs_.push_back(std::move(job));
    work_.notify_one();  // under the mutex: the job may let the owner destroy this lane, which takes it first
  }
  // What is queued still runs.
  void stop() {
    {
      std::lock_guard lock{mutex_};
      stopping_ = true;
    }
    work_.notify_all();
    for (std::thread& thread : threads_)
      if (thread.joinable()) thread.join();
  }

 private:
  void run(const std::string& name) {
    name_this_thread(name);
    const Running running{this};
    PuttingOff putting_off;
    std::unique_lock lock{mutex_};
    for (;;) {
      if (jobs_.empty() && !stopping_) {
        lock.unlock();
        flush_put_off();
        lock.lock();
      }
      work_.wait(lock, [&] { return stopping_ || !jobs_.empty(); });
      if (jobs_.empty()) return;
      Job job = std::move(jobs_.front());
      jobs_.pop_front();
      lock.unlock();
      job();
      job = {};  // what it holds goes before the lock is taken
      putting_off.count_job();
      lock.lock();
    }
  }

  std::mutex mutex_;  // protects jobs_, stopping_
  std::condition_variable work_;
  std::deque<Job> jobs_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

class TimerThread {
 public:
  TimerThread() : thread_([this] { run(); }) {}
  ~TimerThread() { stop(); }

  WaitToken after(std::chrono::microseconds delay) {
    WaitToken token = WaitToken::make(WaitReason::kTimer);
    const SteadyTime due = std::chrono::steady_clock::now() + delay;
    bool earliest = false;
    {
      std::lock_guard lock{mutex_};
      if (stopping_) return token;
      sweep_if_grown();
      earliest = heap_.empty() || due < heap_.front().due;
      heap_.push_back({due, token});
      std::push_heap(heap_.begin(), heap_.end(), later);
    }
    if (earliest) changed_.notify_one();
    return token;
  }
  void stop() {
    {
      std::lock_guard lock{mutex_};
      stopping_ = true;
    }
    changed_.notify_one();
    if (thread_.joinable()) thread_.join();
  }

 private:
  struct Entry {
    SteadyTime due;
    WaitToken token;
  };
  static bool later(const Entry& a, const Entry& b) { return a.due > b.due; }

  // A timer that its waiter fired early stays in the heap; many such are taken out at once.
  void sweep_if_grown() {
    if (heap_.size() < sweep_at_) return;
    std::erase_if(heap_, [](const Entry& e) { return e.token.fired(); });
    std::make_heap(heap_.begin(), heap_.end(), later);
    sweep_at_ = std::max<std::size_t>(1024, heap_.size() * 2);
  }
  void run() {
    name_this_thread("timer");
    std::unique_lock lock{mutex_};
    while (!stopping_) {
      if (heap_.empty()) {
        changed_.wait(lock);
      } else if (const SteadyTime due = heap_.front().due; due > std::chrono::steady_clock::now()) {
        changed_.wait_until(lock, due);
      } else {
        std::pop_heap(heap_.begin(), heap_.end(), later);
        const WaitToken token = std::move(heap_.back().token);
        heap_.pop_back();
        lock.unlock();
        token.fire();
        lock.lock();
      }
    }
  }

  std::mutex mutex_;  // protects heap_, sweep_at_, stopping_
  std::condition_variable changed_;
  std::vector<Entry> heap_;
  std::size_t sweep_at_ = 1024;
  bool stopping_ = false;
  std::thread thread_;
};

class RealBackgroundThread final : public BackgroundThread {
 public:
  RealBackgroundThread(std::string name, Job body)
      : thread_([name = std::move(name), body = std::move(body)]() mutable {
          name_this_thread(name);
          body();
        }) {}
  ~RealBackgroundThread() override { join(); }
  void join() override {
    if (thread_.joinable()) thread_.join();
  }

 private:
  std::thread thread_;
};

class ThreadExecutor final : public Executor {
 public:
  explicit ThreadExecutor(std::size_t workers) : worker_count_(workers), pool_(workers, "worker") {}
  ~ThreadExecutor() override { stop(); }

  Lane& workers() override { return pool_; }
  [[nodiscard]] std::size_t worker_count() const override { return worker_count_; }
  std::unique_ptr<Lane> make_serial_lane(std::string name) override {
    return std::make_unique<QueueLane>(1, name);
  }
  std::unique_ptr<BackgroundThread> start_background(std::string name, Job body) override {
    return std::make_unique<RealBackgroundThread>(std::move(name), std::move(body));
  }
  WaitToken after(std::chrono::microseconds delay) override { return timers_.after(delay); }
  void block_on(const WaitToken& token) override { token.wait_blocking(); }
  void block_on(const WaitToken& token, std::chrono::microseconds at_most) override {
    token.wait_blocking(at_most);
  }
  void stop() override {
    timers_.stop();
    pool_.stop();
  }

 private:
  const std::size_t worker_count_;
  QueueLane pool_;
  TimerThread timers_;
};

}  // namespace

std::unique_ptr<Executor> make_thread_executor(std::size_t workers) {
  RUSTBD_ASSERT(workers > 0);
  return std::make_unique<ThreadExecutor>(workers);
}

}  // namespace rustbd::io
