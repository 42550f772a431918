// COPY FROM STDIN and COPY TO STDOUT.
#include "rustbd/engine/access/local_table.h"
#include "rustbd/engine/access/row_rules.h"
#include "rustbd/engine/utility/copy_format.h"
#include "rustbd/engine/utility/null_sink.h"
#include "rustbd/engine/utility/utility.h"
#include "rustbd/sql/deparse.h"
#include "rustbd/sql/keywords.h"

namespace rustbd::engine {

namespace {

constexpr std::size_t kCopyOutBytes = 64 * 1024;  // rows are handed on in pieces of about this size

std::vector<const catalog::Column*> copy_columns(const catalog::Relation& relation,
                                                 const sql::CopyStatement& s) {
  std::vector<const catalog::Column*> out;
  if (s.columns.empty()) {
    for (const auto& c : relation.columns)
      if (!c.dropped && c.generated == 0) out.push_back(&c);
    return out;
  }
  for (const auto name : s.columns) {
    const auto* column = relation.find_column(name);
    if (column == nullptr)
      throw error(sqlstate::kUndefinedColumn, "column \"{}\" of relation \"{}\" does not exist", name,
                  relation.name)
          .at(s.location);
    if (column->generated != 0)
      throw error(sqlstate::kInvalidColumnReference, "column \"{}\" is a generated column", name)
          .with_detail("Generated columns cannot be used in COPY.")
          .at(s.location);
    if (std::find(out.begin(), out.end(), column) != out.end())
      throw error(sqlstate::kDuplicateColumn, "column \"{}\" specified more than once", name).at(s.location);
    out.push_back(column);
  }
  return out;
}

/// Turns chunks of given columns into whole rows: defaults, generated columns, NOT NULL, CHECK; and stores
/// them.
class RowLoader {
 public:
  RowLoader(UtilityContext& c, std::shared_ptr<const catalog::Relation> relation,
            std::span<const catalog::Column* const> given)
      : c_(c),
        relation_(std::move(relation)),
        access_(c.parts),
        table_(access_.local(relation_)),
        rules_(c.parts, relation_),
        given_(given.begin(), given.end()) {
    std::vector<types::Phys> phys;
    for (const auto& column : relation_->columns) phys.push_back(column.type.phys);
    rows_.reset(phys);
    const auto catalog = c.parts.catalog();
    const auto path = c.parts.search_path(*catalog);
    auto input = bind_input(c.parts, *catalog, path);
    input.arena = constants_;
    run_.statement = input.statement;
    run_.cancel = c.parts.session.cancel_flag();
    const auto add_default = [&](std::uint32_t at, const catalog::Column& column) {
      Arena ast;
      const auto bound = binder::bind_table_expression(*sql::parse_expression(column.default_sql, ast),
                                                       nullptr, input, &column.type, "COPY");
      const expression::Expression* one[] = {bound.get()};
      Default d;
      d.column = at;
      d.program = expression::Program::compile(one, {});
      d.local = d.program->make_local();
      defaults_.push_back(std::move(d));
    };
    for (std::uint32_t i = 0; i < relation_->columns.size(); ++i) {
      const auto& column = relation_->columns[i];
      if (column.dropped || std::find(given_.begin(), given_.end(), &column) != given_.end()) continue;
      if (column.generated != 0) continue;
      if (column.identity != 0) identities_.push_back(i);
      else if (!column.default_sql.empty()) add_default(i, column);
      else missing_.push_back(i);
    }
    for (const auto& k : relation_->constraints)
      has_foreign_keys_ = has_foreign_keys_ || k->type == catalog::ConstraintType::kForeignKey;
    for (const auto& index : relation_->indexes) {
      computed_keys_ = computed_keys_ || !index->predicate_sql.empty();
      for (const auto& k : index->columns) computed_keys_ = computed_keys_ || k.attribute == 0;
    }
  }

  types::ChunkBuffer& begin() {
    rows_.begin();
    count_ = 0;
    return rows_;
  }
  [[nodiscard]] std::uint32_t count() const { return count_; }
  void row_added() { ++count_; }
  [[nodiscard]] std::uint64_t stored() const { return stored_; }
  /// Position in the chunk of the row that failed, for the error's line.
  [[nodiscard]] std::uint32_t failed_row() const { return failed_; }

