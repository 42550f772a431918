// Who may come in, and how they show who they are: one for all protocols.
#pragma once

#include <memory>
#include <string>

#include "rustbd/auth/scram_server.h"
#include "rustbd/engine/database.h"

namespace rustbd::auth {

enum class Method : std::uint8_t { kTrust, kScramSha256 };

/// Threads: any. `database` outlives it.
class Authenticator {
 public:
  /// `trust`: no password is asked for. Only servers that listen on loopback alone may say so (server checks
  /// it).
  Authenticator(engine::Database& database, bool trust);
  [[nodiscard]] Method method() const { return trust_ ? Method::kTrust : Method::kScramSha256; }
  /// An exchange for the user, also for one that is unknown: it then fails at its end like a wrong password.
  [[nodiscard]] std::unique_ptr<ScramServer> begin_scram(const std::string& user);
  /// 28P01, the same text whatever the reason.
  [[nodiscard]] static Error wrong_password(const std::string& user);

 private:
  engine::Database& database_;
  const bool trust_;
  std::string mock_secret_;
};

}  // namespace rustbd::auth
