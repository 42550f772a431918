#include "rustbd/engine/context/session_context.h"

namespace rustbd::engine {

bool run_catalog_function(SessionContext&, std::string_view name, std::span<const types::Datum>, std::span<const bool>, Arena&, types::Datum*) {
  throw not_supported("function {}()", name);
}

}  // namespace rustbd::engine
