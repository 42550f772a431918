#include "rustbd/plan/explain.h"

#include "rustbd/plan/explain_tree.h"

namespace rustbd::plan {

namespace {

std::string text_lines(const ExplainEntry& e) {
  std::string line = e.title;
  if (e.has_costs)
    line += fmt::format("  (cost={:.2f}..{:.2f} rows={:.0f} width={})", e.startup_cost, e.total_cost, e.rows,
                        e.width);
  if (!e.has_actuals) return line;
  if (e.never_executed) return line + " (never executed)";
  if (e.has_timing)
    line += fmt::format(" (actual time={:.3f}..{:.3f} rows={:.0f} loops={})", e.first_ms, e.total_ms,
                        e.actual_rows, e.loops);
  else line += fmt::format(" (actual rows={:.0f} loops={})", e.actual_rows, e.loops);
  return line;
}

/// `indent` counts two columns each, as PostgreSQL's ExplainNode does.
void print_text(const ExplainEntry& e, std::size_t indent, std::vector<std::string>& out) {
  const auto blanks = [](std::size_t n) { return std::string(n * 2, ' '); };
  if (!e.label.empty()) out.push_back(blanks(indent++) + e.label);
  if (indent == 0) {
    out.push_back(text_lines(e));
  } else {
    out.push_back(blanks(indent) + "->  " + text_lines(e));
    indent += 2;
  }
  ++indent;
  for (const auto& [name, value] : e.properties) out.push_back(blanks(indent) + name + ": " + value);
  for (const auto& child : e.children) print_text(child, indent, out);
}

void append_json_string(std::string_view text, std::string& out) {
  out += '"';
  for (const char c : text) {
    switch (c) {
      case '"': out += "\\\""; break;
      case '\\': out += "\\\\"; break;
      case '\n': out += "\\n"; break;
      case '\t': out += "\\t"; break;
      case '\r': out += "\\r"; break;
      default:
        if (static_cast<unsigned char>(c) < 0x20) out += fmt::format("\\u{:04x}", static_cast<int>(c));
        else out += c;
    }
  }
  out += '"';
}

class JsonObject {
 public:
  JsonObject(std::string& out, int indent) : out_(out), indent_(indent) { out_ += "{"; }
  void raw(std::string_view name, std::string_view value) {
    if (!first_) out_ += ",";
    first_ = false;
    out_ += "\n" + std::string(static_cast<std::size_t>(indent_ + 2), ' ');
    append_json_string(name, out_);
    out_ += ": ";
    out_ += value;
  }
  void text(std::string_view name, std::string_view value) {
    std::string quoted;
    append_json_string(value, quoted);
    raw(name, quoted);
  }
  void end() { out_ += "\n" + std::string(static_cast<std::size_t>(indent_), ' ') + "}"; }

 private:
  std::string& out_;
  int indent_;
  bool first_ = true;
};

void print_json(const ExplainEntry& e, int indent, std::string& out) {
  JsonObject object{out, indent};
  for (const auto& [name, value] : e.attributes) object.text(name, value);
  object.raw("Parallel Aware", "false");
  object.raw("Async Capable", "false");
  if (e.has_costs) {
    object.raw("Startup Cost", fmt::format("{:.2f}", e.startup_cost));
    object.raw("Total Cost", fmt::format("{:.2f}", e.total_cost));
    object.raw("Plan Rows", fmt::format("{:.0f}", e.rows));
    object.raw("Plan Width", fmt::format("{}", e.width));
  }
  if (e.has_actuals) {
    if (e.has_timing) {
      object.raw("Actual Startup Time", fmt::format("{:.3f}", e.first_ms));
      object.raw("Actual Total Time", fmt::format("{:.3f}", e.total_ms));
    }
    object.raw("Actual Rows", fmt::format("{:.0f}", e.actual_rows));
    object.raw("Actual Loops", fmt::format("{}", e.loops));
  }
  for (const auto& [name, value] : e.properties) {
    const bool is_list = name == "Sort Key" || name == "Group Key" || name == "Output";
    const bool is_number = name.starts_with("Rows Removed");
    if (is_number) {
      object.raw(name, value);
    } else if (is_list) {
      std::string list = "[";
      append_json_string(value, list);
      object.raw(name, list + "]");
    } else {
      object.text(name, value);
    }
  }
  if (!e.children.empty()) {
    std::string list = "[";
    for (std::size_t i = 0; i < e.children.size(); ++i) {
      list += (i == 0 ? "\n" : ",\n") + std::string(static_cast<std::size_t>(indent + 4), ' ');
      print_json(e.children[i], indent + 4, list);
    }
    list += "\n" + std::string(static_cast<std::size_t>(indent + 2), ' ') + "]";
    object.raw("Plans", list);
  }
  object.end();
}

}  // namespace

std::vector<std::string> explain(const ExecutionPlan& plan, const ExplainOptions& options,
                                 std::span<const NodeActuals> actuals, double planning_ms,
                                 double execution_ms) {
  const auto tree = make_explain_tree(plan, options, actuals);
  const bool summary = options.summary || options.analyze;
  if (options.format == ExplainFormat::kText) {
    std::vector<std::string> lines;
    print_text(tree, 0, lines);
    if (summary) lines.push_back(fmt::format("Planning Time: {:.3f} ms", planning_ms));
    if (summary && options.analyze) lines.push_back(fmt::format("Execution Time: {:.3f} ms", execution_ms));
    return lines;
  }
  std::string json = "[\n  ";
  JsonObject object{json, 2};
  std::string root;
  print_json(tree, 4, root);
  object.raw("Plan", root);
  if (summary) object.raw("Planning Time", fmt::format("{:.3f}", planning_ms));
  if (options.analyze) {
    object.raw("Triggers", "[\n    ]");
    object.raw("Execution Time", fmt::format("{:.3f}", execution_ms));
  }
  object.end();
  json += "\n]";
  return {json};
}

}  // namespace rustbd::plan
