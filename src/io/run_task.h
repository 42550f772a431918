// Runs a coroutine from a thread that may block: start-up, tools, tests.
#pragma once

#include <exception>
#include <optional>
#include <type_traits>

#include "rustbd/base/task.h"
#include "rustbd/io/executor.h"

namespace rustbd::io {

/// Starts `task` on `lane` and blocks until it has ended; gives its result or throws what it threw.
template <class T>
T run_blocking(Executor& executor, Lane& lane, Task<T> task) {
  auto done = WaitToken::make(WaitReason::kTask);
  std::exception_ptr failure;
  std::optional<std::conditional_t<std::is_void_v<T>, char, T>> result;
  lane.post([&] {
    detach(
        [](Task<T> inner, std::exception_ptr& thrown, auto& out) -> Task<> {
          try {
            if constexpr (std::is_void_v<T>) co_await std::move(inner);
            else out.emplace(co_await std::move(inner));
          } catch (...) {
            thrown = std::current_exception();
          }
        }(std::move(task), failure, result),
        [done] { done.fire(); });
  });
  executor.block_on(done);
  if (failure) std::rethrow_exception(failure);
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}
template <class T>
T run_blocking(Executor& executor, Task<T> task) {
  return run_blocking(executor, executor.workers(), std::move(task));
}

}  // namespace rustbd::io
