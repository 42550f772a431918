#include "rustbd/cli/table_printer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cwchar>

#include "rustbd/types/io.h"
#include "rustbd/types/type.h"

namespace rustbd::cli {

namespace {
namespace oid = types::oid;

bool is_number(unsigned type) {
  switch (type) {
    case oid::kInt2:
    case oid::kInt4:
    case oid::kInt8:
    case oid::kFloat4:
    case oid::kFloat8:
    case oid::kNumeric:
    case oid::kOid:
    case oid::kXid:
    case oid::kCid:
    case oid::kMoney: return true;
    default: return false;
  }
}

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> out;
  for (;;) {
    const auto newline = text.find('\n');
    out.push_back(text.substr(0, newline));
    if (newline == std::string_view::npos) return out;
    text.remove_prefix(newline + 1);
  }
}
std::string pad(std::string_view text, std::size_t width, char align) {
  const auto used = display_width(text);
  const auto room = width > used ? width - used : 0;
  const auto left = align == '>' ? room : (align == '^' ? room / 2 : 0);
  return std::string(left, ' ') + std::string{text} + std::string(room - left, ' ');
}
void trim_end(std::string& out) {
  while (out.ends_with(' ')) out.pop_back();
}

std::string print_table(const ResultTable& t, const PrintOptions& o) {
  const auto columns = t.names.size();
  std::vector<std::size_t> width(columns);
  for (std::size_t c = 0; c < columns; ++c) {
    width[c] = display_width(t.names[c]);
    for (const auto& row : t.rows)
      if (row[c])
        for (const auto line : lines_of(*row[c])) width[c] = std::max(width[c], display_width(line));
  }
  std::string out;
  std::size_t total = 0;
  for (const auto w : width) total += w + 3;
  if (!o.title.empty()) {
    std::string title = pad(o.title, total > 0 ? total - 1 : 0, '^');
    trim_end(title);
    out += title + "\n";
  }
  for (std::size_t c = 0; c < columns; ++c)
    out += (c == 0 ? " " : "| ") + pad(t.names[c], width[c], '^') + " ";
  if (columns > 0) {
    out += '\n';
    for (std::size_t c = 0; c < columns; ++c) out += (c == 0 ? "" : "+") + std::string(width[c] + 2, '-');
  } else {
    out += "--";
  }
  out += '\n';
  for (const auto& row : t.rows) {
    std::vector<std::vector<std::string_view>> cells(columns);
    std::size_t height = 1;
    for (std::size_t c = 0; c < columns; ++c) {
      cells[c] = row[c] ? lines_of(*row[c]) : std::vector<std::string_view>{""};
      height = std::max(height, cells[c].size());
    }
    for (std::size_t line = 0; line < height; ++line) {
      for (std::size_t c = 0; c < columns; ++c) {
        const auto text = line < cells[c].size() ? cells[c][line] : std::string_view{};
        const bool last = c + 1 == columns, more = line + 1 < cells[c].size();
        out += c == 0 ? " " : "| ";
        const char align = is_number(t.types[c]) ? '>' : '<';
        const bool unpadded = last && !more && (align == '<' || line >= cells[c].size());
        out += unpadded ? std::string{text} : pad(text, width[c], align);
        if (more) out += '+';
        else if (!last) out += ' ';
      }
      out += '\n';
    }
  }
  if (o.footer) out += t.rows.size() == 1 ? "(1 row)\n" : fmt::format("({} rows)\n", t.rows.size());
  return out;
}

std::string print_vertical(const ResultTable& t) {
  if (t.rows.empty()) return "(0 rows)\n";
  std::size_t name_width = 0, value_width = 0;
  for (const auto& n : t.names) name_width = std::max(name_width, display_width(n));
  for (const auto& row : t.rows)
    for (const auto& v : row)
      if (v)
        for (const auto line : lines_of(*v)) value_width = std::max(value_width, display_width(line));
  std::string out;
  for (std::size_t r = 0; r < t.rows.size(); ++r) {
    auto head = fmt::format("-[ RECORD {} ]", r + 1);
    for (std::size_t i = head.size(); i < name_width + value_width + 3; ++i)
      head += i == name_width + 1 ? '+' : '-';
    out += head + "\n";
    for (std::size_t c = 0; c < t.names.size(); ++c) {
      const auto lines = t.rows[r][c] ? lines_of(*t.rows[r][c]) : std::vector<std::string_view>{""};
      for (std::size_t i = 0; i < lines.size(); ++i) {
        out += fmt::format("{} | {}",
                           pad(i == 0 ? std::string_view{t.names[c]} : std::string_view{}, name_width, '<'),
                           lines[i]);
        trim_end(out);
        out += '\n';
      }
    }
  }
  return out;
}

std::string csv_field(const std::optional<std::string>& value) {
  if (!value) return {};
  if (!value->empty() && value->find_first_of(",\"\r\n") == std::string::npos) return *value;
  std::string out = "\"";
  for (const char c : *value) (c == '"' ? out += '"' : out) += c;
  return out + '"';
}
std::string print_csv(const ResultTable& t) {
  std::string out;
  const auto line = [&](const auto& fields, const auto& text_of) {
    for (std::size_t i = 0; i < fields.size(); ++i) out += (i == 0 ? "" : ",") + text_of(fields[i]);
    out += '\n';
  };
  line(t.names, [](const std::string& n) { return csv_field(n); });
  for (const auto& row : t.rows) line(row, csv_field);
  return out;
}

std::string json_text(std::string_view s) {
  std::string out = "\"";
  for (const char c : s) {
    switch (c) {
      case '"': out += "\\\""; break;
      case '\\': out += "\\\\"; break;
      case '\n': out += "\\n"; break;
      case '\r': out += "\\r"; break;
      case '\t': out += "\\t"; break;
      default:
        if (static_cast<unsigned char>(c) < 0x20) out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
        else out += c;
    }
  }
  return out + '"';
}
std::string json_value(const std::optional<std::string>& value, unsigned type) {
  if (!value) return "null";
  if (type == oid::kBool) return *value == "t" ? "true" : "false";
  if (type == oid::kJson || type == oid::kJsonb) return *value;
  // NaN and infinities are no JSON numbers.
  if (is_number(type) && type != oid::kMoney &&
      value->find_first_not_of("0123456789+-.eE") == std::string::npos)
    return *value;
  return json_text(*value);
}
std::string print_json(const ResultTable& t) {
  std::string out = "[";
  for (std::size_t r = 0; r < t.rows.size(); ++r) {
    out += r == 0 ? "{" : ",\n {";
    for (std::size_t c = 0; c < t.names.size(); ++c)
      out += fmt::format("{}{}:{}", c == 0 ? "" : ",", json_text(t.names[c]),
                         json_value(t.rows[r][c], t.types[c]));
    out += '}';
  }
  return out + "]\n";
}
}  // namespace

