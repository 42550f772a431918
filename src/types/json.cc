// Validates json text (RFC 8259) without recursion. Messages are PostgreSQL's.
#include <vector>

#include "rustbd/base/error.h"
#include "rustbd/types/io.h"
#include "rustbd/types/text_scan.h"

namespace rustbd::types {

namespace {
constexpr std::size_t kDepthMax = 6400;

class JsonChecker {
 public:
  explicit JsonChecker(std::string_view text) : text_(text) {}

  void check() {
    enum class Expect { kValue, kFirstElement, kFirstKey, kKey, kColon, kAfterValue };
    std::vector<char> open;
    Expect expect = Expect::kValue;
    for (;;) {
      lex();
      switch (expect) {
        case Expect::kFirstElement:
          if (token_ == ']') {
            open.pop_back();
            expect = Expect::kAfterValue;
            break;
          }
          [[fallthrough]];
        case Expect::kValue:
          if (token_ == '{' || token_ == '[') {
            if (open.size() >= kDepthMax)
              throw error(sqlstate::kStatementTooComplex, "stack depth limit exceeded");
            open.push_back(token_);
            expect = token_ == '{' ? Expect::kFirstKey : Expect::kFirstElement;
          } else if (token_ == 's' || token_ == 'n' || token_ == 'w') {
            expect = Expect::kAfterValue;
          } else {
            expected(expect == Expect::kFirstElement ? "array element or \"]\"" : "JSON value");
          }
          break;
        case Expect::kFirstKey:
          if (token_ == '}') {
            open.pop_back();
            expect = Expect::kAfterValue;
            break;
          }
          if (token_ != 's') expected("string or \"}\"");
          expect = Expect::kColon;
          break;
        case Expect::kKey:
          if (token_ != 's') expected("string");
          expect = Expect::kColon;
          break;
        case Expect::kColon:
          if (token_ != ':') expected("\":\"");
          expect = Expect::kValue;
          break;
        case Expect::kAfterValue:
          if (open.empty()) {
            if (token_ != 0) expected("end of input");
            return;
          }
          if (token_ == ',') {
            expect = open.back() == '{' ? Expect::kKey : Expect::kValue;
          } else if (token_ == (open.back() == '{' ? '}' : ']')) {
            open.pop_back();
          } else {
            expected(open.back() == '{' ? "\",\" or \"}\"" : "\",\" or \"]\"");
          }
          break;
      }
    }
  }

 private:
  /// token_: punctuation, 's' string, 'n' number, 'w' true/false/null, 0 end.
  void lex() {
    while (at_ < text_.size() &&
           (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\n' || text_[at_] == '\r'))
      ++at_;
    start_ = at_;
    if (at_ >= text_.size()) {
      token_ = 0;
      return;
    }
    const char c = text_[at_];
    if (std::string_view{"{}[],:"}.find(c) != std::string_view::npos) {
      token_ = c;
      ++at_;
    } else if (c == '"') {
      lex_string();
    } else if (c == '-' || is_digit(c)) {
      lex_number();
    } else {
      while (at_ < text_.size() && is_word(text_[at_])) ++at_;
      if (at_ == start_) ++at_;
      const std::string_view word = text_.substr(start_, at_ - start_);
      if (word != "true" && word != "false" && word != "null") invalid_token();
      token_ = 'w';
    }
  }
  static bool is_word(char c) { return is_alnum(c) || c == '_' || (c & 0x80) != 0; }

  void lex_string() {
    for (++at_;; ++at_) {
      if (at_ >= text_.size()) invalid_token();
      const auto c = static_cast<unsigned char>(text_[at_]);
      if (c == '"') break;
      if (c < 32) {
        ++at_;
        fail(fmt::format("Character with value 0x{:02x} must be escaped.", c));
      }
      if (c == '\\') lex_escape();
    }
    ++at_;
    token_ = 's';
  }
  void lex_escape() {
    if (++at_ >= text_.size()) invalid_token();
    if (text_[at_] == 'u') {
      for (int i = 0; i < 4; ++i) {
        if (++at_ >= text_.size()) invalid_token();
        const char h = lower(text_[at_]);
        if (!is_digit(h) && (h < 'a' || h > 'f')) {
          ++at_;
          fail("\"\\u\" must be followed by four hexadecimal digits.");
        }
      }
    } else if (std::string_view{"\"\\/bfnrt"}.find(text_[at_]) == std::string_view::npos) {
      const std::string bad{text_.substr(at_, utf8_prefix_bytes(text_.substr(at_), 1))};
      at_ += bad.size();
      fail(fmt::format("Escape sequence \"\\{}\" is invalid.", bad));
    }
  }

  void lex_number() {
    bool good = true;
    const auto digits = [&] {
      const std::size_t first = at_;
      while (at_ < text_.size() && is_digit(text_[at_])) ++at_;
      return at_ > first;
    };
    if (text_[at_] == '-') ++at_;
    if (at_ < text_.size() && text_[at_] == '0') ++at_;
    else good = digits();
    if (at_ < text_.size() && text_[at_] == '.') {
      ++at_;
      good = digits() && good;
    }
    if (at_ < text_.size() && (text_[at_] == 'e' || text_[at_] == 'E')) {
      ++at_;
      if (at_ < text_.size() && (text_[at_] == '+' || text_[at_] == '-')) ++at_;
      good = digits() && good;
    }
    while (at_ < text_.size() && is_word(text_[at_])) {
      good = false;
      ++at_;
    }
    if (!good) invalid_token();
    token_ = 'n';
  }

  [[nodiscard]] std::string_view token_text() const { return text_.substr(start_, at_ - start_); }
  [[noreturn]] void invalid_token() { fail(fmt::format("Token \"{}\" is invalid.", token_text())); }
  [[noreturn]] void expected(std::string_view what) {
    if (token_ == 0) fail("The input string ended unexpectedly.");
    if (what == "end of input") fail(fmt::format("Expected end of input, but found \"{}\".", token_text()));
    fail(fmt::format("Expected {}, but found \"{}\".", what, token_text()));
  }
  [[noreturn]] void fail(std::string detail) const {
    const std::size_t stop = std::min(at_, text_.size());
    std::size_t line_start = 0, line = 1;
    for (std::size_t i = 0; i < start_ && i < text_.size(); ++i)
      if (text_[i] == '\n') line_start = i + 1, ++line;
    constexpr std::size_t kContextMax = 50;
    std::size_t from = line_start;
    while (stop - from > kContextMax) {
      ++from;
      while (from < stop && (text_[from] & 0xC0) == 0x80) ++from;
    }
    const bool more = stop < text_.size() && text_[stop] != '\n' && text_[stop] != '\r';
    throw error(sqlstate::kInvalidTextRepresentation, "invalid input syntax for type json")
        .with_detail(std::move(detail))
        .with_where(fmt::format("JSON data, line {}: {}{}{}", line, from > line_start ? "..." : "",
                                text_.substr(from, stop - from), more ? "..." : ""));
  }

  std::string_view text_;
  std::size_t at_ = 0, start_ = 0;
  char token_ = 0;
};
}  // namespace

void check_json(std::string_view text) { JsonChecker{text}.check(); }

}  // namespace rustbd::types
