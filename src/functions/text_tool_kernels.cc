// Encodings, digests, quoting, format(), and text to and from arrays.
#include <openssl/evp.h>

#include <algorithm>
#include <charconv>

#include "rustbd/base/error.h"
#include "rustbd/functions/kernel_table.h"
#include "rustbd/functions/text_tools.h"
#include "rustbd/types/array.h"

namespace rustbd::functions {

namespace {

namespace oid = types::oid;
using Args = const Datum*;

constexpr char kHex[] = "0123456789abcdef";
std::string hex_of(std::string_view bytes) {
  std::string out;
  for (const char c : bytes) {
    out += kHex[static_cast<unsigned char>(c) >> 4];
    out += kHex[static_cast<unsigned char>(c) & 15];
  }
  return out;
}

std::string digest(const EVP_MD* algorithm, std::string_view bytes) {
  unsigned char value[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  if (EVP_Digest(bytes.data(), bytes.size(), value, &size, algorithm, nullptr) != 1)
    throw error(sqlstate::kInternalError, "could not compute hash");
  return {reinterpret_cast<const char*>(value), size};
}
void md5(EvalContext& c, Args a, const bool*, Datum& out, bool*) {
  out = text_result(c, hex_of(digest(EVP_md5(), text_of(a[0]))));
}
template <const EVP_MD* (*Algorithm)()>
void sha(EvalContext& c, Args a, const bool*, Datum& out, bool*) {
  out = text_result(c, digest(Algorithm(), text_of(a[0])));
}

constexpr char kBase64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
std::string encode_base64(std::string_view in) {
  std::string out;
  std::size_t line = 0;
  for (std::size_t i = 0; i < in.size(); i += 3) {
    std::uint32_t v = 0;
    for (std::size_t k = 0; k < 3; ++k)
      v = (v << 8) | (i + k < in.size() ? static_cast<unsigned char>(in[i + k]) : 0u);
    if (line >= 76) {
      out += '\n';
      line = 0;
    }
    out += kBase64[v >> 18];
    out += kBase64[(v >> 12) & 63];
    out += i + 1 < in.size() ? kBase64[(v >> 6) & 63] : '=';
    out += i + 2 < in.size() ? kBase64[v & 63] : '=';
    line += 4;
  }
  if (line >= 76) out += '\n';
  return out;
}
std::string decode_base64(std::string_view in) {
  std::string out;
  std::uint32_t v = 0;
  int have = 0, padding = 0;
  for (const char c : in) {
    if (c == ' ' || c == '\t' || c == '\n' || c == '\r') continue;
    std::uint32_t digit = 0;
    if (c == '=') {
      if (padding == 0 && have != 2 && have != 3)
        throw error(sqlstate::kInvalidParameterValue, "unexpected \"=\" while decoding base64 sequence");
      ++padding;
    } else {
      const char* at = static_cast<const char*>(std::memchr(kBase64, c, 64));
      if (at == nullptr || padding != 0)
        throw error(sqlstate::kInvalidParameterValue,
                    "invalid symbol \"{}\" found while decoding base64 sequence", c);
      digit = static_cast<std::uint32_t>(at - kBase64);
    }
    v = (v << 6) | digit;
    if (++have < 4) continue;
    out += static_cast<char>(v >> 16);
    if (padding < 2) out += static_cast<char>(v >> 8);
    if (padding < 1) out += static_cast<char>(v);
    v = 0;
    have = 0;
  }
  if (have != 0)
    throw error(sqlstate::kInvalidParameterValue, "invalid base64 end sequence")
        .with_hint("Input data is missing padding, is truncated, or is otherwise corrupted.");
  return out;
}
std::string decode_hex(std::string_view in) {
  std::string out;
  int high = -1;
  for (const char c : in) {
    if (high < 0 && (c == ' ' || c == '\n' || c == '\t' || c == '\r')) continue;
    int v = -1;
    if (c >= '0' && c <= '9') v = c - '0';
    if (c >= 'a' && c <= 'f') v = c - 'a' + 10;
    if (c >= 'A' && c <= 'F') v = c - 'A' + 10;
    if (v < 0) throw error(sqlstate::kInvalidParameterValue, "invalid hexadecimal digit: \"{}\"", c);
    if (high < 0) {
      high = v;
      continue;
    }
    out += static_cast<char>(high << 4 | v);
    high = -1;
  }
  if (high >= 0)
    throw error(sqlstate::kInvalidParameterValue, "invalid hexadecimal data: odd number of digits");
  return out;
}
std::string encode_escape(std::string_view in) {
  std::string out;
  for (const char c : in) {
    const auto u = static_cast<unsigned char>(c);
    if (c == '\0' || u >= 0x80) {
      out += fmt::format("\\{:03o}", u);
    } else {
      if (c == '\\') out += c;
      out += c;
    }
  }
  return out;
}
std::string decode_escape(std::string_view in) {
  std::string out;
  for (std::size_t i = 0; i < in.size(); ++i) {
    if (in[i] != '\\') {
      out += in[i];
      continue;
    }
    const auto octal = [&](std::size_t k) {
      return i + k < in.size() && in[i + k] >= '0' && in[i + k] <= '7';
    };
    if (i + 1 < in.size() && in[i + 1] == '\\') {
      out += '\\';
      ++i;
    } else if (octal(1) && in[i + 1] <= '3' && octal(2) && octal(3)) {
      out += static_cast<char>((in[i + 1] - '0') << 6 | (in[i + 2] - '0') << 3 | (in[i + 3] - '0'));
      i += 3;
    } else {
      throw error(sqlstate::kInvalidTextRepresentation, "invalid input syntax for type {}", "bytea");
    }
  }
  return out;
}
[[noreturn]] void unknown_encoding(std::string_view name) {
  throw error(sqlstate::kInvalidParameterValue, "unrecognized encoding: \"{}\"", name);
}
void encode(EvalContext& c, Args a, const bool*, Datum& out, bool*) {
  const std::string format = to_lower(text_of(a[1]));
  if (format == "hex") out = text_result(c, hex_of(text_of(a[0])));
  else if (format == "base64") out = text_result(c, encode_base64(text_of(a[0])));
  else if (format == "escape") out = text_result(c, encode_escape(text_of(a[0])));
  else unknown_encoding(text_of(a[1]));
}
void decode(EvalContext& c, Args a, const bool*, Datum& out, bool*) {
  const std::string format = to_lower(text_of(a[1]));
  if (format == "hex") out = text_result(c, decode_hex(text_of(a[0])));
  else if (format == "base64") out = text_result(c, decode_base64(text_of(a[0])));
  else if (format == "escape") out = text_result(c, decode_escape(text_of(a[0])));
  else unknown_encoding(text_of(a[1]));
}
void to_hex32(EvalContext& c, Args a, const bool*, Datum& out, bool*) {
  out = text_result(c, fmt::format("{:x}", a[0].u32));
}
void to_hex64(EvalContext& c, Args a, const bool*, Datum& out, bool*) {
  out = text_result(c, fmt::format("{:x}", a[0].u64));
}

// ---- bytes and bits
// ---------------------------------------------------------------------------------------------
[[noreturn]] void index_out_of_range(std::int64_t n, std::int64_t max) {
  throw error(sqlstate::kArraySubscriptError, "index {} out of valid range, 0..{}", n, max);
}
void get_byte(EvalContext&, Args a, const bool*, Datum& out, bool*) {
  const auto bytes = text_of(a[0]);
  if (a[1].i32 < 0 || a[1].i32 >= static_cast<std::int64_t>(bytes.size()))
    index_out_of_range(a[1].i32, static_cast<std::int64_t>(bytes.size()) - 1);
  out = Datum::of(
      static_cast<std::int32_t>(static_cast<unsigned char>(bytes[static_cast<std::size_t>(a[1].i32)])));
}
void set_byte(EvalContext& c, Args a, const bool*, Datum& out, bool*) {
  std::string bytes{text_of(a[0])};
  if (a[1].i32 < 0 || a[1].i32 >= static_cast<std::int64_t>(bytes.size()))
    index_out_of_range(a[1].i32, static_cast<std::int64_t>(bytes.size()) - 1);
  bytes[static_cast<std::size_t>(a[1].i32)] = static_cast<char>(a[2].i32);
  out = text_result(c, bytes);
}
void get_bit(EvalContext&, Args a, const bool*, Datum& out, bool*) {
  const auto bytes = text_of(a[0]);
  const std::int64_t n = a[1].i64, bits = static_cast<std::int64_t>(bytes.size()) * 8;
  if (n < 0 || n >= bits) index_out_of_range(n, bits - 1);
  out = Datum::of(
      std::int32_t{(static_cast<unsigned char>(bytes[static_cast<std::size_t>(n / 8)]) >> (n % 8)) & 1});
}
void set_bit(EvalContext& c, Args a, const bool*, Datum& out, bool*) {
  std::string bytes{text_of(a[0])};
  const std::int64_t n = a[1].i64, bits = static_cast<std::int64_t>(bytes.size()) * 8;
  if (n < 0 || n >= bits) index_out_of_range(n, bits - 1);
  if (a[2].i32 != 0 && a[2].i32 != 1) throw error(sqlstate::kInvalidParameterValue, "new bit must be 0 or 1");
  char& byte = bytes[static_cast<std::size_t>(n / 8)];
  byte = static_cast<char>(a[2].i32 == 1 ? byte | (1 << (n % 8)) : byte & ~(1 << (n % 8)));
  out = text_result(c, bytes);
}
void bit_count(EvalContext&, Args a, const bool*, Datum& out, bool*) {
  std::int64_t n = 0;
  for (const char b : text_of(a[0])) n += std::popcount(static_cast<unsigned char>(b));
  out = Datum::of(n);
}
bool is_utf8_name(std::string_view name) {
  const std::string lower = to_lower(name);
  return lower == "utf8" || lower == "utf-8" || lower == "unicode";
}
/// Only UTF-8: the server's one encoding.
void convert_from(EvalContext& c, Args a, const bool*, Datum& out, bool*) {
  if (!is_utf8_name(text_of(a[1]))) throw not_supported("encoding \"{}\"", text_of(a[1]));
  const std::string_view text = text_of(a[0]);
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t n = char_bytes(text[at]);
    bool good = !is_continuation(text[at]) && at + n <= text.size() && text[at] != 0;
    for (std::size_t k = 1; good && k < n; ++k) good = is_continuation(text[at + k]);
    if (!good)
      throw error(sqlstate::kCharacterNotInRepertoire,
                  "invalid byte sequence for encoding \"UTF8\": 0x{:02x}",
                  static_cast<unsigned char>(text[at]));
    at += n;
  }
  out = text_result(c, text);
}
void convert_to(EvalContext&, Args a, const bool*, Datum& out, bool*) {
  if (!is_utf8_name(text_of(a[1]))) throw not_supported("encoding \"{}\"", text_of(a[1]));
  out = a[0];
}

// ---- quoting and format()
// ---------------------------------------------------------------------------------------
void quote_ident_of(EvalContext& c, Args a, const bool*, Datum& out, bool*) {
  out = text_result(c, quote_identifier(text_of(a[0])));
}
void quote_literal_of(EvalContext& c, Args a, const bool*, Datum& out, bool*) {
  std::string text;
  append_output(c, a[0], c.argument_types[0], text);
  out = text_result(c, quote_literal(text));
}
void quote_nullable_of(EvalContext& c, Args a, const bool* nulls, Datum& out, bool* is_null) {
  if (nulls[0]) {
    out = text_part("NULL");
    return;
  }
  quote_literal_of(c, a, nulls, out, is_null);
}

[[noreturn]] void bad_format(std::string_view what) {
  throw error(sqlstate::kInvalidParameterValue, "{}", what);
}

class Formatter {
 public:
  Formatter(EvalContext& c, Args a, const bool* nulls) : c_(c), a_(a), nulls_(nulls) {}
  std::string run() {
    const std::string_view text = text_of(a_[0]);
    for (std::size_t at = 0; at < text.size();) {
      if (text[at] != '%') {
        out_ += text[at++];
        continue;
      }
      if (++at >= text.size()) unterminated();
      if (text[at] == '%') {
        out_ += '%';
        ++at;
        continue;
      }
      at = directive(text, at);
    }
    return std::move(out_);
  }

