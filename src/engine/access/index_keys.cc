#include "rustbd/engine/access/index_keys.h"

#include "rustbd/engine/access/local_table.h"
#include "rustbd/engine/context/session_context.h"
#include "rustbd/engine/session_parts.h"

namespace rustbd::engine {

txn::KeysOf index_keys(Session& session) {
  session.parts().context->begin_statement();  // literals of enum types are read by names
  return [&session](const storage::IndexLayout& index) -> std::optional<txn::ComputeKeys> {
    const auto catalog = session.parts().catalog();
    for (const auto& [oid, relation] : catalog->relations()) {
      if (std::ranges::none_of(relation->indexes, [&](const auto& i) { return i->tree == index.id; }))
        continue;
      return [computer = std::make_unique<IndexKeyComputer>(session.parts(), *relation), id = index.id](
                 const types::Chunk& chunk, std::vector<types::Vector>* parts, std::uint8_t* member) {
        computer->compute_for(id, chunk, parts, member);
      };
    }
    return std::nullopt;
  };
}

}  // namespace rustbd::engine
