#include "rustbd/log/segments.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <utility>

#include "rustbd/base/assert.h"
#include "rustbd/base/crc32c.h"
#include "rustbd/log/blocks.h"

namespace rustbd::log {

namespace {
constexpr char kSegmentMagic[8] = {'R', 'U', 'S', 'T', 'B', 'D', 'W', 'L'};
constexpr std::size_t kZeroBytes = 1u << 20;
constexpr std::chrono::milliseconds kRetryAfterNoSpace{1000}, kRetryAfterNoResources{100};

Blocks zeroed_blocks(std::size_t bytes) {
  Blocks blocks = make_blocks(bytes);
  std::memset(blocks.get(), 0, bytes);
  return blocks;
}

std::optional<Lsn> parse_segment_name(std::string_view name) {
  if (name.size() != 24 || !name.ends_with(".wal")) return std::nullopt;
  std::uint64_t first = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + 20, first);
  if (error != std::errc{} || end != name.data() + 20) return std::nullopt;
  return Lsn{first};
}
}  // namespace

void encode_segment_header(SegmentHeader header, std::span<std::byte, kSegmentHeaderBytes> out) {
  std::memcpy(header.magic, kSegmentMagic, sizeof header.magic);
  header.version = kFormatVersion;
  header.zero = 0;
  header.crc = 0;
  std::memset(out.data(), 0, out.size());
  store(out.data(), header);
  header.crc = crc32c(0, out.data(), out.size());
  store(out.data(), header);
}

std::optional<SegmentHeader> decode_segment_header(std::span<const std::byte, kSegmentHeaderBytes> in) {
  const auto header = load<SegmentHeader>(in.data());
  if (std::memcmp(header.magic, kSegmentMagic, sizeof header.magic) != 0) return std::nullopt;
  SegmentHeader without = header;
  without.crc = 0;
  std::uint32_t crc = crc32c(0, &without, sizeof without);
  crc = crc32c(crc, in.data() + sizeof without, in.size() - sizeof without);
  if (crc != header.crc || header.version != kFormatVersion) return std::nullopt;
  return header;
}

io::IoResult<std::uint64_t> first_difference(io::File& a, io::File& b, std::uint64_t bytes) {
  constexpr std::uint64_t kPieceBytes = 1 << 20;
  const Blocks left = make_blocks(kPieceBytes), right = make_blocks(kPieceBytes);
  for (std::uint64_t at = 0; at < bytes; at += kPieceBytes) {
    const std::size_t now = std::min(kPieceBytes, bytes - at);
    if (const auto read = a.read(at, {left.get(), now}); !read) return std::unexpected{read.error()};
    if (const auto read = b.read(at, {right.get(), now}); !read) return std::unexpected{read.error()};
    if (std::memcmp(left.get(), right.get(), now) == 0) continue;
    return at + static_cast<std::uint64_t>(std::mismatch(left.get(), left.get() + now, right.get()).first -
                                           left.get());
  }
  return bytes;
}

io::IoResult<std::vector<Lsn>> list_segments(io::Disk& disk, const std::string& directory) {
  const auto names = disk.list(directory);
  if (!names) return std::unexpected{names.error()};
  std::vector<Lsn> found;
  for (const std::string& name : *names)
    if (const auto first = parse_segment_name(name)) found.push_back(*first);
  std::sort(found.begin(), found.end());
  return found;
}

SegmentStore::SegmentStore(const io::Environment& environment, Options options)
    : environment_(environment), options_(std::move(options)) {}
SegmentStore::~SegmentStore() { stop(); }

std::string SegmentStore::path(std::uint64_t number) const {
  return options_.directory + "/" + segment_name(options_.geometry.first_lsn(number));
}

io::IoResult<> SegmentStore::start(std::uint64_t first) {
  io::Disk& disk = *environment_.disk;
  if (const auto made = disk.make_directory(options_.directory);
      !made && made.error() != io::IoFailure::kExists)
    return made;
  const auto slash = options_.directory.rfind('/');
  const std::string parent = slash == std::string::npos ? "." : options_.directory.substr(0, slash);
  if (const auto synced = disk.sync_directory(parent); !synced) return synced;
  current_ = first;
  if (const auto adopted = adopt_existing(first); !adopted) return adopted;
  thread_ = environment_.executor->start_background("log-segments", [this] { run(); });
  return {};
}

