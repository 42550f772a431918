#include "rustbd/security/aead.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <memory>

#include "rustbd/base/assert.h"

namespace rustbd::security {

namespace {

const unsigned char* raw(ByteSpan bytes) { return reinterpret_cast<const unsigned char*>(bytes.data()); }
unsigned char* raw(MutableByteSpan bytes) { return reinterpret_cast<unsigned char*>(bytes.data()); }

// Fetched once: an implicit fetch at each call takes locks and is slow in OpenSSL 3.
const EVP_CIPHER* method_of(Cipher cipher) {
  static const EVP_CIPHER* const aes = EVP_CIPHER_fetch(nullptr, "AES-256-GCM", nullptr);
  static const EVP_CIPHER* const chacha = EVP_CIPHER_fetch(nullptr, "ChaCha20-Poly1305", nullptr);
  RUSTBD_ASSERT(cipher != Cipher::kNone);
  const EVP_CIPHER* method = cipher == Cipher::kAes256Gcm ? aes : chacha;
  RUSTBD_ASSERT(method != nullptr, "OpenSSL lacks the cipher");
  return method;
}

struct FreeContext {
  void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
};

/// Of one thread and direction. It keeps the last key, whose schedule costs more than a batch of the log to
/// seal.
struct Context {
  std::unique_ptr<EVP_CIPHER_CTX, FreeContext> context{EVP_CIPHER_CTX_new()};
  Cipher cipher = Cipher::kNone;
  KeyBytes key{};

  ~Context() { OPENSSL_cleanse(key.data(), key.size()); }

  /// nullptr: OpenSSL refuses.
  template <class Init>
  EVP_CIPHER_CTX* begin(Cipher wanted, const KeyBytes& with, const Nonce& nonce, Init init) {
    RUSTBD_ASSERT(context != nullptr, "out of memory");
    EVP_CIPHER_CTX* const c = context.get();
    const auto* iv = raw(ByteSpan{nonce});
    if (cipher == wanted && key == with) return init(c, nullptr, nullptr, iv, nullptr) == 1 ? c : nullptr;
    EVP_CIPHER_CTX_reset(c);
    cipher = wanted;
    key = with;
    return init(c, method_of(wanted), raw(ByteSpan{with}), iv, nullptr) == 1 ? c : nullptr;
  }
};
thread_local Context sealing, opening;

int length(std::size_t bytes) { return static_cast<int>(bytes); }

}  // namespace

std::string_view to_text(Cipher cipher) {
  switch (cipher) {
    case Cipher::kNone: return "none";
    case Cipher::kAes256Gcm: return "aes256";
    case Cipher::kChaCha20Poly1305: return "chacha20";
  }
  return "?";
}

std::optional<Cipher> cipher_from_text(std::string_view text) {
  for (const Cipher cipher : {Cipher::kAes256Gcm, Cipher::kChaCha20Poly1305})
    if (text == to_text(cipher)) return cipher;
  return std::nullopt;
}

Cipher fastest_cipher() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("aes") == 0 || __builtin_cpu_supports("pclmul") == 0)
    return Cipher::kChaCha20Poly1305;
#endif
  return Cipher::kAes256Gcm;
}

Tag aead_seal(Cipher cipher, const KeyBytes& key, const Nonce& nonce, ByteSpan associated,
              MutableByteSpan text) {
  EVP_CIPHER_CTX* const c = sealing.begin(cipher, key, nonce, EVP_EncryptInit_ex2);
  Tag tag;
  int n = 0;
  const bool done = c != nullptr &&
                    EVP_EncryptUpdate(c, nullptr, &n, raw(associated), length(associated.size())) == 1 &&
                    EVP_EncryptUpdate(c, raw(text), &n, raw(text), length(text.size())) == 1 &&
                    EVP_EncryptFinal_ex(c, raw(text) + text.size(), &n) == 1 &&
                    EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, length(tag.size()), tag.data()) == 1;
  RUSTBD_ASSERT(done, "sealing cannot fail");
  return tag;
}

bool aead_open(Cipher cipher, const KeyBytes& key, const Nonce& nonce, ByteSpan associated, const Tag& tag,
               MutableByteSpan text) {
  EVP_CIPHER_CTX* const c = opening.begin(cipher, key, nonce, EVP_DecryptInit_ex2);
  Tag expected = tag;  // the interface takes it without const
  int n = 0;
  return c != nullptr && EVP_DecryptUpdate(c, nullptr, &n, raw(associated), length(associated.size())) == 1 &&
         EVP_DecryptUpdate(c, raw(text), &n, raw(text), length(text.size())) == 1 &&
         EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, length(expected.size()), expected.data()) == 1 &&
         EVP_DecryptFinal_ex(c, raw(text) + text.size(), &n) == 1;
}

Nonce counter_nonce(std::uint64_t counter, std::uint32_t prefix) {
  Nonce nonce;
  store(nonce.data(), prefix);
  store(nonce.data() + sizeof prefix, counter);
  return nonce;
}

void wipe(MutableByteSpan secret) { OPENSSL_cleanse(secret.data(), secret.size()); }

}  // namespace rustbd::security
