#include "rustbd/engine/utility/utility.h"

namespace rustbd::engine {

bool is_transaction_control(const sql::Node& statement) {
  const auto* t = sql::try_as<sql::TransactionStatement>(&statement);
  return t != nullptr &&
         (t->type == sql::TransactionType::kCommit || t->type == sql::TransactionType::kPrepare ||
          t->type == sql::TransactionType::kRollback || t->type == sql::TransactionType::kRollbackTo);
}

namespace {
/// Statements that change nothing: allowed in a read-only transaction.
bool reads_only(const sql::Node& statement) {
  switch (statement.kind) {
    case sql::NodeKind::kSetStatement:
    case sql::NodeKind::kSetTransactionStatement:
    case sql::NodeKind::kShowStatement:
    case sql::NodeKind::kPrepareStatement:
    case sql::NodeKind::kExecuteStatement:
    case sql::NodeKind::kDeallocateStatement:
    case sql::NodeKind::kDeclareCursorStatement:
    case sql::NodeKind::kFetchStatement:
    case sql::NodeKind::kCloseStatement:
    case sql::NodeKind::kExplainStatement:
    case sql::NodeKind::kCheckpointStatement:
    case sql::NodeKind::kLockStatement:
    case sql::NodeKind::kListenStatement:
    case sql::NodeKind::kUnlistenStatement:
    case sql::NodeKind::kDiscardStatement:
    case sql::NodeKind::kSetConstraintsStatement:
    case sql::NodeKind::kNotifyStatement: return true;
    case sql::NodeKind::kCopyStatement: return !sql::as<sql::CopyStatement>(&statement).is_from;
    default: return false;
  }
}
}  // namespace

Task<std::string> run_utility(UtilityContext& c, const sql::Node& s) {
  using sql::NodeKind;
  if (c.parts.read_only && !reads_only(s))
    throw error(sqlstate::kReadOnlyTransaction, "cannot execute this statement in a read-only transaction");
  switch (s.kind) {
    case NodeKind::kCreateTableStatement:
      co_return co_await create_table(c, sql::as<sql::CreateTableStatement>(&s));
    case NodeKind::kCreateTableAsStatement:
      co_return co_await create_table_as(c, sql::as<sql::CreateTableAsStatement>(&s));
    case NodeKind::kAlterTableStatement:
      co_return co_await alter_table(c, sql::as<sql::AlterTableStatement>(&s));
    case NodeKind::kRenameStatement: co_return co_await rename_object(c, sql::as<sql::RenameStatement>(&s));
    case NodeKind::kAlterSchemaStatement:
      co_return co_await alter_schema_of(c, sql::as<sql::AlterSchemaStatement>(&s));
    case NodeKind::kAlterOwnerStatement:
      co_return co_await alter_owner(c, sql::as<sql::AlterOwnerStatement>(&s));
    case NodeKind::kTruncateStatement: co_return co_await truncate(c, sql::as<sql::TruncateStatement>(&s));
    case NodeKind::kDropStatement: co_return co_await drop_objects(c, sql::as<sql::DropStatement>(&s));
    case NodeKind::kCreateIndexStatement:
      co_return co_await create_index(c, sql::as<sql::CreateIndexStatement>(&s));
    case NodeKind::kReindexStatement: co_return co_await reindex(c, sql::as<sql::ReindexStatement>(&s));
    case NodeKind::kCreateSchemaStatement:
      co_return co_await create_schema(c, sql::as<sql::CreateSchemaStatement>(&s));
    case NodeKind::kCreateEnumStatement:
      co_return co_await create_enum(c, sql::as<sql::CreateEnumStatement>(&s));
    case NodeKind::kAlterEnumStatement:
      co_return co_await alter_enum(c, sql::as<sql::AlterEnumStatement>(&s));
    case NodeKind::kCreateSequenceStatement:
      co_return co_await create_sequence(c, sql::as<sql::CreateSequenceStatement>(&s));
    case NodeKind::kAlterSequenceStatement:
      co_return co_await alter_sequence(c, sql::as<sql::AlterSequenceStatement>(&s));
    case NodeKind::kCreateViewStatement:
      co_return co_await create_view(c, sql::as<sql::CreateViewStatement>(&s));
    case NodeKind::kCreateRoleStatement:
      co_return co_await create_role(c, sql::as<sql::CreateRoleStatement>(&s));
    case NodeKind::kAlterRoleStatement:
      co_return co_await alter_role(c, sql::as<sql::AlterRoleStatement>(&s));
    case NodeKind::kDropRoleStatement: co_return co_await drop_role(c, sql::as<sql::DropRoleStatement>(&s));
    case NodeKind::kGrantStatement: co_return co_await grant(c, sql::as<sql::GrantStatement>(&s));
    case NodeKind::kCommentStatement: co_return co_await comment(c, sql::as<sql::CommentStatement>(&s));
    case NodeKind::kCopyStatement: co_return co_await copy(c, sql::as<sql::CopyStatement>(&s));
    case NodeKind::kVacuumStatement: co_return co_await vacuum(c, sql::as<sql::VacuumStatement>(&s));
    case NodeKind::kSetStatement: co_return co_await set_setting(c, sql::as<sql::SetStatement>(&s));
    case NodeKind::kSetTransactionStatement:
      co_return co_await set_transaction(c, sql::as<sql::SetTransactionStatement>(&s));
    case NodeKind::kShowStatement: co_return co_await show_setting(c, sql::as<sql::ShowStatement>(&s));
    case NodeKind::kDiscardStatement: co_return co_await discard(c, sql::as<sql::DiscardStatement>(&s));
    case NodeKind::kPrepareStatement: co_return co_await prepare_sql(c, sql::as<sql::PrepareStatement>(&s));
    case NodeKind::kExecuteStatement: co_return co_await execute_sql(c, sql::as<sql::ExecuteStatement>(&s));
    case NodeKind::kDeallocateStatement:
      co_return co_await deallocate(c, sql::as<sql::DeallocateStatement>(&s));
    case NodeKind::kDeclareCursorStatement:
      co_return co_await declare_cursor(c, sql::as<sql::DeclareCursorStatement>(&s));
    case NodeKind::kFetchStatement: co_return co_await fetch_cursor(c, sql::as<sql::FetchStatement>(&s));
    case NodeKind::kCloseStatement: co_return co_await close_cursor(c, sql::as<sql::CloseStatement>(&s));
    case NodeKind::kExplainStatement: co_return co_await explain(c, sql::as<sql::ExplainStatement>(&s));
    case NodeKind::kLockStatement: co_return co_await lock_table(c, sql::as<sql::LockStatement>(&s));
    case NodeKind::kCheckpointStatement:
      if (!c.parts.is_superuser())
        throw error(sqlstate::kInsufficientPrivilege,
                    "must be superuser or have privileges of pg_checkpoint to do CHECKPOINT");
      co_await c.system().checkpoint();
      co_return "CHECKPOINT";
    case NodeKind::kSetConstraintsStatement:
      co_return "SET CONSTRAINTS";  // constraints are checked at each statement's end
    case NodeKind::kUnsupportedStatement:
      throw not_supported("{}", sql::as<sql::UnsupportedStatement>(&s).name).at(s.location);
    case NodeKind::kCreateDatabaseStatement: throw not_supported("CREATE DATABASE").at(s.location);
    case NodeKind::kDropDatabaseStatement: throw not_supported("DROP DATABASE").at(s.location);
    case NodeKind::kListenStatement:
    case NodeKind::kUnlistenStatement:
    case NodeKind::kNotifyStatement: throw not_supported("LISTEN and NOTIFY").at(s.location);
    case NodeKind::kSelectStatement: throw not_supported("SELECT INTO").at(s.location);
    default: throw not_supported("this statement").at(s.location);
  }
}

}  // namespace rustbd::engine
