// Transactions, settings, cursors and maintenance to text.
#include <algorithm>

#include "rustbd/sql/deparse_impl.h"

namespace rustbd::sql {

void Printer::modes(const TransactionModes& node) {
  constexpr std::string_view kLevels[] = {"READ UNCOMMITTED", "READ COMMITTED", "REPEATABLE READ",
                                          "SERIALIZABLE"};
  bool first = true;
  const auto part = [&](std::string_view words) {
    text(first ? " " : ", ").text(words);
    first = false;
  };
  if (node.has_isolation) {
    part("ISOLATION LEVEL ");
    text(kLevels[static_cast<std::size_t>(node.isolation)]);
  }
  if (node.read_only != ModeFlag::kUnset) part(node.read_only == ModeFlag::kOn ? "READ ONLY" : "READ WRITE");
  if (node.deferrable != ModeFlag::kUnset)
    part(node.deferrable == ModeFlag::kOn ? "DEFERRABLE" : "NOT DEFERRABLE");
}

void Printer::transaction(const TransactionStatement& node) {
  switch (node.type) {
    case TransactionType::kBegin:
      text("BEGIN");
      modes(node.modes);
      return;
    case TransactionType::kStart:
      text("START TRANSACTION");
      modes(node.modes);
      return;
    case TransactionType::kCommit: text("COMMIT").flag(node.chain, " AND CHAIN"); return;
    case TransactionType::kRollback: text("ROLLBACK").flag(node.chain, " AND CHAIN"); return;
    case TransactionType::kSavepoint: text("SAVEPOINT ").name(node.name); return;
    case TransactionType::kRelease: text("RELEASE SAVEPOINT ").name(node.name); return;
    case TransactionType::kRollbackTo: text("ROLLBACK TO SAVEPOINT ").name(node.name); return;
    case TransactionType::kPrepare: text("PREPARE TRANSACTION ").literal(node.name); return;
    case TransactionType::kCommitPrepared: text("COMMIT PREPARED ").literal(node.name); return;
    case TransactionType::kRollbackPrepared: text("ROLLBACK PREPARED ").literal(node.name);
  }
}

void Printer::setting(const SetStatement& node, bool with_verb) {
  const auto dotted_text = [this](std::string_view whole) {
    for (std::size_t dot; (dot = whole.find('.')) != std::string_view::npos; whole.remove_prefix(dot + 1)) {
      name(whole.substr(0, dot)).text(".");
    }
    name(whole);
  };
  if (node.type == SetType::kResetAll || node.type == SetType::kReset) {
    text("RESET ");
    if (node.type == SetType::kResetAll) text("ALL");
    else dotted_text(node.name);
    return;
  }
  flag(with_verb, node.is_local ? "SET LOCAL " : "SET ");
  if (node.values.size() == 1 && node.values[0]->kind == NodeKind::kTypeCast) {  // an interval as time zone
    const auto& cast = as<TypeCast>(node.values[0]);
    text("TIME ZONE ");
    const bool precision = cast.type->modifiers.size() > 1;
    std::string words = deparse(cast.type);
    if (precision) {
      text(words).text(" ");
      expression(cast.argument);
    } else {
      text("interval ");
      expression(cast.argument);
      text(words.substr(8));
    }
    return;
  }
  dotted_text(node.name);
  if (node.type == SetType::kFromCurrent) {
    text(" FROM CURRENT");
    return;
  }
  text(" TO ").flag(node.type == SetType::kDefault, "DEFAULT");
  expressions(node.values);
}

void Printer::fetch(const FetchStatement& node) {
  text(node.is_move ? "MOVE " : "FETCH ");
  constexpr std::string_view kWords[] = {"FORWARD ", "BACKWARD ", "ABSOLUTE ", "RELATIVE "};
  text(kWords[static_cast<std::size_t>(node.direction)]);
  if (node.all) text("ALL");
  else number(node.count);
  text(" FROM ").name(node.cursor);
}

bool Printer::session_node(const Node* node) {
  switch (node->kind) {
    case NodeKind::kTransactionStatement: transaction(as<TransactionStatement>(node)); return true;
    case NodeKind::kSetStatement: setting(as<SetStatement>(node)); return true;
    case NodeKind::kSetTransactionStatement: {
      const auto& set = as<SetTransactionStatement>(node);
      text(set.session_characteristics ? "SET SESSION CHARACTERISTICS AS TRANSACTION"
           : set.is_local              ? "SET LOCAL TRANSACTION"
                                       : "SET TRANSACTION");
      if (set.has_snapshot) text(" SNAPSHOT ").literal(set.snapshot);
      else modes(set.modes);
      return true;
    }
    case NodeKind::kShowStatement:
      text("SHOW ");
      if (as<ShowStatement>(node).name == "all") {
        text("ALL");
      } else {
        const std::string_view whole = as<ShowStatement>(node).name;
        bool first = true;
        for (std::size_t begin = 0; begin <= whole.size();) {
          const std::size_t dot = std::min(whole.find('.', begin), whole.size());
          text(first ? "" : ".").name(whole.substr(begin, dot - begin));
          first = false;
          begin = dot + 1;
        }
      }
      return true;
    case NodeKind::kAlterSystemStatement:
      text("ALTER SYSTEM ");
      setting(*as<AlterSystemStatement>(node).setting);
      return true;
    case NodeKind::kAlterSetStatement: {
      const auto& alter = as<AlterSetStatement>(node);
      if (alter.all_roles || alter.role != nullptr) {
        text("ALTER ROLE ");
        if (alter.all_roles) text("ALL");
        else role(*alter.role);
        if (!alter.database.empty()) text(" IN DATABASE ").name(alter.database);
      } else {
        text("ALTER DATABASE ").name(alter.database);
      }
      text(" ");
      setting(*alter.setting);
      return true;
    }
    case NodeKind::kSetConstraintsStatement: {
      const auto& set = as<SetConstraintsStatement>(node);
      text("SET CONSTRAINTS ").flag(set.constraints.empty(), "ALL");
      list(set.constraints, [this](const RelationRef* item) { relation(*item); });
      text(set.deferred ? " DEFERRED" : " IMMEDIATE");
      return true;
    }
    case NodeKind::kPrepareStatement: {
      const auto& prepare = as<PrepareStatement>(node);
      text("PREPARE ").name(prepare.name);
      if (!prepare.types.empty()) {
        text(" (");
        list(prepare.types, [this](const TypeName* item) { type(*item); });
        text(")");
      }
      text(" AS ");
      this->node(prepare.statement);
      return true;
    }
    case NodeKind::kExecuteStatement: {
      const auto& execute = as<ExecuteStatement>(node);
      text("EXECUTE ").name(execute.name);
      if (!execute.arguments.empty()) parenthesized_list(execute.arguments);
      return true;
    }
    case NodeKind::kDeallocateStatement:
      text("DEALLOCATE ");
      if (as<DeallocateStatement>(node).name.empty()) text("ALL");
      else name(as<DeallocateStatement>(node).name);
      return true;
    case NodeKind::kDeclareCursorStatement: {
      const auto& declare = as<DeclareCursorStatement>(node);
      text("DECLARE ")
          .name(declare.name)
          .flag(declare.binary, " BINARY")
          .flag(declare.asensitive, " ASENSITIVE");
      flag(declare.sensitive == ModeFlag::kOff, " INSENSITIVE")
          .flag(declare.scroll == ModeFlag::kOn, " SCROLL");
      flag(declare.scroll == ModeFlag::kOff, " NO SCROLL").text(" CURSOR").flag(declare.hold, " WITH HOLD");
      text(" FOR ");
      select(*declare.query);
      return true;
    }
    case NodeKind::kFetchStatement: fetch(as<FetchStatement>(node)); return true;
    case NodeKind::kCloseStatement:
      text("CLOSE ");
      if (as<CloseStatement>(node).name.empty()) text("ALL");
      else name(as<CloseStatement>(node).name);
      return true;
    case NodeKind::kExplainStatement:
      text("EXPLAIN ");
      if (!as<ExplainStatement>(node).options.empty()) {
        generic_options(as<ExplainStatement>(node).options);
        text(" ");
      }
      this->node(as<ExplainStatement>(node).statement);
      return true;
    case NodeKind::kVacuumStatement: {
      const auto& vacuum = as<VacuumStatement>(node);
      text(vacuum.is_vacuum ? "VACUUM" : "ANALYZE");
      if (!vacuum.options.empty()) {
        text(" ");
        generic_options(vacuum.options);
      }
      flag(!vacuum.relations.empty(), " ");
      list(vacuum.relations, [this](const VacuumRelation* item) {
        relation(*item->relation);
        columns(item->columns);
      });
      return true;
    }
    case NodeKind::kCheckpointStatement: text("CHECKPOINT"); return true;
    case NodeKind::kLockStatement: {
      constexpr std::string_view kModes[] = {
          "ACCESS SHARE", "ROW SHARE",           "ROW EXCLUSIVE", "SHARE UPDATE EXCLUSIVE",
          "SHARE",        "SHARE ROW EXCLUSIVE", "EXCLUSIVE",     "ACCESS EXCLUSIVE"};
      const auto& lock = as<LockStatement>(node);
      text("LOCK TABLE ");
      list(lock.relations, [this](const RelationRef* item) { relation(*item); });
      text(" IN ")
          .text(kModes[static_cast<std::size_t>(lock.mode)])
          .text(" MODE")
          .flag(lock.no_wait, " NOWAIT");
      return true;
    }
    case NodeKind::kListenStatement: text("LISTEN ").name(as<ListenStatement>(node).channel); return true;
    case NodeKind::kUnlistenStatement:
      text("UNLISTEN ");
      if (as<UnlistenStatement>(node).channel.empty()) text("*");
      else name(as<UnlistenStatement>(node).channel);
      return true;
    case NodeKind::kNotifyStatement:
      text("NOTIFY ").name(as<NotifyStatement>(node).channel);
      if (as<NotifyStatement>(node).has_payload) text(", ").literal(as<NotifyStatement>(node).payload);
      return true;
    case NodeKind::kDiscardStatement: {
      constexpr std::string_view kWords[] = {"ALL", "PLANS", "SEQUENCES", "TEMP"};
      text("DISCARD ").text(kWords[static_cast<std::size_t>(as<DiscardStatement>(node).type)]);
      return true;
    }
    case NodeKind::kDoStatement: {
      const auto& block = as<DoStatement>(node);
      text("DO ");
      if (!block.language.empty() && block.language_first) text("LANGUAGE ").name(block.language).text(" ");
      literal(block.body);
      if (!block.language.empty() && !block.language_first) text(" LANGUAGE ").name(block.language);
      return true;
    }
    case NodeKind::kReindexStatement: {
      const auto& reindex = as<ReindexStatement>(node);
      constexpr std::string_view kWords[] = {"INDEX ", "TABLE ", "SCHEMA ", "SYSTEM ", "DATABASE "};
      text("REINDEX ");
      if (!reindex.options.empty()) {
        generic_options(reindex.options);
        text(" ");
      }
      text(kWords[static_cast<std::size_t>(reindex.target)]);
      if (reindex.relation != nullptr) relation(*reindex.relation);
      else name(reindex.name);
      return true;
    }
    case NodeKind::kClusterStatement: {
      const auto& cluster = as<ClusterStatement>(node);
      text("CLUSTER");
      if (!cluster.options.empty()) {
        text(" ");
        if (cluster.relation != nullptr) generic_options(cluster.options);
        else text("VERBOSE");
      }
      if (cluster.relation == nullptr) return true;
      text(" ");
      relation(*cluster.relation);
      if (!cluster.index.empty()) text(" USING ").name(cluster.index);
      return true;
    }
    default: return false;
  }
}

}  // namespace rustbd::sql
