// Restore points: names in the log for moments to which a database can be restored.
#pragma once

#include <optional>
#include <string>

#include "rustbd/log/log_reader.h"
#include "rustbd/txn/transaction_system.h"

namespace rustbd::txn {

/// Durable on return; the position behind it, for RestoreTarget::lsn. Throws Error 22023 (name empty or over
/// 63 bytes), 53100, 58030. Blocks for one sync of the log.
Lsn create_restore_point(TransactionSystem& system, const std::string& name);

/// The name that a batch gives to its end; nullopt: it is no restore point, or sealed and not opened.
std::optional<std::string> restore_point_name(log::LogReader& reader, const log::BatchView& batch);

}  // namespace rustbd::txn
