// Sequences: not transactional, logged ahead in blocks of 32 values (query.md §10.6).
#include "rustbd/base/error.h"
#include "rustbd/txn/system_parts.h"

namespace rustbd::txn {

namespace {

constexpr std::int64_t kLogAhead = 32;

struct Step {
  std::int64_t value = 0;
  bool past_end = false;
};

/// The value after `from`; past_end: the limit was reached and the sequence does not cycle.
Step step_from(std::int64_t from, const TransactionSystem::SequenceDefinition& d, std::int64_t times) {
  const __int128 next = static_cast<__int128>(from) + static_cast<__int128>(d.increment) * times;
  if (d.increment > 0 && next > d.maximum) return {d.minimum, !d.cycle};
  if (d.increment < 0 && next < d.minimum) return {d.maximum, !d.cycle};
  return {static_cast<std::int64_t>(next), false};
}

bool covered(std::int64_t value, std::int64_t logged, bool ascending) {
  return ascending ? value <= logged : value >= logged;
}

constexpr std::uint64_t kSequenceBatchBytes = 256;

/// Room in the log for one small batch.
Outcome reserve(SystemParts& parts, log::Reservation* reservation) {
  auto room = parts.log->reserve(kSequenceBatchBytes, reservation);
  switch (room.status) {
    case log::ReserveStatus::kReserved: return {};
    case log::ReserveStatus::kWait: return Outcome::blocked_on(std::move(room.token));
    case log::ReserveStatus::kNoSpace: return Outcome{Status::kNoSpace};
    case log::ReserveStatus::kFailed: return Outcome{Status::kIoError};
  }
  RUSTBD_UNREACHABLE();
}

/// One NONTX batch with the value. Inside the gate.
std::uint64_t log_value(SystemParts& parts, TableId sequence, std::int64_t value, bool called,
                        log::Reservation& reservation) {
  log::EventWriter events;
  events.add_sequence(sequence, value, called);
  auto batch = log::prepare_batch({log::BatchKind::kNonTransactional, {}, 0, parts.catalog_version.load()},
                                  events.bytes(), events.count(), {}, parts.log_key());
  parts.log->append(batch, reservation);
  return parts.log->end_of(batch).raw();
}

/// No layout names it, neither a committed one nor that of a transaction which creates it. sequence_mutex
/// held: whoever drops the sequence forgets its value after that.
bool is_gone(SystemParts& parts, TableId sequence) {
  {
    const std::shared_lock lock(parts.tables_mutex);
    if (parts.by_table.contains(sequence)) return false;
  }
  const auto tree = parts.tree_state(sequence);
  return tree == nullptr || tree->dropped.load(std::memory_order_acquire) || tree->format() == nullptr;
}

}  // namespace

Outcome TransactionSystem::sequence_advance(Transaction* txn, TableId sequence,
                                            const SequenceDefinition& definition, std::uint32_t count,
                                            std::int64_t* out) {
  SystemParts& parts = *parts_;
  const bool ascending = definition.increment > 0;
  const storage::Action action(parts.gate());
  std::lock_guard lock(parts.sequence_mutex);
  const auto found = parts.sequences.find(sequence);
  const bool fresh = found == parts.sequences.end();
  if (fresh && is_gone(parts, sequence)) return Outcome{Status::kGone};
  Sequence s = fresh ? Sequence{} : found->second;
  Step first;
  if (fresh) first = {definition.start, false};
  else if (!s.called) first = {s.value, false};
  else first = step_from(s.value, definition, 1);
  if (first.past_end) {
    throw error(sqlstate::kSequenceLimitExceeded, "nextval: reached {} value of sequence",
                ascending ? "maximum" : "minimum");
  }
  Step last = step_from(first.value, definition, count - 1);
  if (last.past_end || last.value == (ascending ? definition.minimum : definition.maximum))
    last = {first.value, false};
  const bool wrapped = !fresh && s.called && (ascending ? first.value < s.value : first.value > s.value);
  if (fresh || wrapped || !s.called || !covered(last.value, s.logged, ascending)) {
    log::Reservation reservation;
    if (Outcome o = reserve(parts, &reservation); !o.ok()) return o;
    const Step ahead = step_from(last.value, definition, kLogAhead);
    const bool over = ahead.past_end || (ascending ? ahead.value < last.value : ahead.value > last.value);
    s.logged = over ? (ascending ? definition.maximum : definition.minimum) : ahead.value;
    s.logged_lsn = log_value(parts, sequence, s.logged, true, reservation);
  }
  s.value = last.value;
  s.called = true;
  parts.sequences[sequence] = s;
  if (txn != nullptr) txn->note_seen(0, s.logged_lsn);
  *out = first.value;
  return {};
}

Outcome TransactionSystem::sequence_set(Transaction* txn, TableId sequence, std::int64_t value, bool called) {
  SystemParts& parts = *parts_;
  const storage::Action action(parts.gate());
  std::lock_guard lock(parts.sequence_mutex);
  if (is_gone(parts, sequence)) return Outcome{Status::kGone};
  log::Reservation reservation;
  if (Outcome o = reserve(parts, &reservation); !o.ok()) return o;
  Sequence s;
  s.value = s.logged = value;
  s.called = called;
  s.logged_lsn = log_value(parts, sequence, value, called, reservation);
  parts.sequences[sequence] = s;
  if (txn != nullptr) txn->note_seen(0, s.logged_lsn);
  return {};
}

TransactionSystem::SequenceState TransactionSystem::sequence_state(TableId sequence) const {
  std::lock_guard lock(parts_->sequence_mutex);
  const auto at = parts_->sequences.find(sequence);
  if (at == parts_->sequences.end()) return {};
  return {at->second.value, at->second.called, true};
}

}  // namespace rustbd::txn
