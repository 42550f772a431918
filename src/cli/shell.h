// The SQL shell: statements and backslash commands, from a terminal, a file or the command line.
#pragma once

#include <istream>
#include <map>
#include <memory>

#include "rustbd/cli/connection.h"
#include "rustbd/cli/statement_splitter.h"
#include "rustbd/cli/table_printer.h"

namespace rustbd::cli {

class LineEditor;

/// Writes to standard output and standard error. Threads: one.
class Shell {
 public:
  Shell(std::unique_ptr<Connection> connection, const SqlOptions& options);
  ~Shell();
  /// Prompts until \q or the end of the input. The exit code.
  int interactive();
  /// Runs a text as one message, or one backslash command. False: it failed.
  bool run_command(const std::string& text);
  /// Runs a script; stops at the first failure where ON_ERROR_STOP is set. False: something failed.
  bool run_stream(std::istream& in);
  bool run_file(const std::string& path);
  [[nodiscard]] bool lost() { return connection_->status() == 'X'; }

  // --- for meta_commands.cc ---
  struct MetaCommand;
  [[nodiscard]] Connection& connection() { return *connection_; }
  [[nodiscard]] PrintOptions& print_options() { return print_; }
  /// Rows of a catalog query; nullopt: it failed and the failure was printed.
  std::optional<ResultTable> query(const std::string& sql);
  /// Runs and prints.
  bool execute(const std::string& sql, std::istream* copy_source);

 private:
  bool meta(const std::string& line, std::istream* input);
  bool describe(const std::string& pattern);
  bool describe_relation(const ResultTable& found, std::size_t row);
  bool list(const std::string& title, const std::string& sql);
  bool list_relations(const std::string& kinds, const std::string& title, const std::string& pattern);
  bool copy_file(const std::string& arguments);
  std::string substitute(const std::string& line) const;
  std::vector<std::string> complete(const std::string& before, const std::string& word);
  std::string prompt();
  void print_out(const std::string& text);
  static void complain(const std::string& text);  // to standard error
  std::istream& standard_input();
  bool handle_line(const std::string& line, std::istream* input, std::string* for_history);

  std::unique_ptr<Connection> connection_;
  std::unique_ptr<std::streambuf> input_buffer_;
  std::unique_ptr<std::istream> input_;
  PrintOptions print_;
  std::map<std::string, std::string> variables_;
  StatementSplitter splitter_;
  bool timing_ = false, quit_ = false, failed_ = false, interactive_ = false, expanded_ = false;
  int depth_ = 0;  // of \i
};

}  // namespace rustbd::cli
