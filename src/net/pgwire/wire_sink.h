// ResultSink that writes PostgreSQL's protocol.
#pragma once

#include "rustbd/engine/session.h"
#include "rustbd/net/pgwire/channel.h"
#include "rustbd/net/pgwire/messages.h"
#include "rustbd/net/pgwire/row_encoder.h"

namespace rustbd::net::pgwire {

class WireSink final : public engine::ResultSink {
 public:
  WireSink(Channel& channel, std::size_t message_max) : channel_(channel), message_max_(message_max) {}
  void set_session(engine::Session* session) { session_ = session; }
  /// Before each message that may give results. `describe`: send RowDescription when a result begins (simple
  /// protocol). `formats` and `statement` (what positions of notices count in) live until the next call.
  void begin(bool describe, std::span<const std::uint16_t> formats, std::string_view statement);
  /// Everything so far may go once what it shows is durable (I8).
  void flush() { channel_.flush(session_ != nullptr ? session_->results_durable() : io::WaitToken{}); }

  void columns(std::span<const engine::ResultColumn> columns) override;
  io::WaitToken rows(const types::Chunk& chunk, std::span<const engine::ResultColumn> columns,
                     types::IoContext& io) override;
  void complete(std::string_view tag) override;
  void empty_query() override;
  void suspended() override;
  void notice(const Notice& notice) override;
  void parameter_changed(std::string_view name, std::string_view value) override;
  void copy_in_begin(engine::CopyFormat format, std::size_t columns) override;
  Task<std::optional<std::string>> copy_in_data() override;
  void copy_out_begin(engine::CopyFormat format, std::size_t columns) override;
  io::WaitToken copy_out_data(std::string_view bytes) override;
  void copy_out_end() override;
  /// True if Terminate came in the middle of a COPY: the connection ends.
  [[nodiscard]] bool terminate_seen() const { return terminate_seen_; }

 private:
  /// Takes what one message of a COPY says. True: `data` has grown.
  bool take_copy_message(const Message& message, std::string* data);
  /// Bytes of the first row of what COPY TO gives.
  [[nodiscard]] std::size_t row_length(std::string_view bytes) const;
  Channel& channel_;
  const std::size_t message_max_;
  engine::CopyFormat copy_format_ = engine::CopyFormat::kText;
  engine::Session* session_ = nullptr;
  bool describe_ = true, copy_done_ = false, terminate_seen_ = false;
  std::span<const std::uint16_t> formats_;
  std::string_view statement_;
  RowEncoder encoder_;
};

}  // namespace rustbd::net::pgwire
