// Server: everything of one `rustbd serve` wired together.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "rustbd/server/config.h"

namespace rustbd::server {

struct ServeOptions {
  std::string data = "./data";
  bool insecure = false;  // no password, no TLS; loopback only
  Config config;
  std::function<Config()> read_config;  // again, for a reload; may throw Error
};

/// Opens the directory (making it if absent), listens, and runs until SIGTERM or SIGINT. Prints to standard
/// output what a person needs to connect. Returns the exit code: 0 after a clean stop, 1 where starting
/// failed (the reason is on standard error).
int serve(ServeOptions options);

}  // namespace rustbd::server
