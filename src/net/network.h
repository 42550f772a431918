// The network threads and the listeners on them.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "rustbd/io/executor.h"
#include "rustbd/net/transport.h"

namespace rustbd::net {

/// Host (a numeric address or a name) and port. Port 0: any free one. A host that begins with '/' is the
/// directory of a Unix-domain socket ".s.PGSQL.<port>", as libpq has it.
struct Address {
  std::string host;
  std::uint16_t port = 0;
  bool optional = false;  // a default: skipped (and logged) where the machine lacks the address family
};
/// "127.0.0.1:5433", "[::1]:5433", "localhost:5433", ":5433" (all addresses), "/run/rustbd:5433". Throws
/// 22023.
Address parse_address(std::string_view text, bool optional = false);
std::string to_text(const Address& address);
/// Names a Unix-domain socket.
bool is_local(const Address& address);
/// True where only this machine can connect: 127.0.0.0/8, ::1, "localhost" and Unix-domain sockets.
bool is_loopback(const Address& address);

/// Certificate and key in PEM files. Empty: no TLS.
struct TlsFiles {
  std::string certificate, key;
};

/// Called on the transport's lane. `crowded`: it came when there was no room (set_room()), as one of
/// Refusal::more_room.
using ConnectionFactory = std::function<void(std::unique_ptr<Transport>, bool crowded)>;

/// For connections that find no room.
struct Refusal {
  std::size_t more_room = 0;   // so many beyond it come in nevertheless
  std::string answer;          // the others are sent this, and closed
  std::function<void()> told;  // on the thread that accepts
};

/// Threads: those of `executor` (start_background), one lane each, plus one that accepts. start() and stop()
/// belong to one thread. stop() when no connection is left.
class Network {
 public:
  Network(io::Executor& executor, std::size_t threads);
  ~Network();
  Network(const Network&) = delete;
  Network& operator=(const Network&) = delete;

  /// Throws 22023 with the file's name if certificate or key can't be used. Before listen(); again: for new
  /// connections.
  void set_tls(const TlsFiles& files);
  [[nodiscard]] bool has_tls() const;
  /// Binds and listens at once; connections are accepted from then on, each on the lane with the fewest.
  /// Gives the bound address ("127.0.0.1:5433"); empty: an optional one that does not exist. Throws 58030
  /// with the address in the text. A Unix-domain socket that a server left behind by dying is replaced; any
  /// user of the machine may connect to ours. It is removed by stop_listening().
  std::string listen(const Address& address, ConnectionFactory factory, Refusal refusal = {});
  /// Connections at once, over all listeners, whatever they have said so far. Before listen().
  void set_room(std::size_t connections);
  /// No new connections; returns when the listening sockets are closed.
  void stop_listening();
  /// Runs a job after a delay on the lane that accepts.
  [[nodiscard]] io::Lane& control_lane();
  [[nodiscard]] io::Executor& executor();
  void stop();
  /// Printed for connections that could not be accepted and the like.
  std::function<void(std::string_view)> log_line;

  struct Impl;

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace rustbd::net
