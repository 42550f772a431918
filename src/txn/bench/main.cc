// rustbd-storage-bench: what the storage and transaction layers cost without SQL, and how near reads past
// memory come to the device. bench/storage runs it; by hand:
//   rustbd-storage-bench load DIR ROWS | points DIR SECONDS POOL_MIB | reads DIR SECONDS POOL_MIB DEPTH
// Prints one line of JSON a measurement.
#include <fmt/format.h>
#include <linux/perf_event.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <charconv>
#include <cstdio>
#include <ctime>
#include <string>

#include "rustbd/base/error.h"
#include "rustbd/io/disk.h"
#include "rustbd/io/executor.h"
#include "rustbd/io/run_task.h"
#include "rustbd/storage/pages/aligned_buffer.h"
#include "rustbd/txn/system_parts.h"
#include "rustbd/txn/tables/index.h"
#include "rustbd/txn/tables/table.h"
#include "rustbd/txn/transaction_system.h"
#include "rustbd/types/vector.h"

namespace rustbd::txn {
namespace {

constexpr Oid kDatabase = 5;
constexpr std::size_t kNoteBytes = 96;

double cpu_seconds() {
  timespec t{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

/// Misses of the last-level cache in user mode, of this thread; -1: the machine does not tell.
class CacheMisses {
 public:
  CacheMisses() {
    perf_event_attr attr{};
    attr.type = PERF_TYPE_HARDWARE;
    attr.size = sizeof attr;
    attr.config = PERF_COUNT_HW_CACHE_MISSES;
    attr.exclude_kernel = 1;
    attr.exclude_hv = 1;
    fd_ = static_cast<int>(syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0));
  }
  ~CacheMisses() {
    if (fd_ >= 0) close(fd_);
  }
  CacheMisses(const CacheMisses&) = delete;
  CacheMisses& operator=(const CacheMisses&) = delete;
  [[nodiscard]] double read_now() const {
    std::uint64_t value = 0;
    if (fd_ < 0 || read(fd_, &value, sizeof value) != sizeof value) return -1;
    return static_cast<double>(value);
  }

 private:
  int fd_ = -1;
};

/// What one load costs whose address the one before it gave, at random in so much memory, as the pool's
/// frames have it: the unit in which a walk down a tree pays.
double dependent_load_ns(std::uint64_t bytes) {
  constexpr std::uint64_t kLine = 64, kLoads = 4'000'000;
  const std::uint64_t lines = std::bit_floor(bytes / kLine);
  storage::AlignedBuffer memory(lines * kLine);
  madvise(memory.data(), memory.size(), MADV_HUGEPAGE);
  // A linear congruential generator of full period (Hull and Dobell 1962) meets each line once.
  for (std::uint64_t i = 0; i < lines; ++i)
    store(memory.data() + i * kLine, (i * 6'364'136'223'846'793'005 + 1'442'695'040'888'963'407) % lines);
  std::uint64_t at = 0;
  const double before = cpu_seconds();
  for (std::uint64_t i = 0; i < kLoads; ++i) at = load<std::uint64_t>(memory.data() + at * kLine);
  const double took = cpu_seconds() - before;
  return at == lines ? 0 : took * 1e9 / kLoads;
}

/// id int8 with a unique index, value int8, note text of bytes that no compression shrinks.
class Bench {
 public:
  Bench(const std::string& directory, std::uint64_t pool_bytes)
      : disk_(io::make_real_disk(directory)),
        clock_(io::make_system_clock()),
        random_(io::make_system_random()),
        executor_(io::make_thread_executor(2)) {
    Options options;
    options.buffer_bytes = pool_bytes;
    options.page_compression = storage::PageCompression::kNone;
    options.direct_io = true;
    options.log_line = [](std::string_view) {};
    system_ = TransactionSystem::open({disk_.get(), clock_.get(), random_.get(), executor_.get()}, options);
  }
  ~Bench() {
    system_->close();
    system_.reset();
    executor_->stop();
  }

  void load(std::uint64_t rows) {
    storage::TableLayout layout;
    layout.relation = system_->new_object_id();
    layout.table = TableId{layout.relation};
    layout.database = kDatabase;
    layout.columns.resize(3);
    layout.columns[0].type = layout.columns[1].type = types::make_type(types::oid::kInt8);
    layout.columns[0].nullable = false;
    layout.columns[2].type = types::make_type(types::oid::kText);
    storage::IndexLayout index;
    index.id = system_->new_index_id();
    index.unique = true;
    index.parts.push_back({0, types::KeyPart{layout.columns[0].type, false, false}});
    layout.indexes.push_back(index);
    run([this, layout, rows]() -> Task<> { co_await load_rows(layout, rows); });
  }

  /// One after the other, each in a transaction of its own, all in memory.
  void points(double seconds) {
    run([this]() -> Task<> { return find_rows(); });
    run([this, seconds]() -> Task<> {
      const Layout layout = only_table();
      const auto locker = system_->make_locker(1);
      io::SeededRandom random(1);
      types::ChunkBuffer out;
      const CacheMisses misses;
      std::uint64_t done = 0;
      for (std::uint64_t id = 1; id <= rows(); id += 16) co_await read_row(*locker, layout, id, out);  // warm
      const double cpu = cpu_seconds(), missed = misses.read_now();
      const std::int64_t end = clock_->monotonic_us() + static_cast<std::int64_t>(seconds * 1e6);
      while (clock_->monotonic_us() < end)
        for (int i = 0; i < 256; ++i, ++done)
          co_await read_row(*locker, layout, 1 + random.below(rows()), out);
      const double per_read = (cpu_seconds() - cpu) / static_cast<double>(done) * 1e6;
      const double missed_now = misses.read_now();
      fmt::print(
          "{{\"what\": \"points\", \"rows\": {}, \"reads\": {}, \"cpu_us\": {:.3f}, "
          "\"cache_misses\": {:.1f}, \"load_ns\": {:.0f}}}\n",
          rows(), done, per_read, missed < 0 ? -1 : (missed_now - missed) / static_cast<double>(done),
          dependent_load_ns(system_->parts().buffer().frame_count() * storage::kFrameBytes));
    });
  }

  /// `depth` readers at once on data larger than the pool, then as many bare reads of the same file.
  void reads(double seconds, std::uint64_t depth) {
    run([this]() -> Task<> { return find_rows(); });
    measure_reads(seconds, depth, true);
    measure_reads(seconds, depth, false);
    measure_bare(seconds, depth);
  }

 private:
  using Layout = std::shared_ptr<const storage::TableLayout>;

  template <class Body>
  void run(Body body) {
    io::run_blocking(*executor_, body());
  }

  Layout only_table() {
    for (const auto& layout : system_->layouts()) return layout;
    throw error(sqlstate::kUndefinedTable, "nothing is loaded in this directory");
  }

  Task<> load_rows(storage::TableLayout layout, std::uint64_t rows) {
    const auto locker = system_->make_locker(1);
    io::SeededRandom random(7);
    {
      const auto txn = system_->begin(*locker);
      txn->begin_statement();
      for (;;) {
        const Outcome o = system_->create_table(*txn, layout);
        if (!o.blocked()) break;
        co_await o.token;
      }
      require(co_await txn->commit(), "commit");
    }
    Table table(*system_, system_->layout_of(kDatabase, layout.relation));
    const types::Phys phys[] = {types::Phys::kI64, types::Phys::kI64, types::Phys::kStr};
    types::ChunkBuffer buffer(phys);
    for (std::uint64_t id = 1; id <= rows;) {
      const auto txn = system_->begin(*locker);
      txn->begin_statement();
      for (std::uint64_t end = std::min(rows, id + 99'999); id <= end;) {
        types::Chunk& chunk = buffer.begin();
        std::uint32_t n = 0;
        for (; n < types::kVectorSize && id <= end; ++n, ++id) {
          buffer.put(0, n, types::Datum::of(static_cast<std::int64_t>(id)), false);
          buffer.put(1, n, types::Datum::of(static_cast<std::int64_t>(random.next_u64() >> 1)), false);
          std::byte note[kNoteBytes];
          random.fill(note);
          for (std::byte& b : note) b = b == std::byte{0} ? std::byte{1} : b;
          buffer.put(2, n, types::Datum::of(types::Str{{reinterpret_cast<const char*>(note), kNoteBytes}}),
                     false);
        }
        chunk.select_all(n);
        for (std::uint32_t done = 0;;) {
          const Outcome o = table.bulk_append(*txn, chunk, {}, &done);
          if (!o.blocked()) {
            require(o, "append");
            break;
          }
          co_await o.token;
        }
      }
      require(co_await txn->commit(), "commit");
    }
    co_await system_->checkpoint();
  }

  void require(const Outcome& o, const char* what) {
    if (!o.ok()) throw error(sqlstate::kInternalError, "{} ended with {}", what, static_cast<int>(o.status));
  }

  /// The ids are 1 to this.
  [[nodiscard]] std::uint64_t rows() const { return rows_; }

  /// Looks the highest id up.
  Task<> find_rows() {
    static constexpr ColumnNumber kColumns[] = {0};
    const Layout layout = only_table();
    const auto locker = system_->make_locker(1);
    const auto txn = system_->begin(*locker);
    txn->begin_statement();
    Table table(*system_, layout);
    IndexScan scan(table, layout->indexes[0].id, txn->view(), KeyRange::all(), ScanDirection::kBackward,
                   kColumns, false);
    types::ChunkBuffer out;
    for (;;) {
      const Outcome o = scan.next(out, 1);
      if (!o.blocked()) {
        require(o, "the scan for the last row");
        break;
      }
      co_await o.token;
    }
    rows_ = static_cast<std::uint64_t>(out.chunk()[0].values<std::int64_t>()[out.chunk().selection[0]]);
    require(co_await txn->commit(), "commit");
  }

  /// Begins, takes the table lock, looks the key up, reads all columns into `out` (kept by the caller, as a
  /// prepared plan would), commits.
  Task<> read_row(Locker& locker, const Layout& layout, std::uint64_t id, types::ChunkBuffer& out) {
    static constexpr ColumnNumber kColumns[] = {0, 1, 2};
    const auto txn = system_->begin(locker);
    for (;;) {
      const Outcome o = txn->lock_table(layout->relation, kDatabase, TableLockMode::kAccessShare);
      if (!o.blocked()) break;
      co_await o.token;
    }
    txn->begin_statement();
    Table table(*system_, layout);
    const types::Datum value = types::Datum::of(static_cast<std::int64_t>(id));
    static constexpr bool kNotNull[] = {false};
    Bytes key;
    append_index_key(layout->indexes[0], {&value, 1}, kNotNull, key);
    IndexScan scan(table, layout->indexes[0].id, txn->view(), KeyRange::equal(std::move(key)),
                   ScanDirection::kForward, kColumns, false);
    for (;;) {
      const Outcome o = scan.next(out, 1);
      if (!o.blocked()) {
        if (!o.ok() || out.chunk()[0].values<std::int64_t>()[out.chunk().selection[0]] !=
                           static_cast<std::int64_t>(id)) {
          throw error(sqlstate::kInternalError, "row {} is not there", id);
        }
        break;
      }
      co_await o.token;
    }
    if (!txn->try_commit()) require(co_await txn->commit(), "commit");
  }

  void measure_reads(double seconds, std::uint64_t depth, bool warm) {
    const auto before = system_->parts().buffer().statistics();
    std::atomic<std::uint64_t> done{0};
    const double cpu = cpu_seconds();
    const std::int64_t begin = clock_->monotonic_us();
    const std::int64_t end = begin + static_cast<std::int64_t>(seconds * 1e6);
    in_parallel(depth, [&](std::uint64_t number) -> Task<> {
      const Layout layout = only_table();
      const auto locker = system_->make_locker(static_cast<std::int32_t>(number + 1));
      io::SeededRandom random(number + (warm ? 1000 : 2000));
      types::ChunkBuffer out;
      while (clock_->monotonic_us() < end) {
        co_await read_row(*locker, layout, 1 + random.below(rows()), out);
        done.fetch_add(1, std::memory_order_relaxed);
      }
    });
    if (warm) return;
    const double took = static_cast<double>(clock_->monotonic_us() - begin) * 1e-6;
    const auto after = system_->parts().buffer().statistics();
    const auto n = static_cast<double>(done.load());
    const double pages = static_cast<double>(after.misses - before.misses);
    fmt::print(
        "{{\"what\": \"reads\", \"depth\": {}, \"rows_per_s\": {:.0f}, \"pages_per_s\": {:.0f}, "
        "\"pages_per_row\": {:.3f}, \"cpu_us\": {:.2f}}}\n",
        depth, n / took, pages / took, pages / n, (cpu_seconds() - cpu) / n * 1e6);
  }

  void measure_bare(double seconds, std::uint64_t depth) {
    auto opened = disk_->open("rustbd.db", {.direct = true, .read_only = true});
    if (!opened) throw error(sqlstate::kIoError, "the data file cannot be opened");
    const auto file = std::move(*opened);
    const std::uint64_t slots = *file->size() / storage::kFrameBytes;
    std::atomic<std::uint64_t> done{0};
    const double cpu = cpu_seconds();
    const std::int64_t begin = clock_->monotonic_us();
    const std::int64_t end = begin + static_cast<std::int64_t>(seconds * 1e6);
    in_parallel(depth, [&](std::uint64_t number) -> Task<> {
      storage::AlignedBuffer buffer(storage::kFrameBytes);
      io::SeededRandom random(number + 3000);
      while (clock_->monotonic_us() < end) {
        io::IoRequest request;
        request.done = io::WaitToken::make(io::WaitReason::kPage);
        file->read_async(random.below(slots) * storage::kFrameBytes, buffer.span(), &request);
        co_await request.done;
        if (!request.status) throw error(sqlstate::kIoError, "a bare read failed");
        done.fetch_add(1, std::memory_order_relaxed);
      }
    });
    const double took = static_cast<double>(clock_->monotonic_us() - begin) * 1e-6;
    const auto n = static_cast<double>(done.load());
    fmt::print("{{\"what\": \"bare\", \"depth\": {}, \"pages_per_s\": {:.0f}, \"cpu_us\": {:.2f}}}\n", depth,
               n / took, (cpu_seconds() - cpu) / n * 1e6);
  }

  template <class Body>
  void in_parallel(std::uint64_t depth, Body body) {
    std::vector<io::WaitToken> ends;
    for (std::uint64_t i = 0; i < depth; ++i) {
      ends.push_back(io::WaitToken::make(io::WaitReason::kTask));
      executor_->workers().post([&body, i, end = ends.back()] { detach(body(i), [end] { end.fire(); }); });
    }
    for (const auto& end : ends) executor_->block_on(end);
  }

  std::unique_ptr<io::Disk> disk_;
  std::unique_ptr<io::Clock> clock_;
  std::unique_ptr<io::Random> random_;
  std::unique_ptr<io::Executor> executor_;
  std::unique_ptr<TransactionSystem> system_;
  std::uint64_t rows_ = 0;
};

std::uint64_t number(const char* text) {
  const std::string_view digits = text;
  std::uint64_t value = 0;
  const auto [end, failure] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (failure != std::errc{} || end != digits.data() + digits.size())
    throw error(sqlstate::kSyntaxError, "not a number: {}", digits);
  return value;
}

int run(int argc, char** argv) {
  const std::string what = argc > 1 ? argv[1] : "";
  if (what == "load" && argc == 4) {
    Bench(argv[2], std::uint64_t{1} << 30).load(number(argv[3]));
  } else if (what == "points" && argc == 5) {
    Bench(argv[2], number(argv[4]) << 20).points(static_cast<double>(number(argv[3])));
  } else if (what == "reads" && argc == 6) {
    Bench(argv[2], number(argv[4]) << 20).reads(static_cast<double>(number(argv[3])), number(argv[5]));
  } else {
    fmt::print(
        stderr,
        "rustbd-storage-bench load DIR ROWS | points DIR SECONDS POOL_MIB | reads DIR SECONDS POOL_MIB "
        "DEPTH\n");
    return 2;
  }
  return 0;
}

}  // namespace
}  // namespace rustbd::txn

int main(int argc, char** argv) {
  try {
    return rustbd::txn::run(argc, argv);
  } catch (const rustbd::Error& e) {
    fmt::print(stderr, "rustbd-storage-bench: {}\n", e.message);
    return 1;
  }
}
