// The master key, which wraps the data keys of a directory, and where it comes from. It is never written by
// the server. Threads: any.
#pragma once

#include <string>
#include <string_view>

#include "rustbd/security/aead.h"

namespace rustbd::security {

/// 32 secret bytes, wiped at the end of their life.
class MasterKey {
 public:
  explicit MasterKey(const KeyBytes& bytes) : bytes_(bytes) {}
  MasterKey(const MasterKey&) = default;
  MasterKey& operator=(const MasterKey&) = default;
  ~MasterKey() { wipe(bytes_); }
  [[nodiscard]] const KeyBytes& bytes() const { return bytes_; }

 private:
  KeyBytes bytes_;
};

/// 32 bytes as they are, or in hexadecimal or base64 with white space around. Throws Error 22023, which shows
/// nothing of `text`.
MasterKey parse_master_key(std::string_view text);
/// `source` is "file:PATH", "env:NAME" or "cmd:COMMAND" (run by the shell; its output is the key). Throws
/// Error: 22023 another form of source, or no key there; 58030 cannot be read, or the command failed; 42501 a
/// file that others than its owner may read.
MasterKey read_master_key(std::string_view source);

}  // namespace rustbd::security
