#include "rustbd/plan/explain_tree.h"

#include <algorithm>
#include <cmath>
#include <unordered_map>

#include <fmt/format.h>

namespace rustbd::plan {

using expression::Expression;
using expression::Kind;

namespace {

constexpr double kNsPerCostUnit = 10'000;

std::string quote(std::string_view name) {
  const bool plain =
      !name.empty() && !(name[0] >= '0' && name[0] <= '9') && std::ranges::all_of(name, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
      });
  if (plain) return std::string{name};
  std::string out = "\"";
  for (const char c : name) {
    if (c == '"') out += '"';
    out += c;
  }
  return out + "\"";
}

bool is_scan(NodeKind kind) {
  switch (kind) {
    case NodeKind::kTableScan:
    case NodeKind::kIndexScan:
    case NodeKind::kIndexOnlyScan:
    case NodeKind::kCteScan:
    case NodeKind::kFunctionScan:
    case NodeKind::kWorkTableScan:
    case NodeKind::kValues: return true;
    default: return false;
  }
}

std::string_view join_word(JoinType join) {
  switch (join) {
    case JoinType::kInner: return "";
    case JoinType::kLeft:
    case JoinType::kSingle: return "Left ";
    case JoinType::kRight: return "Right ";
    case JoinType::kFull: return "Full ";
    case JoinType::kSemi: return "Semi ";
    case JoinType::kAnti: return "Anti ";
    case JoinType::kMark: return "Mark ";
  }
  return "";
}

class TreeMaker {
 public:
  TreeMaker(const ExecutionPlan& plan, const ExplainOptions& options, std::span<const NodeActuals> actuals)
      : plan_(plan), options_(options), actuals_(actuals) {
    std::size_t scans = 0;
    collect(*plan.root, scans);
    qualifies_ = scans > 1 || options.verbose;
  }
  ExplainEntry make(const PlanNode& node);

 private:
  void collect(const PlanNode& node, std::size_t& scans) {
    if (is_scan(node.kind)) ++scans;
    for (const auto& b : node.bindings) outer_columns_[b.parameter] = b.column;
    for (const auto& c : node.computed) computed_[c.id] = c.expression.get();
    for (const auto& a : node.aggregates) computed_[a.id] = a.expression.get();
    for (const auto& w : node.windows) computed_[w.id] = w.expression.get();
    for (const auto& g : node.groups)
      if (g.expression->kind != Kind::kColumn || g.expression->column != g.id)
        computed_[g.id] = g.expression.get();
    for (const auto& f : node.functions)
      if (f.columns.size() == 1 && node.kind == NodeKind::kProjectSet) computed_[f.columns[0]] = f.call.get();
    for (const auto& child : node.children) collect(*child, scans);
  }

  [[nodiscard]] std::string name(ColumnId id, int depth = 0) const {
    if (const auto it = computed_.find(id); it != computed_.end() && depth < 8)
      return sql(*it->second, depth + 1);
    const auto& info = plan_.columns[id];
    const auto column = quote(info.name);
    return qualifies_ && !info.qualifier.empty() ? quote(info.qualifier) + "." + column : column;
  }
  [[nodiscard]] std::string sql(const Expression& e, int depth = 0) const {
    auto copy = e.clone();
    expression::rewrite(copy, [&](ExpressionPtr& x) {
      if (x->kind != Kind::kParameter) return;
      const auto it = outer_columns_.find(x->index);
      if (it != outer_columns_.end()) x = expression::make_column(it->second, x->type);
    });
    return expression::to_sql(*copy, [&](ColumnId id) { return name(id, depth); });
  }
  [[nodiscard]] std::string condition(const Expression& e) const {
    auto text = sql(e);
    return text.starts_with('(') ? text : "(" + text + ")";
  }
  [[nodiscard]] std::string relation(const PlanNode& node) const {
    std::string out = node.relation == nullptr ? std::string{} : quote(node.relation->name);
    if (node.relation != nullptr && options_.verbose && !node.relation->schema_name.empty())
      out = quote(node.relation->schema_name) + "." + out;
    if (node.relation != nullptr && !node.alias.empty() && node.alias != node.relation->name)
      out += " " + quote(node.alias);
    return out;
  }

