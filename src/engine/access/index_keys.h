// Keys of expression and partial indexes for TransactionSystem::check().
#pragma once

#include "rustbd/engine/session.h"
#include "rustbd/txn/tables/computed_keys.h"

namespace rustbd::engine {

/// Computes them by the catalog as `session` sees it, which outlives the result and runs no statement
/// meanwhile. Nothing for an index that the catalog does not have.
[[nodiscard]] txn::KeysOf index_keys(Session& session);

}  // namespace rustbd::engine
