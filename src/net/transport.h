// Transport: one byte stream to a client. Protocol code sees this and no socket library.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string>

#include "rustbd/io/wait.h"

namespace rustbd::net {

/// All methods are called on lane(), and all callbacks come there, never inside the call. At most one read
/// and one write run at a time. The owner keeps buffers alive until the callback; after close() pending
/// callbacks still come, as failures.
class Transport {
 public:
  virtual ~Transport() = default;
  [[nodiscard]] virtual io::Lane& lane() = 0;
  /// Some bytes into `into`; done(0): the peer is gone.
  virtual void read(std::span<char> into, std::move_only_function<void(std::size_t)> done) = 0;
  /// As many bytes as go without waiting, possibly none.
  virtual std::size_t write_now(std::span<const char> from) = 0;
  /// write_now() together with other streams' at the end of the lane's batch: done() gets what it would
  /// return. False, and nothing done: the lane is not at the end of a batch, or the stream cannot.
  virtual bool write_with_others(std::span<const char> from,
                                 std::move_only_function<void(std::size_t)> done) = 0;
  /// All bytes; done(false): the peer is gone.
  virtual void write(std::span<const char> from, std::move_only_function<void(bool)> done) = 0;
  /// The server's side of a TLS handshake. `received`: bytes read already.
  virtual void start_tls(std::string received, std::move_only_function<void(bool)> done) = 0;
  /// True once start_tls() has succeeded.
  [[nodiscard]] virtual bool encrypted() const = 0;
  virtual void close() = 0;
  /// "127.0.0.1:5012"; "[local]" behind a Unix-domain socket.
  [[nodiscard]] virtual const std::string& peer() const = 0;
  /// A Unix-domain socket: nothing on it leaves the machine, so that TLS is not offered.
  [[nodiscard]] virtual bool is_local() const = 0;
};

}  // namespace rustbd::net
