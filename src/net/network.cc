#include "rustbd/net/network.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <charconv>
#include <optional>

#include "rustbd/base/error.h"
#include "rustbd/io/batch.h"
#include "rustbd/net/network_threads.h"

namespace rustbd::net {

namespace {
constexpr int kBacklog = 1024;
constexpr std::size_t kLocalPathMax = sizeof(sockaddr_un::sun_path) - 1;
constexpr auto kAcceptRetry = std::chrono::milliseconds{100};  // after EMFILE and the like

// The batches of a lane.
constexpr std::size_t kBatchMax = 16;                           // requests
constexpr std::size_t kBatchWorth = 4;                          // as many were ready: the next batch is one
constexpr auto kBatchTimeMax = std::chrono::microseconds{300};  // for those who are answered last
constexpr std::size_t kProbeEvery = 16;                         // requests served one by one

std::string host_and_port(std::string_view host, std::uint16_t port) {
  return host.find(':') != std::string_view::npos ? fmt::format("[{}]:{}", host, port)
                                                  : fmt::format("{}:{}", host, port);
}

std::vector<Tcp::endpoint> resolve(const Address& address) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const auto port = std::to_string(address.port);
  const int failure =
      getaddrinfo(address.host.empty() ? nullptr : address.host.c_str(), port.c_str(), &hints, &found);
  if (failure != 0)
    throw error(sqlstate::kIoError, "could not resolve \"{}\": {}", to_text(address), gai_strerror(failure));
  std::vector<Tcp::endpoint> out;
  for (const auto* a = found; a != nullptr; a = a->ai_next) {
    Tcp::endpoint e;
    if (a->ai_addrlen > e.capacity()) continue;
    std::memcpy(e.data(), a->ai_addr, a->ai_addrlen);
    e.resize(a->ai_addrlen);
    if (std::find(out.begin(), out.end(), e) == out.end()) out.push_back(e);
  }
  freeaddrinfo(found);
  return out;
}

// The answer fits into an empty socket's buffer. What the client has said is taken, as closing a socket with
// something unread cuts off what was sent.
void refuse(Stream::socket& socket, const Refusal& refusal) {
  const int fd = socket.native_handle();
  (void)::send(fd, refusal.answer.data(), refusal.answer.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  char said[4096];
  (void)::recv(fd, said, sizeof said, MSG_DONTWAIT);
  boost::system::error_code ignored;
  socket.shutdown(Stream::socket::shutdown_both, ignored);
  socket.close(ignored);
  if (refusal.told) refusal.told();
}
}  // namespace

Address parse_address(std::string_view text, bool optional) {
  const auto bad = [&] {
    return error(sqlstate::kInvalidParameterValue,
                 "invalid address \"{}\": expected HOST:PORT or /DIRECTORY:PORT", text);
  };
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos) throw bad();
  Address a;
  a.optional = optional;
  auto host = text.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  else if (host.find(':') != std::string_view::npos) throw bad();
  a.host = host == "*" ? std::string_view{} : host;
  const auto port = text.substr(colon + 1);
  const auto [end, failure] = std::from_chars(port.data(), port.data() + port.size(), a.port);
  if (failure != std::errc{} || end != port.data() + port.size()) throw bad();
  if (is_local(a) && a.port == 0) throw bad();  // the port is the socket's name: there is no free one
  return a;
}
std::string to_text(const Address& address) { return host_and_port(address.host, address.port); }
bool is_local(const Address& address) { return address.host.starts_with('/'); }
bool is_loopback(const Address& address) {
  if (is_local(address)) return true;
  // A numeric address, not a name that begins like one: "127.example.org" may lead anywhere.
  in_addr v4{};
  if (inet_pton(AF_INET, address.host.c_str(), &v4) == 1) return ntohl(v4.s_addr) >> 24 == 127;
  return address.host == "localhost" || address.host == "::1";
}

Network::Network(io::Executor& executor, std::size_t threads) : impl_(std::make_unique<Impl>()) {
  impl_->owner = this;
  impl_->executor = &executor;
  for (std::size_t i = 0; i < threads + 1; ++i) {
    impl_->lanes.push_back(std::make_unique<NetworkLane>());
    impl_->threads.push_back(executor.start_background(i == 0 ? "accept" : fmt::format("network-{}", i),
                                                       [lane = impl_->lanes.back().get()] { lane->run(); }));
  }
}
Network::~Network() { stop(); }

