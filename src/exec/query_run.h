// One execution of a plan: made by `engine`, pulled chunk by chunk by whoever sends the result.
#pragma once

#include <functional>
#include <memory>

#include "rustbd/exec/access.h"
#include "rustbd/expression/evaluator.h"

namespace rustbd::exec {

/// What a run needs from its session. All outlive the run.
struct QueryContext {
  AccessFactory* access = nullptr;
  functions::StatementContext* statement = nullptr;
  const functions::CancelFlag* cancel = nullptr;
  io::Lane* workers = nullptr;  // nullptr: everything runs inline on the caller's thread
  std::size_t worker_limit = 1;
  std::span<const types::Value> parameters{};
  std::uint64_t memory_limit = 0;                 // bytes; 0 none. Over it: 53200
  std::uint32_t chunk_rows = types::kVectorSize;  // rustbd.test_chunk_rows
  bool collect_statistics = false;                // EXPLAIN ANALYZE
};

/// Thrown by QueryRun::next: a row changed after the snapshot, and only the whole statement can say whether
/// it still matches (ExecutionPlan::may_restart, query.md §10.6). The owner takes back what the statement did
/// and runs it again with a new snapshot; where it cannot, this is the error.
struct StatementRestart : Error {
  StatementRestart()
      : Error(error(sqlstate::kSerializationFailure, "could not serialize access due to concurrent update")) {
  }
};

struct NodeStatistics {
  std::uint64_t rows = 0, loops = 0, filtered = 0, chunks = 0;
  std::uint64_t first_ns = 0, total_ns = 0;
  std::uint64_t memory_bytes = 0;
};

class QueryRun {
 public:
  static std::unique_ptr<QueryRun> start(std::shared_ptr<const plan::ExecutionPlan> plan,
                                         const QueryContext& context);
  virtual ~QueryRun() = default;
  /// The next chunk of the result (plan.result's columns in order), at most `max_rows` rows (0: any). DML
  /// without RETURNING gives kFinished at once when done. The chunk is valid until the next call. Never
  /// touches more rows of volatile or writing operators than asked for. Throws Error.
  virtual Flow next(types::Chunk* out, std::uint64_t max_rows) = 0;
  [[nodiscard]] virtual std::uint64_t affected_rows() const = 0;
  /// After kFinished: lets go of everything that belongs to the execution. True: another one can begin with
  /// run_again(), which spares building and compiling the stages; what is kept meanwhile is small. False:
  /// the plan has a part that cannot.
  virtual bool rest() = 0;
  /// Only when rest() said so, with the same plan and the same access factory, which has begun its next
  /// statement. As start().
  virtual void run_again(const QueryContext& context) = 0;
  /// Index = PlanNode::id.
  [[nodiscard]] virtual std::span<const NodeStatistics> statistics() const = 0;
};

}  // namespace rustbd::exec
