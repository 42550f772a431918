// INSERT, UPDATE, DELETE, MERGE.
#include "rustbd/sql/parser_impl.h"

namespace rustbd::sql {

/// `t`, `t alias`, `t AS alias`; SET is not taken for an alias.
RelationRef* Parser::target_relation() {
  auto* relation = relation_expression();
  const bool with_as = accept(K::kAs);
  if (with_as || (is_column_id(peek()) && !at(K::kSet))) {
    relation->alias = make<Alias>();
    relation->alias->name = column_id();
  }
  return relation;
}

List<TargetItem*> Parser::returning_clause() {
  return accept(K::kReturning) ? target_list() : List<TargetItem*>{};
}

Node* Parser::where_or_current_of() {
  if (!accept(K::kWhere)) return nullptr;
  const std::int32_t start = location();
  if (!accept2(K::kCurrent, K::kOf)) return expression();
  auto* node = make<CurrentOf>(start);
  node->cursor = column_id();
  return node;
}

Overriding Parser::overriding_clause() {
  if (!accept(K::kOverriding)) return Overriding::kNone;
  const bool user = accept(K::kUser);
  if (!user) expect(K::kSystem);
  expect(K::kValue);
  return user ? Overriding::kUser : Overriding::kSystem;
}

AssignmentTarget* Parser::assignment_target() {
  auto* target = make<AssignmentTarget>();
  target->name = column_id();
  target->indirection = indirection_list();
  return target;
}

Node* Parser::insert_statement(WithClause* with) {
  auto* insert = make<InsertStatement>();
  insert->with = with;
  expect_all(K::kInsert, K::kInto);
  insert->relation = qualified_name();
  if (accept(K::kAs)) {
    insert->relation->alias = make<Alias>();
    insert->relation->alias->name = column_id();
  }
  if (accept(K::kDefault)) {
    expect(K::kValues);
    insert->on_conflict = on_conflict();
    insert->returning = returning_clause();
    return insert;
  }
  if (at('(') && !at_query_in_parentheses()) {
    insert->columns = parenthesized<AssignmentTarget*>([this] { return assignment_target(); });
  }
  insert->overriding = overriding_clause();
  if (!at('(') && !at_query() && !at(K::kValues)) fail();
  insert->source = select_statement();
  insert->on_conflict = on_conflict();
  insert->returning = returning_clause();
  return insert;
}

OnConflict* Parser::on_conflict() {
  if (!at(K::kOn)) return nullptr;
  auto* conflict = make<OnConflict>();
  ++at_;
  expect(K::kConflict);
  if (at('(')) {
    conflict->columns = parenthesized<IndexElement*>([this] { return index_element(); });
    if (accept(K::kWhere)) conflict->index_where = expression();
  } else if (accept(K::kOn)) {
    expect(K::kConstraint);
    conflict->constraint = column_id();
  }
  expect(K::kDo);
  if (accept(K::kNothing)) return conflict;
  expect_all(K::kUpdate, K::kSet);
  conflict->action = ConflictAction::kUpdate;
  conflict->assignments = set_clauses();
  if (accept(K::kWhere)) conflict->where = expression();
  return conflict;
}

List<Assignment*> Parser::set_clauses() {
  return comma_list<Assignment*>([this] { return set_clause(); });
}

Assignment* Parser::set_clause() {
  auto* assignment = make<Assignment>();
  if (at('(')) {
    assignment->is_multiple = true;
    assignment->targets = parenthesized<AssignmentTarget*>([this] { return assignment_target(); });
  } else {
    assignment->targets = list_of<AssignmentTarget*>({assignment_target()});
  }
  expect('=');
  assignment->value = expression();
  if (assignment->is_multiple) {
    const auto* row = try_as<RowExpression>(assignment->value);
    if (row != nullptr && row->fields.size() != assignment->targets.size()) {
      throw error(sqlstate::kSyntaxError, "number of columns does not match number of values")
          .at(row->location);
    }
  }
  return assignment;
}

Node* Parser::update_statement(WithClause* with) {
  auto* update = make<UpdateStatement>();
  update->with = with;
  expect(K::kUpdate);
  update->relation = target_relation();
  expect(K::kSet);
  update->assignments = set_clauses();
  if (accept(K::kFrom)) update->from = from_list();
  update->where = where_or_current_of();
  update->returning = returning_clause();
  return update;
}

Node* Parser::delete_statement(WithClause* with) {
  auto* node = make<DeleteStatement>();
  node->with = with;
  expect_all(K::kDelete, K::kFrom);
  node->relation = target_relation();
  if (accept(K::kUsing)) node->using_items = from_list();
  node->where = where_or_current_of();
  node->returning = returning_clause();
  return node;
}

Node* Parser::merge_statement(WithClause* with) {
  auto* merge = make<MergeStatement>();
  merge->with = with;
  expect_all(K::kMerge, K::kInto);
  merge->relation = target_relation();
  expect(K::kUsing);
  merge->source = table_reference();
  expect(K::kOn);
  merge->on = expression();
  ListBuilder<MergeWhen*> whens(arena_);
  do whens.push(merge_when());
  while (at(K::kWhen));
  merge->whens = whens.take();
  merge->returning = returning_clause();
  return merge;
}

MergeWhen* Parser::merge_when() {
  auto* when = make<MergeWhen>();
  expect(K::kWhen);
  when->matched = !accept(K::kNot);
  expect(K::kMatched);
  if (accept(K::kAnd)) when->condition = expression();
  expect(K::kThen);
  if (accept(K::kDo)) {
    expect(K::kNothing);
  } else if (when->matched && accept(K::kUpdate)) {
    expect(K::kSet);
    when->action = MergeAction::kUpdate;
    when->assignments = set_clauses();
  } else if (when->matched && accept(K::kDelete)) {
    when->action = MergeAction::kDelete;
  } else if (!when->matched && accept(K::kInsert)) {
    merge_insert(*when);
  } else {
    fail();
  }
  return when;
}

void Parser::merge_insert(MergeWhen& when) {
  when.action = MergeAction::kInsert;
  if (accept(K::kDefault)) return expect(K::kValues);
  if (at('(')) when.columns = parenthesized<AssignmentTarget*>([this] { return assignment_target(); });
  when.overriding = overriding_clause();
  expect(K::kValues);
  when.values = parenthesized<Node*>([this] { return expression(); });
}

}  // namespace rustbd::sql
