// Part of the crash simulation: backups while clients work, cut short by power failures and disk errors;
// after a start each one that is there is restored, to its end or a later moment, and must be the model's
// state of that moment (P11). A restored one may go on and archive where the original does: that is another
// log, of which nothing is restored. Where the disk damages what nobody is told of, a backup or a restore may
// be refused, but what is restored must be that state all the same.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "rustbd/txn/backup/restore.h"
#include "rustbd/txn/testing/crash_world.h"

namespace rustbd::txn::testing {

class BackupWatch {
 public:
  void choose(CrashWorld& world) { enabled_ = world.has(kBackups) && world.chance(250); }
  /// Starts one, if none runs. Clients go on meanwhile.
  void act(CrashWorld& world);
  /// No client is left: waits for the end of the one that runs. In a world that is dead nothing more reaches
  /// the disk: the process would have ended.
  void finish(CrashWorld& world);
  /// After a start. `verify_state` compares a database with the model at its last timestamp.
  void verify(CrashWorld& world, const Options& options, const std::string& when,
              const std::function<void(TransactionSystem&)>& verify_state);
  [[nodiscard]] std::uint64_t restored() const { return restored_; }
  [[nodiscard]] std::uint64_t shared() const { return shared_; }

 private:
  struct Taken {
    std::string parent;              // empty: a full one
    std::uint64_t acknowledged = 0;  // commits up to this timestamp are in it
    bool told = false;               // make_backup() has returned
  };
  void run(CrashWorld& world, const std::string& directory);
  /// Where there is damage, that is an answer.
  static void refused(CrashWorld& world, const std::string& what);
  void look(CrashWorld& world, const std::string& when);
  void restore(CrashWorld& world, const Options& options, const std::string& when,
               const std::function<void(TransactionSystem&)>& verify_state);
  /// The restored database on `disk` starts, with the original's archive (a copy of it) as its own.
  void share_archive(CrashWorld& world, const Options& options, io::SimulatedDisk& disk,
                     const RestoreOptions& wanted, Lsn live_end, const std::string& when);

  bool enabled_ = false;
  std::map<std::string, Taken> taken_;  // by directory; not known to have failed
  std::string newest_;
  std::unique_ptr<io::BackgroundThread> thread_;
  bool running_ = false;
  int number_ = 0;
  std::uint64_t restored_ = 0, shared_ = 0;
};

}  // namespace rustbd::txn::testing
