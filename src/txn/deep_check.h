// DeepCheck: everything that an open, idle database can be asked about itself (check.cc has the method).
#pragma once

#include <fmt/format.h>

#include <array>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "rustbd/storage/btree/tree_report.h"
#include "rustbd/txn/system_parts.h"

namespace rustbd::txn {

/// Findings are one line each: `table "public.t": page 17: ...`. One thread, once.
class DeepCheck {
 public:
  DeepCheck(TransactionSystem& system, bool free_lost, const KeysOf& keys_of)
      : system_(system), parts_(system.parts()), free_lost_(free_lost), keys_of_(keys_of) {}
  std::vector<std::string> run();

 private:
  static constexpr std::uint32_t kRootMap = 0xFFFFFFFF,
                                 kPendingFree = 0xFFFFFFFE;  // owners that are no trees
  static constexpr std::size_t kEntriesMax = 1'000'000;
  static constexpr std::uint64_t kNamedMax = 20;

  /// The entries of one side of an index as sums of their hashes.
  struct Side {
    static constexpr unsigned kParts = 1024;
    std::vector<std::pair<std::uint64_t, std::uint64_t>> parts{kParts};  // count, sum
    void add(std::uint64_t hash) {
      auto& part = parts[hash % kParts];
      ++part.first;
      part.second += hash;
    }
    static const auto& part_of(std::uint64_t hash, const Side& side) { return side.parts[hash % kParts]; }
    bool operator==(const Side&) const = default;
  };
  struct IndexCheck {
    const IndexPart& part;
    std::optional<ComputeKeys> compute{};  // of a computed index, if anybody can
    Side table_side{};
    bool whole = true;  // the table's side has all its entries
    std::set<std::uint64_t>
        null_keys{};  // hashes of the computed keys of which a part is null; at most kEntriesMax
    /// The row id alone stands for the entry: nobody can compute the key.
    [[nodiscard]] bool by_row_id() const { return part.computed && !compute; }
  };

  void problem(const std::string& whose, std::string_view what) {
    problems_.push_back(fmt::format("{}: {}", whose, what));
  }
  void tree_problems(const std::string& name, const storage::TreeReport& report);
  void own(PageId page, std::uint32_t owner);
  void own_chain(PageId first, std::uint32_t owner);
  [[nodiscard]] std::string owner_name(std::uint32_t owner) const;

  void check_table(const std::shared_ptr<const storage::TableLayout>& layout);
  void check_index(TreeState& state, const TableFormat& format, IndexCheck& index, bool table_whole);
  void check_chain(TableId table, RowId row, const storage::OverflowRef& ref);
  void check_space();

  bool each_row(TreeState& state, const TableFormat& format,
                const std::function<void(RowId, std::vector<Cell>&, bool tombstone)>& visit);
  storage::Status fill_keys(const TableFormat& format, std::vector<Cell>& row, Arena& arena);
  static std::uint64_t hash_entry(ByteSpan key, RowId row);
  [[nodiscard]] bool has_versions(TableId table, RowId row) const;
  void find_keys(IndexCheck& index);
  void compute_side(TreeState& state, IndexCheck& index);
  bool each_computed_key(TreeState& state, IndexCheck& index,
                         const std::function<void(RowId, ByteSpan key, bool null)>& visit);
  bool counts_as_double(TreeState& state, const TableFormat& format, const IndexCheck& index, ByteSpan key,
                        RowId id);
  void name_differences(TreeState& state, const TableFormat& format, IndexCheck& index,
                        const std::function<bool(std::uint64_t)>& wanted);
  void name_strays(TreeState& state, const TableFormat& format, const IndexPart& part);

  TransactionSystem& system_;
  SystemParts& parts_;
  const bool free_lost_;
  const KeysOf& keys_of_;
  std::vector<std::string> problems_;
  std::vector<std::uint32_t> owners_;   // by page id; 0: nobody's so far
  std::set<std::uint64_t> tombstones_;  // of the table that is being checked
  bool incomplete_ = false;             // something could not be read
};

}  // namespace rustbd::txn
