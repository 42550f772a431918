// A running server, over libpq.
#include <libpq-fe.h>

#include "rustbd/base/error.h"
#include "rustbd/cli/connection.h"

namespace rustbd::cli {

namespace {

ShellError error_of(const PGresult* result) {
  const auto field = [&](int code) {
    const char* text = PQresultErrorField(result, code);
    return std::string{text == nullptr ? "" : text};
  };
  ShellError e;
  e.severity = field(PG_DIAG_SEVERITY);
  e.state = field(PG_DIAG_SQLSTATE);
  e.message = field(PG_DIAG_MESSAGE_PRIMARY);
  e.detail = field(PG_DIAG_MESSAGE_DETAIL);
  e.hint = field(PG_DIAG_MESSAGE_HINT);
  e.where = field(PG_DIAG_CONTEXT);
  e.position = std::atoi(field(PG_DIAG_STATEMENT_POSITION).c_str());
  if (e.severity.empty()) e.severity = "ERROR";
  if (e.message.empty()) e.message = PQresultErrorMessage(result);
  while (e.message.ends_with('\n')) e.message.pop_back();
  return e;
}

ResultTable table_of(const PGresult* result) {
  ResultTable t;
  t.tag = PQcmdStatus(const_cast<PGresult*>(result));
  t.has_rows = PQresultStatus(result) == PGRES_TUPLES_OK;
  const int columns = PQnfields(result), rows = PQntuples(result);
  for (int c = 0; c < columns; ++c) {
    t.names.emplace_back(PQfname(result, c));
    t.types.push_back(PQftype(result, c));
  }
  t.rows.resize(static_cast<std::size_t>(rows));
  for (int r = 0; r < rows; ++r) {
    for (int c = 0; c < columns; ++c) {
      auto& value = t.rows[static_cast<std::size_t>(r)].emplace_back();
      if (PQgetisnull(result, r, c) == 0)
        value.emplace(PQgetvalue(result, r, c), static_cast<std::size_t>(PQgetlength(result, r, c)));
    }
  }
  return t;
}

class ServerConnection final : public Connection {
 public:
  explicit ServerConnection(const SqlOptions& o) {
    std::vector<const char*> names, values;
    const auto add = [&](const char* name, const std::string& value) {
      if (value.empty()) return;
      names.push_back(name);
      values.push_back(value.c_str());
    };
    add("dbname",
        o.url.empty() ? o.database : o.url);  // with expand_dbname a URL or "key=value" text is taken apart
    add("host", o.host);
    add("port", o.port);
    add("user", o.user);
    add("fallback_application_name", application_);
    names.push_back(nullptr);
    values.push_back(nullptr);
    connection_.reset(PQconnectdbParams(names.data(), values.data(), 1));
    if (PQstatus(connection_.get()) != CONNECTION_OK) {
      std::string why = PQerrorMessage(connection_.get());
      while (why.ends_with('\n')) why.pop_back();
      throw Error{sqlstate::kConnectionFailure, why};
    }
    cancel_.reset(PQgetCancel(connection_.get()));
    PQsetNoticeReceiver(
        connection_.get(),
        [](void* self, const PGresult* notice) {
          auto* c = static_cast<ServerConnection*>(self);
          if (c->handler_ != nullptr && c->handler_->notice) c->handler_->notice(error_of(notice));
        },
        this);
  }

  bool run(const std::string& text, const AnswerHandler& handler) override {
    handler_ = &handler;
    bool ok = PQsendQuery(connection_.get(), text.c_str()) == 1;
    if (!ok) handler.failure(lost());
    while (PGresult* raw = PQgetResult(connection_.get())) {
      const std::unique_ptr<PGresult, decltype(&PQclear)> result{raw, &PQclear};
      switch (PQresultStatus(result.get())) {
        case PGRES_TUPLES_OK:
        case PGRES_COMMAND_OK: handler.result(table_of(result.get())); break;
        case PGRES_EMPTY_QUERY: break;
        case PGRES_COPY_IN: copy_in(handler); break;
        case PGRES_COPY_OUT: copy_out(handler); break;
        default: ok = false; handler.failure(error_of(result.get()));
      }
      if (PQstatus(connection_.get()) == CONNECTION_BAD) break;
    }
    handler_ = nullptr;
    return ok;
  }
  char status() override {
    if (PQstatus(connection_.get()) == CONNECTION_BAD) return 'X';
    switch (PQtransactionStatus(connection_.get())) {
      case PQTRANS_INTRANS: return 'T';
      case PQTRANS_INERROR: return 'E';
      default: return 'I';
    }
  }
  void cancel() override {
    char ignored[256];
    PQcancel(cancel_.get(), ignored, sizeof ignored);  // safe in a signal handler (libpq manual, 34.7)
  }
  std::string user() override { return PQuser(connection_.get()); }
  std::string database() override { return PQdb(connection_.get()); }
  std::string place() override {
    return fmt::format("host \"{}\" at port \"{}\"", PQhost(connection_.get()), PQport(connection_.get()));
  }

 private:
  ShellError lost() {
    ShellError e;
    e.severity = "FATAL";
    e.state = "08006";
    e.message = PQerrorMessage(connection_.get());
    while (e.message.ends_with('\n')) e.message.pop_back();
    return e;
  }
  void copy_in(const AnswerHandler& handler) {
    while (const auto data = handler.copy_in ? handler.copy_in() : std::nullopt)
      if (PQputCopyData(connection_.get(), data->data(), static_cast<int>(data->size())) != 1) break;
    PQputCopyEnd(connection_.get(), nullptr);
  }
  void copy_out(const AnswerHandler& handler) {
    char* data = nullptr;
    for (int n; (n = PQgetCopyData(connection_.get(), &data, 0)) > 0;) {
      if (handler.copy_out) handler.copy_out({data, static_cast<std::size_t>(n)});
      PQfreemem(data);
    }
  }
  const std::string application_ = "rustbd sql";
  std::unique_ptr<PGconn, decltype(&PQfinish)> connection_{nullptr, &PQfinish};
  std::unique_ptr<PGcancel, decltype(&PQfreeCancel)> cancel_{nullptr, &PQfreeCancel};
  const AnswerHandler* handler_ = nullptr;
};

}  // namespace

std::unique_ptr<Connection> connect_to_server(const SqlOptions& options) {
  return std::make_unique<ServerConnection>(options);
}

}  // namespace rustbd::cli
