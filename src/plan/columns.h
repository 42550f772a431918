// The columns of a plan: one number each for the whole statement, so that moving operators renumbers nothing.
#pragma once

#include <string>
#include <vector>

#include "rustbd/catalog/objects.h"
#include "rustbd/expression/expression.h"

namespace rustbd::plan {

using expression::ColumnId;
using expression::Expression;
using expression::ExpressionPtr;
using expression::OrderKey;
using types::TypeRef;

struct ColumnInfo {
  std::string name;       // for EXPLAIN: "a.x" is qualifier.name
  std::string qualifier;  // table alias
  TypeRef type;
  Oid relation = 0;  // base column: its table and number; else 0
  catalog::AttributeNumber attribute = 0;
  bool nullable = true;
};

/// Index = ColumnId.
struct ColumnTable {
  std::vector<ColumnInfo> columns;
  ColumnId add(ColumnInfo info) {
    columns.push_back(std::move(info));
    return static_cast<ColumnId>(columns.size() - 1);
  }
  const ColumnInfo& operator[](ColumnId id) const { return columns[id]; }
};

/// A computed column: the expression and the number that its value gets.
struct ComputedColumn {
  ColumnId id;
  ExpressionPtr expression;
};

enum class JoinType : std::uint8_t {
  kInner,
  kLeft,
  kRight,
  kFull,
  kSemi,
  kAnti,
  kMark,    // every left row once, with a boolean column `mark`: TRUE, FALSE or NULL as IN says
  kSingle,  // left join whose second match is 21000
};

struct SortKey {
  ColumnId column;
  bool descending = false;
  bool nulls_first = false;
};

}  // namespace rustbd::plan
