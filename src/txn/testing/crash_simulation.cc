#include "rustbd/txn/testing/crash_simulation.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <set>

#include "rustbd/base/error.h"
#include "rustbd/storage/pages/storage.h"
#include "rustbd/txn/system_parts.h"
#include "rustbd/txn/testing/crash_backup.h"
#include "rustbd/txn/testing/crash_damage.h"
#include "rustbd/txn/testing/crash_keys.h"
#include "rustbd/txn/testing/crash_log.h"
#include "rustbd/txn/testing/crash_verify.h"
#include "rustbd/txn/testing/crash_world.h"
#include "rustbd/txn/testing/state_hash.h"

namespace rustbd::txn::testing {

CrashWorld::CrashWorld(std::uint64_t seed, std::uint32_t feature_bits)
    : random(seed * 0x9E3779B97F4A7C15ull + 1),
      features(feature_bits),
      executor(random.next_u64()),
      two_phase(seed) {}

namespace {

constexpr int kAccounts = 12;
constexpr std::uint64_t kStepsMax = 20'000'000;  // of one part of a seed; the longest take some 1/10

template <class T>
std::optional<T> run_to_end(CrashWorld& world, Task<T> task) {
  std::optional<T> result;
  const io::WaitToken done = io::WaitToken::make(io::WaitReason::kTask);
  world.executor.workers().post([&] {
    detach([](Task<T> inner, std::optional<T>* out) -> Task<> { *out = co_await std::move(inner); }(
                                                        std::move(task), &result),
           [&] { done.fire(); });
  });
  done.wait_blocking();
  return result;
}

class Simulation {
 public:
  Simulation(std::uint64_t seed, const CrashOptions& options)
      : options_(options), world_(seed, options.features) {
    world_.reads_per_mille = options.reads_per_mille;
  }

  CrashResult run() {
    choose_settings();
    auto crashes = 1 + world_.random.below(4);
    if (options_.long_form) crashes = 50;
    if (options_.crashes_max != 0) crashes = std::min<std::uint64_t>(crashes, options_.crashes_max);
    for (std::uint64_t round = 0; round <= crashes && world_.problems.empty() && !refused_; ++round) {
      if (!open(round > 0)) break;
      if (round == 0) begin();
      else verify("after recovery");
      if (!world_.problems.empty()) break;
      const bool clean = !options_.crashes || round == crashes || world_.chance(100);
      if (!clean) world_.disk->crash_at(1 + world_.random.below(world_.chance(300) ? 40 : 500));
      work(static_cast<int>(4 + world_.random.below(20)));
      if (!world_.problems.empty()) break;
      if (!clean || world_.dead()) crash();
      else close_cleanly();
    }
    if (world_.problems.empty() && !refused_ && open(true)) {
      verify("at the end");
      decide_all();
      if (world_.problems.empty() && !world_.wounded()) check_leaks();
    }
    shut_down();
    note_damage();
    result_.problems = world_.problems;
    result_.commits = world_.commits;
    result_.aborts = world_.aborts;
    result_.rows_read = world_.rows_read;
    result_.layouts_changed = world_.layouts_changed;
    return std::move(result_);
  }

 private:
  void say(const std::string& line) const {
    if (options_.verbose) std::fprintf(stderr, "%s\n", line.c_str());
  }

