#include "rustbd/server/logger.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

namespace rustbd::server {

struct Logger::Impl {
  std::shared_ptr<spdlog::logger> logger;
  bool json = false;
};

namespace {
spdlog::level::level_enum to_spdlog(LogLevel level) {
  switch (level) {
    case LogLevel::kInfo: return spdlog::level::info;
    case LogLevel::kWarning: return spdlog::level::warn;
    case LogLevel::kError: return spdlog::level::err;
  }
  return spdlog::level::info;
}
/// Control characters are escaped in both forms, so that an event is one line.
std::string escape(std::string_view text, bool json) {
  std::string out;
  for (const char c : text) {
    if (static_cast<unsigned char>(c) < 0x20)
      out += fmt::format("\\{}{:0{}x}", json ? 'u' : 'x', static_cast<unsigned>(c), json ? 4 : 2);
    else if (json && (c == '"' || c == '\\')) (out += '\\') += c;
    else out += c;
  }
  return out;
}
}  // namespace

Logger::Logger(std::string_view level, bool json) : impl_(std::make_unique<Impl>()) {
  impl_->json = json;
  impl_->logger =
      std::make_shared<spdlog::logger>("rustbd", std::make_shared<spdlog::sinks::stderr_sink_mt>());
  impl_->logger->set_pattern(json ? R"({"time":"%Y-%m-%dT%H:%M:%S.%fZ","level":"%l","event":"%v"})"
                                  : "%Y-%m-%d %H:%M:%S.%e UTC %l %v",
                             spdlog::pattern_time_type::utc);
  impl_->logger->set_level(level == "debug"
                               ? spdlog::level::debug
                               : (level == "warning"
                                      ? spdlog::level::warn
                                      : (level == "error" ? spdlog::level::err : spdlog::level::info)));
  impl_->logger->flush_on(spdlog::level::debug);
}
Logger::~Logger() = default;

void Logger::write(LogLevel level, std::string_view event) const {
  impl_->logger->log(to_spdlog(level), "{}", escape(event, impl_->json));
}

}  // namespace rustbd::server
