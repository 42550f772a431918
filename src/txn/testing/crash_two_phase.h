// Part of the crash simulation: clients leave transactions prepared; somebody else decides them, perhaps
// after restarts. Until then they are neither committed nor gone, and their locks hold (P8).
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "rustbd/base/task.h"
#include "rustbd/io/simulated/simulated_executor.h"
#include "rustbd/txn/testing/crash_model.h"

namespace rustbd::txn::testing {

struct CrashWorld;

class TwoPhaseWatch {
 public:
  /// Chooses by a random stream of its own, so that the seeds that do without stay what they are.
  explicit TwoPhaseWatch(std::uint64_t seed);
  /// Whether a client that wants to commit prepares instead.
  [[nodiscard]] bool wanted(const CrashWorld& world);
  /// A client is about to prepare this, and has done so.
  std::string begin_prepare(const std::vector<Effect>& effects);
  void prepared(const std::string& gid, bool acknowledged);

  /// Something that is to be decided now, by decide(); empty: nothing, or not yet.
  [[nodiscard]] std::string choose(bool now);
  Task<> decide(CrashWorld& world, std::string gid);
  /// How often a decision was refused for lack of room.
  [[nodiscard]] std::uint64_t refused() const { return refused_; }

  /// After a start, before the model is cut: what is prepared, and what became of the decisions under way.
  void verify(CrashWorld& world, const std::string& when);

 private:
  struct Entry {
    std::vector<Effect> effects;
    bool acknowledged = false;    // its PREPARE
    bool deciding = false;        // begun and not acknowledged
    bool commits = false;         // that decision
    std::uint64_t commit_ts = 0;  // of a commit that has its place
  };
  void verify_locks(CrashWorld& world, const std::string& when, const std::string& gid, const Entry& entry);

  io::SeededRandom random_;
  const bool used_;
  std::map<std::string, Entry> entries_;
  std::uint64_t last_ = 0, refused_ = 0;
};

}  // namespace rustbd::txn::testing
