#include "rustbd/net/pgwire/pg_server.h"

#include "rustbd/net/pgwire/connection.h"

namespace rustbd::net::pgwire {
namespace {
constexpr std::int64_t kFailuresWindowUs = 60'000'000;
constexpr std::uint64_t kFailuresLogged = 30;  // in a window
constexpr std::int64_t kTellAgainUs = 10'000'000;
/// Connections at once that come in only to be refused when they have said what they are: a libpq that has
/// asked for TLS shows its user no earlier answer.
constexpr std::size_t kRefusedMax = 16;
}  // namespace

Error no_room() {
  return error(sqlstate::kTooManyConnections, "sorry, too many clients already")
      .with_detail("The server's limit of open files leaves no room for another one.");
}

PgServer::PgServer(engine::Database& database, auth::Authenticator& authenticator, Network& network,
                   PgServerOptions options)
    : opened(database.metrics().counter("rustbd_connections_opened_total", "Connections accepted",
                                        {{"protocol", "pgwire"}})),
      bytes_in(database.metrics().counter("rustbd_network_bytes_total", "Bytes over the network",
                                          {{"direction", "in"}, {"protocol", "pgwire"}})),
      bytes_out(database.metrics().counter("rustbd_network_bytes_total", "Bytes over the network",
                                           {{"direction", "out"}, {"protocol", "pgwire"}})),
      refused_(database.metrics().counter("rustbd_connections_refused_total",
                                          "Connections refused to keep file descriptors for files")),
      database_(database),
      authenticator_(authenticator),
      network_(network),
      options_(std::move(options)) {}
PgServer::~PgServer() {
  std::lock_guard lock{mutex_};
  RUSTBD_ASSERT(connections_.empty(), "the server is stopped before it is destroyed");
}

std::string PgServer::listen(const Address& address) {
  OutputBuffer answer;
  put_error(answer, 'E', Severity::kFatal, no_room(), {});
  return network_.listen(address,
                         [this](std::unique_ptr<Transport> transport, bool crowded) {
                           opened.inc();
                           if (crowded) refused();
                           std::make_shared<Connection>(*this, std::move(transport), crowded)->start();
                         },
                         {kRefusedMax, std::string{answer.view()}, [this] { refused(); }});
}

void PgServer::refused() {
  refused_.inc();
  const auto now_us = database_.environment().clock->monotonic_us();
  std::int64_t told_us = refusal_told_us_.load();
  if (told_us != 0 && now_us - told_us < kTellAgainUs) return;
  if (refusal_told_us_.compare_exchange_strong(told_us, now_us))
    options_.log_line.warning("connections are refused: the limit of open files is reached (53300)");
}

void PgServer::enter(const std::shared_ptr<Connection>& connection) {
  {
    std::lock_guard lock{mutex_};
    connections_.emplace(connection.get(), connection);
  }
  if (stopping()) connection->request_stop(false);
}

void PgServer::leave(Connection& connection) {
  std::lock_guard lock{mutex_};
  connections_.erase(&connection);
  std::erase_if(keys_, [&](const auto& k) { return k.second.owner == &connection; });
  if (connections_.empty()) empty_.fire();
}

void PgServer::note_failure(const Error& failure) {
  const auto kind = failure.state.error_class();
  if (kind != "XX" && kind != "58" && kind != "53") return;
  const std::int64_t now = database_.environment().clock->monotonic_us();
  std::uint64_t left_out = 0;
  {
    const std::lock_guard lock{failures_mutex_};
    if (now - failures_since_us_ >= kFailuresWindowUs) {
      left_out = failures_ - std::min(failures_, kFailuresLogged);
      failures_since_us_ = now;
      failures_ = 0;
    }
    if (++failures_ > kFailuresLogged) return;
  }
  if (left_out != 0)
    options_.log_line.error(fmt::format("{} more statements failed like these before", left_out));
  const bool limit = kind == "53" && failure.state != sqlstate::kDiskFull;  // of memory, of connections
  options_.log_line(limit ? LogLevel::kWarning : LogLevel::kError,
                    fmt::format("a statement failed: {}: {}", failure.state.text(), failure.message));
}

void PgServer::publish_key(Connection& connection, std::int32_t pid, std::uint64_t key) {
  std::lock_guard lock{mutex_};
  keys_[pid] = {key, &connection};
}

void PgServer::cancel(std::int32_t pid, std::uint32_t key) {
  std::uint64_t secret = 0;
  {
    std::lock_guard lock{mutex_};
    const auto it = keys_.find(pid);
    if (it == keys_.end() || static_cast<std::uint32_t>(it->second.secret) != key) return;
    secret = it->second.secret;
  }
  database_.cancel(pid, secret);
}

void PgServer::for_each(const std::function<void(Connection&)>& body) {
  std::vector<std::shared_ptr<Connection>> live;
  {
    std::lock_guard lock{mutex_};
    for (const auto& [raw, weak] : connections_)
      if (auto c = weak.lock()) live.push_back(std::move(c));
  }
  for (const auto& c : live) body(*c);
}

void PgServer::stop(std::chrono::milliseconds drain, const io::WaitToken& hurry) {
  auto& executor = *database_.environment().executor;
  io::WaitToken empty;
  {
    std::lock_guard lock{mutex_};
    stopping_.store(true, std::memory_order_release);
    empty = empty_ = io::WaitToken::make(io::WaitReason::kTask);
    if (connections_.empty()) empty_.fire();
  }
  for_each([](Connection& c) { c.request_stop(false); });
  // Whichever is first: all gone, the time over, somebody in a hurry.
  const auto first = io::WaitToken::make(io::WaitReason::kTask);
  const auto timer = executor.after(drain);
  for (const auto& t : {empty, timer, hurry})
    if (t) t.then(executor.workers(), [first] { first.fire(); });
  executor.block_on(first);
  if (empty.fired()) return;
  for_each([](Connection& c) { c.request_stop(true); });
  executor.block_on(empty);
}

}  // namespace rustbd::net::pgwire
