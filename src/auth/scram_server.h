// The server's side of one SCRAM-SHA-256 exchange (RFC 5802 §5, RFC 7677), without channel binding.
#pragma once

#include <string>
#include <string_view>

#include "rustbd/io/executor.h"
#include "rustbd/security/scram.h"

namespace rustbd::auth {

/// Messages in, messages out; owns no connection. Errors: 08P01 for a malformed message, with PostgreSQL's
/// text.
class ScramServer {
 public:
  /// `doomed`: the verifier is a mock; the exchange looks the same and always fails.
  ScramServer(security::ScramVerifier verifier, bool doomed, io::Random& random);
  /// client-first-message → server-first-message.
  std::string first(std::string_view client_first);
  /// client-final-message → true: the client knows the password; server_final() is to be sent.
  bool final(std::string_view client_final);
  [[nodiscard]] const std::string& server_final() const { return server_final_; }

 private:
  const security::ScramVerifier verifier_;
  const bool doomed_;
  std::string server_nonce_;
  std::string nonce_;  // the client's and ours
  std::string client_first_bare_, server_first_, server_final_;
  std::string gs2_header_;
};

}  // namespace rustbd::auth
