#include "rustbd/storage/btree/interpolation.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

namespace rustbd::storage {
namespace {

struct Search {
  std::vector<std::uint64_t> numbers;
  std::uint32_t probes = 0;
  std::uint32_t low = 0, high = 0;
  void run(std::uint64_t wanted, std::uint32_t from = 0) {
    probes = 0;
    low = from;
    high = static_cast<std::uint32_t>(numbers.size());
    if (low == high) return;
    const std::uint32_t end = high;
    const std::uint32_t guess = guess_place(wanted, numbers.at(from), numbers.back(), low, high);
    ASSERT_TRUE(guess >= from && guess < end) << guess;
    narrow(
        wanted, guess,
        [&](std::uint32_t i) {
          ++probes;
          EXPECT_TRUE(i >= from && i < end) << i;
          return numbers.at(i);
        },
        &low, &high);
    EXPECT_LE(low, high);
    EXPECT_GE(low, from);
    EXPECT_LE(high, end);
  }
};

TEST(Interpolation, KeepsWhatABinarySearchLooksFor) {
  std::mt19937_64 random(7);
  for (int round = 0; round < 400; ++round) {
    Search s;
    const int shape = round % 4;
    std::uint64_t at = random() % 1000;
    for (std::size_t n = 1 + random() % 700; n > 0; --n) {
      s.numbers.push_back(at);
      if (shape == 0) at += 10;
      else if (shape == 1) at += random() % 3;  // many are equal
      else if (shape == 2) at += at / 64 + 1;   // ever wider apart
      else at += random() % 50 == 0 ? random() % (1ull << 40) : 1;
    }
    for (int i = 0; i < 60; ++i) {
      const std::uint64_t wanted =
          i % 2 == 0 ? s.numbers[random() % s.numbers.size()] : random() % (s.numbers.back() + 2);
      s.run(wanted);
      const auto begin = s.numbers.begin();
      const auto lower = std::lower_bound(begin, s.numbers.end(), wanted) - begin;
      const auto upper = std::upper_bound(begin, s.numbers.end(), wanted) - begin;
      ASSERT_LE(s.low, lower);
      ASSERT_GE(s.high, upper) << "no place of an equal number is cut off";
    }
  }
}

TEST(Interpolation, FindsEvenlySpreadNumbersInFewProbes) {
  Search s;
  for (std::uint64_t i = 0; i < 800; ++i) s.numbers.push_back(5000 + 37 * i);
  for (std::uint64_t i = 1; i < 799; ++i) {
    s.run(s.numbers[i]);
    EXPECT_LE(s.probes, 3u);
    EXPECT_LE(s.high - s.low, 16u);
  }
}

TEST(Interpolation, StaysInsideWhateverTheNumbersSay) {
  std::mt19937_64 random(11);
  Search s;
  for (int round = 0; round < 2000; ++round) {
    s.numbers.assign(random() % 200, 0);
    for (auto& n : s.numbers) n = random() % 3 == 0 ? ~std::uint64_t{0} : random();
    s.run(random(), static_cast<std::uint32_t>(s.numbers.empty() ? 0 : random() % s.numbers.size()));
  }
}

}  // namespace
}  // namespace rustbd::storage
