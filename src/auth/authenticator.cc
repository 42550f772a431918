#include "rustbd/auth/authenticator.h"

#include <span>

namespace rustbd::auth {

Authenticator::Authenticator(engine::Database& database, bool trust)
    : database_(database), trust_(trust), mock_secret_(32, '\0') {
  database.environment().random->fill(std::as_writable_bytes(std::span{mock_secret_}));
}

std::unique_ptr<ScramServer> Authenticator::begin_scram(const std::string& user) {
  auto verifier = security::parse_scram_verifier(database_.password_verifier(user));
  const bool doomed = !verifier;
  if (doomed) verifier = security::mock_scram_verifier(user, mock_secret_);
  return std::make_unique<ScramServer>(std::move(*verifier), doomed, *database_.environment().random);
}

Error Authenticator::wrong_password(const std::string& user) {
  return error(sqlstate::kInvalidPassword, "password authentication failed for user \"{}\"", user);
}

}  // namespace rustbd::auth
