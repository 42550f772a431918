#include <gtest/gtest.h>

#include "rustbd/auth/scram_server.h"
#include "rustbd/base/error.h"

namespace rustbd::auth {
namespace {

// The client's side, from RFC 5802.
struct Client {
  std::string password, nonce = "rOprNGfwEbeRWgbNEkqO", first_bare = "n=,r=" + nonce, server_first,
                        final_without_proof;
  [[nodiscard]] std::string first() const { return "n,," + first_bare; }
  std::string final(const std::string& from_server) {
    server_first = from_server;
    const auto r = server_first.substr(2, server_first.find(",s=") - 2);
    const auto s_at = server_first.find(",s=") + 3, i_at = server_first.find(",i=");
    const auto salt = *security::base64_decode(server_first.substr(s_at, i_at - s_at));
    const auto salted = security::pbkdf2_sha256(password, salt, std::stoi(server_first.substr(i_at + 3)));
    const auto client_key = security::hmac_sha256(security::as_text(salted), "Client Key");
    final_without_proof = "c=biws,r=" + r;
    const auto signature = security::hmac_sha256(
        security::as_text(security::sha256(security::as_text(client_key))), auth_message());
    std::string proof(client_key.size(), '\0');
    for (std::size_t i = 0; i < proof.size(); ++i) proof[i] = static_cast<char>(client_key[i] ^ signature[i]);
    server_signature =
        "v=" + security::base64_encode(security::as_text(security::hmac_sha256(
                   security::as_text(security::hmac_sha256(security::as_text(salted), "Server Key")),
                   auth_message())));
    return final_without_proof + ",p=" + security::base64_encode(proof);
  }
  [[nodiscard]] std::string auth_message() const {
    return first_bare + "," + server_first + "," + final_without_proof;
  }
  std::string server_signature;
};

class ScramExchange : public ::testing::Test {
 protected:
  io::SeededRandom random_{11};
  security::ScramVerifier verifier_ =
      *security::parse_scram_verifier(security::make_scram_verifier("pencil", random_, 100));
};

TEST_F(ScramExchange, RightPassword) {
  ScramServer server{verifier_, false, random_};
  Client client{"pencil"};
  EXPECT_TRUE(server.final(client.final(server.first(client.first()))));
  EXPECT_EQ(server.server_final(), client.server_signature) << "the client checks the server too";
}

TEST_F(ScramExchange, WrongPassword) {
  ScramServer server{verifier_, false, random_};
  Client client{"pencils"};
  EXPECT_FALSE(server.final(client.final(server.first(client.first()))));
}

TEST_F(ScramExchange, DoomedFailsWithTheRightPasswordToo) {
  ScramServer server{verifier_, true, random_};
  Client client{"pencil"};
  EXPECT_FALSE(server.final(client.final(server.first(client.first()))));
}

TEST_F(ScramExchange, NoncesDiffer) {
  Client client{"pencil"};
  ScramServer one{verifier_, false, random_}, two{verifier_, false, random_};
  EXPECT_NE(one.first(client.first()), two.first(client.first()));
}

TEST_F(ScramExchange, AnswerOfAnotherExchangeIsRefused) {
  Client client{"pencil"};
  ScramServer one{verifier_, false, random_}, two{verifier_, false, random_};
  const auto answer = client.final(one.first(client.first()));
  two.first(client.first());
  EXPECT_THROW(two.final(answer), Error);
}

TEST_F(ScramExchange, MalformedMessages) {
  for (const char* bad : {"", "n", "n,", "x,,n=,r=abc", "p=tls-unique,,n=,r=abc", "n,a=other,n=,r=abc",
                          "n,,r=abc", "n,,n=,r=", "n,,m=ext,n=,r=abc", "n,,n=,r=a b"}) {
    ScramServer server{verifier_, false, random_};
    EXPECT_THROW(server.first(bad), Error) << bad;
  }
  for (const char* bad : {"", "c=biws", "c=biws,r=x", "c=eSws,r=x,p=AAAA", ",p=", "c=biws,r=x,p=!!!!"}) {
    ScramServer server{verifier_, false, random_};
    server.first("n,,n=,r=abc");
    EXPECT_THROW(server.final(bad), Error) << bad;
  }
}

}  // namespace
}  // namespace rustbd::auth