 private:
  [[noreturn]] static void unterminated() {
    throw error(sqlstate::kInvalidParameterValue, "unterminated format() type specifier")
        .with_hint("For a single \"%\" use \"%%\".");
  }
  static bool number(std::string_view text, std::size_t& at, std::int64_t* value) {
    const auto [next, status] = std::from_chars(text.data() + at, text.data() + text.size(), *value);
    if (status == std::errc::invalid_argument || *value < 0) return false;
    if (status != std::errc{} || *value > INT32_MAX) bad_format("number is out of range");
    at = static_cast<std::size_t>(next - text.data());
    if (at >= text.size()) unterminated();
    return true;
  }
  std::size_t take(std::int64_t explicit_position) {
    const std::size_t index = explicit_position > 0 ? static_cast<std::size_t>(explicit_position) : next_;
    if (index >= c_.argument_types.size()) bad_format("too few arguments for format()");
    next_ = index + 1;
    return index;
  }
  std::int64_t width_argument(std::int64_t position) {
    const std::size_t index = take(position);
    if (nulls_[index]) return 0;
    std::string text;
    append_output(c_, a_[index], c_.argument_types[index], text);
    std::int64_t width = 0;
    std::from_chars(text.data(), text.data() + text.size(), width);
    return width;
  }
  std::size_t directive(std::string_view text, std::size_t at) {
    std::int64_t position = 0, value = 0, width = 0;
    bool left = false;
    if (number(text, at, &value)) {
      if (text[at] == '$') {
        if (value == 0) bad_format("format specifies argument 0, but arguments are numbered from 1");
        position = value;
        if (++at >= text.size()) unterminated();
      } else {
        width = value;
        return convert(text, at, position, width, left);
      }
    }
    while (text[at] == '-') {
      left = true;
      if (++at >= text.size()) unterminated();
    }
    if (text[at] == '*') {
      if (++at >= text.size()) unterminated();
      std::int64_t width_position = 0;
      if (number(text, at, &value)) {
        if (value == 0) bad_format("format specifies argument 0, but arguments are numbered from 1");
        if (text[at] != '$') bad_format("width argument position must be ended by \"$\"");
        width_position = value;
        if (++at >= text.size()) unterminated();
      }
      width = width_argument(width_position);
    } else if (number(text, at, &value)) {
      width = value;
    }
    return convert(text, at, position, width, left);
  }
  std::size_t convert(std::string_view text, std::size_t at, std::int64_t position, std::int64_t width,
                      bool left) {
    const char type = text[at];
    if (type != 's' && type != 'I' && type != 'L')
      throw error(sqlstate::kInvalidParameterValue, "unrecognized format() type specifier \"{}\"",
                  text.substr(at, char_bytes(type)))
          .with_hint("For a single \"%\" use \"%%\".");
    const std::size_t index = take(position);
    std::string value;
    if (nulls_[index]) {
      if (type == 'I')
        throw error(sqlstate::kNullValueNotAllowed, "null values cannot be formatted as an SQL identifier");
      if (type == 'L') value = "NULL";
    } else {
      append_output(c_, a_[index], c_.argument_types[index], value);
      if (type == 'I') value = quote_identifier(value);
      if (type == 'L') value = quote_literal(value);
    }
    if (width < 0) {
      left = true;
      width = -width;
    }
    const std::int64_t missing = std::max<std::int64_t>(width - count_chars(value), 0);
    if (left) out_ += value;
    out_.append(static_cast<std::size_t>(missing), ' ');
    if (!left) out_ += value;
    return at + 1;
  }
  EvalContext& c_;
  Args a_;
  const bool* nulls_;
  std::size_t next_ = 1;
  std::string out_;
};
void format(EvalContext& c, Args a, const bool* nulls, Datum& out, bool* is_null) {
  if (nulls[0]) {
    *is_null = true;
    return;
  }
  out = text_result(c, Formatter{c, a, nulls}.run());
}

// ---- text and arrays
// --------------------------------------------------------------------------------------------
void split_to_array(EvalContext& c, Args a, const bool* nulls, std::size_t count, Datum& out, bool* is_null) {
  if (nulls[0]) {
    *is_null = true;
    return;
  }
  const std::string_view text = text_of(a[0]);
  const bool has_null = count > 2 && !nulls[2];
  types::ArrayBuilder builder{oid::kText};
  const auto add = [&](std::string_view field) {
    builder.add(text_part(field), has_null && field == text_of(a[2]));
  };
  if (text.empty()) {
    // No fields at all.
  } else if (nulls[1]) {
    for (std::size_t at = 0; at < text.size(); at += char_bytes(text[at]))
      add(text.substr(at, char_bytes(text[at])));
  } else if (a[1].str.len == 0) {
    add(text);
  } else {
    const std::string_view delimiter = text_of(a[1]);
    std::size_t at = 0;
    for (std::size_t hit; (hit = text.find(delimiter, at)) != std::string_view::npos;
         at = hit + delimiter.size())
      add(text.substr(at, hit - at));
    add(text.substr(at));
  }
  out = Datum::of(builder.finish(*c.arena));
}
void string_to_array(EvalContext& c, Args a, const bool* nulls, Datum& out, bool* is_null) {
  split_to_array(c, a, nulls, 2, out, is_null);
}
void string_to_array_null(EvalContext& c, Args a, const bool* nulls, Datum& out, bool* is_null) {
  split_to_array(c, a, nulls, 3, out, is_null);
}
void join_array(EvalContext& c, Args a, const std::string_view* null_text, Datum& out) {
  const types::ArrayView view{a[0].str};
  const TypeRef element = types::make_type(view.element_type());
  std::string result;
  bool first = true;
  for (types::ArrayView::Cursor cursor{view, *c.arena}; cursor.next();) {
    if (cursor.is_null() && null_text == nullptr) continue;
    if (!first) result += text_of(a[1]);
    first = false;
    if (cursor.is_null()) result += *null_text;
    else append_output(c, cursor.value(), element, result);
  }
  out = text_result(c, result);
}
void array_to_string(EvalContext& c, Args a, const bool*, Datum& out, bool*) {
  join_array(c, a, nullptr, out);
}
void array_to_string_null(EvalContext& c, Args a, const bool* nulls, Datum& out, bool* is_null) {
  if (nulls[0] || nulls[1]) {
    *is_null = true;
    return;
  }
  const std::string_view null_text = nulls[2] ? std::string_view{} : text_of(a[2]);
  join_array(c, a, nulls[2] ? nullptr : &null_text, out);
}
void parse_ident(EvalContext& c, Args a, const bool*, Datum& out, bool*) {
  const std::string_view text = text_of(a[0]);
  const auto fail = [&](const char* detail) {
    Error e = error(sqlstate::kInvalidParameterValue, "string is not a valid identifier: \"{}\"", text);
    return detail == nullptr ? e : std::move(e).with_detail(detail);
  };
  types::ArrayBuilder builder{oid::kText};
  std::size_t at = 0;
  const auto blanks = [&] {
    while (at < text.size() && text[at] == ' ') ++at;
  };
  const auto word = [](char ch) {
    return (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || ch == '_' || (ch & 0x80) != 0;
  };
  for (;;) {
    blanks();
    std::string part;
    if (at < text.size() && text[at] == '"') {
      for (++at;; ++at) {
        if (at >= text.size()) throw fail("String has unclosed double quotes.");
        if (text[at] == '"') {
          if (at + 1 < text.size() && text[at + 1] == '"') ++at;
          else break;
        }
        part += text[at];
      }
      ++at;
      if (part.empty()) throw fail("Quoted identifier must not be empty.");
    } else if (at < text.size() && word(text[at])) {
      const std::size_t start = at;
      while (at < text.size() && (word(text[at]) || (text[at] >= '0' && text[at] <= '9') || text[at] == '$'))
        ++at;
      part = to_lower(text.substr(start, at - start));
    } else if (at < text.size() && text[at] == '.') {
      throw fail("No valid identifier before \".\".");
    } else {
      throw fail(builder.size() != 0 ? "No valid identifier after \".\"." : nullptr);
    }
    builder.add(Datum::of(types::Str::copy(part, *c.arena)));
    blanks();
    if (at < text.size() && text[at] == '.') {
      ++at;
      continue;
    }
    if (at < text.size() && a[1].boolean) throw fail(nullptr);
    break;
  }
  out = Datum::of(builder.finish(*c.arena));
}

}  // namespace

void register_text_tool_kernels(KernelTable& t) {
  t.scalar("md5_text", &md5);
  t.scalar("md5_bytea", &md5);
  t.scalar("sha224_bytea", &sha<EVP_sha224>);
  t.scalar("sha256_bytea", &sha<EVP_sha256>);
  t.scalar("sha384_bytea", &sha<EVP_sha384>);
  t.scalar("sha512_bytea", &sha<EVP_sha512>);
  t.scalar("binary_encode", &encode);
  t.scalar("binary_decode", &decode);
  t.scalar("to_hex32", &to_hex32, false);
  t.scalar("to_hex64", &to_hex64, false);
  t.scalar("byteaGetByte", &get_byte);
  t.scalar("byteaSetByte", &set_byte);
  t.scalar("byteaGetBit", &get_bit);
  t.scalar("byteaSetBit", &set_bit);
  t.scalar("bytea_bit_count", &bit_count, false);
  t.scalar("pg_convert_from", &convert_from);
  t.scalar("pg_convert_to", &convert_to);
  t.scalar("quote_ident", &quote_ident_of, false);
  t.scalar("quote_literal", &quote_literal_of);
  t.scalar("quote_literal_1285", &quote_literal_of);
  t.scalar("quote_nullable", &quote_nullable_of);
  t.scalar("quote_nullable_1290", &quote_nullable_of);
  t.scalar("text_format", &format);
  t.scalar("text_format_nv", &format);
  t.scalar("text_to_array", &string_to_array);
  t.scalar("text_to_array_null", &string_to_array_null);
  t.scalar("array_to_text", &array_to_string);
  t.scalar("array_to_text_null", &array_to_string_null);
  t.scalar("parse_ident", &parse_ident);
}

}  // namespace rustbd::functions
