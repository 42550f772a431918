// The extended query protocol (PostgreSQL 15 manual, chapter 55.2.3).
#include "rustbd/net/pgwire/connection.h"

namespace rustbd::net::pgwire {

Connection::Formats Connection::read_formats(MessageReader& reader) {
  Formats formats(reader.u16());
  for (auto& f : formats) {
    f = reader.u16();
    if (f > 1)
      throw error(sqlstate::kInvalidParameterValue, "unsupported format code: {}",
                  static_cast<std::int16_t>(f));
  }
  return formats;
}

void Connection::finish_extended(engine::Outcome failure, std::string_view statement) {
  if (!failure) return;
  report(std::move(*failure), statement);
  skip_to_sync_ = true;
}

Task<> Connection::handle_parse(MessageReader reader) {
  std::string name{reader.text()};
  std::string text{reader.text()};
  std::vector<Oid> types(reader.u16());
  for (auto& t : types) t = reader.u32();
  reader.end();
  types::check_utf8(name);
  types::check_utf8(text);
  const std::string for_errors = text;
  sink_.begin(false, {}, for_errors);
  auto failure = co_await session_->parse(std::move(name), std::move(text), std::move(types), sink_);
  if (!failure) put_empty(channel_->out(), '1');
  finish_extended(std::move(failure), for_errors);
}

void Connection::handle_bind(MessageReader reader) {
  std::string portal{reader.text()}, statement{reader.text()};
  const auto formats = read_formats(reader);
  const std::size_t count = reader.u16();
  if (formats.size() > 1 && formats.size() != count)
    throw error(sqlstate::kProtocolViolation, "bind message has {} parameter formats but {} parameters",
                formats.size(), count);
  SmallVector<engine::ParameterInput, 8> values(count);
  for (std::size_t i = 0; i < count; ++i) {
    auto& v = values[i];
    v.binary = !formats.empty() && (formats.size() == 1 ? formats[0] : formats[i]) == 1;
    const auto length = reader.u32();
    v.is_null = length == 0xFFFFFFFF;
    if (!v.is_null) v.bytes = reader.bytes(length);
    if (!v.is_null && !v.binary) types::check_utf8(v.bytes);
  }
  auto result_formats = read_formats(reader);
  reader.end();
  sink_.begin(false, {}, {});
  session_->bind(portal, statement, values, sink_);
  if (result_formats.size() > 1) {
    const auto columns = session_->statement_of_portal(portal).columns.size();
    if (columns != result_formats.size()) {
      session_->close_portal(portal);
      throw error(sqlstate::kProtocolViolation, "bind message has {} result formats but query has {} columns",
                  result_formats.size(), columns);
    }
  }
  portal_formats_.insert_or_assign(std::move(portal), std::move(result_formats));
  put_empty(channel_->out(), '2');
}

void Connection::handle_describe(MessageReader reader) {
  const char kind = static_cast<char>(reader.byte());
  const std::string name{reader.text()};
  reader.end();
  const engine::PreparedStatement* statement = nullptr;
  std::span<const std::uint16_t> formats;
  if (kind == 'S') {
    statement = &session_->prepared_statement(name);
    put_parameter_description(channel_->out(), statement->parameters);
  } else if (kind == 'P') {
    statement = &session_->statement_of_portal(name);
    if (const auto it = portal_formats_.find(name); it != portal_formats_.end()) formats = it->second;
  } else {
    throw error(sqlstate::kProtocolViolation, "invalid DESCRIBE message subtype {}", static_cast<int>(kind));
  }
  if (statement->columns.empty()) put_empty(channel_->out(), 'n');
  else put_row_description(channel_->out(), statement->columns, formats);
}

Task<> Connection::handle_execute(MessageReader reader) {
  std::string portal{reader.text()};
  const auto rows = static_cast<std::int32_t>(reader.u32());
  reader.end();
  const auto it = portal_formats_.find(portal);
  // A copy: an error may end the portal while its rows are written.
  const auto formats = it == portal_formats_.end() ? Formats{} : it->second;
  sink_.begin(false, formats, {});
  auto failure =
      co_await session_->execute(std::move(portal), rows > 0 ? static_cast<std::uint64_t>(rows) : 0, sink_);
  sink_.begin(false, {}, {});
  finish_extended(std::move(failure), {});
}

void Connection::handle_close(MessageReader reader) {
  const char kind = static_cast<char>(reader.byte());
  const std::string name{reader.text()};
  reader.end();
  if (kind == 'S') {
    session_->close_statement(name);
  } else if (kind == 'P') {
    session_->close_portal(name);
    portal_formats_.erase(name);
  } else {
    throw error(sqlstate::kProtocolViolation, "invalid CLOSE message subtype {}", static_cast<int>(kind));
  }
  put_empty(channel_->out(), '3');
}

bool Connection::sync_at_once() {
  sink_.begin(false, {}, {});
  if (!session_->sync_at_once(sink_)) return false;
  after_sync({});
  return true;
}
Task<> Connection::handle_sync() { after_sync(co_await session_->sync(sink_)); }
void Connection::after_sync(engine::Outcome failure) {
  if (failure) report(std::move(*failure), {});
  if (session_->status() == engine::TransactionStatus::kIdle) portal_formats_.clear();
  send_ready();
}

}  // namespace rustbd::net::pgwire
