// Parts of definitions as SQL text.
#pragma once

#include <string>

#include "rustbd/catalog/objects.h"

namespace rustbd::engine {

class SessionContext;

/// A key column of an index as CREATE INDEX says it; without options: the column or expression alone.
std::string index_column_text(SessionContext& context, const catalog::Relation& relation,
                              const catalog::IndexColumn& column, bool with_options, bool pretty);

}  // namespace rustbd::engine
