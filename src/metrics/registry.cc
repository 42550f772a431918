#include "rustbd/metrics/registry.h"

#include <prometheus/client_metric.h>
#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>
#include <prometheus/metric_type.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <variant>

#include "rustbd/base/assert.h"

namespace rustbd::metrics {

std::size_t shard_of_thread() {
  static std::atomic<std::size_t> next{0};
  thread_local const std::size_t shard = next.fetch_add(1, std::memory_order_relaxed) % kShards;
  return shard;
}

std::uint64_t Counter::value() const {
  std::uint64_t sum = 0;
  for (const Cell& cell : cells_) sum += cell.value.load(std::memory_order_relaxed);
  return sum;
}

Histogram::Histogram(std::vector<double> bounds) : bounds_(std::move(bounds)) {
  RUSTBD_ASSERT(std::adjacent_find(bounds_.begin(), bounds_.end(), std::greater_equal<>{}) == bounds_.end(),
                "histogram bounds ascend");
  for (Shard& shard : shards_)
    shard.buckets = std::make_unique<std::atomic<std::uint64_t>[]>(bounds_.size() + 1);
}

void Histogram::observe(double value) {
  Shard& shard = shards_[shard_of_thread()];
  const auto i = std::lower_bound(bounds_.begin(), bounds_.end(), value) - bounds_.begin();
  shard.buckets[static_cast<std::size_t>(i)].fetch_add(1, std::memory_order_relaxed);
  shard.sum.fetch_add(value, std::memory_order_relaxed);
}

std::uint64_t Histogram::bucket(std::size_t i) const {
  std::uint64_t sum = 0;
  for (const Shard& shard : shards_) sum += shard.buckets[i].load(std::memory_order_relaxed);
  return sum;
}

std::uint64_t Histogram::count() const {
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i <= bounds_.size(); ++i) sum += bucket(i);
  return sum;
}

double Histogram::sum() const {
  double sum = 0;
  for (const Shard& shard : shards_) sum += shard.sum.load(std::memory_order_relaxed);
  return sum;
}

double Histogram::quantile(double q) const {
  const double rank = q * static_cast<double>(count());
  double below = 0;
  for (std::size_t i = 0; i <= bounds_.size(); ++i) {
    const auto here = static_cast<double>(bucket(i));
    if (here > 0 && below + here >= rank) {
      if (i == bounds_.size()) return bounds_.empty() ? 0 : bounds_.back();
      const double low = i == 0 ? 0 : bounds_[i - 1];
      return low + (bounds_[i] - low) * (rank - below) / here;
    }
    below += here;
  }
  return 0;
}

std::vector<double> exponential_bounds(double first, double factor, std::size_t count) {
  std::vector<double> bounds;
  for (std::size_t i = 0; i < count; ++i, first *= factor) bounds.push_back(first);
  return bounds;
}
std::vector<double> duration_bounds() { return exponential_bounds(10e-6, 2, 24); }

namespace {

struct Reader {
  std::function<double()> read;
};
using Instrument =
    std::variant<std::unique_ptr<Counter>, std::unique_ptr<Gauge>, std::unique_ptr<Histogram>, Reader>;

struct Series {
  Labels labels;
  Instrument instrument;
  std::uint64_t callback_id = 0;  // 0: owned by the registry for ever
};
enum class IfDeclared : std::uint8_t { kStop, kTake };
struct Family {
  Kind kind;
  std::string help;
  std::vector<std::unique_ptr<Series>> series;
};

bool good_name(std::string_view name) {
  const auto good = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'; };
  return (name.starts_with("rustbd_") || name.starts_with("process_")) &&
         std::all_of(name.begin(), name.end(), good);
}

prometheus::ClientMetric to_client(const Series& series, Kind kind) {
  prometheus::ClientMetric out;
  for (const auto& [name, value] : series.labels) out.label.push_back({name, value});
  const auto set_number = [&](double value) {
    kind == Kind::kCounter ? out.counter.value = value : out.gauge.value = value;
  };
  if (const auto* counter = std::get_if<std::unique_ptr<Counter>>(&series.instrument)) {
    set_number(static_cast<double>((*counter)->value()));
  } else if (const auto* gauge = std::get_if<std::unique_ptr<Gauge>>(&series.instrument)) {
    set_number((*gauge)->value());
  } else if (const auto* reader = std::get_if<Reader>(&series.instrument)) {
    set_number(reader->read());
  } else {
    const Histogram& histogram = *std::get<std::unique_ptr<Histogram>>(series.instrument);
    std::uint64_t cumulative = 0;
    for (std::size_t i = 0; i < histogram.bounds().size(); ++i) {
      cumulative += histogram.bucket(i);
      out.histogram.bucket.push_back({cumulative, histogram.bounds()[i]});
    }
    out.histogram.sample_count = cumulative + histogram.bucket(histogram.bounds().size());
    out.histogram.sample_sum = histogram.sum();
  }
  return out;
}

}  // namespace

struct Registry::Impl final : prometheus::Collectable {
  mutable std::mutex mutex;  // protects families, next_callback
  std::map<std::string, Family> families;
  std::uint64_t next_callback = 1;