  Task<> store() {
    if (count_ == 0) co_return;
    auto& chunk = rows_.chunk();
    chunk.select_all(count_);
    for (auto i : missing_)
      for (std::uint32_t r = 0; r < count_; ++r) rows_.put(i, r, {}, true);
    for (auto& d : defaults_) {
      types::Vector out;
      d.program->evaluate(*d.local, run_, chunk, {&out, 1});
      put_all(d.column, out);
    }
    for (auto i : identities_) {
      const auto& column = relation_->columns[i];
      for (std::uint32_t r = 0; r < count_; ++r) {
        const auto v = run_.statement->nextval(column.identity_sequence);
        rows_.put(
            i, r,
            column.type.phys == types::Phys::kI16
                ? types::Datum::of(static_cast<std::int16_t>(v))
                : (column.type.phys == types::Phys::kI32 ? types::Datum::of(static_cast<std::int32_t>(v))
                                                         : types::Datum::of(v)),
            false);
      }
    }
    rules_.generate(chunk, [&](std::uint32_t at, const types::Vector& values) { put_all(at, values); });
    rules_.check(chunk, &failed_);
    std::vector<std::uint64_t> ids(count_);
    if (computed_keys_) {
      std::vector<types::Vector> columns(chunk.columns, chunk.columns + chunk.column_count);
      exec::NewRows rows{columns, {}, {}};
      for (std::uint32_t r = 0; r < count_; ++r) {
        failed_ = r;
        for (;;) {
          const auto flow = table_.insert(rows, r, false, {});
          if (flow.result != exec::WriteResult::kBlocked) break;
          co_await wait(c_.parts, flow.token);
        }
      }
    } else {
      std::uint32_t done = 0;
      for (;;) {
        const auto outcome = table_.table().bulk_append(c_.transaction(), chunk, {}, &done, ids.data());
        failed_ = std::min(done, count_ - 1);
        if (outcome.ok()) break;
        if (outcome.blocked()) {
          co_await wait(c_.parts, outcome.token);
          continue;
        }
        if (outcome.status == txn::Status::kDuplicate)
          table_.throw_duplicate(outcome.index, chunk.columns, failed_);
        c_.system().throw_outcome(outcome, c_.parts.locker.get());
      }
      if (has_foreign_keys_) queue_foreign_keys(chunk, ids);
    }
    stored_ += count_;
    count_ = 0;
  }
  Task<> finish() { co_await access_.finish(); }

 private:
  struct Default {
    std::uint32_t column = 0;
    std::unique_ptr<expression::Program> program;
    expression::Program::LocalPtr local;
  };
  void put_all(std::uint32_t column, const types::Vector& values) {
    for (std::uint32_t r = 0; r < count_; ++r)
      rows_.put(column, r, values.is_valid(r) ? values.datum(r) : types::Datum{}, !values.is_valid(r));
  }
  void queue_foreign_keys(const types::Chunk& chunk, const std::vector<std::uint64_t>& ids) {
    for (const auto& k : relation_->constraints) {
      if (k->type != catalog::ConstraintType::kForeignKey) continue;
      for (std::uint32_t r = 0; r < count_; ++r) {
        bool null = false;
        for (auto a : k->columns) null = null || !chunk[static_cast<std::size_t>(a - 1)].is_valid(r);
        if (!null || k->match == 'f') access_.queue(StatementAccess::ChildCheck{k, RowId{ids[r]}});
      }
    }
  }

