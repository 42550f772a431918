// rustbd-sim: seeds of the crash simulation in child processes, so that one that stops or hangs its process
// is one violation more and the run goes on. The children take the next seed from a counter in shared memory.
#include <fcntl.h>
#include <fmt/format.h>
#include <malloc.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "rustbd/txn/testing/crash_simulation.h"
#include "rustbd/txn/testing/crash_world.h"
#include "rustbd/txn/testing/shrink.h"

namespace {

using rustbd::txn::testing::CrashOptions;
using rustbd::txn::testing::CrashResult;
using rustbd::txn::testing::kAllFeatures;

constexpr const char* kUsage =
    "usage: rustbd-sim [--seeds N] [--start S] [--jobs J] [--long] [--unrecoverable] [--shrink] [--verbose]\n"
    "                  [--features MASK] [--crashes N] [--clients N] [--transactions N]\n"
    "  --seeds N         that many seeds (1000)\n"
    "  --start S         from seed S on (1)\n"
    "  --jobs J          child processes (one per core); 0: in this process, for a debugger\n"
    "  --long            50 crashes a seed instead of 1 to 4\n"
    "  --unrecoverable   damage in every seed, of all copies too: it must be detected, no more\n"
    "  --shrink          narrows each failing seed down\n"
    "  --verbose         tells what happens\n"
    "  --features MASK   parts of the workload (bits of src/txn/testing/crash_world.h)\n"
    "  --crashes, --clients, --transactions N   at most so many: crashes, clients, transactions of each "
    "client\n";

struct Settings {
  std::uint64_t seeds = 1000, start = 1;
  unsigned jobs = std::max(1u, std::thread::hardware_concurrency());
  bool shrink = false;
  CrashOptions crash;
};

constexpr std::size_t kFailuresKept = 256;
constexpr std::uint64_t kSeedsThatCommit = 20;  // so many without one commit test nothing

/// In memory that all children share.
struct Shared {
  std::atomic<std::uint64_t> next{0};  // how many seeds were taken
  std::atomic<std::uint64_t> failures{0};
  std::array<std::atomic<std::uint64_t>, kFailuresKept> failed{};
  std::atomic<std::uint64_t> commits{0}, aborts{0}, crashes{0}, checkpoints{0}, layouts{0}, moved{0}, rows{0},
      repeated{0}, restored{0}, archives{0};
  std::array<std::atomic<std::uint64_t>, rustbd::io::kDamageKinds> injected{};
  std::atomic<std::uint64_t> harmless{0}, detected{0},
      inconsequential{0};  // of the damage, see note_damage()
  std::atomic<std::uint64_t> damaged_seeds{0}, refused{0}, backups_refused{0}, failed_statements{0},
      rebuilt{0}, lost_space{0};

