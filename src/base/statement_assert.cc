#include "rustbd/base/statement_assert.h"

#include <cstdio>

#include "rustbd/base/error.h"

namespace rustbd {

void statement_invariant_broken(const char* condition, const char* file, int line, const char* why) {
  auto failed = error(sqlstate::kInternalError, "broken invariant: {}{}{} ({}:{})", condition,
                      *why ? ": " : "", why, file, line);
  std::fprintf(stderr, "ERROR: %s\n", failed.message.c_str());
  throw failed;
}

}  // namespace rustbd
