// What all passes need to know about logical trees and expressions.
#pragma once

#include <functional>
#include <unordered_map>

#include "rustbd/optimizer/column_set.h"
#include "rustbd/plan/logical.h"

namespace rustbd::optimizer {

using expression::Expression;
using expression::ExpressionPtr;
using expression::Kind;
using plan::JoinType;
using plan::LogicalKind;
using plan::LogicalNode;
using plan::LogicalPtr;
using types::TypeRef;
using ColumnMap = std::unordered_map<ColumnId, ColumnId>;
using Conjuncts = std::vector<ExpressionPtr>;

LogicalPtr make_node(LogicalKind kind);
LogicalPtr make_filter(LogicalPtr child, Conjuncts conjuncts);  // the child itself for none

/// Sets `output` from the children's outputs, as binder's nodes have it: what the node can deliver.
void set_output(LogicalNode& node);
void set_outputs(LogicalNode& root);  // of the whole tree, children first

/// Expressions that the node itself evaluates (not those of its children). Modify: only what runs over its
/// child.
void for_each_expression(LogicalNode& node, const std::function<void(ExpressionPtr&)>& fn);
void for_each_node(LogicalNode& node, const std::function<void(LogicalNode&)>& fn);  // children first

ColumnSet columns_of(const Expression& e);
void add_columns(const Expression& e, ColumnSet& to);
inline ColumnSet outputs_of(const LogicalNode& node) { return ColumnSet{node.output}; }
/// Columns that the tree reads but does not produce: those of enclosing queries.
ColumnSet free_columns(const LogicalNode& root);
/// Renames columns in everything that the node itself holds.
void rename_columns(LogicalNode& node, const ColumnMap& map);
void rename_columns(ExpressionPtr& e, const ColumnMap& map);
/// A deep copy in which every column that the tree produces has a new number. `map` gets old -> new.
LogicalPtr clone_tree(const LogicalNode& root, plan::ColumnTable& columns, ColumnMap& map);
std::vector<ExpressionPtr> clone_all(const std::vector<ExpressionPtr>& from);

bool is_true(const Expression& e);   // the constant TRUE
bool is_false(const Expression& e);  // the constant FALSE or NULL
ExpressionPtr make_not(ExpressionPtr e);
ExpressionPtr make_test(Kind kind, ExpressionPtr e);  // IS NULL and the like
void split(ExpressionPtr e, Conjuncts& out);          // conjuncts without constant TRUEs

enum class Comparison : std::uint8_t { kNone, kEqual, kNotEqual, kLess, kLessEqual, kGreater, kGreaterEqual };
/// What a call of two arguments compares them for, by its function.
Comparison comparison_of(const Expression& e);
Comparison commute(Comparison c);
/// Equality whose two sides hash alike when they are equal.
bool is_hashable_equality(const Expression& e);

/// Whether `e` is FALSE or NULL (never TRUE) when all of `columns` are NULL.
bool rejects_nulls(const Expression& e, const ColumnSet& columns);
/// Whether `e` is NULL when one of the columns that it reads out of `columns` is.
bool is_strict_in(const Expression& e, const ColumnSet& columns);

}  // namespace rustbd::optimizer
