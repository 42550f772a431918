// Outcome of an operation on a tree. Nothing here throws or waits: what cannot go on says why.
#pragma once

#include <cstdint>
#include <utility>

#include "rustbd/base/ids.h"
#include "rustbd/io/wait.h"

namespace rustbd::storage {

enum class Outcome : std::uint8_t {
  kOk,
  kMiss,      // a page (or a frame) is not there yet: release all, leave the gate, await `wait`, restart
  kRestart,   // lost a race: release all, leave the gate, restart at once
  kFull,      // the page has no room: release all, leave the gate, split (an action of its own), restart
  kNoSpace,   // 53100: no room in the data file
  kNoFrame,   // 53200: every frame is pinned or cannot be written
  kStopped,   // 58030: writes have stopped
  kDamaged,   // XX001: `page` is not what it must be
  kTooLarge,  // 54000: the key or the row cannot be stored
};

struct [[nodiscard]] Status {
  Outcome outcome = Outcome::kOk;
  io::WaitToken wait{};     // with kMiss; may be empty: restart at once
  PageId page{};            // with kDamaged
  std::uint32_t owner = 0;  // with kDamaged: id of the table or index to which the page belongs; 0: not known

  explicit operator bool() const { return outcome == Outcome::kOk; }
  static Status ok() { return {}; }
  static Status miss(io::WaitToken wait) { return {Outcome::kMiss, std::move(wait), {}}; }
  static Status restart() { return {Outcome::kRestart, {}, {}}; }
  static Status full() { return {Outcome::kFull, {}, {}}; }
  static Status damaged(PageId page, std::uint32_t owner = 0) { return {Outcome::kDamaged, {}, page, owner}; }
  static Status too_large() { return {Outcome::kTooLarge, {}, {}}; }
};

/// Runs `operation()` (which returns a Status and does nothing when it fails) until it neither misses nor
/// loses a race. Only for threads that may block (recovery, tools, tests), outside the gate and with no latch
/// held.
template <class Operation>
Status run_blocking(Operation&& operation) {
  while (true) {
    Status status = operation();
    if (status.outcome == Outcome::kMiss) {
      status.wait.wait_blocking();
    } else if (status.outcome != Outcome::kRestart) {
      return status;
    }
  }
}

}  // namespace rustbd::storage
