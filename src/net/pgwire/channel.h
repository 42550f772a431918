// Channel: a client's message stream over a Transport, with output that leaves only once it may.
#pragma once

#include <coroutine>
#include <deque>
#include <functional>
#include <memory>
#include <string>

#include "rustbd/net/output_buffer.h"
#include "rustbd/net/transport.h"

namespace rustbd::net::pgwire {

struct Message {
  char type = 0;
  std::string_view body;  // valid until the next `co_await more()`
};

/// Invariants: (1) bytes leave in order; (2) bytes behind flush(token) leave only after the token has fired
/// (I8); (3) at most kChunkMax bytes are read ahead of what the protocol has asked for. Threads: the
/// transport's lane. One coroutine waits at a time.
class Channel : public std::enable_shared_from_this<Channel> {
 public:
  static constexpr std::size_t kFlushBytes = 64 << 10;  // results are sent from this size on
  static constexpr std::size_t kPendingMax = 1 << 20;   // more unsent bytes: room() makes the producer wait
  static constexpr std::size_t kPendingLow = 256 << 10;

  explicit Channel(std::unique_ptr<Transport> transport) : transport_(std::move(transport)) {}

  // --- input ---
  /// The next whole message; false: more bytes are needed. Throws 08P01 for a length that cannot be.
  bool next(Message* message, std::size_t body_max);
  /// The start-up form, without a type byte.
  bool next_startup(Message* message, std::size_t body_max);
  /// The type byte of the next message; 0: not there yet.
  [[nodiscard]] char peek_type() const { return in_.size() > consumed_ ? in_[consumed_] : '\0'; }
  [[nodiscard]] std::size_t buffered() const { return in_.size() - consumed_ + filled_; }
  /// Waits for bytes, the peer's end, or wake().
  auto more() {
    struct Awaiter {
      Channel& channel;
      bool await_ready() { return channel.filled_ > 0 || channel.closed_ || channel.woken_; }
      void await_suspend(std::coroutine_handle<> self) {
        channel.waiter_ = self;
        channel.arm_read();
      }
      void await_resume() { channel.absorb(); }
    };
    return Awaiter{*this};
  }
  /// Ends a running or coming more() early. On the lane.
  void wake();
  /// Reads ahead from now on, so that the peer's end is noticed while a statement runs; `gone` is called
  /// then, once.
  void watch(std::move_only_function<void()> gone);

  // --- output ---
  [[nodiscard]] OutputBuffer& out() { return out_; }
  [[nodiscard]] std::size_t pending() const { return out_.size() + (sending_.size() - sent_); }
  /// All bytes up to here may leave once `durable` has fired (empty: at once).
  void flush(io::WaitToken durable);
  /// Empty, or fires when the client has taken enough.
  [[nodiscard]] io::WaitToken room();
  /// Fires when everything flushed has gone out (or the peer is gone).
  [[nodiscard]] io::WaitToken flushed();

  [[nodiscard]] bool closed() const { return closed_; }
  void close();
  [[nodiscard]] Transport& transport() { return *transport_; }
  /// Gives back what big messages have made large.
  void trim();
  [[nodiscard]] std::uint64_t bytes_received() const { return received_; }
  [[nodiscard]] std::uint64_t bytes_sent() const { return sent_total_; }

 private:
  static constexpr std::size_t kChunkMin = 4 << 10, kChunkMax = 64 << 10;
  void arm_read();
  void on_read(std::size_t n);
  void absorb();
  void resume_waiter();
  void approve(std::uint64_t position);
  void send();
  void on_taken(std::size_t taken);
  void send_in_batch();
  void after_send();
  void lost();

  std::unique_ptr<Transport> transport_;
  // input
  std::string in_;
  std::size_t consumed_ = 0;
  std::unique_ptr<char[]> chunk_;
  std::size_t chunk_size_ = 0, filled_ = 0;
  bool reading_ = false, watching_ = false, woken_ = false, closed_ = false;
  std::coroutine_handle<> waiter_{};
  std::move_only_function<void()> gone_;
  std::uint64_t received_ = 0;
  // output: positions count bytes from the beginning of the connection
  OutputBuffer out_;      // from position out_begin_
  OutputBuffer sending_;  // being written by the transport
  std::size_t sent_ = 0;  // of sending_
  bool writing_ = false;
  bool put_off_ = false;  // send() comes at the end of the lane's batch
  std::uint64_t out_begin_ = 0, approved_ = 0, sent_total_ = 0;
  std::deque<std::pair<std::uint64_t, io::WaitToken>> held_;  // in order: position, what it waits for
  io::WaitToken room_, flushed_;
};

}  // namespace rustbd::net::pgwire