void Network::set_tls(const TlsFiles& files) {
  if (files.certificate.empty()) return;
  auto context = std::make_shared<asio::ssl::context>(asio::ssl::context::tls_server);
  boost::system::error_code failure;
  context->set_options(
      asio::ssl::context::default_workarounds | asio::ssl::context::no_tlsv1 | asio::ssl::context::no_tlsv1_1,
      failure);
  context->use_certificate_chain_file(files.certificate, failure);
  if (failure)
    throw error(sqlstate::kInvalidParameterValue, "could not load the certificate \"{}\": {}",
                files.certificate, failure.message());
  context->use_private_key_file(files.key.empty() ? files.certificate : files.key, asio::ssl::context::pem,
                                failure);
  if (failure)
    throw error(sqlstate::kInvalidParameterValue, "could not load the private key \"{}\": {}", files.key,
                failure.message());
  std::lock_guard lock{impl_->tls_mutex};
  impl_->tls = std::move(context);
}
bool Network::has_tls() const { return impl_->tls_context() != nullptr; }

std::string Network::listen(const Address& address, ConnectionFactory factory, Refusal refusal) {
  return is_local(address) ? impl_->listen_local(address, factory, refusal)
                           : impl_->listen_tcp(address, factory, refusal);
}
void Network::set_room(std::size_t connections) { impl_->room = connections; }

std::string Network::Impl::listen_tcp(const Address& address, const ConnectionFactory& factory,
                                      const Refusal& refusal) {
  std::string bound;
  auto wanted = address;
  for (const auto& endpoint : resolve(address)) {
    auto listener = std::make_shared<Listener>(lanes[0]->context);
    listener->factory = factory;
    listener->refusal = refusal;
    boost::system::error_code failure;
    auto local = endpoint;
    local.port(wanted.port);
    auto& acceptor = listener->acceptor;
    acceptor.open(local.protocol(), failure);
    if (!failure) acceptor.set_option(Tcp::acceptor::reuse_address(true), failure);
    if (!failure && local.address().is_v6()) acceptor.set_option(asio::ip::v6_only(true), failure);
    if (!failure) acceptor.bind(local, failure);
    if (!failure) acceptor.listen(kBacklog, failure);
    if (failure) {
      const bool absent = failure == boost::system::errc::address_family_not_supported ||
                          failure == boost::system::errc::address_not_available;
      if (absent && (address.optional || address.host.empty())) {
        if (owner->log_line)
          owner->log_line(fmt::format("not listening on {}: {}",
                                      host_and_port(local.address().to_string(), local.port()),
                                      failure.message()));
        continue;
      }
      throw error(sqlstate::kIoError, "could not listen on {}: {}",
                  host_and_port(local.address().to_string(), local.port()), failure.message());
    }
    const auto at = tcp_endpoint(acceptor.local_endpoint());
    wanted.port = at.port();
    if (!bound.empty()) bound += ", ";
    bound += host_and_port(at.address().to_string(), at.port());
    start(std::move(listener));
  }
  return bound;
}

std::string Network::Impl::listen_local(const Address& address, const ConnectionFactory& factory,
                                        const Refusal& refusal) {
  const auto path = fmt::format("{}/.s.PGSQL.{}", address.host, address.port);
  const auto could_not = [&](std::string_view why) {
    return error(sqlstate::kIoError, "could not listen on {}: {}", path, why);
  };
  if (path.size() > kLocalPathMax)
    throw could_not(fmt::format("the path is longer than {} bytes", kLocalPathMax));
  const asio::local::stream_protocol::endpoint endpoint{path};
  boost::system::error_code failure;
  {
    asio::local::stream_protocol::socket probe{lanes[0]->context};
    probe.connect(endpoint, failure);
    if (!failure) throw could_not("another server is listening there");
    struct stat file {};
    // Nobody behind it: its server was killed.
    if (failure == boost::system::errc::connection_refused && ::lstat(path.c_str(), &file) == 0 &&
        S_ISSOCK(file.st_mode))
      ::unlink(path.c_str());
  }
  auto listener = std::make_shared<Listener>(lanes[0]->context);
  listener->factory = factory;
  listener->refusal = refusal;
  failure = {};
  auto& acceptor = listener->acceptor;
  acceptor.open(Stream{endpoint.protocol()}, failure);
  if (!failure) acceptor.bind(endpoint, failure);
  if (failure) throw could_not(failure.message());
  listener->path = path;
  // As PostgreSQL's unix_socket_permissions: a password keeps others out.
  if (::chmod(path.c_str(), 0777) != 0) failure.assign(errno, boost::system::system_category());
  if (!failure) acceptor.listen(kBacklog, failure);
  if (failure) {
    ::unlink(path.c_str());
    throw could_not(failure.message());
  }
  start(std::move(listener));
  return to_text(address);
}

