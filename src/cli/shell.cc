#include "rustbd/cli/shell.h"

#include <unistd.h>
#include <ext/stdio_filebuf.h>

#include <chrono>
#include <clocale>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <istream>

#include "rustbd/base/error.h"
#include "rustbd/cli/line_editor.h"

namespace rustbd::cli {

namespace {
constexpr int kIncludeDepthMax = 32;
constexpr std::size_t kCopyPiece = 64 << 10;

Connection* running_connection = nullptr;  // what Ctrl-C cancels; set while a statement runs
void on_interrupt(int) {
  if (running_connection != nullptr) running_connection->cancel();
}

/// COPY ... FROM STDIN in a script: lines up to "\.".
std::optional<std::string> copy_lines(std::istream& in, bool& ended) {
  std::string out, line;
  while (!ended && out.size() < kCopyPiece) {
    if (!std::getline(in, line) || line == "\\." || line == "\\.\r") ended = true;
    else (out += line) += '\n';
  }
  return out.empty() ? std::nullopt : std::optional{std::move(out)};
}

constexpr std::string_view kKeywords[] = {
    "ALTER TABLE", "ANALYZE",     "AND",          "AS",           "ASC",
    "BEGIN",       "BETWEEN",     "BY",           "CASE",         "CHECKPOINT",
    "COMMIT",      "COPY",        "CREATE INDEX", "CREATE TABLE", "CREATE VIEW",
    "DEFAULT",     "DELETE FROM", "DESC",         "DISTINCT",     "DROP TABLE",
    "ELSE",        "END",         "EXISTS",       "EXPLAIN",      "EXPLAIN ANALYZE",
    "FROM",        "GROUP BY",    "HAVING",       "IN",           "INNER JOIN",
    "INSERT INTO", "INTO",        "IS NULL",      "IS NOT NULL",  "JOIN",
    "LEFT JOIN",   "LIKE",        "LIMIT",        "NOT",          "NULL",
    "OFFSET",      "ON",          "OR",           "ORDER BY",     "PRIMARY KEY",
    "REFERENCES",  "RETURNING",   "ROLLBACK",     "SAVEPOINT",    "SELECT",
    "SET",         "SHOW",        "TABLE",        "THEN",         "TRUNCATE",
    "UNION",       "UNIQUE",      "UPDATE",       "USING",        "VACUUM",
    "VALUES",      "WHEN",        "WHERE",        "WITH"};
constexpr std::string_view kMeta[] = {"\\conninfo", "\\copy", "\\d",      "\\di", "\\dn", "\\ds", "\\dt",
                                      "\\du",       "\\dv",   "\\echo",   "\\g",  "\\i",  "\\l",  "\\p",
                                      "\\q",        "\\r",    "\\timing", "\\x",  "\\?"};

bool starts_with_nocase(std::string_view text, std::string_view prefix) {
  return text.size() >= prefix.size() &&
         std::equal(prefix.begin(), prefix.end(), text.begin(),
                    [](unsigned char a, unsigned char b) { return std::tolower(a) == std::tolower(b); });
}
}  // namespace

Shell::Shell(std::unique_ptr<Connection> connection, const SqlOptions& options)
    : connection_(std::move(connection)), variables_(options.variables), timing_(options.timing) {
  print_.format = options.format;
}
Shell::~Shell() = default;

std::istream& Shell::standard_input() {
  if (input_ == nullptr) {
    input_buffer_ = std::make_unique<__gnu_cxx::stdio_filebuf<char>>(STDIN_FILENO, std::ios::in);
    input_ = std::make_unique<std::istream>(input_buffer_.get());
  }
  return *input_;
}

void Shell::complain(const std::string& text) { std::fwrite(text.data(), 1, text.size(), stderr); }

void Shell::print_out(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

std::optional<ResultTable> Shell::query(const std::string& sql) {
  std::optional<ResultTable> out;
  AnswerHandler h;
  h.result = [&](const ResultTable& t) { out = t; };
  h.notice = [](const ShellError&) {};
  h.failure = [&](const ShellError& e) { complain(print_error(e, sql)); };
  if (!connection_->run(sql, h)) return std::nullopt;
  return out;
}

bool Shell::execute(const std::string& sql, std::istream* copy_source) {
  AnswerHandler h;
  bool copy_ended = false;
  h.result = [&](const ResultTable& t) {
    if (t.has_rows) print_out(print_result(t, print_));
    else if (print_.format == OutputFormat::kTable || print_.format == OutputFormat::kVertical)
      print_out(t.tag + "\n");
  };
  h.notice = [&](const ShellError& e) { complain(print_error(e, sql)); };
  h.failure = h.notice;
  h.copy_in = [&]() -> std::optional<std::string> {
    return copy_source == nullptr ? std::nullopt : copy_lines(*copy_source, copy_ended);
  };
  h.copy_out = [&](std::string_view bytes) { std::fwrite(bytes.data(), 1, bytes.size(), stdout); };
  const auto begin = std::chrono::steady_clock::now();
  running_connection = connection_.get();
  const bool ok = connection_->run(sql, h);
  running_connection = nullptr;
  if (!ok) failed_ = true;
  if (timing_) {
    const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - begin;
    print_out(fmt::format("Time: {:.3f} ms\n", took.count()));
  }
  return ok;
}

/// :name, :'name', :"name" of variables that exist.
std::string Shell::substitute(const std::string& line) const {
  if (variables_.empty()) return line;
  std::string out;
  for (std::size_t i = 0; i < line.size(); ++i) {
    const bool cast = i + 1 < line.size() && line[i + 1] == ':';
    if (line[i] != ':' || cast || (i > 0 && line[i - 1] == ':')) {
      out += line[i];
      continue;
    }
    const char quote =
        i + 1 < line.size() && (line[i + 1] == '\'' || line[i + 1] == '"') ? line[i + 1] : '\0';
    std::size_t begin = i + 1 + (quote != '\0' ? 1 : 0), end = begin;
    while (end < line.size() &&
           (std::isalnum(static_cast<unsigned char>(line[end])) != 0 || line[end] == '_'))
      ++end;
    const auto it = variables_.find(line.substr(begin, end - begin));
    if (it == variables_.end() || (quote != '\0' && (end >= line.size() || line[end] != quote))) {
      out += line[i];
      continue;
    }
    if (quote != '\0') out += quote;
    for (const char c : it->second) (c == quote&& quote != '\0' ? out += c : out) += c;
    if (quote != '\0') out += quote;
    i = end - (quote != '\0' ? 0 : 1);
  }
  return out;
}

bool Shell::handle_line(const std::string& line, std::istream* input, std::string* for_history) {
  if (splitter_.at_start() || splitter_.state() == '-' || splitter_.state() == '(') {
    const auto first = line.find_first_not_of(" \t");
    if (first != std::string::npos && line[first] == '\\') {
      if (for_history != nullptr) *for_history = line;
      return meta(line.substr(first), input);
    }
  }
  if (splitter_.at_start() && interactive_ &&
      (line == "quit" || line == "exit" || line == "quit;" || line == "exit;")) {
    quit_ = true;
    return true;
  }
  splitter_.add_line(substitute(line));
  bool ok = true;
  while (const auto statement = splitter_.next()) {
    if (for_history != nullptr) *for_history += (for_history->empty() ? "" : " ") + *statement;
    if (!execute(*statement, input)) {
      ok = false;
      if (!interactive_ && variables_.contains("ON_ERROR_STOP")) return false;
    }
  }
  return ok;
}

bool Shell::run_stream(std::istream& in) {
  bool ok = true;
  std::string line;
  while (!quit_ && std::getline(in, line)) {
    if (line.ends_with('\r')) line.pop_back();
    if (handle_line(line, &in, nullptr)) continue;
    ok = false;
    if (variables_.contains("ON_ERROR_STOP") || lost()) {
      splitter_.clear();
      return false;
    }
  }
  if (const auto rest = splitter_.take_rest(); !rest.empty() && !quit_) ok = execute(rest, &in) && ok;
  return ok;
}

bool Shell::run_file(const std::string& path) {
  if (path == "-") return run_stream(standard_input());
  std::ifstream file{path};
  if (!file) {
    complain(fmt::format("{}: {}\n", path, std::strerror(errno)));
    return false;
  }
  if (depth_ == kIncludeDepthMax) {
    complain("\\i: too deep\n");
    return false;
  }
  ++depth_;
  const bool was = std::exchange(interactive_, false);
  const bool ok = run_stream(file);
  interactive_ = was;
  --depth_;
  return ok;
}

bool Shell::run_command(const std::string& text) {
  if (text.starts_with('\\')) return meta(text, nullptr);
  return execute(substitute(text), &standard_input());
}

std::string Shell::prompt() {
  const char status = connection_->status();
  const std::string mark = status == 'T' ? "*" : (status == 'E' ? "!" : (status == 'X' ? "?" : ""));
  return fmt::format("{}{}{}{} ", connection_->database(), splitter_.state(), mark,
                     connection_->user() == "postgres" ? "#" : ">");
}

std::vector<std::string> Shell::complete(const std::string& before, const std::string& word) {
  std::vector<std::string> out;
  if (word.starts_with('\\')) {
    for (const auto m : kMeta)
      if (m.starts_with(word)) out.emplace_back(m);
    return out;
  }
  // No catalog query inside a failed transaction: it would only fail.
  if (!word.empty() && connection_->status() != 'E' && connection_->status() != 'X') {
    std::string quoted;
    for (const char c : word) (c == '\'' ? quoted += c : quoted) += c;
    const auto names =
        query(fmt::format("SELECT c.relname FROM pg_catalog.pg_class c WHERE c.relkind IN ('r','v','S') AND "
                          "pg_catalog.pg_table_is_visible(c.oid) AND substring(c.relname, 1, {}) = '{}' "
                          "AND (c.relnamespace <> 11 OR '{}' LIKE 'pg%') ORDER BY 1 LIMIT 200",
                          word.size(), quoted, quoted));
    if (names)
      for (const auto& r : names->rows)
        if (r[0]) out.push_back(*r[0]);
  }
  for (const auto k : kKeywords)
    if (!word.empty() && starts_with_nocase(k, word)) {
      std::string keyword{k};
      if (std::islower(static_cast<unsigned char>(word[0])) != 0)
        for (auto& c : keyword) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
      out.push_back(std::move(keyword));
    }
  static_cast<void>(before);
  return out;
}

int Shell::interactive() {
  interactive_ = isatty(STDIN_FILENO) != 0;
  LineEditor editor{
      [this](const std::string& before, const std::string& word) { return complete(before, word); }};
  if (!interactive_) return run_stream(standard_input()) ? kOk : kSqlError;
  struct sigaction action {};
  action.sa_handler = &on_interrupt;  // without SA_RESTART: Ctrl-C ends the line being edited
  sigaction(SIGINT, &action, nullptr);
  print_out(fmt::format("rustbd {}, connected to {}. \\? for help, \\q to quit.\n", RUSTBD_VERSION,
                        connection_->place()));
  while (!quit_) {
    const auto line = editor.read(prompt());
    if (!line) break;
    if (editor.interrupted()) {
      splitter_.clear();
      continue;
    }
    std::string entry;
    handle_line(*line, &standard_input(), &entry);
    editor.add_history(entry);
    if (lost()) {
      complain("The connection to the server was lost.\n");
      return kNoConnection;
    }
  }
  return kOk;
}

int run_sql(const SqlOptions& options) {
  std::setlocale(LC_CTYPE, "");
  std::unique_ptr<Connection> connection;
  try {
    connection = options.data.empty() ? connect_to_server(options) : open_directory(options);
  } catch (const Error& e) {
    fmt::print(stderr, "rustbd sql: {}\n", e.message);
    return kNoConnection;
  }
  Shell shell{std::move(connection), options};
  bool ok = true;
  const bool stop = options.variables.contains("ON_ERROR_STOP");
  for (const auto& c : options.commands)
    if (ok || !stop) ok = shell.run_command(c) && ok;
  for (const auto& f : options.files)
    if (ok || !stop) ok = shell.run_file(f) && ok;
  if (options.commands.empty() && options.files.empty()) return shell.interactive();
  if (shell.lost()) return kNoConnection;
  return ok ? kOk : kSqlError;
}

}  // namespace rustbd::cli
