#include <gtest/gtest.h>

#include "rustbd/cli/statement_splitter.h"
#include "rustbd/cli/table_printer.h"
#include "rustbd/types/type.h"

namespace rustbd::cli {
namespace {

std::vector<std::string> split(std::string_view text, std::string* rest = nullptr) {
  StatementSplitter s;
  std::vector<std::string> out;
  while (!text.empty()) {
    const auto newline = std::min(text.find('\n'), text.size());
    s.add_line(text.substr(0, newline));
    while (auto one = s.next()) out.push_back(std::move(*one));
    text.remove_prefix(std::min(newline + 1, text.size()));
  }
  if (rest != nullptr) *rest = s.take_rest();
  return out;
}
using Texts = std::vector<std::string>;

TEST(Splitter, SemicolonsThatEndNothing) {
  for (const std::string one :
       {"select ';';", "select E'a\\';b';", "select 'it''s; one';", "select \"a;b\";", "select $$a;b$$;",
        "select $x$ $$;$y$; $x$;", "select (1;2);", "select 1 /* ; /* nested; */ ; */ + 1;",
        "select 1 -- comment;\n;", "select a$1;", "select 'a\n;\nb';",
        "create function f() as $$\nselect 1;\n$$;"})
    EXPECT_EQ(split(one), Texts{one}) << one;
}
TEST(Splitter, SeveralOnALineAndARest) {
  std::string rest;
  EXPECT_EQ(split("select 1; select 2;select 3;\n\n  \nselect 'open", &rest),
            (Texts{"select 1;", "select 2;", "select 3;"}));
  EXPECT_EQ(rest, "select 'open\n");
  EXPECT_EQ(split("e';' ; ''';';"), (Texts{"e';' ;", "''';';"}));
}
TEST(Splitter, States) {
  StatementSplitter s;
  EXPECT_EQ(s.state(), '=');
  const std::pair<const char*, char> kSteps[] = {{"select", '-'}, {"(", '('},  {"'", '\''}, {"'", '('},
                                                 {")", '-'},      {"\"", '"'}, {"\"", '-'}, {"$a$", '$'},
                                                 {"$a$", '-'},    {"/*", '*'}, {"*/", '-'}};
  for (const auto& [text, state] : kSteps) {
    s.add_line(text);
    EXPECT_EQ(s.state(), state) << text;
  }
  s.add_line(";");
  EXPECT_TRUE(s.next());
  EXPECT_TRUE(s.at_start());
}

ResultTable table() {
  ResultTable t;
  t.has_rows = true;
  t.names = {"n", "text"};
  t.types = {types::oid::kInt4, types::oid::kText};
  t.rows = {{"1", "a"}, {"200", std::nullopt}, {std::nullopt, "two\nlines"}};
  return t;
}
TEST(Printer, Table) {
  EXPECT_EQ(print_result(table(), {}),
            "  n  | text  \n"
            "-----+-------\n"
            "   1 | a\n"
            " 200 | \n"
            "     | two  +\n"
            "     | lines\n"
            "(3 rows)\n");
}
TEST(Printer, Csv) {
  EXPECT_EQ(print_result(table(), {.format = OutputFormat::kCsv}), "n,text\n1,a\n200,\n,\"two\nlines\"\n");
}
TEST(Printer, Json) {
  EXPECT_EQ(
      print_result(table(), {.format = OutputFormat::kJson}),
      "[{\"n\":1,\"text\":\"a\"},\n {\"n\":200,\"text\":null},\n {\"n\":null,\"text\":\"two\\nlines\"}]\n");
  ResultTable t{true, {"f"}, {types::oid::kFloat8}, {{"NaN"}, {"1e+20"}}, ""};
  EXPECT_EQ(print_result(t, {.format = OutputFormat::kJson}), "[{\"f\":\"NaN\"},\n {\"f\":1e+20}]\n");
}
TEST(Printer, Vertical) {
  EXPECT_EQ(
      print_result({true, {"n", "text"}, {23, 25}, {{"1", "a"}}, ""}, {.format = OutputFormat::kVertical}),
      "-[ RECORD 1 ]\nn    | 1\ntext | a\n");
}
TEST(Printer, ErrorWithPosition) {
  ShellError e{"ERROR", "42703", "no such thing", "", "look again", "", 9};
  EXPECT_EQ(print_error(e, "select\n wrong;"),
            "ERROR:  no such thing\nLINE 2:  wrong;\n         ^\nHINT:  look again\n");
}

}  // namespace
}  // namespace rustbd::cli
