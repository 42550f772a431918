// Plans by hand, and runs of them in all the ways in which the results must be the same: chunks of 1, 7 and
// 1024 rows, with and without waits.
#pragma once

#include <gtest/gtest.h>

#include "rustbd/exec/query_run.h"
#include "rustbd/exec/testing/memory_access.h"
#include "rustbd/types/numeric.h"

namespace rustbd::exec::testing {

using expression::ExpressionPtr;
using plan::ColumnId;
using plan::NodeKind;
using plan::PlanNodePtr;
using types::TypeRef;

// Written out: the type table may not be there yet while globals are made.
inline const TypeRef kInt4Type{types::oid::kInt4, -1, types::Phys::kI32};
inline const TypeRef kInt8Type{types::oid::kInt8, -1, types::Phys::kI64};
inline const TypeRef kBoolType{types::oid::kBool, -1, types::Phys::kBool};
inline const TypeRef kTextType{types::oid::kText, -1, types::Phys::kStr, 0, types::collation::kDefault};

using IntRow = std::vector<std::optional<std::int32_t>>;

inline Fields fields_of(const IntRow& row) {
  Fields fields;
  for (const auto& v : row) fields.push_back(v ? Field{types::Datum::of(*v)} : Field{});
  return fields;
}

inline ExpressionPtr int4(std::int32_t v) {
  return expression::make_constant({kInt4Type, false, types::Datum::of(v)});
}
inline ExpressionPtr int8(std::int64_t v) {
  return expression::make_constant({kInt8Type, false, types::Datum::of(v)});
}

inline ExpressionPtr int4_parameter(std::uint32_t index) {
  auto e = std::make_unique<expression::Expression>();
  e->kind = expression::Kind::kParameter;
  e->type = kInt4Type;
  e->index = index;
  return e;
}

inline functions::ResolvedFunction operator_function(std::string_view name, const TypeRef& left,
                                                     const TypeRef& right) {
  const auto& registry = functions::Registry::instance();
  for (const auto* op : registry.operators(name)) {
    if (op->left != left.oid || op->right != right.oid) continue;
    const TypeRef types[] = {left, right};
    return functions::resolve_kernels(*registry.function(op->function), types);
  }
  throw std::runtime_error("no operator");
}
inline ExpressionPtr op(std::string_view name, ExpressionPtr a, ExpressionPtr b) {
  auto function = operator_function(name, a->type, b->type);
  std::vector<ExpressionPtr> args;
  args.push_back(std::move(a));
  args.push_back(std::move(b));
  return expression::make_call(std::move(function), std::move(args));
}
inline ExpressionPtr aggregate(std::string_view name, std::vector<ExpressionPtr> args) {
  const auto& registry = functions::Registry::instance();
  std::vector<TypeRef> types;
  for (const auto& a : args) types.push_back(a->type);
  for (const auto* declaration : registry.aggregates(name)) {
    if (declaration->arguments.size() != types.size()) continue;
    bool fits = true;
    for (std::size_t i = 0; i < types.size(); ++i) {
      const auto wanted = declaration->arguments[i];
      fits &= wanted == types[i].oid || wanted == types::oid::kAny || wanted == types::oid::kAnyelement ||
              wanted == types::oid::kAnynonarray;
    }
    if (!fits) continue;
    auto e = std::make_unique<expression::Expression>();
    e->kind = expression::Kind::kAggregate;
    e->aggregate = functions::resolve_kernels(*declaration, types);
    e->type = e->aggregate.result;
    e->args = std::move(args);
    return e;
  }
  throw std::runtime_error("no aggregate");
}
template <class... Args>
std::vector<ExpressionPtr> list(Args... args) {
  std::vector<ExpressionPtr> v;
  (v.push_back(std::move(args)), ...);
  return v;
}

/// A table of int4 columns.
inline std::shared_ptr<catalog::Relation> make_relation(Oid oid, std::string name, std::size_t columns) {
  auto relation = std::make_shared<catalog::Relation>();
  relation->oid = oid;
  relation->name = std::move(name);
  relation->schema_name = "public";
  for (std::size_t i = 0; i < columns; ++i) {
    catalog::Column column;
    column.name = std::string(1, static_cast<char>('a' + i));
    column.type = kInt4Type;
    column.number = static_cast<catalog::AttributeNumber>(i + 1);
    relation->columns.push_back(column);
  }
  return relation;
}
inline std::shared_ptr<catalog::Index> add_index(catalog::Relation& relation, Oid oid,
                                                 std::vector<int> columns, bool unique) {
  auto index = std::make_shared<catalog::Index>();
  index->oid = oid;
  index->relation = relation.oid;
  index->unique = unique;
  for (const int c : columns) {
    catalog::IndexColumn column;
    column.attribute = static_cast<catalog::AttributeNumber>(c);
    column.type = relation.column(column.attribute).type;
    index->columns.push_back(column);
  }
  relation.indexes.push_back(index);
  return index;
}
inline void fill(MemoryTable& table, const std::vector<IntRow>& rows) {
  for (const auto& row : rows) table.rows[table.next_id++] = fields_of(row);
}

class PlanMaker {
 public:
  PlanMaker() : plan_(std::make_shared<plan::ExecutionPlan>()) { plan_->arena = std::make_shared<Arena>(); }
  ColumnId column(const TypeRef& type, std::string name = "c") {
    plan::ColumnInfo info;
    info.name = std::move(name);
    info.type = type;
    return plan_->columns.add(std::move(info));
  }
  ExpressionPtr ref(ColumnId id) { return expression::make_column(id, plan_->columns[id].type); }
  PlanNodePtr node(NodeKind kind) {
    auto n = std::make_unique<plan::PlanNode>();
    n->kind = kind;
    return n;
  }
  PlanNodePtr over(NodeKind kind, PlanNodePtr child) {
    auto n = node(kind);
    n->output = child->output;
    n->children.push_back(std::move(child));
    return n;
  }
  /// Scans all columns; `with_row_id` adds the row id as the last one.
  PlanNodePtr scan(const std::shared_ptr<catalog::Relation>& relation, bool with_row_id = false) {
    auto n = node(NodeKind::kTableScan);
    n->relation = relation;
    for (const auto& c : relation->columns) n->columns.push_back({c.number, column(c.type, c.name)});
    if (with_row_id) n->columns.push_back({catalog::kRowIdAttribute, row_id_column()});
    for (const auto& c : n->columns) n->output.push_back(c.id);
    return n;
  }
  ColumnId row_id_column() {
    TypeRef type = kInt8Type;
    type.phys = types::Phys::kU64;
    return column(type, "rowid");
  }
  PlanNodePtr values(const std::vector<IntRow>& rows, std::size_t width) {
    auto n = node(NodeKind::kValues);
    for (std::size_t c = 0; c < width; ++c) n->output.push_back(column(kInt4Type));
    for (const auto& row : rows) {
      n->rows.emplace_back();
      for (const auto& v : row) n->rows.back().push_back(v ? int4(*v) : expression::make_null(kInt4Type));
    }
    return n;
  }
  PlanNodePtr join(NodeKind kind, plan::JoinType type, PlanNodePtr left, PlanNodePtr right) {
    auto n = node(kind);
    n->join = type;
    n->output = left->output;
    if (type == plan::JoinType::kMark) {
      n->mark = column(kBoolType);
      n->output.push_back(n->mark);
    } else if (type != plan::JoinType::kSemi && type != plan::JoinType::kAnti) {
      n->output.insert(n->output.end(), right->output.begin(), right->output.end());
    }
    n->children.push_back(std::move(left));
    n->children.push_back(std::move(right));
    return n;
  }
  ColumnId compute(plan::PlanNode& project, ExpressionPtr e) {
    const auto id = column(e->type);
    project.computed.push_back({id, std::move(e)});
    project.output.push_back(id);
    return id;
  }
  std::shared_ptr<const plan::ExecutionPlan> finish(PlanNodePtr root,
                                                    plan::StatementTag tag = plan::StatementTag::kSelect,
                                                    bool returns = true) {
    number(*root);
    if (returns)
      for (const auto id : root->output) plan_->result.push_back({"c", id, plan_->columns[id].type});
    plan_->tag = tag;
    plan_->root = std::move(root);
    return plan_;
  }
  plan::ExecutionPlan& plan() { return *plan_; }

