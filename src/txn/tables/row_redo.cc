// RowWriter::redo(): recovery makes a prepared transaction's changes once more, as versions of a running one.
#include "rustbd/txn/tables/row_writer.h"

namespace rustbd::txn {

Outcome RowWriter::redo(const log::Event& event) {
  Outcome damaged{Status::kDamaged};
  damaged.owner = state_.id.raw();
  Arena arena(1024);
  Redo redo;
  redo.row = event.row;
  std::vector<Cell> before;
  bool good = false;
  switch (event.op) {
    case log::EventOp::kUpdate:
      good =
          read_update_event(event.body, format_, arena, &redo.columns, &before, &redo.cells, &redo.computed);
      break;
    case log::EventOp::kInsert:
    case log::EventOp::kDelete:
      good = read_row_event(event.body, format_, arena, &redo.cells, &redo.computed);
      break;
    default: break;
  }
  if (!good) return damaged;
  redo_ = &redo;
  txn_.next_command();
  Outcome outcome;
  if (event.op == log::EventOp::kInsert) {
    outcome = insert({}, {}, false, nullptr);
    state_.raise_next_row(redo.row);
  } else if (event.op == log::EventOp::kUpdate) {
    outcome = update(redo.row, redo.columns, {}, {}, 0);
  } else {
    outcome = remove(redo.row, {}, 0);
  }
  redo_ = nullptr;
  return outcome.status == Status::kGone ? damaged : outcome;
}

}  // namespace rustbd::txn
