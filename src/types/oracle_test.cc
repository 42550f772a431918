// Compares input, output, numeric arithmetic and date functions with the answers of a PostgreSQL 15 in
// testdata/*.tsv.
#include <gtest/gtest.h>

#include <fstream>

#include "rustbd/base/error.h"
#include "rustbd/types/array.h"
#include "rustbd/types/datetime.h"
#include "rustbd/types/io.h"
#include "rustbd/types/numeric.h"

namespace rustbd::types {
namespace {

using Row = std::vector<std::string>;

std::string unescape(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\' || i + 1 == text.size()) {
      out += text[i];
      continue;
    }
    switch (text[++i]) {
      case 't': out += '\t'; break;
      case 'n': out += '\n'; break;
      case 'N': out += "\\N"; break;
      default: out += text[i];
    }
  }
  return out;
}
std::vector<Row> rows_of(const std::string& name) {
  std::ifstream in{std::string{RUSTBD_SOURCE_DIR} + "/src/types/testdata/" + name};
  std::vector<Row> rows;
  for (std::string line; std::getline(in, line);) {
    Row row;
    std::size_t start = 0;
    for (std::size_t tab; (tab = line.find('\t', start)) != std::string::npos; start = tab + 1)
      row.push_back(unescape(std::string_view{line}.substr(start, tab - start)));
    row.push_back(unescape(std::string_view{line}.substr(start)));
    rows.push_back(std::move(row));
  }
  return rows;
}

template <class Fn>
std::string answer_of(Fn&& fn) {
  try {
    return fn();
  } catch (const Error& e) {
    return fmt::format("!{} {}", e.state.text(), e.message);
  }
}

/// "ISO, MDY;postgres;UTC"
FormatSettings settings_of(const std::string& text) {
  FormatSettings s;
  if (text.empty()) return s;
  const std::size_t a = text.find(';'), b = text.find(';', a + 1);
  const std::string date = text.substr(0, a), interval = text.substr(a + 1, b - a - 1);
  s.date_style = date.starts_with("SQL")        ? DateStyle::kSql
                 : date.starts_with("Postgres") ? DateStyle::kPostgres
                 : date.starts_with("German")   ? DateStyle::kGerman
                                                : DateStyle::kIso;
  s.date_order = date.ends_with("DMY")   ? DateOrder::kDmy
                 : date.ends_with("YMD") ? DateOrder::kYmd
                                         : DateOrder::kMdy;
  s.interval_style = interval == "postgres_verbose" ? IntervalStyle::kPostgresVerbose
                     : interval == "sql_standard"   ? IntervalStyle::kSqlStandard
                     : interval == "iso_8601"       ? IntervalStyle::kIso8601
                                                    : IntervalStyle::kPostgres;
  s.time_zone = TimeZone::find(text.substr(b + 1));
  return s;
}

/// "numeric(5,2)", "interval year to month", "int4[]"
TypeRef type_of(std::string text) {
  const bool array = text.ends_with("[]");
  if (array) text.resize(text.size() - 2);
  std::vector<int> modifiers;
  const std::size_t paren = text.find('(');
  std::string name = text;
  if (paren != std::string::npos) {
    name = text.substr(0, paren);
    std::string_view rest{text};
    rest.remove_prefix(paren + 1);
    for (std::size_t i = 0; i < rest.size();) {
      modifiers.push_back(std::stoi(std::string{rest.substr(i)}));
      i = rest.find(',', i);
      if (i == std::string_view::npos) break;
      ++i;
    }
  }
  if (name.starts_with("interval")) {
    static const std::map<std::string, int> kRanges = {
        {"interval", kIntervalFullRange},
        {"interval year", kIntervalYear},
        {"interval hour", kIntervalHour},
        {"interval year to month", kIntervalYear | kIntervalMonth},
        {"interval second", kIntervalSecond},
        {"interval day to hour", kIntervalDay | kIntervalHour},
        {"interval minute to second", kIntervalMinute | kIntervalSecond}};
    const int range = kRanges.at(name);
    if (name != "interval" || !modifiers.empty()) modifiers.insert(modifiers.begin(), range);
    name = "interval";
  }
  const Oid base = find_type(name)->oid;
  const std::int32_t typmod = modifiers.empty() ? -1 : typmod_in(base, modifiers);
  return make_type(array ? array_type_of(base) : base, typmod);
}

