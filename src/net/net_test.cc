#include <gtest/gtest.h>

#include <deque>

#include "rustbd/base/error.h"
#include "rustbd/base/task.h"
#include "rustbd/io/batch.h"
#include "rustbd/io/simulated/simulated_executor.h"
#include "rustbd/net/network.h"
#include "rustbd/net/pgwire/channel.h"
#include "rustbd/net/pgwire/messages.h"

namespace rustbd::net {
namespace {

TEST(Addresses, TextForms) {
  for (const char* text : {"127.0.0.1:5433", "[::1]:5433", "localhost:0", ":5433"})
    EXPECT_EQ(to_text(parse_address(text)), text);
  EXPECT_EQ(parse_address("*:1").host, "");
  EXPECT_EQ(parse_address("[::1]:65535").port, 65535);
  EXPECT_EQ(to_text(parse_address("/run/rustbd:5433")), "/run/rustbd:5433");
  for (const char* bad : {"", "localhost", "::1:5433", "host:", "host:x", "host:65536", "host:-1", "host:1 ",
                          "/run/rustbd", "/run/rustbd:0"})
    EXPECT_THROW(parse_address(bad), Error) << bad;
}
TEST(Addresses, Loopback) {
  for (const char* host : {"127.0.0.1", "127.255.0.7", "::1", "localhost", "/tmp"})
    EXPECT_TRUE(is_loopback({.host = host})) << host;
  // Names that only look like a loopback address may lead anywhere.
  for (const char* host : {"", "0.0.0.0", "::", "10.127.0.1", "127.example.org", "127.0.0.1.example.org"})
    EXPECT_FALSE(is_loopback({.host = host})) << host;
}

/// A peer in memory: takes `room` bytes without waiting, and the rest when the test says so.
class FakeTransport final : public Transport {
 public:
  explicit FakeTransport(io::Lane& lane) : lane_(lane) {}
  io::Lane& lane() override { return lane_; }
  void read(std::span<char> into, std::move_only_function<void(std::size_t)> done) override {
    into_ = into;
    read_done_ = std::move(done);
    deliver();
  }
  std::size_t write_now(std::span<const char> from) override {
    const auto n = std::min(room, from.size());
    ++writes;
    room -= n;
    sent.append(from.data(), n);
    return n;
  }
  bool write_with_others(std::span<const char> from,
                         std::move_only_function<void(std::size_t)> done) override {
    if (!gathering) return false;
    EXPECT_FALSE(gathered_done_) << "one write at a time";
    gathered_ = from;
    gathered_done_ = std::move(done);
    return true;
  }
  /// The batch's answers leave.
  void send_gathered() {
    gathering = false;
    if (auto done = std::exchange(gathered_done_, {})) done(write_now(gathered_));
  }
  void write(std::span<const char> from, std::move_only_function<void(bool)> done) override {
    from_ = from;
    write_done_ = std::move(done);
  }
  void start_tls(std::string, std::move_only_function<void(bool)>) override { FAIL(); }
  [[nodiscard]] bool encrypted() const override { return false; }
  void close() override {
    closed = true;
    deliver();
    finish_write(false);
  }
  [[nodiscard]] const std::string& peer() const override { return peer_; }
  [[nodiscard]] bool is_local() const override { return false; }

  void receive(std::string text) {
    incoming_.push_back(std::move(text));
    deliver();
  }
  void finish_write(bool ok) {
    if (!write_done_) return;
    if (ok) sent.append(from_.data(), from_.size());
    lane_.post([done = std::exchange(write_done_, {}), ok]() mutable { done(ok); });
  }
  [[nodiscard]] bool writing() const { return static_cast<bool>(write_done_); }
  std::string sent;
  std::size_t room = SIZE_MAX, writes = 0;
  bool closed = false, gathering = false;

