// HTTP/1.1 for operations: /healthz, /readyz, /metrics. Anything else is 404.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "rustbd/net/network.h"

namespace rustbd::net::http {

struct Response {
  unsigned status = 200;
  std::string content_type = "application/json";
  std::string body;
};

struct HttpOptions {
  std::function<Response(std::string_view path)>
      handle;  // any network thread; nullopt-like 404 is a Response too
  /// Names that the Host header may carry besides numeric addresses (against DNS rebinding).
  std::vector<std::string> host_names{"localhost"};
};

/// Threads: those of the network. Destroy after Network::stop().
class HttpServer {
 public:
  HttpServer(Network& network, HttpOptions options);
  ~HttpServer();
  std::string listen(const Address& address);
  /// Closes all connections.
  void stop();
  struct Impl;

 private:
  Network& network_;
  std::shared_ptr<Impl> impl_;
};

}  // namespace rustbd::net::http
