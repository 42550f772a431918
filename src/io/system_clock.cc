// Time and chance of the real machine, and the generator for everything that needs no secrecy.
#include <sys/random.h>

#include <bit>
#include <cerrno>
#include <cstring>
#include <ctime>

#include "rustbd/base/assert.h"
#include "rustbd/io/executor.h"

namespace rustbd::io {

namespace {
std::int64_t now_us(clockid_t which) {
  timespec t{};
  clock_gettime(which, &t);
  return static_cast<std::int64_t>(t.tv_sec) * 1'000'000 + t.tv_nsec / 1000;
}

class SystemClock final : public Clock {
 public:
  std::int64_t wall_us() override { return now_us(CLOCK_REALTIME); }
  std::int64_t monotonic_us() override { return now_us(CLOCK_MONOTONIC); }
};

class SystemRandom final : public Random {
 public:
  std::uint64_t next_u64() override {
    std::uint64_t value = 0;
    auto* p = reinterpret_cast<char*>(&value);
    std::size_t got = 0;
    while (got < sizeof value) {
      const ssize_t n = getrandom(p + got, sizeof value - got, 0);
      RUSTBD_ASSERT(n > 0 || errno == EINTR, "getrandom failed");
      if (n > 0) got += static_cast<std::size_t>(n);
    }
    return value;
  }
};

// Steele, Lea, Flood 2014: spreads a poor seed over the whole state.
std::uint64_t splitmix64(std::uint64_t& state) {
  std::uint64_t z = (state += 0x9E3779B97F4A7C15ull);
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
  return z ^ (z >> 31);
}
}  // namespace

void Random::fill(std::span<std::byte> out) {
  while (!out.empty()) {
    const std::uint64_t value = next_u64();
    const std::size_t n = out.size() < sizeof value ? out.size() : sizeof value;
    std::memcpy(out.data(), &value, n);
    out = out.subspan(n);
  }
}

SeededRandom::SeededRandom(std::uint64_t seed) {
  for (std::uint64_t& word : state_) word = splitmix64(seed);
}

std::uint64_t SeededRandom::next_u64() {
  const std::uint64_t result = std::rotl(state_[1] * 5, 7) * 9;
  const std::uint64_t t = state_[1] << 17;
  state_[2] ^= state_[0];
  state_[3] ^= state_[1];
  state_[1] ^= state_[2];
  state_[0] ^= state_[3];
  state_[2] ^= t;
  state_[3] = std::rotl(state_[3], 45);
  return result;
}

std::unique_ptr<Clock> make_system_clock() { return std::make_unique<SystemClock>(); }
std::unique_ptr<Random> make_system_random() { return std::make_unique<SystemRandom>(); }

}  // namespace rustbd::io
