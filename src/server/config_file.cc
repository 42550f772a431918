// The configuration file. The only user of the TOML library.
#include <toml++/toml.h>

#include "rustbd/base/error.h"
#include "rustbd/server/config.h"

namespace rustbd::server {

namespace {
std::string value_text(const toml::node& node) {
  if (const auto* s = node.as_string()) return s->get();
  if (const auto* i = node.as_integer()) return std::to_string(i->get());
  if (const auto* f = node.as_floating_point()) return fmt::format("{}", f->get());
  if (const auto* b = node.as_boolean()) return b->get() ? "true" : "false";
  if (const auto* a = node.as_array()) {
    std::string out;
    for (const auto& element : *a) {
      if (!out.empty()) out += ',';
      out += value_text(element);
    }
    return out;
  }
  throw error(sqlstate::kInvalidParameterValue, "neither text, number, truth value nor list");
}

void read_table(Config& config, const toml::table& table, const std::string& prefix,
                const std::string& path) {
  for (const auto& [key, node] : table) {
    const auto name = prefix + std::string{key.str()};
    if (const auto* inner = node.as_table()) {
      read_table(config, *inner, name + ".", path);
      continue;
    }
    try {
      config.set(name, value_text(node), Source::kFile);
    } catch (Error& e) {
      throw error(sqlstate::kInvalidParameterValue, "{}:{}: {}", path, node.source().begin.line, e.message)
          .with_hint(e.hint);
    }
  }
}
}  // namespace

void Config::read_file(const std::string& path) {
  toml::table table;
  try {
    table = toml::parse_file(path);
  } catch (const toml::parse_error& e) {
    throw error(sqlstate::kInvalidParameterValue, "{}:{}: {}", path, e.source().begin.line, e.description());
  }
  read_table(*this, table, "", path);
}

}  // namespace rustbd::server
