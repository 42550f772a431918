#include "rustbd/storage/pages/storage.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <utility>

#include "rustbd/base/assert.h"
#include "rustbd/base/error.h"
#include "rustbd/storage/pages/checkpoint_pin.h"
#include "rustbd/storage/pages/checkpoint_requests.h"
#include "rustbd/storage/pages/checkpointer.h"
#include "rustbd/storage/pages/data_file.h"
#include "rustbd/storage/pages/directory_loader.h"
#include "rustbd/storage/pages/entry_ledger.h"
#include "rustbd/storage/pages/extent_allocator.h"
#include "rustbd/storage/pages/page_directory.h"
#include "rustbd/storage/pages/resealer.h"
#include "rustbd/storage/pages/shrinker.h"
#include "rustbd/storage/pages/snapshot_stream.h"
#include "rustbd/storage/pages/space.h"
#include "rustbd/storage/pages/superblock.h"

namespace rustbd::storage {
namespace {

constexpr int kFatalExitCode = 70;

[[noreturn]] void end_process(std::string_view why) {
  fmt::print(stderr, "rustbd: {}; the outcome of waiting commits is unknown\n", why);
  std::_Exit(kFatalExitCode);
}

Error io_error(std::string_view what, io::IoFailure failure) {
  if (failure == io::IoFailure::kNoSpace) {
    return error(sqlstate::kDiskFull, "could not {}: No space left on device", what);
  }
  return error(sqlstate::kIoError, "could not {}: {}", what, io::to_text(failure));
}

void require(const io::IoResult<>& done, std::string_view what) {
  if (!done) throw io_error(what, done.error());
}

unsigned __int128 random_uuid(io::Random& random) {
  const auto high = random.next_u64();
  return static_cast<unsigned __int128>(high) << 64 | random.next_u64();
}

}  // namespace

std::string_view to_text(CheckpointTrigger trigger) {
  switch (trigger) {
    case CheckpointTrigger::kRequest: return "request";
    case CheckpointTrigger::kLogVolume: return "log_volume";
    case CheckpointTrigger::kTime: return "time";
    case CheckpointTrigger::kSpace: return "space";
    case CheckpointTrigger::kShutdown: return "shutdown";
    case CheckpointTrigger::kRecovery: return "recovery";
    case CheckpointTrigger::kKeyRotation: return "key_rotation";
  }
  return "?";
}

/// All parts in the order in which they depend on each other.
struct Storage::Parts {
  Parts(io::Environment env, StorageOptions opts) : environment(env), options(std::move(opts)) {}

  io::Environment environment;
  StorageOptions options;
  std::unique_ptr<io::FileLock> lock;
  std::unique_ptr<DataFile> file;
  std::unique_ptr<security::KeyRing> keys;  // null without encryption
  PageDirectory directory;
  ExtentAllocator allocator;
  std::unique_ptr<Space> space;
  std::unique_ptr<EntryLedger> ledger;
  ActionGate gate;
  Epochs epochs;
  PendingFree pending;
  std::unique_ptr<BufferManager> buffer;
  std::unique_ptr<RootMap> roots;
  std::unique_ptr<Checkpointer> checkpointer;
  std::shared_ptr<CheckpointRequests> requests = std::make_shared<CheckpointRequests>();
  std::unique_ptr<Shrinker> shrinker;
  std::unique_ptr<Resealer> resealer;  // null without encryption
  std::unique_ptr<io::BackgroundThread> checkpoint_thread;
  CheckpointSource* source = nullptr;
  std::vector<ExtentPointer> snapshot;  // of the checkpoint that was opened, until it is delivered
  bool created = false;
  std::atomic<bool> delivered{false};
  bool closed = false;

  // Instruments; all null without a registry.
  metrics::Histogram* duration = nullptr;
  metrics::Histogram* gate_seconds = nullptr;
  std::atomic<std::int64_t> gate_longest_us{0};
  std::vector<metrics::Registry::Callback> callbacks;

