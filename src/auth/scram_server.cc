#include "rustbd/auth/scram_server.h"

#include <algorithm>

#include "rustbd/base/error.h"

namespace rustbd::auth {

namespace {
constexpr std::size_t kNonceBytes = 18;

[[noreturn]] void malformed(std::string_view why) {
  throw error(sqlstate::kProtocolViolation, "malformed SCRAM message").with_detail(std::string{why});
}
/// Takes "x=value" up to the next comma off `text`.
std::string_view attribute(std::string_view& text, char name) {
  if (text.size() < 2 || text[0] != name || text[1] != '=')
    malformed(fmt::format("Expected attribute \"{}\".", name));
  const auto end = std::min(text.find(','), text.size());
  const auto value = text.substr(2, end - 2);
  text.remove_prefix(std::min(end + 1, text.size()));
  return value;
}
bool printable(std::string_view s) {
  return !s.empty() &&
         std::all_of(s.begin(), s.end(), [](char c) { return c >= 0x21 && c <= 0x7E && c != ','; });
}
}  // namespace

ScramServer::ScramServer(security::ScramVerifier verifier, bool doomed, io::Random& random)
    : verifier_(std::move(verifier)), doomed_(doomed) {
  std::string raw(kNonceBytes, '\0');
  random.fill(std::as_writable_bytes(std::span{raw}));
  server_nonce_ = security::base64_encode(raw);
}

std::string ScramServer::first(std::string_view message) {
  // gs2-header: "n," or "y," (no channel binding offered here, so both mean none), an authorization identity,
  // ",".
  if (message.size() < 3) malformed("The message is too short.");
  if (message[0] == 'p')
    throw error(sqlstate::kProtocolViolation,
                "client selected SCRAM-SHA-256 without channel binding, but the SCRAM message includes "
                "channel binding data");
  if ((message[0] != 'n' && message[0] != 'y') || message[1] != ',')
    malformed("Unexpected channel-binding flag.");
  if (message[2] != ',')
    throw error(sqlstate::kFeatureNotSupported,
                "client uses authorization identity, but it is not supported");
  gs2_header_ = message.substr(0, 3);
  message.remove_prefix(3);
  client_first_bare_ = message;
  if (message.starts_with("m="))
    throw error(sqlstate::kFeatureNotSupported, "client requires an unsupported SCRAM extension");
  attribute(message, 'n');  // the user of the start-up packet counts
  const auto client_nonce = attribute(message, 'r');
  if (!printable(client_nonce))
    throw error(sqlstate::kProtocolViolation, "non-printable characters in SCRAM nonce");
  nonce_ = std::string{client_nonce} + server_nonce_;
  server_first_ =
      fmt::format("r={},s={},i={}", nonce_, security::base64_encode(verifier_.salt), verifier_.iterations);
  return server_first_;
}

bool ScramServer::final(std::string_view message) {
  const auto proof_at = message.rfind(",p=");
  if (proof_at == std::string_view::npos) malformed("Expected attribute \"p\".");
  const auto without_proof = message.substr(0, proof_at);
  auto rest = message;
  const auto binding = attribute(rest, 'c');
  if (binding != security::base64_encode(gs2_header_))
    throw error(sqlstate::kProtocolViolation,
                "unexpected SCRAM channel-binding attribute in client-final-message");
  if (attribute(rest, 'r') != nonce_)
    throw error(sqlstate::kProtocolViolation, "invalid SCRAM response").with_detail("Nonce does not match.");
  const auto proof = security::base64_decode(message.substr(proof_at + 3));
  if (!proof || proof->size() != sizeof(security::Digest))
    malformed("Malformed proof in client-final-message.");

  const auto auth_message = fmt::format("{},{},{}", client_first_bare_, server_first_, without_proof);
  const auto client_signature = security::hmac_sha256(security::as_text(verifier_.stored_key), auth_message);
  std::string client_key(sizeof(security::Digest), '\0');
  for (std::size_t i = 0; i < client_key.size(); ++i)
    client_key[i] = static_cast<char>(static_cast<unsigned char>((*proof)[i]) ^ client_signature[i]);
  const bool fits = security::equal_constant_time(security::as_text(security::sha256(client_key)),
                                                  security::as_text(verifier_.stored_key));
  server_final_ = "v=" + security::base64_encode(security::as_text(
                             security::hmac_sha256(security::as_text(verifier_.server_key), auth_message)));
  return fits && !doomed_;
}

}  // namespace rustbd::auth
