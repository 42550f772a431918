// SCRAM-SHA-256 verifiers (RFC 5802, RFC 7677) in PostgreSQL's text form:
//   SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>      (the last three in base64)
// What is stored for a role instead of its password. Threads: any.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "rustbd/io/executor.h"
#include "rustbd/security/digest.h"

namespace rustbd::security {

inline constexpr int kScramIterations = 4096;
inline constexpr std::size_t kScramSaltBytes = 16;

struct ScramVerifier {
  int iterations = kScramIterations;
  std::string salt;  // raw
  Digest stored_key{}, server_key{};
};

/// The verifier of a password, with a fresh salt. About 2 ms at 4096 iterations.
std::string make_scram_verifier(std::string_view password, io::Random& random,
                                int iterations = kScramIterations);
std::string to_text(const ScramVerifier& verifier);
/// nullopt: not a verifier. CREATE ROLE ... PASSWORD takes such a text as it is and hashes any other.
std::optional<ScramVerifier> parse_scram_verifier(std::string_view text);
/// The verifier that an unknown user, or one without password, is checked against: the same salt for the same
/// name, so that the exchange tells nothing. No password fits it. `secret`: random, constant while the server
/// runs.
ScramVerifier mock_scram_verifier(std::string_view user, std::string_view secret);
/// RFC 4013; a text that it forbids stays as it is, as in PostgreSQL.
std::string saslprep(std::string_view password);
/// A readable random password of `characters` letters and digits (about 5.8 bits each).
std::string random_password(io::Random& random, std::size_t characters = 20);

}  // namespace rustbd::security