  template <class Make>
  Series& add(std::string name, std::string help, Kind kind, Labels labels, Make make,
              IfDeclared if_declared = IfDeclared::kStop) {
    RUSTBD_ASSERT(good_name(name), "metric names start with rustbd_ or process_");
    std::sort(labels.begin(), labels.end());
    std::lock_guard lock{mutex};
    auto [it, fresh] = families.try_emplace(std::move(name), Family{kind, std::move(help), {}});
    RUSTBD_ASSERT(it->second.kind == kind, "a metric family has one kind");
    for (const auto& other : it->second.series) {
      if (other->labels != labels) continue;
      RUSTBD_ASSERT(if_declared == IfDeclared::kTake, "metric declared twice");
      return *other;
    }
    it->second.series.push_back(std::make_unique<Series>(Series{std::move(labels), make(), 0}));
    return *it->second.series.back();
  }
  std::vector<prometheus::MetricFamily> Collect() const override {
    std::lock_guard lock{mutex};
    std::vector<prometheus::MetricFamily> out;
    for (const auto& [name, family] : families) {
      prometheus::MetricFamily& f = out.emplace_back();
      f.name = name;
      f.help = family.help;
      f.type = family.kind == Kind::kCounter ? prometheus::MetricType::Counter
               : family.kind == Kind::kGauge ? prometheus::MetricType::Gauge
                                             : prometheus::MetricType::Histogram;
      for (const auto& series : family.series) f.metric.push_back(to_client(*series, family.kind));
    }
    return out;
  }
};

Registry::Registry() : impl_(std::make_unique<Impl>()) {}
Registry::~Registry() = default;

Counter& Registry::counter(std::string name, std::string help, Labels labels) {
  auto& series = impl_->add(std::move(name), std::move(help), Kind::kCounter, std::move(labels),
                            [] { return std::make_unique<Counter>(); });
  return *std::get<std::unique_ptr<Counter>>(series.instrument);
}
Counter& Registry::labelled_counter(std::string name, std::string help, Labels labels) {
  auto& series = impl_->add(
      std::move(name), std::move(help), Kind::kCounter, std::move(labels),
      [] { return std::make_unique<Counter>(); }, IfDeclared::kTake);
  return *std::get<std::unique_ptr<Counter>>(series.instrument);
}
Gauge& Registry::gauge(std::string name, std::string help, Labels labels) {
  auto& series = impl_->add(std::move(name), std::move(help), Kind::kGauge, std::move(labels),
                            [] { return std::make_unique<Gauge>(); });
  return *std::get<std::unique_ptr<Gauge>>(series.instrument);
}
Histogram& Registry::histogram(std::string name, std::string help, std::vector<double> bounds,
                               Labels labels) {
  auto& series = impl_->add(std::move(name), std::move(help), Kind::kHistogram, std::move(labels),
                            [&] { return std::make_unique<Histogram>(std::move(bounds)); });
  return *std::get<std::unique_ptr<Histogram>>(series.instrument);
}

Registry::Callback Registry::gauge_callback(std::string name, std::string help, std::function<double()> read,
                                            Labels labels) {
  Series& series = impl_->add(std::move(name), std::move(help), Kind::kGauge, std::move(labels),
                              [&] { return Reader{std::move(read)}; });
  std::lock_guard lock{impl_->mutex};
  series.callback_id = impl_->next_callback++;
  return Callback{this, series.callback_id};
}
Registry::Callback Registry::counter_callback(std::string name, std::string help,
                                              std::function<double()> read, Labels labels) {
  Series& series = impl_->add(std::move(name), std::move(help), Kind::kCounter, std::move(labels),
                              [&] { return Reader{std::move(read)}; });
  std::lock_guard lock{impl_->mutex};
  series.callback_id = impl_->next_callback++;
  return Callback{this, series.callback_id};
}

Registry::Callback& Registry::Callback::operator=(Callback&& from) noexcept {
  if (this != &from) {
    reset();
    registry_ = std::exchange(from.registry_, nullptr);
    id_ = from.id_;
  }
  return *this;
}
void Registry::Callback::reset() {
  if (registry_ != nullptr) std::exchange(registry_, nullptr)->forget(id_);
}

void Registry::forget(std::uint64_t callback_id) {
  std::lock_guard lock{impl_->mutex};
  for (auto it = impl_->families.begin(); it != impl_->families.end(); ++it) {
    if (std::erase_if(it->second.series, [&](const auto& s) { return s->callback_id == callback_id; }) == 0)
      continue;
    if (it->second.series.empty()) impl_->families.erase(it);
    return;
  }
}

std::string Registry::expose() const { return prometheus::TextSerializer{}.Serialize(impl_->Collect()); }

std::vector<Sample> Registry::samples() const {
  std::vector<Sample> out;
  for (const prometheus::MetricFamily& family : impl_->Collect()) {
    for (const prometheus::ClientMetric& metric : family.metric) {
      Labels labels;
      for (const auto& label : metric.label) labels.emplace_back(label.name, label.value);
      const auto add = [&](const std::string& name, Kind kind, double value) {
        out.push_back({name, labels, kind, family.help, value});
      };
      switch (family.type) {
        case prometheus::MetricType::Counter: add(family.name, Kind::kCounter, metric.counter.value); break;
        case prometheus::MetricType::Gauge: add(family.name, Kind::kGauge, metric.gauge.value); break;
        default:
          add(family.name + "_count", Kind::kHistogram, static_cast<double>(metric.histogram.sample_count));
          add(family.name + "_sum", Kind::kHistogram, metric.histogram.sample_sum);
      }
    }
  }
  return out;
}

}  // namespace rustbd::metrics
