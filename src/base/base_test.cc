#include <gtest/gtest.h>

#include <string>

#include "rustbd/base/arena.h"
#include "rustbd/base/bytes.h"
#include "rustbd/base/crc32c.h"
#include "rustbd/base/error.h"
#include "rustbd/base/ids.h"
#include "rustbd/base/task.h"

namespace rustbd {
namespace {

static_assert(sizeof(PageId) == 8 && !std::is_convertible_v<PageId, RowId>);

TEST(Crc32c, MatchesRfc3720) {
  const std::string zeros(32, '\0'), ones(32, '\xFF');
  EXPECT_EQ(crc32c(0, zeros.data(), 32), 0x8A9136AAu);
  EXPECT_EQ(crc32c(0, ones.data(), 32), 0x62A8AB43u);
  EXPECT_EQ(crc32c(0, "123456789", 9), 0xE3069283u);
}

TEST(Crc32c, CombinesWithoutTheBytes) {
  std::string text(1000, 'x');
  for (std::size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>(i * 7 + i / 13);
  for (std::size_t cut : {0u, 1u, 7u, 500u, 999u, 1000u}) {
    const auto a = crc32c(0, text.data(), cut), b = crc32c(0, text.data() + cut, text.size() - cut);
    EXPECT_EQ(crc32c_combine(a, b, text.size() - cut), crc32c(0, text.data(), text.size())) << cut;
  }
}

TEST(Bytes, VarintsRoundTripAndStopAtTheEnd) {
  Bytes out;
  ByteWriter w{out};
  const std::int64_t values[] = {0, 1, -1, 63, -64, 64, INT64_MAX, INT64_MIN};
  for (auto v : values) w.signed_varint(v);
  w.text("abc");
  ByteReader r{out};
  for (auto v : values) EXPECT_EQ(r.signed_varint(), v);
  EXPECT_EQ(r.text(), "abc");
  EXPECT_TRUE(r.ok() && r.at_end());
  r.fixed<std::uint32_t>();
  EXPECT_FALSE(r.ok());
}

TEST(Arena, AlignsAndRunsDestructors) {
  static int alive = 0;
  struct Counted {
    Counted() { ++alive; }
    ~Counted() { --alive; }
  };
  {
    Arena arena{64};
    arena.allocate(3, 1);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(arena.allocate(8, 64)) % 64, 0u);
    arena.own<Counted>();
    EXPECT_EQ(alive, 1);
    arena.allocate(1 << 20);
    arena.reset();
    EXPECT_EQ(alive, 0);
    EXPECT_EQ(arena.copy(std::string_view{"hello"}), "hello");
  }
}

Task<int> add(int a, int b) { co_return a + b; }
Task<int> sum_to(int n) {
  int sum = 0;
  for (int i = 1; i <= n; ++i) sum = co_await add(sum, i % 7);
  co_return sum;
}
Task<int> fails() {
  throw error(sqlstate::kDivisionByZero, "division by zero");
  co_return 0;
}
Task<std::string> catches() {
  try {
    co_await fails();
  } catch (const Error& e) {
    co_return e.message;
  }
  co_return "";
}

TEST(Task, RunsDeepChainsAndCarriesErrors) {
  auto t = sum_to(100000);
  t.start();
  EXPECT_EQ(t.take(), 300000);
  auto c = catches();
  c.start();
  EXPECT_EQ(c.take(), "division by zero");
}

}  // namespace
}  // namespace rustbd