 private:
  void deliver() {
    if (!read_done_ || (incoming_.empty() && !closed)) return;
    std::size_t n = 0;
    if (!closed) {
      auto& first = incoming_.front();
      n = std::min(into_.size(), first.size());
      std::copy_n(first.begin(), n, into_.begin());
      first.erase(0, n);
      if (first.empty()) incoming_.pop_front();
    }
    lane_.post([done = std::exchange(read_done_, {}), n]() mutable { done(n); });
  }
  io::Lane& lane_;
  std::deque<std::string> incoming_;
  std::span<char> into_;
  std::span<const char> from_, gathered_;
  std::move_only_function<void(std::size_t)> read_done_, gathered_done_;
  std::move_only_function<void(bool)> write_done_;
  const std::string peer_ = "test";
};

class ChannelTest : public ::testing::Test {
 protected:
  ChannelTest() {
    auto transport = std::make_unique<FakeTransport>(*lane_);
    peer_ = transport.get();
    channel_ = std::make_shared<pgwire::Channel>(std::move(transport));
  }
  /// Ends what still waits, so that the channel's references to itself go.
  ~ChannelTest() override {
    on_lane([&] { channel_->close(); });
    executor_.stop();
  }
  void on_lane(std::function<void()> body) {
    lane_->post([&] { body(); });
    executor_.run_until_idle();
  }
  void write(std::string_view text, io::WaitToken durable = {}) {
    on_lane([&] {
      channel_->out().append(text);
      channel_->flush(durable);
    });
  }
  /// Reads messages of at most 100,000 bytes until the end or an error.
  void start_reading() {
    on_lane([&] { detach(read_all(), [] {}); });
  }
  Task<> read_all() {
    try {
      pgwire::Message m;
      while (!channel_->closed()) {
        while (channel_->next(&m, 100'000)) messages_.push_back(m.type + std::string{m.body});
        co_await channel_->more();
      }
    } catch (const Error& e) {
      failure_ = e.message;
    }
  }
  io::SimulatedExecutor executor_{1};
  std::unique_ptr<io::Lane> lane_ = executor_.make_serial_lane("connection");
  FakeTransport* peer_ = nullptr;
  std::shared_ptr<pgwire::Channel> channel_;
  std::vector<std::string> messages_;
  std::string failure_;
};

std::string message(char type, std::string_view body) {
  OutputBuffer out;
  const auto m = pgwire::begin_message(out, type);
  out.append(body);
  pgwire::end_message(out, m);
  return std::string{out.view()};
}

TEST_F(ChannelTest, AnswersOfABatchGoOutAtItsEnd) {
  const auto durable = io::WaitToken::make(io::WaitReason::kDurability);
  on_lane([&] {
    const io::Batch batch;
    for (const char* text : {"one ", "two "}) {
      channel_->out().append(text);
      channel_->flush({});
    }
    channel_->out().append("three ");
    channel_->flush(durable);
    EXPECT_EQ(peer_->sent, "");
    EXPECT_FALSE(channel_->flushed().fired());
  });
  EXPECT_EQ(peer_->sent, "one two ") << "what is not durable waits on";
  EXPECT_EQ(peer_->writes, 1u);
  durable.fire();
  executor_.run_until_idle();
  EXPECT_EQ(peer_->sent, "one two three ");
  on_lane([&] { EXPECT_TRUE(channel_->flushed().fired()); });
}

TEST_F(ChannelTest, AnAnswerLeavesWithOthersAndOnlyOnce) {
  const auto durable = io::WaitToken::make(io::WaitReason::kDurability);
  on_lane([&] {
    peer_->gathering = true;
    channel_->out().append("one ");
    channel_->flush({});
    channel_->out().append("two ");
    channel_->flush(durable);
    durable.fire();
  });
  EXPECT_EQ(peer_->sent, "");
  on_lane([&] {
    EXPECT_FALSE(channel_->flushed().fired()) << "it has not left yet";
    peer_->room = 6;
    peer_->send_gathered();
    EXPECT_TRUE(peer_->writing()) << "the rest goes in the background";
    peer_->finish_write(true);
  });
  EXPECT_EQ(peer_->sent, "one two ");
  on_lane([&] { EXPECT_TRUE(channel_->flushed().fired()); });
}

TEST_F(ChannelTest, AConnectionMayEndInABatch) {
  on_lane([&] {
    const io::Batch batch;
    channel_->out().append("one ");
    channel_->flush({});
    channel_->out().append("not approved");
    channel_->close();
  });
  EXPECT_EQ(peer_->sent, "one ");
}

TEST_F(ChannelTest, MessagesFromSingleBytesAndFromOnePiece) {
  const auto all =
      message('Q', std::string("select 1\0", 9)) + message('S', "") + message('d', std::string(90'000, 'x'));
  start_reading();
  for (const char c : all.substr(0, 40)) on_lane([&] { peer_->receive({c}); });
  on_lane([&] { peer_->receive(all.substr(40)); });
  on_lane([&] { peer_->receive(all); });
  ASSERT_EQ(messages_.size(), 6u);
  EXPECT_EQ(messages_[0], std::string("Qselect 1\0", 10));
  EXPECT_EQ(messages_[1], "S");
  EXPECT_EQ(messages_[2], "d" + std::string(90'000, 'x'));
  for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(messages_[i], messages_[i + 3]);
}
TEST_F(ChannelTest, ImpossibleLengths) {
  start_reading();
  on_lane([&] { peer_->receive(std::string("Q\0\0\0\3", 5)); });
  EXPECT_EQ(failure_, "invalid message length");
}
TEST_F(ChannelTest, TooLongIsSeenBeforeTheBodyComes) {
  start_reading();
  on_lane([&] { peer_->receive(std::string("Q\x7f\xff\xff\xff", 5)); });
  EXPECT_EQ(failure_, "invalid message length");
}

TEST_F(ChannelTest, NothingLeavesBeforeItIsDurable) {
  const auto first = io::WaitToken::make(io::WaitReason::kDurability);
  const auto second = io::WaitToken::make(io::WaitReason::kDurability);
  write("0");
  write("1", first);
  write("2", second);
  write("3");
  EXPECT_EQ(peer_->sent, "0");
  second.fire();
  executor_.run_until_idle();
  EXPECT_EQ(peer_->sent, "0") << "2 is durable, but stands behind 1";
  first.fire();
  executor_.run_until_idle();
  EXPECT_EQ(peer_->sent, "0123");
}
TEST_F(ChannelTest, SlowPeerGetsEveryByteInOrder) {
  const auto durable = io::WaitToken::make(io::WaitReason::kDurability);
  peer_->room = 3;
  write("abcdef");
  write("ghi", durable);
  write("jkl");
  ASSERT_TRUE(peer_->writing());
  const auto flushed = channel_->flushed();
  peer_->finish_write(true);
  executor_.run_until_idle();
  EXPECT_EQ(peer_->sent, "abcdef");
  EXPECT_FALSE(flushed.fired());
  durable.fire();
  executor_.run_until_idle();
  peer_->finish_write(true);
  executor_.run_until_idle();
  EXPECT_EQ(peer_->sent, "abcdefghijkl");
  EXPECT_TRUE(flushed.fired());
  EXPECT_EQ(channel_->bytes_sent(), 12u);
}
TEST_F(ChannelTest, ProducerWaitsForASlowPeer) {
  peer_->room = 0;
  write(std::string(pgwire::Channel::kPendingMax, 'x'));
  EXPECT_TRUE(channel_->room().fired());
  write("y");
  const auto room = channel_->room();
  EXPECT_FALSE(room.fired());
  peer_->room = SIZE_MAX;
  peer_->finish_write(true);
  executor_.run_until_idle();
  EXPECT_TRUE(room.fired());
}
TEST_F(ChannelTest, ALostPeerFreesAllThatWait) {
  const auto durable = io::WaitToken::make(io::WaitReason::kDurability);
  bool gone = false;
  on_lane([&] { channel_->watch([&] { gone = true; }); });
  start_reading();
  write("kept back", durable);
  const auto flushed = channel_->flushed();
  on_lane([&] { peer_->receive(""); });  // a read of nothing: the end of the stream
  EXPECT_TRUE(gone);
  EXPECT_TRUE(flushed.fired());
  EXPECT_TRUE(peer_->closed);
  durable.fire();
  executor_.run_until_idle();
  EXPECT_EQ(peer_->sent, "");
}

TEST(MessageReader, EndsWithinAMessage) {
  pgwire::MessageReader r{std::string_view{"ab\0\1\2\0\0\1\0x", 10}};
  EXPECT_EQ(r.text(), "ab");
  EXPECT_EQ(r.u16(), 0x0102);
  EXPECT_EQ(r.u32(), 0x00000100u);
  EXPECT_THROW(r.end(), Error);
  EXPECT_THROW(r.u16(), Error);
  EXPECT_THROW(r.text(), Error) << "no zero byte";
  EXPECT_EQ(r.take_rest(), "x");
  EXPECT_NO_THROW(r.end());
  EXPECT_THROW(r.byte(), Error);
}
TEST(MessageWriter, ErrorPositionCountsCharacters) {
  OutputBuffer out;
  pgwire::put_error(out, 'E', Severity::kError, error(sqlstate::kSyntaxError, "wrong").at(5), "'é' x");
  EXPECT_NE(out.view().find(std::string_view{"P5\0", 3}), std::string_view::npos);
  EXPECT_EQ(out.view().find(std::string_view{"P6\0", 3}), std::string_view::npos);
}

}  // namespace
}  // namespace rustbd::net
