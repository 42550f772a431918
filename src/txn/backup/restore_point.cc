#include "rustbd/txn/backup/restore_point.h"

#include "rustbd/base/error.h"
#include "rustbd/log/events.h"
#include "rustbd/txn/system_parts.h"

namespace rustbd::txn {
namespace {
constexpr std::string_view kPrefix = "rustbd.restore_point";
constexpr std::size_t kNameMax = 63;
}  // namespace

Lsn create_restore_point(TransactionSystem& system, const std::string& name) {
  if (name.empty() || name.size() > kNameMax)
    throw error(sqlstate::kInvalidParameterValue, "a restore point's name has 1 to {} bytes", kNameMax);
  SystemParts& parts = system.parts();
  log::EventWriter events;
  events.add_message(kPrefix, as_bytes(name));
  auto batch = log::prepare_batch({log::BatchKind::kNonTransactional, {}, 0, parts.catalog_version.load()},
                                  events.bytes(), events.count(), {}, parts.log_key());
  log::Reservation reservation;
  const auto room = parts.log->reserve_blocking(batch.ring_bytes(), &reservation);
  if (room == log::ReserveStatus::kNoSpace) throw error(sqlstate::kDiskFull, "no space left for the log");
  if (room != log::ReserveStatus::kReserved) throw error(sqlstate::kIoError, "the log cannot be written");
  {
    const storage::Action action(parts.gate());
    parts.log->append(batch, reservation);
  }
  const Lsn end = parts.log->end_of(batch);
  parts.log->durable(end).wait_blocking();
  if (!parts.log->is_durable(end)) throw error(sqlstate::kIoError, "the log cannot be written");
  return end;
}

std::optional<std::string> restore_point_name(log::LogReader& reader, const log::BatchView& batch) {
  std::optional<std::string> name;
  if (batch.header.kind != log::BatchKind::kNonTransactional || batch.events.empty()) return name;
  (void)reader.for_each_event(batch, [&](const log::Event& event) {
    log::MessageBody body;
    if (event.op == log::EventOp::kMessage && log::read_message_body(event.body, body) &&
        body.prefix == kPrefix)
      name = std::string(as_chars(body.content));
  });
  return name;
}

}  // namespace rustbd::txn
