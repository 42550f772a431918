#include "rustbd/io/simulated/fiber.h"

#include <cxxabi.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <cstdint>
#include <cstring>
#include <mutex>
#include <vector>

#include "rustbd/base/assert.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#endif

namespace rustbd::io {

namespace {

constexpr std::size_t kStackBytes = 1 << 20;  // touched ones only count
constexpr std::size_t kGuardBytes = 4096;

/// Stacks are kept for the next fibers: simulations make many.
class Stacks {
 public:
  std::byte* take() {
    {
      const std::lock_guard lock(mutex_);
      if (!free_.empty()) {
        std::byte* stack = free_.back();
        free_.pop_back();
        return stack;
      }
    }
    void* mapped = ::mmap(nullptr, kGuardBytes + kStackBytes, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    RUSTBD_ASSERT(mapped != MAP_FAILED && ::mprotect(mapped, kGuardBytes, PROT_NONE) == 0,
                  "memory for a stack");
    return static_cast<std::byte*>(mapped) + kGuardBytes;
  }
  void give(std::byte* stack) {
    const std::lock_guard lock(mutex_);
    free_.push_back(stack);
  }

 private:
  std::mutex mutex_;  // protects free_
  std::vector<std::byte*> free_;
};
Stacks& stacks() {
  static Stacks& kept = *new Stacks;
  return kept;
}

/// The thread's exceptions in flight (Itanium C++ ABI §2.2.2); the runtime keeps them by thread, a fiber
/// needs its own.
struct Exceptions {
  void* caught = nullptr;
  unsigned uncaught = 0;

  static Exceptions& of_thread() { return *reinterpret_cast<Exceptions*>(abi::__cxa_get_globals()); }
};

}  // namespace

struct Fiber::State {
  std::move_only_function<void()> body;
  std::byte* stack = nullptr;
  ucontext_t self{}, caller{};
  Exceptions exceptions;
  bool over = false;
  // What the sanitizers want to know.
  void* fake_stack = nullptr;
  const void* caller_stack = nullptr;
  std::size_t caller_stack_bytes = 0;
  void* tsan_self = nullptr;
  void* tsan_caller = nullptr;

  void leave(bool for_ever) {
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_start_switch_fiber(for_ever ? nullptr : &fake_stack, caller_stack, caller_stack_bytes);
#endif
#if defined(__SANITIZE_THREAD__)
    __tsan_switch_to_fiber(tsan_caller, 0);
#endif
    static_cast<void>(for_ever);
    ::swapcontext(&self, &caller);
    arrived();
  }
  void arrived() {
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(fake_stack, &caller_stack, &caller_stack_bytes);
#endif
  }
};

Fiber::Fiber(std::move_only_function<void()> body) : state_(std::make_unique<State>()) {
  State& s = *state_;
  s.body = std::move(body);
  s.stack = stacks().take();
  ::getcontext(&s.self);
  s.self.uc_stack.ss_sp = s.stack;
  s.self.uc_stack.ss_size = kStackBytes;
  const auto address = reinterpret_cast<std::uintptr_t>(&s);
  ::makecontext(&s.self, reinterpret_cast<void (*)()>(&Fiber::enter), 2, static_cast<unsigned>(address >> 32),
                static_cast<unsigned>(address));
#if defined(__SANITIZE_THREAD__)
  s.tsan_self = __tsan_create_fiber(0);
#endif
}

Fiber::~Fiber() {
  RUSTBD_ASSERT(state_->over, "a fiber ends before it goes");
#if defined(__SANITIZE_THREAD__)
  __tsan_destroy_fiber(state_->tsan_self);
#endif
  stacks().give(state_->stack);
}

bool Fiber::over() const { return state_->over; }

void Fiber::enter(unsigned high, unsigned low) {
  State& s = *reinterpret_cast<State*>(std::uintptr_t{high} << 32 | low);
  s.arrived();
  s.body();
  s.body = {};
  s.over = true;
  s.leave(true);
}

void Fiber::resume() {
  State& s = *state_;
  RUSTBD_ASSERT(!s.over, "an ended fiber does not go on");
  Exceptions& exceptions = Exceptions::of_thread();
  std::swap(exceptions, s.exceptions);
#if defined(__SANITIZE_ADDRESS__)
  void* fake_stack = nullptr;
  __sanitizer_start_switch_fiber(&fake_stack, s.stack, kStackBytes);
#endif
#if defined(__SANITIZE_THREAD__)
  s.tsan_caller = __tsan_get_current_fiber();
  __tsan_switch_to_fiber(s.tsan_self, 0);
#endif
  ::swapcontext(&s.caller, &s.self);
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(fake_stack, nullptr, nullptr);
#endif
  std::swap(exceptions, s.exceptions);
}

void Fiber::pause() { state_->leave(false); }

}  // namespace rustbd::io
