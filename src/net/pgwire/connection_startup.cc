// Start-up packet, TLS, authentication, session (PostgreSQL 15 manual, chapter 55.2.1 and 55.3).
#include "rustbd/net/pgwire/connection.h"

namespace rustbd::net::pgwire {

namespace {
constexpr std::size_t kStartupMax = 10'000;  // as PostgreSQL
constexpr std::size_t kPasswordMax = 64 << 10;
constexpr std::uint32_t kAuthOk = 0, kAuthSasl = 10, kAuthSaslContinue = 11, kAuthSaslFinal = 12;
constexpr std::string_view kMechanism = "SCRAM-SHA-256";
}  // namespace

Task<bool> Connection::read_startup(Message* message) {
  while (!channel_->next_startup(message, kStartupMax)) {
    if (crowded_ && startup_late_) throw Fatal{no_room()};
    if (channel_->closed() || startup_late_) co_return false;
    throw_if_ended();
    co_await channel_->more();
  }
  co_return true;
}

Task<bool> Connection::answer_ssl() {
  const auto& transport = channel_->transport();
  const bool yes = server_.network().has_tls() && !transport.encrypted() && !transport.is_local();
  channel_->out().byte(yes ? 'S' : 'N');
  channel_->flush({});
  if (!yes) co_return true;
  if (channel_->buffered() > 0)
    throw Fatal{error(sqlstate::kProtocolViolation, "received unencrypted data after SSL request")
                    .with_detail("This could be either a client-software bug or evidence of an attempted "
                                 "man-in-the-middle attack.")};
  co_await channel_->flushed();
  bool ok = false;
  const auto done = io::WaitToken::make(io::WaitReason::kClient);
  channel_->transport().start_tls({}, [&ok, done](bool success) {
    ok = success;
    done.fire();
  });
  co_await done;
  co_return ok;
}

Task<bool> Connection::start_up() {
  for (int requests = 0;; ++requests) {
    Message message;
    if (!co_await read_startup(&message)) co_return false;
    MessageReader reader{message.body};
    const auto code = reader.u32();
    if ((code == kSslCode || code == kGssCode) && requests < 2) {
      if (code == kSslCode) {
        if (!co_await answer_ssl()) co_return false;
      } else {
        channel_->out().byte('N');
        channel_->flush({});
      }
      continue;
    }
    if (code == kCancelCode) {
      const auto pid = static_cast<std::int32_t>(reader.u32());
      server_.cancel(pid, reader.u32());
      co_return false;
    }
    if (code >> 16 != 3)
      throw Fatal{error(sqlstate::kFeatureNotSupported,
                        "unsupported frontend protocol {}.{}: server supports 3.0 to 3.0", code >> 16,
                        code & 0xFFFF)};
    if (crowded_) throw Fatal{no_room()};
    read_parameters(reader, code);
    break;
  }
  if (!co_await authenticate()) co_return false;
  open_session();
  co_return true;
}

void Connection::read_parameters(MessageReader reader, std::uint32_t protocol) {
  std::vector<std::string> unknown;  // protocol options that we don't know
  auto& o = session_options_;
  o.user.clear();
  o.database.clear();
  while (!reader.at_end()) {
    const auto name = reader.text();
    if (name.empty()) break;
    const auto value = reader.text();
    if (name == "user") o.user = value;
    else if (name == "database") o.database = value;
    else if (name == "application_name") o.application_name = value;
    else if (name == "options") read_options(value);
    else if (name == "replication") {
      if (value != "false" && value != "off" && value != "no" && value != "0")
        throw Fatal{not_supported("replication over this connection")};
    } else if (name.starts_with("_pq_.")) unknown.emplace_back(name);
    else o.settings[std::string{name}] = value;
  }
  if (o.user.empty())
    throw Fatal{
        error(sqlstate::kInvalidAuthorization, "no PostgreSQL user name specified in startup packet")};
  if (o.database.empty()) o.database = o.user;
  o.client_address = channel_->transport().peer();
  o.protocol = "pgwire";
  if (protocol == kProtocol3 && unknown.empty()) return;
  auto& out = channel_->out();
  const auto m = begin_message(out, 'v');
  out.u32(kProtocol3);
  out.u32(static_cast<std::uint32_t>(unknown.size()));
  for (const auto& u : unknown) out.text(u);
  end_message(out, m);
}

// "-c name=value", "-cname=value", "--name=value"; a backslash takes the next character as it is.
void Connection::read_options(std::string_view options) {
  std::vector<std::string> words;
  bool inside = false;
  for (std::size_t i = 0; i < options.size(); ++i) {
    const char c = options[i];
    if (c == ' ' || c == '\t' || c == '\n') {
      inside = false;
      continue;
    }
    if (!std::exchange(inside, true)) words.emplace_back();
    words.back() += c == '\\' && i + 1 < options.size() ? options[++i] : c;
  }
  for (std::size_t i = 0; i < words.size(); ++i) {
    std::string_view word = words[i];
    if (word == "-c" && i + 1 < words.size()) word = words[++i];
    else if (word.starts_with("-c") || word.starts_with("--")) word.remove_prefix(2);
    else
      throw Fatal{
          error(sqlstate::kSyntaxError, "invalid command-line argument for server process: {}", word)};
    const auto equals = word.find('=');
    if (equals == std::string_view::npos)
      throw Fatal{error(sqlstate::kSyntaxError, "-c {} requires a value", word)};
    std::string name{word.substr(0, equals)};
    std::replace(name.begin(), name.end(), '-', '_');
    session_options_.settings[name] = word.substr(equals + 1);
  }
}

Task<bool> Connection::read_password_message(Message* message) {
  channel_->flush({});
  while (!channel_->next(message, kPasswordMax)) {
    if (channel_->closed() || startup_late_) co_return false;
    throw_if_ended();
    co_await channel_->more();
  }
  if (message->type == 'X') co_return false;
  if (message->type != 'p')
    throw Fatal{error(sqlstate::kProtocolViolation, "expected SASL response, got message type {}",
                      static_cast<int>(message->type))};
  co_return true;
}

Task<bool> Connection::authenticate() {
  auto& authenticator = server_.authenticator();
  if (authenticator.method() == auth::Method::kTrust) co_return true;
  const auto scram = authenticator.begin_scram(session_options_.user);
  auto& out = channel_->out();
  const auto m = begin_message(out, 'R');
  out.u32(kAuthSasl);
  out.text(kMechanism);
  out.byte('\0');
  end_message(out, m);

  Message message;
  if (!co_await read_password_message(&message)) co_return false;
  MessageReader reader{message.body};
  if (reader.text() != kMechanism)
    throw Fatal{
        error(sqlstate::kProtocolViolation, "client selected an invalid SASL authentication mechanism")};
  const auto length = reader.u32();
  if (length == 0xFFFFFFFF)
    throw Fatal{
        error(sqlstate::kProtocolViolation, "malformed SCRAM message").with_detail("The message is empty.")};
  put_authentication(out, kAuthSaslContinue, scram->first(reader.bytes(length)));
  reader.end();

  if (!co_await read_password_message(&message)) co_return false;
  if (!scram->final(message.body)) throw Fatal{auth::Authenticator::wrong_password(session_options_.user)};
  put_authentication(out, kAuthSaslFinal, scram->server_final());
  co_return true;
}

void Connection::open_session() {
  session_options_.on_terminate = [weak = weak_from_this(), lane = &channel_->transport().lane()] {
    lane->post([weak] {
      if (const auto self = weak.lock()) self->channel_->wake();
    });
  };
  session_ = server_.database().connect(session_options_);
  sink_.set_session(session_.get());
  auto& out = channel_->out();
  put_authentication(out, kAuthOk);
  for (const auto& d : engine::setting_definitions()) {
    if (!d.reported) continue;
    put_parameter_status(
        out, d.name,
        d.name == "session_authorization" ? session_options_.user : session_->settings().show(d.name));
  }
  put_backend_key(out, session_->pid(), static_cast<std::uint32_t>(session_->cancel_key()));
  server_.publish_key(*this, session_->pid(), session_->cancel_key());
}

}  // namespace rustbd::net::pgwire