TEST(Oracle, InputAndOutput) {
  const auto rows = rows_of("io.tsv");
  ASSERT_GT(rows.size(), 1000u);
  for (const Row& row : rows) {
    ASSERT_EQ(row.size(), 4u);
    Arena arena;
    IoContext context{settings_of(row[0]), nullptr, &arena};
    const TypeRef type = type_of(row[1]);
    const std::string got = answer_of([&] {
      std::string out;
      output_text(input_text(row[2], type, context), type, context, out);
      return type.oid == oid::kBool ? (out == "t" ? "true" : "false") : out;
    });
    EXPECT_EQ(got, row[3]) << row[0] << " | " << row[1] << " | " << row[2];
    if (got.starts_with('!') || !has_binary_form(type.oid)) continue;
    // What binary send writes, receive reads.
    const Datum value = input_text(row[2], type, context);
    std::string bytes, again;
    output_binary(value, type, context, bytes);
    output_text(input_binary(as_bytes(bytes), type, context), type, context, again);
    EXPECT_EQ(type.oid == oid::kBool ? (again == "t" ? "true" : "false") : again, got)
        << "binary " << row[1] << row[2];
  }
}

std::string numeric_call(const std::string& op, const std::string& x, const std::string& y) {
  Arena arena;
  if (op == "from8") return to_string(numeric_from_double(parse_float8(x), arena));
  if (op == "from4") return to_string(numeric_from_float(static_cast<float>(parse_float8(x)), arena));
  const Numeric a = parse_numeric(x, arena);
  const bool scale = op == "round" || op == "trunc";
  const Numeric b = y.empty() || scale ? Numeric{} : parse_numeric(y, arena);
  std::string out;
  if (op == "round") return to_string(round(a, std::stoi(y), arena));
  if (op == "trunc") return to_string(trunc(a, std::stoi(y), arena));
  if (op == "+") return to_string(add(a, b, arena));
  if (op == "-") return to_string(subtract(a, b, arena));
  if (op == "*") return to_string(multiply(a, b, arena));
  if (op == "/") return to_string(divide(a, b, arena));
  if (op == "%") return to_string(modulo(a, b, arena));
  if (op == "div") return to_string(divide_truncated(a, b, arena));
  if (op == "cmp") {
    if (compare(a, b) == 0) {
      EXPECT_EQ(hash(a), hash(b)) << x << " " << y;
    }
    return std::to_string(compare(a, b));
  }
  if (op == "power") return to_string(power(a, b, arena));
  if (op == "log") return to_string(log(a, b, arena));
  if (op == "sqrt") return to_string(sqrt(a, arena));
  if (op == "exp") return to_string(exp(a, arena));
  if (op == "ln") return to_string(ln(a, arena));
  if (op == "ceil") return to_string(ceil(a, arena));
  if (op == "floor") return to_string(floor(a, arena));
  if (op == "abs") return to_string(absolute(a));
  if (op == "sign") return to_string(sign(a));
  if (op == "min_scale") return is_finite(a) ? std::to_string(min_scale(a)) : "\\N";
  if (op == "trim_scale") return to_string(trim_scale(a, arena));
  if (op == "gcd") return to_string(gcd(a, b, arena));
  if (op == "lcm") return to_string(lcm(a, b, arena));
  if (op == "int2") return std::to_string(numeric_to_int16(a));
  if (op == "int4") return std::to_string(numeric_to_int32(a));
  if (op == "int8") return std::to_string(numeric_to_int64(a));
  if (op == "float8") {
    append_float8(numeric_to_double(a), 1, out);
    return out;
  }
  if (op == "float4") {
    append_float4(numeric_to_float(a), 1, out);
    return out;
  }
  return "no such case: " + op;
}

