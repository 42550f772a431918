// What functions and catalog projections need of the session: settings, names, time, sequences, the server's
// state.
#pragma once

#include "rustbd/catalog/pg_catalog/virtual_relation.h"
#include "rustbd/engine/session_parts.h"
#include "rustbd/functions/registry.h"

namespace rustbd::engine {

class SessionContext final : public functions::StatementContext,
                             public types::ObjectNames,
                             public catalog::ServerInformation {
 public:
  explicit SessionContext(Session::Parts& parts) : parts_(parts) {}
  /// Takes over the settings for the statement that begins.
  void begin_statement();

  // functions::StatementContext
  types::IoContext& io() override { return io_; }
  std::int64_t transaction_timestamp_us() override;
  std::int64_t statement_timestamp_us() override;
  std::int64_t clock_timestamp_us() override;
  std::uint64_t random_u64() override;
  void set_random_seed(double seed) override;
  std::string_view current_user() override;
  std::string_view session_user() override;
  std::string_view current_database() override { return "postgres"; }
  std::string_view current_schema() override;
  std::vector<std::string> current_schemas(bool with_implicit) override;
  std::int64_t nextval(Oid sequence) override;
  std::int64_t currval(Oid sequence) override;
  std::int64_t lastval() override;
  void setval(Oid sequence, std::int64_t value, bool is_called) override;
  std::string get_setting(std::string_view name, bool missing_ok, bool* found) override;
  std::string set_setting(std::string_view name, std::string_view value, bool is_local) override;
  bool catalog_function(std::string_view name, std::span<const types::Datum> args,
                        std::span<const bool> nulls, Arena& arena, types::Datum* result) override;

  // types::ObjectNames
  std::string name_of(Oid reg_type, Oid object) override;
  Oid find(Oid reg_type, std::string_view text) override;
  std::string enum_label(Oid enum_type, std::uint64_t code) override;
  std::uint64_t enum_code(Oid enum_type, std::string_view label) override;

  // catalog::ServerInformation
  std::vector<catalog::ActivityRow> activity() override;
  std::vector<txn::LockListEntry> locks() override;
  std::vector<catalog::SettingRow> settings() override;
  std::vector<catalog::PreparedRow> prepared_statements() override;
  std::vector<catalog::CursorRow> cursors() override;
  txn::TransactionSystem& transactions() override { return parts_.database.transactions(); }
  catalog::SequenceValue sequence_value(Oid sequence) override;
  double live_rows(const catalog::Relation& relation) override;
  double pages(const catalog::Relation& relation) override;
  double index_pages(const catalog::Index& index) override;
  std::vector<std::pair<std::string, double>> metrics() override;
  std::int64_t start_time_us() override { return parts_.database.start_time_us(); }
  Oid current_role() override { return parts_.current_oid; }
  std::int64_t now_us() override { return parts_.database.environment().clock->wall_us(); }
  std::string expression_text(const catalog::Relation& relation, std::string_view sql,
                              const types::TypeRef* target) override {
    return expression_text(relation, sql, target, false);
  }
  std::string index_definition(const catalog::Index& index) override {
    return index_definition(index, false);
  }
  std::string constraint_definition(const catalog::Relation& relation,
                                    const catalog::Constraint& constraint) override {
    return constraint_definition(relation, constraint, false);
  }
  // `pretty`: as the pg_get_* functions with a last argument of true.
  std::string expression_text(const catalog::Relation& relation, std::string_view sql,
                              const types::TypeRef* target, bool pretty);
  std::string index_definition(const catalog::Index& index, bool pretty);
  std::string constraint_definition(const catalog::Relation& relation, const catalog::Constraint& constraint,
                                    bool pretty);
  std::string view_definition(const catalog::Relation& relation) override;

  [[nodiscard]] Session::Parts& parts() { return parts_; }

 private:
  std::shared_ptr<const catalog::Relation> sequence(Oid oid);
  /// Throws what `outcome` says, but for kOk.
  void require(const txn::Outcome& outcome);
  template <class Try>
  txn::Outcome on_sequence(const catalog::Relation& sequence_now, Try&& attempt);
  Session::Parts& parts_;
  types::IoContext io_{};
  /// What user_name_ and session_name_ were looked up for.
  struct NamedFor {
    std::uint64_t version = 0;
    Oid current = 0, session = 0;
    bool operator==(const NamedFor&) const = default;
  } named_for_;
  std::string user_name_, session_name_, schema_name_;
  std::optional<io::SeededRandom> seeded_;
};

/// pg_catalog functions that read the catalog or the server's state, by name (catalog_functions.cc). Returns
/// false for NULL.
bool run_catalog_function(SessionContext& context, std::string_view name, std::span<const types::Datum> args,
                          std::span<const bool> nulls, Arena& arena, types::Datum* result);

}  // namespace rustbd::engine
