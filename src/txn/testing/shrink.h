// Narrows a failing configuration of the crash simulation down.
#pragma once

#include <functional>

#include "rustbd/txn/testing/crash_simulation.h"

namespace rustbd::txn::testing {

/// Options that `fails` still says yes to, and of which no feature can be left out and no limit be lowered
/// any more: limits go to the smallest value that fails, features go in halves, then quarters, ... (after the
/// delta debugging of Zeller and Hildebrandt, 2002), until a round changes nothing. @pre fails(options).
CrashOptions shrink(CrashOptions options, const std::function<bool(const CrashOptions&)>& fails);

}  // namespace rustbd::txn::testing