std::size_t display_width(std::string_view text) {
  std::size_t width = 0;
  std::mbstate_t state{};
  while (!text.empty()) {
    wchar_t wide = 0;
    const auto n = std::mbrtowc(&wide, text.data(), text.size(), &state);
    if (n == 0 || n > text.size()) {  // a zero or malformed byte: one column
      state = {};
      ++width;
      text.remove_prefix(1);
      continue;
    }
    const int columns = wcwidth(wide);
    width += columns > 0 ? static_cast<std::size_t>(columns) : 0;
    text.remove_prefix(n);
  }
  return width;
}

std::string print_result(const ResultTable& table, const PrintOptions& options) {
  switch (options.format) {
    case OutputFormat::kTable: return print_table(table, options);
    case OutputFormat::kVertical: return print_vertical(table);
    case OutputFormat::kCsv: return print_csv(table);
    case OutputFormat::kJson: return print_json(table);
  }
  return {};
}

std::string print_error(const ShellError& e, std::string_view statement) {
  std::string out = fmt::format("{}:  {}\n", e.severity, e.message);
  if (e.position > 0 && !statement.empty()) {
    const auto at = types::utf8_prefix_bytes(statement, static_cast<std::size_t>(e.position - 1));
    const auto before = statement.substr(0, at);
    const auto line_begin = before.rfind('\n') == std::string_view::npos ? 0 : before.rfind('\n') + 1;
    const auto line_number = 1 + std::count(before.begin(), before.end(), '\n');
    const auto line_end = std::min(statement.find('\n', line_begin), statement.size());
    const auto head = fmt::format("LINE {}: ", line_number);
    out += fmt::format("{}{}\n", head, statement.substr(line_begin, line_end - line_begin));
    out +=
        std::string(head.size() + display_width(statement.substr(line_begin, at - line_begin)), ' ') + "^\n";
  }
  if (!e.detail.empty()) out += fmt::format("DETAIL:  {}\n", e.detail);
  if (!e.hint.empty()) out += fmt::format("HINT:  {}\n", e.hint);
  if (!e.where.empty()) out += fmt::format("CONTEXT:  {}\n", e.where);
  return out;
}

}  // namespace rustbd::cli
