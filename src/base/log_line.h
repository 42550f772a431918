// LogLine: where a layer hands its lines for the server's log, each with what it means to an operator.
#pragma once

#include <concepts>
#include <cstdint>
#include <functional>
#include <string_view>
#include <utility>

namespace rustbd {

enum class LogLevel : std::uint8_t {
  kInfo,
  kWarning,  // damage, or work that could not be done: somebody should look
  kError,    // and a client was refused for it
};

/// Made of a function of the level and the line, or of the line alone. Called on any thread. Empty: lines are
/// dropped.
class LogLine {
 public:
  LogLine() = default;
  template <class F>
  requires(!std::same_as<F, LogLine> && std::invocable<F&, LogLevel, std::string_view>) LogLine(F write)
      : write_(std::move(write)) {}  // NOLINT(google-explicit-constructor): as std::function's
  template <class F>
  requires(!std::same_as<F, LogLine> && std::invocable<F&, std::string_view>)
      LogLine(F write)  // NOLINT(google-explicit-constructor)
      : write_([write = std::move(write)](LogLevel, std::string_view line) mutable { write(line); }) {}

  explicit operator bool() const { return static_cast<bool>(write_); }
  void operator()(LogLevel level, std::string_view line) const {
    if (write_) write_(level, line);
  }
  void operator()(std::string_view line) const { (*this)(LogLevel::kInfo, line); }
  void warning(std::string_view line) const { (*this)(LogLevel::kWarning, line); }
  void error(std::string_view line) const { (*this)(LogLevel::kError, line); }

 private:
  std::function<void(LogLevel, std::string_view)> write_;
};

}  // namespace rustbd
