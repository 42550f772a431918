// Constraints of columns and tables.
#include "rustbd/sql/parser_impl.h"

namespace rustbd::sql {

/// Constraints, their attributes and COLLATE, in any order, behind a column's type.
void Parser::column_qualifiers(ColumnDefinition& column) {
  ListBuilder<Constraint*> constraints(arena_);
  for (;;) {
    const std::int32_t start = location();
    if (accept(K::kCollate)) {
      if (!column.collation.empty()) {
        throw error(sqlstate::kSyntaxError, "multiple COLLATE clauses not allowed").at(start);
      }
      column.collation = any_name();
      continue;
    }
    const bool negated = at(K::kNot) && at(K::kDeferrable, 1);
    if (negated || at_any(K::kDeferrable, K::kInitially)) {
      std::string_view what = negated              ? "NOT DEFERRABLE"
                              : at(K::kDeferrable) ? "DEFERRABLE"
                                                   : "INITIALLY DEFERRED";
      at_ += negated ? 2 : 1;
      bool deferred = false;
      if (what.starts_with('I')) {
        deferred = accept(K::kDeferred);
        if (!deferred) expect(K::kImmediate), what = "INITIALLY IMMEDIATE";
      }
      if (constraints.size() == 0) throw error(sqlstate::kSyntaxError, "misplaced {} clause", what).at(start);
      Constraint& last = *constraints[constraints.size() - 1];
      if (what == "DEFERRABLE" || deferred) last.deferrable = true;
      if (deferred) last.initially_deferred = true;
      continue;
    }
    Constraint* constraint = column_constraint();
    if (constraint == nullptr) break;
    constraints.push(constraint);
  }
  column.constraints = constraints.take();
}

Constraint* Parser::column_constraint() {
  const std::int32_t start = location();
  if (!accept(K::kConstraint)) return column_constraint_element();
  const std::string_view name = column_id();
  Constraint* constraint = column_constraint_element();
  if (constraint == nullptr) fail();
  constraint->name = name;
  constraint->location = start;
  return constraint;
}

/// nullptr when the next token starts no constraint.
Constraint* Parser::column_constraint_element() {
  const std::int32_t start = location();
  const auto of = [&](ConstraintType type) {
    auto* constraint = make<Constraint>(start);
    constraint->type = type;
    return constraint;
  };
  switch (peek().keyword) {
    case K::kNot:
      ++at_;
      expect(K::kNull);
      return of(ConstraintType::kNotNull);
    case K::kNull: ++at_; return of(ConstraintType::kNull);
    case K::kDefault: {
      ++at_;
      auto* constraint = of(ConstraintType::kDefault);
      constraint->expression = b_expression();
      return constraint;
    }
    case K::kCheck: {
      ++at_;
      auto* constraint = of(ConstraintType::kCheck);
      expect('(');
      constraint->expression = expression();
      expect(')');
      if (accept(K::kNo)) {
        expect(K::kInherit);
        constraint->no_inherit = true;
      }
      return constraint;
    }
    case K::kUnique:
    case K::kPrimary: {
      auto* constraint = of(ConstraintType::kUnique);
      unique_constraint(*constraint, false);
      return constraint;
    }
    case K::kGenerated: return generated_constraint(start);
    case K::kReferences: {
      auto* constraint = of(ConstraintType::kForeignKey);
      references_clause(*constraint);
      return constraint;
    }
    default: return nullptr;
  }
}

Constraint* Parser::generated_constraint(std::int32_t location) {
  auto* constraint = make<Constraint>(location);
  expect(K::kGenerated);
  const std::int32_t when_at = this->location();
  constraint->identity_always = accept(K::kAlways);
  if (!constraint->identity_always) expect_all(K::kBy, K::kDefault);
  expect(K::kAs);
  if (accept(K::kIdentity)) {
    constraint->type = ConstraintType::kIdentity;
    if (accept('(')) {
      constraint->sequence_options = sequence_options(true);
      expect(')');
    }
    return constraint;
  }
  constraint->type = ConstraintType::kGenerated;
  expect('(');
  constraint->expression = expression();
  expect_all(')', K::kStored);
  if (!constraint->identity_always) {
    throw error(sqlstate::kSyntaxError, "for a generated column, GENERATED ALWAYS must be specified")
        .at(when_at);
  }
  return constraint;
}

/// UNIQUE or PRIMARY KEY, of a column or a table.
void Parser::unique_constraint(Constraint& constraint, bool in_table) {
  if (accept(K::kPrimary)) {
    expect(K::kKey);
    constraint.type = ConstraintType::kPrimaryKey;
  } else {
    expect(K::kUnique);
    constraint.type = ConstraintType::kUnique;
    if (accept(K::kNulls)) {
      constraint.nulls_not_distinct = accept(K::kNot);
      expect(K::kDistinct);
    }
  }
  if (in_table && accept(K::kUsing)) {
    expect(K::kIndex);
    constraint.using_index = column_id();
    return;
  }
  if (in_table) constraint.columns = parenthesized_columns();
  index_parameters(constraint, in_table);
}

void Parser::index_parameters(Constraint& constraint, bool with_include) {
  if (with_include && accept(K::kInclude)) constraint.including = parenthesized_columns();
  if (accept(K::kWith)) {
    constraint.options = parenthesized<Option*>([this] { return definition_option(false); });
  }
  if (accept(K::kUsing)) {
    expect_all(K::kIndex, K::kTablespace);
    constraint.tablespace = column_id();
  }
}

Constraint* Parser::table_constraint() {
  const std::int32_t start = location();
  if (!accept(K::kConstraint)) return table_constraint_element();
  const std::string_view name = column_id();
  Constraint* constraint = table_constraint_element();
  constraint->name = name;
  constraint->location = start;
  return constraint;
}

Constraint* Parser::table_constraint_element() {
  auto* constraint = make<Constraint>();
  switch (peek().keyword) {
    case K::kCheck:
      ++at_;
      constraint->type = ConstraintType::kCheck;
      expect('(');
      constraint->expression = expression();
      expect(')');
      constraint_attributes(*constraint, "CHECK", false, true, true);
      return constraint;
    case K::kUnique:
      unique_constraint(*constraint, true);
      constraint_attributes(*constraint, "UNIQUE", true, false, false);
      return constraint;
    case K::kPrimary:
      unique_constraint(*constraint, true);
      constraint_attributes(*constraint, "PRIMARY KEY", true, false, false);
      return constraint;
    case K::kExclude:
      exclusion_constraint(*constraint);
      constraint_attributes(*constraint, "EXCLUDE", true, false, false);
      return constraint;
    case K::kForeign:
      ++at_;
      expect(K::kKey);
      constraint->type = ConstraintType::kForeignKey;
      constraint->columns = parenthesized_columns();
      references_clause(*constraint);
      constraint_attributes(*constraint, "FOREIGN KEY", true, true, false);
      return constraint;
    default: fail();
  }
}

void Parser::exclusion_constraint(Constraint& constraint) {
  expect(K::kExclude);
  constraint.type = ConstraintType::kExclusion;
  if (accept(K::kUsing)) constraint.access_method = column_id();
  constraint.exclusions = parenthesized<ExclusionElement>([this] {
    ExclusionElement item;
    item.element = index_element();
    expect(K::kWith);
    const bool qualified = accept(K::kOperator);
    if (qualified) expect('(');
    if (!qualified && !at_operator()) fail();
    const OperatorName op = any_operator();
    if (qualified) expect(')');
    item.schema = op.schema;
    item.op = op.op;
    return item;
  });
  index_parameters(constraint, true);
  if (accept(K::kWhere)) {
    expect('(');
    constraint.where = expression();
    expect(')');
  }
}

void Parser::references_clause(Constraint& constraint) {
  expect(K::kReferences);
  constraint.referenced = qualified_name();
  constraint.referenced_columns = optional_columns();
  const std::int32_t match_at = location();
  if (accept(K::kMatch)) {
    if (accept(K::kFull)) {
      constraint.match = MatchType::kFull;
    } else if (accept(K::kPartial)) {
      throw error(sqlstate::kFeatureNotSupported, "MATCH PARTIAL not yet implemented").at(match_at);
    } else {
      expect(K::kSimple);
    }
  }
  referential_actions(constraint);
}

void Parser::referential_actions(Constraint& constraint) {
  bool updated = false;
  bool deleted = false;
  while (at(K::kOn)) {
    const std::int32_t on_at = location();
    ++at_;
    if (!updated && accept(K::kUpdate)) {
      updated = true;
      constraint.on_update = referential_action(constraint, false, on_at);
    } else if (!deleted && accept(K::kDelete)) {
      deleted = true;
      constraint.on_delete = referential_action(constraint, true, on_at);
    } else {
      fail();
    }
  }
}

ReferentialAction Parser::referential_action(Constraint& constraint, bool of_delete, std::int32_t on_at) {
  if (accept(K::kCascade)) return ReferentialAction::kCascade;
  if (accept(K::kRestrict)) return ReferentialAction::kRestrict;
  if (accept(K::kNo)) {
    expect(K::kAction);
    return ReferentialAction::kNoAction;
  }
  expect(K::kSet);
  const bool to_null = accept(K::kNull);
  if (!to_null) expect(K::kDefault);
  const NameList columns = optional_columns();
  if (!columns.empty() && !of_delete) {
    throw error(sqlstate::kFeatureNotSupported,
                "a column list with {} is only supported for ON DELETE actions",
                to_null ? "SET NULL" : "SET DEFAULT")
        .at(on_at);
  }
  if (of_delete) constraint.on_delete_columns = columns;
  return to_null ? ReferentialAction::kSetNull : ReferentialAction::kSetDefault;
}

void Parser::constraint_attributes(Constraint& constraint, std::string_view kind, bool deferrable,
                                   bool not_valid, bool no_inherit) {
  bool not_deferrable = false;
  bool immediate = false;
  const auto reject = [&](std::string_view what) {
    throw error(sqlstate::kFeatureNotSupported, "{} constraints cannot be marked {}", kind, what);
  };
  for (;;) {
    const std::int32_t start = location();
    if (accept(K::kNot)) {
      if (accept(K::kValid)) {
        constraint.not_valid = true;
      } else {
        expect(K::kDeferrable);
        not_deferrable = true;
      }
    } else if (accept(K::kDeferrable)) {
      constraint.deferrable = true;
    } else if (accept(K::kNo)) {
      expect(K::kInherit);
      constraint.no_inherit = true;
    } else if (accept(K::kInitially)) {
      const bool deferred = accept(K::kDeferred);
      if (!deferred) expect(K::kImmediate);
      (deferred ? constraint.initially_deferred : immediate) = true;
    } else {
      break;
    }
    if (not_deferrable && constraint.initially_deferred) {
      throw error(sqlstate::kSyntaxError, "constraint declared INITIALLY DEFERRED must be DEFERRABLE")
          .at(start);
    }
    if ((not_deferrable && constraint.deferrable) || (immediate && constraint.initially_deferred)) {
      throw error(sqlstate::kSyntaxError, "conflicting constraint properties").at(start);
    }
  }
  if (constraint.initially_deferred) constraint.deferrable = true;
  if (constraint.deferrable && !deferrable) reject("DEFERRABLE");
  if (constraint.not_valid && !not_valid) reject("NOT VALID");
  if (constraint.no_inherit && !no_inherit) reject("NO INHERIT");
}

}  // namespace rustbd::sql