// Files of earlier ones are old; from `first` on, those without a gap and of full size are used again.
io::IoResult<> SegmentStore::adopt_existing(std::uint64_t first) {
  io::Disk& disk = *environment_.disk;
  const auto found = list_segments(disk, options_.directory);
  if (!found) return std::unexpected{found.error()};
  bool gap = false, first_found = false;
  std::vector<std::uint64_t> useless;
  for (const Lsn lsn : *found) {
    const std::uint64_t number = options_.geometry.segment_of(lsn);
    if (options_.geometry.first_lsn(number) != lsn) continue;  // not of this geometry
    if (number < first) {
      old_.push_back({number, environment_.clock->wall_us()});
      continue;
    }
    const auto file = disk.open(path(number), {.read_only = true});
    if (!file) return std::unexpected{file.error()};
    const auto size = (*file)->size();
    if (!size) return std::unexpected{size.error()};
    const std::uint64_t expected = first_found ? prepared_until_.load() + 1 : first;
    gap = gap || number != expected || number > first + kAhead || *size != options_.geometry.segment_bytes();
    if (gap) {
      useless.push_back(number);
    } else {
      if (const auto zeroed = zero_header(path(number)); !zeroed) return zeroed;
      if (const auto opened = open_ready(number); !opened) return opened;
      first_found = true;
      prepared_until_ = number;
    }
  }
  // The newest first and each for good: a crash in between must leave no gap, which would be damage.
  for (auto number = useless.rbegin(); number != useless.rend(); ++number) {
    if (const auto removed = disk.remove(path(*number)); !removed) return removed;
    if (const auto synced = disk.sync_directory(options_.directory); !synced) return synced;
  }
  if (!first_found) {
    // Not filled with zeros: start-up must not wait for 64 MiB. Syncs in this one segment cost a little more.
    if (const auto made = make_new(path(first), false); !made) return made;
    if (const auto opened = open_ready(first); !opened) return opened;
    prepared_until_ = first;
  }
  return disk.sync_directory(options_.directory);
}

io::IoResult<> SegmentStore::zero_header(const std::string& path) {
  const auto file = environment_.disk->open(path, {.direct = true});
  if (!file) return std::unexpected{file.error()};
  const auto zeros = zeroed_blocks(kSegmentHeaderBytes);
  if (const auto written = (*file)->write(0, {zeros.get(), kSegmentHeaderBytes}); !written) return written;
  return (*file)->datasync();
}

io::IoResult<> SegmentStore::fill_with_zeros(io::File& file) {
  const auto zeros = zeroed_blocks(kZeroBytes);
  const std::uint64_t all = options_.geometry.segment_bytes();
  for (std::uint64_t at = 0; at < all && !stopping_; at += kZeroBytes) {
    const std::size_t n = std::min<std::uint64_t>(kZeroBytes, all - at);
    if (const auto written = file.write(at, {zeros.get(), n}); !written) return written;
  }
  return {};
}

// Under another name first, so that a file with a segment's name is whole.
io::IoResult<> SegmentStore::make_new(const std::string& to, bool zeros) {
  io::Disk& disk = *environment_.disk;
  const std::string unfinished = options_.directory + "/next.tmp";
  const auto make = [&]() -> io::IoResult<> {
    const auto file = disk.open(unfinished, {.create = true, .direct = true});
    if (!file) return std::unexpected{file.error()};
    if (const auto cut = (*file)->truncate(0); !cut) return cut;
    if (const auto got = (*file)->allocate(0, options_.geometry.segment_bytes()); !got) return got;
    if (zeros) {
      if (const auto filled = fill_with_zeros(**file); !filled) return filled;
    }
    if (const auto synced = (*file)->datasync(); !synced) return synced;
    return disk.rename(unfinished, to);
  };
  const auto made = make();
  if (!made && disk.exists(unfinished)) (void)disk.remove(unfinished);  // give the room back at once
  return made;
}

// mutex_ held. I12.
bool SegmentStore::is_kept(const Old& old) const {
  Lsn keep = keep_;
  if (options_.hold) {
    if (const Lsn hold = options_.hold(); !hold.is_none()) keep = std::min(keep, hold);
  }
  if (options_.geometry.first_lsn(old.number + 1) > keep) return true;
  const auto age =
      static_cast<std::uint64_t>(std::max<std::int64_t>(0, environment_.clock->wall_us() - old.ended_us));
  const std::uint64_t since = (current_ - old.number) * options_.geometry.segment_bytes();
  return age < options_.retention_us && (options_.retention_bytes == 0 || since <= options_.retention_bytes);
}

std::optional<SegmentStore::Old> SegmentStore::take_unkept() {
  std::lock_guard lock{mutex_};
  if (old_.empty() || is_kept(old_.front())) return std::nullopt;
  const Old old = old_.front();
  old_.pop_front();
  return old;
}

// Gives a file the name; not durably yet.
io::IoResult<> SegmentStore::make(std::uint64_t number) {
  const auto unkept = take_unkept();
  if (!unkept) return make_new(path(number), options_.preallocate_zeros);
  auto done = zero_header(path(unkept->number));
  if (done) done = environment_.disk->rename(path(unkept->number), path(number));
  if (done) return done;
  std::lock_guard lock{mutex_};
  old_.push_front(*unkept);
  return done;
}

