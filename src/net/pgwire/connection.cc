#include "rustbd/net/pgwire/connection.h"

namespace rustbd::net::pgwire {

namespace {
constexpr std::string_view kFrontendTypes = "QPBDECHSXFdcfp";
constexpr std::chrono::milliseconds kRefusalTimeout{1000};  // to say something and be refused

bool is_extended(char type) {
  return type == 'P' || type == 'B' || type == 'D' || type == 'E' || type == 'C' || type == 'H';
}

/// In a handler of everything: what is told the client. What ends the connection (Fatal) goes on.
Error current_failure() {
  try {
    throw;
  } catch (Error& e) {
    return std::move(e);
  } catch (const std::bad_alloc&) {
    return Error{sqlstate::kOutOfMemory, "out of memory"};
  } catch (const std::exception& e) {
    return Error{sqlstate::kInternalError, fmt::format("internal error: {}", e.what())};
  }
}
}  // namespace

Connection::Connection(PgServer& server, std::unique_ptr<Transport> transport, bool crowded)
    : server_(server),
      channel_(std::make_shared<Channel>(std::move(transport))),
      sink_(*channel_, server.options().message_max),
      crowded_(crowded) {}
Connection::~Connection() { RUSTBD_ASSERT(session_ == nullptr); }

void Connection::start() {
  server_.enter(shared_from_this());
  auto& lane = channel_->transport().lane();
  const auto limit = server_.options().connection_timeout;
  server_.database()
      .environment()
      .executor->after(crowded_ ? std::min(limit, kRefusalTimeout) : limit)
      .then(lane, [weak = weak_from_this()] {
        const auto self = weak.lock();
        if (!self || self->session_ != nullptr) return;
        self->startup_late_ = true;
        self->channel_->wake();
      });
  detach(run(), [self = shared_from_this()] {
    self->hand_over_statistics();
    self->server_.leave(*self);
  });
}

void Connection::request_stop(bool now) {
  channel_->transport().lane().post([self = shared_from_this(), now] {
    self->stop_wanted_ = true;
    self->stop_now_ = self->stop_now_ || now;
    if (now && self->busy_ && self->session_ != nullptr)
      self->session_->cancel(functions::CancelReason::kAdmin);
    self->channel_->wake();
  });
}

void Connection::hand_over_statistics() {
  server_.bytes_in.inc(channel_->bytes_received() - std::exchange(bytes_in_, channel_->bytes_received()));
  server_.bytes_out.inc(channel_->bytes_sent() - std::exchange(bytes_out_, channel_->bytes_sent()));
}

Task<> Connection::run() {
  std::optional<Error> fatal;
  try {
    if (co_await start_up()) co_await serve();
  } catch (Fatal& f) {
    fatal = std::move(f.error);
  } catch (Error& e) {
    fatal = std::move(e);
  } catch (const std::bad_alloc&) {
    fatal = Error{sqlstate::kOutOfMemory, "out of memory"};
  }
  if (fatal) {
    put_error(channel_->out(), 'E', Severity::kFatal, *fatal, {});
    sink_.flush();
    failure_for_log_ = fmt::format("{} {}", fatal->state.text(), fatal->message);
  } else if (startup_late_ && session_ == nullptr) {
    failure_for_log_ = "08006 no start-up within the connection timeout";
  }
  if (session_ != nullptr) {
    if (ending_) sink_.flush();
    co_await session_->close();
    const auto last = channel_->flushed();
    sink_.set_session(nullptr);
    session_.reset();
    co_await last;
  } else {
    co_await channel_->flushed();
  }
  if (!failure_for_log_.empty())
    server_.log(fmt::format("connection ended peer={} user={} reason=\"{}\"", channel_->transport().peer(),
                            session_options_.user, failure_for_log_));
  channel_->close();
}

Task<> Connection::serve() {
  channel_->watch([this] {
    if (busy_ && session_ != nullptr) session_->cancel(functions::CancelReason::kUser);
  });
  send_ready();
  Message message;
  while (!ending_) {
    if (!take_message(&message) && !co_await next_message(&message)) break;
    if (message.type == 'X') co_return;
    if (skip_to_sync_ && message.type != 'S') continue;
    busy_ = true;
    bool waits = false;
    std::optional<Error> failure;
    try {
      waits = !handle_at_once(message);
    } catch (...) {
      failure = current_failure();
    }
    if (waits) co_await handle(message);
    else if (failure) co_await fail(message, std::move(*failure));
    busy_ = false;
    if (sink_.terminate_seen()) co_return;
  }
}

void Connection::throw_if_ended() {
  if (session_ != nullptr && session_->terminated())
    throw Fatal{Error{sqlstate::kAdminShutdown, "terminating connection due to administrator command"}};
  const bool idle =
      session_ == nullptr || (!before_sync_ && session_->status() == engine::TransactionStatus::kIdle);
  if (stop_wanted_ && (idle || stop_now_))
    throw Fatal{Error{sqlstate::kAdminShutdown, "terminating connection due to administrator command"}};
  if (idle_expired_ == Idle::kSession)
    throw Fatal{Error{sqlstate::kIdleSessionTimeout, "terminating connection due to idle-session timeout"}};
  if (idle_expired_ == Idle::kTransaction)
    throw Fatal{Error{sqlstate::kIdleInTransactionTimeout,
                      "terminating connection due to idle-in-transaction timeout"}};
}

void Connection::arm_idle_timer() {
  if (before_sync_) return;
  const bool idle = session_->status() == engine::TransactionStatus::kIdle;
  const auto& settings = session_->settings().frequent();
  const auto limit_ms = idle ? settings.idle_session_timeout : settings.idle_in_transaction_session_timeout;
  if (limit_ms <= 0) return;
  const auto kind = idle ? Idle::kSession : Idle::kTransaction;
  server_.database()
      .environment()
      .executor->after(std::chrono::milliseconds{limit_ms})
      .then(channel_->transport().lane(), [weak = weak_from_this(), number = wait_number_, kind] {
        const auto self = weak.lock();
        if (!self || self->wait_number_ != number) return;
        self->idle_expired_ = kind;
        self->channel_->wake();
      });
}

bool Connection::take_message(Message* message) {
  throw_if_ended();
  const char type = channel_->peek_type();
  if (type != '\0' && kFrontendTypes.find(type) == std::string_view::npos)
    throw Fatal{error(sqlstate::kProtocolViolation, "invalid frontend message type {}",
                      static_cast<int>(static_cast<unsigned char>(type)))};
  if (!channel_->next(message, server_.options().message_max)) return false;
  ++wait_number_;
  return true;
}
Task<bool> Connection::next_message(Message* message) {
  for (bool armed = false; !take_message(message);) {
    if (channel_->closed()) co_return false;
    sink_.flush();
    if (channel_->buffered() == 0) channel_->trim();
    if (!std::exchange(armed, true)) arm_idle_timer();
    co_await channel_->more();
  }
  co_return true;
}
bool Connection::handle_at_once(const Message& message) {
  MessageReader reader{message.body};
  before_sync_ = before_sync_ || is_extended(message.type);
  switch (message.type) {
    case 'B': handle_bind(reader); return true;
    case 'D': handle_describe(reader); return true;
    case 'C': handle_close(reader); return true;
    case 'S': return sync_at_once();
    case 'H': sink_.flush(); return true;
    case 'd':
    case 'c':
    case 'f': return true;  // of a COPY that has failed already: the client could not know
    case 'Q':
    case 'P':
    case 'E': return false;
    case 'F': throw not_supported("the function call protocol");
    default:
      throw Fatal{error(sqlstate::kProtocolViolation, "invalid frontend message type {}",
                        static_cast<int>(message.type))};
  }
}
Task<> Connection::handle(const Message& message) {
  std::optional<Error> failure;
  try {
    MessageReader reader{message.body};
    switch (message.type) {
      case 'Q': co_await handle_query(reader); break;
      case 'P': co_await handle_parse(reader); break;
      case 'E': co_await handle_execute(reader); break;
      case 'S': co_await handle_sync(); break;
      default: RUSTBD_UNREACHABLE("the others are handled at once");
    }
  } catch (...) {
    failure = current_failure();
  }
  if (failure) co_await fail(message, std::move(*failure));
}
// Our own failure, or one of what the session does at once: the same effect as a failed statement.
Task<> Connection::fail(const Message& message, Error failure) {
  const bool ready = !is_extended(message.type);
  const auto statement = message.type == 'Q' ? std::string_view{text_} : std::string_view{};
  co_await session_->fail_transaction();
  report(std::move(failure), statement);
  if (ready) send_ready();
  else skip_to_sync_ = true;
}

Task<> Connection::handle_query(MessageReader reader) {
  text_ = reader.text();  // a copy: COPY reads further messages while the statement runs
  reader.end();
  types::check_utf8(text_);
  sink_.begin(true, {}, text_);
  portal_formats_.erase("");
  auto failure = co_await session_->simple_query(text_, sink_);
  if (failure) report(std::move(*failure), text_);
  send_ready();
}

void Connection::report(Error failure, std::string_view statement) {
  const bool fatal = session_->terminated() || (stop_now_ && failure.state == sqlstate::kAdminShutdown);
  server_.note_failure(failure);
  put_error(channel_->out(), 'E', fatal ? Severity::kFatal : Severity::kError, failure, statement);
  if (fatal) {
    ending_ = true;
    sink_.flush();
  }
}

void Connection::send_ready() {
  if (ending_) return;
  skip_to_sync_ = before_sync_ = false;
  put_ready(channel_->out(), static_cast<char>(session_->status()));
  sink_.flush();
  hand_over_statistics();
}

}  // namespace rustbd::net::pgwire
