// Counters, gauges, histograms and the registry that renders them for Prometheus (text format 0.0.4).
//
// Invariants: (1) a counter's inc() is one relaxed add on a cache line of the calling thread's shard; (2) a
// pair of name and labels exists once in a registry; (3) instruments live as long as their registry and never
// move. Threads: all methods from any thread. One registry per database instance, handed down by reference.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace rustbd::metrics {

inline constexpr std::size_t kShards = 16;  // more threads than that share a shard
/// The calling thread's shard, [0, kShards). Threads get them in turn.
std::size_t shard_of_thread();

using Labels = std::vector<std::pair<std::string, std::string>>;

/// Only goes up.
class Counter {
 public:
  void inc(std::uint64_t n = 1) { cells_[shard_of_thread()].value.fetch_add(n, std::memory_order_relaxed); }
  /// Exact once the writers are quiet; otherwise some recent value.
  [[nodiscard]] std::uint64_t value() const;

 private:
  struct alignas(64) Cell {
    std::atomic<std::uint64_t> value{0};
  };
  std::array<Cell, kShards> cells_;
};

/// Goes up and down. Not sharded: gauges change rarely.
class Gauge {
 public:
  void set(double value) { value_.store(value, std::memory_order_relaxed); }
  void add(double delta) { value_.fetch_add(delta, std::memory_order_relaxed); }
  [[nodiscard]] double value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<double> value_{0};
};

/// Counts observations in fixed buckets. A bucket holds what is <= its bound; one more holds the rest.
class Histogram {
 public:
  explicit Histogram(std::vector<double> bounds);
  void observe(double value);
  [[nodiscard]] std::uint64_t count() const;
  [[nodiscard]] double sum() const;
  [[nodiscard]] const std::vector<double>& bounds() const { return bounds_; }
  /// Observations in bucket `i` alone (not cumulative); i <= bounds().size().
  [[nodiscard]] std::uint64_t bucket(std::size_t i) const;
  /// The q-quantile (0..1), interpolated within its bucket; 0 if nothing was observed.
  [[nodiscard]] double quantile(double q) const;

 private:
  struct alignas(64) Shard {
    std::unique_ptr<std::atomic<std::uint64_t>[]> buckets;
    std::atomic<double> sum{0};
  };
  const std::vector<double> bounds_;  // strictly ascending
  std::array<Shard, kShards> shards_;
};

/// `count` bounds: first, first*factor, ...
std::vector<double> exponential_bounds(double first, double factor, std::size_t count);
/// 10 us to 84 s in steps of a factor 2: for durations in seconds.
std::vector<double> duration_bounds();

enum class Kind : std::uint8_t { kCounter, kGauge, kHistogram };

/// One line of the exposition, for the system view of metrics. Histograms give name_count and name_sum.
struct Sample {
  std::string name;
  Labels labels;
  Kind kind;
  std::string help;
  double value;
};

class Registry {
 public:
  Registry();
  ~Registry();
  Registry(const Registry&) = delete;
  Registry& operator=(const Registry&) = delete;

  /// Names start with "rustbd_" or "process_" and hold [a-z0-9_]. A second instrument of the same name must
  /// be of the same kind and have other labels: anything else is a bug and stops the process.
  Counter& counter(std::string name, std::string help, Labels labels = {});
  /// The counter of this name and these labels, made when first asked for: for labels known only at run time.
  /// Takes a mutex; not for hot paths.
  Counter& labelled_counter(std::string name, std::string help, Labels labels);
  Gauge& gauge(std::string name, std::string help, Labels labels = {});
  Histogram& histogram(std::string name, std::string help, std::vector<double> bounds = duration_bounds(),
                       Labels labels = {});

  /// Takes its callback out of the registry when destroyed; a running expose() is waited for.
  class Callback {
   public:
    Callback() = default;
    Callback(Callback&& from) noexcept : registry_(std::exchange(from.registry_, nullptr)), id_(from.id_) {}
    Callback& operator=(Callback&& from) noexcept;
    ~Callback() { reset(); }
    void reset();

   private:
    friend class Registry;
    Callback(Registry* registry, std::uint64_t id) : registry_(registry), id_(id) {}
    Registry* registry_ = nullptr;
    std::uint64_t id_ = 0;
  };
  /// A gauge (or counter) whose value is asked for at each exposition. `read` must not call the registry.
  [[nodiscard]] Callback gauge_callback(std::string name, std::string help, std::function<double()> read,
                                        Labels labels = {});
  [[nodiscard]] Callback counter_callback(std::string name, std::string help, std::function<double()> read,
                                          Labels labels = {});

  /// Text format 0.0.4, families sorted by name.
  [[nodiscard]] std::string expose() const;
  [[nodiscard]] std::vector<Sample> samples() const;

 private:
  struct Impl;
  void forget(std::uint64_t callback_id);
  std::unique_ptr<Impl> impl_;
};

}  // namespace rustbd::metrics