io::IoResult<> SegmentStore::open_ready(std::uint64_t number) {
  auto file = environment_.disk->open(path(number), {.direct = true});
  if (!file) return std::unexpected{file.error()};
  std::lock_guard lock{mutex_};
  ready_[number] = std::move(*file);
  return {};
}

io::IoResult<> SegmentStore::prepare(std::uint64_t number) {
  if (made_ != number) {
    if (const auto made = make(number); !made) return made;
    made_ = number;
  }
  if (const auto synced = environment_.disk->sync_directory(options_.directory); !synced) return synced;
  return open_ready(number);
}

// What became of an attempt.
void SegmentStore::note(io::IoResult<> prepared, std::uint64_t number) {
  if (prepared) {
    prepared_until_.store(number, std::memory_order_release);
    if (shortage_.exchange(Shortage::kNone) != Shortage::kNone && options_.log_line)
      options_.log_line.warning("the log can grow again");
    return;
  }
  const io::IoFailure why = prepared.error();
  bool told = false;
  if (why == io::IoFailure::kNoSpace || why == io::IoFailure::kNoResources) {
    const auto shortage = why == io::IoFailure::kNoSpace ? Shortage::kSpace : Shortage::kResources;
    if (options_.shortages != nullptr) options_.shortages->inc();
    told = shortage_.exchange(shortage) == shortage;
  } else {
    broken_ = true;
  }
  if (!told && options_.log_line)
    options_.log_line.warning(fmt::format("the log segment {} cannot be made ahead: {}{}",
                                          segment_name(options_.geometry.first_lsn(number)), io::to_text(why),
                                          broken_ ? "" : "; it is tried again"));
}

bool SegmentStore::prepare_next() {
  std::uint64_t number = 0;
  {
    std::lock_guard lock{mutex_};
    if (prepared_until_.load() >= current_ + kAhead) return false;
    number = prepared_until_.load() + 1;
  }
  const auto prepared = prepare(number);
  note(prepared, number);
  if (options_.on_progress) options_.on_progress();
  return prepared.has_value();
}

// Unkept segments beyond those that the next preparations will use.
void SegmentStore::remove_surplus() {
  for (;;) {
    std::uint64_t number = 0;
    {
      std::lock_guard lock{mutex_};
      if (old_.size() <= kAhead) return;
      if (is_kept(old_[kAhead])) return;
      number = old_.front().number;
      old_.pop_front();
    }
    if (!environment_.disk->remove(path(number)))
      return;  // it stays as a file; the next start lists it again
  }
}

void SegmentStore::run() {
  while (!stopping_ && !broken_) {
    while (!stopping_ && prepare_next()) {}
    remove_surplus();
    io::WaitToken token;
    {
      std::lock_guard lock{mutex_};
      if (std::exchange(pending_, false)) continue;
      switch (shortage_.load()) {
        case Shortage::kNone: token = io::WaitToken::make(io::WaitReason::kTask); break;
        case Shortage::kSpace: token = environment_.executor->after(kRetryAfterNoSpace); break;
        case Shortage::kResources: token = environment_.executor->after(kRetryAfterNoResources); break;
      }
      work_ = token;
    }
    if (!stopping_) environment_.executor->block_on(token);
    std::lock_guard lock{mutex_};
    work_ = {};
    pending_ = false;
  }
}

void SegmentStore::wake() {
  io::WaitToken token;
  {
    std::lock_guard lock{mutex_};
    pending_ = true;
    token = work_;
  }
  token.fire();
}

std::unique_ptr<io::File> SegmentStore::take(std::uint64_t number) {
  std::unique_ptr<io::File> file;
  {
    std::lock_guard lock{mutex_};
    const auto ready = ready_.find(number);
    RUSTBD_ASSERT(ready != ready_.end(), "the log is written only where room was made");
    file = std::move(ready->second);
    ready_.erase(ready);
    for (std::uint64_t passed = current_; passed < number; ++passed)
      old_.push_back({passed, environment_.clock->wall_us()});
    current_ = number;
  }
  wake();
  return file;
}

void SegmentStore::set_keep(Lsn keep) {
  {
    std::lock_guard lock{mutex_};
    keep_ = std::max(keep_, keep);
  }
  wake();
}

Lsn SegmentStore::kept_from() const {
  std::lock_guard lock{mutex_};
  Lsn from = keep_;
  if (options_.hold) {
    if (const Lsn hold = options_.hold(); !hold.is_none()) from = std::min(from, hold);
  }
  for (const Old& old : old_)
    if (is_kept(old)) from = std::min(from, options_.geometry.first_lsn(old.number));
  return from;
}

std::uint64_t SegmentStore::retained_bytes() const {
  std::lock_guard lock{mutex_};
  return (old_.size() + prepared_until_.load() - current_ + 1) * options_.geometry.segment_bytes();
}

void SegmentStore::stop() {
  if (!thread_) return;
  stopping_ = true;
  wake();
  thread_->join();
  thread_.reset();
}

}  // namespace rustbd::log
