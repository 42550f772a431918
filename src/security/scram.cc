#include "rustbd/security/scram.h"

#include <fmt/format.h>
#include <unicode/usprep.h>
#include <unicode/ustring.h>

#include <algorithm>
#include <charconv>
#include <memory>
#include <vector>

namespace rustbd::security {

namespace {
constexpr std::string_view kPrefix = "SCRAM-SHA-256$";
constexpr int kIterationsMax = 100'000'000;

std::optional<Digest> decode_key(std::string_view text) {
  const auto raw = base64_decode(text);
  Digest key;
  if (!raw || raw->size() != key.size()) return std::nullopt;
  std::copy(raw->begin(), raw->end(), key.begin());
  return key;
}
}  // namespace

std::string saslprep(std::string_view password) {
  const bool ascii =
      std::all_of(password.begin(), password.end(), [](char c) { return c >= 0x20 && c < 0x7F; });
  if (ascii) return std::string{password};
  UErrorCode status = U_ZERO_ERROR;
  const std::unique_ptr<UStringPrepProfile, decltype(&usprep_close)> profile{
      usprep_openByType(USPREP_RFC4013_SASLPREP, &status), &usprep_close};
  std::vector<UChar> wide(password.size() + 1), prepared(4 * password.size() + 16);
  std::int32_t wide_size = 0, out_size = 0;
  u_strFromUTF8(wide.data(), static_cast<std::int32_t>(wide.size()), &wide_size, password.data(),
                static_cast<std::int32_t>(password.size()), &status);
  if (U_FAILURE(status)) return std::string{password};
  const auto prepared_size =
      usprep_prepare(profile.get(), wide.data(), wide_size, prepared.data(),
                     static_cast<std::int32_t>(prepared.size()), USPREP_DEFAULT, nullptr, &status);
  if (U_FAILURE(status)) return std::string{password};
  std::string out(4 * static_cast<std::size_t>(prepared_size) + 1, '\0');
  u_strToUTF8(out.data(), static_cast<std::int32_t>(out.size()), &out_size, prepared.data(), prepared_size,
              &status);
  if (U_FAILURE(status)) return std::string{password};
  out.resize(static_cast<std::size_t>(out_size));
  return out;
}

std::string make_scram_verifier(std::string_view password, io::Random& random, int iterations) {
  ScramVerifier v;
  v.iterations = iterations;
  v.salt.resize(kScramSaltBytes);
  random.fill(std::as_writable_bytes(std::span{v.salt}));
  const auto salted = pbkdf2_sha256(saslprep(password), v.salt, iterations);
  v.stored_key = sha256(as_text(hmac_sha256(as_text(salted), "Client Key")));
  v.server_key = hmac_sha256(as_text(salted), "Server Key");
  return to_text(v);
}

std::string to_text(const ScramVerifier& v) {
  return fmt::format("{}{}:{}${}:{}", kPrefix, v.iterations, base64_encode(v.salt),
                     base64_encode(as_text(v.stored_key)), base64_encode(as_text(v.server_key)));
}

std::optional<ScramVerifier> parse_scram_verifier(std::string_view text) {
  if (!text.starts_with(kPrefix)) return std::nullopt;
  text.remove_prefix(kPrefix.size());
  const auto colon = text.find(':'), dollar = text.find('$');
  if (colon == std::string_view::npos || dollar == std::string_view::npos || colon > dollar)
    return std::nullopt;
  const auto keys = text.substr(dollar + 1);
  const auto key_colon = keys.find(':');
  if (key_colon == std::string_view::npos) return std::nullopt;
  ScramVerifier v;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + colon, v.iterations);
  if (failure != std::errc{} || end != text.data() + colon || v.iterations < 1 ||
      v.iterations > kIterationsMax)
    return std::nullopt;
  auto salt = base64_decode(text.substr(colon + 1, dollar - colon - 1));
  const auto stored = decode_key(keys.substr(0, key_colon)), server = decode_key(keys.substr(key_colon + 1));
  if (!salt || salt->empty() || !stored || !server) return std::nullopt;
  v.salt = std::move(*salt);
  v.stored_key = *stored;
  v.server_key = *server;
  return v;
}

ScramVerifier mock_scram_verifier(std::string_view user, std::string_view secret) {
  ScramVerifier v;
  v.salt = std::string{as_text(hmac_sha256(secret, user)).substr(0, kScramSaltBytes)};
  // StoredKey is a hash that nobody knows a preimage of.
  v.stored_key = hmac_sha256(secret, fmt::format("stored:{}", user));
  v.server_key = hmac_sha256(secret, fmt::format("server:{}", user));
  return v;
}

std::string random_password(io::Random& random, std::size_t characters) {
  // No letters that look alike; 55 of them.
  static constexpr std::string_view kLetters = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz2345678";
  std::string out;
  while (out.size() < characters) {
    const auto v = random.next_u64() & 63;
    if (v < kLetters.size()) out += kLetters[v];  // rejection: no letter is likelier
  }
  return out;
}

}  // namespace rustbd::security
