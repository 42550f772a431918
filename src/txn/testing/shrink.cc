#include "rustbd/txn/testing/shrink.h"

#include <algorithm>
#include <vector>

#include "rustbd/txn/testing/crash_world.h"

namespace rustbd::txn::testing {

namespace {

// What a seed chooses at most.
constexpr std::uint32_t kCrashesMost = 4, kCrashesMostLong = 50, kClientsMost = 6, kTransactionsMost = 23;

class Shrinker {
 public:
  Shrinker(CrashOptions options, const std::function<bool(const CrashOptions&)>& fails)
      : best_(std::move(options)), fails_(fails) {
    best_.features &= kAllFeatures;
  }

  CrashOptions run() {
    const std::uint32_t crashes = best_.long_form ? kCrashesMostLong : kCrashesMost;
    for (bool again = true; again;) {
      again = lower(&CrashOptions::clients_max, kClientsMost);
      again |= lower(&CrashOptions::crashes_max, crashes);
      again |= lower(&CrashOptions::transactions_max, kTransactionsMost);
      again |= drop_features();
    }
    return best_;
  }

 private:
  bool try_it(const CrashOptions& smaller) {
    if (!fails_(smaller)) return false;
    best_ = smaller;
    return true;
  }

  /// To the smallest value that fails; 0 stands for `most`. All are tried from 1 on: a seed that fails with n
  /// clients need not fail with n + 1, since every choice after the first moves.
  bool lower(std::uint32_t CrashOptions::*limit, std::uint32_t most) {
    const std::uint32_t now = best_.*limit == 0 ? most + 1 : best_.*limit;
    for (std::uint32_t value = 1; value < now; ++value) {
      CrashOptions smaller = best_;
      smaller.*limit = value;
      if (try_it(smaller)) return true;
    }
    return false;
  }

  bool drop_features() {
    std::vector<std::uint32_t> bits;
    for (std::uint32_t bit = 1; bit != 0 && bit <= kAllFeatures; bit <<= 1)
      if ((best_.features & bit) != 0) bits.push_back(bit);
    bool dropped = false;
    for (std::size_t n = std::max<std::size_t>(bits.size() / 2, 1); n > 0; n /= 2) {
      for (std::size_t at = 0; at < bits.size();) {
        const std::size_t end = std::min(at + n, bits.size());
        CrashOptions smaller = best_;
        for (std::size_t i = at; i < end; ++i) smaller.features &= ~bits[i];
        if (try_it(smaller)) {
          bits.erase(bits.begin() + static_cast<std::ptrdiff_t>(at),
                     bits.begin() + static_cast<std::ptrdiff_t>(end));
          dropped = true;
        } else {
          at = end;
        }
      }
    }
    return dropped;
  }

  CrashOptions best_;
  const std::function<bool(const CrashOptions&)>& fails_;
};

}  // namespace

CrashOptions shrink(CrashOptions options, const std::function<bool(const CrashOptions&)>& fails) {
  return Shrinker(std::move(options), fails).run();
}

}  // namespace rustbd::txn::testing
