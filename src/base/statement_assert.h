// A broken invariant in what belongs to one statement only (its syntax tree, its plan, its pipelines): the
// statement fails with XX000 and nothing else does. What other statements share keeps RUSTBD_ASSERT
// (docs/decisions/040).
#pragma once

namespace rustbd {
/// Throws Error XX000 with the invariant and the place; logs it to standard error first.
[[noreturn]] void statement_invariant_broken(const char* condition, const char* file, int line,
                                             const char* why);
}  // namespace rustbd

// Always on, also in release builds.
#define RUSTBD_STATEMENT_ASSERT(condition, ...)      \
  (__builtin_expect(static_cast<bool>(condition), 1) \
       ? static_cast<void>(0)                        \
       : ::rustbd::statement_invariant_broken(#condition, __FILE__, __LINE__, "" __VA_ARGS__))

#define RUSTBD_STATEMENT_UNREACHABLE(...) \
  ::rustbd::statement_invariant_broken("unreachable", __FILE__, __LINE__, "" __VA_ARGS__)
