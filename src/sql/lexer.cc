#include "rustbd/sql/lexer.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "rustbd/sql/lexer_strings.h"

namespace rustbd::sql {
namespace {

enum CharClass : std::uint8_t {
  kSpace = 1,
  kIdentStart = 2,
  kIdentRest = 4,
  kOperatorChar = 8,
  kSelf = 16,
  kDigit = 32
};

constexpr std::array<std::uint8_t, 256> kClass = [] {
  std::array<std::uint8_t, 256> table{};
  for (const char c : std::string_view(" \t\n\r\f")) table[static_cast<unsigned char>(c)] |= kSpace;
  for (int c = 0; c < 256; ++c) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c >= 128;
    const bool digit = c >= '0' && c <= '9';
    if (letter) table[static_cast<std::size_t>(c)] |= kIdentStart | kIdentRest;
    if (digit) table[static_cast<std::size_t>(c)] |= kDigit | kIdentRest;
    if (c == '$') table[static_cast<std::size_t>(c)] |= kIdentRest;
  }
  for (const char c : std::string_view("~!@#^&|`?+-*/%<>="))
    table[static_cast<unsigned char>(c)] |= kOperatorChar;
  for (const char c : std::string_view(",()[].;:+-*/%^<>=")) table[static_cast<unsigned char>(c)] |= kSelf;
  return table;
}();

constexpr bool is(char c, std::uint8_t mask) { return (kClass[static_cast<unsigned char>(c)] & mask) != 0; }
constexpr char fold(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

class Lexer {
 public:
  Lexer(std::string_view text, Arena& arena, std::vector<Notice>* notices)
      : text_(text), arena_(arena), notices_(notices) {}

  TokenList run() {
    list_.tokens.reserve(text_.size() / 4 + 16);
    try {
      while (skip_blanks(), at_ < text_.size()) next();
      add(TokenKind::kEnd, at_, {});
    } catch (Error& error) {
      list_.tokens.push_back(
          {static_cast<std::uint32_t>(start_), 0, TokenKind::kError, Keyword::kNotKeyword, {}});
      list_.error = std::move(error);
    }
    return std::move(list_);
  }

 private:
  [[nodiscard]] char look(std::size_t ahead = 0) const {
    return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0';
  }
  void add(TokenKind kind, std::size_t start, std::string_view value,
           Keyword keyword = Keyword::kNotKeyword) {
    list_.tokens.push_back(
        {static_cast<std::uint32_t>(start), static_cast<std::uint32_t>(at_ - start), kind, keyword, value});
  }
  /// The text shown goes from the token's start to where the lexer stands.
  [[noreturn]] void fail(std::string_view what) const { throw lexical_error(text_, start_, at_, what); }

  void skip_blanks() {
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (is(c, kSpace)) {
        ++at_;
      } else if (c == '-' && look(1) == '-') {
        while (at_ < text_.size() && text_[at_] != '\n' && text_[at_] != '\r') ++at_;
      } else if (c == '/' && look(1) == '*') {
        skip_comment();
      } else {
        return;
      }
    }
  }

  void skip_comment() {
    start_ = at_;
    int depth = 0;
    while (at_ < text_.size()) {
      if (look() == '/' && look(1) == '*') {
        ++depth;
        at_ += 2;
      } else if (look() == '*' && look(1) == '/') {
        at_ += 2;
        if (--depth == 0) return;
      } else {
        ++at_;
      }
    }
    fail("unterminated /* comment");
  }

  void next() {
    start_ = at_;
    const char c = text_[at_];
    if (is(c, kIdentStart)) return word();
    if (is(c, kDigit) || (c == '.' && is(look(1), kDigit))) return number();
    if (c == '\'') return plain_string();
    if (c == '"') return quoted_identifier(false);
    if (c == '$') return dollar();
    if (is(c, kOperatorChar) || c == ':' || c == '.') return operator_or_self();
    ++at_;
    add(static_cast<TokenKind>(static_cast<unsigned char>(c) < 128 ? c : '?'), start_, {});
  }

  void word() {
    const char c = text_[at_];
    const char second = look(1);
    if (second == '\'') {
      if (c == 'e' || c == 'E') return escape_string();
      if (c == 'b' || c == 'B')
        return digits_string(TokenKind::kBitString, "unterminated bit string literal");
      if (c == 'x' || c == 'X')
        return digits_string(TokenKind::kHexString, "unterminated hexadecimal string literal");
      if (c == 'n' || c == 'N') {
        ++at_;
        return add(TokenKind::kKeyword, start_, "nchar", Keyword::kNchar);
      }
    }
    if ((c == 'u' || c == 'U') && second == '&') {
      if (look(2) == '\'') return unicode_string();
      if (look(2) == '"') return at_ += 2, quoted_identifier(true);
    }
    bool capitals = false;
    while (at_ < text_.size() && is(text_[at_], kIdentRest)) {
      capitals |= text_[at_] >= 'A' && text_[at_] <= 'Z';
      ++at_;
    }
    std::string_view name = text_.substr(start_, at_ - start_);
    if (capitals) {
      char* folded = static_cast<char*>(arena_.allocate(name.size(), 1));
      std::transform(name.begin(), name.end(), folded, fold);
      name = {folded, name.size()};
    }
    const Keyword keyword = find_keyword(name);
    if (keyword != Keyword::kNotKeyword) return add(TokenKind::kKeyword, start_, name, keyword);
    add(TokenKind::kIdentifier, start_, cut(name));
  }

  std::string_view cut(std::string_view name) {
    if (name.size() <= kIdentifierBytesMax) return name;
    std::size_t size = kIdentifierBytesMax;
    while ((static_cast<unsigned char>(name[size]) & 0xc0) == 0x80) --size;
    if (notices_ != nullptr) {
      notices_->push_back(
          {Severity::kNotice, error(sqlstate::kNameTooLong, "identifier \"{}\" will be truncated to \"{}\"",
                                    name, name.substr(0, size))
                                  .at(-1)});
    }
    return name.substr(0, size);
  }

  /// From an opening quote to behind the closing one; doubled quotes stay doubled in the result.
  std::string_view raw_until(char quote, std::string_view unterminated) {
    const std::size_t begin = ++at_;
    for (;; ++at_) {
      if (at_ >= text_.size()) fail(unterminated);
      if (text_[at_] != quote) continue;
      if (look(1) != quote) break;
      ++at_;
    }
    return text_.substr(begin, at_++ - begin);
  }

  /// Literals continue in another one behind blanks with a newline (SQL: <separator>). Stands behind a
  /// closing quote.
  bool continues() {
    std::size_t p = at_;
    bool newline = false;
    while (p < text_.size()) {
      const char c = text_[p];
      if (is(c, kSpace)) {
        newline |= c == '\n' || c == '\r';
        ++p;
      } else if (newline && c == '-' && p + 1 < text_.size() && text_[p + 1] == '-') {
        while (p < text_.size() && text_[p] != '\n' && text_[p] != '\r') ++p;
      } else {
        break;
      }
    }
    if (!newline || p >= text_.size() || text_[p] != '\'') return false;
    at_ = p;
    return true;
  }

  void plain_string() {
    std::string_view raw = raw_until('\'', "unterminated quoted string");
    std::size_t end = at_;
    bool doubled = raw.find('\'') != std::string_view::npos;
    if (!continues()) return add(TokenKind::kString, start_, doubled ? undouble(raw, '\'', arena_) : raw);
    std::string joined(raw);
    do {
      joined += raw_until('\'', "unterminated quoted string");
      end = at_;
    } while (continues());
    at_ = end;
    add(TokenKind::kString, start_, undouble(joined, '\'', arena_));
  }

  void digits_string(TokenKind kind, std::string_view unterminated) {
    ++at_;
    std::string joined;
    do {
      joined += raw_until('\'', unterminated);
    } while (continues());
    add(kind, start_, arena_.copy(joined));
  }

  void escape_string() {
    ++at_;
    EscapeDecoder decoder(text_, start_);
    do {
      at_ = decoder.decode(at_ + 1);
    } while (continues());
    add(TokenKind::kString, start_, arena_.copy(decoder.finish()));
  }

  void unicode_string() {
    at_ += 2;
    std::string joined;
    std::size_t end = 0;
    do {
      joined += raw_until('\'', "unterminated quoted string");
      end = at_;
    } while (continues());
    const char escape = unicode_escape_character(end);
    add(TokenKind::kString, start_,
        decode_unicode(undouble(joined, '\'', arena_), escape, arena_, text_, start_ + 3));
  }

  void quoted_identifier(bool unicode) {
    std::string_view raw = raw_until('"', "unterminated quoted identifier");
    if (raw.empty()) fail("zero-length delimited identifier");
    if (raw.find('"') != std::string_view::npos) raw = undouble(raw, '"', arena_);
    if (unicode) {
      raw = decode_unicode(raw, unicode_escape_character(at_), arena_, text_, start_ + 3);
    }
    add(TokenKind::kIdentifier, start_, cut(raw));
  }

  /// An optional UESCAPE 'c' behind a U& literal.
  char unicode_escape_character(std::size_t end) {
    const std::size_t literal_start = start_;
    at_ = end;
    skip_blanks();
    const std::size_t word_start = at_;
    while (at_ < text_.size() && is(text_[at_], kIdentRest)) ++at_;
    std::string word(text_.substr(word_start, at_ - word_start));
    std::transform(word.begin(), word.end(), word.begin(), fold);
    if (word != "uescape") {
      at_ = end;
      return '\\';
    }
    skip_blanks();
    start_ = at_;
    if (look() != '\'') {
      fail_at_next("UESCAPE must be followed by a simple string literal");
    }
    const std::string_view escape = raw_until('\'', "unterminated quoted string");
    const char c = escape.size() == 1 ? escape[0] : '\0';
    const bool hex = is(c, kDigit) || (fold(c) >= 'a' && fold(c) <= 'f');
    if (escape.size() != 1 || hex || c == '+' || c == '\'' || c == '"' || is(c, kSpace)) {
      fail("invalid Unicode escape character");
    }
    start_ = literal_start;
    return c;
  }
  [[noreturn]] void fail_at_next(std::string_view what) {
    if (at_ < text_.size()) ++at_;
    fail(what);
  }

  void dollar() {
    if (is(look(1), kDigit)) {
      ++at_;
      while (is(look(), kDigit)) ++at_;
      if (is(look(), kIdentStart)) ++at_, fail("trailing junk after parameter");
      return add(TokenKind::kParameter, start_, text_.substr(start_ + 1, at_ - start_ - 1));
    }
    std::size_t p = at_ + 1;
    if (p < text_.size() && is(text_[p], kIdentStart)) {
      while (p < text_.size() && is(text_[p], kIdentRest) && text_[p] != '$') ++p;
    }
    if (p >= text_.size() || text_[p] != '$') {
      ++at_;
      return add(static_cast<TokenKind>('$'), start_, {});
    }
    const std::string_view tag = text_.substr(at_, p + 1 - at_);
    const std::size_t begin = p + 1;
    const std::size_t close = text_.find(tag, begin);
    if (close == std::string_view::npos) {
      at_ = text_.size();
      fail("unterminated dollar-quoted string");
    }
    at_ = close + tag.size();
    add(TokenKind::kString, start_, text_.substr(begin, close - begin));
  }

  void operator_or_self() {
    const char c = text_[at_];
    if (c == ':' || c == '.') {
      const char d = look(1);
      at_ += 1;
      if (c == ':' && d == ':') return ++at_, add(TokenKind::kTypecast, start_, {});
      if (c == ':' && d == '=') return ++at_, add(TokenKind::kColonEquals, start_, {});
      if (c == '.' && d == '.') return ++at_, add(TokenKind::kDotDot, start_, {});
      return add(static_cast<TokenKind>(c), start_, {});
    }
    while (is(look(), kOperatorChar)) {
      if ((look() == '-' && look(1) == '-') || (look() == '/' && look(1) == '*')) break;
      ++at_;
    }
    std::string_view op = text_.substr(start_, at_ - start_);
    while (op.size() > 1 && (op.back() == '+' || op.back() == '-') &&
           op.substr(0, op.size() - 1).find_first_of("~!@#^&|`?%") == std::string_view::npos) {
      op.remove_suffix(1);
    }
    at_ = start_ + op.size();
    if (op.size() == 1 && is(op[0], kSelf)) return add(static_cast<TokenKind>(op[0]), start_, op);
    if (op == "=>") return add(TokenKind::kEqualsGreater, start_, op);
    if (op == ">=") return add(TokenKind::kGreaterEquals, start_, op);
    if (op == "<=") return add(TokenKind::kLessEquals, start_, op);
    if (op == "<>" || op == "!=") return add(TokenKind::kNotEquals, start_, "<>");
    if (op.size() > kIdentifierBytesMax) fail("operator too long");
    add(TokenKind::kOperator, start_, op);
  }

  void digits(bool& underscores) {
    while (is(look(), kDigit) ||
           (look() == '_' && at_ > start_ && is(text_[at_ - 1], kDigit) && is(look(1), kDigit))) {
      underscores |= look() == '_';
      ++at_;
    }
  }

  void number() {
    if (look() == '0' && radix_number()) return;
    bool underscores = false;
    bool real = false;
    digits(underscores);
    if (look() == '.' && look(1) != '.') {
      real = true;
      ++at_;
      digits(underscores);
    }
    if (look() == 'e' || look() == 'E') {
      const std::size_t sign = look(1) == '+' || look(1) == '-' ? 1 : 0;
      if (!is(look(1 + sign), kDigit)) {
        at_ += 1 + sign;
        fail("trailing junk after numeric literal");
      }
      real = true;
      at_ += 1 + sign;
      digits(underscores);
    }
    if (is(look(), kIdentStart)) ++at_, fail("trailing junk after numeric literal");
    std::string_view value = text_.substr(start_, at_ - start_);
    if (underscores) {
      std::string plain(value);
      std::erase(plain, '_');
      value = arena_.copy(plain);
    }
    add_number(value, real);
  }

  void add_number(std::string_view value, bool real) {
    std::int32_t small = 0;
    const auto [end, code] = std::from_chars(value.data(), value.data() + value.size(), small);
    const bool integer = !real && code == std::errc{} && end == value.data() + value.size();
    add(integer ? TokenKind::kInteger : TokenKind::kNumeric, start_, value);
  }

  /// 0x…, 0o…, 0b…: false, and nothing read, when there is no valid number of that kind.
  bool radix_number() {
    const char mark = fold(look(1));
    const int base = mark == 'x' ? 16 : mark == 'o' ? 8 : mark == 'b' ? 2 : 0;
    if (base == 0) return false;
    std::string digits;
    std::size_t p = at_ + 2;
    for (; p < text_.size() && is(text_[p], kIdentRest); ++p) {
      if (text_[p] != '_') digits += text_[p];
    }
    std::uint64_t value = 0;
    const auto [end, code] = std::from_chars(digits.data(), digits.data() + digits.size(), value, base);
    if (digits.empty() || text_[p - 1] == '_' || code != std::errc{} || end != digits.data() + digits.size())
      return false;
    at_ = p;
    add_number(arena_.copy(std::to_string(value)), false);
    return true;
  }

  std::string_view text_;
  Arena& arena_;
  std::vector<Notice>* notices_;
  std::size_t at_ = 0;
  std::size_t start_ = 0;
  TokenList list_;
};

}  // namespace

TokenList tokenize(std::string_view text, Arena& arena, std::vector<Notice>* notices) {
  if (text.size() >= kStatementBytesMax) {
    throw error(sqlstate::kProgramLimitExceeded, "statement is too long")
        .with_detail(fmt::format("The limit is {} bytes.", kStatementBytesMax));
  }
  check_utf8(text);
  return Lexer(text, arena, notices).run();
}

}  // namespace rustbd::sql