  void open_file();
  bool read_superblock(Superblock& out);
  void open_keys(const DatabaseState& state);
  void build(const Superblock& superblock);
  void create();
  void load(const Superblock& superblock);
  void publish_boot(Superblock superblock);
  void start_checkpointer(const Superblock& superblock, CheckpointSource* checkpoint_source);
  void start_shrinker();
  void start_resealer();
  void checkpoint_loop();
  void register_metrics();
  void stop();
};

void Storage::Parts::open_file() {
  if (options.take_lock) {
    auto held = environment.disk->lock(kLockFileName);
    if (!held) {
      if (held.error() != io::IoFailure::kBusy) throw io_error("lock the data directory", held.error());
      throw error(sqlstate::kObjectInUse, "data directory is in use by another server");
    }
    lock = std::move(*held);
  }
  if (!options.create && !environment.disk->exists(kDataFileName)) {
    throw error(sqlstate::kUndefinedFile, "data directory contains no database");
  }
  auto opened =
      environment.disk->open(kDataFileName, {.create = options.create, .direct = options.direct_io});
  if (!opened) throw io_error("open the data file", opened.error());
  if (options.direct_io && !(*opened)->direct())
    options.log("the file system does not grant direct I/O: pages go through the kernel's page cache");
  IoTimes times;
  if (options.metrics != nullptr) {
    const auto histogram = [&](const char* op) {
      return &options.metrics->histogram(
          "rustbd_io_seconds",
          "Time of I/O of the data file: op=read of a page, op=write of a batch of pages, op=sync",
          metrics::duration_bounds(), {{"op", op}});
    };
    times = {histogram("read"), histogram("write"), histogram("sync")};
  }
  file = std::make_unique<DataFile>(std::move(*opened), environment.executor, environment.clock, times);
}

// False: there is no database yet (or its creation was cut short).
bool Storage::Parts::read_superblock(Superblock& out) {
  const auto blocks = file->size_blocks();
  if (!blocks) throw io_error("read the size of the data file", blocks.error());
  const SuperblockReading reading = read_superblocks(*file, *blocks * kBlockBytes);
  if (!reading.newest) {
    if (reading.all_zero || reading.never_opened) {
      if (!options.create) throw error(sqlstate::kUndefinedFile, "data directory contains no database");
      return false;
    }
    throw error(sqlstate::kDataCorrupted, "all copies of the superblock are damaged");
  }
  out = *reading.newest;
  if (reading.foreign)
    throw error(sqlstate::kDataCorrupted, "superblock copies belong to different databases");
  if (out.format_version != kFormatVersion || out.page_size_log2 != 14) {
    throw error(sqlstate::kFeatureNotSupported,
                "data file has format version {}, this server reads version {}", out.format_version,
                kFormatVersion);
  }
  for (const std::string& warning : reading.warnings) options.log.warning(warning);
  if (reading.twin_bad) {
    require(rewrite_twin(*file, out, reading.newest_slot), "write the superblock");
    require(file->datasync(), "sync the data file");
  }
  allocator.set_file_blocks(*blocks);
  return true;
}

// `state`: what the superblock says. The key of this start is durable before anything is written.
void Storage::Parts::open_keys(const DatabaseState& state) {
  const bool encrypted = state.encrypted();
  if (!options.encryption.master_key) {
    if (!encrypted) return;
    throw error(sqlstate::kObjectNotInPrerequisiteState,
                "the data directory is encrypted, and there is no master key")
        .with_hint("Set encryption.enabled and encryption.key_source.");
  }
  keys = security::KeyRing::open(environment, *options.encryption.master_key, options.encryption.cipher,
                                 !encrypted, state.next_key_id);
}

void Storage::Parts::build(const Superblock& superblock) {
  gate.set_epoch(superblock.state.epoch + 1);
  space = std::make_unique<Space>(
      *file, allocator, std::max<std::uint64_t>(options.grow_bytes / kBlockBytes, Space::kFileBlocksMin),
      [disk = environment.disk] { return disk->free_bytes(); });
  ledger = std::make_unique<EntryLedger>(directory, allocator, keys.get());
  BufferManager::Parts parts{environment,  &directory, file.get(), &allocator, space.get(),
                             ledger.get(), &gate,      &epochs,    &pending,   keys.get()};
  buffer = std::make_unique<BufferManager>(
      parts, BufferManager::Options{options.buffer_bytes, options.compression, options.eviction_policy,
                                    options.write_strategy});
  buffer->set_on_deferred_full([queue = requests] { queue->request(CheckpointTrigger::kSpace); });
  if (options.freed_unread != nullptr) buffer->count_freed_unread(*options.freed_unread);
  roots = std::make_unique<RootMap>(*buffer);
}

// Generation 1 is the empty database; it counts as created once the first start has published generation 2.
void Storage::Parts::create() {
  created = true;
  require(environment.disk->sync_directory(""), "sync the data directory");
  const std::uint64_t have = file->size_blocks().value_or(0);
  const std::uint64_t blocks = Space::kFileBlocksMin;
  if (have < blocks) require(file->extend(have, blocks), "extend the data file");
  AlignedBuffer zero(kSuperblockBytes);
  for (const std::uint64_t offset : kSuperblockOffsets)
    require(file->write(offset, zero.span()), "write the superblock");
  allocator.set_file_blocks(std::max(have, blocks));
  Superblock superblock;
  superblock.state.uuid = random_uuid(*environment.random);
  superblock.state.wal_uuid = environment.random->next_u64();
  superblock.state.log_segment_bytes = options.log_segment_bytes;
  if (keys) superblock.state.db_flags |= kFlagEncrypted;
  superblock.state.positions = options.initial;
  build(superblock);
  RUSTBD_ASSERT(directory.grow(1));
  buffer->set_next_page_id(1, {});
  buffer->start();
  roots->create();
  start_checkpointer(superblock, nullptr);
  const CheckpointResult first = checkpointer->run();
  if (!first.durable) throw error(sqlstate::kIoError, "could not create the database: {}", first.why);
}

void Storage::Parts::load(const Superblock& superblock) {
  build(superblock);
  std::vector<std::uint64_t> free_ids;
  load_directory(*file, directory, allocator, superblock, keys.get(), free_ids);
  if (!snapshot_extents(*file, superblock.undo_snapshot, snapshot)) {
    throw error(sqlstate::kDataCorrupted, "the undo snapshot is damaged");
  }
  for (const ExtentPointer& pointer : snapshot) {
    if (!allocator.mark_used(pointer.extent())) {
      throw error(sqlstate::kDataCorrupted, "the undo snapshot overlaps another extent");
    }
  }
  buffer->set_next_page_id(superblock.state.next_page_id, std::move(free_ids));
}

// The other pair of slots gets the same contents with one more start: a good pair is never rewritten.
void Storage::Parts::publish_boot(Superblock superblock) {
  ++superblock.state.generation;
  ++superblock.state.boot_count;
  if (keys) {
    superblock.state.db_flags |= kFlagEncrypted;
    superblock.state.next_key_id = keys->next_id();
  }
  superblock.file_blocks = allocator.file_blocks();
  require(write_superblock(*file, superblock), "write the superblock");
  require(file->datasync(), "sync the data file");
  if (checkpointer) {
    checkpointer->set_superblock(superblock);
  } else {
    start_checkpointer(superblock, source);
  }
}

void Storage::Parts::start_checkpointer(const Superblock& superblock, CheckpointSource* checkpoint_source) {
  std::vector<Extent> extents;
  for (const ExtentPointer& pointer : snapshot) extents.push_back(pointer.extent());
  checkpointer = std::make_unique<Checkpointer>(
      Checkpointer::Parts{environment, file.get(), space.get(), &allocator, &directory, ledger.get(), &gate,
                          buffer.get(), &pending, checkpoint_source, options.fatal, keys.get()},
      superblock, std::move(extents));
}

void Storage::Parts::start_shrinker() {
  shrinker = std::make_unique<Shrinker>(
      Shrinker::Parts{environment, space.get(), &allocator, ledger.get(), &gate, buffer.get(),
                      [queue = requests] { queue->request(CheckpointTrigger::kSpace); }},
      options.relocation_bytes_per_second);
  shrinker->start();
}

void Storage::Parts::start_resealer() {
  if (!keys) return;
  resealer = std::make_unique<Resealer>(
      Resealer::Parts{environment, keys.get(), ledger.get(), buffer.get(),
                      [queue = requests] { queue->request(CheckpointTrigger::kKeyRotation); }, options.log},
      options.encryption.reseal_bytes_per_second);
  resealer->start();
}

void Storage::Parts::checkpoint_loop() {
  for (;;) {
    CheckpointRequests::Batch batch = requests->next(*environment.executor);
    if (batch.stop) return;
    const CheckpointResult result = checkpointer->run();
    if (duration != nullptr) {
      duration->observe(static_cast<double>(result.duration_us) / 1e6);
      gate_seconds->observe(static_cast<double>(result.gate_closed_us) / 1e6);
      gate_longest_us.store(std::max(gate_longest_us.load(), result.gate_closed_us));
      options.metrics
          ->labelled_counter("rustbd_checkpoints_total", "Checkpoints by what asked for them",
                             {{"trigger", std::string(to_text(batch.trigger))}})
          .inc();
    }
    if (result.durable) {
      shrinker->checkpoint_done();
      // A pinned checkpoint may have pages that are sealed with a key that no newer one needs.
      if (resealer && !allocator.held()) resealer->checkpoint_done(source->log_kept_from());
    } else {
      options.log.warning("checkpoint failed: " + result.why);
    }
    requests->finish(std::move(batch), result);
    if (options.checkpoint_interval_us > 0) {
      environment.executor->after(std::chrono::microseconds(options.checkpoint_interval_us))
          .then(environment.executor->workers(),
                [queue = requests, at = requests->finished()] { queue->time_passed(at); });
    }
  }
}

void Storage::Parts::register_metrics() {
  metrics::Registry* registry = options.metrics;
  if (registry == nullptr) return;
  duration = &registry->histogram("rustbd_checkpoint_duration_seconds", "Duration of checkpoints");
  gate_seconds = &registry->histogram("rustbd_checkpoint_gate_seconds",
                                      "How long writers stood still while a checkpoint took its moment",
                                      metrics::exponential_bounds(0.00001, 2, 16));
  const auto add = [&](bool counter, std::string name, std::string help, metrics::Labels labels,
                       std::function<double()> read) {
    callbacks.push_back(counter ? registry->counter_callback(name, help, std::move(read), std::move(labels))
                                : registry->gauge_callback(name, help, std::move(read), std::move(labels)));
  };
  BufferManager* pool = buffer.get();
  add(true, "rustbd_buffer_reads_total", "Page fixes by result", {{"result", "hit"}},
      [pool] { return static_cast<double>(pool->statistics().hits); });
  add(true, "rustbd_buffer_reads_total", "Page fixes by result", {{"result", "miss"}},
      [pool] { return static_cast<double>(pool->statistics().misses); });
  add(false, "rustbd_buffer_hit_ratio", "Buffer cache hit ratio since the last time it was asked for", {},
      [pool, hits = std::make_shared<std::pair<double, double>>()] {
        const auto now = pool->statistics();
        const double hit = static_cast<double>(now.hits) - hits->first,
                     miss = static_cast<double>(now.misses) - hits->second;
        *hits = {static_cast<double>(now.hits), static_cast<double>(now.misses)};
        return hit + miss == 0 ? 1.0 : hit / (hit + miss);
      });
  add(false, "rustbd_buffer_dirty_pages", "Pages in memory that are newer than on disk", {},
      [pool] { return static_cast<double>(pool->dirty_count()); });
  add(true, "rustbd_page_writes_total", "Page images written, by eviction and checkpoints", {},
      [pool] { return static_cast<double>(pool->statistics().page_writes); });
  add(false, "rustbd_compression_ratio", "Bytes of the pages written so far to those of their images", {},
      [pool] {
        const auto now = pool->statistics();
        return now.written_blocks == 0 ? 1.0
                                       : static_cast<double>(now.page_writes) * page_blocks(0) /
                                             static_cast<double>(now.written_blocks);
      });
  for (const auto policy : kEvictionPolicyKinds)
    add(true, "rustbd_buffer_evictions_total", "Pages that left memory",
        {{"policy", std::string(to_text(policy))}}, [pool, at = static_cast<std::size_t>(policy)] {
          return static_cast<double>(pool->statistics().evictions_by[at]);
        });
  add(true, "rustbd_buffer_frame_waits_total",
      "Times that a page or a new one had to wait for room in memory: the pool is too small, or pages cannot "
      "be written as fast",
      {}, [pool] { return static_cast<double>(pool->statistics().frame_waits); });
  add(true, "rustbd_buffer_read_ahead_total", "Pages that scans had read before they came to them", {},
      [pool] { return static_cast<double>(pool->statistics().read_ahead); });
  add(true, "rustbd_buffer_scan_drops_total",
      "Pages of large tables that went as soon as their scan was through", {},
      [pool] { return static_cast<double>(pool->statistics().left_dropped); });
  add(false, "rustbd_checkpoint_gate_longest_seconds", "The longest of them since the start", {},
      [this] { return static_cast<double>(gate_longest_us.load()) / 1e6; });
  add(false, "rustbd_data_file_bytes", "Size of the data file", {},
      [this] { return static_cast<double>(allocator.file_blocks() * kBlockBytes); });
  add(false, "rustbd_data_free_bytes", "Free room inside the data file", {},
      [this] { return static_cast<double>(allocator.free_blocks() * kBlockBytes); });
  add(true, "rustbd_pages_moved_total", "Page images moved towards the beginning of the data file", {},
      [pool] { return static_cast<double>(pool->statistics().page_moves); });
  if (keys) {
    add(false, "rustbd_keys", "Data keys that something may be sealed with", {},
        [this] { return static_cast<double>(keys->keys().size()); });
    add(false, "rustbd_key_age_seconds", "Age of the data key that seals", {}, [this] {
      return static_cast<double>(environment.clock->wall_us() - keys->current()->created_us()) / 1e6;
    });
    add(false, "rustbd_key_rotation_progress", "Part of the pages that the last rotation has sealed anew", {},
        [this] {
          const auto now = resealer->progress();
          if (!now.counted) return 0.0;
          return now.pages == 0 ? 1.0 : 1.0 - static_cast<double>(now.left) / static_cast<double>(now.pages);
        });
  }
  add(true, "rustbd_checksum_failures_total", "Pages that could not be read or failed verification", {},
      [pool] { return static_cast<double>(pool->checksum_failures()); });
}

void Storage::Parts::stop() {
  if (shrinker) shrinker->stop();
  if (resealer) resealer->stop();
  if (checkpoint_thread) {
    requests->stop();
    checkpoint_thread->join();
    checkpoint_thread.reset();
  }
  callbacks.clear();
  if (buffer) buffer->stop();
}

Storage::Storage(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

Storage::~Storage() { parts_->stop(); }

std::unique_ptr<Storage> Storage::open(io::Environment environment, StorageOptions options,
                                       CheckpointSource& source) {
  if (!options.fatal) options.fatal = end_process;
  if (!options.log) options.log = [](std::string_view line) { fmt::print(stderr, "rustbd: {}\n", line); };
  std::unique_ptr<Storage> storage(new Storage(std::make_unique<Parts>(environment, std::move(options))));
  Parts& parts = *storage->parts_;  // its destructor stops what runs if we throw
  parts.source = &source;
  parts.open_file();
  Superblock superblock;
  const bool exists = parts.read_superblock(superblock);
  parts.open_keys(superblock.state);
  if (exists) {
    parts.load(superblock);
    parts.publish_boot(superblock);
    parts.buffer->start();
    if (!parts.roots->load()) throw error(sqlstate::kDataCorrupted, "the catalog root page is damaged");
  } else {
    parts.create();
    parts.publish_boot(parts.checkpointer->superblock());
    parts.checkpointer->set_source(&source);
  }
  parts.start_shrinker();
  parts.start_resealer();
  parts.register_metrics();
  parts.checkpoint_thread =
      environment.executor->start_background("checkpointer", [&parts] { parts.checkpoint_loop(); });
  return storage;
}

void Storage::deliver_undo_snapshot() {
  RUSTBD_ASSERT(!parts_->delivered.load(), "the undo snapshot is delivered once");
  std::map<std::uint64_t, PendingKind> pending;  // the source and the list of pages may name one page both
  const bool good = read_snapshot(*parts_->file, parts_->snapshot, parts_->keys.get(),
                                  [&](SnapshotRecord kind, ByteSpan body) {
                                    if (kind != SnapshotRecord::kFree) {
                                      parts_->source->restore(kind, body);
                                    } else if (body.size() == 9) {
                                      pending[load<std::uint64_t>(body.data())] =
                                          static_cast<PendingKind>(load<std::uint8_t>(body.data() + 8));
                                    }
                                  });
  if (!good) throw error(sqlstate::kDataCorrupted, "the undo snapshot is damaged");
  for (const auto& [page, kind] : pending) free_after_restart({PageId{page}, kind});
  parts_->snapshot.clear();
  parts_->delivered.store(true);
}

// Pages and chains go at once: nobody refers to them. Trees wait for their owners.
void Storage::free_after_restart(const PendingEntry& entry) {
  std::vector<PageId> pages{entry.first_page};
  if (entry.kind == PendingKind::kTableTree || entry.kind == PendingKind::kIndexTree) {
    parts_->pending.add(entry.first_page, entry.kind);
    return;
  }
  while (entry.kind == PendingKind::kChain) {
    auto fix = buffer().fix_shared(pages.back());
    if (!fix) {
      buffer().note_freed_unread();  // a damaged page of garbage: the rest of the chain stays
      break;
    }
    const PageId next{fix->header().right_sibling};
    if (next.is_none()) break;
    pages.push_back(next);
  }
  const Action action(gate());
  for (const PageId page : pages) buffer().free_unread(page);
}

CheckpointResult Storage::checkpoint(CheckpointTrigger trigger) {
  RUSTBD_ASSERT(parts_->delivered.load(), "no checkpoint before the undo snapshot is delivered");
  return parts_->requests->request_and_wait(trigger, *parts_->environment.executor);
}

void Storage::request_checkpoint(CheckpointTrigger trigger) {
  if (parts_->delivered.load()) parts_->requests->request(trigger);
}

CheckpointResult Storage::close(bool final_checkpoint) {
  CheckpointResult result;
  if (std::exchange(parts_->closed, true)) return result;
  parts_->shrinker->stop();
  if (parts_->resealer) parts_->resealer->stop();
  if (final_checkpoint) result = checkpoint(CheckpointTrigger::kShutdown);
  parts_->stop();
  parts_->lock.reset();
  return result;
}

bool Storage::created() const { return parts_->created; }
BufferManager& Storage::buffer() { return *parts_->buffer; }
ActionGate& Storage::gate() { return parts_->gate; }
Epochs& Storage::epochs() { return parts_->epochs; }
RootMap& Storage::roots() { return *parts_->roots; }
PendingFree& Storage::pending() { return parts_->pending; }
std::unique_ptr<CheckpointPin> Storage::pin_checkpoint() {
  return std::make_unique<CheckpointPin>(parts_->allocator, *parts_->file, *parts_->checkpointer);
}
DatabaseState Storage::state() const { return parts_->checkpointer->superblock().state; }
security::KeyRing* Storage::keys() { return parts_->keys.get(); }

void Storage::rotate_data_key() {
  if (!parts_->keys)
    throw error(sqlstate::kObjectNotInPrerequisiteState, "the data directory is not encrypted");
  parts_->keys->rotate(parts_->options.encryption.cipher);
  parts_->resealer->keys_retire();
}

KeyRotation Storage::key_rotation() const {
  KeyRotation out;
  if (!parts_->resealer) return out;
  const auto progress = parts_->resealer->progress();
  out.pages = progress.pages;
  out.left = progress.left;
  out.counted = progress.counted;
  out.running = progress.unsealed || !parts_->keys->retiring().empty();
  return out;
}
void Storage::set_wal_uuid(std::uint64_t wal_uuid) { parts_->checkpointer->set_wal_uuid(wal_uuid); }
std::uint64_t Storage::file_blocks() const { return parts_->allocator.file_blocks(); }
std::uint64_t Storage::free_blocks() const { return parts_->allocator.free_blocks(); }
std::uint64_t Storage::deferred_blocks() const { return parts_->allocator.deferred_blocks(); }

}  // namespace rustbd::storage
