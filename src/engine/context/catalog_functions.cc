#include "rustbd/engine/context/catalog_functions.h"

#include <unordered_map>

namespace rustbd::engine {

bool run_catalog_function(SessionContext& context, std::string_view name, std::span<const types::Datum> args,
                          std::span<const bool> nulls, Arena& arena, types::Datum* result) {
  static const auto all = [] {
    std::unordered_map<std::string_view, bool (*)(const CatalogCall&)> out;
    for (const auto& list : {definition_functions(), privilege_functions(), server_functions()})
      for (const auto& f : list) {
        const bool is_new = out.emplace(f.name, f.run).second;
        RUSTBD_ASSERT(is_new, "a catalog function is implemented once");
      }
    return out;
  }();
  const auto it = all.find(name);
  if (it == all.end()) throw not_supported("function {}()", name);
  return it->second({context, name, args, nulls, arena, result, context.parts().catalog()});
}

}  // namespace rustbd::engine
