// The answers of a lane's batch, sent by one system call. Private to net.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <vector>

struct io_uring;

namespace rustbd::net {

/// Sends to many sockets in one io_uring submission. Between two system calls the kernel gives the processor
/// to whom the first woke up, here a client that asks again while the others still wait for their answers;
/// within one it does not. Where io_uring is refused it sends one by one. Threads: one.
class SendRing {
 public:
  /// What the socket took of the bytes: none where it was full or has failed.
  using Sent = std::move_only_function<void(std::size_t)>;

  SendRing();
  ~SendRing();
  SendRing(const SendRing&) = delete;
  SendRing& operator=(const SendRing&) = delete;

  /// From here to flush() add() takes.
  void gather() { gathering_ = true; }
  /// `from` is unchanged, and the socket open, until `sent` is called, by flush(). False: not gathering.
  bool add(int socket, std::span<const char> from, Sent sent);
  /// Sends what was added without waiting for room, then calls each `sent` in the order of add().
  void flush();

 private:
  struct Exit {
    void operator()(io_uring* ring) const;
  };
  struct Send {
    int socket;
    std::span<const char> from;
    Sent sent;
    std::size_t taken = 0;
  };
  void send_some(std::size_t first, std::size_t count);

  std::unique_ptr<io_uring, Exit> ring_;  // null: refused
  std::vector<Send> sends_;
  bool gathering_ = false;
};

}  // namespace rustbd::net
