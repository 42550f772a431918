#include "rustbd/net/pgwire/row_encoder.h"

#include <charconv>

namespace rustbd::net::pgwire {

namespace {
template <class T>
T integer_of(const types::Datum& d) {
  if constexpr (std::is_same_v<T, std::int16_t>) return d.i16;
  else if constexpr (std::is_same_v<T, std::int32_t>) return d.i32;
  else if constexpr (std::is_same_v<T, std::int64_t>) return d.i64;
  else return d.u32;
}
void put_sized(OutputBuffer& out, std::string_view value) {
  auto* to = out.reserve(4 + value.size());
  const auto length = __builtin_bswap32(static_cast<std::uint32_t>(value.size()));
  std::memcpy(to, &length, 4);
  std::memcpy(to + 4, value.data(), value.size());
  out.advance(4 + value.size());
}
}  // namespace

template <class T>
void RowEncoder::write_integer_text(const types::Datum& value, const types::TypeRef&, Scratch&,
                                    OutputBuffer& out) {
  constexpr std::size_t kRoom = 24;
  auto* to = out.reserve(4 + kRoom);
  const auto end = std::to_chars(to + 4, to + 4 + kRoom, integer_of<T>(value)).ptr;
  const auto length = __builtin_bswap32(static_cast<std::uint32_t>(end - to - 4));
  std::memcpy(to, &length, 4);
  out.advance(static_cast<std::size_t>(end - to));
}
template <class T>
void RowEncoder::write_integer_binary(const types::Datum& value, const types::TypeRef&, Scratch&,
                                      OutputBuffer& out) {
  auto v = std::byteswap(static_cast<std::make_unsigned_t<T>>(integer_of<T>(value)));
  auto* to = out.reserve(4 + sizeof v);
  const auto length = __builtin_bswap32(static_cast<std::uint32_t>(sizeof v));
  std::memcpy(to, &length, 4);
  std::memcpy(to + 4, &v, sizeof v);
  out.advance(4 + sizeof v);
}
void RowEncoder::write_bool_text(const types::Datum& value, const types::TypeRef&, Scratch&,
                                 OutputBuffer& out) {
  put_sized(out, value.boolean ? "t" : "f");
}
void RowEncoder::write_raw(const types::Datum& value, const types::TypeRef&, Scratch&, OutputBuffer& out) {
  put_sized(out, value.str.view());
}
void RowEncoder::write_any_text(const types::Datum& value, const types::TypeRef& type, Scratch& scratch,
                                OutputBuffer& out) {
  scratch.text.clear();
  types::output_text(value, type, scratch.io, scratch.text);
  put_sized(out, scratch.text);
}
void RowEncoder::write_any_binary(const types::Datum& value, const types::TypeRef& type, Scratch& scratch,
                                  OutputBuffer& out) {
  scratch.text.clear();
  types::output_binary(value, type, scratch.io, scratch.text);
  put_sized(out, scratch.text);
}

RowEncoder::Writer RowEncoder::choose(const types::TypeRef& type, bool binary) {
  namespace oid = types::oid;
  switch (type.oid) {
    case oid::kInt2: return binary ? &write_integer_binary<std::int16_t> : &write_integer_text<std::int16_t>;
    case oid::kInt4: return binary ? &write_integer_binary<std::int32_t> : &write_integer_text<std::int32_t>;
    case oid::kInt8: return binary ? &write_integer_binary<std::int64_t> : &write_integer_text<std::int64_t>;
    case oid::kOid: return binary ? &write_integer_binary<std::uint32_t> : &write_integer_text<std::uint32_t>;
    case oid::kBool:
      if (!binary) return &write_bool_text;
      break;
    case oid::kText:
    case oid::kVarchar:
    case oid::kName:
    case oid::kUnknown: return &write_raw;
    case oid::kBytea:
      if (binary) return &write_raw;
      break;
    default: break;
  }
  return binary ? &write_any_binary : &write_any_text;
}

void RowEncoder::prepare(std::span<const engine::ResultColumn> columns,
                         std::span<const std::uint16_t> formats) {
  writers_.clear();
  for (std::size_t i = 0; i < columns.size(); ++i) {
    const bool binary = !formats.empty() && (formats.size() == 1 ? formats[0] : formats[i]) == 1;
    if (binary && !types::has_binary_form(columns[i].type.oid))
      throw error(sqlstate::kUndefinedFunction, "no binary output function available for type {}",
                  types::format_type(columns[i].type.oid));
    writers_.push_back(choose(columns[i].type, binary));
  }
  ready_ = true;
}

void RowEncoder::encode(const types::Chunk& chunk, std::span<const engine::ResultColumn> columns,
                        types::IoContext& io, OutputBuffer& out) {
  const auto before = out.size();
  const auto count = static_cast<std::uint32_t>(columns.size());
  RUSTBD_ASSERT(count == writers_.size() && count <= chunk.column_count);
  Scratch scratch{io, {}};
  try {
    for (std::uint32_t i = 0; i < chunk.count(); ++i) {
      const auto row = chunk.selection[i];
      const auto start = out.size();
      out.reserve(7);
      out.byte('D');
      out.u32(0);
      out.u16(static_cast<std::uint16_t>(count));
      for (std::uint32_t c = 0; c < count; ++c) {
        const auto& v = chunk[c];
        if (!v.is_valid(row)) out.u32(0xFFFFFFFF);
        else writers_[c](v.datum(row), columns[c].type, scratch, out);
      }
      out.put_u32(start + 1, static_cast<std::uint32_t>(out.size() - start - 1));
    }
  } catch (...) {
    out.truncate(before);
    throw;
  }
}

}  // namespace rustbd::net::pgwire
