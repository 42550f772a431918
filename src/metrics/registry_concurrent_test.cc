#include <gtest/gtest.h>

#include <thread>

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

}  // namespace
}  // namespace rustbd::metrics
