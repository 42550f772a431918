// Tables in memory behind TableAccess, for unit tests of operators. One statement per
// MemoryDatabase::begin_statement(); scans see the rows as they were then. Can answer kBlocked (with a token
// that has fired) on every other call, and can pretend that another transaction changed a row after the
// snapshot.
#pragma once

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "rustbd/exec/access.h"
#include "rustbd/types/compare.h"

namespace rustbd::exec::testing {

using Field = std::optional<types::Datum>;  // nullopt: NULL
using Fields = std::vector<Field>;

struct MemoryTable {
  std::shared_ptr<catalog::Relation> relation;
  std::map<std::uint64_t, Fields> rows;      // by row id
  std::map<std::uint64_t, Fields> snapshot;  // what the statement sees
  std::set<std::uint64_t> written;           // by the statement
  std::map<std::uint64_t, std::optional<Fields>>
      concurrent;  // newest versions made by others; nullopt: deleted
  std::set<std::uint64_t> locked;
  std::uint64_t next_id = 1;
  std::vector<std::uint64_t> lock_order;
  std::size_t rows_read = 0;
};

class MemoryDatabase;

class MemoryTableAccess final : public TableAccess {
 public:
  MemoryTableAccess(MemoryDatabase& database, MemoryTable& table) : database_(database), table_(table) {}
  std::unique_ptr<RowSource> scan(std::span<const plan::TargetColumn> columns) override;
  std::vector<Morsel> morsels() override;
  std::unique_ptr<IndexSource> index_scan(const catalog::Index& index,
                                          std::span<const plan::TargetColumn> columns) override;
  WriteFlow insert(const NewRows& rows, std::uint32_t row, bool on_conflict,
                   std::span<const Oid> conflict_indexes) override;
  WriteFlow update(RowId id, std::span<const catalog::AttributeNumber> changed, const NewRows& rows,
                   std::uint32_t row) override;
  WriteFlow remove(RowId id) override;
  WriteFlow lock(RowId id, plan::LockStrength, plan::LockWait) override;
  Flow fetch_newest(RowId id, std::span<const plan::TargetColumn> columns, bool lock,
                    types::ChunkBuffer& out) override;

 private:
  bool stall();
  Fields copy_row(const NewRows& rows, std::uint32_t row);
  std::optional<std::uint64_t> unique_clash(const Fields& fields, std::uint64_t self,
                                            std::span<const Oid> indexes, bool any);
  MemoryDatabase& database_;
  MemoryTable& table_;
};

class MemoryDatabase final : public AccessFactory {
 public:
  MemoryTable& add(std::shared_ptr<catalog::Relation> relation) {
    auto& table = tables_[relation->oid];
    table.relation = std::move(relation);
    return table;
  }
  void begin_statement() {
    accesses_.clear();
    for (auto& [oid, table] : tables_) {
      table.snapshot = table.rows;
      table.written.clear();
    }
  }
  TableAccess& table(const std::shared_ptr<const catalog::Relation>& relation) override {
    auto& access = accesses_[relation->oid];
    if (access == nullptr) access = std::make_unique<MemoryTableAccess>(*this, tables_.at(relation->oid));
    return *access;
  }
  Flow end_statement() override;
  bool stall() const;
  bool blocks_every_other_call = false;
  std::uint32_t end_statements = 0;
  std::uint32_t morsel_count = 1;
  Arena memory;

 private:
  std::map<Oid, MemoryTable> tables_;
  std::map<Oid, std::unique_ptr<MemoryTableAccess>> accesses_;
};

inline io::WaitToken fired_token() {
  auto token = io::WaitToken::make(io::WaitReason::kPage);
  token.fire();
  return token;
}

inline void put_fields(const Fields& fields, std::uint64_t id, std::span<const plan::TargetColumn> columns,
                       types::ChunkBuffer& out, std::uint32_t row) {
  for (std::uint32_t c = 0; c < columns.size(); ++c) {
    if (columns[c].attribute == catalog::kRowIdAttribute) {
      out.put(c, row, types::Datum::of(id), false);
      continue;
    }
    const auto& field = fields[static_cast<std::size_t>(columns[c].attribute - 1)];
    out.put(c, row, field.value_or(types::Datum{}), !field.has_value());
  }
}

/// Blocks on every other call of one object.
class Staller {
 public:
  explicit Staller(const MemoryDatabase& database) : database_(database) {}
  bool stall() {
    if (!database_.blocks_every_other_call) return false;
    stalled_ = !stalled_;
    return stalled_;
  }

