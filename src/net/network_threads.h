// The network threads over Boost.Asio. Private to net: the only header that includes Asio.
#pragma once

#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <limits>

#include "rustbd/net/network.h"
#include "rustbd/net/send_ring.h"

namespace rustbd::net {

namespace asio = boost::asio;
using Tcp = asio::ip::tcp;
using Stream = asio::generic::stream_protocol;  // TCP or a Unix-domain socket

struct SocketState;

/// One network thread: an io_context with epoll, and the lane that runs on it.
///
/// Where many clients are ready at once it serves them in batches: first all their requests, then all the
/// answers. A client that is answered wakes up, on a full machine in the place of this thread, and asks
/// again: answers one by one are so many changes of context. Where few are ready nothing is put off
/// (io::Batch).
class NetworkLane final : public io::Lane {
 public:
  NetworkLane() : context(1), work_(asio::make_work_guard(context)) {}
  void post(io::Job job) override {
    asio::post(context, [this, job = std::move(job)]() mutable {
      const Running running{this};
      job();
      job = {};
    });
  }
  /// Wraps what runs as a completion of an Asio operation.
  template <class Body>
  void enter(Body&& body) {
    const Running running{this};
    body();
  }
  void run();
  void finish() { work_.reset(); }
  /// True: a batch runs, and the socket is read when its answers are out. Before that a client has
  /// nothing to say, and asking for it is a call for nothing.
  bool put_off_read(const std::shared_ptr<SocketState>& socket) {
    if (batching_) reads_.push_back(socket);
    return batching_;
  }

  asio::io_context context;
  std::atomic<std::size_t> connections{0};
  SendRing sends;  // the answers of the batch that ends

 private:
  std::size_t serve_ready();

  bool batching_ = false;
  std::vector<std::shared_ptr<SocketState>> reads_;  // that the batch puts off
  asio::executor_work_guard<asio::io_context::executor_type> work_;
};

struct Network::Impl {
  struct Listener {
    explicit Listener(asio::io_context& context) : acceptor(context), retry(context) {}
    asio::basic_socket_acceptor<Stream> acceptor;
    asio::steady_timer retry;
    ConnectionFactory factory;
    Refusal refusal;
    std::string path;  // of a Unix-domain socket; empty: TCP
  };
  Network* owner = nullptr;
  io::Executor* executor = nullptr;
  std::vector<std::unique_ptr<NetworkLane>> lanes;  // [0]: control
  std::vector<std::unique_ptr<io::BackgroundThread>> threads;
  std::vector<std::shared_ptr<Listener>>
      listeners;                            // changed by the owner's thread while no accept runs, and by stop
  std::shared_ptr<asio::ssl::context> tls;  // guarded by tls_mutex: a reload replaces it
  mutable std::mutex tls_mutex;
  bool stopped = false;
  std::size_t room = std::numeric_limits<std::size_t>::max();

  NetworkLane& least_loaded();
  std::string listen_tcp(const Address& address, const ConnectionFactory& factory, const Refusal& refusal);
  std::string listen_local(const Address& address, const ConnectionFactory& factory, const Refusal& refusal);
  void start(std::shared_ptr<Listener> listener);
  void accept(std::shared_ptr<Listener> listener);
  void take_in(const std::shared_ptr<Listener>& listener, NetworkLane& lane, Stream::socket socket);
  std::shared_ptr<asio::ssl::context> tls_context() const {
    std::lock_guard lock{tls_mutex};
    return tls;
  }
};

/// What a stream's address says of its TCP end.
inline Tcp::endpoint tcp_endpoint(const Stream::endpoint& from) {
  Tcp::endpoint to;
  to.resize(from.size());
  std::memcpy(to.data(), from.data(), from.size());
  return to;
}

/// Begins a read that was put off. Where there is no memory for it the connection ends.
void start_put_off_read(const std::shared_ptr<SocketState>& socket);

/// A stream, with TLS from start_tls() on.
std::unique_ptr<Transport> make_socket_transport(Stream::socket socket, NetworkLane& lane,
                                                 std::shared_ptr<asio::ssl::context> tls);

}  // namespace rustbd::net
