// The only user of Boost.Beast. One connection is a chain of completions on its lane.
#include "rustbd/net/http/http_server.h"

#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>

#include <set>

#include "rustbd/net/network_threads.h"

namespace rustbd::net::http {

namespace beast = boost::beast;
namespace bhttp = boost::beast::http;

namespace {
constexpr auto kIdleTimeout = std::chrono::seconds{30};
constexpr std::size_t kRequestMax = 64 << 10;
constexpr std::size_t kMoreRoom = 32;  // who looks after the server gets in while clients crowd it

/// The host part of a Host header, without port and brackets.
std::string_view host_of(std::string_view header) {
  if (header.starts_with('[')) return header.substr(1, header.find(']') - 1);
  return header.substr(0, header.rfind(':'));
}
}  // namespace

struct HttpServer::Impl {
  HttpOptions options;
  std::mutex mutex;  // protects open, stopped
  std::set<Transport*> open;
  bool stopped = false;
  [[nodiscard]] bool host_allowed(std::string_view header) const {
    const auto host = host_of(header);
    boost::system::error_code failure;
    asio::ip::make_address(std::string{host}, failure);
    return !failure ||
           std::find(options.host_names.begin(), options.host_names.end(), host) != options.host_names.end();
  }
};

namespace {

class HttpConnection final : public std::enable_shared_from_this<HttpConnection> {
 public:
  HttpConnection(std::shared_ptr<HttpServer::Impl> server, std::unique_ptr<Transport> transport)
      : server_(std::move(server)), transport_(std::move(transport)) {
    parser_.header_limit(kRequestMax);
    parser_.body_limit(kRequestMax);
    parser_.eager(true);
  }
  ~HttpConnection() {
    std::lock_guard lock{server_->mutex};
    server_->open.erase(transport_.get());
  }
  void start(io::Executor& executor) {
    {
      std::lock_guard lock{server_->mutex};
      if (server_->stopped) return;
      server_->open.insert(transport_.get());
    }
    executor.after(kIdleTimeout).then(transport_->lane(), [weak = weak_from_this()] {
      if (const auto self = weak.lock()) self->transport_->close();
    });
    read();
  }

 private:
  void read() {
    transport_->read(chunk_, [self = shared_from_this()](std::size_t n) {
      if (n == 0) return;
      self->input_.append(self->chunk_.data(), n);
      self->parse();
    });
  }
  void parse() {
    boost::system::error_code failure;
    const auto used = parser_.put(asio::buffer(input_), failure);
    input_.erase(0, used);
    if (failure == bhttp::error::need_more) return read();
    if (failure)
      return answer({400, "application/json", R"({"error":{"code":"08P01","message":"malformed request"}})"},
                    false);
    if (!parser_.is_done()) return input_.empty() ? read() : parse();
    const auto& request = parser_.get();
    const bool head = request.method() == bhttp::verb::head;
    if (!server_->host_allowed({request[bhttp::field::host].data(), request[bhttp::field::host].size()}))
      return answer({421, "application/json", R"({"error":{"code":"42501","message":"unknown host"}})"},
                    head);
    if (request.method() != bhttp::verb::get && !head)
      return answer({405, "application/json", R"({"error":{"code":"0A000","message":"only GET"}})"}, head);
    const std::string_view target{request.target().data(), request.target().size()};
    answer(server_->options.handle(target.substr(0, target.find('?'))), head);
  }
  void answer(const Response& response, bool head) {
    bhttp::response<bhttp::string_body> out{static_cast<bhttp::status>(response.status), 11};
    out.set(bhttp::field::server, "RustBD");
    out.set(bhttp::field::content_type, response.content_type);
    out.set(bhttp::field::cache_control, "no-store");
    out.set("X-Content-Type-Options", "nosniff");
    out.keep_alive(false);
    out.content_length(response.body.size());
    if (!head) out.body() = response.body;
    std::ostringstream text;
    if (head) text << out.base();
    else text << out;
    output_ = std::move(text).str();
    transport_->write(output_, [self = shared_from_this()](bool) { self->transport_->close(); });
  }

  std::shared_ptr<HttpServer::Impl> server_;
  std::unique_ptr<Transport> transport_;
  bhttp::request_parser<bhttp::string_body> parser_;
  std::array<char, 8192> chunk_{};
  std::string input_, output_;
};

}  // namespace

HttpServer::HttpServer(Network& network, HttpOptions options)
    : network_(network), impl_(std::make_shared<Impl>()) {
  impl_->options = std::move(options);
}
HttpServer::~HttpServer() = default;

std::string HttpServer::listen(const Address& address) {
  return network_.listen(
      address,
      [impl = impl_, executor = &network_.executor()](std::unique_ptr<Transport> transport, bool) {
        std::make_shared<HttpConnection>(impl, std::move(transport))->start(*executor);
      },
      {kMoreRoom, {}, {}});
}

void HttpServer::stop() {
  std::lock_guard lock{impl_->mutex};
  impl_->stopped = true;
  // A transport in the set lives: its connection takes it out under the same mutex before it goes.
  for (auto* t : impl_->open)
    t->lane().post([impl = impl_, t] {
      std::lock_guard inner{impl->mutex};
      if (impl->open.contains(t)) t->close();
    });
}

}  // namespace rustbd::net::http
