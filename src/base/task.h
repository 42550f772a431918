// Task<T>: a lazily started coroutine with one awaiter. Ours, so that the real and the simulated executor run
// the same code; who resumes a suspended one is the business of io::WaitToken.
#pragma once

#include <atomic>
#include <coroutine>
#include <exception>
#include <functional>
#include <optional>
#include <utility>

#include "rustbd/base/assert.h"
#include "rustbd/base/frame_memory.h"

namespace rustbd {

template <class T>
class Task;

namespace task_detail {
// No symmetric transfer: it needs guaranteed tail calls, which unoptimised and sanitized builds lack. Whoever
// comes second of (parent has suspended, child has ended) continues the parent (Lewis Baker's cppcoro does
// the same).
struct FinalAwaiter {
  bool await_ready() const noexcept { return false; }
  template <class Promise>
  void await_suspend(std::coroutine_handle<Promise> self) const noexcept {
    auto& promise = self.promise();
    auto next = promise.continuation;
    if (promise.other_arrived.exchange(true, std::memory_order_acq_rel) && next) next.resume();
  }
  void await_resume() const noexcept {}
};
struct FrameInLists {
  static void* operator new(std::size_t bytes) { return take_frame(bytes); }
  static void operator delete(void* frame, std::size_t bytes) noexcept { give_frame(frame, bytes); }
};
struct PromiseBase : FrameInLists {
  std::coroutine_handle<> continuation{};
  std::atomic<bool> other_arrived{false};
  std::exception_ptr failure{};
  std::suspend_always initial_suspend() const noexcept { return {}; }
  FinalAwaiter final_suspend() const noexcept { return {}; }
  void unhandled_exception() noexcept { failure = std::current_exception(); }
};
template <class T>
struct Promise : PromiseBase {
  std::optional<T> value;
  Task<T> get_return_object();
  template <class U>
  void return_value(U&& v) {
    value.emplace(std::forward<U>(v));
  }
  T take() {
    if (failure) std::rethrow_exception(failure);
    return std::move(*value);
  }
};
template <>
struct Promise<void> : PromiseBase {
  Task<void> get_return_object();
  void return_void() const noexcept {}
  void take() {
    if (failure) std::rethrow_exception(failure);
  }
};
}  // namespace task_detail

/// Owns its coroutine frame. Starts when awaited (or by `start`); destroying it while suspended ends it.
template <class T = void>
class [[nodiscard]] Task {
 public:
  using promise_type = task_detail::Promise<T>;
  Task() = default;
  explicit Task(std::coroutine_handle<promise_type> handle) : handle_(handle) {}
  Task(Task&& from) noexcept : handle_(std::exchange(from.handle_, {})) {}
  Task& operator=(Task&& from) noexcept {
    if (this != &from) {
      destroy();
      handle_ = std::exchange(from.handle_, {});
    }
    return *this;
  }
  ~Task() { destroy(); }

  [[nodiscard]] bool valid() const { return static_cast<bool>(handle_); }
  [[nodiscard]] bool done() const { return handle_ && handle_.done(); }
  /// Runs until the first wait. For the outermost task only; everything else uses co_await.
  void start() { handle_.resume(); }
  /// The result of a task that is done().
  T take() {
    RUSTBD_ASSERT(done());
    return handle_.promise().take();
  }

  auto operator co_await() && noexcept {
    struct Awaiter {
      std::coroutine_handle<promise_type> handle;
      bool await_ready() const noexcept { return !handle || handle.done(); }
      bool await_suspend(std::coroutine_handle<> waiting) const noexcept {
        auto& promise = handle.promise();
        promise.continuation = waiting;
        handle.resume();
        return !promise.other_arrived.exchange(true, std::memory_order_acq_rel);
      }
      T await_resume() const { return handle.promise().take(); }
    };
    return Awaiter{handle_};
  }

 private:
  void destroy() {
    if (handle_) std::exchange(handle_, {}).destroy();
  }
  std::coroutine_handle<promise_type> handle_{};
};

namespace task_detail {
template <class T>
Task<T> Promise<T>::get_return_object() {
  return Task<T>{std::coroutine_handle<Promise<T>>::from_promise(*this)};
}
inline Task<void> Promise<void>::get_return_object() {
  return Task<void>{std::coroutine_handle<Promise<void>>::from_promise(*this)};
}
struct Detached {
  struct promise_type : FrameInLists {
    Detached get_return_object() const noexcept { return {}; }
    std::suspend_never initial_suspend() const noexcept { return {}; }
    std::suspend_never final_suspend() const noexcept { return {}; }
    void return_void() const noexcept {}
    [[noreturn]] void unhandled_exception() const noexcept { std::terminate(); }
  };
};
}  // namespace task_detail

/// Starts `task` and lets it run on its own; `done` is called at its end on the thread it ended on. The task
/// must not let an exception out: that ends the process.
inline void detach(Task<void> task, std::move_only_function<void()> done = {}) {
  [](Task<void> owned, std::move_only_function<void()> after) -> task_detail::Detached {
    co_await std::move(owned);
    if (after) after();
  }(std::move(task), std::move(done));
}

}  // namespace rustbd
