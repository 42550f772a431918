// A broken invariant stops the process with its text: going on would risk data.
#pragma once

namespace rustbd {
/// Prints the invariant and the place to standard error and ends the process with exit code 70.
[[noreturn]] void invariant_broken(const char* condition, const char* file, int line, const char* why);
}  // namespace rustbd

// Always on, also in release builds.
#define RUSTBD_ASSERT(condition, ...)                \
  (__builtin_expect(static_cast<bool>(condition), 1) \
       ? static_cast<void>(0)                        \
       : ::rustbd::invariant_broken(#condition, __FILE__, __LINE__, "" __VA_ARGS__))

// For checks that cost something on a hot path: debug and sanitizer builds only.
#if defined(NDEBUG)
#define RUSTBD_DEBUG_ASSERT(condition, ...) static_cast<void>(0)
#else
#define RUSTBD_DEBUG_ASSERT(condition, ...) RUSTBD_ASSERT(condition, __VA_ARGS__)
#endif

#define RUSTBD_UNREACHABLE(...) ::rustbd::invariant_broken("unreachable", __FILE__, __LINE__, "" __VA_ARGS__)
