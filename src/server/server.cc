#include "rustbd/server/server.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <fstream>
#include <mutex>
#include <thread>

#include "rustbd/auth/authenticator.h"
#include "rustbd/engine/database.h"
#include "rustbd/net/http/http_server.h"
#include "rustbd/net/network.h"
#include "rustbd/net/pgwire/pg_server.h"
#include "rustbd/security/scram.h"
#include "rustbd/server/data_directory.h"
#include "rustbd/server/descriptors.h"
#include "rustbd/server/embedded.h"
#include "rustbd/server/local_session.h"
#include "rustbd/server/logger.h"
#include "rustbd/server/rebuild_indexes.h"
#include "rustbd/server/signals.h"

namespace rustbd::server {

namespace {

constexpr std::size_t kNetworkThreadsByDefault = 16;
/// The keys that a reload changes.
constexpr std::array<std::string_view, 5> kReloaded = {"buffer.eviction_policy", "buffer.write_strategy",
                                                       "storage.compression", "tls.cert", "tls.key"};
constexpr int kProtectedData = 70;  // exit code: stopped itself to protect data

std::size_t cores() { return std::max(1u, std::thread::hardware_concurrency()); }

std::vector<net::Address> addresses(const Config& config, std::string_view key) {
  std::vector<net::Address> out;
  for (const auto& a : config.list(key))
    out.push_back(net::parse_address(a, config.source(key) == Source::kDefault));
  return out;
}

/// The administrator's first password: from RUSTBD_ADMIN_PASSWORD(_FILE), or a random one that is printed
/// once.
void ensure_admin_password(engine::Database& database) {
  if (!database.password_verifier("postgres").empty()) return;
  std::string password;
  bool printed = false;
  if (const char* given = std::getenv("RUSTBD_ADMIN_PASSWORD"); given != nullptr) {
    password = given;
  } else if (const char* file = std::getenv("RUSTBD_ADMIN_PASSWORD_FILE"); file != nullptr) {
    std::ifstream in{file};
    if (!std::getline(in, password))
      throw error(sqlstate::kIoError, "could not read a password from \"{}\"", file);
  } else {
    password = security::random_password(*database.environment().random);
    printed = true;
  }
  // The verifier, not the password: what passes through SQL may be seen elsewhere.
  const auto verifier = security::make_scram_verifier(password, *database.environment().random);
  LocalSession session{database, {}};
  const auto answer = session.run(fmt::format("ALTER ROLE postgres PASSWORD '{}'", verifier));
  if (answer.failure) throw Error{*answer.failure};
  if (printed) fmt::print("  Password of postgres (shown once): {}\n", password);
}

enum class Phase : std::uint8_t { kRecovering, kReady, kDraining };

class Running {
 public:
  Running(ServeOptions options, const Logger& logger) : options_(std::move(options)), logger_(logger) {}
  int run();

 private:
  void check_addresses();
  void start_network();
  void start_http();
  void open_database();
  void start_clients();
  void greet();
  void stop();
  bool reload();
  net::http::Response answer(std::string_view path);
  [[nodiscard]] LogLine log_line() const {
    return [this](LogLevel level, std::string_view line) { logger_.write(level, line); };
  }
  [[nodiscard]] double uptime() const {
    return static_cast<double>(clock_->monotonic_us() - started_us_) * 1e-6;
  }

