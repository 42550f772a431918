// PostgreSQL's wire protocol: the registry of its connections, cancel requests, and the graceful stop.
#pragma once

#include <map>
#include <memory>
#include <mutex>

#include "rustbd/auth/authenticator.h"
#include "rustbd/base/log_line.h"
#include "rustbd/engine/database.h"
#include "rustbd/net/network.h"

namespace rustbd::net::pgwire {

class Connection;
/// 53300, for lack of file descriptors.
Error no_room();

struct PgServerOptions {
  std::chrono::milliseconds connection_timeout{10'000};  // for start-up and authentication
  std::size_t message_max = std::size_t{1} << 30;
  /// One for each connection that ended badly; errors that damage or a full or broken disk has caused.
  LogLine log_line;
};

/// Threads: any. Everything handed in outlives it. Destroy after stop().
class PgServer {
 public:
  PgServer(engine::Database& database, auth::Authenticator& authenticator, Network& network,
           PgServerOptions options);
  ~PgServer();
  PgServer(const PgServer&) = delete;
  PgServer& operator=(const PgServer&) = delete;

  /// Listens; see Network::listen.
  std::string listen(const Address& address);
  /// Ends idle connections with 57P01, lets running transactions end until `drain` is over or `hurry` fires,
  /// then cancels the rest. Blocks until no connection is left. The caller has stopped listening.
  void stop(std::chrono::milliseconds drain, const io::WaitToken& hurry);

  // --- for connections ---
  [[nodiscard]] engine::Database& database() { return database_; }
  [[nodiscard]] auth::Authenticator& authenticator() { return authenticator_; }
  [[nodiscard]] Network& network() { return network_; }
  [[nodiscard]] const PgServerOptions& options() const { return options_; }
  [[nodiscard]] bool stopping() const { return stopping_.load(std::memory_order_acquire); }
  void log(std::string_view line) const {
    if (options_.log_line) options_.log_line(line);
  }
  /// Logs it if it came of damage or of a full or broken disk; not more than some of them a minute.
  void note_failure(const Error& failure);
  void enter(const std::shared_ptr<Connection>& connection);
  void leave(Connection& connection);
  /// The 32 bits of the cancel key that protocol 3.0 has room for. Forgotten by leave().
  void publish_key(Connection& connection, std::int32_t pid, std::uint64_t key);
  void cancel(std::int32_t pid, std::uint32_t key);
  metrics::Counter& opened;
  metrics::Counter& bytes_in;
  metrics::Counter& bytes_out;

 private:
  void for_each(const std::function<void(Connection&)>& body);
  void refused();
  metrics::Counter& refused_;
  std::atomic<std::int64_t> refusal_told_us_{0};
  engine::Database& database_;
  auth::Authenticator& authenticator_;
  Network& network_;
  const PgServerOptions options_;
  std::atomic<bool> stopping_{false};
  std::mutex mutex_;  // protects connections_, keys_, empty_
  std::map<Connection*, std::weak_ptr<Connection>> connections_;
  struct Key {
    std::uint64_t secret;
    Connection* owner;
  };
  std::map<std::int32_t, Key> keys_;
  std::mutex failures_mutex_;  // protects the following
  std::int64_t failures_since_us_ = 0;
  std::uint64_t failures_ = 0;  // since then, for the log
  io::WaitToken empty_;         // fired when the last one has left, once stopping
};

}  // namespace rustbd::net::pgwire
