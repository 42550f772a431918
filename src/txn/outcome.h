// How a read or write of a row ends when nobody may throw: latched code returns these (storage.md §3, §4.3).
#pragma once

#include <cstdint>

#include "rustbd/base/ids.h"
#include "rustbd/io/wait.h"

namespace rustbd::txn {

enum class Status : std::uint8_t {
  kOk,
  kEnd,      // a scan has no more rows
  kBlocked,  // page read, row lock, log space, memory: await `token`, then call again with the same arguments
  kConflict,  // READ COMMITTED: the row has a newer committed version than the snapshot; re-check and retry
  kGone,      // the row was deleted by a committed transaction (READ COMMITTED: skip it)
  kSelfModified,      // this transaction's same or later command has changed it: skip it, no count
  kSerialization,     // 40001 at REPEATABLE READ and above
  kDuplicate,         // 23505: `index`, `row` tell which; `row_state` for ON CONFLICT
  kDeadlock,          // 40P01; detail text in the transaction
  kLockNotAvailable,  // 55P03: NOWAIT or lock_timeout
  kDamaged,           // XX001: `page`, `owner`
  kNoSpace,           // 53100
  kNoMemory,          // 53200
  kIoError,           // 58030
  kTooLarge,          // 54000: key or row over the limit
  kReadOnly,          // storage stopped writing after an I/O error
};

enum class ConflictState : std::uint8_t {
  kNone,
  kRunning,
  kOwnCommand,
  kOwnEarlier,
  kCommitted,
  kUnseen  // REPEATABLE READ: committed after the snapshot
};

struct Outcome {
  Status status = Status::kOk;
  io::WaitToken token{};
  IndexId index{};
  RowId row{};
  PageId page{};
  ConflictState row_state = ConflictState::kNone;
  std::uint32_t owner = 0;  // kDamaged: id of the table or index that `page` belongs to; 0: not known
  [[nodiscard]] bool ok() const { return status == Status::kOk; }
  [[nodiscard]] bool blocked() const { return status == Status::kBlocked; }
  static Outcome blocked_on(io::WaitToken token) { return {Status::kBlocked, std::move(token)}; }
};

}  // namespace rustbd::txn
