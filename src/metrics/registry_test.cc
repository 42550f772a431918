#include "rustbd/metrics/registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace rustbd::metrics {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(Registry, RendersTextFormat) {
  Registry registry;
  registry.counter("rustbd_queries_total", "Total number of queries").inc(3);
  registry.counter("rustbd_errors_total", "Errors", {{"sqlstate", "22012"}}).inc();
  registry.counter("rustbd_errors_total", "Errors", {{"sqlstate", "23505"}}).inc(2);
  registry.gauge("rustbd_active_connections", "Connections").set(5);
  const std::string text = registry.expose();
  EXPECT_THAT(text, HasSubstr("# HELP rustbd_queries_total Total number of queries\n"
                              "# TYPE rustbd_queries_total counter\nrustbd_queries_total 3\n"));
  EXPECT_THAT(
      text,
      HasSubstr("rustbd_errors_total{sqlstate=\"22012\"} 1\nrustbd_errors_total{sqlstate=\"23505\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("# TYPE rustbd_active_connections gauge\nrustbd_active_connections 5\n"));
}

TEST(Registry, HistogramBucketsAreCumulativeAndHoldTheirBound) {
  Registry registry;
  Histogram& h = registry.histogram("rustbd_x_seconds", "x", {1, 2, 4});
  for (const double v : {0.5, 1.0, 1.5, 4.0, 9.0}) h.observe(v);
  const std::string text = registry.expose();
  EXPECT_THAT(text, HasSubstr("rustbd_x_seconds_bucket{le=\"1\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("rustbd_x_seconds_bucket{le=\"2\"} 3\n"));
  EXPECT_THAT(text, HasSubstr("rustbd_x_seconds_bucket{le=\"4\"} 4\n"));
  EXPECT_THAT(text, HasSubstr("rustbd_x_seconds_bucket{le=\"+Inf\"} 5\n"));
  EXPECT_THAT(text, HasSubstr("rustbd_x_seconds_count 5\n"));
  EXPECT_DOUBLE_EQ(h.sum(), 16.0);
  EXPECT_DOUBLE_EQ(h.quantile(0.4), 1.0);
}

TEST(Registry, CallbackLeavesWithItsHandle) {
  Registry registry;
  double value = 7;
  {
    const Registry::Callback handle = registry.gauge_callback("rustbd_v", "v", [&] { return value; });
    EXPECT_THAT(registry.expose(), HasSubstr("rustbd_v 7\n"));
    value = 8;
    EXPECT_THAT(registry.expose(), HasSubstr("rustbd_v 8\n"));
  }
  EXPECT_THAT(registry.expose(), Not(HasSubstr("rustbd_v")));
  const Registry::Callback again = registry.gauge_callback("rustbd_v", "v", [&] { return value; });
  EXPECT_EQ(registry.samples().size(), 1u);
}

TEST(RegistryDeathTest, RefusesDuplicatesAndForeignNames) {
  Registry registry;
  registry.counter("rustbd_a_total", "a");
  EXPECT_EXIT(registry.counter("rustbd_a_total", "a"), testing::ExitedWithCode(70), "declared twice");
  EXPECT_EXIT(registry.gauge("rustbd_a_total", "a", {{"x", "y"}}), testing::ExitedWithCode(70), "one kind");
  EXPECT_EXIT(registry.gauge("queries", "a"), testing::ExitedWithCode(70), "rustbd_");
}

}  // namespace
}  // namespace rustbd::metrics
