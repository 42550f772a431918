#include "rustbd/io/simulated/simulated_executor.h"

#include <gtest/gtest.h>

#include <functional>
#include <set>
#include <string>
#include <vector>

#include "rustbd/base/task.h"
#include "rustbd/io/batch.h"
#include "rustbd/io/simulated/simulated_disk.h"

namespace rustbd::io {
namespace {

using std::chrono::microseconds;
using std::chrono::seconds;

TEST(SimulatedExecutor, TimeJumpsToTheNextTimer) {
  SimulatedExecutor executor{1};
  const std::int64_t began = executor.clock().monotonic_us();
  executor.block_on(executor.after(seconds{3600}));
  EXPECT_EQ(executor.clock().monotonic_us() - began, 3'600'000'000);
}

TEST(SimulatedExecutor, ASerialLaneKeepsOrderWhileThePoolDoesNot) {
  SimulatedExecutor executor{2};
  const auto lane = executor.make_serial_lane("lane");
  std::vector<int> serial, pool;
  for (int i = 0; i < 50; ++i) {
    lane->post([&, i] { serial.push_back(i); });
    executor.workers().post([&, i] { pool.push_back(i); });
  }
  executor.run_until_idle();
  EXPECT_TRUE(std::is_sorted(serial.begin(), serial.end()));
  EXPECT_FALSE(std::is_sorted(pool.begin(), pool.end()));
  EXPECT_EQ(serial.size(), 50u);
  EXPECT_EQ(pool.size(), 50u);
}

TEST(SimulatedExecutor, BlocksNoLongerThanItWasTold) {
  SimulatedExecutor executor{3};
  const WaitToken token = WaitToken::make(WaitReason::kTask);
  const std::int64_t began = executor.clock().monotonic_us();
  const auto passed = [&] { return executor.clock().monotonic_us() - began; };
  executor.block_on(token, microseconds{500});
  EXPECT_FALSE(token.fired());
  EXPECT_GE(passed(), 500);
  EXPECT_LT(passed(), 600);
  executor.after(microseconds{100}).then(executor.workers(), [&] { token.fire(); });
  executor.block_on(token, seconds{60});
  EXPECT_TRUE(token.fired());
  EXPECT_LT(passed(), 1000);
  executor.run_until_idle();
}

TEST(SimulatedExecutor, SomeJobsAreServedInBatches) {
  SimulatedExecutor executor{3};
  int in_batches = 0;
  const auto count = [&] {
    for (int i = 0; i < 100; ++i) executor.workers().post([&] { in_batches += in_batch() ? 1 : 0; });
    executor.run_until_idle();
    return std::exchange(in_batches, 0);
  };
  EXPECT_EQ(count(), 0);
  executor.serve_in_batches(500);
  const int some = count();
  EXPECT_GT(some, 20);
  EXPECT_LT(some, 80);
}

TEST(SimulatedExecutor, WaitBlockingRunsOtherTasks) {
  SimulatedExecutor executor{3};
  const WaitToken token = WaitToken::make(WaitReason::kTask);
  executor.workers().post([&] { token.fire(); });
  token.wait_blocking();
  EXPECT_TRUE(token.fired());
}

// What happens depends on the order in which three threads, jobs and a disk take turns.
struct Outcome {
  std::uint64_t trace;
  std::vector<int> order;
  bool operator==(const Outcome&) const = default;
};
Outcome race(std::uint64_t seed) {
  SimulatedExecutor executor{seed};
  SimulatedDisk disk{seed, {.latency_us_max = 50}, &executor};
  Outcome out{};
  std::vector<std::unique_ptr<BackgroundThread>> threads;
  for (int t = 0; t < 3; ++t) {
    threads.push_back(executor.start_background("t", [&, t] {
      const auto file = std::move(disk.open("f" + std::to_string(t), {.create = true}).value());
      std::vector<std::byte> block(512);
      for (int i = 0; i < 5; ++i) {
        EXPECT_TRUE(file->write(static_cast<std::uint64_t>(i) * 512, block));
        out.order.push_back(t);
        executor.workers().post([&, t] { out.order.push_back(10 + t); });
        WaitToken{executor.after(microseconds{20})}.wait_blocking();
      }
      EXPECT_TRUE(file->datasync());
    }));
  }
  for (const auto& thread : threads) thread->join();
  executor.run_until_idle();
  out.trace = executor.trace_hash();
  return out;
}

TEST(SimulatedExecutor, TheSeedAloneDecides) {
  std::set<std::uint64_t> traces;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const Outcome first = race(seed);
    EXPECT_EQ(first.order.size(), 30u);
    EXPECT_EQ(first, race(seed));
    traces.insert(first.trace);
  }
  EXPECT_EQ(traces.size(), 20u);
}

Task<void> hop(SimulatedExecutor& executor, int& hops) {
  for (int i = 0; i < 10; ++i) {
    co_await executor.after(microseconds{100});
    ++hops;
  }
}
TEST(SimulatedExecutor, RunsCoroutines) {
  SimulatedExecutor executor{4};
  int hops = 0;
  executor.workers().post([&] { detach(hop(executor, hops)); });
  executor.run_for(microseconds{550});
  EXPECT_EQ(hops, 5);
  executor.run_until_idle();
  EXPECT_EQ(hops, 10);
}

TEST(SimulatedExecutorDeathTest, ADeadlockIsReported) {
  SimulatedExecutor executor{5};
  EXPECT_EXIT(executor.block_on(WaitToken::make(WaitReason::kTask)), testing::ExitedWithCode(70),
              "never fires");
}

TEST(SimulatedExecutor, ALivelockReachesTheLimitOfSteps) {
  SimulatedExecutor executor{6};
  std::function<void()> again = [&] { executor.workers().post([&] { again(); }); };
  again();
  struct Stuck {};
  std::string why;
  executor.limit_steps(10'000, [&](std::string_view text) {
    why = text;
    throw Stuck{};
  });
  EXPECT_THROW(executor.block_on(WaitToken::make(WaitReason::kTask)), Stuck);
  EXPECT_EQ(why, "the limit of steps is reached");
  EXPECT_GE(executor.steps(), 10'000u);
}

TEST(SimulatedExecutor, SomebodyIsToldThatNothingCanRun) {
  SimulatedExecutor executor{7};
  struct Stuck {};
  bool idle = false;
  executor.limit_steps(10'000, [&](std::string_view why) {
    idle = why.starts_with("nothing can run");
    throw Stuck{};
  });
  EXPECT_THROW(executor.block_on(WaitToken::make(WaitReason::kTask)), Stuck);
  EXPECT_TRUE(idle);
}

TEST(SimulatedExecutor, NamesTheBackgroundThreadsThatRun) {
  SimulatedExecutor executor{8};
  const WaitToken go = WaitToken::make(WaitReason::kTask);
  const auto thread = executor.start_background("sweeper", [&] { executor.block_on(go); });
  EXPECT_EQ(executor.running_backgrounds(), std::vector<std::string>{"sweeper"});
  go.fire();
  thread->join();
  EXPECT_TRUE(executor.running_backgrounds().empty());
}

}  // namespace
}  // namespace rustbd::io
