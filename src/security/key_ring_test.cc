#include "rustbd/security/key_ring.h"

#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <set>

#include "rustbd/base/error.h"
#include "rustbd/io/simulated/simulated_disk.h"
#include "rustbd/io/simulated/simulated_executor.h"

namespace rustbd::security {
namespace {

Bytes from_hex(std::string_view text) {
  Bytes out;
  for (std::size_t i = 0; i + 1 < text.size(); i += 2)
    out.push_back(static_cast<std::byte>(std::stoi(std::string{text.substr(i, 2)}, nullptr, 16)));
  return out;
}
template <class Array>
Array array_of(std::string_view hex) {
  Array out{};
  const Bytes bytes = from_hex(hex);
  EXPECT_EQ(bytes.size(), out.size());
  std::memcpy(out.data(), bytes.data(), out.size());
  return out;
}

TEST(Aead, KnownAnswers) {
  // The Galois/Counter Mode of Operation (McGrew and Viega 2005), test case 14.
  Bytes text(16);
  Tag tag = aead_seal(Cipher::kAes256Gcm, KeyBytes{}, Nonce{}, {}, text);
  EXPECT_EQ(text, from_hex("cea7403d4d606b6e074ec5d3baf39d18"));
  EXPECT_EQ(tag, array_of<Tag>("d0d1c8a799996bf0265b98b5d48ab919"));
  ASSERT_TRUE(aead_open(Cipher::kAes256Gcm, KeyBytes{}, Nonce{}, {}, tag, text));
  EXPECT_EQ(text, Bytes(16));
  // RFC 8439, 2.8.2.
  const std::string_view plain =
      "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, "
      "sunscreen would be it.";
  const auto key = array_of<KeyBytes>("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f");
  const auto nonce = array_of<Nonce>("070000004041424344454647");
  const Bytes associated = from_hex("50515253c0c1c2c3c4c5c6c7");
  text.assign(as_bytes(plain).begin(), as_bytes(plain).end());
  tag = aead_seal(Cipher::kChaCha20Poly1305, key, nonce, associated, text);
  EXPECT_EQ(Bytes(text.begin(), text.begin() + 16), from_hex("d31a8d34648e60db7b86afbc53ef7ec2"));
  EXPECT_EQ(tag, array_of<Tag>("1ae10b594f09e26a7e902ecbd0600691"));
  text[3] ^= std::byte{1};
  EXPECT_FALSE(aead_open(Cipher::kChaCha20Poly1305, key, nonce, associated, tag, text));
}

TEST(MasterKey, FormsAndSources) {
  const std::string hex = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
  const auto wanted = array_of<KeyBytes>(hex);
  EXPECT_EQ(parse_master_key(hex + "\n").bytes(), wanted);
  EXPECT_EQ(parse_master_key(as_chars(wanted)).bytes(), wanted);
  EXPECT_EQ(parse_master_key(" AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8= ").bytes(), wanted);
  for (const char* bad : {"", "0011", "zz", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"})
    EXPECT_THROW(parse_master_key(bad), Error) << bad;
  EXPECT_EQ(read_master_key("cmd:printf " + hex).bytes(), wanted);
  for (const char* bad : {"", "file:", "file:/no/such/file", "env:NO_SUCH_VARIABLE_HERE", "cmd:false", "x:y"})
    EXPECT_THROW(read_master_key(bad), Error) << bad;
  for (const auto& [command, why] :
       {std::pair{"cmd:exit 3", "failed: its exit code is 3"}, {"cmd:kill -9 $$", "was ended by signal 9"}}) {
    try {
      read_master_key(command);
      FAIL() << command;
    } catch (const Error& e) {
      EXPECT_NE(e.message.find(why), std::string::npos) << e.message;
    }
  }
}

class KeyRingTest : public ::testing::Test {
 protected:
  io::SimulatedExecutor executor_{1};
  io::SimulatedDisk disk_{2};
  MasterKey master_{KeyBytes{}};
  io::Environment environment() { return {&disk_, &executor_.clock(), &executor_.random(), &executor_}; }
  std::unique_ptr<KeyRing> open(bool make) {
    return KeyRing::open(environment(), master_, Cipher::kNone, make);
  }
};

TEST_F(KeyRingTest, AnotherMasterKeyDamageAndLossAreToldApart) {
  const auto state_on = [](const io::Environment& where, const MasterKey& master) {
    try {
      (void)KeyRing::open_read_only(where, master);
    } catch (const Error& e) {
      return std::string{e.state.text()};
    }
    return std::string{"good"};
  };
  const auto state_of = [&](const MasterKey& master) { return state_on(environment(), master); };
  EXPECT_EQ(state_of(master_), "55000");
  const std::uint32_t id = open(true)->current()->id();
  EXPECT_EQ(state_of(master_), "good");
  KeyBytes other{};
  other[5] = std::byte{1};
  EXPECT_EQ(state_of(MasterKey{other}), "28000");
  for (const std::uint64_t copy : {0u, 4096u}) {
    const auto whole = disk_.clone(1);
    whole->lose_sectors(kKeyFileName, copy, 1);
    const io::Environment lost{whole.get(), nullptr, nullptr, nullptr};
    EXPECT_NE(KeyRing::open_read_only(lost, master_)->find(id), nullptr) << "the disk gives the other copy";
    whole->corrupt(kKeyFileName, 4096 - copy + 70, 0xFF);
    EXPECT_EQ(state_on(lost, master_), "58030") << "the next start may be given the lost one";
  }
  disk_.corrupt(kKeyFileName, 70, 0xFF);
  EXPECT_EQ(state_of(master_), "good") << "the other copy is read";
  EXPECT_NE(KeyRing::open_read_only(environment(), master_)->find(id), nullptr);
  disk_.corrupt(kKeyFileName, 4096 + 70, 0xFF);
  EXPECT_EQ(state_of(master_), "XX001");
  ASSERT_TRUE((*disk_.open(kKeyFileName, {}))->truncate(0));
  EXPECT_EQ(state_of(master_), "XX001") << "an empty file is no missing one";
}

TEST_F(KeyRingTest, AnOlderTableIsRefusedAsItIs) {
  (void)open(true);
  const Bytes older = disk_.content(kKeyFileName);
  const std::uint32_t next = open(false)->next_id();
  const Bytes newer = disk_.content(kKeyFileName);
  const auto put = [&](const Bytes& table) {
    const auto file = *disk_.open(kKeyFileName, {});
    ASSERT_TRUE(file->truncate(0) && file->write(0, table));
  };
  put(older);
  const auto refused = [&](auto open_it) {
    try {
      (void)open_it();
      return std::string{"opened"};
    } catch (const Error& e) {
      return std::string{e.state.text()};
    }
  };
  EXPECT_EQ(refused([&] { return KeyRing::open_read_only(environment(), master_, next); }), "55000");
  EXPECT_EQ(refused([&] { return KeyRing::open(environment(), master_, Cipher::kNone, false, next); }),
            "55000");
  EXPECT_EQ(disk_.content(kKeyFileName), older) << "nothing is written";
  put(newer);
  EXPECT_EQ(KeyRing::open(environment(), master_, Cipher::kNone, false, next)->next_id(), next + 1);
}

// Who keeps it elsewhere must not ask a later start for a table that never came to be.
TEST_F(KeyRingTest, TheNextIdIsThatOfTheFile) {
  const auto ring = open(true);
  const std::uint32_t next = ring->next_id();
  disk_.set_faults({.write_error = 1'000'000});
  EXPECT_THROW(ring->rotate(Cipher::kNone), Error);
  EXPECT_EQ(ring->next_id(), next);
  disk_.set_faults({});
  EXPECT_EQ(KeyRing::open_read_only(environment(), master_)->next_id(), next);
  ring->rotate(Cipher::kNone);
  EXPECT_GT(ring->next_id(), next);
  EXPECT_EQ(KeyRing::open_read_only(environment(), master_)->next_id(), ring->next_id());
}

TEST_F(KeyRingTest, TwoTablesMakeOneWithTheKeysOfBoth) {
  auto ring = open(true);
  const Bytes older = disk_.content(kKeyFileName);
  const std::uint32_t first = ring->current()->id();
  ring->rotate(Cipher::kNone);
  ring->destroy(std::span(&first, 1));
  const std::uint32_t second = ring->current()->id();
  const Bytes newer = disk_.content(kKeyFileName);
  EXPECT_EQ(key_ids(newer), std::vector<std::uint32_t>{second});
  const Bytes both = merge_key_tables(older, newer).file;
  EXPECT_EQ(key_ids(both), (std::vector<std::uint32_t>{first, second}));
  ring.reset();
  disk_.overwrite_at_rest(kKeyFileName, 0, both);
  const auto merged = KeyRing::open_read_only(environment(), master_);
  EXPECT_NE(merged->find(first), nullptr);
  EXPECT_NE(merged->find(second), nullptr);
  EXPECT_EQ(merge_key_tables(Bytes(8192), newer).outcome, KeyMerge::kDamaged);
}

TEST_F(KeyRingTest, ATableUnderAnotherMasterKeyReplacesOneThatHasNoMore) {
  auto ring = open(true);
  const std::uint32_t first = ring->current()->id();
  const Bytes before = disk_.content(kKeyFileName);
  ring->rotate(Cipher::kNone);
  const Bytes older = disk_.content(kKeyFileName);
  KeyBytes other{};
  other[5] = std::byte{1};
  ring->rewrap(MasterKey{other});
  const Bytes newer = disk_.content(kKeyFileName);
  EXPECT_EQ(merge_key_tables(older, newer).file, newer);
  EXPECT_EQ(merge_key_tables(before, newer).file, newer);
  EXPECT_EQ(merge_key_tables(newer, before).outcome, KeyMerge::kOtherMaster);
  ring->rewrap(master_);  // other bytes than before, but the same keys
  EXPECT_NE(disk_.content(kKeyFileName), older);
  EXPECT_EQ(merge_key_tables(older, disk_.content(kKeyFileName)).file, disk_.content(kKeyFileName));
  ring->rewrap(MasterKey{other});
  ring->destroy(std::span(&first, 1));
  EXPECT_EQ(merge_key_tables(older, disk_.content(kKeyFileName)).outcome, KeyMerge::kOtherMaster);
}

TEST_F(KeyRingTest, KeysOfAnotherDatabaseAreTold) {
  open(true);
  const Bytes ours = disk_.content(kKeyFileName);
  io::SimulatedDisk disk(3);
  executor_.run_for(std::chrono::milliseconds(1));
  for (const std::byte byte : {std::byte{0}, std::byte{1}}) {
    const io::Environment elsewhere{&disk, &executor_.clock(), &executor_.random(), &executor_};
    (void)KeyRing::open(elsewhere, MasterKey{KeyBytes{byte}}, Cipher::kNone, true);
    const MergedKeys merged = merge_key_tables(ours, disk.content(kKeyFileName));
    EXPECT_EQ(merged.outcome, KeyMerge::kOtherKey);
    EXPECT_EQ(merged.key_id, 1u);
    ASSERT_TRUE(disk.remove(kKeyFileName));
  }
}

TEST_F(KeyRingTest, AStartWithVeryManyMakesThemRetire) {
  auto ring = open(true);
  for (std::size_t keys = 1; keys < kKeysMany - 1; ++keys) ring->rotate(Cipher::kNone);
  ring = open(false);
  EXPECT_EQ(ring->keys().back().state, KeyState::kActive);
  EXPECT_TRUE(ring->has_many());
  const std::uint32_t before = ring->current()->id();
  ring = open(false);
  EXPECT_EQ(ring->keys().size(), kKeysMany + 1) << "it is no reason to refuse the start";
  EXPECT_EQ(ring->retiring().size(), kKeysMany);
  EXPECT_EQ(ring->retiring().back()->id(), before);
  const Bytes file = disk_.content(kKeyFileName);
  EXPECT_EQ(key_ids(only_keys(file, {3, before, 100'000})), (std::vector<std::uint32_t>{3, before}));
}

// A checkpoint that ends while a rotation writes the file asks for each key that is listed.
TEST_F(KeyRingTest, AKeyIsListedWhenItCanBeFound) {
  io::SimulatedDisk slow{3, {.latency_us_max = 300}, &executor_};
  const auto ring = KeyRing::open({&slow, &executor_.clock(), &executor_.random(), &executor_}, master_,
                                  Cipher::kNone, true);
  const std::uint32_t first = ring->keys().at(0).id;
  bool over = false;
  const auto rotation = executor_.start_background("rotation", [&] {
    ring->rotate(Cipher::kNone);
    ring->destroy(std::array{first});
    over = true;
  });
  int looks = 0;
  while (!over) {
    for (const KeyInfo& info : ring->keys()) ASSERT_NE(ring->find(info.id), nullptr);
    ++looks;
    ASSERT_TRUE(executor_.step());
  }
  rotation->join();
  EXPECT_GT(looks, 4);
  EXPECT_EQ(ring->keys().size(), 1u);
}

/// Whatever had sealed something can be opened after a power cut at any operation, and no id is used twice.
TEST_F(KeyRingTest, SurvivesAPowerCutAnywhere) {
  std::set<std::uint32_t> sealed;  // keys that have been current and were not to be destroyed
  std::set<std::uint32_t> seen;
  const auto note = [&](const KeyRing& ring) {
    const std::uint32_t id = ring.current()->id();
    if (!sealed.contains(id)) EXPECT_TRUE(seen.insert(id).second) << "key " << id << " is there twice";
    sealed.insert(id);
  };
  note(*open(true));
  int crashes = 0;
  for (std::uint64_t at = 1; at < 60; ++at) {
    disk_.crash_at(at);
    try {
      const auto ring = open(false);
      note(*ring);
      ring->rotate(Cipher::kNone);
      note(*ring);
      std::vector<std::uint32_t> going;
      for (const DataKey* key : ring->retiring()) going.push_back(key->id());
      going.resize(std::min<std::size_t>(going.size(), 2));
      for (const auto id : going) sealed.erase(id);
      ring->destroy(going);
      for (const auto id : going) EXPECT_EQ(ring->find(id), nullptr);
      ring->rewrap(master_);
    } catch (const Error&) {
      EXPECT_TRUE(disk_.crashed());
    }
    crashes += disk_.crashed() ? 1 : 0;
    if (!disk_.crashed()) disk_.crash();
    disk_.restart();
    const auto ring = KeyRing::open_read_only(environment(), master_);
    for (const auto id : sealed) EXPECT_NE(ring->find(id), nullptr) << "key " << id;
  }
  EXPECT_GT(crashes, 20);
}

}  // namespace
}  // namespace rustbd::security
