// Where a statement's results go: implemented by each protocol, the shell and embedding programs.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "rustbd/base/error.h"
#include "rustbd/base/task.h"
#include "rustbd/io/wait.h"
#include "rustbd/types/io.h"
#include "rustbd/types/vector.h"

namespace rustbd::engine {

struct ResultColumn {
  std::string name;
  types::TypeRef type;
  Oid relation = 0;  // base column: table oid and attribute number; else 0
  std::int16_t attribute = 0;
};

enum class CopyFormat : std::uint8_t { kText, kCsv, kBinary };

/// Calls come from the session's coroutine, in protocol order. All data is valid during the call only.
class ResultSink {
 public:
  virtual ~ResultSink() = default;
  /// A result set begins. Not called for portals whose description was sent (`describe` false).
  virtual void columns(std::span<const ResultColumn> columns) = 0;
  /// Rows of the present result; `io` says how values are written (session settings). The token:
  /// back-pressure, the session awaits it before it goes on (empty: go on).
  virtual io::WaitToken rows(const types::Chunk& chunk, std::span<const ResultColumn> columns,
                             types::IoContext& io) = 0;
  /// End of one statement: "SELECT 5", "INSERT 0 1", "CREATE TABLE".
  virtual void complete(std::string_view tag) = 0;
  virtual void empty_query() = 0;
  /// A portal stopped at its row limit.
  virtual void suspended() = 0;
  virtual void notice(const Notice& notice) = 0;
  /// A setting that clients are told of has changed (client_encoding, TimeZone, ...).
  virtual void parameter_changed(std::string_view name, std::string_view value) = 0;
  // COPY. Data moves as the bytes of the chosen format.
  virtual void copy_in_begin(CopyFormat format, std::size_t columns) = 0;
  /// The next bytes from the client; nullopt at the end. Throws Error when the client gave up (57014).
  virtual Task<std::optional<std::string>> copy_in_data() = 0;
  virtual void copy_out_begin(CopyFormat format, std::size_t columns) = 0;
  virtual io::WaitToken copy_out_data(std::string_view bytes) = 0;
  virtual void copy_out_end() = 0;
};

}  // namespace rustbd::engine