 private:
  const MemoryDatabase& database_;
  bool stalled_ = false;
};

class MemoryRowSource final : public RowSource {
 public:
  MemoryRowSource(const MemoryDatabase& database, MemoryTable& table,
                  std::span<const plan::TargetColumn> columns)
      : table_(table), columns_(columns.begin(), columns.end()), staller_(database) {}
  void start(const Morsel& morsel) override {
    at_ = morsel.first.raw();
    end_ = morsel.end.raw();
  }
  Flow next(types::ChunkBuffer& out) override {
    if (staller_.stall()) return Flow::blocked(fired_token());
    std::uint32_t n = 0;
    auto it = table_.snapshot.lower_bound(at_);
    for (; it != table_.snapshot.end() && it->first < end_ && n < types::kVectorSize; ++it, ++n)
      put_fields(it->second, it->first, columns_, out, n);
    if (n == 0) return Flow::finished();
    at_ = it == table_.snapshot.end() ? end_ : it->first;
    out.chunk().select_all(n);
    return Flow::output();
  }

 private:
  MemoryTable& table_;
  std::vector<plan::TargetColumn> columns_;
  Staller staller_;
  std::uint64_t at_ = 0, end_ = 0;
};

class MemoryIndexSource final : public IndexSource {
 public:
  MemoryIndexSource(const MemoryDatabase& database, MemoryTable& table, const catalog::Index& index,
                    std::span<const plan::TargetColumn> columns)
      : table_(table), index_(index), columns_(columns.begin(), columns.end()), staller_(database) {}
  void start(const IndexBounds& bounds, bool backward) override {
    found_.clear();
    at_ = 0;
    for (const auto& [id, fields] : table_.snapshot)
      if (matches(bounds, fields)) found_.push_back(id);
    std::ranges::stable_sort(found_, [&](std::uint64_t a, std::uint64_t b) { return key_of(a) < key_of(b); });
    if (backward) std::ranges::reverse(found_);
  }
  Flow next(types::ChunkBuffer& out) override {
    if (staller_.stall()) return Flow::blocked(fired_token());
    std::uint32_t n = 0;
    for (; at_ < found_.size() && n < 3; ++at_, ++n)
      put_fields(table_.snapshot.at(found_[at_]), found_[at_], columns_, out, n);
    if (n == 0) return Flow::finished();
    out.chunk().select_all(n);
    return Flow::output();
  }

