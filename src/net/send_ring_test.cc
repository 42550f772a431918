#include "rustbd/net/send_ring.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <string>
#include <string_view>
#include <vector>

namespace rustbd::net {
using namespace std::string_view_literals;

namespace {

class Pair {
 public:
  Pair() { EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends_.data()), 0); }
  ~Pair() {
    close_client();
    ::close(server());
  }
  Pair(const Pair&) = delete;
  Pair& operator=(const Pair&) = delete;
  [[nodiscard]] int server() const { return ends_[0]; }
  void close_client() {
    if (ends_[1] >= 0) ::close(std::exchange(ends_[1], -1));
  }
  [[nodiscard]] std::string receive(std::size_t max = 1 << 20) const {
    std::string text(max, '\0');
    const auto n = ::recv(ends_[1], text.data(), max, MSG_DONTWAIT);
    text.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
    return text;
  }

 private:
  std::array<int, 2> ends_{-1, -1};
};

TEST(SendRing, MoreSocketsThanOneCallTakes) {
  SendRing ring;
  std::vector<Pair> pairs(100);
  std::vector<std::string> texts;
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < pairs.size(); ++i) texts.push_back("answer " + std::to_string(i));
  for (int round = 0; round < 3; ++round) {
    order.clear();
    ring.gather();
    for (std::size_t i = 0; i < pairs.size(); ++i)
      ASSERT_TRUE(ring.add(pairs[i].server(), texts[i], [&, i](std::size_t taken) {
        EXPECT_EQ(taken, texts[i].size());
        order.push_back(i);
      }));
    EXPECT_EQ(pairs[0].receive(), "") << "nothing leaves before the flush";
    ring.flush();
    ASSERT_EQ(order.size(), pairs.size());
    for (std::size_t i = 0; i < pairs.size(); ++i) {
      EXPECT_EQ(order[i], i);
      EXPECT_EQ(pairs[i].receive(), texts[i]);
    }
  }
}

TEST(SendRing, TakesNothingOutsideABatch) {
  SendRing ring;
  Pair pair;
  const auto never = [](std::size_t) { FAIL(); };
  EXPECT_FALSE(ring.add(pair.server(), "x"sv, never));
  ring.gather();
  ring.flush();
  EXPECT_FALSE(ring.add(pair.server(), "x"sv, never));
  EXPECT_EQ(pair.receive(), "");
}

TEST(SendRing, AFullSocketTakesAPartAndALostOneNothing) {
  SendRing ring;
  Pair full, lost, good;
  lost.close_client();
  const std::string much(8 << 20, 'x');
  std::size_t first = 0, second = 1, after_loss = 1, good_taken = 0;
  ring.gather();
  ASSERT_TRUE(ring.add(full.server(), much, [&](std::size_t n) { first = n; }));
  ASSERT_TRUE(ring.add(lost.server(), "lost"sv, [&](std::size_t n) { after_loss = n; }));
  ASSERT_TRUE(ring.add(good.server(), "good"sv, [&](std::size_t n) { good_taken = n; }));
  ring.flush();
  EXPECT_GT(first, 0u);
  EXPECT_LT(first, much.size());
  EXPECT_EQ(after_loss, 0u);
  EXPECT_EQ(good_taken, 4u);
  ring.gather();
  ASSERT_TRUE(ring.add(full.server(), "more"sv, [&](std::size_t n) { second = n; }));
  ring.flush();
  EXPECT_EQ(second, 0u) << "no wait for room";
  std::size_t received = 0;
  while (received < first) {
    const auto n = full.receive().size();
    ASSERT_GT(n, 0u);
    received += n;
  }
  EXPECT_EQ(received, first);
}

// What a callback sends does not join the batch that is over.
TEST(SendRing, ACallbackMaySendAtOnce) {
  SendRing ring;
  Pair pair;
  bool added = true;
  ring.gather();
  ASSERT_TRUE(ring.add(pair.server(), "x"sv, [&](std::size_t) {
    added = ring.add(pair.server(), "y"sv, [](std::size_t) { FAIL(); });
  }));
  ring.flush();
  EXPECT_FALSE(added);
  EXPECT_EQ(pair.receive(), "x");
}

}  // namespace
}  // namespace rustbd::net
