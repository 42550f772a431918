// CatalogStore: the stored table behind the catalog, and the committed snapshot that all sessions share.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <tuple>
#include <vector>

#include "rustbd/base/task.h"
#include "rustbd/catalog/snapshot.h"
#include "rustbd/txn/tables/table.h"
#include "rustbd/txn/transaction_system.h"

namespace rustbd::catalog {

enum class ObjectClass : std::int32_t {
  kSchema = 1,
  kRelation = 2,
  kEnum = 3,
  kRole = 4,
  kComment = 5,
  kStatistics = 6
};

/// Names one stored row: class, oid, and a sub-number (comments on columns: attnum).
struct ObjectKey {
  ObjectClass object_class;
  Oid oid = 0;
  std::int32_t sub = 0;
  auto operator<=>(const ObjectKey&) const = default;
};

/// Key of a comment: on (class oid, object oid, sub). Classes are pg_class, pg_namespace, pg_type,
/// pg_constraint, ...
using CommentKey = std::tuple<Oid, Oid, std::int32_t>;

/// One change that a transaction made, to be applied to whatever is committed when it commits.
struct CatalogChange {
  ObjectKey key;
  RowId row;  // none: removed
  std::function<void(CatalogSnapshot&)> apply;
};

class CatalogStore;

/// The uncommitted DDL of one transaction. Threads: the session's; view() also on workers of its statement.
class CatalogChanges {
 public:
  explicit CatalogChanges(CatalogStore& store) : store_(store) {}
  [[nodiscard]] bool empty() const { return changes_.empty(); }
  /// Position for savepoints; truncate() forgets what came after.
  [[nodiscard]] std::size_t position() const { return changes_.size(); }
  void truncate(std::size_t position);
  /// What the transaction sees: the committed snapshot with its own changes on top.
  std::shared_ptr<const CatalogSnapshot> view();
  /// The same on the session's own coroutine, made for being asked all the time: no lock, and references that
  /// are counted for this session alone, so that sessions share no cache line.
  std::shared_ptr<const CatalogSnapshot> session_view();
  /// Lets go of what session_view() keeps: an idle session keeps no old catalog alive.
  void rest() { seen_ = nullptr; }

 private:
  friend class CatalogStore;
  CatalogStore& store_;
  std::vector<CatalogChange> changes_;
  std::shared_ptr<const CatalogSnapshot> seen_;  // by session_view(), committed; nullptr: ask the store
  std::shared_ptr<const CatalogSnapshot> view_;
  std::uint64_t view_base_ = 0;  // version of the committed snapshot under view_
  std::uint64_t views_ = 0;      // made so far
  bool registered_ = false;      // publication at commit is arranged
};

class CatalogStore {
 public:
  static constexpr Oid kObjectTable = 9000;  // relation oid of the stored table (database 0)

  /// Opens the stored table, making and filling it in a new directory: schemas pg_catalog,
  /// information_schema, public; role postgres. Blocks. `builtin`: relations of pg_catalog and
  /// information_schema, put into every snapshot.
  CatalogStore(txn::TransactionSystem& system, std::vector<std::shared_ptr<const Relation>> builtin);

  [[nodiscard]] std::shared_ptr<const CatalogSnapshot> committed() const;
  [[nodiscard]] std::uint64_t version() const { return version_.load(std::memory_order_acquire); }
  /// Comment on an object; empty: none. Committed ones and, with `changes`, own.
  [[nodiscard]] std::string comment(const CommentKey& key) const;
  [[nodiscard]] std::map<CommentKey, std::string> comments() const;

  // Writes of DDL. The relation's layout has been created or altered through TransactionSystem by the caller;
  // `object` gets its layout from there. Each throws Error.
  Task<> put(txn::Transaction& txn, CatalogChanges& changes, std::shared_ptr<Relation> object);
  Task<> put(txn::Transaction& txn, CatalogChanges& changes, Schema object);
  Task<> put(txn::Transaction& txn, CatalogChanges& changes, EnumType object);
  Task<> put(txn::Transaction& txn, CatalogChanges& changes, Role object);
  Task<> put_statistics(txn::Transaction& txn, CatalogChanges& changes, Oid relation,
                        TableStatistics statistics);
  Task<> put_comment(txn::Transaction& txn, CatalogChanges& changes, CommentKey key,
                     std::string text);  // empty: removes
  Task<> remove(txn::Transaction& txn, CatalogChanges& changes, ObjectClass object_class, Oid oid);

 private:
  friend class CatalogChanges;
  struct Committed {
    std::shared_ptr<const CatalogSnapshot> snapshot;
    std::map<ObjectKey, RowId> rows;
    std::map<CommentKey, std::string> comments;
  };
  void bootstrap();
  void make_builtin(txn::Transaction& txn);
  void load();
  void link_references(CatalogSnapshot& snapshot);
  void raise_object_ids(const CatalogSnapshot& snapshot);
  Task<> write_row(txn::Transaction& txn, CatalogChanges& changes, ObjectKey key, Bytes definition,
                   std::function<void(CatalogSnapshot&)> apply);
  void publish(CatalogChanges& changes, CommitTimestamp ts, Lsn lsn);
  RowId row_of(const CatalogChanges& changes, const ObjectKey& key) const;
  static ObjectKey comment_object(const CommentKey& key);

  txn::TransactionSystem& system_;
  const std::vector<std::shared_ptr<const Relation>> builtin_;
  std::unique_ptr<txn::Table> table_;
  std::unique_ptr<txn::Locker> locker_;
  mutable std::mutex mutex_;  // protects committed_; held for pointer copies and publication only
  Committed committed_;
  std::atomic<std::uint64_t> version_{1};
};

/// The layout of a relation's rows: all columns nullable (NOT NULL is checked above), indexes with their key
/// parts.
storage::TableLayout make_layout(const Relation& relation, TableId table, Oid database);

}  // namespace rustbd::catalog
