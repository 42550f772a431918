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

PreparedBatch prepare_batch(const BatchInfo& info, ByteSpan events, std::uint32_t n_events,
                            Fragment fragment) {
  PreparedBatch batch;
  if (has_fragment(info.kind)) {
    store_fragment(fragment, batch.prefix.data());
    batch.prefix_bytes = kFragmentBytes;
  } else {
    RUSTBD_ASSERT(fragment == Fragment{}, "this kind of batch has no fragment head");
  }
  RUSTBD_ASSERT(events.size() < (1u << 30));
  batch.events = events;
  batch.body_crc = crc32c(crc32c(0, batch.prefix.data(), batch.prefix_bytes), events.data(), events.size());
  batch.header.kind = info.kind;
  batch.header.txid = info.txid.raw();
  batch.header.role_oid = info.role_oid;
  batch.header.catalog_version = info.catalog_version;
  batch.header.n_events = n_events;
  batch.header.len = static_cast<std::uint32_t>(sizeof(BatchHeader) + batch.prefix_bytes + events.size());
  return batch;
}

std::string segment_name(Lsn first_lsn) { return fmt::format("{:020}.wal", first_lsn.raw()); }

}  // namespace rustbd::log
