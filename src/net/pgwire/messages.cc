#include "rustbd/net/pgwire/messages.h"

#include "rustbd/types/io.h"

namespace rustbd::net::pgwire {

namespace {
[[noreturn]] void too_short() {
  throw error(sqlstate::kProtocolViolation, "insufficient data left in message");
}

std::int16_t wire_length(const types::TypeRef& type) {
  const auto* info = types::find_type(type.oid);
  return info == nullptr ? std::int16_t{4} : info->length;  // enums have 4
}
}  // namespace

std::uint8_t MessageReader::byte() { return static_cast<std::uint8_t>(bytes(1)[0]); }
std::uint16_t MessageReader::u16() {
  std::uint16_t v;
  std::memcpy(&v, bytes(2).data(), 2);
  return __builtin_bswap16(v);
}
std::uint32_t MessageReader::u32() {
  std::uint32_t v;
  std::memcpy(&v, bytes(4).data(), 4);
  return __builtin_bswap32(v);
}
std::string_view MessageReader::text() {
  const auto zero = rest_.find('\0');
  if (zero == std::string_view::npos) throw error(sqlstate::kProtocolViolation, "invalid string in message");
  const auto s = rest_.substr(0, zero);
  rest_.remove_prefix(zero + 1);
  return s;
}
std::string_view MessageReader::bytes(std::size_t n) {
  if (rest_.size() < n) too_short();
  const auto s = rest_.substr(0, n);
  rest_.remove_prefix(n);
  return s;
}
void MessageReader::end() const {
  if (!rest_.empty()) throw error(sqlstate::kProtocolViolation, "invalid message format");
}

std::size_t begin_message(OutputBuffer& out, char type) {
  out.byte(type);
  const auto place = out.size();
  out.u32(0);
  return place;
}
void end_message(OutputBuffer& out, std::size_t place) {
  out.put_u32(place, static_cast<std::uint32_t>(out.size() - place));
}
void put_empty(OutputBuffer& out, char type) { end_message(out, begin_message(out, type)); }

void put_authentication(OutputBuffer& out, std::uint32_t code, std::string_view data) {
  const auto m = begin_message(out, 'R');
  out.u32(code);
  out.append(data);
  end_message(out, m);
}
void put_parameter_status(OutputBuffer& out, std::string_view name, std::string_view value) {
  const auto m = begin_message(out, 'S');
  out.text(name);
  out.text(value);
  end_message(out, m);
}
void put_backend_key(OutputBuffer& out, std::int32_t pid, std::uint32_t key) {
  const auto m = begin_message(out, 'K');
  out.u32(static_cast<std::uint32_t>(pid));
  out.u32(key);
  end_message(out, m);
}
void put_ready(OutputBuffer& out, char status) {
  const auto m = begin_message(out, 'Z');
  out.byte(status);
  end_message(out, m);
}
void put_complete(OutputBuffer& out, std::string_view tag) {
  const auto m = begin_message(out, 'C');
  out.text(tag);
  end_message(out, m);
}

void put_row_description(OutputBuffer& out, std::span<const engine::ResultColumn> columns,
                         std::span<const std::uint16_t> formats) {
  const auto m = begin_message(out, 'T');
  out.u16(static_cast<std::uint16_t>(columns.size()));
  for (std::size_t i = 0; i < columns.size(); ++i) {
    const auto& c = columns[i];
    out.text(c.name);
    out.u32(c.relation);
    out.u16(static_cast<std::uint16_t>(c.attribute));
    // What is still unknown goes out as text, as PostgreSQL does.
    const auto type = c.type.oid == types::oid::kUnknown ? types::make_type(types::oid::kText) : c.type;
    out.u32(type.oid);
    out.u16(static_cast<std::uint16_t>(wire_length(type)));
    out.u32(static_cast<std::uint32_t>(type.typmod));
    out.u16(formats.empty() ? std::uint16_t{0} : (formats.size() == 1 ? formats[0] : formats[i]));
  }
  end_message(out, m);
}
void put_parameter_description(OutputBuffer& out, std::span<const types::TypeRef> parameters) {
  const auto m = begin_message(out, 't');
  out.u16(static_cast<std::uint16_t>(parameters.size()));
  for (const auto& p : parameters) out.u32(p.oid);
  end_message(out, m);
}
void put_copy_response(OutputBuffer& out, char type, engine::CopyFormat format, std::size_t columns) {
  const std::uint16_t code = format == engine::CopyFormat::kBinary ? 1 : 0;
  const auto m = begin_message(out, type);
  out.byte(static_cast<char>(code));
  out.u16(static_cast<std::uint16_t>(columns));
  for (std::size_t i = 0; i < columns; ++i) out.u16(code);
  end_message(out, m);
}

std::string_view severity_text(Severity severity) {
  switch (severity) {
    case Severity::kDebug: return "DEBUG";
    case Severity::kLog: return "LOG";
    case Severity::kInfo: return "INFO";
    case Severity::kNotice: return "NOTICE";
    case Severity::kWarning: return "WARNING";
    case Severity::kError: return "ERROR";
    case Severity::kFatal: return "FATAL";
    case Severity::kPanic: return "PANIC";
  }
  RUSTBD_UNREACHABLE();
}

void put_error(OutputBuffer& out, char type, Severity severity, const Error& error,
               std::string_view statement) {
  const auto m = begin_message(out, type);
  const auto field = [&](char name, std::string_view value) {
    out.byte(name);
    out.text(value);
  };
  const auto optional_field = [&](char name, std::string_view value) {
    if (!value.empty()) field(name, value);
  };
  field('S', severity_text(severity));
  field('V', severity_text(severity));
  field('C', error.state.text());
  field('M', error.message);
  optional_field('D', error.detail);
  optional_field('H', error.hint);
  if (error.position >= 0 && static_cast<std::size_t>(error.position) <= statement.size() &&
      !statement.empty()) {
    const auto characters = types::utf8_length(statement.substr(0, static_cast<std::size_t>(error.position)));
    field('P', std::to_string(characters + 1));
  }
  optional_field('W', error.where);
  optional_field('s', error.schema_name);
  optional_field('t', error.table_name);
  optional_field('c', error.column_name);
  optional_field('d', error.type_name);
  optional_field('n', error.constraint_name);
  out.byte('\0');
  end_message(out, m);
}

}  // namespace rustbd::net::pgwire
