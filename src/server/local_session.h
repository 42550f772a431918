// LocalSession: SQL on a database in this process, from a thread that may block. For start-up work and the
// shell.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "rustbd/engine/session.h"

namespace rustbd::server {

/// One result of a statement, all values as text.
struct LocalResult {
  bool has_rows = false;
  std::vector<engine::ResultColumn> columns;
  std::vector<std::vector<std::optional<std::string>>> rows;
  std::string tag;
};

struct LocalAnswer {
  std::vector<LocalResult> results;  // of the statements that succeeded
  std::vector<Notice> notices;
  std::optional<Error> failure;
};

/// Threads: one at a time; it blocks. cancel() from any.
class LocalSession {
 public:
  /// Throws Error.
  LocalSession(engine::Database& database, const engine::SessionOptions& options);
  ~LocalSession();
  LocalAnswer run(std::string_view sql);
  /// Where COPY ... FROM STDIN takes its bytes (nullopt: the end) and COPY ... TO STDOUT puts them. Called on
  /// another thread while run() waits. Not set: nothing to read, output is dropped.
  std::function<std::optional<std::string>()> copy_source;
  std::function<void(std::string_view)> copy_target;
  [[nodiscard]] engine::Session& session() { return *session_; }
  void cancel() { session_->cancel(functions::CancelReason::kUser); }

 private:
  class Sink;
  engine::Database& database_;
  std::unique_ptr<engine::Session> session_;
};

}  // namespace rustbd::server