  void choose_settings() {
    auto& random = world_.random;
    Options& o = system_options_;
    o.freed_unread = &world_.freed_unread;
    const std::uint64_t frames = world_.chance(500) ? 24 + random.below(40) : 64 + random.below(448);
    o.buffer_bytes = frames * storage::kFrameBytes;
    o.page_compression = static_cast<storage::PageCompression>(random.below(3));
    o.eviction_policy = storage::kEvictionPolicyKinds[random.below(storage::kEvictionPolicyKinds.size())];
    o.write_strategy = storage::kWriteStrategies[random.below(storage::kWriteStrategies.size())];
    o.log_segment_bytes = std::uint64_t{128 << 10} << random.below(4);
    o.log_ring_bytes =
        std::min<std::uint64_t>(o.log_segment_bytes / 2, std::uint64_t{256 << 10} << random.below(3));
    o.checkpoint_log_bytes = std::uint64_t{32 << 10} << random.below(4);
    o.checkpoint_interval_us = 20'000;
    o.log_fragment_bytes =
        world_.has(kLarge) ? std::uint64_t{512} << random.below(7) : std::uint64_t{1} << 20;
    o.undo_spill_bytes = world_.has(kLarge) ? std::uint64_t{1024} << random.below(8) : std::uint64_t{1} << 30;
    o.background = world_.has(kBackground) && world_.chance(300);
    o.bulk_rows_min = 1;
    o.recovery_workers = static_cast<std::uint32_t>(1 + random.below(4));
    o.relocation_bytes_per_second = world_.chance(800) ? std::uint64_t{1} << (20 + random.below(12)) : 0;
    o.preallocate_log = false;
    o.data_grow_bytes = 2 << 20;
    o.on_fatal = [this](std::string_view why) {
      const bool damaged = world_.wounded() && tells_of_damage(why);
      if (damaged) ++world_.detections.findings;
      if (!world_.disk->crashed() && !world_.disk_errors && !damaged)
        world_.problem(fmt::format("fatal without a crash: {}", why));
      say(fmt::format("fatal: {}", why));
      world_.fatal = true;
      if (!world_.disk->crashed()) world_.disk->crash();  // the process ends here, with all of its threads
    };
    o.log_line = [this](std::string_view line) {
      if (world_.wounded() && tells_of_damage(line)) ++world_.detections.findings;
      if (options_.verbose) std::fprintf(stderr, "log: %.*s\n", static_cast<int>(line.size()), line.data());
    };
    io::SimulatedFaults& faults = faults_;
    faults.torn_sector_per_mille = world_.chance(500) ? 200 : 0;
    faults.latency_us_max = world_.chance(500) ? 300 : 0;
    DamagePlan::choose_latency(world_, faults, result_.settings);
    // Never reached, but too little for the file system to lend anything: the data file holds the reserve.
    if (world_.chance(400)) faults.capacity_bytes = std::uint64_t{1} << 30;
    world_.disk = std::make_unique<io::SimulatedDisk>(random.next_u64(), faults, &world_.executor);
    result_.settings =
        fmt::format(
            "{} {} frames {} segment {} ring {} fragment {} spill {} background {} latency {} workers {} "
            "relocation {} capacity {}",
            to_text(o.eviction_policy), to_text(o.write_strategy), frames, o.log_segment_bytes,
            o.log_ring_bytes, o.log_fragment_bytes, o.undo_spill_bytes, o.background, faults.latency_us_max,
            o.recovery_workers, o.relocation_bytes_per_second, faults.capacity_bytes) +
        result_.settings;
    choose_encryption();
    damage_.choose(world_, options_.unrecoverable, result_.settings);
    choose_errors();
    if (world_.damage && world_.chance(500))
      o.log_retention_us = std::uint64_t{1} << 50;  // leaves can be made anew
    if (world_.has(kLogWatch)) log_watch_.choose(world_, o);
    backup_watch_.choose(world_);
    if (world_.has(kCrowds) && world_.chance(500)) {
      world_.executor.serve_in_batches(700);
      result_.settings += " crowded";
    }
    say(result_.settings);
  }

  void choose_encryption() {
    if (!world_.has(kEncryption) || !world_.chance(400)) return;
    security::KeyBytes bytes;
    world_.random.fill(bytes);
    system_options_.encryption.master_key = security::MasterKey{bytes};
    system_options_.encryption.cipher =
        world_.chance(500) ? security::Cipher::kAes256Gcm : security::Cipher::kChaCha20Poly1305;
    system_options_.encryption.reseal_bytes_per_second = std::uint64_t{1} << (20 + world_.random.below(12));
    result_.settings += fmt::format(" {}", to_text(system_options_.encryption.cipher));
  }

  /// A key rotation while clients work, or the master key changes.
  void rotate() {
    if (rotating_) return;
    finish_rotation();
    rotating_ = true;
    rotation_ = world_.executor.start_background("rotation", [this] {
      try {
        if (world_.chance(200)) world_.system->change_master_key(*system_options_.encryption.master_key);
        else world_.system->rotate_data_key();
      } catch (const Error& e) {
        if (!world_.disk_errors && !world_.dead()) world_.problem("a rotation failed: " + e.message);
      }
      rotating_ = false;
    });
  }
  /// As BackupWatch::finish().
  void finish_rotation() {
    if (world_.dead() && !world_.disk->crashed()) world_.disk->crash();
    if (rotation_ != nullptr) rotation_->join();
    rotation_.reset();
  }

