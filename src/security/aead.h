// Authenticated encryption with associated data (AEAD) over OpenSSL: AES-256-GCM (NIST SP 800-38D) and
// ChaCha20-Poly1305 (RFC 8439). Threads: any.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "rustbd/base/bytes.h"

namespace rustbd::security {

/// Values are those on disk.
enum class Cipher : std::uint8_t { kNone = 0, kAes256Gcm = 1, kChaCha20Poly1305 = 2 };
std::string_view to_text(Cipher cipher);  // "none", "aes256", "chacha20"
std::optional<Cipher> cipher_from_text(std::string_view text);
/// AES where the CPU has instructions for it, else ChaCha20.
Cipher fastest_cipher();

using KeyBytes = std::array<std::byte, 32>;
using Nonce = std::array<std::byte, 12>;  // never twice with one key
using Tag = std::array<std::byte, 16>;

/// Encrypts `text` in place. @pre cipher is not kNone.
Tag aead_seal(Cipher cipher, const KeyBytes& key, const Nonce& nonce, ByteSpan associated,
              MutableByteSpan text);
/// Decrypts in place. False: not what was sealed with this key, nonce and associated data; `text` is then
/// undefined.
[[nodiscard]] bool aead_open(Cipher cipher, const KeyBytes& key, const Nonce& nonce, ByteSpan associated,
                             const Tag& tag, MutableByteSpan text);

/// 4 bytes `prefix`, then the counter, little-endian.
Nonce counter_nonce(std::uint64_t counter, std::uint32_t prefix = 0);
/// Overwrites with zeros in a way that the compiler keeps.
void wipe(MutableByteSpan secret);

}  // namespace rustbd::security