TEST(Oracle, Numeric) {
  const auto rows = rows_of("numeric.tsv");
  ASSERT_GT(rows.size(), 5000u);
  for (const Row& row : rows) {
    ASSERT_EQ(row.size(), 4u);
    EXPECT_EQ(answer_of([&] { return numeric_call(row[0], row[1], row[2]); }), row[3])
        << row[0] << " " << row[1] << " " << row[2];
  }
}

class Calls {
 public:
  explicit Calls(const FormatSettings& s) : s_(s) {}
  std::string run(const std::string& f, const std::string& a, const std::string& b) {
    const TimeZone& zone = zone_of(s_);
    if (f == "extract_ts") return field([&](Numeric* n) { return extract_timestamp(a, ts(b), arena_, n); });
    if (f == "extract_tz")
      return field([&](Numeric* n) { return extract_timestamptz(a, tz(b), zone, arena_, n); });
    if (f == "extract_date")
      return field([&](Numeric* n) { return extract_date(a, parse_date(b, s_), arena_, n); });
    if (f == "extract_iv") return field([&](Numeric* n) { return extract_interval(a, iv(b), arena_, n); });
    if (f == "trunc_ts") return show_ts(date_trunc(a, ts(b)));
    if (f == "trunc_tz") return show_tz(date_trunc_tz(a, tz(b), zone));
    if (f == "trunc_iv") return show(date_trunc(a, iv(b)));
    if (f == "ts_add") return show_ts(timestamp_add(ts(a), iv(b)));
    if (f == "tz_add") return show_tz(timestamptz_add(tz(a), iv(b), zone));
    if (f == "ts_sub") return show(timestamp_subtract(ts(a), ts(b)));
    if (f == "age") return show(age(ts(a), ts(b)));
    if (f == "justify_hours") return show(justify_hours(iv(a)));
    if (f == "justify_days") return show(justify_days(iv(a)));
    if (f == "justify_interval") return show(justify_interval(iv(a)));
    if (f == "iv_mul") return show(interval_multiply(iv(a), std::stod(b)));
    if (f == "iv_div") return show(interval_divide(iv(a), std::stod(b)));
    if (f == "at_zone_tz") return show_ts(timestamptz_at_zone(tz(b), resolve_zone(a)));
    if (f == "at_zone_ts") return show_tz(timestamp_at_zone(ts(b), resolve_zone(a)));
    return "no such case: " + f;
  }

 private:
  std::int64_t ts(const std::string& t) { return parse_timestamp(t, -1, s_); }
  std::int64_t tz(const std::string& t) { return parse_timestamptz(t, -1, s_); }
  Interval iv(const std::string& t) { return parse_interval(t, -1, s_); }
  template <class Fn>
  std::string field(Fn&& fn) {
    Numeric n;
    return fn(&n) ? to_string(n) : "\\N";
  }
  std::string show_ts(std::int64_t t) {
    std::string out;
    append_timestamp(t, s_, out);
    return out;
  }
  std::string show_tz(std::int64_t t) {
    std::string out;
    append_timestamptz(t, s_, out);
    return out;
  }
  std::string show(const Interval& v) {
    std::string out;
    append_interval(v, s_, out);
    return out;
  }
  FormatSettings s_;
  Arena arena_;
};

TEST(Oracle, DateFunctions) {
  const auto rows = rows_of("calls.tsv");
  ASSERT_GT(rows.size(), 500u);
  for (const Row& row : rows) {
    const std::string b = row.size() > 4 ? row[3] : "";
    EXPECT_EQ(answer_of([&] { return Calls{settings_of(row[0])}.run(row[1], row[2], b); }), row.back())
        << row[1] << " " << row[2] << " " << b;
  }
}

}  // namespace
}  // namespace rustbd::types
