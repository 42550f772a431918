// AST to SQL text, the inverse of parse(): parse(deparse(x)) gives the same tree but for locations.
#pragma once

#include <string>

#include "rustbd/sql/ast.h"

namespace rustbd::sql {

/// Text of a statement, expression, type name or clause, acceptable to PostgreSQL too. No semicolon at the
/// end.
[[nodiscard]] std::string deparse(const Node* node);

}  // namespace rustbd::sql
