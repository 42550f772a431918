#include <fmt/format.h>
#include <gtest/gtest.h>
#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <string>

#include "rustbd/txn/testing/crash_simulation.h"

namespace rustbd::txn {
namespace {

std::uint64_t number_from(const char* variable, std::uint64_t otherwise) {
  const char* text = std::getenv(variable);
  return text != nullptr && *text != '\0' ? std::strtoull(text, nullptr, 0) : otherwise;
}

std::uint64_t seed_count() {
#if defined(__OPTIMIZE__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  return number_from("RUSTBD_TEST_SEEDS", 2000);
#else
  return number_from("RUSTBD_TEST_SEEDS", 100);
#endif
}

std::atomic<std::uint64_t> running_seed{0};

/// A seed that stops the process names itself too.
void name_the_seed(int signal) {
  char text[96];
  const auto end = fmt::format_to_n(text, sizeof text, "\ncrash simulation: seed {} stopped the process\n",
                                    running_seed.load(std::memory_order_relaxed));
  static_cast<void>(!::write(STDERR_FILENO, text, std::min(end.size, sizeof text)));
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

/// A seed opens the system some five times: what one gives back the next one takes, without asking the kernel
/// in between.
void keep_freed_memory() {
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
}

/// RUSTBD_SEED=n runs that seed alone, and tells what happens; RUSTBD_CRASH_FEATURES narrows the workload
/// down.
TEST(CrashSimulation, EverySeedRecovers) {
  keep_freed_memory();
  ::setenv("RUSTBD_ABORT_ON_PANIC", "1", 1);  // a broken invariant comes to the handler too
  for (const int signal : {SIGSEGV, SIGBUS, SIGABRT}) std::signal(signal, name_the_seed);
  const std::uint64_t one = number_from("RUSTBD_SEED", 0);
  testing::CrashOptions options;
  options.features = static_cast<std::uint32_t>(number_from("RUSTBD_CRASH_FEATURES", options.features));
  options.verbose = one != 0;
  const std::uint64_t first = one != 0 ? one : number_from("RUSTBD_TEST_FIRST_SEED", 1);
  const std::uint64_t last = one != 0 ? one : first + seed_count() - 1;
  std::uint64_t commits = 0, crashes = 0, layouts = 0, rows = 0, aborts = 0, checkpoints = 0, moved = 0;
  int failed = 0;
  for (std::uint64_t seed = first; seed <= last && failed < 5; ++seed) {
    running_seed.store(seed, std::memory_order_relaxed);
    const testing::CrashResult result = testing::run_crash_seed(seed, options);
    commits += result.commits;
    aborts += result.aborts;
    crashes += result.crashes;
    layouts += result.layouts_changed;
    rows += result.rows_read;
    checkpoints += result.checkpoints;
    moved += result.pages_moved;
    if (result.problems.empty()) continue;
    ++failed;
    std::string text;
    for (const auto& p : result.problems) text += "\n  " + p;
    ADD_FAILURE() << "seed " << seed << " (" << result.settings << ")" << text
                  << "\n  again: RUSTBD_SEED=" << seed << " txn_test --gtest_filter='CrashSimulation.*'";
  }
  RecordProperty("commits", std::to_string(commits));
  std::printf(
      "%llu seeds: %llu crashes, %llu commits, %llu aborts, %llu with DDL, %llu checkpoints, %llu pages "
      "moved, %llu rows read\n",
      static_cast<unsigned long long>(last - first + 1), static_cast<unsigned long long>(crashes),
      static_cast<unsigned long long>(commits), static_cast<unsigned long long>(aborts),
      static_cast<unsigned long long>(layouts), static_cast<unsigned long long>(checkpoints),
      static_cast<unsigned long long>(moved), static_cast<unsigned long long>(rows));
  if (one == 0) {
    EXPECT_GT(commits, 0u);
  }
}

/// Visibility: every table and index scan, at both isolation levels, against the list of commits at the
/// scan's snapshot and the transaction's own changes, savepoints included.
TEST(TransactionVisibility, ScansSeeTheCommitsOfTheirSnapshot) {
  testing::CrashOptions options;
  options.crashes = false;
  options.reads_per_mille = 450;
  const std::uint64_t seeds = std::max<std::uint64_t>(20, seed_count() / 20);
  std::uint64_t rows = 0;
  for (std::uint64_t seed = 1'000'001; seed <= 1'000'000 + seeds; ++seed) {
    const testing::CrashResult result = testing::run_crash_seed(seed, options);
    rows += result.rows_read;
    ASSERT_TRUE(result.problems.empty())
        << "seed " << seed << " (" << result.settings << ") " << result.problems.front();
  }
  EXPECT_GT(rows, seeds * 100);
}

}  // namespace
}  // namespace rustbd::txn
