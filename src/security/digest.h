// SHA-256, HMAC and base64 over OpenSSL, as SCRAM and tokens need them. Threads: any.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace rustbd::security {

using Digest = std::array<unsigned char, 32>;

inline std::string_view as_text(const Digest& d) {
  return {reinterpret_cast<const char*>(d.data()), d.size()};
}
Digest sha256(std::string_view data);
Digest hmac_sha256(std::string_view key, std::string_view data);
/// PBKDF2 (RFC 8018) with HMAC-SHA-256, one block.
Digest pbkdf2_sha256(std::string_view password, std::string_view salt, int iterations);
/// In time that depends on the sizes only.
bool equal_constant_time(std::string_view a, std::string_view b);
/// RFC 4648, with padding.
std::string base64_encode(std::string_view data);
/// nullopt where `text` is not canonical base64.
std::optional<std::string> base64_decode(std::string_view text);

}  // namespace rustbd::security
