// Backslash commands. What they show comes from catalog queries through the ordinary path.
#include <fmt/format.h>

#include <fstream>
#include <istream>

#include "rustbd/cli/commands.h"
#include "rustbd/cli/shell.h"

namespace rustbd::cli {

std::string quote(std::string_view text) {
  std::string out = "'";
  for (const char c : text) (c == '\'' ? out += c : out) += c;
  return out + "'";
}

namespace {

constexpr std::string_view kHelp =
    "\\d [NAME]        tables, views, sequences; or one of them in detail\n"
    "\\dt \\di \\dv \\ds  tables, indexes, views, sequences      [PATTERN with * and ?]\n"
    "\\dn \\du \\l       schemas, roles, databases\n"
    "\\x               one field a line, on and off\n"
    "\\timing          show how long statements take, on and off\n"
    "\\i FILE          run a file\n"
    "\\copy T FROM|TO FILE [WITH (...)]   COPY with a file on this side\n"
    "\\set NAME VALUE  set a variable (:NAME in statements)\n"
    "\\g \\p \\r         run, print, forget what has been typed\n"
    "\\conninfo \\echo \\? \\q\n";

/// psql's pattern as a regular expression: * any text, ? one character; folded to lower case outside double
/// quotes.
std::string pattern_to_regex(std::string_view pattern) {
  std::string out = "^(";
  bool quoted = false;
  for (const char c : pattern) {
    if (c == '"') quoted = !quoted;
    else if (!quoted && c == '*') out += ".*";
    else if (!quoted && c == '?') out += '.';
    else if (std::string_view{"|+()[]{}.^$\\*?"}.find(c) != std::string_view::npos) (out += '\\') += c;
    else out += quoted ? c : static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  return out + ")$";
}
/// Conditions on schema n and name c.relname for "name" or "schema.name".
std::string name_condition(const std::string& pattern) {
  if (pattern.empty())
    return " AND n.nspname <> 'pg_catalog' AND n.nspname !~ '^pg_toast' AND n.nspname <> "
           "'information_schema' AND pg_catalog.pg_table_is_visible(c.oid)";
  const auto dot = pattern.find('.');
  if (dot == std::string::npos)
    return fmt::format(" AND c.relname OPERATOR(pg_catalog.~) {} AND pg_catalog.pg_table_is_visible(c.oid)",
                       quote(pattern_to_regex(pattern)));
  return fmt::format(" AND n.nspname OPERATOR(pg_catalog.~) {} AND c.relname OPERATOR(pg_catalog.~) {}",
                     quote(pattern_to_regex(pattern.substr(0, dot))),
                     quote(pattern_to_regex(pattern.substr(dot + 1))));
}
std::string cell(const ResultTable& t, std::size_t row, std::size_t column) {
  return t.rows[row][column].value_or("");
}
}  // namespace

bool Shell::list(const std::string& title, const std::string& sql) {
  const auto t = query(sql);
  if (!t) return false;
  auto options = print_;
  options.title = title;
  print_out(print_result(*t, options));
  return true;
}

bool Shell::list_relations(const std::string& kinds, const std::string& title, const std::string& pattern) {
  const bool indexes = kinds == "'i'";
  const auto t =
      query(fmt::format("SELECT n.nspname AS \"Schema\", c.relname AS \"Name\", "
                        "CASE c.relkind WHEN 'r' THEN 'table' WHEN 'v' THEN 'view' WHEN 'i' THEN 'index' "
                        "WHEN 'S' THEN 'sequence' ELSE c.relkind::text END AS \"Type\", "
                        "pg_catalog.pg_get_userbyid(c.relowner) AS \"Owner\"{} FROM pg_catalog.pg_class c "
                        "LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace{} "
                        "WHERE c.relkind IN ({}){} ORDER BY 1, 2",
                        indexes ? ", t.relname AS \"Table\"" : "",
                        indexes ? " LEFT JOIN pg_catalog.pg_index i ON i.indexrelid = c.oid LEFT JOIN "
                                  "pg_catalog.pg_class t ON t.oid = i.indrelid"
                                : "",
                        kinds, name_condition(pattern)));
  if (!t) return false;
  if (t->rows.empty()) {
    complain((pattern.empty() ? "Did not find any relations.\n"
                              : fmt::format("Did not find any relation named \"{}\".\n", pattern)));
    return true;
  }
  auto options = print_;
  options.title = title;
  print_out(print_result(*t, options));
  return true;
}

bool Shell::describe(const std::string& pattern) {
  const auto found = query(
      "SELECT c.oid, n.nspname, c.relname, c.relkind FROM pg_catalog.pg_class c LEFT JOIN "
      "pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
      "WHERE c.relkind IN ('r','v','S','i')" +
      name_condition(pattern) + " ORDER BY 2, 3");
  if (!found) return false;
  if (found->rows.empty()) {
    complain(fmt::format("Did not find any relation named \"{}\".\n", pattern));
    return false;
  }
  for (std::size_t i = 0; i < found->rows.size(); ++i)
    if (!describe_relation(*found, i)) return false;
  return true;
}

bool Shell::describe_relation(const ResultTable& found, std::size_t row) {
  const auto id = cell(found, row, 0), kind = cell(found, row, 3);
  const auto columns = query(fmt::format(
      "SELECT a.attname AS \"Column\", pg_catalog.format_type(a.atttypid, a.atttypmod) AS \"Type\", CASE "
      "WHEN a.attnotnull THEN 'not null' ELSE '' END AS \"Nullable\", "
      "coalesce(CASE a.attidentity WHEN 'a' THEN 'generated always as identity' WHEN 'd' THEN 'generated by "
      "default as identity' END, "
      "pg_catalog.pg_get_expr(d.adbin, d.adrelid), '') AS \"Default\" FROM pg_catalog.pg_attribute a "
      "LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum WHERE a.attrelid = "
      "{} AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum",
      id));
  if (!columns) return false;
  auto options = print_;
  const std::string_view what =
      kind == "r" ? "Table" : (kind == "v" ? "View" : (kind == "i" ? "Index" : "Sequence"));
  options.title = fmt::format("{} \"{}.{}\"", what, cell(found, row, 1), cell(found, row, 2));
  options.footer = false;
  print_out(print_result(*columns, options));
  const auto section = [&](std::string_view title, const std::string& sql) {
    const auto t = query(sql);
    if (t && !t->rows.empty()) {
      std::string text = fmt::format("{}:\n", title);
      for (std::size_t i = 0; i < t->rows.size(); ++i) text += fmt::format("    {}\n", cell(*t, i, 0));
      print_out(text);
    }
    return t.has_value();
  };
  bool ok = true;
  if (kind == "r") {
    ok = section("Indexes",
                 fmt::format("SELECT '\"' || c.relname || '\"' || CASE WHEN i.indisprimary THEN ' PRIMARY "
                             "KEY,' WHEN i.indisunique THEN ' UNIQUE,' ELSE '' END || ' ' || "
                             "regexp_replace(pg_catalog.pg_get_indexdef(i.indexrelid), '^.* USING ', '') "
                             "FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid "
                             "WHERE i.indrelid = {} ORDER BY i.indisprimary DESC, c.relname",
                             id)) &&
         section(
             "Check constraints",
             fmt::format("SELECT '\"' || conname || '\"' || ' ' || pg_catalog.pg_get_constraintdef(oid) FROM "
                         "pg_catalog.pg_constraint WHERE conrelid = {} AND contype = 'c' ORDER BY conname",
                         id)) &&
         section(
             "Foreign-key constraints",
             fmt::format("SELECT '\"' || conname || '\"' || ' ' || pg_catalog.pg_get_constraintdef(oid) FROM "
                         "pg_catalog.pg_constraint WHERE conrelid = {} AND contype = 'f' ORDER BY conname",
                         id)) &&
         section("Referenced by",
                 fmt::format("SELECT 'TABLE \"' || r.relname || '\" CONSTRAINT \"' || c.conname || '\"' || ' "
                             "' || pg_catalog.pg_get_constraintdef(c.oid) "
                             "FROM pg_catalog.pg_constraint c JOIN pg_catalog.pg_class r ON r.oid = "
                             "c.conrelid WHERE c.confrelid = {} AND c.contype = 'f' ORDER BY c.conname",
                             id));
  } else if (kind == "v") {
    ok = section("View definition", fmt::format("SELECT pg_catalog.pg_get_viewdef({}::pg_catalog.oid)", id));
  }
  print_out("\n");
  return ok;
}

/// \copy TABLE [(COLUMNS)] FROM|TO 'FILE' [options]   and   \copy (QUERY) TO 'FILE'
bool Shell::copy_file(const std::string& arguments) {
  int depth = 0;
  std::size_t at = std::string::npos;
  bool from = false;
  for (std::size_t i = 0; i < arguments.size() && at == std::string::npos; ++i) {
    if (arguments[i] == '(') ++depth;
    if (arguments[i] == ')') --depth;
    if (depth != 0 || (i > 0 && arguments[i - 1] != ' ' && arguments[i - 1] != ')')) continue;
    const auto word = arguments.substr(i, 5);
    if (strncasecmp(word.c_str(), "from ", 5) == 0) at = i, from = true;
    else if (strncasecmp(word.c_str(), "to ", 3) == 0) at = i;
  }
  if (at == std::string::npos) {
    complain("\\copy: expected FROM or TO and a file\n");
    return false;
  }
  auto begin = arguments.find_first_not_of(' ', at + (from ? 5 : 3));
  if (begin == std::string::npos) return false;
  const char delimiter = arguments[begin] == '\'' || arguments[begin] == '"' ? arguments[begin++] : ' ';
  const auto end = std::min(arguments.find(delimiter, begin), arguments.size());
  const auto path = arguments.substr(begin, end - begin);
  const auto options = end + 1 < arguments.size() ? arguments.substr(end + 1) : std::string{};
  const auto sql =
      fmt::format("COPY {} {} {}", arguments.substr(0, at), from ? "FROM STDIN" : "TO STDOUT", options);
  std::fstream file{
      path, from ? std::ios::in | std::ios::binary : std::ios::out | std::ios::binary | std::ios::trunc};
  if (!file) {
    complain(fmt::format("{}: could not be opened\n", path));
    return false;
  }
  AnswerHandler h;
  h.result = [&](const ResultTable& t) { print_out(t.tag + "\n"); };
  h.notice = [&](const ShellError& e) { complain(print_error(e, sql)); };
  h.failure = h.notice;
  h.copy_in = [&]() -> std::optional<std::string> {
    std::string piece(64 << 10, '\0');
    file.read(piece.data(), static_cast<std::streamsize>(piece.size()));
    piece.resize(static_cast<std::size_t>(file.gcount()));
    return piece.empty() ? std::nullopt : std::optional{std::move(piece)};
  };
  h.copy_out = [&](std::string_view bytes) {
    file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  };
  return connection_->run(sql, h);
}

bool Shell::meta(const std::string& line, std::istream* input) {
  const auto space = std::min(line.find_first_of(" \t"), line.size());
  const auto command = line.substr(1, space - 1);
  auto argument = line.substr(std::min(line.find_first_not_of(" \t", space), line.size()));
  while (argument.ends_with(' ') || (argument.ends_with(';') && command != "echo")) argument.pop_back();
  const auto name = command.ends_with('+') ? command.substr(0, command.size() - 1) : command;
  if (name == "q") return quit_ = true;
  if (name == "?" || name == "h") return print_out(std::string{kHelp}), true;
  if (name == "d")
    return argument.empty() ? list_relations("'r','v','S'", "List of relations", "") : describe(argument);
  if (name == "dt") return list_relations("'r'", "List of relations", argument);
  if (name == "di") return list_relations("'i'", "List of relations", argument);
  if (name == "dv") return list_relations("'v'", "List of relations", argument);
  if (name == "ds") return list_relations("'S'", "List of relations", argument);
  if (name == "dn")
    return list("List of schemas",
                "SELECT n.nspname AS \"Name\", pg_catalog.pg_get_userbyid(n.nspowner) AS \"Owner\" FROM "
                "pg_catalog.pg_namespace n "
                "WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' ORDER BY 1");
  if (name == "du")
    return list("List of roles",
                "SELECT rolname AS \"Role name\", concat_ws(', ', CASE WHEN rolsuper THEN 'Superuser' END, "
                "CASE WHEN rolcreaterole THEN 'Create role' END, "
                "CASE WHEN rolcreatedb THEN 'Create DB' END, CASE WHEN NOT rolcanlogin THEN 'Cannot login' "
                "END) AS \"Attributes\" FROM pg_catalog.pg_roles ORDER BY 1");
  if (name == "l")
    return list("List of databases",
                "SELECT d.datname AS \"Name\", pg_catalog.pg_get_userbyid(d.datdba) AS \"Owner\", "
                "pg_catalog.pg_encoding_to_char(d.encoding) AS \"Encoding\", "
                "d.datcollate AS \"Collate\" FROM pg_catalog.pg_database d ORDER BY 1");
  if (name == "x") {
    expanded_ = argument.empty() ? print_.format != OutputFormat::kVertical : argument == "on";
    print_.format = expanded_ ? OutputFormat::kVertical : OutputFormat::kTable;
    return print_out(fmt::format("Expanded display is {}.\n", expanded_ ? "on" : "off")), true;
  }
  if (name == "timing") {
    timing_ = argument.empty() ? !timing_ : argument == "on";
    return print_out(fmt::format("Timing is {}.\n", timing_ ? "on" : "off")), true;
  }
  if (name == "i" || name == "include") return run_file(argument);
  if (name == "copy") return copy_file(argument);
  if (name == "echo") return print_out(argument + "\n"), true;
  if (name == "set") {
    const auto split = std::min(argument.find(' '), argument.size());
    variables_[argument.substr(0, split)] = argument.substr(std::min(split + 1, argument.size()));
    return true;
  }
  if (name == "conninfo")
    return print_out(fmt::format("You are connected to database \"{}\" as user \"{}\" on {}.\n",
                                 connection_->database(), connection_->user(), connection_->place())),
           true;
  if (name == "g") {
    const auto text = splitter_.take_rest();
    return text.empty() || execute(text, input);
  }
  if (name == "p")
    return print_out(splitter_.pending() + (splitter_.pending().ends_with('\n') ? "" : "\n")), true;
  if (name == "r") return splitter_.clear(), print_out("Query buffer reset (cleared).\n"), true;
  complain(fmt::format("invalid command \\{}\nTry \\? for help.\n", command));
  return false;
}

}  // namespace rustbd::cli
