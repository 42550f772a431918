#include "rustbd/engine/access/local_table.h"

#include "rustbd/base/rest.h"
#include "rustbd/base/small_vector.h"
#include "rustbd/engine/session_parts.h"
#include "rustbd/types/cast.h"

namespace rustbd::engine {

namespace {

using exec::Flow;
using exec::WriteFlow;
using exec::WriteResult;
using storage::ColumnNumber;

ColumnNumber to_column(catalog::AttributeNumber attribute) {
  return static_cast<ColumnNumber>(attribute - 1);
}

/// Splits the wanted columns into stored ones and where the row id goes.
struct ColumnRequest {
  SmallVector<ColumnNumber, 8> stored;
  SmallVector<std::uint32_t, 8> position;   // of each stored column in the output
  SmallVector<std::uint32_t, 1> row_id_at;  // output positions of the row id
  explicit ColumnRequest(std::span<const plan::TargetColumn> columns) {
    for (std::uint32_t i = 0; i < columns.size(); ++i) {
      if (columns[i].attribute > 0) {
        stored.push_back(to_column(columns[i].attribute));
        position.push_back(i);
      } else if (columns[i].attribute == catalog::kRowIdAttribute) {
        row_id_at.push_back(i);
      } else {
        throw not_supported("this system column");
      }
    }
  }
  [[nodiscard]] bool needs_order() const {
    for (std::uint32_t i = 0; i < position.size(); ++i)
      if (position[i] != i) return true;
    return row_id_at.size() > 1 || (row_id_at.size() == 1 && row_id_at[0] != position.size());
  }
  /// Puts the vectors (stored columns, then the row id) into the wanted order.
  void arrange(types::Chunk& chunk) const {
    if (!needs_order()) return;
    std::vector<types::Vector> vectors(chunk.columns, chunk.columns + chunk.column_count);
    for (std::size_t i = 0; i < position.size(); ++i) chunk[position[i]] = vectors[i];
    for (auto at : row_id_at) chunk[at] = vectors[position.size()];
  }
};

Flow flow_of(StatementAccess& access, const txn::Outcome& outcome) {
  switch (outcome.status) {
    case txn::Status::kOk: return Flow::output();
    case txn::Status::kEnd: return Flow::finished();
    case txn::Status::kBlocked: return Flow::blocked(outcome.token);
    default: access.throw_outcome(outcome);
  }
}

class LocalScan final : public exec::RowSource {
 public:
  LocalScan(StatementAccess& access, txn::Table& table, std::span<const plan::TargetColumn> columns)
      : access_(access), table_(table), request_(columns) {}
  void start(const exec::Morsel& morsel) override {
    const std::uint64_t first = morsel.first.raw();
    const std::uint64_t end = morsel.end.raw();
    scan_ = std::make_unique<txn::TableScan>(table_, access_.view(), request_.stored,
                                             txn::RowRange{first, end - 1}, !request_.row_id_at.empty());
  }
  Flow next(types::ChunkBuffer& out) override {
    const auto flow = flow_of(access_, scan_->next(out));
    if (flow.state == exec::State::kHaveOutput) request_.arrange(out.chunk());
    return flow;
  }

 private:
  StatementAccess& access_;
  txn::Table& table_;
  ColumnRequest request_;
  std::unique_ptr<txn::TableScan> scan_;
};

class LocalIndexScan final : public exec::IndexSource {
 public:
  LocalIndexScan(StatementAccess& access, txn::Table& table, const storage::IndexLayout& layout,
                 std::span<const plan::TargetColumn> columns)
      : access_(access), table_(table), layout_(layout), request_(columns) {}

