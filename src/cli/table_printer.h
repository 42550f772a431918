// Results as text: psql's aligned tables, one field a line, CSV, JSON.
#pragma once

#include <string>

#include "rustbd/cli/connection.h"

namespace rustbd::cli {

struct PrintOptions {
  OutputFormat format = OutputFormat::kTable;
  std::string title;   // above a table
  bool footer = true;  // "(3 rows)"
};
/// The whole text, ended by a newline.
std::string print_result(const ResultTable& table, const PrintOptions& options);
/// psql's text of an error or notice, with the line and a caret where `statement` has the position.
std::string print_error(const ShellError& error, std::string_view statement);
/// Columns that a text takes on a terminal.
std::size_t display_width(std::string_view text);

}  // namespace rustbd::cli
