#include "rustbd/base/assert.h"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>

namespace rustbd {

void invariant_broken(const char* condition, const char* file, int line, const char* why) {
  std::fprintf(stderr, "PANIC: broken invariant: %s%s%s (%s:%d)\n", condition, *why ? ": " : "", why, file,
               line);
  std::fflush(stderr);
  if (std::getenv("RUSTBD_ABORT_ON_PANIC") != nullptr) std::abort();  // for a core dump
  _exit(70);
}

}  // namespace rustbd
