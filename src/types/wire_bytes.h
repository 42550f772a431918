// Big-endian numbers of the wire. Internal to `types`.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "rustbd/base/error.h"

namespace rustbd::types {

template <class Unsigned>
void put_wire(Unsigned v, std::string& out) {
  for (int shift = static_cast<int>(sizeof v) * 8 - 8; shift >= 0; shift -= 8)
    out += static_cast<char>(static_cast<unsigned char>(v >> shift));
}

class WireReader {
 public:
  explicit WireReader(std::string_view bytes) : bytes_(bytes) {}
  template <class Unsigned>
  Unsigned get() {
    Unsigned v = 0;
    for (const char c : take(sizeof v))
      v = static_cast<Unsigned>(static_cast<Unsigned>(v << 7 << 1) | static_cast<unsigned char>(c));
    return v;
  }
  std::string_view take(std::size_t n) {
    if (n > bytes_.size()) throw error(sqlstate::kProtocolViolation, "insufficient data left in message");
    const std::string_view part = bytes_.substr(0, n);
    bytes_.remove_prefix(n);
    return part;
  }
  std::string_view rest() { return take(bytes_.size()); }
  [[nodiscard]] bool at_end() const { return bytes_.empty(); }

 private:
  std::string_view bytes_;
};

}  // namespace rustbd::types