  ServeOptions options_;
  const Logger& logger_;
  std::unique_ptr<io::Clock> clock_ = io::make_system_clock();
  std::unique_ptr<io::Random> random_ = io::make_system_random();
  std::int64_t started_us_ = clock_->monotonic_us();
  std::atomic<Phase> phase_{Phase::kRecovering};
  std::mutex reload_mutex_;  // protects options_.config from the start of signals_ on
  metrics::Registry metrics_;
  std::vector<net::Address> listen_, http_listen_;
  std::string bound_, http_bound_;
  // In order of dependence: the last one goes first.
  std::unique_ptr<io::Executor> executor_;
  DataDirectory directory_;
  std::unique_ptr<io::Disk> archive_;  // wal.archive_to; null: none
  std::unique_ptr<net::Network> network_;
  std::unique_ptr<Signals> signals_;
  std::unique_ptr<net::http::HttpServer> http_;
  std::unique_ptr<engine::Database> database_;
  std::unique_ptr<auth::Authenticator> authenticator_;
  std::unique_ptr<net::pgwire::PgServer> pgwire_;
};

void Running::check_addresses() {
  listen_ = addresses(options_.config, "server.listen");
  http_listen_ = addresses(options_.config, "server.http");
  if (listen_.empty()) throw error(sqlstate::kInvalidParameterValue, "server.listen names no address");
  for (const auto& a : http_listen_)
    if (net::is_local(a))
      throw error(sqlstate::kInvalidParameterValue, "server.http takes no Unix-domain socket, as {} is",
                  net::to_text(a));
  if (!options_.insecure) return;
  for (const auto& a : listen_)
    if (!net::is_loopback(a))
      throw error(sqlstate::kInvalidParameterValue,
                  "--insecure asks for no password and may listen on loopback only, not on {}",
                  net::to_text(a))
          .with_hint("Leave out --insecure, or listen on 127.0.0.1.");
}

void Running::start_network() {
  const auto wanted = options_.config.count("server.network_threads");
  const auto threads = wanted != 0 ? wanted : std::min(cores(), kNetworkThreadsByDefault);
  const auto limit = raise_descriptor_limit();
  const auto room = room_for_clients(limit, threads);
  const auto connections = options_.config.count("server.max_connections");
  if (room < connections)
    logger_.warning(
        fmt::format("the limit of open files ({}) leaves room for {} connections, "
                    "server.max_connections is {}: raise ulimit -n or LimitNOFILE=",
                    limit, room, connections));
  network_ = std::make_unique<net::Network>(*executor_, threads);
  network_->set_room(room);
  network_->log_line = [this](std::string_view line) { logger_.warning(line); };
  network_->set_tls({options_.config.text("tls.cert"), options_.config.text("tls.key")});
  signals_ = std::make_unique<Signals>(*executor_, [this] { reload(); });
}

/// SIGHUP, pg_reload_conf(): what can change while the server runs changes, all of it or nothing. False: the
/// configuration is wrong.
bool Running::reload() {
  const std::lock_guard lock(reload_mutex_);
  try {
    const Config fresh = options_.read_config ? options_.read_config() : options_.config;
    const BufferChoices buffer = buffer_choices(fresh);
    network_->set_tls({fresh.text("tls.cert"), fresh.text("tls.key")});
    const bool open = phase_.load(std::memory_order_acquire) == Phase::kReady;
    if (open)
      database_->transactions().set_buffer_behaviour(buffer.policy, buffer.strategy, buffer.compression);
    for (const auto& [key, value] : fresh.all()) {
      if (value.text == options_.config.text(key)) continue;
      const bool now = std::find(kReloaded.begin(), kReloaded.end(), key) != kReloaded.end() &&
                       (open || key.starts_with("tls."));
      if (now) options_.config.replace(key, value);
      logger_.info(fmt::format("reload: {} = \"{}\" {}", key, value.text,
                               now ? "from now on" : "waits for a restart"));
    }
    logger_.info("reloaded certificates and configuration");
    return true;
  } catch (const Error& e) {
    logger_.error(fmt::format("reload failed, nothing has changed: {}", e.message));
    return false;
  }
}

net::http::Response Running::answer(std::string_view path) {
  const auto phase = phase_.load(std::memory_order_acquire);
  if (path == "/healthz")
    return {200, "application/json", fmt::format(R"({{"status":"ok","uptime_s":{:.3f}}})", uptime()) + "\n"};
  if (path == "/readyz") {
    if (phase == Phase::kReady && !database_->transactions().read_only())
      return {200, "application/json", "{\"status\":\"ready\"}\n"};
    const auto why =
        phase == Phase::kRecovering ? "recovering" : (phase == Phase::kDraining ? "draining" : "read_only");
    return {503, "application/json", fmt::format("{{\"status\":\"{}\"}}\n", why)};
  }
  if (path == "/metrics") return {200, "text/plain; version=0.0.4; charset=utf-8", metrics_.expose()};
  return {404, "application/json", "{\"error\":{\"code\":\"42704\",\"message\":\"no such path\"}}\n"};
}

void Running::start_http() {
  net::http::HttpOptions o;
  o.handle = [this](std::string_view path) { return answer(path); };
  for (const auto& a : http_listen_)
    if (!a.host.empty()) o.host_names.push_back(a.host);
  http_ = std::make_unique<net::http::HttpServer>(*network_, std::move(o));
  for (const auto& a : http_listen_) {
    const auto at = http_->listen(a);
    if (!at.empty()) http_bound_ += (http_bound_.empty() ? "" : ", ") + at;
  }
}

void Running::open_database() {
  directory_ = open_data_directory(options_.data, true);
  const io::Environment environment{directory_.disk.get(), clock_.get(), random_.get(), executor_.get()};
  auto o = database_options(options_.config);
  archive_ = open_archive(options_.config, options_.data, o.storage);
  o.storage.metrics = &metrics_;
  o.reload = [this] { return reload(); };
  o.storage.log_line = log_line();
  o.storage.on_fatal = [this](std::string_view line) {
    logger_.error(line);
    std::_Exit(kProtectedData);
  };
  database_ = engine::Database::open(environment, o);
  logger_.info(
      fmt::format("opened data={} new={} io={} buffer_bytes={} query_memory_bytes={} recovery_seconds={:.3f}",
                  options_.data, directory_.is_new, directory_.disk->name(), o.storage.buffer_bytes,
                  o.query_memory_bytes, database_->transactions().statistics().recovery_seconds));
  for (const auto& repair : rebuild_indexes_set_aside(*database_)) {
    if (repair.done) logger_.info(repair.text);
    else logger_.error(repair.text);
  }
}

void Running::start_clients() {
  authenticator_ = std::make_unique<auth::Authenticator>(*database_, options_.insecure);
  net::pgwire::PgServerOptions o;
  o.connection_timeout =
      std::chrono::milliseconds{options_.config.microseconds("server.connection_timeout") / 1000};
  o.message_max = options_.config.bytes("server.max_message_size");
  o.log_line = log_line();
  pgwire_ = std::make_unique<net::pgwire::PgServer>(*database_, *authenticator_, *network_, std::move(o));
  for (const auto& a : listen_) {
    const auto at = pgwire_->listen(a);
    if (!at.empty()) bound_ += (bound_.empty() ? "" : ", ") + at;
  }
  if (bound_.empty()) throw error(sqlstate::kIoError, "no address of server.listen exists on this machine");
}

void Running::greet() {
  const auto first = net::parse_address(bound_.substr(0, bound_.find(',')));
  const auto host = first.host == "0.0.0.0" ? std::string{"127.0.0.1"}
                                            : (first.host == "::" ? std::string{"::1"} : first.host);
  fmt::print("RustBD {} serves {}\n", RUSTBD_VERSION, options_.data);
  fmt::print("  PostgreSQL protocol: {}\n", bound_);
  if (!http_bound_.empty())
    fmt::print("  Health and metrics:  http://{}\n", http_bound_.substr(0, http_bound_.find(',')));
  if (options_.insecure)
    fmt::print("  No password and no TLS (--insecure, loopback only). Secured: rustbd serve --data {}\n",
               options_.data);
  else ensure_admin_password(*database_);
  fmt::print("  Connect with: psql -h {} -p {} -U postgres\n", host, first.port);
  std::fflush(stdout);
}

void Running::stop() {
  logger_.info("stopping");
  phase_.store(Phase::kDraining, std::memory_order_release);
  if (pgwire_) {
    network_->stop_listening();
    pgwire_->stop(std::chrono::milliseconds{options_.config.microseconds("server.shutdown_timeout") / 1000},
                  signals_->hurry());
  }
  if (http_) http_->stop();
  signals_.reset();
  if (network_) network_->stop();
  pgwire_.reset();
  http_.reset();
  authenticator_.reset();
  if (database_) database_->close();
  database_.reset();
  executor_->stop();
}

int Running::run() {
  block_signals();
  check_addresses();
  const auto workers = options_.config.count("exec.threads");
  executor_ = io::make_thread_executor(workers != 0 ? workers : std::min(cores(), kExecThreadsMax));
  try {
    start_network();
    start_http();
    open_database();
    start_clients();
    greet();
  } catch (...) {
    stop();
    throw;
  }
  phase_.store(Phase::kReady, std::memory_order_release);
  logger_.info(fmt::format("ready listen=\"{}\" http=\"{}\" insecure={} tls={}", bound_, http_bound_,
                           options_.insecure, network_->has_tls()));
  executor_->block_on(signals_->stop());
  stop();
  logger_.info("stopped");
  return 0;
}

}  // namespace

int serve(ServeOptions options) {
  const Logger logger{options.config.text("log.level"), options.config.text("log.format") == "json"};
  try {
    return Running{std::move(options), logger}.run();
  } catch (const Error& e) {
    std::string hint = e.hint;
    if (hint.empty() && e.state == sqlstate::kDataCorrupted)
      hint =
          "\"rustbd check --deep\" lists what is damaged. Restore the directory from a backup or a replica.";
    logger.error(fmt::format("could not start: {}{}", e.message, hint.empty() ? "" : " (" + hint + ")"));
  } catch (const std::exception& e) {
    logger.error(fmt::format("could not start: {}", e.what()));
  }
  return 1;
}

}  // namespace rustbd::server
