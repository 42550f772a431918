// How a statement fails. Thrown by value up to the statement boundary in `engine`, caught there once.
// Inside latched or I/O loops nothing throws: those return a status (io::IoResult, txn outcomes).
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <string>
#include <utility>

#include "rustbd/base/sqlstate.h"

namespace rustbd {

struct Error {
  SqlState state;
  std::string message;  // one line, PostgreSQL's wording: no capital, no full stop
  std::string detail{};
  std::string hint{};
  std::string where{};  // context, PostgreSQL's CONTEXT
  std::int32_t position =
      -1;  // byte offset into the statement's text; -1: none. `net` turns it into characters
  // Constraint fields of the protocol ('s','t','c','d','n'); empty: none.
  std::string schema_name{}, table_name{}, column_name{}, type_name{}, constraint_name{};

  Error&& with_detail(std::string text) && {
    detail = std::move(text);
    return std::move(*this);
  }
  Error&& with_hint(std::string text) && {
    hint = std::move(text);
    return std::move(*this);
  }
  Error&& with_where(std::string text) && {
    where = std::move(text);
    return std::move(*this);
  }
  Error&& at(std::int32_t byte_offset) && {
    if (position < 0) position = byte_offset;
    return std::move(*this);
  }
  Error&& on_table(std::string schema, std::string table) && {
    schema_name = std::move(schema);
    table_name = std::move(table);
    return std::move(*this);
  }
  Error&& on_column(std::string column) && {
    column_name = std::move(column);
    return std::move(*this);
  }
  Error&& on_constraint(std::string name) && {
    constraint_name = std::move(name);
    return std::move(*this);
  }
};

/// `throw error(sqlstate::kUndefinedTable, "relation \"{}\" does not exist", name).at(loc);`
template <class... Args>
[[nodiscard]] Error error(SqlState state, fmt::format_string<Args...> text, Args&&... args) {
  return Error{state, fmt::format(text, std::forward<Args>(args)...)};
}

/// A valid feature of PostgreSQL that is not there yet: 0A000, "X is not supported".
template <class... Args>
[[nodiscard]] Error not_supported(fmt::format_string<Args...> what, Args&&... args) {
  return Error{sqlstate::kFeatureNotSupported,
               fmt::format(what, std::forward<Args>(args)...) + " is not supported"};
}

enum class Severity : std::uint8_t { kDebug, kLog, kInfo, kNotice, kWarning, kError, kFatal, kPanic };

/// A message that ends nothing: NOTICE, WARNING, INFO.
struct Notice {
  Severity severity = Severity::kNotice;
  Error content;
};

}  // namespace rustbd