  /// A disk with errors of its own, for some seeds: each kind alone or several, rare or frequent, or too
  /// small.
  void choose_errors() {
    errors_ = faults_;
    world_.disk_errors = world_.has(kDiskErrors) && world_.chance(350);
    if (!world_.disk_errors) return;
    auto& random = world_.random;
    const auto rate = [&](std::uint32_t per_mille) {
      return world_.chance(per_mille) ? static_cast<std::uint32_t>(200u << random.below(8)) : 0;
    };
    errors_.read_error = rate(300);
    errors_.lasting_per_mille = 500;
    errors_.write_error = rate(300);
    errors_.sync_error = rate(100);
    errors_.no_space = rate(300);
    little_room_ = world_.chance(400);
    result_.settings +=
        fmt::format(" errors: read {} write {} sync {} space {} little room {}", errors_.read_error,
                    errors_.write_error, errors_.sync_error, errors_.no_space, little_room_);
  }

  /// Opens, perhaps after crashes in the middle of it. False: that is the seed's end.
  bool open(bool exists) {
    limit_steps("a start");
    std::optional<Recovered> undisturbed;
    for (int tries = 0;; ++tries) {
      world_.fatal = false;
      const bool may_crash =
          options_.crashes && exists && world_.has(kCrashInRecovery) && tries < 3 && world_.chance(250);
      if (may_crash && tries == 0 && !world_.damage && world_.chance(500)) undisturbed = recover_copy();
      if (may_crash) world_.disk->crash_at(1 + world_.random.below(60));
      system_options_.repair = exists && world_.damage && world_.chance(400);
      try {
        world_.system = TransactionSystem::open(environment(*world_.disk), system_options_);
        if (!world_.dead()) {
          if (may_crash) world_.disk->crash_at(~std::uint64_t{0} >> 1);
          say(fmt::format("opened, last timestamp {}", world_.system->last_timestamp().raw()));
          note_repairs();
          if (undisturbed && !(*undisturbed == recovered(*world_.system)))
            world_.problem(fmt::format("recovery after {} crashes in it gives another state", tries));
          return true;
        }
      } catch (const Error& e) {
        if (!world_.disk->crashed()) {
          if (!is_refusal(e))
            world_.problem(fmt::format("cannot be opened: {} ({})", e.message, e.state.text()));
          return false;
        }
      }
      ++result_.crashes;
      say("crash in recovery");
      world_.system.reset();
      world_.disk->restart();
    }
  }

  void note_repairs() {
    for (const Repair& repair : world_.system->repairs()) {
      say(repair.text);
      // An index that a read error has set aside is made anew by a later start.
      if (!world_.wounded() && !(world_.disk_errors && set_aside_))
        world_.problem("repaired what nobody had damaged: " + repair.text);
      world_.detections.rebuilt += repair.done;
      ++world_.detections.findings;
    }
  }

  io::Environment environment(io::Disk& disk) {
    return {&disk, &world_.executor.clock(), &world_.executor.random(), &world_.executor};
  }

  struct Recovered {
    std::uint64_t timestamp = 0, hash = 0;
    bool operator==(const Recovered&) const = default;
  };
  static Recovered recovered(TransactionSystem& system) {
    return {system.last_timestamp().raw(), state_hash(system)};
  }

  /// P9: what a recovery that nobody disturbs makes of the disk as it is now.
  std::optional<Recovered> recover_copy() {
    const auto copy = world_.disk->clone(world_.random.next_u64(), &world_.executor);
    Options options = system_options_;
    options.freed_unread = nullptr;
    if (options.archive_disk != nullptr) options.archive_disk = copy.get();
    options.log_line = [](std::string_view) {};
    try {
      const auto system = TransactionSystem::open(environment(*copy), options);
      ++result_.recoveries_repeated;
      return recovered(*system);
    } catch (const Error& e) {
      world_.problem("a copy cannot be opened: " + e.message);
      return {};
    }
  }

