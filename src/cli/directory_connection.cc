// A data directory, opened in this process.
#include "rustbd/cli/connection.h"
#include "rustbd/server/embedded.h"
#include "rustbd/server/local_session.h"
#include "rustbd/types/io.h"

namespace rustbd::cli {

namespace {

std::string severity_name(Severity severity) {
  switch (severity) {
    case Severity::kDebug: return "DEBUG";
    case Severity::kInfo: return "INFO";
    case Severity::kNotice: return "NOTICE";
    case Severity::kWarning: return "WARNING";
    default: return "ERROR";
  }
}
ShellError to_shell(const Error& e, Severity severity, std::string_view text) {
  ShellError out{
      severity_name(severity), std::string{e.state.text()}, e.message, e.detail, e.hint, e.where, 0};
  if (e.position >= 0 && static_cast<std::size_t>(e.position) <= text.size())
    out.position =
        static_cast<int>(types::utf8_length(text.substr(0, static_cast<std::size_t>(e.position)))) + 1;
  return out;
}

class DirectoryConnection final : public Connection {
 public:
  explicit DirectoryConnection(const SqlOptions& o)
      : data_(o.data), embedded_(o.data, server::config_of(o.data), server::EmbeddedDatabase::Access::kOpen) {
    engine::SessionOptions s;
    if (!o.user.empty()) s.user = o.user;
    if (!o.database.empty()) s.database = o.database;
    s.application_name = "rustbd sql";
    user_ = s.user;
    database_ = s.database;
    session_ = std::make_unique<server::LocalSession>(embedded_.database(), s);
  }
  bool run(const std::string& text, const AnswerHandler& handler) override {
    session_->copy_source = handler.copy_in;
    session_->copy_target = handler.copy_out;
    const auto answer = session_->run(text);
    for (const auto& n : answer.notices) handler.notice(to_shell(n.content, n.severity, text));
    for (const auto& r : answer.results) {
      ResultTable t;
      t.has_rows = r.has_rows;
      t.tag = r.tag;
      for (const auto& c : r.columns) {
        t.names.push_back(c.name);
        t.types.push_back(c.type.oid);
      }
      t.rows = r.rows;
      handler.result(t);
    }
    if (answer.failure) handler.failure(to_shell(*answer.failure, Severity::kError, text));
    return !answer.failure;
  }
  char status() override { return static_cast<char>(session_->session().status()); }
  // Sets an atomic flag; waits for locks end by it at their next check.
  void cancel() override {
    session_->session().cancel_flag()->reason.store(
        static_cast<std::uint32_t>(functions::CancelReason::kUser));
  }
  std::string user() override { return user_; }
  std::string database() override { return database_; }
  std::string place() override { return fmt::format("data directory \"{}\"", data_); }

 private:
  const std::string data_;
  std::string user_, database_;
  server::EmbeddedDatabase embedded_;
  std::unique_ptr<server::LocalSession> session_;
};

}  // namespace

std::unique_ptr<Connection> open_directory(const SqlOptions& options) {
  return std::make_unique<DirectoryConnection>(options);
}

}  // namespace rustbd::cli
