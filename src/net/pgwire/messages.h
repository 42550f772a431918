// The messages of PostgreSQL's protocol 3.0 as bytes (PostgreSQL 15 manual, chapter 55.7): reading and
// writing.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "rustbd/base/error.h"
#include "rustbd/engine/result_sink.h"
#include "rustbd/net/output_buffer.h"

namespace rustbd::net::pgwire {

inline constexpr std::uint32_t kProtocol3 = 3 << 16;
inline constexpr std::uint32_t kCancelCode = (1234u << 16) | 5678u, kSslCode = (1234u << 16) | 5679u,
                               kGssCode = (1234u << 16) | 5680u;

/// Reads the body of one message. Throws 08P01 with PostgreSQL's text when it ends too early.
class MessageReader {
 public:
  explicit MessageReader(std::string_view body) : rest_(body) {}
  [[nodiscard]] bool at_end() const { return rest_.empty(); }
  std::uint8_t byte();
  std::uint16_t u16();
  std::uint32_t u32();
  /// Up to the zero byte.
  std::string_view text();
  std::string_view bytes(std::size_t n);
  std::string_view take_rest() { return std::exchange(rest_, {}); }
  /// 08P01 "invalid message format" unless all was read.
  void end() const;

 private:
  std::string_view rest_;
};

/// Begins a message; end_message() fills in its length. Gives the place of the length word.
std::size_t begin_message(OutputBuffer& out, char type);
void end_message(OutputBuffer& out, std::size_t place);
/// A message without a body.
void put_empty(OutputBuffer& out, char type);
void put_authentication(OutputBuffer& out, std::uint32_t code, std::string_view data = {});
void put_parameter_status(OutputBuffer& out, std::string_view name, std::string_view value);
void put_backend_key(OutputBuffer& out, std::int32_t pid, std::uint32_t key);
void put_ready(OutputBuffer& out, char status);
void put_complete(OutputBuffer& out, std::string_view tag);
/// `formats`: none (all text), one for all, or one each.
void put_row_description(OutputBuffer& out, std::span<const engine::ResultColumn> columns,
                         std::span<const std::uint16_t> formats);
void put_parameter_description(OutputBuffer& out, std::span<const types::TypeRef> parameters);
void put_copy_response(OutputBuffer& out, char type, engine::CopyFormat format, std::size_t columns);
/// ErrorResponse or NoticeResponse. `statement`: the text that error.position counts in; without it no
/// position is sent.
void put_error(OutputBuffer& out, char type, Severity severity, const Error& error,
               std::string_view statement);
std::string_view severity_text(Severity severity);

}  // namespace rustbd::net::pgwire
