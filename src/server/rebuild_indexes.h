// Indexes that recovery had to set aside because only a session can compute their keys: on expressions, or
// with a predicate.
#pragma once

#include <vector>

#include "rustbd/engine/database.h"

namespace rustbd::server {

/// Builds them anew from their tables (REINDEX). Blocks; no session may be there yet. One line for each, and
/// why not where it could not be done: such an index stays set aside.
std::vector<txn::Repair> rebuild_indexes_set_aside(engine::Database& database);

}  // namespace rustbd::server
