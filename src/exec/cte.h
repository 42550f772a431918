// Rows of common table expressions and of recursive steps, shared by their scans.
#pragma once

#include <memory>

#include "rustbd/exec/plan_executor.h"
#include "rustbd/exec/row_table.h"

namespace rustbd::exec {

/// A CTE's rows, made as far as its scans have asked for them (so LIMIT ends an endless recursion).
class CteState {
 public:
  CteState(RunState& run, const Layout& definition)
      : layout(definition), rows(run.memory, RowLayout{definition.types}) {}
  const Layout layout;
  RowTable rows;
  std::unique_ptr<PlanExecutor> producer;  // nullptr: all rows are put in before (writing CTEs)
  bool complete = false;
  /// Reads one more chunk into `rows`. kHaveOutput, kFinished, kBlocked.
  Flow fetch();
  void restart();
};

/// What the step of a recursive query reads: the rows of the round before.
class WorkTable {
 public:
  WorkTable(RunState& run, const Layout& columns)
      : layout(columns),
        current(std::make_unique<RowTable>(run.memory, RowLayout{columns.types})),
        next(std::make_unique<RowTable>(run.memory, RowLayout{columns.types})) {}
  const Layout layout;
  std::unique_ptr<RowTable> current, next;
};

}  // namespace rustbd::exec
