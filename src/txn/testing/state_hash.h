// A digest of what a database holds, to compare two that must be the same (P9, P11).
#pragma once

#include <cstdint>

#include "rustbd/txn/transaction_system.h"

namespace rustbd::txn::testing {

/// Over the layouts of all tables and all committed rows with their row ids, as the newest snapshot sees
/// them; independent of pages, versions and indexes. Sequences are left out: they may be ahead. Blocks.
/// Throws Error XX001 if a row cannot be read.
std::uint64_t state_hash(TransactionSystem& system);

}  // namespace rustbd::txn::testing
