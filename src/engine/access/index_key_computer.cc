#include "rustbd/engine/access/index_key_computer.h"

#include <algorithm>

#include "rustbd/binder/binder.h"

namespace rustbd::engine {

IndexKeyComputer::IndexKeyComputer(Session::Parts& parts, const catalog::Relation& relation) : parts_(parts) {
  const auto layout = columns_of(relation);
  const auto catalog = parts.catalog();
  const auto path = parts.search_path(*catalog);
  run_.statement = nullptr;
  run_.query_arena = memory_.get();
  for (const auto& index : relation.indexes) {
    Entry entry;
    entry.index = index->tree;
    std::vector<expression::ExpressionPtr> owned;
    Arena ast;
    auto input = bind_input(parts, *catalog, path);
    input.arena = memory_;
    for (const auto& k : index->columns) {
      if (k.attribute != 0) continue;
      owned.push_back(binder::bind_table_expression(*sql::parse_expression(k.expression_sql, ast), &relation,
                                                    input, &k.type, "index expressions"));
      ++entry.part_count;
    }
    if (!index->predicate_sql.empty()) {
      owned.push_back(binder::bind_table_expression(*sql::parse_expression(index->predicate_sql, ast),
                                                    &relation, input, nullptr, "index predicates"));
      entry.has_predicate = true;
    }
    if (owned.empty()) continue;
    run_.statement = input.statement;
    std::vector<const expression::Expression*> list;
    for (const auto& e : owned) list.push_back(e.get());
    entry.program = expression::Program::compile(list, layout);
    entry.local = entry.program->make_local();
    entry.values.resize(list.size());
    entries_.push_back(std::move(entry));
  }
  std::sort(entries_.begin(), entries_.end(),
            [](const Entry& a, const Entry& b) { return a.index < b.index; });
}

void IndexKeyComputer::compute(const types::Chunk& chunk, std::vector<Result>& out) {
  out.clear();
  for (auto& e : entries_) {
    e.program->evaluate(*e.local, run_, chunk, e.values);
    Result r;
    r.index = e.index;
    r.parts.assign(e.values.begin(), e.values.begin() + static_cast<std::ptrdiff_t>(e.part_count));
    if (e.has_predicate) {
      const auto& p = e.values.back();
      const auto row = chunk.selection[0];
      r.member = p.is_valid(row) && p.datum(row).boolean;
    }
    out.push_back(std::move(r));
  }
}

void IndexKeyComputer::compute_for(IndexId index, const types::Chunk& chunk,
                                   std::vector<types::Vector>* parts, std::uint8_t* member) {
  for (auto& e : entries_) {
    if (e.index != index) continue;
    e.program->evaluate(*e.local, run_, chunk, e.values);
    parts->assign(e.values.begin(), e.values.begin() + static_cast<std::ptrdiff_t>(e.part_count));
    for (std::uint32_t i = 0; i < chunk.selection.count; ++i) {
      const auto row = chunk.selection[i];
      member[row] = !e.has_predicate || (e.values.back().is_valid(row) && e.values.back().datum(row).boolean);
    }
  }
}

}  // namespace rustbd::engine
