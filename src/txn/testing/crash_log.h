// Part of the crash simulation: consumers of the log come, advance and go, and segments are archived; after
// every start each consumer finds all the log that it is owed, and archive and log together have no gap, and
// the copies are sound.
#pragma once

#include <map>
#include <set>
#include <string>

#include "rustbd/txn/testing/crash_world.h"

namespace rustbd::txn::testing {

class LogWatch {
 public:
  /// Before the first open; chooses whether there is an archive.
  void choose(CrashWorld& world, Options& options);
  /// One random change of a consumer. Blocks; clients go on meanwhile.
  void act(CrashWorld& world);
  /// After a start.
  void verify(CrashWorld& world, const std::string& when);

 private:
  void verify_consumer(CrashWorld& world, const std::string& when,
                       const TransactionSystem::LogConsumer& found);
  void verify_archive(CrashWorld& world, const std::string& when);

  bool archive_ = false;
  std::map<std::string, Lsn> consumers_;  // as acknowledged
  std::set<std::string> in_doubt_;        // a change of them failed or was cut short
};

}  // namespace rustbd::txn::testing
