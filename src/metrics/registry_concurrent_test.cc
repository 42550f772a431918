#include <gtest/gtest.h>

#include <barrier>
#include <string>
#include <thread>
#include <vector>

#include "rustbd/metrics/registry.h"

namespace rustbd::metrics {
namespace {

TEST(RegistryConcurrent, NothingIsLostWhileExposing) {
  Registry registry;
  Counter& counter = registry.counter("rustbd_a_total", "a");
  Histogram& histogram = registry.histogram("rustbd_b_seconds", "b", {1, 2});
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 20'000; ++i) {
        counter.inc();
        histogram.observe(i % 3);
      }
    });
  }
  for (int i = 0; i < 20; ++i) EXPECT_FALSE(registry.expose().empty());
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(counter.value(), 80'000u);
  EXPECT_EQ(histogram.count(), 80'000u);
}

// Two sessions that are the first to fail with a code do so at once.
TEST(RegistryConcurrent, ManyAskFirstForTheSameLabels) {
  static constexpr int kThreads = 4, kLabels = 500;
  Registry registry;
  std::barrier together(kThreads);
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < kLabels; ++i) {
        together.arrive_and_wait();
        registry.labelled_counter("rustbd_a_total", "a", {{"n", std::to_string(i)}}).inc();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (int i = 0; i < kLabels; ++i)
    EXPECT_EQ(registry.labelled_counter("rustbd_a_total", "a", {{"n", std::to_string(i)}}).value(),
              1u * kThreads);
}

}  // namespace
}  // namespace rustbd::metrics
