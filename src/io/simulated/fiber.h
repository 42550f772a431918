// A stack of its own on the thread that resumes it: what lets the simulation run bodies that block, all on
// one thread.
#pragma once

#include <functional>
#include <memory>

namespace rustbd::io {

/// Threads: one, that of the creator. Locks held at a pause() stay held, and thread-local state is shared
/// with whoever resumes; the exceptions being handled are the fiber's own.
class Fiber {
 public:
  explicit Fiber(std::move_only_function<void()> body);
  ~Fiber();  // after over()
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  /// Runs the body until it pauses or ends. Not from inside a fiber.
  void resume();
  /// Inside the body: back to resume()'s caller.
  void pause();
  [[nodiscard]] bool over() const;

 private:
  struct State;
  static void enter(unsigned high, unsigned low);
  std::unique_ptr<State> state_;
};

}  // namespace rustbd::io
