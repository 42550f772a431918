#include "rustbd/net/pgwire/pg_server.h"

#include "rustbd/net/pgwire/connection.h"

namespace rustbd::net::pgwire {

PgServer::PgServer(engine::Database& database, auth::Authenticator& authenticator, Network& network,
                   PgServerOptions options)
    : opened(database.metrics().counter("rustbd_connections_opened_total", "Connections accepted",
                                        {{"protocol", "pgwire"}})),
      bytes_in(database.metrics().counter("rustbd_network_bytes_total", "Bytes over the network",
                                          {{"direction", "in"}, {"protocol", "pgwire"}})),
      bytes_out(database.metrics().counter("rustbd_network_bytes_total", "Bytes over the network",
                                           {{"direction", "out"}, {"protocol", "pgwire"}})),
      database_(database),
      authenticator_(authenticator),
      network_(network),
      options_(std::move(options)) {}
PgServer::~PgServer() {
  std::lock_guard lock{mutex_};
  RUSTBD_ASSERT(connections_.empty(), "the server is stopped before it is destroyed");
}

std::string PgServer::listen(const Address& address) {
  return network_.listen(address, [this](std::unique_ptr<Transport> transport) {
    opened.inc();
    std::make_shared<Connection>(*this, std::move(transport))->start();
  });
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
