// LeafRebuild: what the kept log says about the rows of table leaves that cannot be read, and whether that is
// everything (decision 045). Part of recovery: no transaction runs, no version exists.
//
// A leaf is made anew only with proof: of each row id of its range it is known what became of it. Either the
// log has the row's INSERT or its DELETE, or the undo snapshot took it back, or nothing refers to it: the
// table began in the kept log, or an index of all rows has no entry of it.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "rustbd/log/log_reader.h"
#include "rustbd/storage/rows/table_tree.h"
#include "rustbd/txn/row_codec.h"

namespace rustbd::txn {

struct SystemParts;

/// A leaf that recovery, or a look at all pages, has found unreadable.
struct DamagedLeaf {
  TableId table;
  storage::LeafPlace place;
  bool needed = false;  // recovery has left a change of it out: without the leaf the table is set aside
  std::set<std::uint64_t> absent;   // row ids that recovery was about to take out of it
  std::set<std::uint64_t> present;  // ... to put into it or to change; the table's indexes may not have them
};

/// What became of a leaf that could not be read.
struct LeafRepair {
  TableId table;
  PageId page;
  std::uint64_t rows = 0;  // of the new leaf
  std::string why_not;     // empty: it was made anew
  [[nodiscard]] std::string what() const;
};

class LeafRebuild {
 public:
  /// `end`: where the log ends, as recovery has found.
  LeafRebuild(SystemParts& parts, std::vector<DamagedLeaf> leaves, Lsn end);
  LeafRebuild(const LeafRebuild&) = delete;
  LeafRebuild& operator=(const LeafRebuild&) = delete;

  /// Once. One result a leaf, in ascending order of table and rows. Throws what a full disk or pool makes of
  /// it (as recovery).
  std::vector<LeafRepair> run();

 private:
  struct Row {
    bool known = false;  // its INSERT or its DELETE was seen
    bool present = false;
    std::vector<Cell> cells;  // of `format`'s columns, full values
    std::unique_ptr<Arena> arena;
  };
  struct History {
    DamagedLeaf leaf;
    std::uint64_t low = 0;  // of the rows that may have stood in it
    std::map<std::uint64_t, Row> rows;
    std::shared_ptr<const TableFormat> format;  // of the rows' cells
    std::string why_not;
  };
  /// The layouts of a table as the kept log goes by.
  struct Layouts {
    std::shared_ptr<const TableFormat> format;  // in force; nullptr: the table is not there (yet)
    bool began = false;                         // the table is younger than the kept log
    bool seen = false;                          // in the log, so far
  };

  void find_ranges();
  void find_range(History& history);
  void read_log();
  enum class Look : std::uint8_t {
    kLayouts,  // where the log is whole from, and with which layouts it begins
    kRows,
  };
  bool read_from(log::LogReader& reader, Lsn from, Look look);
  void forget();
  void learn(const log::Event& event, Look look);
  void take(const log::Event& event);
  void take_row(History& history, const TableFormat& format, const log::Event& event);
  static void keep(Row& row, const TableFormat& format, const std::vector<Cell>& cells);
  static void bring_to(History& history, const std::shared_ptr<const TableFormat>& format);
  [[nodiscard]] std::string missing_rows(const History& history) const;
  [[nodiscard]] bool is_explained(const History& history, std::uint64_t row) const;
  [[nodiscard]] std::string before_the_log(std::uint64_t row) const;
  LeafRepair make(History& history);
  History* find(TableId table, RowId row);

  SystemParts& parts_;
  const Lsn end_;
  Lsn from_;                        // where the kept log begins
  std::vector<History> histories_;  // ascending by table and rows
  std::unordered_map<TableId, Layouts> layouts_;
  std::map<std::uint64_t, Lsn> prepared_;  // transaction id -> its PREPARE in the kept log
  std::string log_problem_;                // no leaf can be made anew
};

}  // namespace rustbd::txn
