// Transport over a TCP or Unix-domain socket, with TLS by Asio.SSL when the client asks for it.
#include "rustbd/net/network_threads.h"

namespace rustbd::net {

using TlsStream = asio::ssl::stream<Stream::socket&>;

// What outlives the Transport object: completions that are still on their way hold it.
struct SocketState {
  SocketState(Stream::socket s, NetworkLane& l) : socket(std::move(s)), lane(l) {}
  ~SocketState() { lane.connections.fetch_sub(1, std::memory_order_relaxed); }
  Stream::socket socket;
  NetworkLane& lane;
  std::unique_ptr<TlsStream> tls;
  std::string received;  // bytes read before the handshake that belong to it
  std::span<char> into;  // of the read that runs or is put off
  std::move_only_function<void(std::size_t)> read_done;
};

static void start_read(const std::shared_ptr<SocketState>& s) {
  auto finish = [s](boost::system::error_code failure, std::size_t n) {
    s->lane.enter([&] { std::exchange(s->read_done, {})(failure ? 0 : n); });
  };
  const auto buffer = asio::buffer(s->into.data(), s->into.size());
  if (s->tls) s->tls->async_read_some(buffer, std::move(finish));
  else s->socket.async_read_some(buffer, std::move(finish));
}

void start_put_off_read(const std::shared_ptr<SocketState>& s) {
  try {
    start_read(s);
  } catch (const std::bad_alloc&) {
    std::exchange(s->read_done, {})(0);
  }
}

namespace {

class SocketTransport final : public Transport {
 public:
  SocketTransport(Stream::socket socket, NetworkLane& lane, std::shared_ptr<asio::ssl::context> tls)
      : state_(std::make_shared<SocketState>(std::move(socket), lane)), tls_context_(std::move(tls)) {
    boost::system::error_code failure;
    auto& s = state_->socket;
    s.non_blocking(true, failure);
    const auto remote = s.remote_endpoint(failure);
    local_ = !failure && remote.protocol().family() == AF_UNIX;
    if (local_) peer_ = "[local]";
    if (failure || local_) return;
    const auto from = tcp_endpoint(remote);
    s.set_option(Tcp::no_delay(true), failure);
    s.set_option(asio::socket_base::keep_alive(true), failure);
    peer_ = from.address().is_v6() ? fmt::format("[{}]:{}", from.address().to_string(), from.port())
                                   : fmt::format("{}:{}", from.address().to_string(), from.port());
  }
  ~SocketTransport() override { close(); }

  io::Lane& lane() override { return state_->lane; }

  void read(std::span<char> into, std::move_only_function<void(std::size_t)> done) override {
    state_->into = into;
    state_->read_done = std::move(done);
    if (!state_->lane.put_off_read(state_)) start_read(state_);
  }

  std::size_t write_now(std::span<const char> from) override {
    if (state_->tls) return 0;
    boost::system::error_code failure;
    return state_->socket.write_some(asio::buffer(from.data(), from.size()), failure);
  }

  bool write_with_others(std::span<const char> from,
                         std::move_only_function<void(std::size_t)> done) override {
    return !state_->tls && state_->lane.sends.add(state_->socket.native_handle(), from, std::move(done));
  }

  void write(std::span<const char> from, std::move_only_function<void(bool)> done) override {
    auto finish = [state = state_, done = std::move(done)](boost::system::error_code failure,
                                                           std::size_t) mutable {
      state->lane.enter([&] { done(!failure); });
    };
    const auto buffer = asio::buffer(from.data(), from.size());
    if (state_->tls) asio::async_write(*state_->tls, buffer, std::move(finish));
    else asio::async_write(state_->socket, buffer, std::move(finish));
  }

  void start_tls(std::string received, std::move_only_function<void(bool)> done) override {
    state_->tls = std::make_unique<TlsStream>(state_->socket, *tls_context_);
    state_->received = std::move(received);
    auto finish = [state = state_, this, done = std::move(done)](boost::system::error_code failure,
                                                                 std::size_t used) mutable {
      state->lane.enter([&] {
        // More than the handshake before our answer to SSLRequest: nothing honest sends that
        // (CVE-2021-23214).
        const bool ok = !failure && used == state->received.size();
        if (ok) encrypted_ = true;
        done(ok);
      });
    };
    state_->tls->async_handshake(asio::ssl::stream_base::server, asio::buffer(state_->received),
                                 std::move(finish));
  }
  bool encrypted() const override { return encrypted_; }

  void close() override {
    boost::system::error_code ignored;
    state_->socket.shutdown(Stream::socket::shutdown_both, ignored);
    state_->socket.close(ignored);
  }
  const std::string& peer() const override { return peer_; }
  bool is_local() const override { return local_; }

 private:
  std::shared_ptr<SocketState> state_;
  std::shared_ptr<asio::ssl::context> tls_context_;
  std::string peer_;
  bool local_ = false, encrypted_ = false;
};

}  // namespace

std::unique_ptr<Transport> make_socket_transport(Stream::socket socket, NetworkLane& lane,
                                                 std::shared_ptr<asio::ssl::context> tls) {
  return std::make_unique<SocketTransport>(std::move(socket), lane, std::move(tls));
}

}  // namespace rustbd::net
