#include "rustbd/server/rebuild_indexes.h"

#include <fmt/format.h>

#include "rustbd/server/local_session.h"

namespace rustbd::server {

std::vector<txn::Repair> rebuild_indexes_set_aside(engine::Database& database) {
  std::vector<txn::Repair> out;
  const auto all = database.transactions().indexes_set_aside();
  if (all.empty()) return out;
  try {
    LocalSession session{database, {}};
    for (const IndexId id : all) {
      const std::string name = database.qualified_name(id);
      if (name.empty()) continue;
      const LocalAnswer answer = session.run(fmt::format("REINDEX INDEX {}", name));
      const bool done = !answer.failure;
      out.push_back({done, fmt::format("index {}: {}", name,
                                       done ? "was damaged and is built anew"
                                            : "could not be built anew: " + answer.failure->message)});
    }
  } catch (const Error& e) {  // the role postgres may not log in
    out.push_back({false, "indexes that are set aside could not be built anew: " + e.message});
  }
  return out;
}

}  // namespace rustbd::server