  /// A start may refuse what damage has made of the directory, if it says so and what to do.
  bool is_refusal(const Error& e) {
    const bool told =
        e.state == sqlstate::kDataCorrupted || (e.state == sqlstate::kIoError && world_.has_lost_sectors());
    if (!world_.wounded() || !told) return false;
    say("refused: " + e.message);
    if (e.hint.empty()) world_.problem("refused without a hint: " + e.message);
    ++world_.detections.starts;
    refused_ = true;
    return true;
  }

  void begin() {
    make_bank();
    // From here on: what a directory that is just being made should survive of it, nobody says.
    if (world_.damage) {
      damage_.add_to(faults_);
      damage_.add_to(errors_);
    }
    world_.disk->set_faults(faults_);
  }

  void verify(const std::string& when) {
    limit_steps("checks " + when);
    verify_state(world_, when);
    log_watch_.verify(world_, when);
    backup_watch_.verify(world_, system_options_, when, [&](TransactionSystem& restored) {
      verify_database(world_, restored, when + ", a restored backup", restored.last_timestamp().raw());
    });
  }

  /// More steps than that in one part of a seed are a hang.
  void limit_steps(const std::string& part) {
    world_.executor.limit_steps(kStepsMax, [this, part](std::string_view why) { tell_stuck(part, why); });
  }

  [[noreturn]] void tell_stuck(const std::string& part, std::string_view why) {
    std::string text = fmt::format("stuck in {}: {} ({})\n", part, why, result_.settings);
    for (const auto& client : clients_) text += "  " + client->describe() + "\n";
    for (const auto& name : world_.executor.running_backgrounds())
      text += "  in the background: " + name + "\n";
    for (const auto& p : world_.problems) text += "  before: " + p + "\n";
    std::fputs(text.c_str(), stdout);
    std::fflush(stdout);
    std::_Exit(kStuckExitCode);
  }

  void make_bank() {
    TransactionSystem& system = *world_.system;
    world_.bank = system.new_object_id();
    const auto layout = base_layout(world_.bank, system.new_index_id(), system.new_index_id());
    const auto locker = system.make_locker(99);
    const auto txn = system.begin(*locker);
    txn->begin_statement();
    std::vector<Effect> effects;
    Outcome o = until_done_blocking([&] { return system.create_table(*txn, layout); });
    if (!o.ok()) return world_.problem("the first table cannot be made");
    Effect made;
    made.is_layout = true;
    made.relation = world_.bank;
    made.layout = system.layout_for(*txn, kCrashDatabase, world_.bank);
    effects.push_back(made);
    Table table(system, made.layout);
    for (int i = 0; i < kAccounts; ++i) {
      Image image;
      image.id = i;
      image.value = 100 + i;
      world_.bank_sum += *image.value;
      const ImageRow row(image, *made.layout);
      RowId id;
      o = until_done_blocking([&] { return table.insert(*txn, row.ref(), {}, &id); });
      if (!o.ok()) return world_.problem("the first rows cannot be made");
      Effect e;
      e.table = made.layout->table;
      e.row = id.raw();
      e.image = image;
      effects.push_back(e);
    }
    const Oid rows = system.new_object_id();
    const auto rows_layout = base_layout(rows, system.new_index_id(), system.new_index_id());
    o = until_done_blocking([&] { return system.create_table(*txn, rows_layout); });
    if (!o.ok()) return world_.problem("the second table cannot be made");
    made.relation = rows;
    made.layout = system.layout_for(*txn, kCrashDatabase, rows);
    effects.push_back(made);
    storage::TableLayout sequence;
    sequence.table = world_.sequence = system.new_table_id();
    sequence.relation = made.relation = system.new_object_id();
    sequence.database = kCrashDatabase;
    sequence.is_sequence = true;
    o = until_done_blocking([&] { return system.create_table(*txn, sequence); });
    if (!o.ok()) return world_.problem("the sequence cannot be made");
    made.layout = system.layout_for(*txn, kCrashDatabase, made.relation);
    effects.push_back(made);
    const auto done = run_to_end(world_, txn->commit());
    if (!done || !done->ok()) return world_.problem("the first commit failed");
    world_.model.apply(txn->commit_timestamp().raw(), effects);
    world_.model.acknowledge(txn->commit_timestamp().raw());
  }

