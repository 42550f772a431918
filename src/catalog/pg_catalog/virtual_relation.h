// Relations whose rows are computed when they are scanned: PostgreSQL's catalog and the server's views, as
// projections of a CatalogSnapshot and of the server's state (docs/decisions/001).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "rustbd/catalog/store.h"
#include "rustbd/types/vector.h"

namespace rustbd::catalog {

/// Rows of one relation, value by value from left to right. Strings are copied.
class RowCollector {
 public:
  explicit RowCollector(const Relation& relation);
  RowCollector& null();
  RowCollector& boolean(bool v);
  RowCollector& int2(std::int16_t v);
  RowCollector& int4(std::int32_t v);
  RowCollector& int8(std::int64_t v);
  RowCollector& oid(Oid v);  // oid, reg*
  RowCollector& float4(float v);
  RowCollector& float8(double v);
  RowCollector& character(char v);         // "char"
  RowCollector& text(std::string_view v);  // text, name, varchar, json, pg_node_tree, ...
  RowCollector& text_or_null(std::string_view v) { return v.empty() ? null() : text(v); }
  RowCollector& timestamptz(std::int64_t wall_us);  // µs from 1970
  RowCollector& xid(std::uint32_t v);
  RowCollector& array(std::span<const Oid> v);           // oid[] and oidvector, by the column's type
  RowCollector& array(std::span<const std::int16_t> v);  // int2[] and int2vector
  RowCollector& array(std::span<const std::string> v);   // text[], name[], aclitem[] (as text)
  RowCollector& array_char(std::span<const char> v);     // "char"[]
  /// An array of any element type: for anyarray columns.
  RowCollector& array_of(const types::TypeRef& element, std::span<const types::Datum> v);
  RowCollector& array_float4(std::span<const double> v);
  /// Any value in its text form, read by the column's input function.
  RowCollector& from_text(std::string_view v);
  void end_row();  // asserts that every column got a value
  [[nodiscard]] std::vector<std::unique_ptr<types::ChunkBuffer>> take() { return std::move(chunks_); }

 private:
  RowCollector& put(const types::Datum& value, bool is_null);
  const Relation& relation_;
  std::vector<types::Phys> phys_;
  std::vector<std::unique_ptr<types::ChunkBuffer>> chunks_;
  std::uint32_t row_ = 0, column_ = 0;
};

struct ActivityRow {
  std::int32_t pid = 0;
  std::string user, database, application_name, client_address, protocol, state, query, wait_event_type,
      wait_event;
  std::int64_t backend_start_us = 0, transaction_start_us = 0, query_start_us = 0, state_change_us = 0;
  std::uint64_t transaction_id = 0;
};
struct SettingRow {
  std::string name, value, unit, category, description, context, type, minimum, maximum, boot_value,
      reset_value, source;
  std::vector<std::string> choices;
};
struct PreparedRow {
  std::string name, statement;
  std::int64_t prepare_time_us = 0;
  std::vector<Oid> parameter_types;
  bool from_sql = false;
};
struct CursorRow {
  std::string name, statement;
  bool hold = false, binary = false, scroll = false;
  std::int64_t creation_time_us = 0;
};
struct SequenceValue {
  std::int64_t last_value = 0;
  bool is_called = false;
};

/// The server's state, for pg_stat_activity, pg_locks, pg_settings, ...; implemented by `engine`.
class ServerInformation {
 public:
  virtual ~ServerInformation() = default;
  virtual std::vector<ActivityRow> activity() = 0;
  virtual std::vector<txn::LockListEntry> locks() = 0;
  virtual std::vector<SettingRow> settings() = 0;
  virtual std::vector<PreparedRow> prepared_statements() = 0;
  virtual std::vector<CursorRow> cursors() = 0;
  virtual txn::TransactionSystem& transactions() = 0;
  virtual SequenceValue sequence_value(Oid sequence) = 0;
  /// Rows and pages of a stored relation or index now.
  virtual double live_rows(const Relation& relation) = 0;
  virtual double pages(const Relation& relation) = 0;
  virtual double index_pages(const Index& index) = 0;
  virtual std::vector<std::pair<std::string, double>> metrics() = 0;
  virtual std::int64_t start_time_us() = 0;
  virtual Oid current_role() = 0;
  virtual std::int64_t now_us() = 0;  // wall clock, µs from 1970

  // Texts as PostgreSQL's pg_get_expr, pg_get_indexdef, pg_get_constraintdef and pg_get_viewdef give them.
  virtual std::string expression_text(const Relation& relation, std::string_view sql,
                                      const types::TypeRef* target) = 0;
  virtual std::string index_definition(const Index& index) = 0;
  virtual std::string constraint_definition(const Relation& relation, const Constraint& constraint) = 0;
  virtual std::string view_definition(const Relation& relation) = 0;
};

struct VirtualContext {
  const CatalogSnapshot& catalog;
  const CatalogStore& store;
  ServerInformation& server;
};

struct VirtualRelation {
  std::shared_ptr<const Relation>
      relation;  // source is kVirtual; views (information_schema) have view_sql and no fill
  void (*fill)(VirtualContext&, RowCollector&) = nullptr;
};
/// All of pg_catalog and information_schema; fixed after first use.
std::span<const VirtualRelation> virtual_relations();
const VirtualRelation* find_virtual(Oid relation);

}  // namespace rustbd::catalog
