// PostgreSQL's advanced regular expressions translated for RE2 and PCRE2.
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <re2/re2.h>

#include <list>

#include "rustbd/base/error.h"
#include "rustbd/functions/pattern.h"
#include "rustbd/functions/text_tools.h"

namespace rustbd::functions {

namespace {

[[noreturn]] void invalid(std::string_view why) {
  throw error(sqlstate::kInvalidRegularExpression, "invalid regular expression: {}", why);
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// The pattern in the syntax RE2 and PCRE2 share, and what it needs.
struct Translation {
  std::string text;
  RegexFlags flags;
  bool needs_backtracking = false;  // back-references, look-around, word starts and ends
  bool shortest = false;  // the first quantifier is non-greedy: the whole prefers the shortest match
};

class Translator {
 public:
  Translator(std::string_view pattern, const RegexFlags& flags) : in_(pattern) { out_.flags = flags; }
  Translation run() {
    directors();
    if (out_.flags.literal) {
      quote();
      return std::move(out_);
    }
    while (at_ < in_.size()) step();
    if (depth_ > 0) invalid("parentheses () not balanced");
    return std::move(out_);
  }

 private:
  /// "***=", "***:" and "(?xyz)" at the start.
  void directors() {
    if (in_.starts_with("***=")) {
      out_.flags.literal = true;
      in_.remove_prefix(4);
      return;
    }
    if (in_.starts_with("***:")) in_.remove_prefix(4);
    else if (in_.starts_with("***")) invalid("invalid regexp (reg version 0.8)");
    if (in_.size() < 3 || in_[0] != '(' || in_[1] != '?' || !((in_[2] >= 'a' && in_[2] <= 'z'))) return;
    std::size_t i = 2;
    for (; i < in_.size() && in_[i] != ')'; ++i) option(in_[i]);
    if (i == in_.size()) invalid("invalid embedded option");
    in_.remove_prefix(i + 1);
  }
  void option(char c) {
    RegexFlags& f = out_.flags;
    switch (c) {
      case 'i': f.ignore_case = true; break;
      case 'c': f.ignore_case = false; break;
      case 'n':
      case 'm': f.newline_sensitive_dot = f.newline_sensitive_anchors = true; break;
      case 'p':
        f.newline_sensitive_dot = true;
        f.newline_sensitive_anchors = false;
        break;
      case 'w':
        f.newline_sensitive_anchors = true;
        f.newline_sensitive_dot = false;
        break;
      case 's': f.newline_sensitive_dot = f.newline_sensitive_anchors = false; break;
      case 'x': f.expanded = true; break;
      case 't': f.expanded = false; break;
      case 'q': f.literal = true; break;
      case 'b':
      case 'e': break;
      default: invalid("invalid embedded option");
    }
  }
  void quote() {
    for (const char c : in_) {
      if ((c & 0x80) == 0 && !is_digit(c) && !(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && c != ' ' &&
          c != '_')
        out_.text += '\\';
      out_.text += c;
    }
  }
  void step() {
    const char c = in_[at_];
    switch (c) {
      case '\\':
        escape();
        can_repeat_ = can_repeat_after_escape_;
        return;
      case '[':
        bracket();
        can_repeat_ = true;
        return;
      case '(': open(); return;
      case ')':
        if (depth_ == 0) invalid("parentheses () not balanced");
        --depth_;
        out_.text += c;
        ++at_;
        can_repeat_ = true;
        return;
      case '*':
      case '+':
      case '?': quantifier(1); return;
      case '{':
        if (at_ + 1 < in_.size() && is_digit(in_[at_ + 1])) {
          braces();
          return;
        }
        out_.text += "\\{";
        ++at_;
        can_repeat_ = true;
        return;
      case '|':
      case '^':
        out_.text += c;
        ++at_;
        can_repeat_ = false;
        return;
      case '.':
        out_.text += out_.flags.newline_sensitive_dot ? "[^\\n]" : ".";
        ++at_;
        can_repeat_ = true;
        return;
      case '$':
        out_.text += c;
        ++at_;
        can_repeat_ = false;
        return;
      default: break;
    }
    if (out_.flags.expanded && (c == ' ' || c == '\t' || c == '\n' || c == '\r')) {
      ++at_;
      return;
    }
    if (out_.flags.expanded && c == '#') {
      while (at_ < in_.size() && in_[at_] != '\n') ++at_;
      return;
    }
    const std::size_t n = char_bytes(c);
    out_.text += in_.substr(at_, n);
    at_ += n;
    can_repeat_ = true;
  }
  void open() {
    const std::string_view rest = in_.substr(at_);
    if (rest.starts_with("(?#")) {
      while (at_ < in_.size() && in_[at_] != ')') ++at_;
      if (at_ < in_.size()) ++at_;
      return;
    }
    ++depth_;
    can_repeat_ = false;
    for (const std::string_view special : {"(?<=", "(?<!", "(?=", "(?!", "(?:"}) {
      if (!rest.starts_with(special)) continue;
      if (special != "(?:") out_.needs_backtracking = true;
      out_.text += special;
      at_ += special.size();
      return;
    }
    if (rest.starts_with("(?")) invalid("quantifier operand invalid");
    out_.text += '(';
    ++at_;
  }
  void quantifier(std::size_t n) {
    if (!can_repeat_) invalid("quantifier operand invalid");
    out_.text += in_.substr(at_, n);
    at_ += n;
    const bool lazy = at_ < in_.size() && in_[at_] == '?';
    if (!seen_quantifier_) out_.shortest = lazy;
    seen_quantifier_ = true;
    if (lazy) {
      out_.text += '?';
      ++at_;
    }
    can_repeat_ = false;
  }
  void braces() {
    std::size_t end = at_ + 1;
    int numbers[2] = {0, -1};
    int which = 0;
    for (; end < in_.size() && in_[end] != '}'; ++end) {
      if (in_[end] == ',' && which == 0) {
        which = 1;
        continue;
      }
      if (!is_digit(in_[end])) invalid("invalid repetition count(s)");
      int& v = numbers[which];
      v = (v < 0 ? 0 : v) * 10 + (in_[end] - '0');
      if (v > 255) invalid("invalid repetition count(s)");
    }
    if (end == in_.size()) invalid("braces {} not balanced");
    if (numbers[1] >= 0 && numbers[1] < numbers[0]) invalid("invalid repetition count(s)");
    quantifier(end + 1 - at_);
  }
  void append_code(std::uint32_t code) { out_.text += fmt::format("\\x{{{:x}}}", code); }
  std::uint32_t hex(std::size_t digits, bool exactly) {
    std::uint32_t v = 0;
    std::size_t n = 0;
    while (n < digits && at_ < in_.size() && std::isxdigit(static_cast<unsigned char>(in_[at_])) != 0) {
      const char c = in_[at_++];
      v = v * 16 + static_cast<std::uint32_t>(is_digit(c) ? c - '0' : (c | 32) - 'a' + 10);
      ++n;
    }
    if (n == 0 || (exactly && n != digits)) invalid("invalid escape \\ sequence");
    return v;
  }
  /// A character-entry escape after the backslash; false when `c` is none.
  bool character_escape(char c) {
    switch (c) {
      case 'a': out_.text += "\\x07"; return true;
      case 'b': out_.text += "\\x08"; return true;
      case 'e': out_.text += "\\x1b"; return true;
      case 'f': out_.text += "\\f"; return true;
      case 'n': out_.text += "\\n"; return true;
      case 'r': out_.text += "\\r"; return true;
      case 't': out_.text += "\\t"; return true;
      case 'v': out_.text += "\\x0b"; return true;
      case 'B': out_.text += "\\\\"; return true;
      case 'x': append_code(hex(255, false)); return true;
      case 'u': append_code(hex(4, true)); return true;
      case 'U': append_code(hex(8, true)); return true;
      case '0': out_.text += "\\x00"; return true;
      case 'c':
        if (at_ >= in_.size()) invalid("invalid escape \\ sequence");
        append_code(static_cast<std::uint32_t>(in_[at_++]) & 31);
        return true;
      default: return false;
    }
  }
  void escape() {
    can_repeat_after_escape_ = true;
    if (++at_ >= in_.size()) invalid("invalid escape \\ sequence");
    const char c = in_[at_++];
    if (character_escape(c)) return;
    switch (c) {
      case 'd': out_.text += "[[:digit:]]"; return;
      case 'D': out_.text += "[^[:digit:]]"; return;
      case 's': out_.text += "[[:space:]]"; return;
      case 'S': out_.text += "[^[:space:]]"; return;
      case 'w': out_.text += "[\\p{L}\\p{N}_]"; return;
      case 'W': out_.text += "[^\\p{L}\\p{N}_]"; return;
      case 'A':
        out_.text += "\\A";
        can_repeat_after_escape_ = false;
        return;
      case 'Z':
        out_.text += "\\z";
        can_repeat_after_escape_ = false;
        return;
      case 'y':
        out_.text += "\\b";
        can_repeat_after_escape_ = false;
        return;
      case 'Y':
        out_.text += "\\B";
        can_repeat_after_escape_ = false;
        return;
      case 'm': word_edge("\\b(?=\\w)"); return;
      case 'M': word_edge("\\b(?<=\\w)"); return;
      default: break;
    }
    if (is_digit(c)) {
      out_.needs_backtracking = true;
      out_.text += fmt::format("(?:\\{})", c);
      return;
    }
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) invalid("invalid escape \\ sequence");
    out_.text += '\\';
    out_.text += c;
    for (std::size_t n = char_bytes(c); n > 1 && at_ < in_.size(); --n) out_.text += in_[at_++];
  }
  void word_edge(std::string_view text) {
    out_.needs_backtracking = true;
    out_.text += text;
    can_repeat_after_escape_ = false;
  }
  void bracket() {
    const std::string_view rest = in_.substr(at_);
    if (rest.starts_with("[[:<:]]")) {
      word_edge("\\b(?=\\w)");
      at_ += 7;
      return;
    }
    if (rest.starts_with("[[:>:]]")) {
      word_edge("\\b(?<=\\w)");
      at_ += 7;
      return;
    }
    out_.text += '[';
    ++at_;
    if (at_ < in_.size() && in_[at_] == '^') {
      out_.text += out_.flags.newline_sensitive_dot ? "^\\n" : "^";
      ++at_;
    }
    bool first = true;
    for (;; first = false) {
      if (at_ >= in_.size()) invalid("brackets [] not balanced");
      const char c = in_[at_];
      if (c == ']' && !first) break;
      member(c);
    }
    out_.text += ']';
    ++at_;
  }
  void member(char c) {
    if (c == '[' && at_ + 1 < in_.size() &&
        (in_[at_ + 1] == ':' || in_[at_ + 1] == '.' || in_[at_ + 1] == '=')) {
      const char kind = in_[at_ + 1];
      const std::size_t end = in_.find(std::string{kind} + "]", at_ + 2);
      if (end == std::string_view::npos) invalid("brackets [] not balanced");
      const std::string_view name = in_.substr(at_ + 2, end - at_ - 2);
      if (kind == ':') {
        static constexpr std::string_view classes[] = {"alnum", "alpha",  "blank", "cntrl", "digit",
                                                       "graph", "lower",  "print", "punct", "space",
                                                       "upper", "xdigit", "word"};
        if (std::find(std::begin(classes), std::end(classes), name) == std::end(classes))
          invalid("invalid character class");
        if (name == "alpha") out_.text += "\\p{L}";
        else if (name == "alnum") out_.text += "\\p{L}\\p{N}";
        else if (name == "upper" && !out_.flags.ignore_case) out_.text += "\\p{Lu}";
        else if (name == "lower" && !out_.flags.ignore_case) out_.text += "\\p{Ll}";
        else out_.text += fmt::format("[:{}:]", name);
      } else {
        if (count_chars(name) != 1) invalid("invalid collating element");
        plain_member(name);
      }
      at_ = end + 2;
      return;
    }
    if (c == '\\') {
      if (++at_ >= in_.size()) invalid("invalid escape \\ sequence");
      const char e = in_[at_++];
      if (character_escape(e)) return;
      switch (e) {
        case 'd': out_.text += "[:digit:]"; return;
        case 's': out_.text += "[:space:]"; return;
        case 'w': out_.text += "\\p{L}\\p{N}_"; return;
        default: break;
      }
      if ((e >= 'a' && e <= 'z') || (e >= 'A' && e <= 'Z') || is_digit(e))
        invalid("invalid escape \\ sequence");
      out_.text += '\\';
      out_.text += e;
      return;
    }
    const std::size_t n = char_bytes(c);
    if (c == '-')
      out_.text += at_ + 1 < in_.size() && in_[at_ + 1] == ']'
                       ? "\\-"
                       : (out_.text.back() == '[' || out_.text.back() == '^' ? "\\-" : "-");
    else plain_member(in_.substr(at_, n));
    at_ += n;
  }
  void plain_member(std::string_view ch) {
    if (ch == "[" || ch == "]" || ch == "\\" || ch == "^" || ch == "&" || ch == "~") out_.text += '\\';
    out_.text += ch;
  }

  std::string_view in_;
  std::size_t at_ = 0;
  int depth_ = 0;
  bool can_repeat_ = false, can_repeat_after_escape_ = true, seen_quantifier_ = false;
  Translation out_;
};

class Re2Regex final : public Regex {
 public:
  Re2Regex(const std::string& pattern, const RE2::Options& options) : re_(pattern, options) {
    if (re_.ok()) return;
    switch (re_.error_code()) {
      case RE2::ErrorMissingParen:
      case RE2::ErrorUnexpectedParen: invalid("parentheses () not balanced");
      case RE2::ErrorMissingBracket: invalid("brackets [] not balanced");
      case RE2::ErrorBadCharRange: invalid("invalid character range");
      case RE2::ErrorBadCharClass: invalid("invalid character class");
      case RE2::ErrorRepeatArgument:
      case RE2::ErrorRepeatOp: invalid("quantifier operand invalid");
      case RE2::ErrorRepeatSize: invalid("invalid repetition count(s)");
      case RE2::ErrorBadEscape:
      case RE2::ErrorTrailingBackslash: invalid("invalid escape \\ sequence");
      case RE2::ErrorPatternTooLarge: invalid("regular expression is too complex");
      default: invalid(re_.error());
    }
  }
  bool search(std::string_view text, std::size_t start, std::vector<MatchGroup>* groups) const override {
    const re2::StringPiece piece{text.data(), text.size()};
    if (groups == nullptr) return re_.Match(piece, start, text.size(), RE2::UNANCHORED, nullptr, 0);
    std::vector<re2::StringPiece> found(static_cast<std::size_t>(group_count()) + 1);
    if (!re_.Match(piece, start, text.size(), RE2::UNANCHORED, found.data(), static_cast<int>(found.size())))
      return false;
    groups->assign(found.size(), MatchGroup{});
    for (std::size_t i = 0; i < found.size(); ++i) {
      if (found[i].data() == nullptr) continue;
      (*groups)[i].begin = found[i].data() - text.data();
      (*groups)[i].end = (*groups)[i].begin + static_cast<std::int64_t>(found[i].size());
    }
    return true;
  }
  int group_count() const override { return re_.NumberOfCapturingGroups(); }

 private:
  RE2 re_;
};

class Pcre2Regex final : public Regex {
 public:
  Pcre2Regex(const std::string& pattern, const RegexFlags& flags) {
    std::uint32_t options = PCRE2_UTF | PCRE2_UCP | PCRE2_DOTALL | PCRE2_DOLLAR_ENDONLY | PCRE2_NO_UTF_CHECK;
    if (flags.ignore_case) options |= PCRE2_CASELESS;
    if (flags.newline_sensitive_anchors) options |= PCRE2_MULTILINE;
    int code = 0;
    PCRE2_SIZE offset = 0;
    code_ = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(), options, &code,
                          &offset, nullptr);
    if (code_ == nullptr) {
      if (code == 115) invalid("invalid backreference number");
      PCRE2_UCHAR message[128];
      pcre2_get_error_message(code, message, sizeof message);
      invalid(reinterpret_cast<const char*>(message));
    }
    context_ = pcre2_match_context_create(nullptr);
    pcre2_set_match_limit(context_, 10'000'000);
    pcre2_set_depth_limit(context_, 100'000);
    std::uint32_t n = 0;
    pcre2_pattern_info(code_, PCRE2_INFO_CAPTURECOUNT, &n);
    groups_ = static_cast<int>(n);
  }
  ~Pcre2Regex() override {
    pcre2_match_context_free(context_);
    pcre2_code_free(code_);
  }
  Pcre2Regex(const Pcre2Regex&) = delete;
  Pcre2Regex& operator=(const Pcre2Regex&) = delete;
  bool search(std::string_view text, std::size_t start, std::vector<MatchGroup>* groups) const override {
    pcre2_match_data* data = pcre2_match_data_create_from_pattern(code_, nullptr);
    const int rc = pcre2_match(code_, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), start,
                               PCRE2_NO_UTF_CHECK, data, context_);
    if (rc > 0 && groups != nullptr) {
      groups->assign(static_cast<std::size_t>(groups_) + 1, MatchGroup{});
      const PCRE2_SIZE* ends = pcre2_get_ovector_pointer(data);
      for (std::size_t i = 0; i < static_cast<std::size_t>(rc); ++i) {
        if (ends[2 * i] != PCRE2_UNSET)
          (*groups)[i] = {static_cast<std::int64_t>(ends[2 * i]), static_cast<std::int64_t>(ends[2 * i + 1])};
      }
    }
    pcre2_match_data_free(data);
    if (rc < 0 && rc != PCRE2_ERROR_NOMATCH)
      throw error(sqlstate::kProgramLimitExceeded, "regular expression failed: match limit exceeded");
    return rc > 0;
  }
  int group_count() const override { return groups_; }

 private:
  pcre2_code* code_ = nullptr;
  pcre2_match_context* context_ = nullptr;
  int groups_ = 0;
};

std::shared_ptr<const Regex> build(std::string_view pattern, const RegexFlags& flags) {
  const Translation t = Translator{pattern, flags}.run();
  if (t.needs_backtracking) return std::make_shared<Pcre2Regex>(t.text, t.flags);
  RE2::Options options;
  options.set_log_errors(false);
  options.set_case_sensitive(!t.flags.ignore_case);
  options.set_dot_nl(true);
  options.set_longest_match(!t.shortest);
  options.set_max_mem(64 << 20);
  return std::make_shared<Re2Regex>(t.flags.newline_sensitive_anchors ? "(?m)" + t.text : t.text, options);
}

struct CacheEntry {
  std::string pattern;
  RegexFlags flags;
  std::shared_ptr<const Regex> regex;
};
constexpr std::size_t kCacheEntries = 64;

}  // namespace

std::shared_ptr<const Regex> compile_regex(std::string_view pattern, const RegexFlags& flags) {
  thread_local std::list<CacheEntry> cache;  // most recently used first
  for (auto it = cache.begin(); it != cache.end(); ++it) {
    if (it->pattern != pattern || !(it->flags == flags)) continue;
    cache.splice(cache.begin(), cache, it);
    return it->regex;
  }
  auto regex = build(pattern, flags);
  cache.push_front({std::string{pattern}, flags, regex});
  if (cache.size() > kCacheEntries) cache.pop_back();
  return regex;
}

std::string similar_to_regex(std::string_view pattern, std::string_view escape) {
  if (count_chars(escape) > 1)
    throw error(sqlstate::kInvalidEscapeSequence, "invalid escape string")
        .with_hint("Escape string must be empty or one character.");
  std::string out = "^(?:";
  bool in_class = false;
  int parts = 0;
  for (std::size_t at = 0; at < pattern.size();) {
    const std::string_view ch = pattern.substr(at, char_bytes(pattern[at]));
    at += ch.size();
    if (!escape.empty() && ch == escape) {
      if (at >= pattern.size()) throw error(sqlstate::kInvalidEscapeSequence, "invalid escape string");
      const std::string_view next = pattern.substr(at, char_bytes(pattern[at]));
      at += next.size();
      if (next == "\"" && !in_class) {
        // escape-double-quote separates the three parts of SUBSTRING(... SIMILAR ... ESCAPE ...).
        if (parts == 0) out += "){1,1}?(";
        else if (parts == 1) out += "){1,1}(?:";
        else
          throw error(SqlState{"2200C"},
                      "SQL regular expression may not contain more than two escape-double-quote separators");
        ++parts;
      } else {
        out += '\\';
        out += next;
      }
      continue;
    }
    if (in_class) {
      if (ch == "\\") out += '\\';
      out += ch;
      in_class = ch != "]";
      continue;
    }
    if (ch == "[") {
      in_class = true;
      out += ch;
    } else if (ch == "%") out += ".*";
    else if (ch == "_") out += '.';
    else if (ch == "(") out += "(?:";
    else if (ch == "\\" || ch == "." || ch == "^" || ch == "$") {
      out += '\\';
      out += ch;
    } else out += ch;
  }
  return out + ")$";
}

}  // namespace rustbd::functions
