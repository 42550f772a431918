#include "rustbd/storage/buffer/eviction_policy.h"

#include <algorithm>
#include <atomic>
#include <mutex>

#include "rustbd/base/assert.h"

namespace rustbd::storage {
namespace {

class Clock final : public EvictionPolicy {
 public:
  explicit Clock(const FramePool& frames) : frames_(frames) {}
  [[nodiscard]] bool second_chance() const override { return true; }
  void pick(std::size_t wanted, std::vector<std::uint32_t>& out) override {
    const auto n = static_cast<std::uint32_t>(wanted);
    const std::uint32_t first = hand_.fetch_add(n, std::memory_order_relaxed);
    for (std::uint32_t i = 0; i < n; ++i) out.push_back((first + i) % frames_.count());
  }

 private:
  const FramePool& frames_;
  std::atomic<std::uint32_t> hand_{0};
};

// One look at all frames gives the oldest of them, for many picks: as long as one has not been used since, it
// is still older than every frame that was not among them.
class Lru final : public EvictionPolicy {
 public:
  explicit Lru(const FramePool& frames) : frames_(frames) {}
  [[nodiscard]] bool follows_accesses() const override { return true; }
  void on_access(FrameMeta& meta) override {
    meta.last_access.store(now_.fetch_add(1, std::memory_order_relaxed), std::memory_order_relaxed);
  }
  void pick(std::size_t wanted, std::vector<std::uint32_t>& out) override {
    const std::lock_guard lock(mutex_);
    if (give(wanted, out)) return;
    look(std::max<std::size_t>(wanted, frames_.count() / kShare));
    give(wanted, out);
  }

 private:
  static constexpr std::uint32_t kShare = 32;  // of the frames, one in so many is kept
  struct Aged {
    std::uint64_t last_access;
    std::uint32_t frame;
    auto operator<=>(const Aged&) const = default;
  };

  [[nodiscard]] bool unused_since(const Aged& aged) const {
    const FrameMeta& meta = frames_.meta(aged.frame);
    return meta.page.load(std::memory_order_relaxed) != 0 &&
           meta.last_access.load(std::memory_order_relaxed) == aged.last_access;
  }
  /// They stay in oldest_ until they are used or gone: not all that are named go. False: there is none.
  bool give(std::size_t wanted, std::vector<std::uint32_t>& out) {
    while (first_ < oldest_.size() && !unused_since(oldest_[first_])) ++first_;
    const std::size_t before = out.size();
    for (std::size_t i = first_; i < oldest_.size() && out.size() - before < wanted; ++i)
      if (unused_since(oldest_[i])) out.push_back(oldest_[i].frame);
    return out.size() > before;
  }
  void look(std::size_t wanted) {
    oldest_.clear();
    first_ = 0;
    for (std::uint32_t frame = 0; frame < frames_.count(); ++frame) {
      const FrameMeta& meta = frames_.meta(frame);
      if (meta.page.load(std::memory_order_relaxed) != 0)
        oldest_.push_back({meta.last_access.load(std::memory_order_relaxed), frame});
    }
    if (wanted < oldest_.size()) {
      std::ranges::nth_element(oldest_, oldest_.begin() + static_cast<std::ptrdiff_t>(wanted));
      oldest_.resize(wanted);
    }
    std::ranges::sort(oldest_);
  }

  const FramePool& frames_;
  std::atomic<std::uint64_t> now_{1};
  std::mutex mutex_;          // protects the rest
  std::vector<Aged> oldest_;  // as of the last look, ascending
  std::size_t first_ = 0;     // those before it have been used, or are gone
};

class Random final : public EvictionPolicy {
 public:
  explicit Random(const FramePool& frames) : frames_(frames) {}
  void pick(std::size_t wanted, std::vector<std::uint32_t>& out) override {
    for (std::size_t i = 0; i < wanted; ++i) {
      // SplitMix64 (Steele, Lea and Flood, 2014) of a counter: no state to lock.
      std::uint64_t z = (count_.fetch_add(1, std::memory_order_relaxed) + 1) * 0x9E3779B97F4A7C15ull;
      z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
      z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
      out.push_back(static_cast<std::uint32_t>((z ^ (z >> 31)) % frames_.count()));
    }
  }

 private:
  const FramePool& frames_;
  std::atomic<std::uint64_t> count_{0};
};

}  // namespace

std::string_view to_text(EvictionPolicyKind kind) {
  static constexpr std::string_view kNames[] = {"clock", "lru", "random"};
  return kNames[static_cast<std::size_t>(kind)];
}

std::unique_ptr<EvictionPolicy> make_eviction_policy(EvictionPolicyKind kind, const FramePool& frames) {
  switch (kind) {
    case EvictionPolicyKind::kClock: return std::make_unique<Clock>(frames);
    case EvictionPolicyKind::kLru: return std::make_unique<Lru>(frames);
    case EvictionPolicyKind::kRandom: return std::make_unique<Random>(frames);
  }
  RUSTBD_UNREACHABLE();
}

}  // namespace rustbd::storage