  void note(std::uint64_t seed) {
    if (const std::uint64_t n = failures.fetch_add(1); n < kFailuresKept) failed[n] = seed;
  }
};

std::string command(std::uint64_t seed, const CrashOptions& o) {
  std::string text = fmt::format("rustbd-sim --start {} --seeds 1", seed);
  if ((o.features & kAllFeatures) != kAllFeatures) text += fmt::format(" --features {:#x}", o.features);
  if (o.long_form) text += " --long";
  if (o.unrecoverable) text += " --unrecoverable";
  if (o.crashes_max != 0) text += fmt::format(" --crashes {}", o.crashes_max);
  if (o.clients_max != 0) text += fmt::format(" --clients {}", o.clients_max);
  if (o.transactions_max != 0) text += fmt::format(" --transactions {}", o.transactions_max);
  return text;
}

void tell_failure(std::uint64_t seed, const CrashOptions& options, const std::string& what) {
  const std::string text = fmt::format("seed {}: {}\n  again: {}\n", seed, what, command(seed, options));
  std::fputs(text.c_str(), stdout);
  std::fflush(stdout);
}

/// A seed that computes without end is stopped by the processor time that it takes, one that neither computes
/// nor ends by the clock.
void watch(bool long_form) {
  const int seconds = long_form ? 600 : 120;
  const itimerval limit{{0, 0}, {seconds, 0}};
  setitimer(ITIMER_VIRTUAL, &limit, nullptr);
  alarm(static_cast<unsigned>(seconds * 10));
}

/// A fault is harmless where nobody read what it left; detected where somebody did, and the seed told of
/// damage. Else it made no difference: the bytes were those of a spare copy, or padding.
void note_damage(const CrashResult& result, Shared& shared) {
  for (std::size_t kind = 0; kind < rustbd::io::kDamageKinds; ++kind)
    shared.injected[kind] += result.damage.injected[kind];
  shared.harmless += result.damage.overwritten + result.damage.never_read;
  (result.detections.any() ? shared.detected : shared.inconsequential) += result.damage.read;
  shared.damaged_seeds += result.damage.total() != 0 ? 1 : 0;
  shared.refused += result.detections.starts;
  shared.backups_refused += result.detections.backups;
  shared.failed_statements += result.detections.statements;
  shared.rebuilt += result.detections.rebuilt;
  shared.lost_space += result.detections.space != 0 ? 1 : 0;
}

/// True: no violation.
bool run_seed(std::uint64_t seed, const CrashOptions& options, Shared& shared, bool tell) {
  const CrashResult result = rustbd::txn::testing::run_crash_seed(seed, options);
  shared.commits += result.commits;
  shared.aborts += result.aborts;
  shared.crashes += result.crashes;
  shared.checkpoints += result.checkpoints;
  shared.layouts += result.layouts_changed;
  shared.moved += result.pages_moved;
  shared.rows += result.rows_read;
  shared.repeated += result.recoveries_repeated;
  shared.restored += result.backups_restored;
  shared.archives += result.archives_shared;
  note_damage(result, shared);
  if (result.problems.empty()) return true;
  std::string what = fmt::format("({})", result.settings);
  for (const auto& p : result.problems) what += "\n  " + p;
  if (tell) tell_failure(seed, options, what);
  return false;
}

struct Child {
  pid_t pid = -1;
  std::atomic<std::uint64_t>* seed = nullptr;  // in shared memory; 0: between two seeds
};

[[noreturn]] void child_main(const Settings& settings, Shared& shared, std::atomic<std::uint64_t>& mine) {
  for (;;) {
    const std::uint64_t n = shared.next.fetch_add(1);
    if (n >= settings.seeds) break;
    mine = settings.start + n;
    watch(settings.crash.long_form);
    if (!run_seed(mine, settings.crash, shared, true)) shared.note(mine);
    mine = 0;
  }
  std::fflush(nullptr);
  _exit(0);
}

std::string how_it_ended(int status) {
  if (WIFSIGNALED(status)) {
    const int signal = WTERMSIG(status);
    if (signal == SIGVTALRM || signal == SIGALRM) return "does not come to an end";
    return fmt::format("stopped the process: {}", strsignal(signal));
  }
  if (WEXITSTATUS(status) == rustbd::txn::testing::kStuckExitCode) return "does not come to an end";
  return fmt::format("stopped the process with exit code {}", WEXITSTATUS(status));
}

pid_t fork_or_end() {
  std::fflush(nullptr);
  const pid_t pid = fork();
  if (pid >= 0) return pid;
  std::perror("rustbd-sim: fork");
  std::exit(2);
}

void run_children(const Settings& settings, Shared& shared, std::atomic<std::uint64_t>* current) {
  std::vector<Child> children(settings.jobs);
  const auto start = [&](Child& child) {
    child.pid = fork_or_end();
    if (child.pid == 0) child_main(settings, shared, *child.seed);
  };
  for (std::size_t i = 0; i < children.size(); ++i) {
    children[i].seed = &current[i];
    start(children[i]);
  }
  for (std::size_t running = children.size(); running > 0;) {
    int status = 0;
    const pid_t ended = waitpid(-1, &status, 0);
    if (ended < 0) break;
    for (Child& child : children) {
      if (child.pid != ended) continue;
      const std::uint64_t seed = child.seed->exchange(0);
      if (seed == 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        --running;
        continue;
      }
      shared.note(seed);
      tell_failure(seed, settings.crash, how_it_ended(status));
      start(child);
    }
  }
}

/// Whether the seed still fails, in a process of its own that tells nothing.
bool still_fails(std::uint64_t seed, const CrashOptions& options) {
  const pid_t pid = fork_or_end();
  if (pid == 0) {
    const int nowhere = open("/dev/null", O_WRONLY);
    dup2(nowhere, STDOUT_FILENO);
    dup2(nowhere, STDERR_FILENO);
    watch(options.long_form);
    Shared uncounted;
    _exit(run_seed(seed, options, uncounted, false) ? 0 : 1);
  }
  int status = 0;
  waitpid(pid, &status, 0);
  return !WIFEXITED(status) || WEXITSTATUS(status) != 0;
}

std::uint64_t number(const char* text) {
  char* end = nullptr;
  const std::uint64_t value = std::strtoull(text, &end, 0);
  if (end != text && *end == '\0') return value;
  std::fprintf(stderr, "rustbd-sim: '%s' is no number\n%s", text, kUsage);
  std::exit(2);
}

Settings parse(int argc, char** argv) {
  Settings s;
  for (int i = 1; i < argc; ++i) {
    const std::string_view name = argv[i];
    const auto value = [&] {
      if (i + 1 < argc) return number(argv[++i]);
      std::fprintf(stderr, "rustbd-sim: %s needs a number\n%s", argv[i], kUsage);
      std::exit(2);
    };
    const auto small = [&] { return static_cast<std::uint32_t>(value()); };
    if (name == "--seeds") s.seeds = value();
    else if (name == "--start") s.start = value();
    else if (name == "--jobs") s.jobs = small();
    else if (name == "--features") s.crash.features = small();
    else if (name == "--crashes") s.crash.crashes_max = small();
    else if (name == "--clients") s.crash.clients_max = small();
    else if (name == "--transactions") s.crash.transactions_max = small();
    else if (name == "--long") s.crash.long_form = true;
    else if (name == "--unrecoverable") s.crash.unrecoverable = true;
    else if (name == "--shrink") s.shrink = true;
    else if (name == "--verbose") s.crash.verbose = true;
    else {
      std::fprintf(name == "--help" ? stdout : stderr, "%s", kUsage);
      std::exit(name == "--help" ? 0 : 2);
    }
  }
  if (s.start == 0 || s.seeds == 0) {
    std::fprintf(stderr, "rustbd-sim: seeds count from 1\n");
    std::exit(2);
  }
  return s;
}

template <class T>
T* share(std::size_t count) {
  void* memory = mmap(nullptr, sizeof(T) * count, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    std::perror("rustbd-sim: mmap");
    std::exit(2);
  }
  return new (memory) T[count];
}

}  // namespace

