#include "rustbd/net/pgwire/wire_sink.h"

namespace rustbd::net::pgwire {

namespace {
constexpr std::size_t kCopyBatch = 256
                                   << 10;  // small CopyData messages are handed on together up to this size
}

void WireSink::begin(bool describe, std::span<const std::uint16_t> formats, std::string_view statement) {
  describe_ = describe;
  formats_ = formats;
  statement_ = statement;
  encoder_.forget();
}

void WireSink::columns(std::span<const engine::ResultColumn> columns) {
  encoder_.prepare(columns, formats_);
  if (describe_) put_row_description(channel_.out(), columns, formats_);
}

io::WaitToken WireSink::rows(const types::Chunk& chunk, std::span<const engine::ResultColumn> columns,
                             types::IoContext& io) {
  if (!encoder_.ready()) encoder_.prepare(columns, formats_);
  encoder_.encode(chunk, columns, io, channel_.out());
  if (channel_.pending() < Channel::kFlushBytes) return {};
  flush();
  return channel_.room();
}

void WireSink::complete(std::string_view tag) {
  put_complete(channel_.out(), tag);
  encoder_.forget();
}
void WireSink::empty_query() { put_empty(channel_.out(), 'I'); }
void WireSink::suspended() { put_empty(channel_.out(), 's'); }
void WireSink::notice(const Notice& notice) {
  put_error(channel_.out(), 'N', notice.severity, notice.content, statement_);
}
void WireSink::parameter_changed(std::string_view name, std::string_view value) {
  put_parameter_status(channel_.out(), name, value);
}

void WireSink::copy_in_begin(engine::CopyFormat format, std::size_t columns) {
  put_copy_response(channel_.out(), 'G', format, columns);
  copy_done_ = false;
  flush();
}

bool WireSink::take_copy_message(const Message& message, std::string* data) {
  switch (message.type) {
    case 'd': data->append(message.body); return true;
    case 'c': copy_done_ = true; return false;
    case 'f':
      copy_done_ = true;
      throw error(sqlstate::kQueryCanceled, "COPY from stdin failed: {}", MessageReader{message.body}.text());
    case 'H':
    case 'S':  // allowed, without meaning (a driver that doesn't know that it is in COPY)
      return false;
    case 'X': terminate_seen_ = true; [[fallthrough]];
    default:
      copy_done_ = true;
      throw error(sqlstate::kProtocolViolation, "unexpected message type 0x{:02X} during COPY from stdin",
                  static_cast<unsigned char>(message.type));
  }
}

Task<std::optional<std::string>> WireSink::copy_in_data() {
  if (copy_done_) co_return std::nullopt;
  std::string data;
  for (;;) {
    Message message;
    while (data.size() < kCopyBatch && !copy_done_ && channel_.next(&message, message_max_))
      take_copy_message(message, &data);
    if (!data.empty()) co_return data;
    if (copy_done_) co_return std::nullopt;
    if (channel_.closed()) {
      copy_done_ = true;
      throw error(sqlstate::kConnectionFailure,
                  "unexpected EOF on client connection with an open transaction");
    }
    if (session_ != nullptr) session_->cancel_flag()->check();
    co_await channel_.more();
    if (session_ != nullptr) session_->cancel_flag()->check();
  }
}

void WireSink::copy_out_begin(engine::CopyFormat format, std::size_t columns) {
  put_copy_response(channel_.out(), 'H', format, columns);
  copy_format_ = format;
}

// Drivers take one CopyData for one row. A newline ends a row, except inside quotes of CSV.
std::size_t WireSink::row_length(std::string_view bytes) const {
  if (copy_format_ == engine::CopyFormat::kBinary) return bytes.size();
  bool quoted = false;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (bytes[i] == '\n' && !quoted) return i + 1;
    if (bytes[i] == '"' && copy_format_ == engine::CopyFormat::kCsv) quoted = !quoted;
  }
  return bytes.size();
}

io::WaitToken WireSink::copy_out_data(std::string_view bytes) {
  auto& out = channel_.out();
  while (!bytes.empty()) {
    const auto size = row_length(bytes);
    const auto m = begin_message(out, 'd');
    out.append(bytes.substr(0, size));
    end_message(out, m);
    bytes.remove_prefix(size);
  }
  if (channel_.pending() < Channel::kFlushBytes) return {};
  flush();
  return channel_.room();
}
void WireSink::copy_out_end() { put_empty(channel_.out(), 'c'); }

}  // namespace rustbd::net::pgwire
