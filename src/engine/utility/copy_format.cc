#include "rustbd/engine/utility/copy_format.h"

#include "rustbd/base/error.h"

namespace rustbd::engine {

namespace {

std::string option_text(const sql::Option& o) {
  if (const auto* l = sql::try_as<sql::Literal>(o.value)) {
    if (l->type == sql::LiteralType::kBoolean) return l->boolean ? "true" : "false";
    return l->type == sql::LiteralType::kInteger ? fmt::format("{}", l->integer) : std::string{l->text};
  }
  if (const auto* t = sql::try_as<sql::TypeName>(o.value)) return std::string{t->name.back()};
  if (o.value == nullptr) return "true";
  throw error(sqlstate::kSyntaxError, "{} requires a parameter", o.name).at(o.location);
}
bool option_bool(const sql::Option& o) {
  const auto t = option_text(o);
  if (t == "true" || t == "on" || t == "1") return true;
  if (t == "false" || t == "off" || t == "0") return false;
  throw error(sqlstate::kSyntaxError, "{} requires a Boolean value", o.name).at(o.location);
}
std::vector<std::string> option_names(const sql::Option& o, bool* all) {
  std::vector<std::string> out;
  for (const auto* v : o.values) {
    const auto* c = sql::try_as<sql::ColumnRef>(v);
    if (c != nullptr && c->star) {
      *all = true;
      continue;
    }
    if (c != nullptr && !c->fields.empty()) out.emplace_back(c->fields.back());
    else if (const auto* l = sql::try_as<sql::Literal>(v)) out.emplace_back(l->text);
  }
  return out;
}
constexpr bool is_octal(char c) { return c >= '0' && c <= '7'; }
int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

/// Backslash sequences of the text form.
std::string unescape(std::string_view in) {
  std::string out;
  out.reserve(in.size());
  for (std::size_t i = 0; i < in.size(); ++i) {
    if (in[i] != '\\' || i + 1 == in.size()) {
      out += in[i];
      continue;
    }
    const char c = in[++i];
    switch (c) {
      case 'b': out += '\b'; break;
      case 'f': out += '\f'; break;
      case 'n': out += '\n'; break;
      case 'r': out += '\r'; break;
      case 't': out += '\t'; break;
      case 'v': out += '\v'; break;
      case 'x': {
        int value = i + 1 < in.size() ? hex_value(in[i + 1]) : -1;
        if (value < 0) {
          out += c;
          break;
        }
        ++i;
        if (i + 1 < in.size() && hex_value(in[i + 1]) >= 0) value = value * 16 + hex_value(in[++i]);
        out += static_cast<char>(value);
        break;
      }
      default:
        if (is_octal(c)) {
          int value = c - '0';
          for (int n = 0; n < 2 && i + 1 < in.size() && is_octal(in[i + 1]); ++n)
            value = value * 8 + (in[++i] - '0');
          out += static_cast<char>(value & 0xFF);
        } else {
          out += c;
        }
    }
  }
  return out;
}

}  // namespace

CopyOptions read_copy_options(const sql::CopyStatement& s) {
  CopyOptions out;
  bool has_delimiter = false, has_null = false, has_quote = false, has_escape = false, all_not_null = false,
       all_null = false;
  for (const auto* o : s.options) {
    if (o->name == "format") {
      const auto f = option_text(*o);
      if (f == "text") out.format = CopyFormat::kText;
      else if (f == "csv") out.format = CopyFormat::kCsv;
      else if (f == "binary") throw not_supported("COPY in binary format").at(o->location);
      else
        throw error(sqlstate::kInvalidParameterValue, "COPY format \"{}\" not recognized", f).at(o->location);
    }
  }
  if (out.format == CopyFormat::kCsv) {
    out.delimiter = ',';
    out.null.clear();
  }
  const auto one_byte = [](const sql::Option& o, std::string_view what) {
    const auto t = option_text(o);
    if (t.size() != 1)
      throw error(sqlstate::kFeatureNotSupported, "COPY {} must be a single one-byte character", what)
          .at(o.location);
    return t[0];
  };
  for (const auto* o : s.options) {
    if (o->name == "format" || o->name == "freeze") {
      if (o->name == "freeze")
        (void)option_bool(*o);  // accepted without effect: there is nothing to freeze by hand
    } else if (o->name == "delimiter") {
      out.delimiter = one_byte(*o, "delimiter");
      has_delimiter = true;
    } else if (o->name == "null") {
      out.null = option_text(*o);
      has_null = true;
    } else if (o->name == "header") {
      const auto t = option_text(*o);
      if (t == "match") throw not_supported("HEADER MATCH").at(o->location);
      out.header = option_bool(*o);
    } else if (o->name == "quote") {
      out.quote = one_byte(*o, "quote");
      has_quote = true;
    } else if (o->name == "escape") {
      out.escape = one_byte(*o, "escape");
      has_escape = true;
    } else if (o->name == "force_quote") out.force_quote = option_names(*o, &out.force_quote_all);
    else if (o->name == "force_not_null") out.force_not_null = option_names(*o, &all_not_null);
    else if (o->name == "force_null") out.force_null = option_names(*o, &all_null);
    else if (o->name == "encoding") {
      const auto e = option_text(*o);
      if (e != "utf8" && e != "UTF8" && e != "utf-8" && e != "UTF-8")
        throw not_supported("COPY encoding {}", e).at(o->location);
    } else {
      throw error(sqlstate::kSyntaxError, "option \"{}\" not recognized", o->name).at(o->location);
    }
  }
  if (has_quote && !has_escape) out.escape = out.quote;
  if (out.format != CopyFormat::kCsv) {
    if (has_quote) throw error(sqlstate::kFeatureNotSupported, "COPY quote available only in CSV mode");
    if (has_escape) throw error(sqlstate::kFeatureNotSupported, "COPY escape available only in CSV mode");
    if (std::string_view{"\\.abcdefghijklmnopqrstuvwxyz0123456789"}.find(out.delimiter) !=
        std::string_view::npos)
      throw error(sqlstate::kInvalidParameterValue, "COPY delimiter cannot be \"{}\"", out.delimiter);
  } else if (out.delimiter == out.quote) {
    throw error(sqlstate::kInvalidParameterValue, "COPY delimiter and quote must be different");
  }
  if (out.delimiter == '\n' || out.delimiter == '\r')
    throw error(sqlstate::kInvalidParameterValue, "COPY delimiter cannot be newline or carriage return");
  if (out.null.find_first_of("\r\n") != std::string::npos)
    throw error(sqlstate::kInvalidParameterValue,
                "COPY null representation cannot use newline or carriage return");
  if (out.null.find(out.delimiter) != std::string::npos)
    throw error(sqlstate::kInvalidParameterValue, "COPY delimiter must not appear in the NULL specification");
  (void)has_delimiter;
  (void)has_null;
  return out;
}

bool CopyReader::next(std::vector<std::optional<std::string>>& fields) {
  if (stopped_) return false;
  return options_.format == CopyFormat::kCsv ? next_csv(fields) : next_text(fields);
}

bool CopyReader::next_text(std::vector<std::optional<std::string>>& fields) {
  // A line ends at a newline that no backslash precedes.
  std::size_t end = position_;
  for (;;) {
    end = buffer_.find('\n', end);
    if (end == std::string::npos) break;
    std::size_t slashes = 0;
    while (end - slashes > position_ && buffer_[end - slashes - 1] == '\\') ++slashes;
    if (slashes % 2 == 0) break;
    ++end;
  }
  if (end == std::string::npos) {
    if (!at_end_ || position_ == buffer_.size()) return false;
    end = buffer_.size();
  }
  std::string_view line{buffer_.data() + position_, end - position_};
  position_ = std::min(end + 1, buffer_.size());
  if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
  ++line_;
  if (line == "\\.") {
    stopped_ = true;
    return false;
  }
  row_ = line;
  fields.clear();
  std::size_t start = 0;
  for (std::size_t i = 0;; ++i) {
    if (i < line.size() && line[i] == '\\') {
      ++i;
      continue;
    }
    if (i >= line.size() || line[i] == options_.delimiter) {
      const auto stop = std::min(i, line.size());
      const auto raw = line.substr(start, stop - start);
      if (raw == options_.null) fields.emplace_back(std::nullopt);
      else fields.emplace_back(raw.find('\\') == std::string_view::npos ? std::string{raw} : unescape(raw));
      start = stop + 1;
      if (i >= line.size()) break;
    }
  }
  return true;
}

bool CopyReader::next_csv(std::vector<std::optional<std::string>>& fields) {
  fields.clear();
  std::size_t i = position_;
  std::string value;
  bool quoted = false, in_quotes = false;
  std::uint64_t lines = 1;
  for (;; ++i) {
    if (i >= buffer_.size()) {
      if (!at_end_) return false;
      if (in_quotes) throw error(sqlstate::kBadCopyFileFormat, "unterminated CSV quoted field");
      if (position_ == buffer_.size()) return false;
      break;
    }
    const char c = buffer_[i];
    if (in_quotes) {
      if (c == options_.escape && i + 1 < buffer_.size() &&
          (buffer_[i + 1] == options_.quote || buffer_[i + 1] == options_.escape)) {
        value += buffer_[++i];
      } else if (c == options_.escape && options_.escape == options_.quote && i + 1 == buffer_.size() &&
                 !at_end_) {
        return false;  // the next piece decides whether this quote is doubled
      } else if (c == options_.quote) {
        in_quotes = false;
      } else {
        if (c == '\n') ++lines;
        value += c;
      }
      continue;
    }
    if (c == options_.quote) {
      in_quotes = quoted = true;
      continue;
    }
    if (c == '\r' && i + 1 == buffer_.size() && !at_end_) return false;
    if (c == options_.delimiter || c == '\n' ||
        (c == '\r' && (i + 1 == buffer_.size() || buffer_[i + 1] == '\n'))) {
      if (!quoted && value == options_.null) fields.emplace_back(std::nullopt);
      else fields.emplace_back(std::move(value));
      value.clear();
      quoted = false;
      if (c == options_.delimiter) continue;
      if (c == '\r' && i + 1 < buffer_.size()) ++i;
      row_ = std::string_view{buffer_}.substr(position_, i - position_);
      while (!row_.empty() && (row_.back() == '\r' || row_.back() == '\n')) row_.pop_back();
      position_ = i + 1;
      line_ += lines;
      if (fields.size() == 1 && row_ == "\\.") {
        stopped_ = true;
        return false;
      }
      return true;
    }
    value += c;
  }
  if (!quoted && value == options_.null) fields.emplace_back(std::nullopt);
  else fields.emplace_back(std::move(value));
  row_ = std::string_view{buffer_}.substr(position_);
  position_ = buffer_.size();
  line_ += lines;
  return true;
}

void write_copy_value(const CopyOptions& o, const std::string* value, bool force_quote, bool only_column,
                      std::string& out) {
  if (value == nullptr) {
    out += o.null;
    return;
  }
  if (o.format == CopyFormat::kCsv) {
    const bool needs =
        force_quote || *value == o.null || (only_column && *value == "\\.") ||
        value->find_first_of(std::string{o.delimiter, o.quote, '\n', '\r'}) != std::string::npos;
    if (!needs) {
      out += *value;
      return;
    }
    out += o.quote;
    for (char c : *value) {
      if (c == o.quote || c == o.escape) out += o.escape;
      out += c;
    }
    out += o.quote;
    return;
  }
  for (char c : *value) {
    switch (c) {
      case '\b': out += "\\b"; break;
      case '\f': out += "\\f"; break;
      case '\n': out += "\\n"; break;
      case '\r': out += "\\r"; break;
      case '\t': out += "\\t"; break;
      case '\v': out += "\\v"; break;
      case '\\': out += "\\\\"; break;
      default:
        if (c == o.delimiter) out += '\\';
        out += c;
    }
  }
}

}  // namespace rustbd::engine
