#include "rustbd/io/simulated/simulated_executor.h"

#include <algorithm>
#include <cstdio>
#include <optional>

#include "rustbd/base/assert.h"
#include "rustbd/io/batch.h"
#include "rustbd/io/blocking_hook.h"
#include "rustbd/io/simulated/fiber.h"

namespace rustbd::io {

namespace {
constexpr std::int64_t kWallStartUs = 1'735'689'600'000'000;  // 2025-01-01
constexpr std::int64_t kStepUs = 1;  // each task costs a little time, so that busy tasks cannot starve timers
}  // namespace

class SimulatedExecutor::VirtualClock final : public Clock {
 public:
  std::int64_t wall_us() override { return kWallStartUs + now_us; }
  std::int64_t monotonic_us() override { return now_us; }
  std::int64_t now_us = 1;
};

class SimulatedExecutor::PoolLane final : public Lane {
 public:
  explicit PoolLane(SimulatedExecutor& executor) : executor_(executor) {}
  void post(Job job) override { executor_.post_pool(std::move(job)); }
  void run(Job& job) {
    const Running running{this};
    job();
  }
  static void run_outside_lanes(Fiber& fiber) {
    const Running running{nullptr};
    fiber.resume();
  }

 private:
  SimulatedExecutor& executor_;
};

class SimulatedExecutor::SerialLane final : public Lane {
 public:
  explicit SerialLane(SimulatedExecutor& executor) : executor_(executor) {}
  // Jobs of a lane that is gone are dropped with it.
  ~SerialLane() override {
    std::lock_guard lock{executor_.mutex_};
    std::erase_if(executor_.ready_, [&](const Ready& r) { return r.serial == this; });
  }
  void post(Job job) override {
    std::lock_guard lock{executor_.mutex_};
    jobs_.push_back(std::move(job));
    announce();
  }
  void run_head() {
    Job job;
    {
      std::lock_guard lock{executor_.mutex_};
      job = std::move(jobs_.front());
      jobs_.pop_front();
    }
    {
      const Running running{this};
      job();
    }
    std::lock_guard lock{executor_.mutex_};
    announced_ = false;
    announce();
  }

 private:
  // With the executor's mutex held: at most one entry of this lane is ready or running.
  void announce() {
    if (announced_ || jobs_.empty()) return;
    announced_ = true;
    Ready ready;
    ready.serial = this;
    executor_.ready_.push_back(std::move(ready));
  }
  SimulatedExecutor& executor_;
  std::deque<Job> jobs_;
  bool announced_ = false;
};

struct SimulatedExecutor::Background {
  Background(std::string n, Job body) : name(std::move(n)), fiber(std::move(body)) {}
  const std::string name;
  Fiber fiber;
  WaitToken ended = WaitToken::make(WaitReason::kTask);
};

class SimulatedExecutor::BackgroundHandle final : public BackgroundThread {
 public:
  BackgroundHandle(SimulatedExecutor& executor, std::shared_ptr<Background> background)
      : executor_(executor), background_(std::move(background)) {}
  ~BackgroundHandle() override { join(); }
  void join() override { executor_.block_on(background_->ended); }

