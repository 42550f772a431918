#include "rustbd/sql/parser.h"

#include <gtest/gtest.h>

#include <string>

#include "rustbd/sql/deparse.h"
#include "rustbd/sql/keywords.h"
#include "rustbd/sql/lexer.h"

namespace rustbd::sql {
namespace {

std::string state_of(std::string_view sql) {
  Arena arena;
  try {
    parse(sql, arena);
    return "ok";
  } catch (const Error& error) {
    return std::string(error.state.text());
  }
}

std::string repeated(std::string_view part, std::size_t times) {
  std::string text;
  for (std::size_t i = 0; i < times; ++i) text += part;
  return text;
}

TEST(Lexer, MakesTokens) {
  struct Case {
    std::string_view text;
    TokenKind kind;
    std::string_view value;
  };
  const std::string long_name(70, 'a');
  const Case cases[] = {
      {"Abc", TokenKind::kIdentifier, "abc"},
      {"\"Abc\"\"d\"", TokenKind::kIdentifier, "Abc\"d"},
      {"SELECT", TokenKind::kKeyword, "select"},
      {"12", TokenKind::kInteger, "12"},
      {"2147483648", TokenKind::kNumeric, "2147483648"},
      {"1.", TokenKind::kNumeric, "1."},
      {".5e3", TokenKind::kNumeric, ".5e3"},
      {"0x1F", TokenKind::kInteger, "31"},
      {"0o17", TokenKind::kInteger, "15"},
      {"0b101", TokenKind::kInteger, "5"},
      {"1_000", TokenKind::kInteger, "1000"},
      {"1_0.2_5", TokenKind::kNumeric, "10.25"},
      {"'a''b'", TokenKind::kString, "a'b"},
      {"E'a\\n\\101\\x42'", TokenKind::kString, "a\nAB"},
      {"E'\\u00e9\\U0001F600'", TokenKind::kString, "\u00e9\U0001F600"},
      {"E'\\ud83d\\ude00'", TokenKind::kString, "\U0001F600"},
      {"U&'d\\0061\\+000062'", TokenKind::kString, "dab"},
      {"$$a'b$$", TokenKind::kString, "a'b"},
      {"$x$a$$b$x$", TokenKind::kString, "a$$b"},
      {"'a'\n  'b'", TokenKind::kString, "ab"},
      {"B'10'", TokenKind::kBitString, "10"},
      {"x'1f'", TokenKind::kHexString, "1f"},
      {"$12", TokenKind::kParameter, "12"},
      {"<->", TokenKind::kOperator, "<->"},
      {"@-", TokenKind::kOperator, "@-"},
      {"!=", TokenKind::kNotEquals, "<>"},
      {"::", TokenKind::kTypecast, ""},
      {"=>", TokenKind::kEqualsGreater, "=>"},
      {long_name, TokenKind::kIdentifier, std::string_view(long_name).substr(0, 63)},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.text);
    Arena arena;
    const TokenList list = tokenize(c.text, arena);
    ASSERT_EQ(list.tokens.size(), 2u);
    EXPECT_EQ(list.tokens[0].kind, c.kind);
    EXPECT_EQ(list.tokens[0].value, c.value);
    EXPECT_EQ(list.tokens[0].offset, 0u);
    EXPECT_EQ(list.tokens[0].length, c.text.size());
  }
}

TEST(Lexer, CutsOperatorsAsPostgreSQL) {
  struct Case {
    std::string_view text;
    std::size_t tokens;
  };
  const Case cases[] = {{"7%-2", 3}, {"a<-1", 4}, {"a=-1", 4},    {"a*-1", 4},
                        {"a@-1", 3}, {"a--b", 1}, {"a/*b*/+c", 3}};
  for (const Case& c : cases) {
    SCOPED_TRACE(c.text);
    Arena arena;
    EXPECT_EQ(tokenize(c.text, arena).tokens.size(), c.tokens + 1);
  }
}

TEST(Lexer, TellsAboutLongIdentifiers) {
  Arena arena;
  std::vector<Notice> notices;
  tokenize("select " + std::string(62, 'a') + "\u00e9\u00e9", arena, &notices);
  ASSERT_EQ(notices.size(), 1u);
  EXPECT_EQ(notices[0].content.message, "identifier \"" + std::string(62, 'a') +
                                            "\u00e9\u00e9\" will be truncated to \"" + std::string(62, 'a') +
                                            "\"");
}

TEST(Lexer, RefusesBadUtf8) {
  for (const std::string_view text : {"select '\xff'", "select '\xc0\x80'", "select '\xed\xa0\x80'",
                                      "select '\xe2\x82'", "select E'\\xff'"}) {
    EXPECT_EQ(state_of(text), "22021");
  }
  EXPECT_EQ(state_of(std::string_view("select \0", 8)), "22021");
  EXPECT_EQ(state_of("select '\u00e9\u20ac\U0001F600'"), "ok");
}

TEST(Keywords, AreFoundAndQuoted) {
  EXPECT_EQ(find_keyword("select"), Keyword::kSelect);
  EXPECT_EQ(find_keyword("zone"), Keyword::kZone);
  EXPECT_EQ(find_keyword("abort"), Keyword::kAbort);
  EXPECT_EQ(find_keyword("selec"), Keyword::kNotKeyword);
  for (std::uint16_t i = 1; i <= kKeywordCount; ++i) {
    EXPECT_EQ(find_keyword(keyword_info(static_cast<Keyword>(i)).text), static_cast<Keyword>(i));
  }
  EXPECT_EQ(quote_identifier("a_1"), "a_1");
  EXPECT_EQ(quote_identifier("A"), "\"A\"");
  EXPECT_EQ(quote_identifier("a\"b"), "\"a\"\"b\"");
  EXPECT_EQ(quote_identifier("select"), "\"select\"");
  EXPECT_EQ(quote_identifier("name"), "name");
  EXPECT_EQ(quote_literal("it's"), "'it''s'");
  EXPECT_EQ(quote_literal("a\\b"), "E'a\\\\b'");
}

// Deparsed text shows how operators bind: parentheses stay only where they matter.
TEST(Precedence, IsPostgreSQLs) {
  struct Case {
    std::string_view text, canonical;
  };
  const Case cases[] = {
      {"a or b and not c = d", "a OR b AND NOT c = d"},
      {"(a or b) and c", "(a OR b) AND c"},
      {"((a + (b * c)))", "a + b * c"},
      {"(a + b) * c", "(a + b) * c"},
      {"a - (b - c)", "a - (b - c)"},
      {"(a - b) - c", "a - b - c"},
      {"2 ^ (3 ^ 2)", "2 ^ (3 ^ 2)"},
      {"(a < b) is true", "a < b IS TRUE"},
      {"a < (b is true)", "a < (b IS TRUE)"},
      {"-a ^ 2", "- a ^ 2"},
      {"-(a ^ 2)", "- (a ^ 2)"},
      {"-a::int", "- a::integer"},
      {"(-1)::int", "(-1)::integer"},
      {"a || b + c", "a || b + c"},
      {"(a || b) + c", "(a || b) + c"},
      {"a in (1) = true", "a IN (1) = true"},
      {"a = (b in (1))", "a = b IN (1)"},
      {"(a = b) in (true)", "(a = b) IN (true)"},
      {"a between 1 and 2 and b", "a BETWEEN 1 AND 2 AND b"},
      {"a::text collate \"C\" || b", "a::text COLLATE \"C\" || b"},
      {"a at time zone 'x'::text", "a AT TIME ZONE 'x'::text"},
      {"not a is null", "NOT a IS NULL"},
      {"(not a) is null", "(NOT a) IS NULL"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.text);
    Arena arena;
    EXPECT_EQ(deparse(parse_expression(c.text, arena)), c.canonical);
    EXPECT_EQ(deparse(parse_expression(c.canonical, arena)), c.canonical);
  }
}

TEST(Parser, GivesRangesOfStatements) {
  Arena arena;
  const std::string text = " ; select 1 ;; /* x */ select 2 -- y\n ; ";
  const auto statements = parse(text, arena);
  ASSERT_EQ(statements.size(), 2u);
  EXPECT_EQ(text.substr(statements[0].begin, statements[0].end - statements[0].begin), "select 1");
  EXPECT_EQ(text.substr(statements[1].begin, statements[1].end - statements[1].begin), "select 2");
  EXPECT_TRUE(parse(" -- nothing", arena).empty());
}

TEST(Parser, DoesNotKeepTheText) {
  Arena arena;
  std::string text = "select abc from def where x = 'y'";
  const auto statements = parse(text, arena);
  text.assign(text.size(), '#');
  EXPECT_EQ(deparse(statements[0].statement), "SELECT abc FROM def WHERE x = 'y'");
}

TEST(Parser, LimitsNesting) {
  for (const std::string_view open :
       {"(", "array[", "case when ", "not ", "- ", "f(", "(select ", "x in (select "}) {
    SCOPED_TRACE(open);
    EXPECT_EQ(state_of("select " + repeated(open, 100000)), "54001");
  }
  EXPECT_EQ(state_of(repeated("(", 100000)), "54001");
  EXPECT_EQ(state_of("select * from " + repeated("(", 100000)), "54001");
  EXPECT_EQ(state_of("select 1" + repeated(" + 1", 100000)), "54001");
  EXPECT_EQ(state_of("select 1 from a" + repeated(" join a", 100000)), "54001");
  EXPECT_EQ(state_of(repeated("explain ", 100000)), "42601");
  EXPECT_EQ(state_of("select " + repeated("(", 300) + "1" + repeated(")", 300)), "ok");
  EXPECT_EQ(state_of("select 1" + repeated(" + 1", 3000)), "ok");
  EXPECT_EQ(state_of("select 1 where a" + repeated(" and a", 100000)), "ok");
  EXPECT_EQ(state_of("select 1 where a in (1" + repeated(", 1", 100000) + ")"), "ok");
}

TEST(Deparse, SurvivesTheDeepestTrees) {
  Arena arena;
  for (const std::string& text :
       {"select 1" + repeated(" + 1", 3000), "select " + repeated("(1 + ", 300) + "1" + repeated(")", 300),
        "select 1" + repeated(" union all select 1", 3000)}) {
    const std::string once = deparse(parse(text, arena)[0].statement);
    EXPECT_EQ(deparse(parse(once, arena)[0].statement), once);
  }
}

// Valid in later versions or in RustBD only.
TEST(Parser, AcceptsSupersets) {
  struct Case {
    std::string_view text, canonical;
  };
  const Case cases[] = {
      {"select 0x1F + 1_000", "SELECT 31 + 1000"},
      {"select * from (select 1)", "SELECT * FROM (SELECT 1)"},
      {"select * from t as of system time '-5s' x", "SELECT * FROM t AS OF SYSTEM TIME '-5s' AS x"},
      {"merge into t using s on true when matched then delete returning a",
       "MERGE INTO t USING s ON true WHEN MATCHED THEN DELETE RETURNING a"},
  };
  for (const Case& c : cases) {
    Arena arena;
    EXPECT_EQ(deparse(parse(c.text, arena)[0].statement), c.canonical);
  }
}

TEST(Parser, NamesWhatIsNotSupported) {
  Arena arena;
  const auto* node = try_as<UnsupportedStatement>(
      parse("create trigger g before insert on t for each row", arena)[0].statement);
  ASSERT_NE(node, nullptr);
  EXPECT_EQ(node->name, "CREATE TRIGGER");
  EXPECT_EQ(state_of("create function f(a t.x%type) returns int language sql as 'x'"), "0A000");
}

// Any garbage gives an error with a position inside the text, never a crash.
TEST(Parser, EndsOnGarbage) {
  constexpr std::string_view kWords[] = {
      "select",   "from",   "(",        ")",       ",",      "a",       "1",    "'x'",    "join",
      "on",       "where",  "and",      "not",     "in",     "between", "like", "order",  "by",
      "union",    "values", "insert",   "into",    "update", "set",     "=",    "create", "table",
      "with",     "as",     "[",        "]",       "::",     ".",       "*",    "case",   "when",
      "then",     "end",    "over",     "row",     "array",  ";",       "-",    "is",     "null",
      "distinct", "int",    "interval", "default", "for",    "group",   "any"};
  std::uint64_t seed = 42;
  std::size_t failed = 0;
  for (int round = 0; round < 20000; ++round) {
    std::string text;
    for (int i = 0; i < 12; ++i) {
      seed = seed * 6364136223846793005u + 1442695040888963407u;
      text += kWords[(seed >> 33) % std::size(kWords)];
      text += ' ';
    }
    Arena arena;
    try {
      for (const auto& statement : parse(text, arena)) (void)deparse(statement.statement);
    } catch (const Error& error) {
      ++failed;
      ASSERT_LE(error.position, static_cast<std::int32_t>(text.size())) << text;
    }
  }
  EXPECT_GT(failed, 1000u);
}

}  // namespace
}  // namespace rustbd::sql