 private:
  [[nodiscard]] bool matches(const IndexBounds& bounds, const Fields& fields) const {
    for (std::size_t i = 0; i < bounds.equal.size(); ++i) {
      const auto& f = field(fields, i);
      if (bounds.equal[i].is_null != !f.has_value()) return false;
      if (f && types::compare(*f, bounds.equal[i].datum, index_.columns[i].type) != 0) return false;
    }
    const auto part = bounds.equal.size();
    if (!bounds.has_lower && !bounds.has_upper) return true;
    const auto& f = field(fields, part);
    if (!f) return false;
    const auto& type = index_.columns[part].type;
    if (bounds.has_lower) {
      const int c = types::compare(*f, bounds.lower.datum, type);
      if (c < 0 || (c == 0 && !bounds.lower_inclusive)) return false;
    }
    if (bounds.has_upper) {
      const int c = types::compare(*f, bounds.upper.datum, type);
      if (c > 0 || (c == 0 && !bounds.upper_inclusive)) return false;
    }
    return true;
  }
  [[nodiscard]] const Field& field(const Fields& fields, std::size_t part) const {
    return fields[static_cast<std::size_t>(index_.columns[part].attribute - 1)];
  }
  Bytes key_of(std::uint64_t id) const {
    Bytes key;
    const auto& fields = table_.snapshot.at(id);
    for (std::size_t i = 0; i < index_.columns.size(); ++i) {
      const auto& f = field(fields, i);
      types::append_key(f.value_or(types::Datum{}), !f.has_value(),
                        {index_.columns[i].type, index_.columns[i].descending}, key);
    }
    return key;
  }
  MemoryTable& table_;
  const catalog::Index& index_;
  std::vector<plan::TargetColumn> columns_;
  Staller staller_;
  std::vector<std::uint64_t> found_;
  std::size_t at_ = 0;
};

inline std::unique_ptr<RowSource> MemoryTableAccess::scan(std::span<const plan::TargetColumn> columns) {
  return std::make_unique<MemoryRowSource>(database_, table_, columns);
}
inline std::vector<Morsel> MemoryTableAccess::morsels() {
  const auto n = std::max<std::uint64_t>(1, database_.morsel_count);
  std::vector<Morsel> morsels;
  for (std::uint64_t i = 0; i < n; ++i)
    morsels.push_back({RowId{table_.next_id * i / n}, RowId{table_.next_id * (i + 1) / n}, i});
  return morsels;
}
inline std::unique_ptr<IndexSource> MemoryTableAccess::index_scan(
    const catalog::Index& index, std::span<const plan::TargetColumn> columns) {
  return std::make_unique<MemoryIndexSource>(database_, table_, index, columns);
}
inline Fields MemoryTableAccess::copy_row(const NewRows& rows, std::uint32_t row) {
  Fields fields;
  for (const auto& v : rows.columns)
    fields.push_back(v.is_valid(row) ? Field{types::copy_datum(v.datum(row), v.phys, database_.memory)}
                                     : Field{});
  return fields;
}
inline std::optional<std::uint64_t> MemoryTableAccess::unique_clash(const Fields& fields, std::uint64_t self,
                                                                    std::span<const Oid> indexes, bool any) {
  for (const auto& index : table_.relation->indexes) {
    if (!index->unique || (!any && std::ranges::find(indexes, index->oid) == indexes.end())) continue;
    for (const auto& [id, other] : table_.rows) {
      if (id == self) continue;
      const bool same = std::ranges::all_of(index->columns, [&](const catalog::IndexColumn& column) {
        const auto at = static_cast<std::size_t>(column.attribute - 1);
        return fields[at] && other[at] && types::equal(*fields[at], *other[at], column.type);
      });
      if (same) return id;
    }
  }
  return std::nullopt;
}
inline WriteFlow MemoryTableAccess::insert(const NewRows& rows, std::uint32_t row, bool on_conflict,
                                           std::span<const Oid> conflict_indexes) {
  if (stall()) return {WriteResult::kBlocked, fired_token()};
  auto fields = copy_row(rows, row);
  if (on_conflict) {
    if (const auto id = unique_clash(fields, 0, conflict_indexes, conflict_indexes.empty()))
      return {table_.written.contains(*id) ? WriteResult::kConflictRunningOwnCommand : WriteResult::kConflict,
              {},
              RowId{*id}};
  }
  if (unique_clash(fields, 0, {}, true))
    throw error(sqlstate::kUniqueViolation, "duplicate key value violates unique constraint");
  const auto id = table_.next_id++;
  table_.rows[id] = std::move(fields);
  table_.written.insert(id);
  return {WriteResult::kDone, {}, RowId{id}};
}
inline WriteFlow MemoryTableAccess::update(RowId id, std::span<const catalog::AttributeNumber>,
                                           const NewRows& rows, std::uint32_t row) {
  if (stall()) return {WriteResult::kBlocked, fired_token()};
  if (table_.concurrent.contains(id.raw()) && !table_.locked.contains(id.raw()))
    return {WriteResult::kChanged};
  if (table_.written.contains(id.raw()) || !table_.rows.contains(id.raw())) return {WriteResult::kGone};
  table_.rows[id.raw()] = copy_row(rows, row);
  table_.written.insert(id.raw());
  return {};
}
inline WriteFlow MemoryTableAccess::remove(RowId id) {
  if (stall()) return {WriteResult::kBlocked, fired_token()};
  if (table_.concurrent.contains(id.raw()) && !table_.locked.contains(id.raw()))
    return {WriteResult::kChanged};
  if (table_.written.contains(id.raw()) || !table_.rows.contains(id.raw())) return {WriteResult::kGone};
  table_.rows.erase(id.raw());
  table_.written.insert(id.raw());
  return {};
}
inline WriteFlow MemoryTableAccess::lock(RowId id, plan::LockStrength, plan::LockWait) {
  if (stall()) return {WriteResult::kBlocked, fired_token()};
  if (table_.concurrent.contains(id.raw()) && !table_.locked.contains(id.raw()))
    return {WriteResult::kChanged};
  if (!table_.rows.contains(id.raw())) return {WriteResult::kGone};
  table_.lock_order.push_back(id.raw());
  return {};
}
inline Flow MemoryTableAccess::fetch_newest(RowId id, std::span<const plan::TargetColumn> columns, bool lock,
                                            types::ChunkBuffer& out) {
  if (stall()) return Flow::blocked(fired_token());
  if (lock) table_.locked.insert(id.raw());
  if (const auto changed = table_.concurrent.find(id.raw()); changed != table_.concurrent.end()) {
    if (!changed->second) {
      table_.rows.erase(id.raw());
      return Flow::finished();
    }
    table_.rows[id.raw()] = *changed->second;
  }
  const auto found = table_.rows.find(id.raw());
  if (found == table_.rows.end()) return Flow::finished();
  put_fields(found->second, id.raw(), columns, out, 0);
  out.chunk().select_all(1);
  return Flow::output();
}
inline bool MemoryTableAccess::stall() { return database_.stall(); }
inline bool MemoryDatabase::stall() const {
  thread_local std::uint64_t calls = 0;
  return blocks_every_other_call && ++calls % 2 == 1;
}
inline Flow MemoryDatabase::end_statement() {
  if (stall()) return Flow::blocked(fired_token());
  ++end_statements;
  return Flow::finished();
}

}  // namespace rustbd::exec::testing
