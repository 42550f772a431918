// Sizes, backends, advisory locks, log positions: functions about the running server.
#include "rustbd/catalog/pg_catalog/acl.h"
#include "rustbd/engine/context/catalog_functions.h"
#include "rustbd/storage/pages/page.h"
#include "rustbd/txn/backup/jobs.h"
#include "rustbd/txn/backup/restore_point.h"
#include "rustbd/txn/row_counts.h"
#include "rustbd/types/array.h"

namespace rustbd::engine {

namespace {

using catalog::Relation;
using txn::AdvisoryMode;
using txn::LockKey;

constexpr std::int64_t kPostgresEpochUs = 946'684'800'000'000;  // 2000-01-01 in µs from 1970

// ---- sizes ----

std::int64_t bytes_of(const CatalogCall& c, const Relation& relation) {
  return static_cast<std::int64_t>(c.context.pages(relation)) *
         static_cast<std::int64_t>(storage::kFrameBytes);
}
std::int64_t index_bytes(const CatalogCall& c, const catalog::Index& index) {
  return static_cast<std::int64_t>(c.context.index_pages(index)) *
         static_cast<std::int64_t>(storage::kFrameBytes);
}
std::int64_t all_index_bytes(const CatalogCall& c, const Relation& relation) {
  std::int64_t sum = 0;
  for (const auto& i : relation.indexes) sum += index_bytes(c, *i);
  return sum;
}
bool relation_size(const CatalogCall& c) {
  if (c.args.size() > 1 && c.text(1) != "main") {
    if (c.text(1) != "fsm" && c.text(1) != "vm" && c.text(1) != "init")
      throw error(sqlstate::kInvalidParameterValue, "invalid fork name")
          .with_hint("Valid fork names are \"main\", \"fsm\", \"vm\", and \"init\".");
    return c.put(std::int64_t{0});
  }
  if (const auto r = c.catalog->relation(c.oid(0))) return c.put(bytes_of(c, *r));
  if (const auto i = c.catalog->index(c.oid(0))) return c.put(index_bytes(c, *i));
  return false;
}
bool table_size(const CatalogCall& c) { return relation_size(c); }
bool indexes_size(const CatalogCall& c) {
  const auto r = c.catalog->relation(c.oid(0));
  if (r != nullptr) return c.put(all_index_bytes(c, *r));
  return c.catalog->index(c.oid(0)) != nullptr && c.put(std::int64_t{0});
}
bool total_size(const CatalogCall& c) {
  const auto r = c.catalog->relation(c.oid(0));
  return r != nullptr ? c.put(bytes_of(c, *r) + all_index_bytes(c, *r)) : relation_size(c);
}
bool database_size(const CatalogCall& c) {
  // By oid or by name: an oid's datum has nothing above its 32 bits, a name's has its text there.
  if (c.args[0].u64 >> 32 != 0) {
    if (c.text(0) != "postgres")
      throw error(sqlstate::kInvalidCatalogName, "database \"{}\" does not exist", c.text(0));
  } else if (c.oid(0) != catalog::oid::kDatabasePostgres) {
    throw error(sqlstate::kUndefinedObject, "database with OID {} does not exist", c.oid(0));
  }
  std::int64_t sum = 0;
  for (const auto& [id, r] : c.catalog->relations())
    if (!r->is_catalog()) sum += bytes_of(c, *r) + all_index_bytes(c, *r);
  return c.put(sum);
}
bool filenode(const CatalogCall& c) {
  if (const auto r = c.catalog->relation(c.oid(0)))
    return r->layout != nullptr ? c.put_oid(r->layout->table.raw()) : c.put_oid(0);
  const auto i = c.catalog->index(c.oid(0));
  return i != nullptr && c.put_oid(i->tree.raw());
}
bool is_publishable(const CatalogCall& c) {
  const auto r = c.catalog->relation(c.oid(0));
  return c.put(r != nullptr && r->kind == catalog::RelationKind::kTable && !r->is_catalog() &&
               r->persistence == 'p');
}
/// Bits: 2 update, 3 insert, 4 delete.
bool is_updatable(const CatalogCall& c) {
  const auto r = c.catalog->relation(c.oid(0));
  return c.put(
      std::int32_t{r != nullptr && r->kind == catalog::RelationKind::kTable && !r->is_catalog() ? 28 : 0});
}
bool column_is_updatable(const CatalogCall& c) {
  const auto r = c.catalog->relation(c.oid(0));
  return c.put(r != nullptr && r->kind == catalog::RelationKind::kTable && !r->is_catalog() &&
               c.args[1].i16 > 0);
}
bool sequence_last_value(const CatalogCall& c) {
  const auto v = c.context.sequence_value(c.oid(0));
  return v.is_called && c.put(v.last_value);
}
bool live_tuples(const CatalogCall& c) {
  const auto r = c.catalog->relation(c.oid(0));
  return c.put(static_cast<std::int64_t>(r != nullptr ? c.context.live_rows(*r) : 0));
}

// ---- state ----

bool always_false(const CatalogCall& c) { return c.put(false); }
bool zero_oid(const CatalogCall& c) { return c.put_oid(0); }
bool zero_int4(const CatalogCall& c) { return c.put(std::int32_t{0}); }
bool zero_int8(const CatalogCall& c) { return c.put(std::int64_t{0}); }
bool null_value(const CatalogCall&) { return false; }
bool empty_text(const CatalogCall& c) { return c.put(std::string_view{}); }

bool start_time(const CatalogCall& c) { return c.put(c.context.start_time_us() - kPostgresEpochUs); }
bool log_end(const CatalogCall& c) { return c.put(c.context.transactions().statistics().log_end.raw()); }
bool log_durable(const CatalogCall& c) { return c.put(c.context.transactions().durable_lsn().raw()); }
bool backend_pid(const CatalogCall& c) { return c.put(c.parts().session.pid()); }
bool current_xact(const CatalogCall& c) { return c.put(c.parts().transaction->assign_id().raw()); }
bool current_xact_if_assigned(const CatalogCall& c) {
  const auto id = c.parts().transaction->id();
  return !id.is_none() && c.put(id.raw());
}
bool encoding_max_length(const CatalogCall& c) {
  if (c.int4(0) == 6) return c.put(std::int32_t{4});
  return c.int4(0) == 0 && c.put(std::int32_t{1});
}
std::optional<catalog::ActivityRow> activity_of(const CatalogCall& c, std::int32_t pid) {
  for (auto& a : c.context.activity())
    if (a.pid == pid) return a;
  return std::nullopt;
}
bool current_query(const CatalogCall& c) {
  const auto a = activity_of(c, c.parts().session.pid());
  return a && c.put(a->query);
}
bool client_port(const CatalogCall& c) {
  const auto a = activity_of(c, c.parts().session.pid());
  const auto colon = a ? a->client_address.rfind(':') : std::string::npos;
  if (colon == std::string::npos || colon + 1 == a->client_address.size()) return false;
  return c.put(std::int32_t{std::atoi(a->client_address.c_str() + colon + 1)});
}

bool signal_backend(const CatalogCall& c) {
  const std::int32_t pid = c.int4(0);
  const bool terminate = c.name == "pg_terminate_backend";
  const auto target = activity_of(c, pid);
  if (!target) {
    c.parts().notice(Severity::kWarning,
                     error(sqlstate::kWarning, "PID {} is not a PostgreSQL backend process", pid));
    return c.put(false);
  }
  const auto* role = c.catalog->role(target->user);
  if (!c.parts().is_superuser() && target->user != c.context.current_user()) {
    if (role != nullptr && role->superuser)
      throw error(sqlstate::kInsufficientPrivilege, "must be a superuser to {} superuser {}",
                  terminate ? "terminate" : "cancel", terminate ? "process" : "query");
    throw error(sqlstate::kInsufficientPrivilege,
                "must be a member of the role whose {} is being {} or member of pg_signal_backend",
                terminate ? "process" : "query", terminate ? "terminated" : "canceled");
  }
  return c.put(c.parts().database.signal(pid, terminate));
}

/// rustbd_rotate_keys('data') or ('master', source of the new master key).
bool rotate_keys(const CatalogCall& c) {
  if (!c.parts().is_superuser())
    throw error(sqlstate::kInsufficientPrivilege, "must be superuser to rotate encryption keys");
  const std::string_view scope = c.text(0);
  const bool has_source = c.args.size() == 2;
  if (scope == "data" && !has_source) {
    c.context.transactions().rotate_data_key();
  } else if (scope == "master" && has_source) {
    c.context.transactions().change_master_key(security::read_master_key(c.text(1)));
  } else {
    throw error(sqlstate::kInvalidParameterValue, "invalid scope of a key rotation: \"{}\"", scope)
        .with_hint("Use rustbd_rotate_keys('data') or rustbd_rotate_keys('master', 'file:PATH').");
  }
  return c.put(std::string_view{});
}
bool reload_configuration(const CatalogCall& c) {
  if (!c.parts().is_superuser())
    throw error(sqlstate::kInsufficientPrivilege, "permission denied for function pg_reload_conf");
  return c.put(c.parts().database.options().reload());
}
void require_superuser(const CatalogCall& c, std::string_view what) {
  if (!c.parts().is_superuser())
    throw error(sqlstate::kInsufficientPrivilege, "must be superuser to {}", what);
}
/// rustbd_backup(target [, incremental_from [, compression, bytes_per_second]]): the id of the job.
bool start_backup(const CatalogCall& c) {
  require_superuser(c, "back up the database");
  txn::BackupRequest request;
  request.target = c.text(0);
  if (c.args.size() > 1) request.parent = c.text(1);
  if (c.args.size() > 2) {
    const std::string_view compression = c.text(2);
    if (compression == "lz4") request.compression = storage::PageCompression::kLz4;
    else if (compression == "none") request.compression = storage::PageCompression::kNone;
    else if (compression != "zstd")
      throw error(sqlstate::kInvalidParameterValue, "unknown compression of a backup: \"{}\"", compression)
          .with_hint("It is zstd, lz4 or none.");
    if (c.args[3].i64 < 0)
      throw error(sqlstate::kInvalidParameterValue, "the rate of a backup must not be negative");
    request.bytes_per_second = static_cast<std::uint64_t>(c.args[3].i64);
  }
  return c.put(c.context.transactions().backups().start(std::move(request)));
}
bool cancel_backup(const CatalogCall& c) {
  require_superuser(c, "cancel a backup");
  return c.put(c.context.transactions().backups().cancel(static_cast<std::uint64_t>(c.args[0].i64)));
}
bool create_restore_point(const CatalogCall& c) {
  require_superuser(c, "create a restore point");
  return c.put(txn::create_restore_point(c.context.transactions(), std::string(c.text(0))).raw());
}

// ---- consumers of the log ----

bool create_log_consumer(const CatalogCall& c) {
  require_superuser(c, "create a log consumer");
  return c.put(c.context.transactions().create_log_consumer(std::string(c.text(0))).raw());
}
/// Not beyond what is durable, and never back; returns where it is then.
bool advance_log_consumer(const CatalogCall& c) {
  require_superuser(c, "advance a log consumer");
  auto& system = c.context.transactions();
  const std::string name{c.text(0)};
  const Lsn upto{static_cast<std::uint64_t>(c.args[1].i64)};
  for (const auto& known : system.log_consumers()) {
    if (known.name == name && upto < known.position)
      throw error(sqlstate::kObjectNotInPrerequisiteState, "cannot advance log consumer to {}, minimum is {}",
                  to_text(upto), to_text(known.position));
  }
  const Lsn position = std::min(upto, system.durable_lsn());
  system.advance_log_consumer(name, position);
  return c.put(position.raw());
}
bool drop_log_consumer(const CatalogCall& c) {
  require_superuser(c, "drop a log consumer");
  c.context.transactions().drop_log_consumer(std::string(c.text(0)));
  return c.put(std::string_view{});
}

bool blocking_pids(const CatalogCall& c) {
  types::ArrayBuilder builder{types::oid::kInt4};
  for (const auto pid : c.context.transactions().locks().blockers_of(c.int4(0)))
    builder.add(types::Datum::of(pid));
  *c.result = types::Datum::of(builder.finish(c.arena));
  return true;
}

bool acl_default(const CatalogCall& c) {
  const auto* owner = c.catalog->role(c.oid(1));
  const std::string name = owner != nullptr ? owner->name : fmt::format("{}", c.oid(1));
  std::string_view all, everybody;
  switch (static_cast<char>(c.args[0].i8)) {
    case 'r': all = catalog::kTableLetters; break;
    case 's': all = catalog::kSequenceLetters; break;
    case 'n': all = "UC"; break;
    case 'd': all = "CTc", everybody = "Tc"; break;
    case 'f': all = "X", everybody = "X"; break;
    case 'l':
    case 'T': all = "U", everybody = "U"; break;
    case 't': all = "C"; break;
    case 'c': break;
    case 'p': all = "sA"; break;
    case 'F':
    case 'S': all = "U"; break;
    case 'L': all = "rw"; break;
    default:
      throw error(sqlstate::kInternalError, "unrecognized object type abbreviation: {}",
                  static_cast<char>(c.args[0].i8));
  }
  std::string text = "{";
  if (!everybody.empty()) text += fmt::format("={}/{}", everybody, name);
  if (!all.empty()) text += fmt::format("{}{}={}/{}", everybody.empty() ? "" : ",", name, all, name);
  types::IoContext io;
  io.arena = &c.arena;
  *c.result = types::input_text(text + "}", types::make_type(types::oid::kAclitemArray), io);
  return true;
}

// ---- advisory locks ----

LockKey advisory_key(const CatalogCall& c) {
  if (c.args.size() == 1) return LockKey::advisory(catalog::oid::kDatabasePostgres, c.args[0].i64, 1);
  const auto high = static_cast<std::uint64_t>(static_cast<std::uint32_t>(c.int4(0))),
             low = static_cast<std::uint64_t>(static_cast<std::uint32_t>(c.int4(1)));
  return LockKey::advisory(catalog::oid::kDatabasePostgres, static_cast<std::int64_t>((high << 32) | low), 2);
}
AdvisoryMode advisory_mode(const CatalogCall& c) {
  return c.name.ends_with("_shared") ? AdvisoryMode::kShared : AdvisoryMode::kExclusive;
}
bool take_advisory(const CatalogCall& c) {
  const bool session = c.name.find("_xact_") == std::string_view::npos;
  const auto outcome = c.context.transactions().locks().lock_advisory(
      *c.parts().locker, advisory_key(c), advisory_mode(c), txn::WaitPolicy::kNoWait, session);
  if (outcome.status == txn::Status::kLockNotAvailable) return false;
  if (!outcome.ok()) c.context.transactions().throw_outcome(outcome, c.parts().locker.get());
  return true;
}
bool try_advisory(const CatalogCall& c) { return c.put(take_advisory(c)); }
/// A function can't wait: a lock that somebody holds is refused, not queued for.
bool lock_advisory(const CatalogCall& c) {
  if (!take_advisory(c)) throw not_supported("waiting for an advisory lock that another session holds");
  return c.put(std::string_view{});
}
bool unlock_advisory(const CatalogCall& c) {
  const auto mode = advisory_mode(c);
  const bool held =
      c.context.transactions().locks().unlock_advisory(*c.parts().locker, advisory_key(c), mode);
  if (!held)
    c.parts().notice(Severity::kWarning,
                     error(sqlstate::kWarning, "you don't own a lock of type {}",
                           mode == AdvisoryMode::kShared ? "ShareLock" : "ExclusiveLock"));
  return c.put(held);
}
bool unlock_all_advisory(const CatalogCall& c) {
  c.context.transactions().locks().unlock_all_advisory(*c.parts().locker);
  return c.put(std::string_view{});
}

constexpr CatalogFunction kFunctions[] = {
    {"pg_relation_size", &relation_size},
    {"pg_table_size", &table_size},
    {"pg_indexes_size", &indexes_size},
    {"pg_total_relation_size", &total_size},
    {"pg_database_size", &database_size},
    {"pg_relation_filenode", &filenode},
    {"pg_relation_filepath", &null_value},  // tables are not files
    {"pg_tablespace_location", &empty_text},
    {"pg_relation_is_publishable", &is_publishable},
    {"pg_relation_is_updatable", &is_updatable},
    {"pg_column_is_updatable", &column_is_updatable},
    {"pg_sequence_last_value", &sequence_last_value},
    {"pg_stat_get_live_tuples", &live_tuples},
    {"pg_stat_get_dead_tuples", &zero_int8},
    {"pg_stat_get_numscans", &zero_int8},
    {"pg_stat_get_tuples_returned", &zero_int8},
    {"pg_is_in_recovery", &always_false},
    {"pg_is_other_temp_schema", &always_false},
    {"pg_jit_available", &always_false},
    {"row_security_active", &always_false},
    {"pg_my_temp_schema", &zero_oid},
    {"pg_trigger_depth", &zero_int4},
    {"pg_postmaster_start_time", &start_time},
    {"pg_conf_load_time", &start_time},
    {"pg_current_wal_lsn", &log_end},
    {"pg_current_wal_insert_lsn", &log_end},
    {"pg_current_wal_flush_lsn", &log_durable},
    {"pg_backend_pid", &backend_pid},
    {"pg_current_xact_id", &current_xact},
    {"txid_current", &current_xact},
    {"pg_current_xact_id_if_assigned", &current_xact_if_assigned},
    {"txid_current_if_assigned", &current_xact_if_assigned},
    {"pg_encoding_max_length", &encoding_max_length},
    {"current_query", &current_query},
    {"inet_client_addr", &null_value},
    {"inet_client_port", &client_port},
    {"inet_server_addr", &null_value},
    {"inet_server_port", &null_value},
    {"pg_cancel_backend", &signal_backend},
    {"pg_terminate_backend", &signal_backend},
    {"pg_reload_conf", &reload_configuration},
    {"pg_blocking_pids", &blocking_pids},
    {"rustbd_rotate_keys", &rotate_keys},
    {"rustbd_backup", &start_backup},
    {"rustbd_cancel_backup", &cancel_backup},
    {"rustbd_create_restore_point", &create_restore_point},
    {"rustbd_create_log_consumer", &create_log_consumer},
    {"rustbd_advance_log_consumer", &advance_log_consumer},
    {"rustbd_drop_log_consumer", &drop_log_consumer},
    {"acldefault", &acl_default},
    {"pg_advisory_lock", &lock_advisory},
    {"pg_advisory_lock_shared", &lock_advisory},
    {"pg_advisory_xact_lock", &lock_advisory},
    {"pg_try_advisory_lock", &try_advisory},
    {"pg_try_advisory_lock_shared", &try_advisory},
    {"pg_try_advisory_xact_lock", &try_advisory},
    {"pg_advisory_unlock", &unlock_advisory},
    {"pg_advisory_unlock_shared", &unlock_advisory},
    {"pg_advisory_unlock_all", &unlock_all_advisory},
};

}  // namespace

double SessionContext::index_pages(const catalog::Index& index) {
  const auto relation = parts_.catalog()->relation(index.relation);
  if (relation == nullptr || relation->layout == nullptr) return 0;
  return txn::estimate_index_pages(parts_.database.transactions(), *relation->layout, index.tree);
}

std::span<const CatalogFunction> server_functions() { return kFunctions; }

}  // namespace rustbd::engine