 private:
  SimulatedExecutor& executor_;
  const std::shared_ptr<Background> background_;
};

SimulatedExecutor::SimulatedExecutor(std::uint64_t seed, std::size_t worker_count)
    : worker_count_(worker_count),
      random_(seed),
      pool_(std::make_unique<PoolLane>(*this)),
      clock_(std::make_unique<VirtualClock>()) {
  BlockingHook& hook = blocking_hook_of_thread();
  previous_hook_[0] = reinterpret_cast<void*>(hook.wait);
  previous_hook_[1] = hook.context;
  hook = {[](void* self, const WaitToken& token) { static_cast<SimulatedExecutor*>(self)->block_on(token); },
          this};
}

SimulatedExecutor::~SimulatedExecutor() {
  stop();
  using Wait = void (*)(void*, const WaitToken&);
  blocking_hook_of_thread() = {reinterpret_cast<Wait>(previous_hook_[0]), previous_hook_[1]};
}

Lane& SimulatedExecutor::workers() { return *pool_; }
Clock& SimulatedExecutor::clock() { return *clock_; }
std::unique_ptr<Lane> SimulatedExecutor::make_serial_lane(std::string) {
  return std::make_unique<SerialLane>(*this);
}

void SimulatedExecutor::post_pool(Job job) {
  Ready ready;
  ready.lane = pool_.get();
  ready.job = std::move(job);
  enqueue(std::move(ready));
}

void SimulatedExecutor::enqueue(Ready ready) {
  std::lock_guard lock{mutex_};
  ready_.push_back(std::move(ready));
}

std::unique_ptr<BackgroundThread> SimulatedExecutor::start_background(std::string name, Job body) {
  auto background = std::make_shared<Background>(std::move(name), std::move(body));
  backgrounds_.push_back(background);
  Ready ready;
  ready.background = background.get();
  enqueue(std::move(ready));
  return std::make_unique<BackgroundHandle>(*this, std::move(background));
}

void SimulatedExecutor::go_on(Background& background) {
  running_ = &background;
  PoolLane::run_outside_lanes(background.fiber);
  running_ = nullptr;
  if (background.fiber.over()) background.ended.fire();
}

WaitToken SimulatedExecutor::after(std::chrono::microseconds delay) {
  WaitToken token = WaitToken::make(WaitReason::kTimer);
  std::lock_guard lock{mutex_};
  timers_.push_back({clock_->now_us + std::max<std::int64_t>(delay.count(), 0), timer_sequence_++, token});
  std::push_heap(timers_.begin(), timers_.end(), [](const Timer& a, const Timer& b) {
    return std::pair{a.due_us, a.sequence} > std::pair{b.due_us, b.sequence};
  });
  return token;
}

void SimulatedExecutor::block_on(const WaitToken& token) {
  if (on_background_thread()) {
    if (token.fired()) return;
    Background* self = running_;
    token.then(*pool_, [this, self] {
      Ready ready;
      ready.background = self;
      enqueue(std::move(ready));
    });
    self->fiber.pause();
    return;
  }
  while (!token.fired()) {
    if (step()) continue;
    tell_stuck("nothing can run and the awaited event never fires");
    RUSTBD_UNREACHABLE("simulation: nothing can run and the awaited event never fires");
  }
}

void SimulatedExecutor::block_on(const WaitToken& token, std::chrono::microseconds at_most) {
  const WaitToken first = WaitToken::make(token.reason());
  token.then(*pool_, [first] { first.fire(); });
  after(at_most).then(*pool_, [first] { first.fire(); });
  block_on(first);
}

void SimulatedExecutor::limit_steps(std::uint64_t steps,
                                    std::move_only_function<void(std::string_view)> stuck) {
  steps_max_ = steps == 0 ? 0 : steps_ + steps;
  stuck_ = std::move(stuck);
}

void SimulatedExecutor::tell_stuck(std::string_view why) {
  steps_max_ = 0;
  if (auto stuck = std::exchange(stuck_, {})) stuck(why);
}

std::vector<std::string> SimulatedExecutor::running_backgrounds() const {
  std::vector<std::string> names;
  for (const auto& background : backgrounds_)
    if (!background->fiber.over()) names.push_back(background->name);
  return names;
}

bool SimulatedExecutor::fire_next_timer(std::int64_t not_after_us) {
  WaitToken token;
  {
    std::lock_guard lock{mutex_};
    if (timers_.empty() || timers_.front().due_us > not_after_us) return false;
    clock_->now_us = std::max(clock_->now_us, timers_.front().due_us);
    std::pop_heap(timers_.begin(), timers_.end(), [](const Timer& a, const Timer& b) {
      return std::pair{a.due_us, a.sequence} > std::pair{b.due_us, b.sequence};
    });
    token = std::move(timers_.back().token);
    note(timers_.back().sequence);
    timers_.pop_back();
  }
  ++steps_;
  token.fire();
  return true;
}

void SimulatedExecutor::note(std::uint64_t choice) {
  trace_hash_ = (trace_hash_ ^ choice ^ static_cast<std::uint64_t>(clock_->now_us)) * 0x9E3779B97F4A7C15ull;
  trace_hash_ ^= trace_hash_ >> 29;
}

bool SimulatedExecutor::pop_random(Ready* out) {
  std::lock_guard lock{mutex_};
  if (ready_.empty()) return false;
  const std::uint64_t choice = random_.below(ready_.size());
  note(choice * 64 + ready_.size());
  *out = std::move(ready_[choice]);
  ready_.erase(ready_.begin() + static_cast<std::ptrdiff_t>(choice));
  return true;
}

void SimulatedExecutor::run(Ready ready) {
  ++steps_;
  if (ready.background != nullptr) {
    go_on(*ready.background);
    return;
  }
  std::optional<Batch> batch;
  if (batches_per_mille_ != 0 && !in_batch() && random_.chance(batches_per_mille_)) batch.emplace();
  if (ready.serial != nullptr) {
    ready.serial->run_head();
  } else {
    pool_->run(ready.job);
  }
}

bool SimulatedExecutor::step() {
  RUSTBD_ASSERT(!on_background_thread());
  if (steps_max_ != 0 && steps_ >= steps_max_) tell_stuck("the limit of steps is reached");
  while (fire_next_timer(clock_->now_us)) {}
  Ready ready;
  if (pop_random(&ready)) {
    clock_->now_us += kStepUs;
    run(std::move(ready));
    return true;
  }
  return fire_next_timer(INT64_MAX);
}

void SimulatedExecutor::run_until_idle() {
  while (step()) {}
}

void SimulatedExecutor::run_for(std::chrono::microseconds span) {
  const WaitToken end = after(span);
  while (!end.fired()) step();
}

void SimulatedExecutor::stop() {
  for (const auto& background : backgrounds_) {
    if (!background->fiber.over())
      std::fprintf(stderr, "simulation: background thread %s runs on\n", background->name.c_str());
    RUSTBD_ASSERT(background->fiber.over(), "background threads end before the executor stops");
  }
  backgrounds_.clear();
  std::vector<Ready> dropped;  // destroyed outside the mutex: a job may own what posts again
  std::vector<Timer> timers;
  {
    std::lock_guard lock{mutex_};
    dropped.swap(ready_);
    timers.swap(timers_);
  }
}

}  // namespace rustbd::io
