// One client of PostgreSQL's protocol: start-up, authentication, then a loop over its messages.
#pragma once

#include "rustbd/base/small_vector.h"
#include "rustbd/net/pgwire/pg_server.h"
#include "rustbd/net/pgwire/wire_sink.h"

namespace rustbd::net::pgwire {

/// Ends the connection after an ErrorResponse with severity FATAL.
struct Fatal {
  Error error;
};

/// Threads: the lane of its transport, except request_stop().
class Connection final : public std::enable_shared_from_this<Connection> {
 public:
  /// `crowded`: it gets no session, only the reason.
  Connection(PgServer& server, std::unique_ptr<Transport> transport, bool crowded);
  ~Connection();
  /// Runs until the client goes. Keeps itself alive.
  void start();
  /// Ends it when it is idle; `now`: cancels what runs. Any thread.
  void request_stop(bool now);

 private:
  // connection_startup.cc
  /// False: the connection is to be closed (a cancel request, the peer is gone, ...). Throws Fatal.
  Task<bool> start_up();
  Task<bool> read_startup(Message* message);
  Task<bool> answer_ssl();
  void read_parameters(MessageReader reader, std::uint32_t protocol);
  void read_options(std::string_view options);
  Task<bool> authenticate();
  Task<bool> read_password_message(Message* message);
  void open_session();

  // connection.cc
  Task<> run();
  Task<> serve();
  /// A whole message, if one has come.
  bool take_message(Message* message);
  /// Waits for one; false: the connection ends (a reason has been sent if there is one).
  Task<bool> next_message(Message* message);
  /// All that can be done without a wait, which spares a coroutine; false: handle() it.
  bool handle_at_once(const Message& message);
  Task<> handle(const Message& message);
  Task<> fail(const Message& message, Error failure);
  Task<> handle_query(MessageReader reader);
  void send_ready();
  void report(Error failure, std::string_view statement);
  /// 57P01 and the like, when the server or an administrator wants this client gone.
  void throw_if_ended();
  void arm_idle_timer();
  void hand_over_statistics();

  // connection_extended.cc
  Task<> handle_parse(MessageReader reader);
  void handle_bind(MessageReader reader);
  void handle_describe(MessageReader reader);
  Task<> handle_execute(MessageReader reader);
  void handle_close(MessageReader reader);
  bool sync_at_once();
  Task<> handle_sync();
  void after_sync(engine::Outcome failure);
  void finish_extended(engine::Outcome failure, std::string_view statement);

  PgServer& server_;
  std::shared_ptr<Channel> channel_;
  WireSink sink_;
  engine::SessionOptions session_options_;
  std::unique_ptr<engine::Session> session_;
  std::string text_;  // of the running simple query
  using Formats = SmallVector<std::uint16_t, 8>;
  std::map<std::string, Formats, std::less<>> portal_formats_;  // result formats by portal
  static Formats read_formats(MessageReader& reader);
  bool skip_to_sync_ = false, busy_ = false, ending_ = false;
  bool before_sync_ = false;  // extended messages came; their transaction ends at Sync
  const bool crowded_;
  bool stop_wanted_ = false, stop_now_ = false, startup_late_ = false;
  enum class Idle : std::uint8_t { kNo, kSession, kTransaction };
  Idle idle_expired_ = Idle::kNo;
  std::uint64_t wait_number_ = 0;               // tells timers which wait they belong to
  std::uint64_t bytes_in_ = 0, bytes_out_ = 0;  // handed to the metrics already
  std::string failure_for_log_;
};

}  // namespace rustbd::net::pgwire