  /// What an operator does in the end: a rollback waits for it.
  void make_room_after(std::chrono::seconds delay) {
    world_.executor.after(delay).then(world_.executor.workers(), [this, part = ++work_parts_] {
      if (part != work_parts_) return;
      errors_.no_space = 0;
      errors_.capacity_bytes = faults_.capacity_bytes;
      world_.disk->set_faults(errors_);
    });
  }

  /// Lets clients work until they are done or the power fails; afterwards no client is left.
  void work(int transactions) {
    world_.stopping = false;
    world_.advisory.clear();
    limit_steps("the work of clients");
    if (world_.disk_errors) {
      if (little_room_) errors_.capacity_bytes = world_.disk->used_bytes() + world_.random.below(3 << 20);
      world_.disk->set_faults(errors_);
      make_room_after(std::chrono::seconds(60));
    }
    std::uint64_t n = 1 + world_.random.below(6);
    if (options_.clients_max != 0) n = std::min<std::uint64_t>(n, options_.clients_max);
    if (options_.transactions_max != 0)
      transactions = std::min(transactions, static_cast<int>(options_.transactions_max));
    std::size_t running = n;
    for (std::uint64_t i = 0; i < n; ++i) {
      clients_.push_back(std::make_unique<CrashClient>(world_, static_cast<std::int32_t>(i + 1)));
      world_.executor.workers().post(
          [&world = world_, &running, transactions, client = clients_.back().get()] {
            static_cast<void>(world);
            detach(client->run(transactions), [&running] { --running; });
          });
    }
    bool told = false;
    while (running > 0) {
      if (world_.dead() || !world_.problems.empty()) {
        if (!world_.problems.empty() && !world_.disk->crashed()) world_.disk->crash();
        if (!std::exchange(told, true)) say("the power fails");
        for (const auto& client : clients_) client->locker().cancel_wait();
      }
      const bool stepped = world_.executor.step();
      const bool decides = !world_.dead() && decide_prepared(!stepped, &running);
      if (!stepped && !decides) tell_stuck("the work of clients", "nothing can run");
      if (world_.has(kCollection) && !world_.dead() && world_.random.below(400) == 0)
        world_.system->collect_garbage();
      if (system_options_.encryption.master_key && !world_.dead() && world_.random.below(3000) == 0) rotate();
      if (world_.has(kLogWatch) && !world_.dead() && world_.random.below(500) == 0) log_watch_.act(world_);
      if (!world_.dead() && world_.random.below(1500) == 0) backup_watch_.act(world_);
    }
    backup_watch_.finish(world_);
    finish_rotation();
    for (const auto& client : clients_) world_.system->locks().release_all(client->locker());
    clients_.clear();
    if (world_.disk_errors) world_.disk->set_faults(faults_);
    ++work_parts_;
  }

  void decide_all() {
    std::size_t running = 0;
    while (world_.problems.empty() && decide_prepared(true, &running))
      while (running > 0 && world_.executor.step()) {}
  }

  /// Now and then, or because nobody can go on, one of the prepared transactions is decided.
  bool decide_prepared(bool now, std::size_t* running) {
    if (!world_.has(kTwoPhase)) return false;
    if (world_.two_phase.refused() > decisions_refused_) {  // somebody makes room
      decisions_refused_ = world_.two_phase.refused();
      world_.disk->set_faults(faults_);
    }
    std::string gid = world_.two_phase.choose(now);
    if (gid.empty()) return false;
    ++*running;
    world_.executor.workers().post(
        [this, running, gid] { detach(world_.two_phase.decide(world_, gid), [running] { --*running; }); });
    return true;
  }

  void end_life() {
    set_aside_ |= !world_.system->parts().trees_set_aside.empty();
    world_.system.reset();
  }

  void crash() {
    if (!world_.disk->crashed()) world_.disk->crash();
    ++result_.crashes;
    count_work();
    end_life();
    world_.disk->restart();
    damage_.at_rest(world_);
  }

