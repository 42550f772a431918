// PostgreSQL 15's keywords, and quoting by them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "rustbd/sql/keyword_list.h"

namespace rustbd::sql {

/// Where a keyword may stand as a name: kUnreserved anywhere; kColumnName as a column or table, not as a
/// function or type; kTypeFunctionName the other way round; kReserved only behind AS as a column label.
enum class KeywordClass : std::uint8_t { kUnreserved, kColumnName, kTypeFunctionName, kReserved };

struct KeywordInfo {
  std::string_view text;  // lower case
  KeywordClass keyword_class;
  bool bare_label;  // usable as a column label without AS
};

/// @pre keyword != Keyword::kNotKeyword.
[[nodiscard]] const KeywordInfo& keyword_info(Keyword keyword);
/// `word` must be lower case. kNotKeyword: not a keyword.
[[nodiscard]] Keyword find_keyword(std::string_view word);

/// `x` or `"x"`, as PostgreSQL's quote_identifier: quotes unless [a-z_][a-z0-9_]* and not a keyword that is
/// reserved in any way.
[[nodiscard]] std::string quote_identifier(std::string_view name);
/// `'x'` with quotes doubled, and ` E'…'` style when there is a backslash, as PostgreSQL's quote_literal.
[[nodiscard]] std::string quote_literal(std::string_view text);

}  // namespace rustbd::sql