  UtilityContext& c_;
  std::shared_ptr<const catalog::Relation> relation_;
  StatementAccess access_;
  LocalTable& table_;
  RowRules rules_;
  std::vector<const catalog::Column*> given_;
  types::ChunkBuffer rows_;
  std::shared_ptr<Arena> constants_ = std::make_shared<Arena>();
  expression::RunContext run_{};
  std::vector<Default> defaults_;
  std::vector<std::uint32_t> identities_, missing_;
  bool computed_keys_ = false, has_foreign_keys_ = false;
  std::uint32_t count_ = 0, failed_ = 0;
  std::uint64_t stored_ = 0;
};

Task<std::uint64_t> copy_in(UtilityContext& c, const sql::CopyStatement& s, const CopyOptions& options,
                            std::shared_ptr<const catalog::Relation> relation) {
  if (s.where != nullptr) throw not_supported("COPY ... WHERE").at(s.location);
  const auto columns = copy_columns(*relation, s);
  RowLoader loader{c, relation, columns};
  auto io = c.parts.session.io_context();
  CopyReader reader{options};
  c.sink.copy_in_begin(options.format, columns.size());
  std::vector<std::optional<std::string>> fields;
  std::vector<bool> force_not_null, force_null;
  const auto listed = [](const std::vector<std::string>& names, const catalog::Column* column) {
    return std::find(names.begin(), names.end(), column->name) != names.end();
  };
  for (const auto* column : columns) {
    force_not_null.push_back(listed(options.force_not_null, column));
    force_null.push_back(listed(options.force_null, column));
  }
  bool skip_header = options.header, ended = false;
  std::uint64_t chunk_line = 0;
  auto* rows = &loader.begin();
  std::vector<std::uint64_t> lines(types::kVectorSize);
  std::string where;
  Outcome failure;
  // After an error the rest of the client's data is read and dropped by the protocol; here the statement just
  // fails.
  const auto store = [&]() -> Task<> {
    try {
      co_await loader.store();
    } catch (Error& e) {
      if (e.where.empty())
        e.where = fmt::format("COPY {}, line {}", relation->name, lines[loader.failed_row()]);
      throw;
    }
    rows = &loader.begin();
  };
  while (!ended) {
    auto piece = co_await c.sink.copy_in_data();
    if (piece) reader.feed(*piece);
    else {
      reader.finish();
      ended = true;
    }
    for (;;) {
      try {
        if (!reader.next(fields)) break;
      } catch (Error& e) {
        if (e.where.empty()) e.where = fmt::format("COPY {}, line {}", relation->name, reader.line() + 1);
        throw;
      }
      if (skip_header) {
        skip_header = false;
        continue;
      }
      const auto context = [&] {
        return fmt::format("COPY {}, line {}: \"{}\"", relation->name, reader.line(),
                           reader.row_text().substr(0, 100));
      };
      if (fields.size() > columns.size())
        throw error(sqlstate::kBadCopyFileFormat, "extra data after last expected column")
            .with_where(context());
      if (fields.size() < columns.size())
        throw error(sqlstate::kBadCopyFileFormat, "missing data for column \"{}\"",
                    columns[fields.size()]->name)
            .with_where(context());
      const auto row = loader.count();
      lines[row] = reader.line();
      io.arena = &rows->arena();
      for (std::size_t i = 0; i < columns.size(); ++i) {
        auto& field = fields[i];
        if (!field && force_not_null[i]) field = options.null;
        if (field && force_null[i] && *field == options.null) field = std::nullopt;
        const auto at = static_cast<std::uint32_t>(columns[i]->number - 1);
        if (!field) {
          rows->put(at, row, {}, true);
          continue;
        }
        bool valid = false;
        try {
          types::check_utf8(*field);
          valid = true;
          rows->put(at, row, types::input_text(*field, columns[i]->type, io), false);
        } catch (Error& e) {
          if (!valid) e.where = fmt::format("COPY {}, line {}", relation->name, reader.line());
          if (e.where.empty())
            e.where = fmt::format("COPY {}, line {}, column {}: \"{}\"", relation->name, reader.line(),
                                  columns[i]->name, field->substr(0, 100));
          throw;
        }
      }
      loader.row_added();
      if (loader.count() == types::kVectorSize) {
        co_await store();
        c.parts.session.cancel_flag()->check();
      }
    }
    if (reader.stopped() && !ended) {
      // Data behind the end marker is read off and dropped.
      while (co_await c.sink.copy_in_data()) continue;
      ended = true;
    }
  }
  (void)chunk_line;
  co_await store();
  co_await loader.finish();
  co_return loader.stored();
}

/// Writes the rows of a query as COPY data.
class CopyOutSink final : public NullSink {
 public:
  CopyOutSink(ResultSink& outer, const CopyOptions& options) : NullSink(outer), options_(options) {}
  io::WaitToken rows(const types::Chunk& chunk, std::span<const ResultColumn> columns,
                     types::IoContext& io) override {
    if (force_.empty()) {
      for (const auto& c : columns)
        force_.push_back(options_.force_quote_all ||
                         std::find(options_.force_quote.begin(), options_.force_quote.end(), c.name) !=
                             options_.force_quote.end());
    }
    for (std::uint32_t i = 0; i < chunk.selection.count; ++i) {
      const auto row = chunk.selection[i];
      for (std::size_t c = 0; c < columns.size(); ++c) {
        if (c > 0) out_ += options_.delimiter;
        if (!chunk[c].is_valid(row)) {
          write_copy_value(options_, nullptr, false, false, out_);
          continue;
        }
        value_.clear();
        types::output_text(chunk[c].datum(row), columns[c].type, io, value_);
        write_copy_value(options_, &value_, force_[c], columns.size() == 1, out_);
      }
      out_ += '\n';
    }
    if (out_.size() < kCopyOutBytes) return {};
    return flush();
  }
  io::WaitToken flush() {
    if (out_.empty()) return {};
    auto token = outer_.copy_out_data(out_);
    out_.clear();
    return token;
  }
  void line(std::string text) { out_ += text; }
  void parameter_changed(std::string_view n, std::string_view v) override { outer_.parameter_changed(n, v); }

