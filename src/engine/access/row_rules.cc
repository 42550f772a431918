#include "rustbd/engine/access/row_rules.h"

#include "rustbd/engine/context/session_context.h"

namespace rustbd::engine {

RowRules::RowRules(Session::Parts& parts, std::shared_ptr<const catalog::Relation> relation)
    : parts_(parts), relation_(std::move(relation)) {
  run_.statement = parts.context.get();
  run_.query_arena = constants_.get();
  run_.cancel = parts.session.cancel_flag();
  for (std::uint32_t i = 0; i < relation_->columns.size(); ++i) {
    const auto& column = relation_->columns[i];
    if (column.dropped || column.generated == 0) continue;
    generated_.push_back(compile(column.default_sql, &column.type, "column generation expressions"));
    generated_.back().position = i;
  }
  for (const auto& k : relation_->constraints) {
    if (k->type != catalog::ConstraintType::kCheck) continue;
    checks_.push_back(compile(k->expression_sql, nullptr, "check constraints"));
    checks_.back().check = k.get();
  }
}

RowRules::Rule RowRules::compile(const std::string& text, const types::TypeRef* target,
                                 std::string_view what) {
  const auto catalog = parts_.catalog();
  const auto path = parts_.search_path(*catalog);
  auto input = bind_input(parts_, *catalog, path);
  input.arena = constants_;
  Arena ast;
  const auto bound =
      binder::bind_table_expression(*sql::parse_expression(text, ast), relation_.get(), input, target, what);
  const expression::Expression* one[] = {bound.get()};
  Rule rule;
  rule.program = expression::Program::compile(one, columns_of(*relation_));
  rule.local = rule.program->make_local();
  return rule;
}

void RowRules::generate(const types::Chunk& chunk,
                        const std::function<void(std::uint32_t, const types::Vector&)>& put) {
  for (auto& rule : generated_) {
    types::Vector values;
    rule.program->evaluate(*rule.local, run_, chunk, {&values, 1});
    put(rule.position, values);
  }
}

void RowRules::check(const types::Chunk& chunk, std::uint32_t* failed) {
  const auto broken = [&](std::uint32_t row, Error e) {
    if (failed != nullptr) *failed = row;
    return std::move(e).with_detail(describe(chunk, row)).on_table(relation_->schema_name, relation_->name);
  };
  for (std::uint32_t n = 0; n < chunk.selection.count; ++n) {
    const auto row = chunk.selection[n];
    for (std::size_t i = 0; i < relation_->columns.size(); ++i) {
      const auto& column = relation_->columns[i];
      if (column.dropped || !column.not_null || chunk[i].is_valid(row)) continue;
      throw broken(row, error(sqlstate::kNotNullViolation,
                              "null value in column \"{}\" of relation \"{}\" violates not-null constraint",
                              column.name, relation_->name))
          .on_column(column.name);
    }
  }
  for (auto& rule : checks_) {
    types::Vector truth;
    rule.program->evaluate(*rule.local, run_, chunk, {&truth, 1});
    for (std::uint32_t n = 0; n < chunk.selection.count; ++n) {
      const auto row = chunk.selection[n];
      if (!truth.is_valid(row) || truth.datum(row).boolean) continue;
      throw broken(row, error(sqlstate::kCheckViolation,
                              "new row for relation \"{}\" violates check constraint \"{}\"", relation_->name,
                              rule.check->name))
          .on_constraint(rule.check->name);
    }
  }
}

std::string RowRules::describe(const types::Chunk& chunk, std::uint32_t row) {
  auto io = parts_.session.io_context();
  Arena scratch;
  io.arena = &scratch;
  std::string text;
  for (std::size_t i = 0; i < relation_->columns.size(); ++i) {
    const auto& column = relation_->columns[i];
    if (column.dropped) continue;
    if (!text.empty()) text += ", ";
    if (!chunk[i].is_valid(row)) text += "null";
    else types::output_text(chunk[i].datum(row), column.type, io, text);
  }
  return fmt::format("Failing row contains ({}).", text);
}

}  // namespace rustbd::engine
