#include "rustbd/cli/statement_splitter.h"

#include <algorithm>

namespace rustbd::cli {

namespace {
bool is_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' ||
         static_cast<unsigned char>(c) >= 0x80;
}
bool is_blank(std::string_view s) { return s.find_first_not_of(" \t\r\n") == std::string_view::npos; }
}  // namespace

void StatementSplitter::add_line(std::string_view line) {
  if (text_.empty() && is_blank(line)) return;
  text_ += line;
  text_ += '\n';
  if (!end_) scan();
}

void StatementSplitter::scan() {
  std::size_t i = scanned_;
  while (i < text_.size() && !end_) {
    if (in_ == In::kPlain) {
      if (!scan_plain(i)) break;
    } else {
      skip_quoted(i);
    }
  }
  scanned_ = i;
}

/// One step outside quotes. False: wait for more text.
bool StatementSplitter::scan_plain(std::size_t& i) {
  const std::string_view rest = std::string_view{text_}.substr(i);
  const char c = rest[0];
  if (rest.starts_with("--")) {
    const auto newline = rest.find('\n');
    i += newline == std::string_view::npos ? rest.size() : newline;
  } else if (rest.starts_with("/*")) {
    in_ = In::kBlockComment;
    comment_depth_ = 1;
    i += 2;
  } else if (c == '\'') {
    const bool escape =
        i > 0 && (text_[i - 1] == 'e' || text_[i - 1] == 'E') && (i < 2 || !is_word(text_[i - 2]));
    in_ = escape ? In::kEscapeQuote : In::kQuote;
    ++i;
  } else if (c == '"') {
    in_ = In::kIdentifier;
    ++i;
  } else if (c == '$' && (i == 0 || !is_word(text_[i - 1]))) {
    std::size_t n = 1;
    while (n < rest.size() && is_word(rest[n])) ++n;
    const bool tag = n < rest.size() && rest[n] == '$' &&
                     !(n > 1 && std::isdigit(static_cast<unsigned char>(rest[1])) != 0);
    if (tag) {
      dollar_tag_ = rest.substr(0, n + 1);
      in_ = In::kDollar;
      i += n + 1;
    } else {
      ++i;
    }
  } else {
    if (c == '(') ++parentheses_;
    if (c == ')' && parentheses_ > 0) --parentheses_;
    ++i;
    if (c == ';' && parentheses_ == 0) end_ = i;
  }
  return true;
}

void StatementSplitter::skip_quoted(std::size_t& i) {
  const std::string_view rest = std::string_view{text_}.substr(i);
  if (in_ == In::kDollar) {
    const auto end = rest.find(dollar_tag_);
    i = end == std::string_view::npos ? text_.size() - std::min(text_.size() - i, dollar_tag_.size() - 1)
                                      : i + end + dollar_tag_.size();
    if (end != std::string_view::npos) in_ = In::kPlain;
    else i = text_.size();  // a tag never spans lines
    return;
  }
  if (in_ == In::kBlockComment) {
    if (rest.starts_with("/*")) ++comment_depth_, i += 2;
    else if (rest.starts_with("*/")) i += 2, in_ = --comment_depth_ == 0 ? In::kPlain : In::kBlockComment;
    else ++i;
    return;
  }
  const char c = rest[0];
  if (in_ == In::kEscapeQuote && c == '\\' && rest.size() > 1) {
    i += 2;
    return;
  }
  // A doubled quote closes and opens again.
  if (c == (in_ == In::kIdentifier ? '"' : '\'')) in_ = In::kPlain;
  ++i;
}

std::optional<std::string> StatementSplitter::next() {
  if (!end_) return std::nullopt;
  std::string statement = text_.substr(0, *end_);
  text_.erase(0, *end_);
  const auto first = text_.find_first_not_of(" \t\r\n");
  text_.erase(0, std::min(first, text_.size()));
  scanned_ = 0;
  end_.reset();
  parentheses_ = 0;
  scan();
  return statement;
}

std::string StatementSplitter::take_rest() {
  std::string rest = is_blank(text_) ? std::string{} : text_;
  clear();
  return rest;
}
bool StatementSplitter::at_start() const { return is_blank(text_); }
char StatementSplitter::state() const {
  switch (in_) {
    case In::kQuote:
    case In::kEscapeQuote: return '\'';
    case In::kIdentifier: return '"';
    case In::kDollar: return '$';
    case In::kBlockComment: return '*';
    case In::kPlain: break;
  }
  if (at_start()) return '=';
  return parentheses_ > 0 ? '(' : '-';
}
void StatementSplitter::clear() { *this = StatementSplitter{}; }

}  // namespace rustbd::cli