  void start(const exec::IndexBounds& bounds, bool backward) override {
    nothing_ = false;
    encode(bounds);
    const auto direction = backward ? txn::ScanDirection::kBackward : txn::ScanDirection::kForward;
    if (scan_ != nullptr && direction == direction_) {
      scan_->restart(access_.view(), range_);
    } else {
      scan_ = std::make_unique<txn::IndexScan>(table_, layout_.id, access_.view(), range_, direction,
                                               request_.stored, !request_.row_id_at.empty());
      direction_ = direction;
    }
  }
  Flow next(types::ChunkBuffer& out) override {
    if (nothing_) return Flow::finished();
    const auto flow = flow_of(access_, scan_->next(out));
    if (flow.state == exec::State::kHaveOutput) request_.arrange(out.chunk());
    return flow;
  }
  bool rest() override {
    return memory_.bytes_reserved() + (scan_ == nullptr ? 0 : scan_->bytes_kept()) <= kRestBytesMax;
  }

 private:
  /// False: the value can't be among the column's values, so an equality matches nothing.
  bool append(std::size_t part, const types::Value& value, Bytes& out) {
    const auto& key = layout_.parts[part].key;
    types::Datum datum = value.datum;
    bool exact = true;
    if (!value.is_null && value.type.oid == types::oid::kNumeric &&
        (value.type.phys != key.type.phys || value.type.scale != key.type.scale)) {
      datum = types::convert_decimal(value.datum, value.type, key.type, memory_);
      const auto back =
          types::convert_decimal(datum, key.type, types::make_type(types::oid::kNumeric), memory_);
      const auto given =
          types::convert_decimal(value.datum, value.type, types::make_type(types::oid::kNumeric), memory_);
      exact = types::compare(back, given, types::make_type(types::oid::kNumeric)) == 0;
    }
    types::append_key(datum, value.is_null, key, out);
    return exact;
  }
  /// Into range_.
  void encode(const exec::IndexBounds& bounds) {
    memory_.reset();
    prefix_.clear();
    for (std::size_t i = 0; i < bounds.equal.size(); ++i)
      if (!append(i, bounds.equal[i], prefix_)) nothing_ = true;
    range_.has_lower = range_.has_upper = false;
    range_.lower_inclusive = range_.upper_inclusive = true;
    if (!bounds.has_lower && !bounds.has_upper) {
      if (prefix_.empty()) return;
      range_.lower = range_.upper = prefix_;
      range_.has_lower = range_.has_upper = true;
      return;
    }
    const std::size_t part = bounds.equal.size();
    const auto& key = layout_.parts[part].key;
    // In key order a descending part runs from its upper bound to its lower one.
    const bool swap = key.descending;
    const auto set = [&](bool low_side, const types::Value* value, bool inclusive) {
      Bytes bytes = prefix_;
      if (value != nullptr) {
        append(part, *value, bytes);
      } else {
        // An open side: everything of this prefix, but not the NULLs.
        const bool nulls_here = low_side == key.nulls_first;
        if (nulls_here) {
          types::append_key({}, true, key, bytes);
          inclusive = false;
        } else {
          inclusive = true;
        }
      }
      if (bytes.empty()) return;
      if (low_side) {
        range_.lower = std::move(bytes);
        range_.has_lower = true;
        range_.lower_inclusive = inclusive;
      } else {
        range_.upper = std::move(bytes);
        range_.has_upper = true;
        range_.upper_inclusive = inclusive;
      }
    };
    const types::Value* lower = bounds.has_lower ? &bounds.lower : nullptr;
    const types::Value* upper = bounds.has_upper ? &bounds.upper : nullptr;
    if (!swap) {
      set(true, lower, bounds.lower_inclusive);
      set(false, upper, bounds.upper_inclusive);
    } else {
      set(true, upper, bounds.upper_inclusive);
      set(false, lower, bounds.lower_inclusive);
    }
  }

