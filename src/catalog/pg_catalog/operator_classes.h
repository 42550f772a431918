// Operator classes of btree and hash: what pg_index, pg_get_indexdef and pg_opclass say.
#pragma once

#include <string>
#include <string_view>

#include "rustbd/base/ids.h"

namespace rustbd::catalog {

/// The default class of a type for an access method (oid::kBtree, oid::kHash); 0: none.
Oid default_operator_class(Oid type, Oid access_method);
/// Empty: no such class.
std::string_view operator_class_name(Oid operator_class);
/// Name of an index column that is an expression: the function's, or "expr".
std::string expression_column_name(std::string_view expression_sql);

}  // namespace rustbd::catalog