  /// Each fault counts as detected if somebody read what it left and the seed told of damage.
  void note_damage() {
    if (world_.disk == nullptr) return;
    const io::DamageCounts counts = world_.disk->damage();
    result_.damage = counts;
    result_.detections = world_.detections;
  }

  void count_work() {
    result_.checkpoints += world_.system->statistics().checkpoints;
    result_.pages_moved += world_.system->parts().buffer().statistics().page_moves;
    result_.backups_restored = backup_watch_.restored();
    result_.archives_shared = backup_watch_.shared();
  }

  /// How many pages are in use.
  std::uint64_t close_cleanly() {
    say("clean shutdown");
    limit_steps("a shutdown");
    count_work();
    world_.system->close();
    end_life();
    std::unique_ptr<security::KeyRing> keys;
    if (const auto& master = system_options_.encryption.master_key) {
      try {
        keys = security::KeyRing::open_read_only(environment(*world_.disk), *master);
      } catch (const Error& e) {
        if (!is_refusal(e)) world_.problem("after a shutdown: " + e.message);
        return 0;
      }
    }
    const auto report = storage::verify_pages(*world_.disk, keys.get());
    if (world_.wounded()) world_.detections.findings += report.problems.size() + report.warnings.size();
    else
      for (const auto& p : report.problems) world_.problem("after a shutdown: " + p);
    damage_.at_rest(world_);
    return report.pages;
  }

  void shut_down() {
    if (world_.system != nullptr) {
      world_.disk->crash();
      world_.system.reset();
    }
    world_.executor.stop();
  }

  /// P14: when all is collected no version is left, and every page that is not free belongs to a tree.
  void check_leaks() {
    TransactionSystem& system = *world_.system;
    SystemParts& parts = system.parts();
    // A checkpoint that runs needs pages that are given up; the collector's own thread may be amid a tree.
    for (int i = 0; i < 20 || (i < 500 && parts.storage->pending().size() != 0); ++i) {
      system.collect_garbage();
      parts.buffer().reclaim_freed(1000);
      world_.executor.run_for(std::chrono::milliseconds(1));
    }
    if (parts.versions.size() != 0)
      world_.problem(fmt::format("{} versions are left", parts.versions.size()));
    if (parts.storage->pending().size() != 0) {
      world_.problem(fmt::format("{} pages are still pending free", parts.storage->pending().size()));
    }
    for (const auto& p : system.check(false, computed_keys_of))
      if (!world_.explains_loss(p)) world_.problem("at rest: " + p);
    const std::set<std::uint64_t> reachable = reachable_pages(world_);
    if (options_.verbose) {
      for (std::uint64_t id = 1; id < parts.buffer().next_page_id(); ++id) {
        if (reachable.contains(id)) continue;
        auto guard = parts.buffer().fix_shared(PageId{id});
        if (!guard) continue;
        say(fmt::format("page {} is not reachable: kind {} owner {} level {}", id,
                        static_cast<int>(guard->header().kind), guard->header().owner,
                        guard->header().level));
      }
    }
    const std::uint64_t pages = close_cleanly();
    const bool lost = world_.loses_space() && pages > reachable.size();
    if (pages != reachable.size() && !lost &&
        !world_.wounded()) {  // else the check itself may have met damage
      world_.problem(fmt::format("{} pages are in use, {} are reachable", pages, reachable.size()));
    }
  }

  const CrashOptions options_;
  CrashWorld world_;
  LogWatch log_watch_;
  BackupWatch backup_watch_;
  DamagePlan damage_;
  std::unique_ptr<io::BackgroundThread> rotation_;
  bool rotating_ = false;
  bool set_aside_ = false;                             // something was, in a life that has ended
  std::vector<std::unique_ptr<CrashClient>> clients_;  // while they work
  bool refused_ = false;                               // a start, and for good
  Options system_options_;
  bool little_room_ = false;
  unsigned work_parts_ = 0;  // begun and ended
  std::uint64_t decisions_refused_ = 0;
  io::SimulatedFaults faults_, errors_;  // always; while clients work
  CrashResult result_;
};

}  // namespace

CrashResult run_crash_seed(std::uint64_t seed, const CrashOptions& options) {
  return Simulation(seed, options).run();
}

}  // namespace rustbd::txn::testing