  StatementAccess& access_;
  txn::Table& table_;
  const storage::IndexLayout& layout_;
  ColumnRequest request_;
  Arena memory_{512};
  Bytes prefix_;  // the key's leading parts
  txn::KeyRange range_;
  std::unique_ptr<txn::IndexScan> scan_;
  txn::ScanDirection direction_ = txn::ScanDirection::kForward;
  bool nothing_ = false;
};

}  // namespace

LocalTable::LocalTable(StatementAccess& access, std::shared_ptr<const catalog::Relation> relation)
    : access_(access),
      relation_(std::move(relation)),
      table_(access.parts().database.transactions(), relation_->layout) {
  for (const auto& i : relation_->indexes) {
    has_computed_ = has_computed_ || !i->predicate_sql.empty();
    for (const auto& k : i->columns) has_computed_ = has_computed_ || k.attribute == 0;
  }
}
LocalTable::~LocalTable() = default;

void LocalTable::rest() {
  computer_.reset();  // it is bound to the session
  before_.clear();
  after_.clear();
  if (!deferred_.suspects.empty()) deferred_ = {};
  accepted_.clear();
  if (!old_.rest()) old_ = {};
}

IndexKeyComputer* LocalTable::computer() {
  if (has_computed_ && computer_ == nullptr)
    computer_ = std::make_unique<IndexKeyComputer>(access_.parts(), *relation_);
  return computer_.get();
}

std::unique_ptr<exec::RowSource> LocalTable::scan(std::span<const plan::TargetColumn> columns) {
  return std::make_unique<LocalScan>(access_, table_, columns);
}

std::vector<exec::Morsel> LocalTable::morsels() {
  constexpr std::uint32_t kMorselsWanted = 64;
  std::vector<std::uint64_t> cuts;
  const auto outcome = table_.morsel_boundaries(kMorselsWanted, &cuts);
  if (!outcome.ok()) cuts.clear();  // a hint only: one morsel covers all
  const txn::RowRange all;
  std::vector<exec::Morsel> out;
  std::uint64_t first = all.first;
  for (auto c : cuts) {
    if (c <= first) continue;
    out.push_back({RowId{first}, RowId{c}, out.size()});
    first = c;
  }
  out.push_back({RowId{first}, RowId{all.last + 1}, out.size()});
  return out;
}

std::unique_ptr<exec::IndexSource> LocalTable::index_scan(const catalog::Index& index,
                                                          std::span<const plan::TargetColumn> columns) {
  const auto* layout = table_.layout().find_index(index.tree);
  RUSTBD_ASSERT(layout != nullptr, "an index of the catalog has a layout");
  return std::make_unique<LocalIndexScan>(access_, table_, *layout, columns);
}

void LocalTable::throw_duplicate(IndexId id, const types::Vector* columns, std::uint32_t row) {
  const catalog::Index* index = nullptr;
  for (const auto& i : relation_->indexes)
    if (i->tree == id) index = i.get();
  RUSTBD_ASSERT(index != nullptr, "a violated index is in the catalog");
  auto io = access_.parts().session.io_context();
  Arena scratch;
  io.arena = &scratch;
  std::string names, values;
  for (const auto& k : index->columns) {
    if (!names.empty()) {
      names += ", ";
      values += ", ";
    }
    if (k.attribute == 0) {
      names += k.expression_sql;
      values += "...";
      continue;
    }
    const auto& c = relation_->column(k.attribute);
    names += c.name;
    if (columns == nullptr) continue;
    const auto& v = columns[to_column(k.attribute)];
    if (!v.is_valid(row)) values += "null";
    else types::output_text(v.datum(row), c.type, io, values);
  }
  auto e =
      error(sqlstate::kUniqueViolation, "duplicate key value violates unique constraint \"{}\"", index->name)
          .on_table(relation_->schema_name, relation_->name)
          .on_constraint(index->name);
  if (columns != nullptr) e.detail = fmt::format("Key ({})=({}) already exists.", names, values);
  throw e;
}

WriteFlow LocalTable::translate(const txn::Outcome& outcome, const types::Vector* columns,
                                std::uint32_t row) {
  switch (outcome.status) {
    case txn::Status::kOk: return {WriteResult::kDone, {}, outcome.row};
    case txn::Status::kBlocked: return {WriteResult::kBlocked, outcome.token};
    case txn::Status::kConflict: return {WriteResult::kChanged};
    case txn::Status::kGone:
    case txn::Status::kSelfModified: return {WriteResult::kGone};
    case txn::Status::kDuplicate: throw_duplicate(outcome.index, columns, row);
    default: access_.throw_outcome(outcome);
  }
}

WriteFlow LocalTable::insert(const exec::NewRows& rows, std::uint32_t row, bool on_conflict,
                             std::span<const Oid> conflict_indexes) {
  txn::WriteExtras extras;
  std::vector<txn::ComputedKey> keys;
  if (auto* const computing = computer()) {
    const std::uint16_t at = static_cast<std::uint16_t>(row);
    types::Chunk chunk;
    chunk.columns = const_cast<types::Vector*>(rows.columns.data());
    chunk.column_count = static_cast<std::uint32_t>(rows.columns.size());
    chunk.rows = row + 1;
    chunk.selection = {&at, 1};
    computing->compute(chunk, after_);
    for (auto& r : after_) keys.push_back({r.index, false, r.member, nullptr, r.parts.data()});
    extras.computed = keys;
    extras.row = row;
  }
  RowId id;
  const auto outcome = table_.insert(access_.transaction(), {rows.columns.data(), row}, extras, &id);
  if (outcome.status == txn::Status::kDuplicate && on_conflict) {
    bool named = conflict_indexes.empty();
    for (const auto& i : relation_->indexes)
      if (i->tree == outcome.index &&
          std::find(conflict_indexes.begin(), conflict_indexes.end(), i->oid) != conflict_indexes.end())
        named = true;
    // What the snapshot does not show can neither be skipped nor updated.
    if (named && outcome.row_state == txn::ConflictState::kUnseen)
      access_.throw_outcome({txn::Status::kSerialization});
    if (named)
      return {outcome.row_state == txn::ConflictState::kOwnCommand ? WriteResult::kConflictRunningOwnCommand
                                                                   : WriteResult::kConflict,
              {},
              outcome.row};
  }
  if (!outcome.ok()) return translate(outcome, rows.columns.data(), row);
  queue_child_checks(id, {}, rows, row);
  return {WriteResult::kDone, {}, id};
}

bool LocalTable::needs_old_image(std::span<const catalog::AttributeNumber> changed) const {
  if (has_computed_) return true;
  for (const auto& c : relation_->referenced_by) {
    if (changed.empty()) return true;  // DELETE
    for (auto a : c->referenced_columns)
      if (std::find(changed.begin(), changed.end(), a) != changed.end()) return true;
  }
  return false;
}

txn::Outcome LocalTable::read_old(RowId id) {
  std::vector<ColumnNumber> all;
  for (ColumnNumber i = 0; i < relation_->columns.size(); ++i) all.push_back(i);
  std::uint64_t version = 0;
  return table_.fetch_newest(access_.transaction(), id, all, old_, &version);
}

void LocalTable::queue_parent_changes(std::span<const catalog::AttributeNumber> changed,
                                      const exec::NewRows* rows, std::uint32_t row) {
  if (relation_->referenced_by.empty()) return;
  const auto& old = old_.chunk();
  const auto at = old.selection[0];
  for (const auto& c : relation_->referenced_by) {
    bool touched = rows == nullptr;
    for (auto a : c->referenced_columns)
      touched = touched || std::find(changed.begin(), changed.end(), a) != changed.end();
    if (!touched) continue;
    StatementAccess::ParentChange change;
    change.constraint = c;
    bool has_null = false, differs = rows == nullptr;
    for (auto a : c->referenced_columns) {
      const auto n = to_column(a);
      const auto& type = relation_->column(a).type;
      const auto& v = old[n];
      has_null = has_null || !v.is_valid(at);
      if (!v.is_valid(at)) break;
      change.old_key.push_back({type, false, types::copy_datum(v.datum(at), type.phys, access_.memory())});
      if (rows == nullptr) continue;
      const auto& w = rows->columns[n];
      const bool null = !w.is_valid(row);
      change.new_key.push_back(
          {type, null, null ? types::Datum{} : types::copy_datum(w.datum(row), type.phys, access_.memory())});
      differs =
          differs || null || !types::equal(change.old_key.back().datum, change.new_key.back().datum, type);
    }
    if (!has_null && differs) access_.queue(std::move(change));
  }
}

WriteFlow LocalTable::update(RowId id, std::span<const catalog::AttributeNumber> changed,
                             const exec::NewRows& rows, std::uint32_t row) {
  const bool old_image = needs_old_image(changed);
  if (old_image) {
    const auto outcome = read_old(id);
    if (outcome.status == txn::Status::kEnd || outcome.status == txn::Status::kGone)
      return {WriteResult::kGone};
    if (!outcome.ok()) return translate(outcome, nullptr, 0);
    if (old_.chunk().selection.count == 0) return {WriteResult::kGone};
  }
  SmallVector<ColumnNumber, 8> numbers;
  for (auto a : changed) numbers.push_back(to_column(a));
  std::sort(numbers.begin(), numbers.end());
  SmallVector<types::Vector, 8> values;
  for (auto n : numbers) values.push_back(rows.columns[n]);
  txn::WriteExtras extras;
  std::vector<txn::ComputedKey> keys;
  std::vector<std::vector<types::Vector>> before_parts;
  Arena constants;
  if (auto* const computing = computer()) {
    computing->compute(old_.chunk(), before_);
    // The computed vectors are the program's own: keep the old ones as constants while the new row is
    // computed.
    const auto at = old_.chunk().selection[0];
    for (auto& r : before_) {
      std::vector<types::Vector> kept;
      for (auto& p : r.parts)
        kept.push_back(types::make_constant(
            p.is_valid(at) ? types::copy_datum(p.datum(at), p.phys, constants) : types::Datum{},
            !p.is_valid(at), p.phys, constants));
      before_parts.push_back(std::move(kept));
    }
    const std::uint16_t position = static_cast<std::uint16_t>(row);
    types::Chunk chunk;
    chunk.columns = const_cast<types::Vector*>(rows.columns.data());
    chunk.column_count = static_cast<std::uint32_t>(rows.columns.size());
    chunk.rows = row + 1;
    chunk.selection = {&position, 1};
    computing->compute(chunk, after_);
    for (std::size_t i = 0; i < after_.size(); ++i)
      keys.push_back({after_[i].index, before_[i].member, after_[i].member, before_parts[i].data(),
                      after_[i].parts.data()});
    extras.computed = keys;
    extras.row = row;
  }
  extras.deferred = &deferred_;
  const auto it = accepted_.find(id);
  const auto outcome = table_.update(access_.transaction(), id, numbers, {values.data(), row}, extras,
                                     it == accepted_.end() ? 0 : it->second);
  if (!outcome.ok()) return translate(outcome, rows.columns.data(), row);
  queue_child_checks(id, changed, rows, row);
  if (old_image) queue_parent_changes(changed, &rows, row);
  return {WriteResult::kDone, {}, id};
}

WriteFlow LocalTable::remove(RowId id) {
  txn::WriteExtras extras;
  std::vector<txn::ComputedKey> keys;
  const bool old_image = needs_old_image({});
  if (old_image) {
    const auto outcome = read_old(id);
    if (outcome.status == txn::Status::kEnd || outcome.status == txn::Status::kGone)
      return {WriteResult::kGone};
    if (!outcome.ok()) return translate(outcome, nullptr, 0);
    if (old_.chunk().selection.count == 0) return {WriteResult::kGone};
  }
  if (auto* const computing = computer()) {
    computing->compute(old_.chunk(), before_);
    for (auto& r : before_) keys.push_back({r.index, r.member, false, r.parts.data(), nullptr});
    extras.computed = keys;
    extras.row = old_.chunk().selection[0];
  }
  const auto it = accepted_.find(id);
  const auto outcome =
      table_.remove(access_.transaction(), id, extras, it == accepted_.end() ? 0 : it->second);
  if (!outcome.ok()) return translate(outcome, nullptr, 0);
  if (old_image) queue_parent_changes({}, nullptr, 0);
  return {WriteResult::kDone, {}, id};
}

WriteFlow LocalTable::lock(RowId id, plan::LockStrength strength, plan::LockWait wait) {
  static constexpr txn::RowLockMode kModes[] = {txn::RowLockMode::kKeyShare, txn::RowLockMode::kShare,
                                                txn::RowLockMode::kNoKeyUpdate, txn::RowLockMode::kUpdate};
  const auto it = accepted_.find(id);
  const auto outcome =
      table_.lock_row(access_.transaction(), id, kModes[static_cast<std::size_t>(strength)],
                      wait == plan::LockWait::kWait ? txn::WaitPolicy::kWait : txn::WaitPolicy::kNoWait,
                      it == accepted_.end() ? 0 : it->second);
  if (outcome.status == txn::Status::kLockNotAvailable) {
    if (wait == plan::LockWait::kSkipLocked) return {WriteResult::kGone};
    if (wait == plan::LockWait::kNoWait)
      throw error(sqlstate::kLockNotAvailable, "could not obtain lock on row in relation \"{}\"",
                  relation_->name);
  }
  return translate(outcome, nullptr, 0);
}

Flow LocalTable::fetch_newest(RowId id, std::span<const plan::TargetColumn> columns, bool lock,
                              types::ChunkBuffer& out) {
  const ColumnRequest request{columns};
  std::uint64_t version = 0;
  const auto outcome = table_.fetch_newest(access_.transaction(), id, request.stored, out, &version);
  if (outcome.status == txn::Status::kEnd || outcome.status == txn::Status::kGone) return Flow::finished();
  const auto flow = flow_of(access_, outcome);
  if (flow.state != exec::State::kHaveOutput) return flow;
  if (out.chunk().selection.count == 0) return Flow::finished();
  accepted_[id] = version;
  (void)lock;  // the write that follows takes the row; a newer version in between answers kChanged again
  return flow;
}

void LocalTable::queue_child_checks(RowId id, std::span<const catalog::AttributeNumber> changed,
                                    const exec::NewRows& rows, std::uint32_t row) {
  for (const auto& c : relation_->constraints) {
    if (c->type != catalog::ConstraintType::kForeignKey) continue;
    bool touched = changed.empty(), has_null = false;
    for (auto a : c->columns) {
      touched = touched || std::find(changed.begin(), changed.end(), a) != changed.end();
      has_null = has_null || !rows.columns[to_column(a)].is_valid(row);
    }
    if (touched && (!has_null || c->match == 'f')) access_.queue(StatementAccess::ChildCheck{c, id});
  }
}

Task<> LocalTable::check_deferred() {
  std::size_t done = 0;
  while (done < deferred_.suspects.size()) {
    const auto outcome = table_.check_deferred_unique(access_.transaction(), deferred_, &done);
    if (outcome.blocked()) {
      co_await wait(access_.parts(), outcome.token);
      continue;
    }
    if (outcome.status == txn::Status::kDuplicate) {
      // Read the row back for the detail.
      for (;;) {
        const auto read = read_old(outcome.row);
        if (read.blocked()) {
          co_await wait(access_.parts(), read.token);
          continue;
        }
        if (read.ok() && old_.chunk().selection.count != 0)
          throw_duplicate(outcome.index, old_.chunk().columns, old_.chunk().selection[0]);
        throw_duplicate(outcome.index, nullptr, 0);
      }
    }
    if (!outcome.ok()) access_.throw_outcome(outcome);
  }
  deferred_.suspects.clear();
}

bool LocalTable::encode_key(const storage::IndexLayout& index, std::span<const types::Value> values,
                            Bytes& out) {
  Arena memory;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (values[i].is_null) return false;
    types::Datum d = values[i].datum;
    const auto& key = index.parts[i].key;
    if (values[i].type.oid == types::oid::kNumeric &&
        (values[i].type.phys != key.type.phys || values[i].type.scale != key.type.scale))
      d = types::convert_decimal(d, values[i].type, key.type, memory);
    types::append_key(d, false, key, out);
  }
  return true;
}

}  // namespace rustbd::engine
