#include "rustbd/sql/lexer_strings.h"

#include <algorithm>

namespace rustbd::sql {
namespace {

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

/// Length of the valid sequence at `p`, or 0 (RFC 3629: no overlong forms, no surrogates).
std::size_t sequence_length(std::string_view text, std::size_t p) {
  const auto byte = [&](std::size_t i) {
    return p + i < text.size() ? static_cast<unsigned char>(text[p + i]) : 0u;
  };
  const auto tail = [&](std::size_t i) { return (byte(i) & 0xc0u) == 0x80u; };
  const unsigned c = byte(0);
  if (c < 0x80) return c == 0 ? 0 : 1;
  if (c >= 0xc2 && c <= 0xdf) return tail(1) ? 2 : 0;
  if (c >= 0xe0 && c <= 0xef) {
    if (!tail(1) || !tail(2) || (c == 0xe0 && byte(1) < 0xa0) || (c == 0xed && byte(1) > 0x9f)) return 0;
    return 3;
  }
  if (c >= 0xf0 && c <= 0xf4) {
    if (!tail(1) || !tail(2) || !tail(3) || (c == 0xf0 && byte(1) < 0x90) || (c == 0xf4 && byte(1) > 0x8f))
      return 0;
    return 4;
  }
  return 0;
}

void append_utf8(std::string& out, std::uint32_t c) {
  if (c < 0x80) {
    out += static_cast<char>(c);
  } else if (c < 0x800) {
    out += static_cast<char>(0xc0 | (c >> 6));
    out += static_cast<char>(0x80 | (c & 0x3f));
  } else if (c < 0x10000) {
    out += static_cast<char>(0xe0 | (c >> 12));
    out += static_cast<char>(0x80 | ((c >> 6) & 0x3f));
    out += static_cast<char>(0x80 | (c & 0x3f));
  } else {
    out += static_cast<char>(0xf0 | (c >> 18));
    out += static_cast<char>(0x80 | ((c >> 12) & 0x3f));
    out += static_cast<char>(0x80 | ((c >> 6) & 0x3f));
    out += static_cast<char>(0x80 | (c & 0x3f));
  }
}

bool is_high(std::uint32_t c) { return c >= 0xd800 && c <= 0xdbff; }
bool is_low(std::uint32_t c) { return c >= 0xdc00 && c <= 0xdfff; }
std::uint32_t join(std::uint32_t high, std::uint32_t low) {
  return 0x10000 + ((high & 0x3ff) << 10) + (low & 0x3ff);
}

std::size_t sequence_length_wanted(unsigned char c) {
  if (c >= 0xf0 && c <= 0xf7) return 4;
  if (c >= 0xe0) return c <= 0xef ? 3 : 1;
  return c >= 0xc0 ? 2 : 1;
}

}  // namespace

void check_utf8(std::string_view text) {
  for (std::size_t p = 0; p < text.size();) {
    if (static_cast<signed char>(text[p]) > 0) {
      ++p;
      continue;
    }
    const std::size_t length = sequence_length(text, p);
    if (length == 0) {
      std::string bytes;
      const std::size_t wanted = sequence_length_wanted(static_cast<unsigned char>(text[p]));
      for (std::size_t i = 0; i < wanted && p + i < text.size(); ++i) {
        bytes += fmt::format("{}0x{:02x}", i == 0 ? "" : " ", static_cast<unsigned char>(text[p + i]));
      }
      throw error(sqlstate::kCharacterNotInRepertoire, "invalid byte sequence for encoding \"UTF8\": {}",
                  bytes);
    }
    p += length;
  }
}

Error lexical_error(std::string_view text, std::size_t start, std::size_t end, std::string_view what) {
  const auto position = static_cast<std::int32_t>(start);
  if (start >= text.size()) return error(sqlstate::kSyntaxError, "{} at end of input", what).at(position);
  return error(sqlstate::kSyntaxError, "{} at or near \"{}\"", what, text.substr(start, end - start))
      .at(position);
}

std::string_view undouble(std::string_view raw, char quote, Arena& arena) {
  char* out = static_cast<char*>(arena.allocate(raw.size(), 1));
  std::size_t n = 0;
  for (std::size_t i = 0; i < raw.size(); ++i) {
    out[n++] = raw[i];
    if (raw[i] == quote) ++i;
  }
  return {out, n};
}

std::string_view decode_unicode(std::string_view raw, char escape, Arena& arena, std::string_view text,
                                std::size_t offset) {
  if (raw.find(escape) == std::string_view::npos) return arena.copy(raw);
  std::string out;
  std::uint32_t high = 0;
  const auto fail = [&](std::size_t i, std::string_view what) {
    return lexical_error(text, std::min(offset + i, text.size()), text.size(), what);
  };
  for (std::size_t i = 0; i < raw.size();) {
    if (raw[i] != escape || (i + 1 < raw.size() && raw[i + 1] == escape)) {
      if (high != 0) throw fail(i, "invalid Unicode surrogate pair");
      i += raw[i] == escape ? 2 : 1;
      out += raw[i - 1];
      continue;
    }
    const bool six = i + 1 < raw.size() && raw[i + 1] == '+';
    const std::size_t first = i + (six ? 2 : 1);
    std::uint32_t c = 0;
    for (std::size_t k = 0; k < (six ? 6u : 4u); ++k) {
      const int digit = first + k < raw.size() ? hex_digit(raw[first + k]) : -1;
      if (digit < 0) {
        throw error(sqlstate::kSyntaxError, "invalid Unicode escape")
            .at(static_cast<std::int32_t>(offset + i))
            .with_hint("Unicode escapes must be \\XXXX or \\+XXXXXX.");
      }
      c = c * 16 + static_cast<std::uint32_t>(digit);
    }
    if (c == 0 || c > 0x10ffff)
      throw error(sqlstate::kSyntaxError, "invalid Unicode escape value")
          .at(static_cast<std::int32_t>(offset + i));
    if (is_low(c) != (high != 0)) throw fail(i, "invalid Unicode surrogate pair");
    if (is_high(c)) {
      high = c;
    } else {
      append_utf8(out, high != 0 ? join(high, c) : c);
      high = 0;
    }
    i = first + (six ? 6 : 4);
  }
  if (high != 0) throw fail(raw.size(), "invalid Unicode surrogate pair");
  return arena.copy(out);
}

std::size_t EscapeDecoder::decode(std::size_t at) {
  for (;;) {
    if (at >= text_.size()) throw lexical_error(text_, start_, at, "unterminated quoted string");
    const char c = text_[at];
    const bool quote = c == '\'';
    if (quote && (at + 1 >= text_.size() || text_[at + 1] != '\'')) {
      if (high_surrogate_ != 0) throw lexical_error(text_, at, at + 1, "invalid Unicode surrogate pair");
      return at + 1;
    }
    if (c == '\\') {
      at = escape(at);
      continue;
    }
    if (high_surrogate_ != 0) throw lexical_error(text_, at, at + 1, "invalid Unicode surrogate pair");
    out_ += c;
    at += quote ? 2 : 1;
  }
}

std::size_t EscapeDecoder::escape(std::size_t at) {
  if (at + 1 >= text_.size()) throw lexical_error(text_, start_, text_.size(), "unterminated quoted string");
  const char c = text_[at + 1];
  if (c == 'u' || c == 'U') return unicode(at);
  if (high_surrogate_ != 0) throw lexical_error(text_, at, at + 2, "invalid Unicode surrogate pair");
  if (c >= '0' && c <= '7') {
    unsigned value = 0;
    std::size_t p = at + 1;
    for (; p < text_.size() && p < at + 4 && text_[p] >= '0' && text_[p] <= '7'; ++p) {
      value = value * 8 + static_cast<unsigned>(text_[p] - '0');
    }
    out_ += static_cast<char>(value & 0xff);
    made_bytes_ = true;
    return p;
  }
  if (c == 'x' && at + 2 < text_.size() && hex_digit(text_[at + 2]) >= 0) {
    int value = 0;
    std::size_t p = at + 2;
    for (; p < text_.size() && p < at + 4 && hex_digit(text_[p]) >= 0; ++p)
      value = value * 16 + hex_digit(text_[p]);
    out_ += static_cast<char>(value);
    made_bytes_ = true;
    return p;
  }
  constexpr std::string_view kNames = "bfnrtv";
  constexpr std::string_view kValues = "\b\f\n\r\t\v";
  const std::size_t name = kNames.find(c);
  out_ += name == std::string_view::npos ? c : kValues[name];
  return at + 2;
}

std::size_t EscapeDecoder::unicode(std::size_t at) {
  const std::size_t count = text_[at + 1] == 'u' ? 4 : 8;
  std::uint32_t c = 0;
  for (std::size_t k = 0; k < count; ++k) {
    const std::size_t p = at + 2 + k;
    const int digit = p < text_.size() ? hex_digit(text_[p]) : -1;
    if (digit < 0) {
      throw error(sqlstate::kInvalidEscapeSequence, "invalid Unicode escape")
          .at(static_cast<std::int32_t>(at))
          .with_hint("Unicode escapes must be \\uXXXX or \\UXXXXXXXX.");
    }
    c = c * 16 + static_cast<std::uint32_t>(digit);
  }
  const std::size_t end = at + 2 + count;
  if (is_low(c) != (high_surrogate_ != 0))
    throw lexical_error(text_, at, end, "invalid Unicode surrogate pair");
  if (is_high(c)) {
    high_surrogate_ = c;
    return end;
  }
  if (c == 0 || c > 0x10ffff) throw lexical_error(text_, at, end, "invalid Unicode escape value");
  append_utf8(out_, high_surrogate_ != 0 ? join(high_surrogate_, c) : c);
  high_surrogate_ = 0;
  return end;
}

std::string_view EscapeDecoder::finish() {
  if (made_bytes_) check_utf8(out_);
  return out_;
}

}  // namespace rustbd::sql
