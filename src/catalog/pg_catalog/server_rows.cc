// Roles, databases, settings, activity, locks, statistics of the server: what does not lie in the catalog
// snapshot.
#include <map>
#include <set>

#include "rustbd/base/error.h"
#include "rustbd/catalog/pg_catalog/fills.h"
#include "rustbd/txn/backup/jobs.h"
#include "rustbd/types/datetime.h"

namespace rustbd::catalog {

namespace {

constexpr Oid kDefaultTablespace = 1663;
constexpr std::int32_t kUtf8 = 6;
constexpr std::string_view kMask = "********";

bool is_superuser(VirtualContext& x) {
  const auto* role = x.catalog.role(x.server.current_role());
  return role != nullptr && role->superuser;
}
/// Password verifiers are for superusers.
void require_superuser(VirtualContext& x, std::string_view kind, std::string_view relation) {
  if (!is_superuser(x))
    throw error(sqlstate::kInsufficientPrivilege, "permission denied for {} {}", kind, relation);
}
RowCollector& put_valid_until(RowCollector& r, const Role& role) {
  return role.valid_until.empty() ? r.null() : r.from_text(role.valid_until);
}

// ---- roles and databases ----

void fill_authid(VirtualContext& x, RowCollector& r) {
  require_superuser(x, "table", "pg_authid");
  for (const auto& [id, o] : x.catalog.roles()) {
    r.oid(o.oid)
        .text(o.name)
        .boolean(o.superuser)
        .boolean(o.inherit)
        .boolean(o.create_role)
        .boolean(o.create_db)
        .boolean(o.login);
    r.boolean(o.replication).boolean(o.bypass_rls).int4(o.connection_limit).text_or_null(o.password_verifier);
    put_valid_until(r, o).end_row();
  }
}
void fill_roles(VirtualContext& x, RowCollector& r) {
  for (const auto& [id, o] : x.catalog.roles()) {
    r.text(o.name)
        .boolean(o.superuser)
        .boolean(o.inherit)
        .boolean(o.create_role)
        .boolean(o.create_db)
        .boolean(o.login)
        .boolean(o.replication);
    r.int4(o.connection_limit).text(kMask);
    put_valid_until(r, o).boolean(o.bypass_rls).null().oid(o.oid).end_row();
  }
}
void put_user(VirtualContext& x, RowCollector& r, bool with_password) {
  for (const auto& [id, o] : x.catalog.roles()) {
    if (!o.login) continue;
    r.text(o.name)
        .oid(o.oid)
        .boolean(o.create_db)
        .boolean(o.superuser)
        .boolean(o.replication)
        .boolean(o.bypass_rls);
    if (with_password) r.text_or_null(o.password_verifier);
    else r.text(kMask);
    put_valid_until(r, o).null().end_row();
  }
}
void fill_user(VirtualContext& x, RowCollector& r) { put_user(x, r, false); }
void fill_shadow(VirtualContext& x, RowCollector& r) {
  require_superuser(x, "view", "pg_shadow");
  put_user(x, r, true);
}
void fill_group(VirtualContext& x, RowCollector& r) {
  for (const auto& [id, o] : x.catalog.roles())
    if (!o.login) r.text(o.name).oid(o.oid).array(std::span<const Oid>{}).end_row();
}
void fill_database(VirtualContext&, RowCollector& r) {
  r.oid(oid::kDatabasePostgres)
      .text("postgres")
      .oid(oid::kBootstrapRole)
      .int4(kUtf8)
      .character('c')
      .boolean(false)
      .boolean(true)
      .int4(-1);
  r.xid(0).xid(0).oid(kDefaultTablespace).text("C").text("C").null().null().null().end_row();
}

// ---- settings, prepared statements, cursors ----

void fill_settings(VirtualContext& x, RowCollector& r) {
  for (const auto& s : x.server.settings()) {
    r.text(s.name)
        .text(s.value)
        .text_or_null(s.unit)
        .text(s.category)
        .text(s.description)
        .null()
        .text(s.context)
        .text(s.type)
        .text(s.source);
    r.text_or_null(s.minimum).text_or_null(s.maximum);
    if (s.choices.empty()) r.null();
    else r.array(s.choices);
    r.text(s.boot_value).text(s.reset_value).null().null().boolean(false).end_row();
  }
}
void fill_prepared(VirtualContext& x, RowCollector& r) {
  for (const auto& p : x.server.prepared_statements()) {
    r.text(p.name).text(p.statement);
    put_time(r, p.prepare_time_us).array(p.parameter_types).boolean(p.from_sql).int8(0).int8(0).end_row();
  }
}
void fill_cursors(VirtualContext& x, RowCollector& r) {
  for (const auto& c : x.server.cursors()) {
    r.text(c.name).text(c.statement).boolean(c.hold).boolean(c.binary).boolean(c.scroll);
    put_time(r, c.creation_time_us).end_row();
  }
}

// ---- activity and locks ----

RowCollector& put_address(RowCollector& r, std::string_view address) {
  // "host:port" of the network layer; a socket or a caller in the process has none.
  const auto colon = address.rfind(':');
  const auto host = address.substr(0, colon);
  const bool numeric = !host.empty() && host.find_first_not_of("0123456789.") == std::string_view::npos;
  if (!numeric) return r.null().null().int4(-1);
  r.text(host).null();
  return colon == std::string_view::npos
             ? r.int4(-1)
             : r.int4(static_cast<std::int32_t>(number_of(address.substr(colon + 1))));
}

void fill_activity(VirtualContext& x, RowCollector& r) {
  const bool all = is_superuser(x);
  const std::string me = role_name(x.catalog, x.server.current_role());
  for (const auto& a : x.server.activity()) {
    const auto* role = x.catalog.role(a.user);
    const bool visible = all || a.user == me;
    r.oid(oid::kDatabasePostgres)
        .text(a.database)
        .int4(a.pid)
        .null()
        .oid(role != nullptr ? role->oid : 0)
        .text(a.user)
        .text(a.application_name);
    if (!visible) {
      for (int i = 0; i < 10; ++i) r.null();
      r.null().null().null().text("<insufficient privilege>").null().end_row();
      continue;
    }
    put_address(r, a.client_address);
    put_time(r, a.backend_start_us);
    put_time(r, a.transaction_start_us);
    put_time(r, a.query_start_us);
    put_time(r, a.state_change_us);
    r.text_or_null(a.wait_event_type).text_or_null(a.wait_event).text_or_null(a.state);
    if (a.transaction_id == 0) r.null();
    else r.xid(static_cast<std::uint32_t>(a.transaction_id));
    r.null().null().text(a.query).text("client backend").end_row();
  }
}

/// The relation that a stored table's id belongs to.
std::map<std::uint64_t, Oid> relations_by_table(VirtualContext& x) {
  std::map<std::uint64_t, Oid> out;
  for (const auto& [id, t] : x.catalog.relations())
    if (t->layout != nullptr) out[t->layout->table.raw()] = id;
  return out;
}
void put_lock(VirtualContext& x, const txn::LockListEntry& e, const std::map<std::uint64_t, Oid>& tables,
              RowCollector& r) {
  static constexpr std::string_view kRowModes[] = {"", "ForKeyShareLock", "ForShareLock",
                                                   "ForNoKeyUpdateLock", "ForUpdateLock"};
  static constexpr std::string_view kAdvisoryModes[] = {"", "ShareLock", "ExclusiveLock"};
  (void)x;
  std::string_view mode;
  switch (e.key.kind) {
    case txn::LockKind::kTable:
      r.text("relation")
          .oid(static_cast<Oid>(e.key.b))
          .oid(static_cast<Oid>(e.key.a))
          .null()
          .null()
          .null()
          .null()
          .null()
          .null()
          .null();
      mode = txn::to_text(static_cast<txn::TableLockMode>(e.mode));
      break;
    case txn::LockKind::kRow: {
      const auto it = tables.find(e.key.a);
      r.text("tuple").oid(oid::kDatabasePostgres);
      if (it == tables.end()) r.null();
      else r.oid(it->second);
      // A row id is wider than page and tuple number: its upper part is the page.
      r.int4(static_cast<std::int32_t>(e.key.b >> 15))
          .int2(static_cast<std::int16_t>(e.key.b & 0x7FFF))
          .null()
          .null()
          .null()
          .null()
          .null();
      mode = kRowModes[e.mode];
      break;
    }
    case txn::LockKind::kAdvisory:
      r.text("advisory")
          .oid(static_cast<Oid>(e.key.a & 0xFFFF'FFFF))
          .null()
          .null()
          .null()
          .null()
          .null()
          .oid(static_cast<Oid>(e.key.b >> 32));
      r.oid(static_cast<Oid>(e.key.b & 0xFFFF'FFFF)).int2(static_cast<std::int16_t>(e.key.a >> 32));
      mode = kAdvisoryModes[e.mode];
      break;
  }
  // A prepared transaction belongs to no session.
  r.text(fmt::format("{}/{}", e.process_id == 0 ? -1 : e.process_id, e.transaction_id));
  if (e.process_id == 0) r.null();
  else r.int4(e.process_id);
  r.text(mode).boolean(e.granted).boolean(e.fast_path).null().end_row();
}
void fill_locks(VirtualContext& x, RowCollector& r) {
  const auto tables = relations_by_table(x);
  for (const auto& e : x.server.locks()) put_lock(x, e, tables, r);
}

void fill_transactions(VirtualContext& x, RowCollector& r) {
  std::map<std::int32_t, ActivityRow> sessions;
  for (auto& a : x.server.activity()) sessions[a.pid] = a;
  for (const auto& t : x.server.transactions().active_transactions()) {
    const auto it = sessions.find(t.process_id);
    if (t.process_id == 0) r.null();
    else r.int4(t.process_id);
    r.int8(static_cast<std::int64_t>(t.id.raw()));
    if (t.process_id == 0) r.text("prepared");
    else r.text_or_null(it == sessions.end() ? "" : it->second.state);
    put_time(r, t.began_us)
        .int8(static_cast<std::int64_t>(t.undo_records))
        .text_or_null(it == sessions.end() ? "" : it->second.query)
        .end_row();
  }
}

void fill_prepared_transactions(VirtualContext& x, RowCollector& r) {
  for (const auto& t : x.server.transactions().prepared_transactions()) {
    r.xid(static_cast<std::uint32_t>(t.id.raw())).text(t.gid);
    put_time(r, t.prepared_us);
    const auto* role = x.catalog.role(t.owner);
    if (role == nullptr) r.null();
    else r.text(role->name);
    r.text("postgres").end_row();
  }
}

// ---- metrics ----

std::map<std::string, double> metric_map(VirtualContext& x) {
  std::map<std::string, double> out;
  for (const auto& [name, value] : x.server.metrics()) out[name] = value;
  return out;
}
std::int64_t metric(const std::map<std::string, double>& all, const std::string& name) {
  const auto it = all.find(name);
  return it == all.end() ? 0 : static_cast<std::int64_t>(it->second);
}
void fill_metrics(VirtualContext& x, RowCollector& r) {
  for (const auto& [name, value] : x.server.metrics()) r.text(name).float8(value).end_row();
}
void fill_buffer_stats(VirtualContext& x, RowCollector& r) {
  const auto all = metric_map(x);
  const auto hits = metric(all, "rustbd_buffer_reads_total{result=\"hit\"}"),
             misses = metric(all, "rustbd_buffer_reads_total{result=\"miss\"}");
  std::int64_t evictions = 0;
  for (const char* policy : {"clock", "lru", "random"})
    evictions += metric(all, fmt::format("rustbd_buffer_evictions_total{{policy=\"{}\"}}", policy));
  r.int8(hits).int8(misses).int8(evictions).int8(metric(all, "rustbd_buffer_dirty_pages"));
  r.int8(metric(all, "rustbd_checksum_failures_total"));
  if (hits + misses == 0) r.null();
  else r.float8(static_cast<double>(hits) / static_cast<double>(hits + misses));
  r.int8(metric(all, "rustbd_buffer_frame_waits_total"));
  for (const char* op : {"read", "write"}) {
    const auto count = all.find(fmt::format("rustbd_io_seconds_count{{op=\"{}\"}}", op));
    const auto sum = all.find(fmt::format("rustbd_io_seconds_sum{{op=\"{}\"}}", op));
    if (count == all.end() || sum == all.end() || count->second == 0) r.null();
    else r.float8(sum->second / count->second * 1e6);
  }
  r.end_row();
}
void fill_keys(VirtualContext& x, RowCollector& r) {
  for (const auto& key : x.server.transactions().keys()) {
    const bool retires = key.state == security::KeyState::kRetiring;
    r.int8(key.id).text(to_text(key.cipher)).text(key.current ? "current" : retires ? "retiring" : "old");
    put_time(r, key.created_us).end_row();
  }
}
void fill_key_rotation(VirtualContext& x, RowCollector& r) {
  if (x.server.transactions().keys().empty()) return;
  const auto now = x.server.transactions().key_rotation();
  r.text(now.running ? "running" : "done");
  for (const std::uint64_t pages : {now.pages, now.left})
    now.counted ? r.int8(static_cast<std::int64_t>(pages)) : r.null();
  r.end_row();
}
void fill_backups(VirtualContext& x, RowCollector& r) {
  const auto lsn_or_null = [&](Lsn lsn) { lsn.is_none() ? r.null() : r.from_text(to_text(lsn)); };
  for (const auto& job : x.server.transactions().backups().list()) {
    r.int8(static_cast<std::int64_t>(job.id)).text(to_text(job.state)).text(job.target);
    r.text_or_null(job.parent);
    put_time(r, job.began_us);
    put_time(r, job.ended_us).int8(static_cast<std::int64_t>(job.bytes));
    lsn_or_null(job.from);
    lsn_or_null(job.to);
    r.text_or_null(job.sqlstate).text_or_null(job.message).end_row();
  }
}
/// Who holds the log back, as PostgreSQL's tools look for it.
void fill_replication_slots(VirtualContext& x, RowCollector& r) {
  for (const auto& consumer : x.server.transactions().log_consumers()) {
    r.text(consumer.name).null().text("physical").null().null();  // plugin, datoid, database
    r.boolean(false).boolean(false).null().null().null();         // temporary, active; active_pid, xmin,
                                                                  // catalog_xmin
    r.from_text(to_text(consumer.position)).null();               // confirmed_flush_lsn
    r.text("reserved").null().boolean(false).end_row();           // safe_wal_size, two_phase
  }
}
void fill_stat_database(VirtualContext& x, RowCollector& r) {
  const auto all = metric_map(x);
  const auto statistics = x.server.transactions().statistics();
  r.oid(oid::kDatabasePostgres).text("postgres").int4(static_cast<std::int32_t>(x.server.activity().size()));
  r.int8(static_cast<std::int64_t>(statistics.committed)).int8(static_cast<std::int64_t>(statistics.aborted));
  r.int8(metric(all, "rustbd_buffer_reads_total{result=\"miss\"}"))
      .int8(metric(all, "rustbd_buffer_reads_total{result=\"hit\"}"));
  for (int i = 0; i < 5; ++i) r.int8(0);  // rows returned, fetched, inserted, updated, deleted: not counted
  r.int8(0).int8(0).int8(0).int8(static_cast<std::int64_t>(statistics.deadlocks));
  r.int8(metric(all, "rustbd_checksum_failures_total")).null();
  for (int i = 0; i < 5; ++i) r.float8(0);
  for (int i = 0; i < 4; ++i) r.int8(0);
  put_time(r, x.server.start_time_us()).end_row();
}
void fill_stat_bgwriter(VirtualContext& x, RowCollector& r) {
  const auto all = metric_map(x);
  std::int64_t timed = 0, asked = 0;
  for (const auto& [name, value] : all) {
    if (!name.starts_with("rustbd_checkpoints_total")) continue;
    (name.find("\"time\"") != std::string::npos ? timed : asked) += static_cast<std::int64_t>(value);
  }
  r.int8(timed).int8(asked).float8(0).float8(0);
  for (int i = 0; i < 6; ++i) r.int8(0);
  put_time(r, x.server.start_time_us()).end_row();
}

// ---- time zones ----

void fill_time_zones(VirtualContext& x, RowCollector& r) {
  const std::int64_t now = x.server.now_us() - 946'684'800'000'000;
  for_each_line(time_zone_names(), [&](std::string_view name) {
    const auto* zone = types::TimeZone::find(name);
    if (zone == nullptr) return;
    const auto at = zone->at(now);
    r.text(name)
        .text(at.abbreviation)
        .from_text(fmt::format("{} seconds", at.seconds_east))
        .boolean(at.is_dst)
        .end_row();
  });
}

constexpr NamedFill kFills[] = {
    {"pg_authid", &fill_authid},
    {"pg_roles", &fill_roles},
    {"pg_user", &fill_user},
    {"pg_shadow", &fill_shadow},
    {"pg_group", &fill_group},
    {"pg_database", &fill_database},
    {"pg_settings", &fill_settings},
    {"pg_prepared_statements", &fill_prepared},
    {"pg_cursors", &fill_cursors},
    {"pg_stat_activity", &fill_activity},
    {"pg_locks", &fill_locks},
    {"pg_prepared_xacts", &fill_prepared_transactions},
    {"pg_stat_database", &fill_stat_database},
    {"pg_stat_bgwriter", &fill_stat_bgwriter},
    {"pg_timezone_names", &fill_time_zones},
    {"rustbd_transactions", &fill_transactions},
    {"rustbd_metrics", &fill_metrics},
    {"rustbd_buffer_stats", &fill_buffer_stats},
    {"rustbd_keys", &fill_keys},
    {"rustbd_key_rotation_progress", &fill_key_rotation},
    {"rustbd_backups", &fill_backups},
    {"pg_replication_slots", &fill_replication_slots},
};

}  // namespace

std::span<const NamedFill> server_fills() { return kFills; }

}  // namespace rustbd::catalog