void Network::Impl::start(std::shared_ptr<Listener> listener) {
  listeners.push_back(listener);
  lanes[0]->post([this, listener] { accept(listener); });
}

void NetworkLane::run() {
  std::size_t alone = 0;
  for (;;) {
    std::optional<io::Batch> batch;
    if (batching_) batch.emplace();
    if (context.run_one() == 0) return;
    if (!batching_ && ++alone % kProbeEvery != 0) continue;  // finding out that nobody is ready costs a call
    const bool many = 1 + serve_ready() >= kBatchWorth;
    if (batch) {
      const Running running{this};
      batching_ = false;
      sends.gather();
      batch.reset();
      sends.flush();
      for (const auto& socket : reads_) start_put_off_read(socket);
      reads_.clear();
    }
    batching_ = many;
  }
}

// How many were ready without a wait.
std::size_t NetworkLane::serve_ready() {
  const auto until = std::chrono::steady_clock::now() + kBatchTimeMax;
  std::size_t served = 0;
  while (served + 1 < kBatchMax && context.poll_one() != 0) {
    ++served;
    if (std::chrono::steady_clock::now() > until) break;
  }
  return served;
}

NetworkLane& Network::Impl::least_loaded() {
  std::size_t best = lanes.size() > 1 ? 1 : 0;
  for (std::size_t i = best + 1; i < lanes.size(); ++i)
    if (lanes[i]->connections.load(std::memory_order_relaxed) <
        lanes[best]->connections.load(std::memory_order_relaxed))
      best = i;
  return *lanes[best];
}

void Network::Impl::accept(std::shared_ptr<Listener> listener) {
  if (!listener->acceptor.is_open()) return;
  auto& lane = least_loaded();
  auto* raw = listener.get();
  raw->acceptor.async_accept(
      lane.context, [this, listener = std::move(listener), &lane](boost::system::error_code failure,
                                                                  Stream::socket socket) mutable {
        if (failure == asio::error::operation_aborted || !listener->acceptor.is_open()) return;
        if (failure) {
          if (owner->log_line)
            owner->log_line(fmt::format("could not accept a connection: {}", failure.message()));
          auto* timer = &listener->retry;
          timer->expires_after(kAcceptRetry);
          timer->async_wait(
              [this, listener = std::move(listener)](boost::system::error_code stopped_early) mutable {
                if (!stopped_early) accept(std::move(listener));
              });
          return;
        }
        take_in(listener, lane, std::move(socket));
        accept(std::move(listener));
      });
}

void Network::Impl::take_in(const std::shared_ptr<Listener>& listener, NetworkLane& lane,
                            Stream::socket socket) {
  std::size_t taken = 0;
  for (const auto& l : lanes) taken += l->connections.load(std::memory_order_relaxed);
  const bool crowded = taken >= room;
  if (crowded && taken - room >= listener->refusal.more_room) return refuse(socket, listener->refusal);
  lane.connections.fetch_add(1, std::memory_order_relaxed);
  // std::function-like jobs must own the socket on its own lane from here.
  lane.post([this, listener, &lane, crowded, socket = std::move(socket)]() mutable {
    listener->factory(make_socket_transport(std::move(socket), lane, tls_context()), crowded);
  });
}

void Network::stop_listening() {
  auto done = io::WaitToken::make(io::WaitReason::kTask);
  impl_->lanes[0]->post([this, done] {
    for (auto& l : impl_->listeners) {
      boost::system::error_code ignored;
      if (!l->path.empty())
        ::unlink(l->path.c_str());  // while it is ours: the next server's has the same name
      l->acceptor.close(ignored);
      l->retry.cancel();
    }
    done.fire();
  });
  impl_->executor->block_on(done);
  impl_->listeners.clear();
}

io::Lane& Network::control_lane() { return *impl_->lanes[0]; }
io::Executor& Network::executor() { return *impl_->executor; }

void Network::stop() {
  if (impl_->stopped) return;
  impl_->stopped = true;
  if (!impl_->listeners.empty()) stop_listening();
  for (auto& lane : impl_->lanes) lane->finish();
  for (auto& thread : impl_->threads) thread->join();
}

}  // namespace rustbd::net