  void set_numbers(ExplainEntry& e, const PlanNode& node) const {
    e.has_costs = options_.costs;
    e.startup_cost = node.startup_cost / kNsPerCostUnit;
    e.total_cost = node.total_cost / kNsPerCostUnit;
    e.rows = std::max(1.0, std::rint(node.estimated_rows));
    e.width = node.estimated_width;
    if (node.kind == NodeKind::kModify && !node.modify->has_returning) e.rows = e.width = 0;
    e.has_actuals = options_.analyze && node.id < actuals_.size();
    if (!e.has_actuals) return;
    const auto& a = actuals_[node.id];
    e.loops = a.loops;
    e.never_executed = a.loops == 0;
    const auto loops = static_cast<double>(std::max<std::uint64_t>(1, a.loops));
    e.actual_rows = std::rint(static_cast<double>(a.rows) / loops);
    e.has_timing = options_.timing;
    e.first_ms = a.first_ms / loops;
    e.total_ms = a.total_ms / loops;
  }
  void add_removed(ExplainEntry& e, const PlanNode& node, const char* what) const {
    if (!options_.analyze || node.id >= actuals_.size() || actuals_[node.id].filtered == 0) return;
    const auto loops = std::max<std::uint64_t>(1, actuals_[node.id].loops);
    e.properties.emplace_back(what, fmt::format("{}", actuals_[node.id].filtered / loops));
  }
  void add_filter(ExplainEntry& e, const PlanNode& node) const {
    if (node.filter == nullptr) return;
    e.properties.emplace_back("Filter", condition(*node.filter));
    add_removed(e, node, "Rows Removed by Filter");
  }
  void set_type(ExplainEntry& e, std::string title, std::string type) const {
    e.title = std::move(title);
    e.attributes.emplace_back("Node Type", std::move(type));
  }
  void add_relation_attributes(ExplainEntry& e, const PlanNode& node) const {
    if (node.index != nullptr) e.attributes.emplace_back("Index Name", node.index->name);
    if (node.relation != nullptr) e.attributes.emplace_back("Relation Name", node.relation->name);
    if (options_.verbose && node.relation != nullptr)
      e.attributes.emplace_back("Schema", node.relation->schema_name);
    if (!node.alias.empty()) e.attributes.emplace_back("Alias", node.alias);
  }
  void add_children(ExplainEntry& e, const PlanNode& node) {
    for (const auto& child : node.children) e.children.push_back(make(*child));
  }
  [[nodiscard]] std::string key_list(std::span<const SortKey> keys) const {
    std::string out;
    for (const auto& k : keys) {
      if (!out.empty()) out += ", ";
      out += name(k.column);
      if (k.descending) out += k.nulls_first ? " DESC" : " DESC NULLS LAST";
      else if (k.nulls_first) out += " NULLS FIRST";
    }
    return out;
  }
  [[nodiscard]] std::string group_list(const PlanNode& node, std::span<const std::uint32_t> groups) const {
    std::string out;
    for (const auto g : groups) {
      if (!out.empty()) out += ", ";
      out += sql(*node.groups[g].expression);
    }
    return out;
  }
  void add_output(ExplainEntry& e, const PlanNode& node) const {
    if (!options_.verbose || node.output.empty()) return;
    std::string out;
    for (const auto id : node.output) {
      if (!out.empty()) out += ", ";
      out += name(id);
    }
    e.properties.insert(e.properties.begin(), {"Output", out});
  }

  ExplainEntry make_join(const PlanNode& node);
  ExplainEntry make_aggregate(const PlanNode& node);
  ExplainEntry make_sorted(const PlanNode& node);
  ExplainEntry make_modify(const PlanNode& node);
  ExplainEntry make_index_scan(const PlanNode& node);
  ExplainEntry make_plain(const PlanNode& node);
  std::string index_condition(const PlanNode& node) const;