int main(int argc, char** argv) {
  Settings settings = parse(argc, argv);
  // A seed opens the system some five times: what one gives back the next one takes, without asking the
  // kernel.
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
  setenv("RUSTBD_ABORT_ON_PANIC", "1", 1);
  Shared& shared = *share<Shared>(1);
  const auto begin = std::chrono::steady_clock::now();
  if (settings.jobs == 0) {
    for (std::uint64_t seed = settings.start; seed < settings.start + settings.seeds; ++seed)
      if (!run_seed(seed, settings.crash, shared, true)) shared.note(seed);
  } else {
    run_children(settings, shared, share<std::atomic<std::uint64_t>>(settings.jobs));
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  const std::uint64_t failures = shared.failures;
  if (settings.shrink) {
    settings.crash.verbose = false;
    for (std::size_t i = 0; i < std::min<std::uint64_t>(failures, kFailuresKept); ++i) {
      const std::uint64_t seed = shared.failed[i];
      if (!still_fails(seed, settings.crash)) {
        fmt::print("seed {} fails only together with others\n", seed);
        continue;
      }
      const auto fails = [seed](const CrashOptions& options) { return still_fails(seed, options); };
      const CrashOptions smallest = rustbd::txn::testing::shrink(settings.crash, fails);
      fmt::print("seed {}, smallest: {}\n", seed, command(seed, smallest));
      std::fflush(stdout);
    }
  }
  fmt::print(
      "{} crashes, {} commits ({} with DDL), {} aborts, {} checkpoints, {} pages moved, {} rows read\n",
      shared.crashes.load(), shared.commits.load(), shared.layouts.load(), shared.aborts.load(),
      shared.checkpoints.load(), shared.moved.load(), shared.rows.load());
  fmt::print(
      "{} recoveries compared with an undisturbed one, {} backups restored, {} of which archived where the "
      "original does\n",
      shared.repeated.load(), shared.restored.load(), shared.archives.load());
  fmt::print(
      "damage in {} seeds: {} lost writes, {} misdirected writes, {} misdirected reads, {} at rest, {} "
      "with lost sectors; {} harmless, {} detected, {} without consequence; {} statements failed, {} starts "
      "were refused, {} backups neither made nor restored, {} pages and indexes were made anew\n",
      shared.damaged_seeds.load(), shared.injected[0].load(), shared.injected[1].load(),
      shared.injected[2].load(), shared.injected[3].load(), shared.injected[4].load(), shared.harmless.load(),
      shared.detected.load(), shared.inconsequential.load(), shared.failed_statements.load(),
      shared.refused.load(), shared.backups_refused.load(), shared.rebuilt.load());
  fmt::print("space was lost to read errors in {} seeds\n", shared.lost_space.load());
  fmt::print("{:.0f} s, {:.1f} seeds per second\n", took.count(),
             static_cast<double>(settings.seeds) / std::max(took.count(), 0.001));
  fmt::print("{} seeds, {} violations\n", settings.seeds, failures);
  const bool idle = settings.seeds >= kSeedsThatCommit && shared.commits == 0;
  if (idle) std::fprintf(stderr, "rustbd-sim: nothing was committed, so nothing was tested\n");
  return failures == 0 && !idle ? 0 : 1;
}
