#include <gtest/gtest.h>

#include "rustbd/security/digest.h"
#include "rustbd/security/scram.h"

namespace rustbd::security {
namespace {

std::string hex(std::string_view bytes) {
  std::string out;
  for (const char c : bytes) out += fmt::format("{:02x}", static_cast<unsigned char>(c));
  return out;
}

TEST(Digest, KnownAnswers) {
  EXPECT_EQ(hex(as_text(sha256("abc"))), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  // RFC 4231, test case 2.
  EXPECT_EQ(hex(as_text(hmac_sha256("Jefe", "what do ya want for nothing?"))),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  // RFC 7914, section 11 (the first 32 bytes).
  EXPECT_EQ(hex(as_text(pbkdf2_sha256("passwd", "salt", 1))),
            "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc");
}

TEST(Base64, RoundTripOfEveryLength) {
  io::SeededRandom random{7};
  for (std::size_t n = 0; n < 200; ++n) {
    std::string data(n, '\0');
    random.fill(std::as_writable_bytes(std::span{data}));
    EXPECT_EQ(base64_decode(base64_encode(data)), data);
  }
  EXPECT_EQ(base64_encode("fooba"), "Zm9vYmE=");
}

TEST(Base64, RefusesWhatIsNotCanonical) {
  for (const char* bad : {"Zg=", "Zg", "Zm9=vYg=", "Zm9v!mE=", "Zh==", "====", "Zm9vYmE=\n"})
    EXPECT_EQ(base64_decode(bad), std::nullopt) << bad;
}

TEST(Scram, VerifierOfPostgreSql) {
  const std::string text =
      "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$"
      "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";
  // RFC 7677's example in PostgreSQL's form: this salt, the password "pencil" and these keys.
  const auto v = parse_scram_verifier(text);
  ASSERT_TRUE(v);
  EXPECT_EQ(v->iterations, 4096);
  EXPECT_EQ(to_text(*v), text);
  const auto salted = pbkdf2_sha256("pencil", v->salt, v->iterations);
  EXPECT_EQ(as_text(hmac_sha256(as_text(salted), "Server Key")), as_text(v->server_key));
  EXPECT_EQ(as_text(sha256(as_text(hmac_sha256(as_text(salted), "Client Key")))), as_text(v->stored_key));
}

TEST(Scram, MadeVerifiersParse) {
  io::SeededRandom random{1};
  const auto one = make_scram_verifier("secret", random), two = make_scram_verifier("secret", random);
  EXPECT_NE(one, two) << "each has its own salt";
  ASSERT_TRUE(parse_scram_verifier(one));
  EXPECT_EQ(to_text(*parse_scram_verifier(one)), one);
}

TEST(Scram, RefusesOtherTexts) {
  io::SeededRandom random{2};
  const auto good = make_scram_verifier("x", random);
  EXPECT_FALSE(parse_scram_verifier("secret"));
  EXPECT_FALSE(parse_scram_verifier(""));
  EXPECT_FALSE(parse_scram_verifier(good.substr(0, good.size() - 4)));
  EXPECT_FALSE(parse_scram_verifier("SCRAM-SHA-256$0" + good.substr(good.find(':'))));
  EXPECT_FALSE(parse_scram_verifier("SCRAM-SHA-256$x" + good.substr(good.find(':'))));
}

TEST(Scram, MockVerifiersAreSteadyAndFitNothing) {
  const auto one = mock_scram_verifier("nobody", "seed"), again = mock_scram_verifier("nobody", "seed");
  EXPECT_EQ(one.salt, again.salt);
  EXPECT_NE(one.salt, mock_scram_verifier("somebody", "seed").salt);
  EXPECT_NE(one.salt, mock_scram_verifier("nobody", "other").salt);
  EXPECT_EQ(one.salt.size(), kScramSaltBytes);
}

TEST(Saslprep, RFC4013Examples) {
  EXPECT_EQ(saslprep("I\xC2\xADX"), "IX");  // soft hyphen goes
  EXPECT_EQ(saslprep("user"), "user");
  EXPECT_EQ(saslprep("\xC2\xAA"), "a");         // NFKC of the ordinal indicator
  EXPECT_EQ(saslprep("\xE2\x85\xA8"), "IX");    // Roman numeral nine
  EXPECT_EQ(saslprep("\x07"), "\x07");          // forbidden: stays, as in PostgreSQL
  EXPECT_EQ(saslprep("\xFF\xFE"), "\xFF\xFE");  // no UTF-8: stays
}

TEST(RandomPassword, HasTheLengthAndNoLookAlikes) {
  io::SeededRandom random{3};
  const auto password = random_password(random, 500);
  EXPECT_EQ(password.size(), 500u);
  EXPECT_EQ(password.find_first_of("0O1lI"), std::string::npos);
}

}  // namespace
}  // namespace rustbd::security