  const ExecutionPlan& plan_;
  const ExplainOptions& options_;
  std::span<const NodeActuals> actuals_;
  bool qualifies_ = false;
  std::unordered_map<std::uint32_t, ColumnId> outer_columns_;
  std::unordered_map<ColumnId, const Expression*> computed_;
};

std::string TreeMaker::index_condition(const PlanNode& node) const {
  std::vector<std::string> parts;
  const auto column = [&](std::size_t part) {
    const auto& c = node.index->columns[part];
    std::string text = c.attribute == 0 ? c.expression_sql : quote(node.relation->column(c.attribute).name);
    return text;
  };
  const auto compare = [&](std::size_t part, const char* op, const Expression& e) {
    parts.push_back(fmt::format("({} {} {})", column(part), op, sql(e)));
  };
  std::size_t part = 0;
  for (; part < node.range.equal.size(); ++part) {
    if (node.range.equal[part] == nullptr) parts.push_back(fmt::format("({} IS NULL)", column(part)));
    else compare(part, "=", *node.range.equal[part]);
  }
  if (!node.range.in_list.empty()) {
    std::string list;
    for (const auto& e : node.range.in_list) list += (list.empty() ? "" : ", ") + sql(*e);
    parts.push_back(fmt::format("({} = ANY (ARRAY[{}]))", column(part), list));
    ++part;
  }
  if (node.range.lower != nullptr) compare(part, node.range.lower_inclusive ? ">=" : ">", *node.range.lower);
  if (node.range.upper != nullptr) compare(part, node.range.upper_inclusive ? "<=" : "<", *node.range.upper);
  if (parts.empty()) return {};
  if (parts.size() == 1) return parts[0];
  std::string out = "(";
  for (std::size_t i = 0; i < parts.size(); ++i) out += (i == 0 ? "" : " AND ") + parts[i];
  return out + ")";
}

ExplainEntry TreeMaker::make_index_scan(const PlanNode& node) {
  ExplainEntry e;
  const std::string type = node.kind == NodeKind::kIndexOnlyScan ? "Index Only Scan" : "Index Scan";
  set_type(e,
           fmt::format("{}{} using {} on {}", type, node.backward ? " Backward" : "", quote(node.index->name),
                       relation(node)),
           type);
  e.attributes.emplace_back("Scan Direction", node.backward ? "Backward" : "Forward");
  add_relation_attributes(e, node);
  if (auto text = index_condition(node); !text.empty())
    e.properties.emplace_back("Index Cond", std::move(text));
  add_filter(e, node);
  return e;
}

ExplainEntry TreeMaker::make_join(const PlanNode& node) {
  ExplainEntry e;
  const bool hash = node.kind == NodeKind::kHashJoin;
  const auto word = join_word(node.join);
  const std::string kind = hash ? "Hash" : (node.kind == NodeKind::kMergeJoin ? "Merge" : "Nested Loop");
  std::string title = kind;
  if (hash || !word.empty()) title += fmt::format(" {}Join", word);
  set_type(e, std::move(title), hash ? "Hash Join" : kind);
  const std::string type{word};
  e.attributes.emplace_back("Join Type", type.empty() ? "Inner" : type.substr(0, type.size() - 1));
  if (!node.hash_keys.empty()) {
    std::string text;
    for (const auto& key : node.hash_keys) {
      if (!text.empty()) text += " AND ";
      text += key.null_safe ? fmt::format("(NOT ({} IS DISTINCT FROM {}))", sql(*key.left), sql(*key.right))
                            : fmt::format("({} = {})", sql(*key.left), sql(*key.right));
    }
    e.properties.emplace_back("Hash Cond", node.hash_keys.size() == 1 ? text : "(" + text + ")");
  }
  if (node.condition != nullptr) {
    e.properties.emplace_back("Join Filter", condition(*node.condition));
    add_removed(e, node, "Rows Removed by Join Filter");
  }
  e.children.push_back(make(*node.children[0]));
  if (node.children.size() < 2) return e;
  auto right = make(*node.children[1]);
  if (hash) {
    ExplainEntry table;
    set_type(table, "Hash", "Hash");
    set_numbers(table, *node.children[1]);
    table.startup_cost = table.total_cost;
    table.children.push_back(std::move(right));
    right = std::move(table);
  }
  e.children.push_back(std::move(right));
  return e;
}

ExplainEntry TreeMaker::make_aggregate(const PlanNode& node) {
  ExplainEntry e;
  const bool sorted = node.strategy == AggregateStrategy::kSorted;
  if (node.groups.empty() && node.grouping_sets.empty()) set_type(e, "Aggregate", "Aggregate");
  else set_type(e, sorted ? "GroupAggregate" : "HashAggregate", "Aggregate");
  e.attributes.emplace_back("Strategy", node.groups.empty() ? "Plain" : (sorted ? "Sorted" : "Hashed"));
  std::vector<std::uint32_t> all(node.groups.size());
  for (std::uint32_t i = 0; i < all.size(); ++i) all[i] = i;
  if (node.grouping_sets.empty()) {
    if (!all.empty()) e.properties.emplace_back("Group Key", group_list(node, all));
  } else {
    if (e.title == "HashAggregate" &&
        std::ranges::any_of(node.grouping_sets, [](const auto& s) { return s.groups.empty(); }))
      e.title = "MixedAggregate";
    for (const auto& set : node.grouping_sets)
      if (!set.groups.empty()) e.properties.emplace_back("Hash Key", group_list(node, set.groups));
    for (const auto& set : node.grouping_sets)
      if (set.groups.empty()) e.properties.emplace_back("Group Key", "()");
  }
  add_children(e, node);
  return e;
}

ExplainEntry TreeMaker::make_sorted(const PlanNode& node) {
  ExplainEntry sort;
  set_type(sort, "Sort", "Sort");
  sort.properties.emplace_back("Sort Key", key_list(node.sort_keys));
  if (options_.analyze && node.id < actuals_.size() && actuals_[node.id].loops != 0) {
    const auto kb = (actuals_[node.id].memory_bytes + 1023) / 1024;
    const auto* method = node.kind == NodeKind::kTopN ? "top-N heapsort" : "quicksort";
    if (kb != 0) sort.properties.emplace_back("Sort Method", fmt::format("{}  Memory: {}kB", method, kb));
  }
  add_children(sort, node);
  if (node.kind != NodeKind::kTopN) return sort;
  set_numbers(sort, node);
  sort.rows = std::max(1.0, std::rint(node.children[0]->estimated_rows));
  ExplainEntry limit;
  set_type(limit, "Limit", "Limit");
  limit.children.push_back(std::move(sort));
  return limit;
}

ExplainEntry TreeMaker::make_modify(const PlanNode& node) {
  ExplainEntry e;
  const auto& modify = *node.modify;
  const char* what = modify.kind == ModifyKind::kInsert
                         ? "Insert"
                         : (modify.kind == ModifyKind::kUpdate ? "Update" : "Delete");
  set_type(e, fmt::format("{} on {}", what, relation(node)), "ModifyTable");
  e.attributes.emplace_back("Operation", what);
  add_relation_attributes(e, node);
  if (modify.conflict != ConflictAction::kError) {
    e.properties.emplace_back("Conflict Resolution",
                              modify.conflict == ConflictAction::kNothing ? "NOTHING" : "UPDATE");
    std::string arbiters;
    for (const auto oid : modify.arbiters)
      for (const auto& index : modify.target->indexes)
        if (index->oid == oid) arbiters += (arbiters.empty() ? "" : ", ") + quote(index->name);
    if (!arbiters.empty()) e.properties.emplace_back("Conflict Arbiter Indexes", arbiters);
    if (modify.conflict_where != nullptr)
      e.properties.emplace_back("Conflict Filter", condition(*modify.conflict_where));
  }
  add_children(e, node);
  return e;
}

ExplainEntry TreeMaker::make_plain(const PlanNode& node) {
  ExplainEntry e;
  const auto named = [&](std::string type, const std::string& of) {
    set_type(e, of.empty() ? type : fmt::format("{} on {}", type, of), type);
    add_relation_attributes(e, node);
  };
  const auto aliased = [&](const std::string& own) {
    return node.alias.empty() || node.alias == own ? quote(own) : quote(own) + " " + quote(node.alias);
  };
  switch (node.kind) {
    case NodeKind::kTableScan: named("Seq Scan", relation(node)); break;
    case NodeKind::kValues:
      if (node.rows.size() == 1) named("Result", {});
      else named("Values Scan", "\"*VALUES*\"");
      break;
    case NodeKind::kFunctionScan: {
      const auto* f = node.functions.empty() ? nullptr : node.functions[0].call->function.declaration;
      named("Function Scan", f == nullptr ? quote(node.alias) : aliased(std::string{f->name}));
      break;
    }
    case NodeKind::kCteScan: named("CTE Scan", aliased(node.cte_name)); break;
    case NodeKind::kWorkTableScan: named("WorkTable Scan", aliased(node.cte_name)); break;
    case NodeKind::kResult:
      named("Result", {});
      if (node.filter != nullptr) e.properties.emplace_back("One-Time Filter", condition(*node.filter));
      add_children(e, node);
      return e;
    case NodeKind::kProjectSet: named("ProjectSet", {}); break;
    case NodeKind::kDistinctOn: named("Unique", {}); break;
    case NodeKind::kLimit: named("Limit", {}); break;
    case NodeKind::kAppend: named("Append", {}); break;
    case NodeKind::kRecursiveUnion: named("Recursive Union", {}); break;
    case NodeKind::kMaterialize: named("Materialize", {}); break;
    case NodeKind::kLockRows: named("LockRows", {}); break;
    default: named("Result", {}); break;
  }
  if (node.kind != NodeKind::kLockRows) add_filter(e, node);
  add_children(e, node);
  return e;
}

ExplainEntry TreeMaker::make(const PlanNode& node) {
  ExplainEntry e;
  switch (node.kind) {
    case NodeKind::kIndexScan:
    case NodeKind::kIndexOnlyScan: e = make_index_scan(node); break;
    case NodeKind::kHashJoin:
    case NodeKind::kNestedLoopJoin:
    case NodeKind::kIndexJoin:
    case NodeKind::kMergeJoin:
    case NodeKind::kApply: e = make_join(node); break;
    case NodeKind::kAggregate: e = make_aggregate(node); break;
    case NodeKind::kSort:
    case NodeKind::kTopN: e = make_sorted(node); break;
    case NodeKind::kModify: e = make_modify(node); break;
    case NodeKind::kProject:
      if (node.children.empty()) return make_plain(node);
      e = make(*node.children[0]);
      std::erase_if(e.properties, [](const auto& p) { return p.first == "Output"; });
      break;
    case NodeKind::kFilter:
      e = make(*node.children[0]);
      std::erase_if(e.properties, [](const auto& p) { return p.first == "Output"; });
      add_filter(e, node);
      break;
    case NodeKind::kCteBind: {
      e = make(*node.children[1]);
      std::erase_if(e.properties, [](const auto& p) { return p.first == "Output"; });
      auto definition = make(*node.children[0]);
      definition.label = "CTE " + quote(node.cte_name);
      e.children.insert(e.children.begin(), std::move(definition));
      break;
    }
    case NodeKind::kSetOperation: {
      if (node.set_operation == SetOperationKind::kUnion) {
        ExplainEntry append;
        set_type(append, "Append", "Append");
        add_children(append, node);
        set_numbers(append, node);
        set_type(e, "HashAggregate", "Aggregate");
        std::string keys;
        for (const auto id : node.output) keys += (keys.empty() ? "" : ", ") + name(id);
        e.properties.emplace_back("Group Key", keys);
        e.children.push_back(std::move(append));
      } else {
        const char* what = node.set_operation == SetOperationKind::kIntersect ? "Intersect" : "Except";
        set_type(e, fmt::format("HashSetOp {}{}", what, node.set_all ? " All" : ""), "SetOp");
        add_children(e, node);
      }
      break;
    }
    case NodeKind::kWindow: {
      set_type(e, "WindowAgg", "WindowAgg");
      std::vector<SortKey> keys;
      for (const auto id : node.partition_by) keys.push_back({id});
      keys.insert(keys.end(), node.sort_keys.begin(), node.sort_keys.end());
      add_children(e, node);
      if (!keys.empty()) {
        ExplainEntry sort;
        set_type(sort, "Sort", "Sort");
        sort.properties.emplace_back("Sort Key", key_list(keys));
        set_numbers(sort, *node.children[0]);
        sort.startup_cost = sort.total_cost;
        sort.children = std::move(e.children);
        e.children.clear();
        e.children.push_back(std::move(sort));
      }
      break;
    }
    default: e = make_plain(node); break;
  }
  set_numbers(e, node);
  add_output(e, node);
  return e;
}

}  // namespace

ExplainEntry make_explain_tree(const ExecutionPlan& plan, const ExplainOptions& options,
                               std::span<const NodeActuals> actuals) {
  return TreeMaker{plan, options, actuals}.make(*plan.root);
}

}  // namespace rustbd::plan
