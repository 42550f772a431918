// Finds where statements end in text that comes line by line: a semicolon outside quotes, comments and
// parentheses.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace rustbd::cli {

class StatementSplitter {
 public:
  /// Adds one line (without its newline).
  void add_line(std::string_view line);
  /// The next whole statement, with its semicolon; nullopt: more lines are needed.
  std::optional<std::string> next();
  /// What is left at the end of the input; empty if it is blank.
  std::string take_rest();
  /// True where a new statement would begin: backslash commands are allowed.
  [[nodiscard]] bool at_start() const;
  /// What the prompt shows: '=' at a start, '-' inside a statement, '\'' '"' '$' '*' inside a quote or
  /// comment, '('.
  [[nodiscard]] char state() const;
  [[nodiscard]] const std::string& pending() const { return text_; }
  void clear();

 private:
  enum class In : std::uint8_t { kPlain, kQuote, kEscapeQuote, kIdentifier, kDollar, kBlockComment };
  void scan();
  bool scan_plain(std::size_t& i);
  void skip_quoted(std::size_t& i);
  std::string text_;
  std::size_t scanned_ = 0;         // text_ up to here has been looked at
  std::optional<std::size_t> end_;  // of the first whole statement
  In in_ = In::kPlain;
  int parentheses_ = 0, comment_depth_ = 0;
  std::string dollar_tag_;  // "$tag$"
};

}  // namespace rustbd::cli
