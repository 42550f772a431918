// Reads of the crash simulation's clients: compared with the model at their snapshot, and shown to the
// outside once they may be.
#include <fmt/format.h>

#include "rustbd/txn/testing/crash_keys.h"
#include "rustbd/txn/testing/crash_world.h"

namespace rustbd::txn::testing {

Task<CrashClient::Next> CrashClient::read_table() {
  const Oid relation = world_.chance(500) ? world_.bank : pick_relation();
  if (relation == 0) co_return Next::kSkip;
  LayoutPtr layout;
  RUSTBD_GO(co_await use(relation, TableLockMode::kAccessShare, &layout));
  Table table(*world_.system, layout);
  const ReadView view = txn_->view();
  TableScan scan(table, view, all_columns(*layout));
  types::ChunkBuffer out;
  const std::string what =
      fmt::format("client {}: scan of table {} at {}", number_, layout->table.raw(), view.snapshot);
  RowCollector found(world_, what, *layout);
  for (;;) {
    Outcome o = co_await finish("scan", [&] { return scan.next(out); });
    if (o.status == Status::kEnd && !world_.dead()) break;
    RUSTBD_GO(judge(o, "scan"));
    found.take(out.chunk());
  }
  world_.rows_read += found.rows.size();
  compare_rows(world_, what, expected_rows(layout->table, view), found.rows, *layout);
  note_read(layout->table, view);
  co_return co_await show();
}

Task<CrashClient::Next> CrashClient::read_index() {
  const Oid relation = world_.chance(400) ? world_.bank : pick_relation();
  if (relation == 0) co_return Next::kSkip;
  LayoutPtr layout;
  RUSTBD_GO(co_await use(relation, TableLockMode::kAccessShare, &layout));
  if (layout->indexes.empty()) co_return Next::kSkip;
  Table table(*world_.system, layout);
  const ReadView view = txn_->view();
  const auto& index = layout->indexes[world_.random.below(layout->indexes.size())];
  // An index whose keys the caller computes has those of the rows that were there when it was built, no older
  // ones.
  if (is_computed(index) && world_.model.index_since(relation, index.id) > view.snapshot)
    co_return Next::kSkip;
  const bool backward = world_.chance(300);
  IndexScan scan(table, index.id, view, KeyRange::all(),
                 backward ? ScanDirection::kBackward : ScanDirection::kForward, all_columns(*layout));
  types::ChunkBuffer out;
  const std::string what = fmt::format("client {}: index {} of table {} at {}", number_, index.id.raw(),
                                       layout->table.raw(), view.snapshot);
  RowCollector found(world_, what, *layout);
  OrderCheck order(world_, index, backward);
  for (;;) {
    const auto limit = static_cast<std::uint32_t>(1 + world_.random.below(64));
    Outcome o = co_await finish("index scan", [&] { return scan.next(out, limit); });
    if (o.status == Status::kEnd && !world_.dead()) break;
    RUSTBD_GO(judge(o, "index scan"));
    found.take(out.chunk(), [&](std::uint64_t row, const Image& image) { order.see(row, image); });
  }
  world_.rows_read += found.rows.size();
  compare_rows(world_, what, members(index, expected_rows(layout->table, view)), found.rows, *layout);
  if (index.partial) co_return Next::kGo;  // it tells nothing of the rows that it leaves out
  note_read(layout->table, view);
  co_return co_await show();
}

/// A whole table was read, and was as the model says: so the result tells of the newest change that the
/// snapshot sees.
void CrashClient::note_read(TableId table, const ReadView& view) {
  shown_ = std::max(shown_, world_.model.newest_change(table, view.snapshot));
}

Task<CrashClient::Next> CrashClient::show() {
  if (!world_.chance(300)) co_return Next::kGo;
  doing_ = "waiting to send a result";
  const Lsn hold = txn_->hold_lsn();
  waits_for_ = world_.system->when_durable(hold);
  co_await waits_for_;
  if (world_.dead()) co_return Next::kDead;
  if (world_.system->durable_lsn() >= hold) world_.model.show(shown_);
  co_return Next::kGo;
}

}  // namespace rustbd::txn::testing
