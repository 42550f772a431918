// DataRow messages straight from vectors: the function that writes a column's values is chosen once per
// result.
#pragma once

#include <span>
#include <vector>

#include "rustbd/engine/result_sink.h"
#include "rustbd/net/output_buffer.h"

namespace rustbd::net::pgwire {

class RowEncoder {
 public:
  /// `formats`: none (all text), one for all, or one each; 0 text, 1 binary. Throws 0A000 where a type has no
  /// binary form.
  void prepare(std::span<const engine::ResultColumn> columns, std::span<const std::uint16_t> formats);
  void forget() {
    writers_.clear();
    ready_ = false;
  }
  [[nodiscard]] bool ready() const { return ready_; }
  /// Appends a DataRow for each selected row. Throws Error (a text form that fails); `out` is then as before
  /// the call.
  void encode(const types::Chunk& chunk, std::span<const engine::ResultColumn> columns, types::IoContext& io,
              OutputBuffer& out);

 private:
  struct Scratch {
    types::IoContext& io;
    std::string text;
  };
  /// Writes length word and value.
  using Writer = void (*)(const types::Datum& value, const types::TypeRef& type, Scratch& scratch,
                          OutputBuffer& out);
  template <class T>
  static void write_integer_text(const types::Datum&, const types::TypeRef&, Scratch&, OutputBuffer& out);
  template <class T>
  static void write_integer_binary(const types::Datum&, const types::TypeRef&, Scratch&, OutputBuffer& out);
  static void write_bool_text(const types::Datum&, const types::TypeRef&, Scratch&, OutputBuffer& out);
  static void write_raw(const types::Datum&, const types::TypeRef&, Scratch&, OutputBuffer& out);
  static void write_any_text(const types::Datum&, const types::TypeRef&, Scratch&, OutputBuffer& out);
  static void write_any_binary(const types::Datum&, const types::TypeRef&, Scratch&, OutputBuffer& out);
  static Writer choose(const types::TypeRef& type, bool binary);
  std::vector<Writer> writers_;
  bool ready_ = false;
};

}  // namespace rustbd::net::pgwire
