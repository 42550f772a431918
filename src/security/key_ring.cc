#include "rustbd/security/key_ring.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <optional>
#include <span>
#include <tuple>
#include <utility>

#include "rustbd/base/assert.h"
#include "rustbd/base/crc32c.h"
#include "rustbd/base/error.h"
#include "rustbd/io/replace_file.h"
#include "rustbd/security/digest.h"

namespace rustbd::security {

namespace {

constexpr char kMagic[8] = {'R', 'U', 'S', 'T', 'B', 'D', 'K', 'T'};
constexpr std::uint32_t kVersion = 1;
constexpr std::size_t kAlignment = 4096;  // of each of the two copies

struct TableHeader {
  char magic[8];
  std::uint32_t version;
  std::uint32_t crc;  // CRC-32C over the table with this field 0, padding included
  std::uint32_t count;
  std::uint32_t next_id;
  std::uint8_t master_check[16];  // tells another master key from a damaged table
  std::uint8_t zero[24];
};
static_assert(sizeof(TableHeader) == 64);

struct TableEntry {
  std::uint32_t id;
  std::uint8_t cipher;
  std::uint8_t state;
  std::uint16_t zero;
  std::int64_t created_us;
  std::uint8_t zero2[8];
  std::uint8_t nonce[12];
  std::uint8_t wrapped[32];
  std::uint8_t tag[16];
  std::uint8_t zero3[12];
};
static_assert(sizeof(TableEntry) == 96 && offsetof(TableEntry, nonce) == 24 &&
              offsetof(TableEntry, wrapped) == 36 && offsetof(TableEntry, tag) == 68);

constexpr std::size_t padded(std::size_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

Digest master_check(const MasterKey& master) {
  return hmac_sha256(as_chars(master.bytes()), "rustbd master key check");
}

/// What a wrapped key is bound to.
Bytes wrap_context(const DataKey& key) {
  Bytes context;
  ByteWriter out{context};
  out.fixed(key.id());
  out.fixed(key.cipher());
  out.fixed(key.created_us());
  return context;
}

void require(const io::IoResult<>& done, std::string_view what) {
  if (done) return;
  throw error(done.error() == io::IoFailure::kNoSpace ? sqlstate::kDiskFull : sqlstate::kIoError,
              "could not {} the table of encryption keys: {}", what, io::to_text(done.error()));
}

[[noreturn]] void unreadable(io::IoFailure why) {
  throw error(sqlstate::kIoError, "could not read the table of encryption keys: {}", io::to_text(why))
      .with_hint(
          "If the disk gives an error every time: put the table back from a backup of this directory.");
}

Error damaged_table() {
  return error(sqlstate::kDataCorrupted, "both copies of the table of encryption keys ({}) are damaged",
               kKeyFileName)
      .with_hint("Put it back from a backup of this directory: nothing can be read without it.");
}

/// Empty: there is none. `unread`: why one of the two copies (its bytes are 0 then) could not be read.
Bytes read_file(io::Disk& disk, std::optional<io::IoFailure>* unread) {
  if (!disk.exists(kKeyFileName)) return {};
  const auto file = disk.open(kKeyFileName, {.read_only = true});
  require(file ? io::IoResult<>{} : std::unexpected{file.error()}, "open");
  const auto size = (*file)->size();
  require(size ? io::IoResult<>{} : std::unexpected{size.error()}, "read");
  // The disk may be unable to give one of the two copies.
  Bytes content(*size);
  const std::size_t half = content.size() / 2;
  const std::span<std::byte> halves[] = {std::span{content}.first(half), std::span{content}.subspan(half)};
  io::IoResult<> read[2];
  for (int i = 0; i < 2; ++i) {
    if (!halves[i].empty()) read[i] = (*file)->read(i * half, halves[i]);
    if (read[i]) continue;
    std::ranges::fill(halves[i], std::byte{0});
    *unread = read[i].error();
  }
  if (!read[0] && !read[1]) unreadable(**unread);
  return content;
}

/// A copy of the table, if it is good.
ByteSpan good_table(ByteSpan copy) {
  if (copy.size() < sizeof(TableHeader)) return {};
  auto header = load<TableHeader>(copy.data());
  const std::uint32_t wanted = std::exchange(header.crc, 0);
  std::uint32_t crc = crc32c(0, &header, sizeof header);
  crc = crc32c(crc, copy.data() + sizeof header, copy.size() - sizeof header);
  if (std::memcmp(header.magic, kMagic, sizeof kMagic) != 0 || crc != wanted ||
      padded(sizeof header + header.count * sizeof(TableEntry)) != copy.size())
    return {};
  return copy;
}

/// The one of the two copies in a file that is good; empty: none.
ByteSpan good_copy(ByteSpan file) {
  const ByteSpan first = good_table(file.first(file.size() / 2));
  return first.empty() ? good_table(file.subspan(file.size() / 2)) : first;
}

/// One copy: header and entries, padded, with the checksum.
Bytes encode_table(TableHeader header, std::span<const TableEntry> entries) {
  header.crc = 0;
  header.count = static_cast<std::uint32_t>(entries.size());
  Bytes table(sizeof header);
  for (const TableEntry& entry : entries) ByteWriter{table}.fixed(entry);
  table.resize(padded(table.size()));
  store(table.data(), header);
  header.crc = crc32c(0, table.data(), table.size());
  store(table.data(), header);
  return table;
}

/// The file: both copies.
Bytes twice(ByteSpan table) {
  Bytes file(table.begin(), table.end());
  file.insert(file.end(), table.begin(), table.end());
  return file;
}

/// Of a good copy, by id.
std::map<std::uint32_t, TableEntry> entries_of(ByteSpan table) {
  std::map<std::uint32_t, TableEntry> entries;
  for (std::uint32_t i = 0; i < load<TableHeader>(table.data()).count; ++i) {
    const auto entry = load<TableEntry>(table.data() + sizeof(TableHeader) + i * sizeof(TableEntry));
    entries[entry.id] = entry;
  }
  return entries;
}

}  // namespace

MergedKeys merge_key_tables(ByteSpan older, ByteSpan newer) {
  const ByteSpan before = good_copy(older), after = good_copy(newer);
  if (before.empty() || after.empty()) return {};
  auto header = load<TableHeader>(after.data());
  const auto old_header = load<TableHeader>(before.data());
  std::map<std::uint32_t, TableEntry> entries = entries_of(after);
  const std::size_t newer_has = entries.size();
  for (const auto& [id, entry] : entries_of(before)) {
    const TableEntry& known = entries.try_emplace(id, entry).first->second;
    if (known.cipher != entry.cipher || known.created_us != entry.created_us)
      return {KeyMerge::kOtherKey, {}, id};
  }
  const bool same_master = header.version == old_header.version &&
                           std::ranges::equal(header.master_check, old_header.master_check);
  if (!same_master && entries.size() > newer_has) return {KeyMerge::kOtherMaster, {}, 0};
  header.next_id = std::max(header.next_id, old_header.next_id);
  std::vector<TableEntry> all;
  for (const auto& [id, entry] : entries) all.push_back(entry);
  return {KeyMerge::kDone, twice(encode_table(header, all)), 0};
}

Bytes only_keys(ByteSpan file, const std::set<std::uint32_t>& ids) {
  const ByteSpan table = good_copy(file);
  if (table.empty()) return {};
  std::vector<TableEntry> kept;
  for (const auto& [id, entry] : entries_of(table))
    if (ids.contains(id)) kept.push_back(entry);
  return twice(encode_table(load<TableHeader>(table.data()), kept));
}

std::vector<std::uint32_t> key_ids(ByteSpan file) {
  const ByteSpan table = good_copy(file);
  std::vector<std::uint32_t> ids;
  if (table.empty()) return ids;
  for (const auto& [id, entry] : entries_of(table)) ids.push_back(id);
  return ids;
}

KeyRing::KeyRing(const io::Environment& environment, const MasterKey& master)
    : environment_(environment),
      master_(master),
      by_index_(std::make_unique<std::atomic<const DataKey*>[]>(kKeysMax)),
      retiring_(std::make_unique<std::atomic<bool>[]>(kKeysMax)),
      gone_(std::make_unique<std::atomic<bool>[]>(kKeysMax)) {}
KeyRing::~KeyRing() = default;

std::unique_ptr<KeyRing> KeyRing::open(const io::Environment& environment, const MasterKey& master,
                                       Cipher cipher, bool make, std::uint32_t next_id) {
  std::unique_ptr<KeyRing> ring{new KeyRing{environment, master}};
  ring->read(make, next_id);
  if (ring->has_many()) {
    ring->rotate(cipher);
    return ring;
  }
  ring->replace([&] { ring->add(cipher); }, [&] { ring->publish_newest(); },
                [&] { ring->entries_.pop_back(); });
  return ring;
}

std::unique_ptr<KeyRing> KeyRing::open_read_only(const io::Environment& environment, const MasterKey& master,
                                                 std::uint32_t next_id) {
  std::unique_ptr<KeyRing> ring{new KeyRing{environment, master}};
  ring->read(false, next_id);
  return ring;
}

std::unique_ptr<KeyRing> KeyRing::of_table(ByteSpan file, const MasterKey& master) {
  std::unique_ptr<KeyRing> ring{new KeyRing{{}, master}};
  const ByteSpan table = good_copy(file);
  if (table.empty()) throw damaged_table();
  ring->parse(table);
  return ring;
}

void KeyRing::read(bool make, std::uint32_t next_id) {
  std::optional<io::IoFailure> unread;
  const Bytes content = read_file(*environment_.disk, &unread);
  if (content.empty() && !environment_.disk->exists(kKeyFileName)) {
    if (make) return;
    throw error(sqlstate::kObjectNotInPrerequisiteState,
                "the data directory is encrypted, and its table of encryption keys ({}) is missing",
                kKeyFileName)
        .with_hint("Put it back from a backup of this directory: nothing can be read without it.");
  }
  const ByteSpan table = good_copy(content);
  if (table.empty() && unread) unreadable(*unread);  // the next start may find it sound
  if (table.empty()) throw damaged_table();
  parse(table);
  if (next_id_ < next_id)
    throw error(sqlstate::kObjectNotInPrerequisiteState,
                "the table of encryption keys ({}) is an older copy: it knows of no key {}, and the data "
                "directory has had one",
                kKeyFileName, next_id - 1)
        .with_hint("Put the newest one back: every start of the server and every rotation adds a key.");
}

void KeyRing::parse(ByteSpan table) {
  const auto header = load<TableHeader>(table.data());
  if (header.version != kVersion)
    throw error(sqlstate::kFeatureNotSupported,
                "the table of encryption keys has version {}, this server reads version {}", header.version,
                kVersion);
  const Digest check = master_check(master_);
  if (!equal_constant_time({reinterpret_cast<const char*>(header.master_check), sizeof header.master_check},
                           as_text(check).substr(0, sizeof header.master_check)))
    throw error(sqlstate::kInvalidAuthorization,
                "the master key is not the one that the data directory is encrypted with");
  next_id_ = durable_next_id_ = header.next_id;
  for (std::uint32_t i = 0; i < header.count; ++i) {
    const auto stored = load<TableEntry>(table.data() + sizeof header + i * sizeof(TableEntry));
    Entry entry;
    entry.state = static_cast<KeyState>(stored.state);
    entry.earlier = true;
    std::memcpy(entry.nonce.data(), stored.nonce, sizeof stored.nonce);
    std::memcpy(entry.wrapped.data(), stored.wrapped, sizeof stored.wrapped);
    std::memcpy(entry.tag.data(), stored.tag, sizeof stored.tag);
    const auto cipher = static_cast<Cipher>(stored.cipher);
    if (entries_.size() + 1 >= kKeysMax)
      throw error(sqlstate::kDataCorrupted, "the table of encryption keys has more than {} entries",
                  kKeysMax);
    if (cipher != Cipher::kAes256Gcm && cipher != Cipher::kChaCha20Poly1305)
      throw error(sqlstate::kFeatureNotSupported, "encryption key {} has an unknown cipher", stored.id);
    const auto index = static_cast<std::uint16_t>(entries_.size() + 1);
    // A key without its secret yet, for its context; then the whole one.
    entry.key = std::make_unique<DataKey>(stored.id, index, cipher, stored.created_us, KeyBytes{});
    KeyBytes secret = unwrap(entry);
    entry.key = std::make_unique<DataKey>(stored.id, index, cipher, stored.created_us, secret);
    wipe(secret);
    by_index_[index].store(entry.key.get(), std::memory_order_release);
    retiring_[index].store(entry.state == KeyState::kRetiring, std::memory_order_release);
    entries_.push_back(std::move(entry));
    count_.store(entries_.size() + 1, std::memory_order_release);
  }
}

// The mutex is not held while the file is written: readers of pages look keys up meanwhile.
void KeyRing::replace(const std::function<void()>& change, const std::function<void()>& publish,
                      const std::function<void()>& take_back) {
  io::WaitToken mine;
  for (;;) {
    io::WaitToken other;
    {
      const std::lock_guard lock(mutex_);
      if (!replacing_) {
        mine = replacing_ = io::WaitToken::make(io::WaitReason::kTask);
        break;
      }
      other = replacing_;
    }
    environment_.executor->block_on(other);
  }
  const auto finish = [&](const std::function<void()>& last) {
    {
      const std::lock_guard lock(mutex_);
      if (last) last();
      replacing_ = {};
    }
    mine.fire();
  };
  bool changed = false;
  std::uint32_t next_id = 0;
  try {
    Bytes table;
    {
      const std::lock_guard lock(mutex_);
      change();
      changed = true;
      next_id = next_id_;
      table = encode();
    }
    write(table);
  } catch (...) {
    finish(changed ? take_back : nullptr);
    throw;
  }
  finish([&] {
    durable_next_id_ = next_id;
    if (publish) publish();
  });
}

// mutex_ held. Not yet current.
void KeyRing::add(Cipher cipher) {
  if (cipher == Cipher::kNone) cipher = fastest_cipher();
  if (entries_.size() + 1 >= kKeysMax)
    throw error(sqlstate::kObjectNotInPrerequisiteState, "there are too many encryption keys ({})",
                entries_.size())
        .with_hint("Rotate the data keys, so that old ones go.");
  KeyBytes secret;
  environment_.random->fill(secret);
  Entry entry;
  const auto index = static_cast<std::uint16_t>(entries_.size() + 1);
  entry.key = std::make_unique<DataKey>(next_id_, index, cipher, environment_.clock->wall_us(), secret);
  wrap(entry, secret);
  wipe(secret);
  entries_.push_back(std::move(entry));
  ++next_id_;  // also when it is taken back: the file may have it all the same
}

// mutex_ held, the key is durable.
void KeyRing::publish_newest() {
  const DataKey* const key = entries_.back().key.get();
  by_index_[key->index()].store(key, std::memory_order_release);
  count_.store(entries_.size() + 1, std::memory_order_release);
  current_.store(key, std::memory_order_seq_cst);
}

void KeyRing::wrap(Entry& entry, const KeyBytes& secret) const {
  environment_.random->fill(entry.nonce);
  entry.wrapped = secret;
  entry.tag =
      aead_seal(Cipher::kAes256Gcm, master_.bytes(), entry.nonce, wrap_context(*entry.key), entry.wrapped);
}

KeyBytes KeyRing::unwrap(const Entry& entry) const {
  KeyBytes secret = entry.wrapped;
  if (!aead_open(Cipher::kAes256Gcm, master_.bytes(), entry.nonce, wrap_context(*entry.key), entry.tag,
                 secret))
    throw error(sqlstate::kDataCorrupted, "encryption key {} cannot be unwrapped", entry.key->id());
  return secret;
}

Bytes KeyRing::encode() const {
  TableHeader header{};
  std::memcpy(header.magic, kMagic, sizeof kMagic);
  header.version = kVersion;
  header.next_id = next_id_;
  const Digest check = master_check(master_);
  std::memcpy(header.master_check, check.data(), sizeof header.master_check);
  std::vector<TableEntry> stored;
  for (const Entry& entry : entries_) {
    if (entry.gone) continue;
    TableEntry& to = stored.emplace_back();
    to.id = entry.key->id();
    to.cipher = static_cast<std::uint8_t>(entry.key->cipher());
    to.state = static_cast<std::uint8_t>(entry.state);
    to.created_us = entry.key->created_us();
    std::memcpy(to.nonce, entry.nonce.data(), sizeof to.nonce);
    std::memcpy(to.wrapped, entry.wrapped.data(), sizeof to.wrapped);
    std::memcpy(to.tag, entry.tag.data(), sizeof to.tag);
  }
  return encode_table(header, stored);
}

void KeyRing::write(ByteSpan table) const {
  require(io::replace_file(*environment_.disk, kKeyFileName, twice(table)), "write");
}

KeyUse KeyRing::current() const {
  for (;;) {
    const DataKey* key = current_.load(std::memory_order_seq_cst);
    KeyUse use{key};
    // Whoever destroys a key looks at its uses after current_ has changed.
    if (current_.load(std::memory_order_seq_cst) == key) return use;
  }
}

const DataKey* KeyRing::find(std::uint32_t id) const {
  // The last ones first: most pages are sealed with them.
  for (std::size_t index = count_.load(std::memory_order_acquire); index-- > 1;) {
    const DataKey* key = by_index_[index].load(std::memory_order_acquire);
    if (key->id() == id && !gone_[index].load(std::memory_order_acquire)) return key;
  }
  return nullptr;
}

void KeyRing::rotate(Cipher cipher) {
  std::vector<KeyState> states;
  const auto change = [&] {
    add(cipher);
    for (Entry& entry : entries_) {
      states.push_back(entry.state);
      entry.state = KeyState::kRetiring;
    }
    entries_.back().state = KeyState::kActive;
  };
  const auto take_back = [&] {
    entries_.pop_back();
    for (std::size_t i = 0; i < entries_.size(); ++i) entries_[i].state = states[i];
  };
  const auto publish = [&] {
    publish_newest();
    for (const Entry& entry : entries_)
      retiring_[entry.key->index()].store(!entry.gone && entry.state == KeyState::kRetiring,
                                          std::memory_order_release);
  };
  replace(change, publish, take_back);
}

void KeyRing::rewrap(const MasterKey& master) {
  MasterKey before = master;
  std::vector<std::tuple<Nonce, KeyBytes, Tag>> old;
  const auto change = [&] {
    std::vector<KeyBytes> secrets;
    for (const Entry& entry : entries_) {
      old.emplace_back(entry.nonce, entry.wrapped, entry.tag);
      secrets.push_back(entry.gone ? KeyBytes{} : unwrap(entry));
    }
    before = std::exchange(master_, master);
    for (std::size_t i = 0; i < entries_.size(); ++i) {
      if (!entries_[i].gone) wrap(entries_[i], secrets[i]);
      wipe(secrets[i]);
    }
  };
  const auto take_back = [&] {
    master_ = before;
    for (std::size_t i = 0; i < entries_.size(); ++i)
      std::tie(entries_[i].nonce, entries_[i].wrapped, entries_[i].tag) = old[i];
  };
  replace(change, nullptr, take_back);
}

bool KeyRing::retires(std::uint16_t index) const {
  return index < kKeysMax && retiring_[index].load(std::memory_order_acquire);
}

std::vector<const DataKey*> KeyRing::retiring() const {
  const std::lock_guard lock(mutex_);
  std::vector<const DataKey*> out;
  for (const Entry& entry : entries_)
    if (!entry.gone && entry.state == KeyState::kRetiring) out.push_back(entry.key.get());
  return out;
}

void KeyRing::destroy(std::span<const std::uint32_t> ids) {
  std::vector<Entry*> going;
  const auto change = [&] {
    for (Entry& entry : entries_) {
      if (entry.gone || std::find(ids.begin(), ids.end(), entry.key->id()) == ids.end()) continue;
      RUSTBD_ASSERT(entry.key.get() != current_.load() && !entry.key->in_use(), "a key that seals stays");
      entry.gone = true;
      going.push_back(&entry);
    }
  };
  const auto take_back = [&] {
    for (Entry* entry : going) entry->gone = false;
  };
  const auto publish = [&] {
    for (const Entry* entry : going) {
      gone_[entry->key->index()].store(true, std::memory_order_release);
      retiring_[entry->key->index()].store(false, std::memory_order_release);
    }
  };
  replace(change, publish, take_back);
}

std::uint32_t KeyRing::next_id() const {
  const std::lock_guard lock(mutex_);
  return durable_next_id_;
}

std::vector<KeyInfo> KeyRing::keys() const {
  const std::lock_guard lock(mutex_);
  std::vector<KeyInfo> out;
  for (const Entry& entry : entries_) {
    const std::uint16_t index = entry.key->index();
    // Destroyed; or a rotation is still writing it. As find() has it, without a search: there may be many.
    if (at(index) != entry.key.get() || gone_[index].load(std::memory_order_acquire)) continue;
    out.push_back({entry.key->id(), entry.key->cipher(), entry.state, entry.key->created_us(),
                   entry.key.get() == current_.load()});
  }
  return out;
}

bool KeyRing::has_many() const {
  const std::lock_guard lock(mutex_);
  return std::ranges::count(entries_, false, &Entry::gone) >= static_cast<std::ptrdiff_t>(kKeysMany);
}

Lsn KeyRing::log_end(const DataKey& key) const {
  const std::lock_guard lock(mutex_);
  for (const Entry& entry : entries_)
    if (entry.key.get() == &key && entry.earlier) return Lsn{log_start_.load(std::memory_order_acquire)};
  return key.log_end();
}

}  // namespace rustbd::security