 private:
  const CopyOptions& options_;
  std::vector<bool> force_;
  std::string out_, value_;
};

}  // namespace

Task<std::string> copy(UtilityContext& c, const sql::CopyStatement& s) {
  if (s.has_file || s.is_program)
    throw not_supported("COPY with a file or program on the server").at(s.location);
  const auto options = read_copy_options(s);
  if (s.is_from) {
    const auto find = [&] {
      auto relation = named_relation(c, *s.relation);
      if (relation->kind != catalog::RelationKind::kTable)
        throw error(sqlstate::kWrongObjectType, "cannot copy to {} \"{}\"", kind_name(relation->kind),
                    relation->name);
      refuse_catalog(*relation);
      check_privileges(c.parts, {plan::RequiredPrivilege{relation->oid, 2, {}}});
      return relation;
    };
    const auto relation =
        co_await find_and_lock(c, catalog::oid::kPgClass, txn::TableLockMode::kRowExclusive, find);
    // Nobody takes a foreign key off while the lock on the table is held.
    for (const auto& k : relation->constraints)
      if (k->type == catalog::ConstraintType::kForeignKey)
        co_await lock_relation(c.parts, k->referenced_relation, txn::TableLockMode::kRowShare);
    begin_statement(c.parts);
    const auto rows = co_await copy_in(c, s, options, relation);
    co_return fmt::format("COPY {}", rows);
  }
  // COPY t TO is COPY (SELECT columns FROM t) TO.
  Arena arena;
  const sql::Node* query = s.query;
  if (query == nullptr) {
    const auto relation = named_relation(c, *s.relation);
    if (relation->kind == catalog::RelationKind::kView)
      throw error(sqlstate::kWrongObjectType, "cannot copy from view \"{}\"", relation->name)
          .with_hint("Try the COPY (SELECT ...) TO variant.");
    std::string text;
    for (const auto* column : copy_columns(*relation, s))
      text += (text.empty() ? "" : ", ") + sql::quote_identifier(column->name);
    text = fmt::format("SELECT {} FROM {}.{}", text, sql::quote_identifier(relation->schema_name),
                       sql::quote_identifier(relation->name));
    query = sql::parse(text, arena)[0].statement;
  }
  if (!is_query(*query)) throw not_supported("COPY of this statement").at(s.location);
  Portal portal;
  portal.plan = make_plan(c.parts, *query, nullptr, {});
  while (co_await lock_relations(c.parts, *portal.plan))
    portal.plan = make_plan(c.parts, *query, nullptr, {});
  check_privileges(c.parts, portal.plan->privileges);
  const auto columns = result_columns(*portal.plan);
  if (columns.empty()) throw error(sqlstate::kFeatureNotSupported, "COPY query must have a RETURNING clause");
  begin_statement(c.parts);
  start_run(c.parts, portal);
  c.sink.copy_out_begin(options.format, columns.size());
  CopyOutSink sink{c.sink, options};
  if (options.header) {
    std::string line;
    for (const auto& column : columns) {
      if (&column != &columns.front()) line += options.delimiter;
      write_copy_value(options, &column.name, false, columns.size() == 1, line);
    }
    sink.line(line + "\n");
  }
  co_await drive(c.parts, portal, 0, sink, columns);
  const auto token = sink.flush();
  if (!token.fired()) co_await wait(c.parts, token);
  c.sink.copy_out_end();
  co_return fmt::format("COPY {}", portal.rows);
}

}  // namespace rustbd::engine
