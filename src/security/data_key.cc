#include "rustbd/security/data_key.h"

#include <cstring>

#include "rustbd/security/digest.h"

namespace rustbd::security {

namespace {
constexpr std::string_view kLabels[kPurposes] = {"rustbd page\x01", "rustbd snapshot\x01", "rustbd log\x01"};
}

// HKDF-Expand (RFC 5869) of one block: the secret is random, so that nothing has to be extracted.
DataKey::DataKey(std::uint32_t id, std::uint16_t index, Cipher cipher, std::int64_t created_us,
                 const KeyBytes& secret)
    : id_(id), index_(index), cipher_(cipher), created_us_(created_us) {
  for (std::size_t i = 0; i < kPurposes; ++i) {
    Digest derived = hmac_sha256(as_chars(secret), kLabels[i]);
    std::memcpy(subkeys_[i].data(), derived.data(), derived.size());
    wipe(std::as_writable_bytes(std::span{derived}));
  }
}

DataKey::~DataKey() {
  for (auto& subkey : subkeys_) wipe(subkey);
}

Tag DataKey::seal_with(Purpose purpose, std::uint64_t counter, ByteSpan associated,
                       MutableByteSpan text) const {
  return aead_seal(cipher_, subkeys_[static_cast<std::size_t>(purpose)], counter_nonce(counter), associated,
                   text);
}

Seal DataKey::seal(Purpose purpose, ByteSpan associated, MutableByteSpan text) const {
  const std::uint64_t counter = next_counter(purpose);
  return {counter, seal_with(purpose, counter, associated, text)};
}

bool DataKey::open(Purpose purpose, const Seal& seal, ByteSpan associated, MutableByteSpan text) const {
  return aead_open(cipher_, subkeys_[static_cast<std::size_t>(purpose)], counter_nonce(seal.counter),
                   associated, seal.tag, text);
}

void DataKey::note_log_end(Lsn end) const {
  std::uint64_t known = log_end_.load(std::memory_order_relaxed);
  while (known < end.raw() && !log_end_.compare_exchange_weak(known, end.raw(), std::memory_order_acq_rel)) {}
}

}  // namespace rustbd::security
