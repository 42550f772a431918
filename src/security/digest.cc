#include "rustbd/security/digest.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "rustbd/base/assert.h"

namespace rustbd::security {

namespace {
const unsigned char* bytes(std::string_view s) { return reinterpret_cast<const unsigned char*>(s.data()); }
// Fetched once: an implicit fetch at each call takes locks and is slow in OpenSSL 3.
const EVP_MD* sha256_method() {
  static const EVP_MD* const method = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  RUSTBD_ASSERT(method != nullptr, "OpenSSL has no SHA-256");
  return method;
}
}  // namespace

Digest sha256(std::string_view data) {
  Digest out;
  unsigned int size = 0;
  RUSTBD_ASSERT(EVP_Digest(data.data(), data.size(), out.data(), &size, sha256_method(), nullptr) == 1 &&
                size == out.size());
  return out;
}

Digest hmac_sha256(std::string_view key, std::string_view data) {
  Digest out;
  unsigned int size = 0;
  const auto* done = HMAC(sha256_method(), key.data(), static_cast<int>(key.size()), bytes(data), data.size(),
                          out.data(), &size);
  RUSTBD_ASSERT(done != nullptr && size == out.size());
  return out;
}

Digest pbkdf2_sha256(std::string_view password, std::string_view salt, int iterations) {
  Digest out;
  RUSTBD_ASSERT(PKCS5_PBKDF2_HMAC(password.data(), static_cast<int>(password.size()), bytes(salt),
                                  static_cast<int>(salt.size()), iterations, sha256_method(),
                                  static_cast<int>(out.size()), out.data()) == 1);
  return out;
}

bool equal_constant_time(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

std::string base64_encode(std::string_view data) {
  std::string out(4 * ((data.size() + 2) / 3) + 1, '\0');
  const int n = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()), bytes(data),
                                static_cast<int>(data.size()));
  out.resize(static_cast<std::size_t>(n));
  return out;
}

std::optional<std::string> base64_decode(std::string_view text) {
  if (text.size() % 4 != 0) return std::nullopt;
  std::string out(text.size() / 4 * 3, '\0');
  if (text.empty()) return out;
  const int n = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(out.data()), bytes(text),
                                static_cast<int>(text.size()));
  if (n < 0) return std::nullopt;
  std::size_t size = static_cast<std::size_t>(n);
  for (std::size_t i = text.size(); i > 0 && text[i - 1] == '=' && size > 0; --i) --size;
  out.resize(size);
  if (base64_encode(out) != text) return std::nullopt;  // padding inside, stray bits
  return out;
}

}  // namespace rustbd::security
