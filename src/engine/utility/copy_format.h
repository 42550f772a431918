// The text and CSV forms of COPY: splitting input into fields, writing rows.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "rustbd/engine/result_sink.h"
#include "rustbd/sql/ast.h"

namespace rustbd::engine {

struct CopyOptions {
  CopyFormat format = CopyFormat::kText;
  char delimiter = '\t';
  std::string null = "\\N";
  bool header = false;
  char quote = '"', escape = '"';
  bool force_quote_all = false;
  std::vector<std::string> force_quote, force_not_null, force_null;
};
/// Reads and checks the options of a COPY. Throws 42601, 22023, 0A000.
CopyOptions read_copy_options(const sql::CopyStatement& statement);

/// Cuts input bytes, which come in pieces, into rows of fields.
class CopyReader {
 public:
  explicit CopyReader(const CopyOptions& options) : options_(options) {}
  void feed(std::string_view bytes) {
    buffer_.erase(0, position_);
    position_ = 0;
    buffer_ += bytes;
  }
  void finish() { at_end_ = true; }
  /// The next row's fields (nullopt: NULL); false: needs more bytes, or all is read. Throws 22P04.
  bool next(std::vector<std::optional<std::string>>& fields);
  /// Line number of the row last returned, from 1.
  [[nodiscard]] std::uint64_t line() const { return line_; }
  /// The row's text, for error contexts.
  [[nodiscard]] std::string_view row_text() const { return row_; }
  /// Text form: `\.` was read; the rest of the input does not count.
  [[nodiscard]] bool stopped() const { return stopped_; }

 private:
  bool next_text(std::vector<std::optional<std::string>>& fields);
  bool next_csv(std::vector<std::optional<std::string>>& fields);
  const CopyOptions& options_;
  std::string buffer_, row_;
  std::size_t position_ = 0;
  std::uint64_t line_ = 0;
  bool at_end_ = false, stopped_ = false;
};

/// Appends one value (or NULL) of a row that goes out; `first` and `last` place delimiters and the line's
/// end.
void write_copy_value(const CopyOptions& options, const std::string* value, bool force_quote,
                      bool only_column, std::string& out);

}  // namespace rustbd::engine
