// The abstract syntax tree: all node types.
#pragma once

#include "rustbd/sql/ast_expression.h"
#include "rustbd/sql/ast_node.h"
#include "rustbd/sql/ast_query.h"
#include "rustbd/sql/ast_table.h"
#include "rustbd/sql/ast_utility.h"
