// The server's log: one line an event on standard error, as text or JSON. No line carries a password, a
// parameter or a statement's text.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "rustbd/base/log_line.h"

namespace rustbd::server {

/// Threads: any.
class Logger {
 public:
  /// `level`: debug, info, warning, error. `json`: one object a line.
  Logger(std::string_view level, bool json);
  ~Logger();
  void write(LogLevel level, std::string_view event) const;
  void info(std::string_view event) const { write(LogLevel::kInfo, event); }
  void warning(std::string_view event) const { write(LogLevel::kWarning, event); }
  void error(std::string_view event) const { write(LogLevel::kError, event); }

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace rustbd::server