 private:
  void number(plan::PlanNode& n) {
    n.id = plan_->node_count++;
    for (auto& child : n.children) number(*child);
  }
  std::shared_ptr<plan::ExecutionPlan> plan_;
};

inline std::string text_of(const types::Vector& v, std::uint32_t row) {
  if (!v.is_valid(row)) return "NULL";
  const auto d = v.datum(row);
  switch (v.phys) {
    case types::Phys::kBool: return d.boolean ? "t" : "f";
    case types::Phys::kI16: return std::to_string(d.i16);
    case types::Phys::kI32: return std::to_string(d.i32);
    case types::Phys::kI64: return std::to_string(d.i64);
    case types::Phys::kU64: return std::to_string(d.u64);
    case types::Phys::kF64: return fmt::format("{:.6g}", d.f64);
    case types::Phys::kStr: return std::string(d.str.view());
    case types::Phys::kNumeric: return types::to_string(d.numeric);
    case types::Phys::kD64: return fmt::format("{}e-{}", d.i64, 0);
    case types::Phys::kD128: return std::to_string(static_cast<std::int64_t>(d.i128));
    default: return "?";
  }
}

using TextRows = std::vector<std::string>;

inline QueryContext context_of(MemoryDatabase& database, std::uint32_t chunk_rows) {
  QueryContext context;
  context.access = &database;
  context.chunk_rows = chunk_rows;
  return context;
}

struct RunResult {
  TextRows rows;
  std::uint64_t affected = 0;
  std::uint32_t blocked = 0;
};
/// One execution to its end.
inline RunResult drain(QueryRun* run, const QueryContext& context, std::uint64_t max_rows = 0) {
  RunResult result;
  for (;;) {
    types::Chunk chunk;
    const auto flow = run->next(&chunk, max_rows);
    if (flow.state == State::kBlocked) {
      ++result.blocked;
      flow.token.wait_blocking();
      continue;
    }
    if (flow.state == State::kFinished) break;
    EXPECT_EQ(flow.state, State::kHaveOutput);
    EXPECT_GT(chunk.count(), 0u);
    EXPECT_LE(chunk.count(), context.chunk_rows);
    EXPECT_TRUE(max_rows == 0 || chunk.count() <= max_rows);
    for (std::uint32_t i = 0; i < chunk.count(); ++i) {
      std::string row;
      for (std::uint32_t c = 0; c < chunk.column_count; ++c) {
        if (c != 0) row += '|';
        row += text_of(chunk[c], chunk.selection[i]);
      }
      result.rows.push_back(std::move(row));
    }
  }
  result.affected = run->affected_rows();
  return result;
}
inline RunResult run_with(std::shared_ptr<const plan::ExecutionPlan> plan, const QueryContext& context,
                          std::uint64_t max_rows = 0) {
  return drain(QueryRun::start(std::move(plan), context).get(), context, max_rows);
}

/// Runs a read-only plan in every way, one run for all executions if it can serve them; all results must be
/// the same up to order, and equal `expected` (sorted).
inline void expect_rows(MemoryDatabase& database, const std::shared_ptr<const plan::ExecutionPlan>& plan,
                        TextRows expected, bool ordered = false) {
  if (!ordered) std::ranges::sort(expected);
  std::unique_ptr<QueryRun> kept;
  for (const bool blocks : {false, true}) {
    for (const std::uint32_t chunk_rows : {1u, 7u, 1024u}) {
      SCOPED_TRACE(fmt::format("chunk_rows {} blocks {}", chunk_rows, blocks));
      database.blocks_every_other_call = blocks;
      database.begin_statement();
      const auto context = context_of(database, chunk_rows);
      auto rows = run_with(plan, context).rows;
      if (!ordered) std::ranges::sort(rows);
      EXPECT_EQ(rows, expected);
      if (kept != nullptr && kept->rest()) kept->run_again(context);
      else kept = QueryRun::start(plan, context);
      rows = drain(kept.get(), context).rows;
      if (!ordered) std::ranges::sort(rows);
      EXPECT_EQ(rows, expected) << "of a run that served before";
    }
  }
  database.blocks_every_other_call = false;
}

inline std::string text_of(const IntRow& row) {
  std::string text;
  for (std::size_t i = 0; i < row.size(); ++i) {
    if (i != 0) text += '|';
    text += row[i] ? std::to_string(*row[i]) : "NULL";
  }
  return text;
}

}  // namespace rustbd::exec::testing
