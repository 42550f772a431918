#include "rustbd/log/format.h"

#include <fmt/format.h>

#include "rustbd/base/assert.h"
#include "rustbd/base/crc32c.h"

namespace rustbd::log {

void store_fragment(const Fragment& fragment, std::byte* to) {
  store(to, fragment.prev_lsn.raw());
  store(to + 8, fragment.keep);
}
Fragment load_fragment(const std::byte* from) {
  return {Lsn{load<std::uint64_t>(from)}, load<std::uint32_t>(from + 8)};
}

std::uint32_t batch_crc(std::uint64_t salt, BatchHeader header, std::uint32_t body_crc,
                        std::size_t body_bytes) {
  header.crc = 0;
  const std::uint32_t head = crc32c(crc32c(0, &salt, sizeof salt), &header, sizeof header);
  return body_bytes == 0 ? head : crc32c_combine(head, body_crc, body_bytes);
}

namespace {
// The batch has no place yet, so that many can be sealed at once; what it gets with its place is not
// authenticated.
void seal(PreparedBatch& batch, security::KeyUse key) {
  batch.key = std::move(key);
  batch.header.flags |= kFlagEncrypted;
  batch.header.key_id = batch.key->id();
  Bytes associated;
  ByteWriter{associated}.fixed(sealed_header(batch.header));
  associated.insert(associated.end(), batch.prefix.begin(), batch.prefix.begin() + batch.prefix_bytes);
  batch.sealed.assign(batch.events.begin(), batch.events.end());
  const security::Seal seal = batch.key->seal(security::Purpose::kLog, associated, batch.sealed);
  store(batch.prefix.data() + batch.prefix_bytes, seal.counter);
  store(batch.prefix.data() + batch.prefix_bytes + sizeof seal.counter, seal.tag);
  batch.prefix_bytes += kSealBytes;
  batch.events = batch.sealed;
}
}  // namespace

PreparedBatch prepare_batch(const BatchInfo& info, ByteSpan events, std::uint32_t n_events, Fragment fragment,
                            security::KeyUse key) {
  PreparedBatch batch;
  if (has_fragment(info.kind)) {
    store_fragment(fragment, batch.prefix.data());
    batch.prefix_bytes = kFragmentBytes;
  } else {
    RUSTBD_ASSERT(fragment == Fragment{}, "this kind of batch has no fragment head");
  }
  RUSTBD_ASSERT(events.size() < (1u << 30));
  batch.events = events;
  batch.header.kind = info.kind;
  batch.header.txid = info.txid.raw();
  batch.header.role_oid = info.role_oid;
  batch.header.catalog_version = info.catalog_version;
  batch.header.n_events = n_events;
  if (key) seal(batch, std::move(key));
  batch.header.len =
      static_cast<std::uint32_t>(sizeof(BatchHeader) + batch.prefix_bytes + batch.events.size());
  batch.body_crc =
      crc32c(crc32c(0, batch.prefix.data(), batch.prefix_bytes), batch.events.data(), batch.events.size());
  return batch;
}

BatchHeader sealed_header(BatchHeader header) {
  header.lsn = header.commit_ts = header.wall_clock_us = header.durable_lsn = header.leader_epoch = 0;
  header.len = header.crc = header.prev_crc = header.group = 0;
  return header;
}

std::string segment_name(Lsn first_lsn) { return fmt::format("{:020}.wal", first_lsn.raw()); }

}  // namespace rustbd::log
