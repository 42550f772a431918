#include "rustbd/txn/testing/state_hash.h"

#include <algorithm>
#include <tuple>

#include "rustbd/base/bytes.h"
#include "rustbd/base/hash.h"
#include "rustbd/txn/tables/table.h"
#include "rustbd/types/compare.h"

namespace rustbd::txn::testing {

namespace {

std::uint64_t add(std::uint64_t hash, const Bytes& bytes) {
  return hash_combine(hash, xxh3_64(bytes.data(), bytes.size()));
}

std::uint64_t hash_table(TransactionSystem& system, Transaction& txn,
                         const std::shared_ptr<const storage::TableLayout>& layout) {
  Table table(system, layout);
  std::vector<ColumnNumber> columns;
  for (std::size_t i = 0; i < layout->columns.size(); ++i)
    if (!layout->columns[i].dropped) columns.push_back(static_cast<ColumnNumber>(i));
  TableScan scan(table, txn.view(), columns);
  types::ChunkBuffer out;
  Bytes bytes;
  layout->serialize(bytes);
  std::uint64_t hash = add(0, bytes);
  for (;;) {
    const Outcome o = until_done_blocking([&] { return scan.next(out); });
    if (o.status == Status::kEnd) return hash;
    if (!o.ok()) system.throw_outcome(o);
    const types::Chunk& chunk = out.chunk();
    for (std::uint32_t i = 0; i < chunk.count(); ++i) {
      const std::uint32_t row = chunk.selection[i];
      bytes.clear();
      ByteWriter writer(bytes);
      writer.varint(chunk[columns.size()].datum(row).u64);
      for (std::size_t c = 0; c < columns.size(); ++c) {
        const types::Vector& v = chunk[c];
        writer.fixed<std::uint8_t>(v.is_valid(row) ? 1 : 0);
        if (!v.is_valid(row)) continue;
        Bytes value;
        types::append_stored(v.datum(row), v.phys, value);
        writer.text(as_chars(value));
      }
      hash = add(hash, bytes);
    }
  }
}

}  // namespace

std::uint64_t state_hash(TransactionSystem& system) {
  auto layouts = system.layouts();
  std::ranges::sort(layouts, {}, [](const auto& l) { return std::tuple(l->database, l->relation); });
  const auto locker = system.make_locker(97);
  const auto txn = system.begin(*locker);
  txn->begin_statement();
  std::uint64_t hash = 0;
  for (const auto& layout : layouts)
    if (!layout->is_sequence) hash = hash_combine(hash, hash_table(system, *txn, layout));
  txn->abandon();
  return hash;
}

}  // namespace rustbd::txn::testing
