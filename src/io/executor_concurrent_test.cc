#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "rustbd/base/task.h"
#include "rustbd/io/executor.h"

namespace rustbd::io {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

TEST(ThreadExecutor, RunsEveryJobOnALaneOfIts) {
  const auto executor = make_thread_executor(3);
  constexpr int kJobs = 2000;
  std::atomic<int> done{0}, elsewhere{0};
  const WaitToken all = WaitToken::make(WaitReason::kTask);
  std::vector<std::thread> posters;
  for (int t = 0; t < 4; ++t) {
    posters.emplace_back([&] {
      for (int i = 0; i < kJobs / 4; ++i) {
        executor->workers().post([&] {
          if (Lane::current() != &executor->workers()) ++elsewhere;
          if (++done == kJobs) all.fire();
        });
      }
    });
  }
  for (std::thread& poster : posters) poster.join();
  executor->block_on(all);
  EXPECT_EQ(done, kJobs);
  EXPECT_EQ(elsewhere, 0);
  EXPECT_EQ(Lane::current(), nullptr);
}

TEST(ThreadExecutor, ASerialLaneKeepsOrder) {
  const auto executor = make_thread_executor(2);
  const auto lane = executor->make_serial_lane("lane");
  std::vector<int> order;  // touched by the lane alone
  const WaitToken end = WaitToken::make(WaitReason::kTask);
  for (int i = 0; i < 500; ++i) lane->post([&order, i] { order.push_back(i); });
  lane->post([&] { end.fire(); });
  end.wait_blocking();
  ASSERT_EQ(order.size(), 500u);
  for (int i = 0; i < 500; ++i) EXPECT_EQ(order[static_cast<std::size_t>(i)], i);
}

TEST(ThreadExecutor, BlocksNoLongerThanItWasTold) {
  const auto executor = make_thread_executor(1);
  const auto clock = make_system_clock();
  const std::int64_t began = clock->monotonic_us();
  const WaitToken token = WaitToken::make(WaitReason::kTask);
  executor->block_on(token, milliseconds{3});
  EXPECT_FALSE(token.fired());
  EXPECT_GE(clock->monotonic_us() - began, 3000);
  executor->workers().post([&] { token.fire(); });
  executor->block_on(token, milliseconds{3'600'000});
  EXPECT_TRUE(token.fired());
  executor->block_on(token, milliseconds{3'600'000});
}

TEST(ThreadExecutor, TimersFireInOrderAndNotEarly) {
  const auto executor = make_thread_executor(1);
  const auto clock = make_system_clock();
  const std::int64_t began = clock->monotonic_us();
  const WaitToken late = executor->after(milliseconds{30});
  const WaitToken early = executor->after(milliseconds{5});
  early.wait_blocking();
  EXPECT_GE(clock->monotonic_us() - began, 5000);
  late.wait_blocking();
  EXPECT_GE(clock->monotonic_us() - began, 30000);
}

TEST(ThreadExecutor, ManyAbandonedTimersAreSweptAndTheRestFires) {
  const auto executor = make_thread_executor(1);
  for (int i = 0; i < 5000; ++i) executor->after(std::chrono::hours{1}).fire();
  const WaitToken soon = executor->after(milliseconds{1});
  soon.wait_blocking();
  EXPECT_TRUE(soon.fired());
}

TEST(ThreadExecutor, EachParkedJobRunsOnceHoweverItRacesWithFire) {
  const auto executor = make_thread_executor(3);
  for (int round = 0; round < 200; ++round) {
    const WaitToken event = WaitToken::make(WaitReason::kTask);
    const WaitToken all = WaitToken::make(WaitReason::kTask);
    std::atomic<int> runs{0};
    for (int i = 0; i < 8; ++i) {
      executor->workers().post([&, event] {
        event.then(executor->workers(), [&] {
          if (++runs == 8) all.fire();
        });
      });
    }
    executor->workers().post([event] { event.fire(); });
    event.fire();
    all.wait_blocking();
    EXPECT_EQ(runs, 8);
  }
}

Task<int> add_later(Executor& executor, int a, int b) {
  co_await executor.after(microseconds{50});
  co_return a + b;
}
Task<void> sum(Executor& executor, std::atomic<int>& total, Lane& home, std::atomic<int>& strayed) {
  for (int i = 0; i < 20; ++i) {
    total += co_await add_later(executor, i, 1);
    if (Lane::current() != &home) ++strayed;
  }
}

TEST(ThreadExecutor, ACoroutineComesBackToItsLane) {
  const auto executor = make_thread_executor(2);
  const auto lane = executor->make_serial_lane("session");
  std::atomic<int> total{0}, strayed{0};
  const WaitToken end = WaitToken::make(WaitReason::kTask);
  lane->post([&] { detach(sum(*executor, total, *lane, strayed), [&] { end.fire(); }); });
  end.wait_blocking();
  EXPECT_EQ(total, 210);
  EXPECT_EQ(strayed, 0);
}

TEST(ThreadExecutor, BackgroundThreadsAreJoined) {
  const auto executor = make_thread_executor(1);
  std::atomic<bool> over{false};
  const WaitToken go = WaitToken::make(WaitReason::kTask);
  const auto thread = executor->start_background("body", [&] {
    executor->block_on(go);
    over = true;
  });
  go.fire();
  thread->join();
  EXPECT_TRUE(over);
}

}  // namespace
}  // namespace rustbd::io
