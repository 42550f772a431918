#include "rustbd/engine/access/virtual_table.h"

#include "rustbd/engine/context/session_context.h"

namespace rustbd::engine {

class VirtualScan final : public exec::RowSource {
 public:
  VirtualScan(VirtualTable& table, std::span<const plan::TargetColumn> columns)
      : table_(table), columns_(columns.begin(), columns.end()) {
    for (const auto& c : columns_) {
      if (c.attribute > 0) phys_.push_back(table.relation_->column(c.attribute).type.phys);
      else
        phys_.push_back(c.attribute == catalog::kTableOidAttribute ? types::Phys::kU32 : types::Phys::kU64);
    }
  }
  void start(const exec::Morsel&) override { next_ = 0; }
  exec::Flow next(types::ChunkBuffer& out) override {
    table_.compute();
    if (!prepared_) {
      out.reset(phys_);
      prepared_ = true;
    }
    if (next_ >= table_.chunks_.size()) return exec::Flow::finished();
    const auto& from = table_.chunks_[next_++]->chunk();
    auto& chunk = out.begin();
    for (std::uint32_t c = 0; c < columns_.size(); ++c)
      for (std::uint32_t i = 0; i < from.selection.count; ++i) {
        const auto row = from.selection[i];
        if (columns_[c].attribute == catalog::kTableOidAttribute) {
          out.put(c, i, types::Datum::of(table_.relation_->oid), false);
          continue;
        }
        if (columns_[c].attribute <= 0) {
          out.put(c, i,
                  types::Datum::of(static_cast<std::uint64_t>((next_ - 1) * types::kVectorSize + row + 1)),
                  false);
          continue;
        }
        const auto& v = from[static_cast<std::size_t>(columns_[c].attribute - 1)];
        const bool valid = v.is_valid(row);
        out.put(c, i, valid ? v.datum(row) : types::Datum{}, !valid,
                false);  // strings stay in the table's chunks
      }
    chunk.select_all(from.selection.count);
    return exec::Flow::output();
  }

 private:
  VirtualTable& table_;
  std::vector<plan::TargetColumn> columns_;
  std::vector<types::Phys> phys_;
  std::size_t next_ = 0;
  bool prepared_ = false;
};

std::unique_ptr<exec::RowSource> VirtualTable::scan(std::span<const plan::TargetColumn> columns) {
  return std::make_unique<VirtualScan>(*this, columns);
}

void VirtualTable::compute() {
  if (computed_) return;
  computed_ = true;
  if (relation_->kind == catalog::RelationKind::kSequence) {
    catalog::RowCollector row{*relation_};
    const auto value = access_.parts().context->sequence_value(relation_->oid);
    row.int8(value.last_value).int8(0).boolean(value.is_called).end_row();
    chunks_ = row.take();
    return;
  }
  const auto* definition = catalog::find_virtual(relation_->oid);
  RUSTBD_ASSERT(definition != nullptr && definition->fill != nullptr, "a virtual relation has its rows");
  catalog::RowCollector rows{*relation_};
  catalog::VirtualContext context{*access_.catalog(), access_.parts().database.catalog(),
                                  *access_.parts().context};
  definition->fill(context, rows);
  chunks_ = rows.take();
}

}  // namespace rustbd::engine
