// SQL text of expressions without the parentheses that nobody needs, as pg_get_expr(..., true); to_sql() in
// expression.h is the form with all of them.
#pragma once

#include "rustbd/expression/expression.h"

namespace rustbd::expression {

std::string to_pretty_sql(const Expression& e, const ColumnNamer& names,
                          types::ObjectNames* objects = nullptr);

}  // namespace rustbd::expression
