// What the shell talks to: a server over libpq, or a database in this process. The same printing stands on
// both.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "rustbd/cli/commands.h"

namespace rustbd::cli {

struct ResultTable {
  bool has_rows = false;
  std::vector<std::string> names;
  std::vector<unsigned> types;  // oids
  std::vector<std::vector<std::optional<std::string>>> rows;
  std::string tag;  // "INSERT 0 1"
};

struct ShellError {
  std::string severity = "ERROR", state, message, detail, hint, where;
  int position = 0;  // 1-based characters into the text; 0: none
};

/// What happens while a text runs, in order.
struct AnswerHandler {
  std::function<void(const ResultTable&)> result;
  std::function<void(const ShellError&)> notice;
  std::function<void(const ShellError&)> failure;
  /// COPY: bytes to send (nullopt: the end) and bytes received.
  std::function<std::optional<std::string>()> copy_in;
  std::function<void(std::string_view)> copy_out;
};

/// Threads: one, which blocks; cancel() also from a signal handler of that thread's process.
class Connection {
 public:
  virtual ~Connection() = default;
  /// Runs all statements of the text. False: one failed.
  virtual bool run(const std::string& text, const AnswerHandler& handler) = 0;
  /// 'I' idle, 'T' in a transaction, 'E' in a failed one, 'X' connection lost.
  virtual char status() = 0;
  virtual void cancel() = 0;
  [[nodiscard]] virtual std::string user() = 0;
  [[nodiscard]] virtual std::string database() = 0;
  /// For \conninfo.
  [[nodiscard]] virtual std::string place() = 0;
};

/// Throws Error: 08006 with libpq's text.
std::unique_ptr<Connection> connect_to_server(const SqlOptions& options);
/// Throws Error as server::EmbeddedDatabase does.
std::unique_ptr<Connection> open_directory(const SqlOptions& options);

}  // namespace rustbd::cli
